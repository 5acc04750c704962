//! Reports of summaries that are made up.

#[path = "report/summaries.rs"]
mod summaries;

use std::{fs, path::Path};

use commitment_probe::{Decoder, Detector, Outcome, Report, Summary};
use summaries::{nothing, run};

fn two() -> Report {
    Report::new(vec![run("qwen2.5-7b base", 0.1), run("qwen2.5-7b instruct", 0.6)])
}

/// Every kind of a report that could come out wrong, and its name.
fn reports() -> Vec<(&'static str, Report)> {
    let long = "meta-llama/Meta-Llama-3.1-70B-Instruct, 4 bits, 2000 questions of TriviaQA";
    let mut never_wrong = run("never wrong", 0.4);
    never_wrong = Summary {
        hallucinations: 0,
        samples: never_wrong.samples,
        confidence: never_wrong.confidence,
        ..nothing("never wrong")
    };
    never_wrong.confidence.insert(Outcome::Hallucination, None);
    let mut never_right = run("never right", 0.4);
    never_right.concentration.right = None;
    never_right.concentration.matched.right = None;
    never_right.confidence.insert(Outcome::Right, None);
    never_right
        .detectors
        .values_mut()
        .for_each(|areas| areas.values_mut().for_each(|area| *area = None));
    never_right.decoders.values_mut().for_each(|decoder| decoder.broken_rate = None);
    let mut not_sampled = run("not sampled", 0.4);
    not_sampled.temperature.sampled = None;
    not_sampled.planned = 3000;
    let many = (0..18).map(|i| run(&format!("model of {i} billion"), f64::from(i) / 18.0));
    vec![
        ("two", two()),
        (
            "four",
            Report::new(vec![
                run("qwen2.5-0.5b base", 0.0),
                run("qwen2.5-0.5b instruct", 0.2),
                run("qwen2.5-7b instruct", 0.6),
                run(long, 0.95),
            ]),
        ),
        ("many", Report::new(many.collect())),
        ("one", Report::new(vec![run("smollm2-135m", 0.3)])),
        ("no-runs", Report::default()),
        ("nothing", Report::new(vec![nothing("not begun")])),
        ("beside-nothing", Report::new(vec![nothing("not begun"), run("finished", 0.5)])),
        ("never-wrong", Report::new(vec![never_wrong])),
        ("never-right", Report::new(vec![never_right])),
        ("not-sampled", Report::new(vec![not_sampled])),
        ("markup", Report::new(MARKUP.map(|name| run(name, 0.5)).into())),
    ]
}

/// Names that are markup wherever they are not escaped.
const MARKUP: [&str; 4] = [
    "<script>alert('a')</script> | \"b\" & *c*",
    "</text></svg><img src=x>",
    "a|b\nc",
    "[x](https://example.org)",
];

/// The row that begins with these labels, after the heading, as its cells.
fn cells(markdown: &str, heading: &str, labels: &[&str]) -> Vec<String> {
    let section = markdown.split_once(&format!("# {heading}\n")).expect(heading).1;
    let rows = section.lines().filter(|line| line.starts_with('|')).map(|line| {
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect()
    });
    let mut above = String::new();
    for row in rows {
        let mut row: Vec<String> = row;
        if !row[0].is_empty() {
            above.clone_from(&row[0]);
        }
        row[0].clone_from(&above);
        if row.iter().zip(labels).all(|(cell, label)| cell == label) {
            return row.split_off(labels.len());
        }
    }
    panic!("no row {labels:?} under {heading}");
}

