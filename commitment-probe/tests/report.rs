//! Reports of summaries that are made up.

#[path = "report/evidence.rs"]
mod evidence;
#[path = "report/kinds.rs"]
mod kinds;
#[path = "report/said.rs"]
mod said;
#[path = "report/summaries.rs"]
mod summaries;
#[path = "report/warned.rs"]
mod warned;

use std::{fs, path::Path};

use commitment_probe::{Decoder, Detector, Outcome, Report, Schema, Scorer, Verdict};
use kinds::{cells, report, reports, two};
use summaries::{nothing, run};

#[test]
fn tables_are_as_wide_in_every_line() {
    for (name, report) in reports() {
        let text = report.markdown();
        let lines: Vec<_> = text.lines().collect();
        for pair in lines.windows(2) {
            if pair.iter().all(|line| line.starts_with('|')) {
                assert_eq!(pair[0].chars().count(), pair[1].chars().count(), "{name}: {pair:?}");
            }
        }
        let mut words = text.split(|c: char| !c.is_alphanumeric());
        assert!(!words.any(|word| ["NaN", "inf"].contains(&word)), "{name}");
        assert!(text.lines().all(|line| line == line.trim_end()), "{name}");
    }
}

#[test]
fn what_the_numbers_mean_is_cited_once() {
    let report = two();
    for page in [report.markdown(), report.html()] {
        for address in [
            "arxiv.org/abs/2605.22007",
            "arxiv.org/abs/1706.04599",
            "arxiv.org/abs/2207.05221",
            "arxiv.org/abs/2302.09664",
            "doi.org/10.1038/s41586-024-07421-0",
        ] {
            assert_eq!(page.matches(address).count(), 1, "{address}");
        }
    }
}

#[test]
fn json_is_read_again() {
    for (name, report) in reports() {
        let json = report.json();
        assert!(json.ends_with("}\n"));
        assert!(serde_json::from_str::<Report>(&json).expect(name) == report, "{name}");
    }
}

#[test]
fn json_of_another_schema_is_refused() {
    let json = two().json();
    let version = Schema::VERSION;
    let own = format!("\"schema\": {version},");
    assert!(json.starts_with(&format!("{{\n  {own}\n")), "{}", &json[..40]);
    let read = |json: &str| serde_json::from_str::<Report>(json).unwrap_err().to_string();
    for (schema, found) in [
        ("\"schema\": 0,", "schema 0,"),
        ("\"schema\": 99,", "schema 99,"),
        ("\"schema\": \"1\",", "schema \"1\","),
        ("\"schema\": null,", "no schema version"),
        ("", "no schema version"),
    ] {
        let said = read(&json.replacen(&own, schema, 1));
        assert!(
            said.contains(found) && said.contains(&format!("reads schema {version}")),
            "{said}"
        );
        assert!(said.contains("use the version that wrote it"), "{said}");
    }
}

#[test]
fn a_key_that_is_not_known_is_an_error() {
    let json = two().json();
    for (key, other) in [("\"spelling\"", "\"guessing\""), ("\"token_entropy\"", "\"x\"")] {
        let said = serde_json::from_str::<Report>(&json.replace(key, other)).unwrap_err();
        assert!(said.to_string().contains("unknown variant"), "{said}");
    }
}

#[test]
fn every_key_of_a_summary_is_in_the_report() {
    let report = Report::new(vec![run("run", 0.4)]);
    for page in [report.markdown(), report.html()] {
        let labels = Decoder::ALL.iter().map(ToString::to_string);
        for label in labels.chain(Detector::ALL.iter().map(ToString::to_string)) {
            assert!(page.contains(&label), "{label}");
        }
        let labels = Outcome::ALL.iter().map(ToString::to_string);
        let labels = labels.chain(Verdict::ALL.iter().map(ToString::to_string));
        for label in labels.chain(Scorer::ALL.iter().map(ToString::to_string)) {
            assert!(page.contains(&label), "{label}");
        }
    }
}

#[test]
fn the_same_summaries_give_the_same_bytes() {
    for ((name, one), (_, other)) in reports().into_iter().zip(reports()) {
        assert!(one.html() == other.html(), "{name}");
        assert_eq!(one.markdown(), other.markdown());
        let read: Report = serde_json::from_str(&one.json()).unwrap();
        assert!(read.html() == one.html(), "{name}");
    }
}

#[test]
fn html_is_well_formed_and_fetches_nothing() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
    fs::create_dir_all(&folder).unwrap();
    for (name, report) in reports() {
        let page = report.html();
        // For whoever wants to see them, and for scripts/check-report.mjs.
        fs::write(folder.join(name).with_extension("html"), &page).unwrap();
        well_formed(&page).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!(page.starts_with("<!doctype html>\n<html lang=\"en\">"));
        for fetch in ["<img", "<link", "@import", "url(", "<script", "xlink", "NaN"] {
            assert!(!page.contains(fetch), "{name} has {fetch}");
        }
        for (at, _) in
            page.match_indices("http").filter(|(at, _)| !page[*at..].starts_with("http-"))
        {
            assert!(page[..at].ends_with("<a href=\"") || name == "markup", "{name}: {at}");
        }
    }
}

