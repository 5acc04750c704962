//! The evidence on the pages: settings, cases, and all samples.

use std::{fs, path::Path};

use commitment_probe::{Evidence, Kind, Pages, Report, Sample, Schema, Verdict};
use serde_json::{Value, json};

use crate::{MARKUP_IN_TEXT, kinds::cells, summaries::run, well_formed};

/// A sample of a verdict; of what is wrong, every third is a strict failure, every third goes wrong
/// later, and every third does so with a P-mass below τ.
pub fn sample(i: usize, verdict: Verdict) -> Sample {
    let own = !i.is_multiple_of(3);
    let mass = if i % 3 == 2 { 0.12 } else { 0.49 };
    let token = |text: &str, probability: f64, own: bool| {
        json!({
            "token": text.len(), "text": text, "probability": probability, "begins_answer": own,
            "is_own": own,
        })
    };
    let sample = json!({
        "schema": Schema, "id": format!("q-{i}"), "question": format!("Which is number {i}?"),
        "forms": ["one", "two", "three", "four", "five"], "prompt_tokens": 12,
        "answer": format!("answer {i}"), "verdict": verdict, "scorer": "exact",
        "accepted": {"exact": verdict == Verdict::Right}, "otherwise": "wrong", "localised": true,
        "vocab_size": 100,
        "first": {
            "token": 4, "text": "Mos", "probability": 0.31, "margin": 0.07, "begins_answer": own,
            "is_own": own, "firsts": 2, "mass": mass, "concentration": 0.5, "token_entropy": 1.5,
            "tokens": [token(" Mos", 0.31, own), token(" a", 0.24, true), token("b", 0.001, false)],
        },
        "later": [],
        "informative": {
            "mass": mass, "concentration": 0.5, "cuts": 2, "winner": "Mos",
            "winner_is_right": own, "conditional": null, "passed": [],
        },
        "exchanged": [], "decisions": {}, "phrase_mass": 0.1,
        "sequence": {"ln_probability": -1.5, "tokens": 2}, "p_true": null, "at_temperature": [],
        "sampled": null,
    });
    serde_json::from_value(sample).unwrap()
}

/// Samples of every verdict.
fn samples(number: usize) -> Vec<Sample> {
    let verdict = |i: usize| match i % 10 {
        0..6 => Verdict::Wrong,
        6 | 7 => Verdict::Right,
        8 => Verdict::ALL[i / 10 % Verdict::ALL.len()],
        _ => Verdict::NotAttempted,
    };
    (0..number).map(|i| sample(i, verdict(i))).collect()
}

fn settings(template: &str) -> [std::collections::BTreeMap<String, Value>; 2] {
    let given = json!({
        "model": "some/model.gguf", "template": template, "seed": 7, "chat": false,
        "something_new": ["x", 2], "scorer": "exact", "system": null,
    });
    let model = json!({
        "num_parameters": 134515008, "stored_as": {"F32": 9, "Q4_1": 700, "Q8_0": 80},
        "first_prompt": format!("<s>Q: one\nA: two\n\n{}", template.replace("{question}", "three")),
    });
    [given, model].map(|value| serde_json::from_value(value).unwrap())
}

/// Two runs, and their samples.
pub fn evident() -> (Report, [Vec<Sample>; 2]) {
    let all = [samples(420), samples(130)];
    let templates = ["Q: {question}\nA:", "{question}"];
    let evidence = all.iter().zip(templates).map(|(samples, template)| {
        let [given, model] = settings(template);
        Evidence::of(samples, 0.2, 7).with_settings(given, model)
    });
    let report = Report::new(vec![run("base", 0.3), run("other", 0.6)]);
    (report.with_evidence(evidence.collect()), all)
}

fn pages(report: &Report, samples: &[Vec<Sample>]) -> Pages {
    report.pages(&samples.iter().map(|samples| &samples[..]).collect::<Vec<_>>())
}

/// For whoever wants to see them, and for scripts/check-report.mjs.
fn write(folder: &str, pages: &Pages) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report").join(folder);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(Pages::REPORT), &pages.report).unwrap();
    fs::write(folder.join(Pages::SAMPLES), &pages.samples).unwrap();
}

