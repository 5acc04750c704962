//! Summaries of samples: worked examples by hand, and degenerate cases. (`check_report` compares the
//! numbers of a whole run with those of SciPy and scikit-learn.)

use commitment_probe::stats::Estimate;
use commitment_probe::{ByOutcome, Decoder, Detector, Outcome, Report, Sample, Summary};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A sample of which only this matters: right or wrong, the winner's probability, the P-mass and
/// its concentration.
fn sample(id: usize, right: bool, probability: f32, mass: f32, concentration: f32) -> Sample {
    let decision = |right: bool| {
        json!({
            "concept": "c", "mass": probability, "answer": "a", "right": right,
            "vote": {"token": 1, "concentration": 1.0, "entropy": 1.0 - probability},
        })
    };
    let sample: Value = json!({
        "schema": 1, "id": id.to_string(), "question": "q", "answer": "a", "right": right,
        "first": {
            "token": 1, "text": "a", "probability": probability, "begins_answer": right,
            "mass": mass, "concentration": concentration, "token_entropy": 1.0 - probability,
        },
        "second": null,
        "decisions": {
            "aliases": decision(mass > probability || right),
            "spelling": decision(right),
            "embedding": decision(false),
            "phrases":
                {"mass": mass, "concept": "c", "answer": "a", "right": right, "vote": null},
        },
        "phrase_mass": mass,
        "at_temperature": [{"temperature": 1.0, "mass": mass}],
        "sampled": null,
    });
    serde_json::from_value(sample).unwrap()
}

/// The value of an outcome.
fn of(numbers: &ByOutcome, outcome: Outcome) -> f64 {
    value(numbers[&outcome])
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
    let summary = Summary::of("run", 8, 0.2, &samples).unwrap();
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

    near(of(&summary.confidence, Outcome::Hallucination), (0.31 + 0.6 + 0.4 + 0.7) / 4.0);
    near(of(&summary.confidence, Outcome::CommitmentFailure), (0.31 + 0.6) / 2.0);
    // Of eight pairs of a hallucination and a right answer, .6 and .7 are surer than .5.
    let areas = &summary.detectors[&Detector::MaxProbability];
    near(of(areas, Outcome::Hallucination), 6.0 / 8.0);
    near(of(areas, Outcome::CommitmentFailure), 3.0 / 4.0);
    near(of(areas, Outcome::OtherHallucination), 3.0 / 4.0);

    let aliases = &summary.decoders[&Decoder::Aliases];
    assert_eq!((aliases.recovered, aliases.broken), (1, 0));
    near(of(&aliases.right, Outcome::CommitmentFailure), 0.5);
    near(of(&aliases.right, Outcome::Hallucination), 0.25);
    let embedding = &summary.decoders[&Decoder::Embedding];
    assert_eq!((embedding.recovered, embedding.broken), (0, 2));
    near(value(embedding.broken_rate), 1.0);

    assert_eq!(summary.temperature.sampled, None);
    near(summary.temperature.curve[0].mass[&Outcome::OtherHallucination].unwrap(), 0.05);
}

#[test]
fn a_threshold_of_ones_own_is_among_them() {
    let samples = [sample(0, false, 0.5, 0.45, 0.5)];
    let summary = Summary::of("run", 1, 0.45, &samples).unwrap();
    assert_eq!(summary.thresholds.last().map(|t| (t.tau, t.failures)), Some((0.45, 1)));
    assert_eq!(summary.thresholds.len(), 8);
}

#[test]
fn a_threshold_that_no_mass_can_have_is_refused() {
    for tau in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -0.2, 1.000001] {
        let error = Summary::of("run", 1, tau, &[sample(0, false, 0.5, 0.45, 0.5)]).unwrap_err();
        assert!(error.to_string().starts_with(&format!("tau = {tau} cannot be used")), "{error}");
    }
    for tau in [f64::MIN_POSITIVE, 1.0] {
        assert!(Summary::of("run", 0, tau, &[]).is_ok(), "{tau}");
    }
}

/// Every number that is there is finite, and the report can be made.
fn is_sound(samples: &[Sample]) -> Summary {
    let summary = Summary::of("run", samples.len(), 0.2, samples).unwrap();
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
    assert_eq!((nothing.hallucination_rate, nothing.confidence[&Outcome::Right]), (None, None));
    assert!(nothing.temperature.curve.is_empty());

    let all_right = is_sound(&[sample(0, true, 0.9, 0.9, 1.0), sample(1, true, 0.8, 0.8, 1.0)]);
    assert_eq!(value(all_right.hallucination_rate), 0.0);
    assert_eq!(all_right.thresholds[0].rate, None);
    assert!(all_right.detectors.values().flat_map(|areas| areas.values()).all(Option::is_none));
    assert_eq!(all_right.concentration.difference.rank_test, None);

    let all_wrong = is_sound(&[sample(0, false, 0.9, 0.3, 0.5), sample(1, false, 0.8, 0.0, 0.0)]);
    assert_eq!(value(all_wrong.hallucination_rate), 1.0);
    assert!(all_wrong.detectors.values().flat_map(|areas| areas.values()).all(Option::is_none));
    assert!(all_wrong.decoders.values().all(|decoder| decoder.broken_rate.is_none()));

    let no_failures = is_sound(&[sample(0, false, 0.9, 0.0, 0.0), sample(1, true, 0.8, 0.8, 1.0)]);
    assert_eq!(no_failures.thresholds.iter().map(|t| t.failures).sum::<usize>(), 0);
    assert_eq!(no_failures.confidence[&Outcome::CommitmentFailure], None);
    let areas = &no_failures.detectors[&Detector::MaxProbability];
    assert_eq!(of(areas, Outcome::OtherHallucination), 0.0);

    // All alike: no detector can tell them apart.
    let ties: Vec<Sample> = (0..6).map(|i| sample(i, i % 2 == 0, 0.5, 0.5, 0.5)).collect();
    let ties = is_sound(&ties);
    let areas = &ties.detectors[&Detector::MaxProbability];
    assert_eq!(of(areas, Outcome::CommitmentFailure), 0.5);
    assert_eq!(ties.concentration.difference.cohens_d, None);
    assert_eq!(ties.concentration.difference.rank_test.unwrap().p, 1.0);
    assert_eq!(ties.concentration.matched.pairs, 3);
}