#[test]
fn markdown_says_what_was_measured() {
    let text = two().markdown();
    let row = |heading: &str, labels: &[&str]| cells(&text, heading, labels);
    assert_eq!(row("Overview", &["Measure"]), ["qwen2.5-7b base", "qwen2.5-7b instruct"]);
    assert_eq!(row("Overview", &["Questions"]), ["1,200", "1,200"]);
    assert_eq!(row("Overview", &["Hallucinations"]), ["600", "500"]);
    assert_eq!(row("Overview", &["Hallucination rate"])[0], ".50 [.47, .53]");
    assert_eq!(row("Overview", &["Threshold τ"]), [".20", ".20"]);
    let failures = row("Overview", &["Commitment failures at τ"]);
    assert_eq!(row("Thresholds", &["Number", ".20"]), failures);
    let rates = row("Overview", &["Their share of hallucinations"]);
    assert_eq!(row("Thresholds", &["Share of hallucinations", ".20"]), rates);
    assert_eq!(row("Overview", &["ECE by tokens"]), [".07", ".05"]);

    assert_eq!(row("Concentration", &["Right answers", "number"]), ["600", "700"]);
    assert_eq!(row("Concentration", &["Difference", "Cohen's d"]), ["1.70", "2.20"]);
    assert_eq!(row("Concentration", &["Difference", "U"])[0], "15,840.5");
    assert_eq!(row("Concentration", &["Difference", "p"])[0], "< 0.001");
    assert_eq!(row("Matched by P-mass", &["Pairs", "caliper"])[0], ".05");
    assert_eq!(row("Matched by P-mass", &["Difference", "p"])[0], "0.003");

    assert_eq!(row("Confidence", &["Right answers"])[0], ".71 [.67, .75]");
    assert_eq!(
        row("Second token and phrases", &["Phrases that go wrong later", "number"]),
        ["41", "41"]
    );
    let entropy = row("Detectors", &["token entropy", "qwen2.5-7b base"]);
    assert_eq!([&entropy[0][..3], &entropy[1][..3], &entropy[2][..3]], [".77", ".60", ".82"]);
    assert_eq!(row("ECE", &["spelling"]), [".03", ".03"]);
    assert_eq!(row("Reliability", &["spelling", ".00 to .10"]), ["–", "–"]);
    assert!(row("Reliability", &["spelling", ".50 to .60"])[0].ends_with(" (125)"));
    assert_eq!(row("Decoders", &["whole phrases†", "qwen2.5-7b instruct"])[1], "48");
    assert_eq!(
        row("Confidence", &["Hallucinations"]),
        row("Overview", &["Wrong-winner confidence"])
    );
    assert_eq!(row("Temperature", &["Other hallucinations", "0.5"])[0], ".04");
    assert_eq!(
        row("Sampled answers", &["Commitment failures", "qwen2.5-7b base"])[..2],
        ["0.7", "10"]
    );
}

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
        assert!(!text.contains("NaN") && !text.contains("inf"), "{name}");
        assert!(text.lines().all(|line| line == line.trim_end()), "{name}");
    }
}

#[test]
fn what_the_numbers_mean_is_cited_once() {
    let report = two();
    for page in [report.markdown(), report.html()] {
        for address in
            ["arxiv.org/abs/2605.22007", "arxiv.org/abs/1706.04599", "arxiv.org/abs/2302.09664"]
        {
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
    assert!(json.starts_with("{\n  \"schema\": 1,\n"), "{}", &json[..40]);
    let read = |json: &str| serde_json::from_str::<Report>(json).unwrap_err().to_string();
    for (schema, found) in [
        ("\"schema\": 0,", "schema 0,"),
        ("\"schema\": 2,", "schema 2,"),
        ("\"schema\": \"1\",", "schema \"1\","),
        ("\"schema\": null,", "no schema version"),
        ("", "no schema version"),
    ] {
        let said = read(&json.replacen("\"schema\": 1,", schema, 1));
        assert!(said.contains(found) && said.contains("reads schema 1"), "{said}");
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
    let report = Report::new(vec![Summary::of("run", 0, 0.2, &[]).unwrap()]);
    for page in [report.markdown(), report.html()] {
        let labels = Decoder::ALL.iter().map(ToString::to_string);
        for label in labels.chain(Detector::ALL.iter().map(ToString::to_string)) {
            assert!(page.contains(&label), "{label}");
        }
        for outcome in Outcome::ALL {
            assert!(page.contains(&outcome.to_string()), "{outcome}");
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
        for (at, _) in page.match_indices("http") {
            assert!(page[..at].ends_with("<a href=\"") || name == "markup", "{name}: {at}");
        }
    }
}

#[test]
fn names_are_not_markup() {
    let report = Report::new(MARKUP.map(|name| run(name, 0.5)).into());
    let page = report.html();
    assert!(
        page.contains("&lt;script&gt;alert(&#39;a&#39;)&lt;/script&gt; | &quot;b&quot; &amp; *c*")
    );
    assert!(page.contains("[x](https://example.org)") && !page.contains("\"https://example.org"));
    let text = report.markdown();
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
    let pictures = |name: &str| {
        let report = reports().into_iter().find(|(found, _)| *found == name).unwrap().1;
        report.html().matches("<svg class=\"plot\"").count()
    };
    // Thresholds, concentration, three of decoders; one for each kind of confidence; detectors and
    // temperature of each run.
    let kinds = reports()[0].1.runs[0].calibration.len();
    assert!(kinds > 1);
    assert_eq!(pictures("two"), 5 + kinds + 2 * 2);
    assert_eq!(pictures("four"), 5 + kinds + 2 * 4);
    assert_eq!(pictures("beside-nothing"), 5 + kinds + 2);
    assert_eq!(["no-runs", "nothing", "never-wrong"].map(pictures), [0; 3]);
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
    assert_eq!(cells(&text, "Overview", &["Hallucination rate"]), ["–"]);
    assert!(text.contains("## Detectors") && text.contains("Not measured."));
}

/// Whether every element that is opened is closed, the last one first.
fn well_formed(page: &str) -> Result<(), String> {
    const EMPTY: [&str; 3] = ["meta", "br", "!doctype"];
    let (mut open, mut rest) = (Vec::new(), page);
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