#[test]
fn settings_that_differ_are_shown_first_and_all_of_them_folded() {
    let (report, all) = evident();
    let page = pages(&report, &all).report;
    let section = page.split_once("<section id=\"settings\"").unwrap().1;
    let section = section.split_once("</section>").unwrap().0;
    let (first, folded) = section.split_once("<details>").unwrap();
    assert!(first.contains(r"Q: {question}\nA:") && first.contains(">{question}<"), "{first}");
    assert!(!first.contains("some/model.gguf") && !first.contains("something"), "{first}");
    for text in
        ["some/model.gguf", "something new", "x, 2", "134,515,008", "Q4_1 with Q8_0 and F32"]
    {
        assert!(folded.contains(text), "{text} is not in {folded}");
    }
    assert!(folded.contains("The first prompt of base, as the model reads it"));
    assert!(folded.contains(">&lt;s&gt;Q: one\nA: two\n\nQ: three\nA:</pre>"), "{folded}");

    // A run alone has nothing to differ from.
    let alone = Report::new(vec![run("base", 0.3)]).with_evidence(report.evidence[..1].into());
    let text = alone.markdown();
    for row in ["| Model  ", "| Seed  ", "| Parameters  "] {
        assert!(text.contains(row), "{row}: {text}");
    }
    assert!(!text.contains("something new"));
}

#[test]
fn cases_of_every_kind_are_shown() {
    let (report, all) = evident();
    let page = pages(&report, &all).report;
    let section = page.split_once("<section id=\"cases\"").unwrap().1;
    let section = section.split_once("</section>").unwrap().0;
    let shown: usize =
        report.evidence.iter().flat_map(|of| of.cases.values()).map(|of| of.shown.len()).sum();
    assert_eq!(section.matches("<article").count(), shown);
    for (i, evidence) in report.evidence.iter().enumerate() {
        for (kind, cases) in &evidence.cases {
            let number = cases.number;
            let head = match (number, cases.shown.len()) {
                (0, _) => continue,
                (_, shown) if shown < number => format!("{kind}: {shown} of {number}</summary>"),
                _ => format!("{kind}: {number}</summary>"),
            };
            assert!(section.contains(&head), "{head}");
            for id in &cases.shown {
                let place = all[i].iter().position(|sample| &sample.id == id).unwrap();
                let link = format!("<a href=\"samples.html#s{i}-{place}\">{id}</a>");
                assert!(section.contains(&link), "{link}");
            }
        }
    }
    let strict = report.evidence[0].cases[&Kind::StrictFailure].shown[0].clone();
    let case =
        section.split("<article").find(|case| case.contains(&format!(">{strict}</a>"))).unwrap();
    for text in [
        ">one / two / three and 2 more<",
        ">.49 of 2 tokens<",
        "␣Mos",
        "width:31.0%",
        "&lt; .01",
        "won",
        "✓",
    ] {
        assert!(case.contains(text), "{text} is not in {case}");
    }
    // Without the samples they are counted.
    let counted = report.html();
    assert!(!counted.contains("<article") && !counted.contains(Pages::SAMPLES));
    assert!(
        counted.contains("Kinds of answers") && report.markdown().contains("| strict failure ")
    );
}

/// The cases on a page, each alone.
fn articles(page: &str) -> impl Iterator<Item = &str> {
    page.split("<article").skip(1).filter_map(|rest| Some(rest.split_once("</article>")?.0))
}

