//! What samples come to: worked examples by hand, and what is degenerate. (That the numbers of a
//! whole run are those of SciPy and scikit-learn, `check_report` shows.)

use commitment_probe::stats::Estimate;
use commitment_probe::{Report, Sample, Summary};
use serde_json::{Value, json};

/// A sample of which only this matters: right or wrong, the winner's probability, the P-mass and
/// its concentration.
fn sample(id: usize, right: bool, probability: f32, mass: f32, concentration: f32) -> Sample {
    let decision = |right: bool| {
        json!({
            "concept": "c", "mass": probability, "concentration": 1.0, "entropy": 1.0 - probability,
            "token": 1, "answer": "a", "right": right,
        })
    };
    let sample: Value = json!({
        "id": id.to_string(), "question": "q", "answer": "a", "right": right,
        "first": {
            "token": 1, "text": "a", "probability": probability, "begins_answer": right,
            "mass": mass, "concentration": concentration, "token_entropy": 1.0 - probability,
        },
        "second": null,
        "aliases": decision(mass > probability || right),
        "spelling": decision(right),
        "embedding": decision(false),
        "phrases": {"mass": mass, "winner": "c", "winner_mass": mass, "answer": "a", "right": right},
        "at_temperature": [{"temperature": 1.0, "mass": mass}],
        "sampled": null,
    });
    serde_json::from_value(sample).unwrap()
}

fn value(estimate: Option<Estimate>) -> f64 {
    estimate.unwrap().value
}

#[test]
fn a_handful_by_hand() {
    let samples = [
        sample(0, true, 0.9, 0.9, 1.0),
        sample(1, true, 0.5, 0.5, 0.8),
        sample(2, false, 0.31, 0.49, 0.24 / 0.49),
        sample(3, false, 0.6, 0.2, 0.5),
        sample(4, false, 0.4, 0.1, 0.9),
        sample(5, false, 0.7, 0.0, 0.0),
    ];
    let summary = Summary::of("run", 8, 0.2, &samples);
    assert_eq!((summary.samples, summary.planned, summary.hallucinations), (6, 8, 4));
    assert_eq!(value(summary.hallucination_rate), 4.0 / 6.0);
    // At a threshold that is a P-mass, it counts.
    let failures: Vec<_> = summary.thresholds.iter().map(|t| (t.tau, t.failures)).collect();
    assert_eq!(failures, [(0.1, 3), (0.15, 2), (0.2, 2), (0.25, 1), (0.3, 1), (0.35, 1), (0.4, 1)]);
    assert_eq!(value(summary.thresholds[2].rate), 0.5);

    let concentration = &summary.concentration;
    let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-6, "{got} {want}");
    near(value(concentration.failures), (0.24 / 0.49 + 0.5) / 2.0);
    near(value(concentration.right), 0.9);
    // .49 is within .05 of .5, and .2 of nothing.
    assert_eq!(concentration.matched.pairs, 1);
    near(value(concentration.matched.failures), 0.24 / 0.49);
    near(value(concentration.matched.right), 0.8);
    assert_eq!(concentration.matched.difference.cohens_d, None);
    assert_eq!(concentration.difference.rank_test.unwrap().u, 4.0);

    near(value(summary.confidence.hallucinations), (0.31 + 0.6 + 0.4 + 0.7) / 4.0);
    near(value(summary.confidence.failures), (0.31 + 0.6) / 2.0);
    // Of eight pairs of a hallucination and a right answer, .6 and .7 are surer than .5.
    near(value(summary.detectors[0].hallucinations), 6.0 / 8.0);
    near(value(summary.detectors[0].failures), 3.0 / 4.0);
    near(value(summary.detectors[0].others), 3.0 / 4.0);

    let decoder = |name: &str| summary.decoders.iter().find(|d| d.name == name).unwrap();
    let aliases = decoder("aliases");
    assert_eq!((aliases.recovered, aliases.broken, aliases.knows_answers), (1, 0, true));
    near(value(aliases.recovered_failures), 0.5);
    near(value(aliases.recovered_hallucinations), 0.25);
    let embedding = decoder("embedding");
    assert_eq!((embedding.recovered, embedding.broken), (0, 2));
    near(value(embedding.broken_rate), 1.0);

    assert_eq!(summary.temperature.sampled, None);
    near(summary.temperature.curve[0].others.unwrap(), 0.05);
}

#[test]
fn a_threshold_of_ones_own_is_among_them() {
    let samples = [sample(0, false, 0.5, 0.45, 0.5)];
    let summary = Summary::of("run", 1, 0.45, &samples);
    assert_eq!(summary.thresholds.last().map(|t| (t.tau, t.failures)), Some((0.45, 1)));
    assert_eq!(summary.thresholds.len(), 8);
}

/// Every number that is there is finite, and the report can be made.
fn is_sound(samples: &[Sample]) -> Summary {
    let summary = Summary::of("run", samples.len(), 0.2, samples);
    let report = Report::new(vec![summary.clone()]);
    let json: Value = serde_json::from_str(&report.json()).unwrap();
    assert_eq!(serde_json::from_value::<Report>(json).unwrap().runs.len(), 1);
    for text in [report.markdown(), report.html()] {
        assert!(!text.contains("NaN") && !text.contains("inf]"), "{text}");
    }
    summary
}

#[test]
fn what_is_degenerate_has_no_numbers_where_there_are_none() {
    let nothing = is_sound(&[]);
    assert_eq!((nothing.hallucination_rate, nothing.confidence.right), (None, None));
    assert!(nothing.temperature.curve.is_empty());

    let all_right = is_sound(&[sample(0, true, 0.9, 0.9, 1.0), sample(1, true, 0.8, 0.8, 1.0)]);
    assert_eq!(value(all_right.hallucination_rate), 0.0);
    assert_eq!(all_right.thresholds[0].rate, None);
    assert!(all_right.detectors.iter().all(|detector| detector.hallucinations.is_none()));
    assert_eq!(all_right.concentration.difference.rank_test, None);

    let all_wrong = is_sound(&[sample(0, false, 0.9, 0.3, 0.5), sample(1, false, 0.8, 0.0, 0.0)]);
    assert_eq!(value(all_wrong.hallucination_rate), 1.0);
    assert!(all_wrong.detectors.iter().all(|detector| detector.failures.is_none()));
    assert!(all_wrong.decoders.iter().all(|decoder| decoder.broken_rate.is_none()));

    let no_failures = is_sound(&[sample(0, false, 0.9, 0.0, 0.0), sample(1, true, 0.8, 0.8, 1.0)]);
    assert_eq!(no_failures.thresholds.iter().map(|t| t.failures).sum::<usize>(), 0);
    assert_eq!(no_failures.confidence.failures, None);
    assert_eq!(value(no_failures.detectors[0].others), 0.0);

    // All alike: no detector can tell them apart.
    let ties: Vec<Sample> = (0..6).map(|i| sample(i, i % 2 == 0, 0.5, 0.5, 0.5)).collect();
    let ties = is_sound(&ties);
    assert_eq!(value(ties.detectors[0].failures), 0.5);
    assert_eq!(ties.concentration.difference.cohens_d, None);
    assert_eq!(ties.concentration.difference.rank_test.unwrap().p, 1.0);
    assert_eq!(ties.concentration.matched.pairs, 3);
}
