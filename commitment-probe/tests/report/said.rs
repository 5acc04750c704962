//! What the tables say.

use commitment_probe::{Detector, Scorer};

use crate::kinds::{cells, report, two};

#[test]
fn markdown_says_what_was_measured() {
    let text = two().markdown();
    let row = |heading: &str, labels: &[&str]| cells(&text, heading, labels);
    assert_eq!(row("Overview", &["Measure"]), ["qwen2.5-7b base", "qwen2.5-7b instruct"]);
    assert_eq!(row("Overview", &["Questions"]), ["1,200", "1,200"]);
    assert_eq!(row("Overview", &["Scorer"]), ["exact", "exact"]);
    assert_eq!(row("Overview", &["Hallucination rate"])[0], ".53 [.50, .56] W");
    assert_eq!(row("Overview", &["Wrong answers, localised"]), ["560", "460"]);
    assert_eq!(row("Overview", &["Threshold τ"]), [".20", ".20"]);
    assert_eq!(row("Overview", &["ECE by tokens"]), [".07", ".05"]);

    assert_eq!(row("Confidence", &["Right answers"])[0], ".71 [.67, .75] B");
    assert_eq!(
        row("Confidence", &["Wrong winners"]),
        row("Overview", &["Wrong-winner confidence"])
    );
    let later = |labels: &[&str]| row("Later tokens and phrases", labels);
    assert_eq!(later(&["Entropy at step 2", "right answers, nats"])[0], ".39 [.34, .43] B");
    assert_eq!(later(&["Entropy at step 2", "right answers, ÷ ln V"])[0], ".032 [.017, .048] B");
    assert_eq!(later(&["Entropy at step 3", "wrong answers, nats"])[0], ".88 [.80, .96] B");
    assert_eq!(later(&["Phrases that go wrong later", "number"]), ["41", "41"]);
    assert_eq!(
        later(&["Phrase mass of the right concept", "right answers"])[0],
        ".68 [.64, .72] B"
    );

    assert_eq!(row("ECE", &["spelling"]), [".03", ".03"]);
    assert_eq!(row("Reliability", &["spelling", ".00 to .10"]), ["–", "–"]);
    assert!(row("Reliability", &["spelling", ".50 to .60"])[0].ends_with(" (125)"));
    assert_eq!(row("Decoders", &["whole phrases†", "qwen2.5-7b instruct"])[1], "48");
    assert_eq!(row("Temperature", &["Other hallucinations", "0.5"])[0], ".04");
    assert_eq!(
        row("Sampled answers", &["Commitment failures", "qwen2.5-7b base"])[..3],
        ["0.7", "10", "judge"]
    );
}

#[test]
fn every_rate_stands_beside_its_null() {
    let text = two().markdown();
    let base = "qwen2.5-7b base";
    let rates = cells(&text, "Among localised answers", &["Strict rate, first step", base]);
    assert_eq!(rates, ["560", "62", ".11 [.08, .14] W", ".03 [.01, .04] B", ".08 [.06, .10] B"],);
    for (rate, kind) in [("Strict rate", 5), ("Paper's rate", 1)] {
        let first =
            cells(&text, "Among localised answers", &[&format!("{rate}, first step"), base]);
        let headline = |label: &str| cells(&text, "Overview", &[label])[0].clone();
        assert_eq!(headline(rate), first[2]);
        assert_eq!(headline(&format!("{rate}: null")), first[3]);
        assert_eq!(headline(&format!("{rate}: excess")), first[4]);
        for (heading, step) in
            [("At the first step", "first"), ("At the informative step", "informative")]
        {
            let at_tau = cells(&text, heading, &[".20", base]);
            let label = format!("{rate}, {step} step");
            let expected = cells(&text, "Among localised answers", &[&label, base]);
            assert_eq!(at_tau[kind - 1..kind + 3], expected[1..], "{heading}, {rate}");
        }
        let all = cells(&text, "Among all answers", &[&format!("{rate}, informative step"), base]);
        assert_eq!(all[0], "600");
    }
    assert_eq!(cells(&text, "Conditional mass", &["Localised"])[0], ".17 [.14, .20] B");
    assert!(text.contains("This is no rate"));
    assert_eq!(text.matches("‡").count(), 3, "it is explained thrice, and marks nothing");
}

#[test]
fn verdicts_are_counted() {
    let text = two().markdown();
    for (label, number) in [
        ("unmeasured", "7"),
        ("right", "540"),
        ("empty", "4"),
        ("not attempted", "30"),
        ("cut at the limit", "19"),
        ("wrong", "600"),
    ] {
        assert_eq!(cells(&text, "Verdicts", &[label])[0], number);
    }
    assert!(two().html().contains("<dt>Right, wrong, neither</dt><dd>540, 600, 60</dd>"));
}

#[test]
fn the_scorer_that_decided_is_marked_among_all() {
    let text = two().markdown();
    let rate = |scorer: Scorer| {
        cells(&text, "If another scorer decided", &[&scorer.to_string()])[0].clone()
    };
    assert_eq!(rate(Scorer::Exact), ".53✓ [.50, .56] W");
    for &scorer in &Scorer::ALL[1..] {
        assert!(rate(scorer).starts_with(".5") && !rate(scorer).contains('✓'), "{scorer}");
    }
}