/// They have no P-mass, and none is made up: a 0 would be the lowest of all.
#[test]
fn no_mass_is_shown_of_what_is_not_measured() {
    let all = [vec![sample(0, Verdict::Unmeasured), sample(1, Verdict::Wrong)]];
    let report =
        Report::new(vec![run("base", 0.3)]).with_evidence(vec![Evidence::of(&all[0], 0.2, 7)]);
    let Pages { report: page, samples } = pages(&report, &all);
    let row = samples.lines().find(|line| line.starts_with("<tr id=\"s0-0\"")).unwrap();
    assert!(row.contains("data-mass=\"\"") && row.contains("<td class=\"n\">–</td>"), "{row}");
    let row = samples.lines().find(|line| line.starts_with("<tr id=\"s0-1\"")).unwrap();
    assert!(row.contains("data-mass=\"0.49\"") && row.contains("<td class=\"n\">.49</td>"));
    let case = |id: &str| {
        let id = format!(">{id}</a>");
        articles(&page).find(|case| case.contains(&id)).unwrap().to_owned()
    };
    let unmeasured = case("q-0");
    assert!(unmeasured.contains("<dt>P-mass</dt><dd>–</dd>"), "{unmeasured}");
    assert!(!unmeasured.contains("Informative"), "{unmeasured}");
    assert!(case("q-1").contains("<dt>P-mass</dt><dd>.49 of 2 tokens</dd>"));
}

/// "Not measured" would be wrong of settings that are all equal.
#[test]
fn runs_of_equal_settings_show_the_main_ones() {
    let (report, _) = evident();
    let mut evidence = report.evidence.clone();
    evidence[1].settings = evidence[0].settings.clone();
    evidence[1].model = evidence[0].model.clone();
    let report = Report { evidence, ..report };
    let text = report.markdown();
    let section = text.split_once("## How the runs were made").unwrap().1;
    let section = section.split_once("\n## ").unwrap().0.replace('\n', " ");
    assert!(section.contains("Nothing differs from run to run: all settings are equal."));
    assert!(section.contains("| Model  ") && !section.contains("Not measured"), "{section}");
    let page = report.html();
    let section = page.split_once("<section id=\"settings\"").unwrap().1;
    assert!(!section.split_once("</section>").unwrap().0.contains("Not measured"));
}

#[test]
fn settings_have_labels_that_say_what_they_are() {
    let given = json!({"model": "m", "batch": 4});
    let model =
        json!({"computed_in": "f32", "activations": "rounded to 8 bits by candle's kernels"});
    let [given, model] = [given, model].map(|of| serde_json::from_value(of).unwrap());
    let evidence = vec![Evidence::of(&[], 0.2, 0).with_settings(given, model)];
    let report = Report::new(vec![run("base", 0.3)]).with_evidence(evidence);
    let text = report.markdown();
    let told = |label: &str| cells(&text, "How the runs were made", &[label])[0].clone();
    assert_eq!(told("Activations"), "rounded to 8 bits by candle's kernels");
    assert!(report.html().contains(">Questions of a batch</th>"));
}

/// The headline's rates are of localised answers, and the kinds are not.
#[test]
fn kinds_of_answers_say_of_which_answers_they_are() {
    let (report, _) = evident();
    for page in [report.markdown().replace('\n', " "), report.html()] {
        assert!(page.contains("counted here whether they are localised or not"));
    }
}

/// As a screen reader reads the pages.
#[test]
fn cases_have_names_and_lists_stay_lists() {
    let (report, all) = evident();
    let found = pages(&report, &all);
    let mut names = std::collections::HashSet::new();
    for article in articles(&found.report) {
        let name = article.split_once("aria-labelledby=\"").unwrap().1.split_once('"').unwrap().0;
        assert!(article.contains(&format!(" id=\"{name}\">Which is number")), "{article}");
        assert!(names.insert(name), "{name} twice");
        let (lists, items) = ("<ol class=\"tokens\" role=\"list\"", " role=\"listitem\"");
        assert!(article.contains(lists), "{article}");
        assert_eq!(article.matches(items).count(), article.matches("<li").count());
    }
    // Safari takes a list whose markers a style removes for none, unless it has the role.
    for list in ["<ul", "<ol"] {
        for (at, _) in found.report.match_indices(list) {
            let tag = found.report[at..].split_once('>').unwrap().0;
            assert!(tag.contains("role=\"list\""), "{tag}");
        }
    }
}

