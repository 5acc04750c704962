//! Every kind of a report, and how a test reads one.

use commitment_probe::{Outcome, Report, Summary, Verdict, stats::Estimate};

use crate::summaries::{chance, comparison, grouped, nothing, run, trends, with_hidden, withheld};

pub fn two() -> Report {
    Report::new(vec![run("qwen2.5-7b base", 0.1), run("qwen2.5-7b instruct", 0.6)])
}

pub fn compared() -> Report {
    let runs = vec![run("qwen 0.5B", 0.1), run("qwen 7B", 0.4), run("qwen 72B", 0.8)];
    let comparisons = vec![
        comparison("qwen 0.5B", "qwen 7B", &[]),
        comparison("qwen 0.5B", "qwen 72B", &["The prompts differ.", "The scorers differ."]),
    ];
    let sizes = [Some(494_032_768), None, Some(72_706_203_648)];
    Report::new(runs).with_comparisons(comparisons).with_trends(Some(trends(&sizes)))
}

/// A run of which all answers are right.
pub fn never_wrong() -> Summary {
    let run = run("never wrong", 0.4);
    let mut never = Summary {
        samples: run.samples,
        planned: run.planned,
        scorer: run.scorer,
        confidence: run.confidence,
        localised: run.localised,
        ..nothing("never wrong")
    };
    never.confidence.insert(Outcome::Hallucination, None);
    never.verdicts.insert(Verdict::Right, never.samples);
    never
}

/// A run of which all answers are wrong.
pub fn never_right() -> Summary {
    let mut never = run("never right", 0.4);
    for concentration in [&mut never.concentration, &mut never.informative_concentration] {
        concentration.right = None;
        concentration.matched = nothing("").concentration.matched;
    }
    never.verdicts = [(Verdict::Wrong, never.samples)].into();
    never.confidence.insert(Outcome::Right, None);
    let areas = never.detectors.values_mut();
    areas.for_each(|areas| areas.values_mut().for_each(|area| *area = None));
    never.decoders.values_mut().for_each(|decoder| decoder.broken_rate = None);
    never
}

/// A run of few questions.
pub fn tiny() -> Summary {
    let mut tiny = run("tiny", 0.4);
    tiny.verdicts = [(Verdict::Right, 30), (Verdict::Wrong, 8)].into();
    tiny.samples = 38;
    tiny.planned = 38;
    tiny.failures.wrong = 8;
    let rates = &mut tiny.failures.first;
    for estimate in [&mut rates.paper.rate, &mut rates.strict.rate].into_iter().flatten() {
        *estimate = Estimate { n: 8, ..*estimate };
    }
    tiny
}

/// Every kind of a report that could come out wrong, and its name.
pub fn reports() -> Vec<(&'static str, Report)> {
    let long = "meta-llama/Meta-Llama-3.1-70B-Instruct, 4 bits, 2000 questions of TriviaQA";
    let mut not_sampled = run("not sampled", 0.4);
    not_sampled.temperature.sampled = None;
    not_sampled.planned = 3000;
    let mut many_tokens = run("many tokens", 0.4);
    many_tokens.uninformative = (0..57).map(|i| (format!(" {i}"), 100 - i)).collect();
    let many = (0..18).map(|i| run(&format!("model of {i} billion"), f64::from(i) / 18.0));
    let markup = Report::new(MARKUP.map(|name| run(name, 0.5)).into());
    let pairs = vec![comparison(MARKUP[0], MARKUP[2], &[MARKUP[0], MARKUP[3]])];
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
        ("never-wrong", Report::new(vec![never_wrong()])),
        ("never-right", Report::new(vec![never_right()])),
        ("not-sampled", Report::new(vec![not_sampled])),
        ("tiny", Report::new(vec![tiny()])),
        ("withheld", Report::new(vec![withheld("chat", 467), run("with shots", 0.4)])),
        ("grouped", Report::new(vec![grouped("countries")])),
        ("chance", Report::new(vec![chance("chance")])),
        ("many-tokens", Report::new(vec![many_tokens])),
        ("compared", compared()),
        ("hidden", Report::new(vec![with_hidden("with states"), run("without", 0.4)])),
        ("markup", markup.with_comparisons(pairs)),
    ]
}

pub fn report(name: &str) -> Report {
    reports().into_iter().find(|(found, _)| *found == name).unwrap().1
}

/// Names that are markup wherever they are not escaped.
const MARKUP: [&str; 4] = [
    "<script>alert('a')</script> | \"b\" & *c*",
    "</text></svg><img src=x>",
    "a|b\nc",
    "[x](https://example.org)",
];

/// The row that begins with these labels, after the heading, as its cells.
pub fn cells(markdown: &str, heading: &str, labels: &[&str]) -> Vec<String> {
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