#[test]
fn pairs_have_a_difference_and_a_test() {
    let text = two().markdown();
    for step in ["First step", "Informative step"] {
        let row = |label: &str| cells(&text, "Pairs", &[step, label])[0].clone();
        assert_eq!(row("caliper"), ".05");
        assert_eq!([row("pairs"), row("n")], ["51", "51"]);
        assert_eq!([row("W"), row("p")], ["2,107.5", "0.003"]);
        assert_eq!(row("failures left unmatched"), ".50 [.41, .60] W");
        let means = |label: &str| cells(&text, "Where the mass is τ or more", &[step, label]);
        assert_eq!(means("right answers, number"), ["540", "640"]);
        assert_eq!(means("strict failures, number")[0], "51");
    }
    assert_eq!(cells(&text, "Pairs", &["First step", "difference"])[0], ".21 [.14, .28] B");
    assert_eq!(cells(&text, "Pairs", &["Informative step", "difference"])[0], ".16 [.09, .23] B");
}

#[test]
fn detectors_that_know_the_answer_are_marked() {
    let text = two().markdown();
    let columns = cells(&text, "Detectors", &["Score", "Run"]);
    assert_eq!(
        columns,
        ["Hallucinations", "Commitment failures", "Strict failures", "Other hallucinations"]
    );
    for detector in Detector::ALL {
        let dagger = if detector.knows_the_answer() { "†" } else { "" };
        let row = cells(&text, "Detectors", &[&format!("{detector}{dagger}"), "qwen2.5-7b base"]);
        assert!(row.iter().all(|cell| cell.ends_with(" N")), "{detector}: {row:?}");
    }
    assert_ne!(
        cells(&text, "Detectors", &["semantic entropy", "qwen2.5-7b base"]),
        cells(&text, "Detectors", &["lexical-cluster entropy†", "qwen2.5-7b base"])
    );
    assert!(text.replace('\n', " ").contains("P-mass is the oracle"));
}

#[test]
fn blanks_in_tokens_can_be_seen() {
    let text = two().markdown();
    for (token, questions) in [("␣the", "45"), ("\\\\n", "3"), ("\\|", "2"), ("\\<b>", "1")] {
        assert_eq!(cells(&text, "Uninformative tokens", &[token])[0], questions, "{token}");
    }
    let text = report("many-tokens").markdown();
    let listed = text.lines().filter(|line| line.starts_with("| ␣")).count();
    assert_eq!(listed, 40);
    assert_eq!(cells(&text, "Uninformative tokens", &["and 17 more tokens"]), ["17 tokens"]);
}

#[test]
fn the_method_of_an_interval_is_named() {
    let report = report("grouped");
    let text = report.markdown();
    assert_eq!(cells(&text, "Overview", &["Groups of questions"]), ["300"]);
    assert_eq!(cells(&text, "Overview", &["Hallucination rate"]), [".47 [.44, .50] C ×1.8"]);
    assert!(report.json().contains("\"design_effect\": 1.84"));
    let page = report.html();
    assert!(page.contains("<abbr title=\"clustered"));
    assert!(page.contains("<abbr title=\"design effect\">×1.8</abbr>"));
    assert!(!two().markdown().contains("Groups of questions"));
}

#[test]
fn a_card_has_the_headline_of_the_overview() {
    let report = report("one");
    let (text, page) = (report.markdown(), report.html());
    let card = page
        .split_once("<ul class=\"cards\" role=\"list\">")
        .unwrap()
        .1
        .split_once("</ul>")
        .unwrap()
        .0;
    let plain: String = card
        .split('<')
        .filter_map(|part| part.split_once('>'))
        .fold(String::new(), |plain, (tag, text)| {
            plain + if tag == "br" { " " } else { "" } + text
        });
    for (label, said) in
        [("Strict rate", "strict failures"), ("Paper's rate", "failures by the paper's rate")]
    {
        let row = |label: &str| cells(&text, "Overview", &[label])[0].clone();
        let (rate, null) = (row(label), row(&format!("{label}: null")));
        let headline = format!("{rate} {said}, null {null}").replace('\'', "&#39;");
        assert!(plain.contains(&headline), "{headline} is not in {plain}");
    }
}

/// What is claimed of hidden states, and what is not.
#[test]
fn hidden_states_know_what_scalars_do_not_or_no_more() {
    let report = report("hidden");
    let page = report.markdown();
    let row = |contrast: &str| cells(&page, "What tells them apart", &[contrast, "with states"]);
    let found = row("wrong against right");
    assert_eq!((&found[4][..], &found[2][..]), (".90 [.86, .94] C", ".20 [.16, .24] C"));
    assert_eq!((&found[1][..], &found[3][..]), ("200 of 1,460", "yes"));
    assert_eq!(found.last().unwrap(), ".52");
    assert_eq!(
        row("strict failure against right, matched")[3],
        "not shown to say more than the scalars"
    );
    let few = row("strict failure against other wrong");
    assert_eq!((&few[0][..], &few[2][..]), ("49", "–"));
    assert_eq!(few[3], "not shown: fewer than 50 of a kind");
    let depth = cells(&page, "Over depth", &["wrong against right", "with states"]);
    assert_eq!(depth[1], "15: .90 [.86, .94] C");
    let chosen = cells(&page, "What was chosen", &["wrong against right", "with states"]);
    assert_eq!(chosen[0], "15, 15, 15, 15, 15; λ 10, 10, 10, 10, 10");
    assert!(page.contains("Forms of answers link too many of the 1,140 questions"), "{page}");
    let flat = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains("share an answer for independent, and may be too narrow"), "{flat}");
    let as_the_prompt = "as much as the states (strict failure against right, matched): they may";
    assert!(flat.contains(as_the_prompt), "{flat}");
    assert_eq!(chosen.last().unwrap(), "560; 480; 560; 560; 560");
    // A plot for each contrast that is shown.
    let html = report.html();
    assert_eq!(html.matches("aria-label=\"Line plot: with states: ").count(), 2);
    assert!(!crate::kinds::two().markdown().contains("hidden states"));
}