#[test]
fn names_are_not_markup() {
    let report = report("markup");
    let page = report.html();
    assert!(
        page.contains("&lt;script&gt;alert(&#39;a&#39;)&lt;/script&gt; | &quot;b&quot; &amp; *c*")
    );
    assert!(page.contains("[x](https://example.org)") && !page.contains("\"https://example.org"));
    let text = report.markdown();
    assert!(text.contains(r#"\<b> "#), "a token");
    assert!(page.contains("&lt;b&gt;"));
    assert!(text.contains(r#"\<script>alert('a')\</script> \| "b" \& \*c\*"#));
    assert!(text.contains(r"a\|b c") && text.contains(r"\[x](https://example.org)"));
}

#[test]
fn a_note_is_one_paragraph() {
    let text = Report::default().with_note("First.\n\n# Heading\n| a |\r\n- b").markdown();
    assert!(text.contains(r"**First. # Heading \| a \| - b**"), "{text}");
    let headings = text.lines().filter(|line| line.starts_with('#'));
    assert_eq!(headings.count(), 1, "{text}");
}

#[test]
fn pictures_are_drawn_of_what_there_is() {
    let pictures =
        |name: &str| report(name).html().matches("<svg class=\"plot\" role=\"img\"").count();
    // Two of rates, four by threshold, two of concentrations, three of decoders; one for each kind
    // of confidence; pairs at both steps, detectors and temperature of each run.
    let fixed = 11 + Decoder::ALL.len();
    assert_eq!(pictures("two"), fixed + 4 * 2);
    assert_eq!(pictures("four"), fixed + 4 * 4);
    assert_eq!(pictures("beside-nothing"), fixed + 4);
    assert_eq!(pictures("withheld"), fixed + 4 * 2);
    assert_eq!(["no-runs", "nothing", "never-wrong"].map(pictures), [0; 3]);
}

#[test]
fn every_picture_has_a_text() {
    for (name, report) in reports() {
        for picture in report.html().split("<svg class=\"plot\"").skip(1) {
            let label = picture.split_once("aria-label=\"").unwrap().1.split('"').next().unwrap();
            assert!(label.ends_with("The table has the numbers."), "{name}: {label}");
        }
    }
    let page = report("one").html();
    assert!(page.contains(
        "Scatter plot: smollm2-135m, first step; concentration by mass. In 59 of 72 pairs the \
         right answer is the more concentrated; 48 of the failures are strict. The table has the \
         numbers."
    ));
}

#[test]
fn a_report_without_anything_says_so() {
    let none = Report::default();
    for page in [none.markdown(), none.html()] {
        assert!(page.contains("There are no runs in this report."));
        assert!(!page.contains("<table") && !page.contains('|'));
    }
    let text = Report::new(vec![nothing("not begun")]).markdown();
    assert_eq!(cells(&text, "Overview", &["Questions"]), ["0 of 1,000"]);
    for label in ["Hallucination rate", "Strict rate", "Paper's rate: null", "Scorer"] {
        assert_eq!(cells(&text, "Overview", &[label]), ["–"], "{label}");
    }
    assert!(text.contains("## Detectors") && text.contains("Not measured."));
}

/// What is markup, or ends a script, wherever it is not escaped.
const MARKUP_IN_TEXT: &str = "</script></noscript><img src=x onerror=alert(1)>{{ 7 }} \"x\"y 'z' &amp; \u{2028}\n\u{2029}<!--";

/// Whether every element that is opened is closed, the last one first; what is in a script is not
/// looked at.
fn well_formed(page: &str) -> Result<(), String> {
    const EMPTY: [&str; 4] = ["meta", "br", "input", "!doctype"];
    let page = page.split_once("<script>").map_or(page.to_owned(), |(before, script)| {
        format!("{before}{}", script.split_once("</script>").map_or("", |(_, after)| after))
    });
    let (mut open, mut rest) = (Vec::new(), &page[..]);
    while let Some((_, tag)) = rest.split_once('<') {
        let (tag, after) = tag.split_once('>').ok_or("a tag without an end")?;
        rest = after;
        let name = tag.split([' ', '/']).find(|part| !part.is_empty()).unwrap_or_default();
        if tag.matches('"').count() % 2 == 1 {
            return Err(format!("<{tag}> has half a value"));
        }
        if tag.starts_with('/') {
            if open.pop() != Some(name) {
                return Err(format!("</{name}> closes another element"));
            }
        } else if !tag.ends_with('/') && !EMPTY.contains(&name) {
            open.push(name);
        }
    }
    if open.is_empty() { Ok(()) } else { Err(format!("{open:?} are not closed")) }
}
