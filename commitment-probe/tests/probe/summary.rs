//! Summaries of samples: worked examples by hand, and degenerate cases. (`check_report` compares the
//! numbers of a whole run with those of SciPy and scikit-learn.)

use commitment_probe::stats::{Estimate, Method};
use commitment_probe::{
    ByOutcome, Compared, Comparison, Decoder, Detector, Entropy, Evidence, Kind, LaterStep,
    Outcome, Report, Sample, Schema, Scorer, Summary, Trends, Verdict,
};
use proptest::prelude::*;
use serde_json::{Value, json};

/// A sample of which only this matters: right or wrong, the winner's probability, the P-mass and
/// its concentration. The winner begins an acceptable form if the answer is right.
fn sample(id: usize, right: bool, probability: f32, mass: f32, concentration: f32) -> Sample {
    let decision = |right: bool| {
        json!({
            "concept": "c", "mass": probability, "answer": "a", "right": right,
            "vote": {"token": 1, "concentration": 1.0, "entropy": 1.0 - probability},
        })
    };
    let exchanged = |id: &str, mass: f32| {
        json!({
            "id": id, "mass": mass, "is_own": mass > 0.5, "informative_mass": mass / 2.0,
            "winner_is_right": false,
        })
    };
    let sample: Value = json!({
        "schema": Schema, "id": id.to_string(), "question": "q", "forms": ["A"], "prompt_tokens": 7, "answer": "a",
        "verdict": if right { "right" } else { "wrong" }, "scorer": "exact",
        "accepted": {"exact": right, "contains": true}, "otherwise": "wrong", "localised": id != 5, "vocab_size": 100,
        "first": {
            "token": 1, "text": "a", "probability": probability, "margin": probability / 2.0,
            "begins_answer": right, "is_own": right, "firsts": 3, "mass": mass, "concentration": concentration,
            "token_entropy": 1.0 - probability, "tokens": [],
        },
        "later": [{"token": 2, "entropy": 0.5, "valid": right}],
        "informative": {
            "mass": mass, "concentration": concentration, "cuts": 3, "winner": "a",
            "winner_is_right": right, "conditional": mass, "passed": ["The"],
        },
        "exchanged": [exchanged("x", 0.3), exchanged("y", 0.9), exchanged("z", 0.0)],
        "decisions": {
            "aliases": decision(mass > probability || right),
            "spelling": decision(right),
            "embedding": decision(false),
            "phrases":
                {"mass": mass, "concept": "c", "answer": "a", "right": right, "vote": null},
        },
        "phrase_mass": mass,
        "sequence": {"ln_probability": probability.max(1e-6).ln(), "tokens": 2},
        "p_true": probability,
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

/// Wrong, of a verdict, a P-mass, whether the winner is the right concept's own, whether it says
/// nothing, and whether the winner at the informative step is right.
fn case(verdict: Verdict, mass: f32, own: bool, says_nothing: bool, there: bool) -> Sample {
    let mut sample = sample(0, false, 0.4, mass, 0.5);
    sample.verdict = verdict;
    sample.first.is_own = own;
    sample.first.text = if says_nothing { "The" } else { "a" }.into();
    sample.informative.winner_is_right = there;
    sample
}

#[test]
fn every_answer_that_is_not_right_is_of_one_kind() {
    use Kind::*;
    let wrong =
        |mass, own, says_nothing, there| case(Verdict::Wrong, mass, own, says_nothing, there);
    for (sample, kind) in [
        (wrong(0.2, false, false, false), StrictFailure),
        (wrong(0.2, false, true, true), StrictFailure),
        (wrong(0.2, true, false, true), BeginsRight),
        (wrong(0.2, true, false, false), BeginsRight),
        (wrong(0.2, true, true, true), GoesWrongLater),
        (wrong(0.2, true, true, false), Uninformative),
        (wrong(0.19, true, false, true), GoesWrongLater),
        (wrong(0.19, false, true, true), GoesWrongLater),
        (wrong(0.19, false, true, false), Uninformative),
        (wrong(0.19, true, false, false), OtherWrong),
        (wrong(0.19, false, false, false), OtherWrong),
        (case(Verdict::NotAttempted, 0.9, false, false, false), NotAttempted),
        (case(Verdict::Cut, 0.9, false, false, false), Cut),
        (case(Verdict::Empty, 0.9, false, false, false), Empty),
        (case(Verdict::Unmeasured, 0.0, false, false, false), Unmeasured),
    ] {
        assert_eq!(sample.kind(0.2), Some(kind), "{sample:?}");
    }
    assert_eq!(case(Verdict::Right, 0.9, true, false, true).kind(0.2), None);
    let samples: Vec<Sample> = (0..64)
        .map(|i: u32| {
            let mass = if i & 1 == 0 { 0.1 } else { 0.3 };
            let verdict = if i < 48 { Verdict::Wrong } else { Verdict::Right };
            let mut sample = case(verdict, mass, i & 2 == 0, i & 4 == 0, i & 8 == 0);
            sample.id = i.to_string();
            sample
        })
        .collect();
    let evidence = Evidence::of(&samples, 0.2, 0);
    let number = |kind| evidence.cases[&kind].number;
    assert_eq!(evidence.cases.values().map(|cases| cases.number).sum::<usize>(), 48);
    let rates = Summary::of("run", 64, 0.2, &samples).unwrap().all_failures.first;
    assert_eq!(number(StrictFailure), rates.strict.failures);
    assert!(number(StrictFailure) + number(BeginsRight) < rates.paper.failures);
}

#[test]
fn cases_are_chosen_by_the_seed_and_not_by_what_else_was_asked() {
    let samples: Vec<Sample> = (0..200).map(|id| sample(id, false, 0.6, 0.3, 0.5)).collect();
    let shown = |samples: &[Sample], seed| {
        Evidence::of(samples, 0.2, seed).cases[&Kind::StrictFailure].shown.clone()
    };
    let all = shown(&samples, 0);
    assert_eq!(all.len(), 10);
    assert_ne!(all, shown(&samples, 1));
    let backwards: Vec<Sample> = samples.iter().rev().cloned().collect();
    assert_eq!(all, shown(&backwards, 0));
    // Those of a half that come first in all are the first there, too.
    let half = shown(&samples[..100], 0);
    let kept: Vec<_> = all.iter().filter(|id| id.parse::<usize>().unwrap() < 100).collect();
    assert!(!kept.is_empty() && kept.len() < 10, "{all:?}");
    assert_eq!(half.iter().take(kept.len()).collect::<Vec<_>>(), kept);
    assert_ne!(all, (0..10).map(|id| id.to_string()).collect::<Vec<_>>());
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
    assert_eq!((summary.samples, summary.planned), (6, 8));
    assert_eq!(summary.verdicts[&Verdict::Wrong], 4);
    assert_eq!(value(summary.hallucination_rate), 4.0 / 6.0);
    // At a threshold that is a P-mass, it counts.
    let failures: Vec<_> =
        summary.thresholds.iter().map(|t| (t.tau, t.first.paper.failures)).collect();
    assert_eq!(failures, [(0.1, 3), (0.15, 2), (0.2, 2), (0.25, 1), (0.3, 1), (0.35, 1), (0.4, 1)]);
    // The last one is not localised.
    assert_eq!((summary.failures.wrong, summary.all_failures.wrong), (3, 4));
    assert_eq!(value(summary.thresholds[2].first.paper.rate), 2.0 / 3.0);
    assert_eq!(value(summary.all_failures.first.paper.rate), 0.5);
    assert_eq!(value(summary.localised), 5.0 / 6.0);
    assert!(!summary.withheld);

    let concentration = &summary.concentration;
    let near = |got: f64, want: f64| assert!((got - want).abs() < 1e-6, "{got} {want}");
    near(value(concentration.failures), (0.24 / 0.49 + 0.5) / 2.0);
    near(value(concentration.right), 0.9);
    // .49 is within .05 of .5, and .2 of nothing.
    let matched = &concentration.matched;
    let [pair] = &matched.pairs[..] else { panic!("{matched:?}") };
    assert_eq!((pair.failure.id.as_str(), pair.right.id.as_str(), pair.strict), ("2", "1", true));
    near(value(matched.failures), 0.24 / 0.49);
    near(value(matched.right), 0.8);
    near(value(matched.difference), 0.8 - 0.24 / 0.49);
    near(value(matched.unmatched), 0.5);
    assert_eq!(matched.test.unwrap().p, 1.0);

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
fn a_null_is_the_share_of_the_exchanges_that_would_count() {
    let samples = [sample(0, false, 0.5, 0.3, 0.5), sample(1, false, 0.5, 0.1, 0.5)];
    let failures = Summary::of("run", 2, 0.2, &samples).unwrap().failures;
    let near = |got: Option<Estimate>, want: f64| {
        assert!((value(got) - want).abs() < 1e-12, "{got:?} {want}");
    };
    // Of masses of .3, .9 and 0, two are enough, and the winner begins one of these.
    near(failures.first.paper.null, 2.0 / 3.0);
    near(failures.first.strict.null, 1.0 / 3.0);
    // Half as much, at the informative step.
    near(failures.informative.paper.null, 1.0 / 3.0);
    near(failures.informative.strict.null, 1.0 / 3.0);
    assert_eq!((failures.first.paper.failures, failures.first.strict.failures), (1, 1));
    near(failures.first.paper.excess, 0.5 - 2.0 / 3.0);
    near(failures.first.strict.excess, 0.5 - 1.0 / 3.0);
    near(failures.conditional_mass, (f64::from(0.3f32) + f64::from(0.1f32)) / 2.0);
}

/// The paper means tokens that won wrongly: not the right concept's own, such as "The".
#[test]
fn a_winner_that_begins_the_answer_is_no_wrong_winner() {
    let mut own = sample(0, false, 0.9, 0.9, 1.0);
    (own.first.begins_answer, own.first.is_own) = (true, true);
    let summary = Summary::of("run", 2, 0.2, &[own, sample(1, false, 0.4, 0.3, 0.5)]).unwrap();
    assert!((value(summary.wrong_winner_confidence) - f64::from(0.4f32)).abs() < 1e-12);
    let failures = summary.failures.first;
    assert_eq!((failures.paper.failures, failures.strict.failures), (2, 1));
    assert_eq!(summary.later.phrase_failures, 1);
}

#[test]
fn what_is_neither_right_nor_wrong_is_in_no_population() {
    let all = [Verdict::Empty, Verdict::NotAttempted, Verdict::Cut, Verdict::Unmeasured];
    let mut samples = vec![sample(0, true, 0.9, 0.9, 1.0), sample(1, false, 0.4, 0.3, 0.5)];
    let without = Summary::of("run", 2, 0.2, &samples).unwrap();
    for (i, verdict) in (2..).zip(all) {
        let mut other = Sample { verdict, otherwise: verdict, ..sample(i, false, 0.7, 0.9, 0.2) };
        other.accepted.insert(Scorer::Contains, false);
        samples.push(other);
    }
    let with = Summary::of("run", 2, 0.2, &samples).unwrap();
    assert_eq!((with.samples, with.verdicts[&Verdict::Cut]), (6, 1));
    let (samples, verdicts) = (without.samples, without.verdicts.clone());
    let uninformative = without.uninformative.clone();
    // One was cut, and may have been wrong.
    assert_eq!(value(with.cut_as_wrong), 2.0 / 3.0);
    let cut_as_wrong = without.cut_as_wrong;
    let with = Summary { samples, verdicts, uninformative, cut_as_wrong, ..with };
    assert!(with == without);
}

#[test]
fn few_localised_answers_withhold_the_headline() {
    let samples: Vec<Sample> = (0..10).map(|i| sample(i, i < 5, 0.5, 0.3, 0.5)).collect();
    let shares = |localised: usize| {
        let mut samples = samples.clone();
        (0..).zip(&mut samples).for_each(|(i, sample)| sample.localised = i < localised);
        Summary::of("run", 10, 0.2, &samples).unwrap()
    };
    assert!(!shares(8).withheld && shares(7).withheld);
    assert_eq!(shares(7).failures.wrong, 2);
}

#[test]
fn what_other_scorers_say_stands_beside() {
    let samples = [sample(0, true, 0.9, 0.9, 1.0), sample(1, false, 0.4, 0.3, 0.5)];
    let summary = Summary::of("run", 2, 0.2, &samples).unwrap();
    assert_eq!(summary.scorer, Some(Scorer::Exact));
    let rates: Vec<f64> = summary.by_scorer.values().map(|rate| value(*rate)).collect();
    assert_eq!(rates, [0.5, 0.0]);
}

#[test]
fn questions_of_a_group_are_not_independent() {
    let grouped = |groups: usize| {
        let sample = |i: usize| Sample {
            group: Some((i % groups).to_string()),
            ..sample(i, i % groups < groups / 2, 0.5, 0.3, 0.5)
        };
        let samples: Vec<Sample> = (0..80).map(sample).collect();
        Summary::of("run", 80, 0.2, &samples).unwrap()
    };
    let (few, alone) = (grouped(20), grouped(80));
    assert_eq!((few.groups, alone.groups), (Some(20), Some(80)));
    let [few, alone] = [few, alone].map(|summary| summary.hallucination_rate.unwrap());
    assert_eq!((few.method, alone.method), (Method::Clustered, Method::Wilson));
    // Four answers of a group are one.
    assert!((few.design_effect.unwrap() - 4.0).abs() < 0.5 && alone.design_effect.is_none());
    assert!(few.high - few.low > 1.7 * (alone.high - alone.low));
}

#[test]
fn entropies_of_later_steps_are_of_valid_beginnings() {
    let mut samples: Vec<Sample> = (0..4).map(|i| sample(i, i < 2, 0.5, 0.3, 0.5)).collect();
    let third = |entropy: f32, valid: bool| LaterStep { token: 3, entropy: Some(entropy), valid };
    samples[0].later.push(third(0.1, true));
    samples[1].later.push(third(0.9, false));
    samples[2].first.begins_answer = true;
    samples[2].later.push(third(0.3, true));
    samples[3].later[0].entropy = None;
    let later = Summary::of("run", 4, 0.2, &samples).unwrap().later;
    let n = |entropy: &Entropy| entropy.nats.map_or(0, |estimate| estimate.n);
    assert_eq!([n(&later.second.right), n(&later.second.wrong)], [2, 1]);
    assert_eq!([n(&later.third.right), n(&later.third.wrong)], [1, 1]);
    assert_eq!(value(later.third.right.nats), f64::from(0.1f32));
    assert!((value(later.second.wrong.share) - 0.5 / 100f64.ln()).abs() < 1e-12);
}

#[test]
fn runs_are_compared_question_by_question() {
    let first: Vec<Sample> = (0..6).map(|i| sample(i, i < 3, 0.5, 0.3, 0.5)).collect();
    let mut second: Vec<Sample> = (1..7).map(|i| sample(i, i == 4, 0.5, 0.1, 0.5)).collect();
    second[0].scorer = Scorer::Contains;
    second.reverse();
    second.swap(0, 5);
    let of = |name, samples| Compared { name, samples };
    let compared =
        Comparison::of(of("a", &first), of("b", &second), 0.2, vec!["the prompts differ".into()]);
    let compared = compared.unwrap();
    assert_eq!(compared.shared, 5);
    // 1 and 2 are wrong in the second alone, 4 in the first alone; 3 and 5 in both.
    let wrong = &compared.wrong;
    assert_eq!((wrong.only_first, wrong.only_second), (1, 2));
    assert_eq!((value(wrong.difference), wrong.p), (0.2, Some(1.0)));
    assert!((value(compared.mass) + f64::from(0.3f32) - f64::from(0.1f32)).abs() < 1e-6);
    // The last of these is not localised.
    assert_eq!((compared.failures.only_first, compared.failures.only_second), (1, 0));
    assert_eq!(compared.failures.difference.unwrap().n, 1);
    let [given, scorers, questions] = &compared.warnings[..] else { panic!("{compared:?}") };
    assert_eq!(given, "the prompts differ");
    assert!(scorers.contains("exact") && scorers.contains("contains"), "{scorers}");
    assert!(questions.starts_with("5 questions are in both, of 6"), "{questions}");
}

#[test]
fn a_trend_needs_three_sizes() {
    let runs: Vec<Vec<Sample>> = [10, 20, 30]
        .map(|failures| {
            let mass = |i: usize| if i % 40 < failures { 0.3 } else { 0.1 };
            (0..40).map(|i| sample(i, false, 0.5, mass(i), 0.5)).collect()
        })
        .into();
    let compared: Vec<Compared> =
        runs.iter().map(|samples| Compared { name: "run", samples }).collect();
    let sizes = [Some(1_000_000_000), Some(8_000_000_000), Some(70_000_000_000)];
    let trends = Trends::of(&compared, &sizes, 0.2).unwrap().unwrap();
    let trend = trends.failures.unwrap();
    assert!(trend.slope > 0.1 && trend.p < 0.01 && trend.runs == 3, "{trend:?}");
    assert_eq!(trends.strict, trends.failures);
    for unknown in [None, Some(1_000_000_000)] {
        let sizes = [unknown, sizes[0], sizes[2]];
        assert_eq!(Trends::of(&compared, &sizes, 0.2).unwrap(), None);
    }
}

#[test]
fn a_threshold_of_ones_own_is_among_them() {
    let samples = [sample(0, false, 0.5, 0.45, 0.5)];
    let summary = Summary::of("run", 1, 0.45, &samples).unwrap();
    assert_eq!(summary.thresholds.last().map(|t| (t.tau, t.first.paper.failures)), Some((0.45, 1)));
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
    assert_eq!(all_right.thresholds[0].first.paper.rate, None);
    assert!(all_right.detectors.values().flat_map(|areas| areas.values()).all(Option::is_none));
    assert_eq!(all_right.concentration.matched.test, None);

    let all_wrong = is_sound(&[sample(0, false, 0.9, 0.3, 0.5), sample(1, false, 0.8, 0.0, 0.0)]);
    assert_eq!(value(all_wrong.hallucination_rate), 1.0);
    assert!(all_wrong.detectors.values().flat_map(|areas| areas.values()).all(Option::is_none));
    assert!(all_wrong.decoders.values().all(|decoder| decoder.broken_rate.is_none()));

    let no_failures = is_sound(&[sample(0, false, 0.9, 0.0, 0.0), sample(1, true, 0.8, 0.8, 1.0)]);
    assert_eq!(no_failures.thresholds.iter().map(|t| t.first.paper.failures).sum::<usize>(), 0);
    assert_eq!(no_failures.confidence[&Outcome::CommitmentFailure], None);
    let areas = &no_failures.detectors[&Detector::MaxProbability];
    assert_eq!(of(areas, Outcome::OtherHallucination), 0.0);

    // All alike: no detector can tell them apart.
    let ties: Vec<Sample> = (0..6).map(|i| sample(i, i % 2 == 0, 0.5, 0.5, 0.5)).collect();
    let ties = is_sound(&ties);
    let areas = &ties.detectors[&Detector::MaxProbability];
    assert_eq!(of(areas, Outcome::CommitmentFailure), 0.5);
    assert_eq!(ties.concentration.matched.test.unwrap().p, 1.0);
    assert_eq!(ties.concentration.matched.pairs.len(), 3);
}

#[test]
fn what_a_sample_lacks_counts_nowhere() {
    let mut samples: Vec<Sample> =
        (0..4).map(|i| sample(i, i % 2 == 0, 0.5 + 0.1 * i as f32, 0.5, 0.5)).collect();
    let whole = is_sound(&samples);
    samples[0].decisions.clear();
    samples[1].at_temperature.clear();
    // Answers were to be sampled, and none were.
    samples[2].sampled = serde_json::from_value(
        json!({"temperature": 1.0, "answers": [], "entropy": 0.0, "judged": false}),
    )
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
            "margin",
            "token_entropy",
            "concept_entropy_spelling",
            "concept_entropy_embedding",
            "concept_entropy_aliases",
            "sequence",
            "sequence_per_token",
            "p_true",
            "semantic_entropy",
            "lexical_cluster_entropy",
            "p_mass"
        ]
        .map(Value::from)
    );
    assert_eq!(
        names(json!(Outcome::ALL)),
        [
            "all",
            "hallucination",
            "commitment_failure",
            "strict_failure",
            "other_hallucination",
            "right"
        ]
        .map(Value::from)
    );
    assert_eq!(
        names(json!(Verdict::ALL)),
        ["unmeasured", "right", "empty", "not_attempted", "cut", "wrong"].map(Value::from)
    );
    assert_eq!(
        names(json!(Scorer::ALL)),
        [
            "exact",
            "prefix",
            "contains",
            "squad",
            "nq_open",
            "trivia_qa",
            "lm_eval_trivia_qa",
            "lm_eval_nq_open",
            "grader"
        ]
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