#[test]
fn what_a_sample_lacks_counts_nowhere() {
    let mut samples: Vec<Sample> =
        (0..4).map(|i| sample(i, i % 2 == 0, 0.5 + 0.1 * i as f32, 0.5, 0.5)).collect();
    let whole = is_sound(&samples);
    samples[0].decisions.clear();
    samples[1].at_temperature.clear();
    // Answers were to be sampled, and none were.
    samples[2].sampled =
        serde_json::from_value(json!({"temperature": 1.0, "answers": [], "semantic_entropy": 0.0}))
            .unwrap();
    let partial = is_sound(&samples);
    let right =
        |summary: &Summary| summary.decoders[&Decoder::Spelling].right[&Outcome::All].unwrap().n;
    assert_eq!((right(&whole), right(&partial)), (4, 3));
    let sampled = partial.temperature.sampled.unwrap();
    assert!(sampled.shares.values().all(|shares| shares.answers.is_none() && shares.any.is_none()));
    // The first sample has no temperatures: they are those of the others.
    samples[0].at_temperature.clear();
    assert_eq!(is_sound(&samples).temperature.curve.len(), 1);
}

#[test]
fn names_in_files_are_stable() {
    let names = |keys: Value| keys.as_array().unwrap().clone();
    assert_eq!(
        names(json!(Decoder::ALL)),
        ["greedy", "spelling", "embedding", "aliases", "phrases"].map(Value::from)
    );
    assert_eq!(
        names(json!(Detector::ALL)),
        [
            "max_probability",
            "token_entropy",
            "concept_entropy_spelling",
            "concept_entropy_embedding",
            "concept_entropy_aliases",
            "semantic_entropy"
        ]
        .map(Value::from)
    );
    assert_eq!(
        names(json!(Outcome::ALL)),
        ["all", "hallucination", "commitment_failure", "other_hallucination", "right"]
            .map(Value::from)
    );
}

#[test]
fn every_answer_has_one_outcome_of_the_parts() {
    for (right, mass) in [(true, 0.9), (true, 0.0), (false, 0.3), (false, 0.2), (false, 0.1)] {
        let sample = sample(0, right, 0.5, mass, 0.5);
        let has = |outcome: &&Outcome| sample.has_outcome(**outcome, 0.2);
        assert_eq!(Outcome::PARTS.iter().filter(has).count(), 1, "{right} {mass}");
        let wrong = Outcome::ALL.iter().filter(has).any(|outcome| outcome.is_wrong());
        assert_eq!(wrong, !right);
    }
}

/// The number at one place of a value, by its order.
fn numbers<'a>(value: &'a mut Value, found: &mut Vec<&'a mut Value>) {
    match value {
        Value::Number(_) => found.push(value),
        Value::Array(values) => values.iter_mut().for_each(|value| numbers(value, found)),
        Value::Object(fields) => fields.values_mut().for_each(|value| numbers(value, found)),
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    /// Of files that were not written by this program: no number in a sample or a report makes
    /// anything panic, or puts a NaN on a page.
    #[test]
    fn any_number_in_a_file_can_be_shown(
        places in proptest::collection::vec(any::<proptest::sample::Index>(), 1..6),
        extremes in proptest::collection::vec(
            proptest::sample::select(vec![
                json!(0), json!(-1), json!(0.5), json!(7), json!(1e300), json!(-1e300),
                json!(1e39), json!(1e-320), json!(u64::MAX), json!(u32::MAX),
            ]),
            6,
        ),
    ) {
        let change = |value: &mut Value| {
            let mut found = Vec::new();
            numbers(value, &mut found);
            for (place, extreme) in places.iter().zip(&extremes) {
                let place = place.index(found.len());
                *found[place] = extreme.clone();
            }
        };
        let samples: Vec<Sample> =
            (0..12).map(|i| sample(i, i % 2 == 0, 0.04 * i as f32, 0.5, 0.5)).collect();
        let mut changed = json!(samples);
        change(&mut changed);
        // What is of another type, such as a count of -1, is refused.
        if let Ok(samples) = serde_json::from_value::<Vec<Sample>>(changed) {
            is_sound(&samples);
        }
        let mut changed = json!(Report::new(vec![Summary::of("run", 12, 0.2, &samples).unwrap()]));
        change(&mut changed);
        if let Ok(report) = serde_json::from_value::<Report>(changed) {
            prop_assert!(!report.html().contains("NaN") && !report.markdown().contains("NaN"));
        }
    }
}