#[test]
fn the_second_page_has_every_sample_and_is_read_without_scripts() {
    let (report, all) = evident();
    let Pages { report: first, samples: page } = pages(&report, &all);
    assert!(
        first.contains("<a href=\"samples.html\">") && page.contains("<a href=\"report.html\">")
    );
    assert_eq!(page.matches("<tr id=\"s").count(), 550);
    let table = page.split_once("<noscript").unwrap().1;
    let rows = table.split_once("<tbody>\n").unwrap().1.split_once("</tbody>").unwrap().0;
    assert_eq!(rows.lines().count(), 550);
    assert!(rows.lines().all(|row| row.starts_with("<tr id=\"s") && row.ends_with("</tr>")));
    assert!(rows.starts_with(
        "<tr id=\"s0-0\" data-by=\"0,5,0\" data-mass=\"0.49\" data-first=\"0.31\"><th \
         scope=\"row\">q-0</th><td>base</td><td>Which is number 0?</td><td>answer 0</td>\
         <td>one / two / three and 2 more</td><td>wrong</td><td>strict failure</td>\
         <td class=\"n\">.49</td><td>Mos</td><td class=\"n\">.31</td><td>no</td></tr>\n"
    ));
    // What may be chosen says how many there are.
    for (kind, cases) in &report.evidence[0].cases {
        let number = cases.number + report.evidence[1].cases[kind].number;
        assert!(page.contains(&format!(">{kind} ({number})</option>")), "{kind} {number}");
    }
    for page in [&first, &page] {
        for fetch in ["<img", "<link", "@import", "url(", "xlink", "src="] {
            assert!(!page.contains(fetch), "{fetch}");
        }
        well_formed(page).unwrap();
    }
    assert_eq!(page.matches("<script").count(), 1);
    assert!(!first.contains("<script"));
    // One run needs no column of its name.
    let alone = Report::new(vec![run("base", 0.3)]).pages(&[&all[0]]).samples;
    assert!(!alone.contains("<td>base</td>") && !alone.contains("name=\"run\""));
    write("pages", &pages(&report, &all));
}

#[test]
fn nothing_in_a_sample_or_a_setting_is_markup() {
    let nasty = MARKUP_IN_TEXT;
    let mut all = samples(40);
    for sample in &mut all {
        for text in
            [&mut sample.id, &mut sample.question, &mut sample.answer, &mut sample.first.text]
        {
            *text = format!("{nasty}{text}");
        }
        sample.forms[0] = nasty.into();
        sample.informative.winner = nasty.into();
        sample.note = Some(nasty.into());
        sample.first.tokens.iter_mut().for_each(|token| token.text = nasty.into());
    }
    let [mut given, mut model] = settings(nasty);
    given.insert(nasty.into(), nasty.into());
    given.insert("model".into(), json!({ nasty: [nasty] }));
    model.insert("stored_as".into(), json!({ nasty: 1 }));
    let evidence = Evidence::of(&all, 0.2, 0).with_settings(given, model);
    let report = Report::new(vec![run(nasty, 0.4)]).with_evidence(vec![evidence]);
    let found = pages(&report, &[all]);
    for (page, scripts) in [(&found.report, 0), (&found.samples, 1)] {
        assert_eq!(page.matches("<script").count(), scripts);
        assert_eq!(page.matches("</script").count(), scripts);
        assert!(!page.contains("<img") && !page.contains("\"x\"y"), "{page}");
        well_formed(page).unwrap();
    }
    assert_eq!(found.samples.matches("</noscript").count(), 1);
    // A row is a line.
    let rows = found.samples.split_once("<tbody>\n").unwrap().1.split_once("</tbody>").unwrap().0;
    assert_eq!(rows.lines().count(), 40);
    write("pages-markup", &found);
}

#[test]
fn the_pages_of_a_report_that_is_read_again_are_the_same() {
    let (report, all) = evident();
    let read: Report = serde_json::from_str(&report.json()).unwrap();
    assert!(pages(&read, &all) == pages(&report, &all));
}

#[test]
fn runs_without_samples_have_pages() {
    let report = Report::new(vec![run("base", 0.3)]);
    for samples in [&[][..], &[&[][..]]] {
        let found = report.pages(samples);
        assert!(found.samples.contains("0 answers"));
        well_formed(&found.samples).unwrap();
    }
    assert!(Report::default().pages(&[]).report.contains("There are no runs"));
}
