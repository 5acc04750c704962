//! Summaries made up for the tests: no model was asked.

use std::collections::BTreeMap;

use commitment_probe::{
    Area, Blocks, ByOutcome, Chosen, Comparison, Concentration, Contrast, Contrasted, Decoder,
    DecoderSummary, Detector, Entropies, Entropy, Failures, Grouping, Hidden, Later, MassAt,
    Matched, Member, Outcome, Pair, Paired, Place, Predictors, Rate, Rates, SampledShares,
    SampledSummary, Scorer, Summary, Temperature, Threshold, Trends, Verdict, WhyNot,
    stats::{Bin, Calibration, Estimate, Method, SignedRankTest, Trend},
};

/// A run that was planned and has not begun.
pub fn nothing(name: &str) -> Summary {
    let none = || Rate { failures: 0, rate: None, null: None, excess: None };
    let rates = || Rates { paper: none(), strict: none() };
    let failures =
        Failures { wrong: 0, first: rates(), informative: rates(), conditional_mass: None };
    let concentration = Concentration {
        failures: None,
        strict: None,
        right: None,
        matched: Matched {
            caliper: 0.05,
            unmatched: None,
            failures: None,
            right: None,
            difference: None,
            test: None,
            pairs: vec![],
        },
    };
    let entropy = || Entropy { nats: None, share: None };
    let entropies = || Entropies { right: entropy(), wrong: entropy() };
    Summary {
        name: name.into(),
        samples: 0,
        planned: 1000,
        groups: None,
        verdicts: BTreeMap::new(),
        scorer: None,
        hallucination_rate: None,
        cut_as_wrong: None,
        says_nothing: None,
        by_scorer: BTreeMap::new(),
        localised: None,
        withheld: false,
        tau: 0.2,
        failures: failures.clone(),
        all_failures: failures,
        thresholds: TAUS.map(|tau| Threshold { tau, first: rates(), informative: rates() }).into(),
        uninformative: BTreeMap::new(),
        concentration: concentration.clone(),
        informative_concentration: concentration,
        confidence: ByOutcome::new(),
        wrong_winner_confidence: None,
        later: Later {
            second: entropies(),
            third: entropies(),
            phrase_failures: 0,
            phrase_failure_rate: None,
            phrase_mass: ByOutcome::new(),
        },
        detectors: BTreeMap::new(),
        calibration: BTreeMap::new(),
        decoders: BTreeMap::new(),
        temperature: Temperature { curve: vec![], sampled: None },
        hidden: None,
    }
}

/// A run of a model that commits itself so much, from 0 to 1.
pub fn run(name: &str, commitment: f64) -> Summary {
    let wrong = 620 - (200.0 * commitment) as usize;
    let (samples, right) = (1200, 1140 - wrong);
    let localised = wrong - 40;
    let at = |wrong: usize, tau: f64| {
        let share = (0.12 + 0.4 * commitment) * (1.3 - 1.4 * (tau - 0.1));
        let count = |part: f64| (part * share * wrong as f64) as usize;
        let first = Rates { paper: rate(count(1.0), wrong), strict: rate(count(0.6), wrong) };
        (first, Rates { paper: rate(count(0.8), wrong), strict: rate(count(0.5), wrong) })
    };
    let failures = |wrong: usize| {
        let (first, informative) = at(wrong, 0.2);
        Failures { wrong, first, informative, conditional_mass: mean(0.17, wrong) }
    };
    let n = failures(localised).first.paper.failures;
    let confidence = 0.3 + 0.27 * commitment;
    let entropies = |right: f64, wrong: f64| Entropies {
        right: entropy(right, 500),
        wrong: entropy(wrong, 60),
    };
    let tokens = [(" the", 45), ("\"", 12), ("\n", 3), ("1", 31), ("|", 2), ("<b>", 1)];
    Summary {
        samples,
        planned: samples,
        verdicts: BTreeMap::from([
            (Verdict::Unmeasured, 7),
            (Verdict::Right, right),
            (Verdict::Empty, 4),
            (Verdict::NotAttempted, 30),
            (Verdict::Cut, 19),
            (Verdict::Wrong, wrong),
        ]),
        scorer: Some(Scorer::Exact),
        hallucination_rate: share(wrong, right + wrong),
        cut_as_wrong: share(wrong + 1, right + wrong + 1),
        says_nothing: share(wrong / 10, right + wrong),
        by_scorer: (0..).zip(Scorer::ALL).map(|(i, &s)| (s, share(wrong - i, 1140))).collect(),
        localised: share(right + localised, right + wrong),
        failures: failures(localised),
        all_failures: failures(wrong),
        thresholds: TAUS
            .map(|tau| {
                let (first, informative) = at(localised, tau);
                Threshold { tau, first, informative }
            })
            .into(),
        uninformative: tokens.map(|(token, questions)| (token.into(), questions)).into(),
        concentration: concentration(0.36 - 0.1 * commitment, n, right),
        informative_concentration: concentration(0.41 - 0.1 * commitment, n, right),
        confidence: ByOutcome::from([
            (Outcome::All, mean(0.55, right + wrong)),
            (Outcome::Hallucination, mean(confidence, wrong)),
            (Outcome::CommitmentFailure, mean(confidence + 0.06, n)),
            (Outcome::StrictFailure, mean(confidence + 0.09, n / 2)),
            (Outcome::OtherHallucination, mean(confidence - 0.03, wrong - n)),
            (Outcome::Right, mean(0.71, right)),
        ]),
        wrong_winner_confidence: mean(confidence + 0.02, wrong - 41),
        later: Later {
            second: entropies(0.42 - 0.35 * commitment, 1.31),
            third: entropies(0.12, 0.88),
            phrase_failures: 41,
            phrase_failure_rate: share(41, wrong),
            phrase_mass: ByOutcome::from([
                (Outcome::CommitmentFailure, mean(0.21, n)),
                (Outcome::Right, mean(0.68, right)),
            ]),
        },
        detectors: detectors(commitment, n + right),
        calibration: calibration(commitment),
        decoders: decoders(commitment, wrong, n, right),
        temperature: temperature(commitment, n),
        ..nothing(name)
    }
}

/// The same run with hidden states: of three contrasts one is detectable, one is not, and one has too
/// few answers.
pub fn with_hidden(name: &str) -> Summary {
    let run = run(name, 0.4);
    let places = ["a", "b"].map(|id| (id.into(), Place { fold: 0, inner: 1, answer: 0, group: 0 }));
    let contrasts = [
        (Contrast::WrongRight, contrasted(0.2)),
        (Contrast::StrictRight, contrasted(0.01)),
        (
            Contrast::StrictOther,
            Contrasted {
                positives: 49,
                of: [49, 1460],
                why_not: Some(WhyNot::Few),
                areas: BTreeMap::new(),
                gain: None,
                detectable: None,
                by_block: vec![],
                learnt: vec![],
                by_mass: None,
                ..contrasted(0.0)
            },
        ),
    ];
    run.with_hidden(Some(Hidden {
        answers: 1140,
        blocks: Blocks::quarters(30),
        width: 576,
        grouping: Grouping::Entity,
        groups: 300,
        largest: 4,
        places: places.into(),
        contrasts: contrasts.into(),
    }))
}

fn contrasted(gain: f64) -> Contrasted {
    let area = |value: f64| Estimate {
        value,
        low: value - 0.04,
        high: (value + 0.04).min(1.0),
        n: 700,
        method: Method::Clustered,
        design_effect: None,
    };
    let chosen = |block, lambda| vec![Chosen { block, lambda }; 5];
    let of = |evidence: &Predictors| {
        let (value, block) = match evidence {
            Predictors::States | Predictors::Both => (0.7 + gain, Some(15)),
            Predictors::Scalars => (0.7, None),
            Predictors::Prompt => (0.72, None),
            _ => (0.5, Some(8)),
        };
        (*evidence, Area { area: area(value), chosen: chosen(block, 10.0) })
    };
    Contrasted {
        positives: 500,
        negatives: 200,
        of: [500, 1460],
        why_not: None,
        learnt: vec![560, 480, 560, 560, 560],
        by_mass: Some(0.52),
        areas: Predictors::ALL.iter().map(of).collect(),
        gain: Some(area(gain)),
        detectable: Some(gain > 0.04),
        by_block: [(8, 0.6), (15, 0.7 + gain), (23, 0.69), (30, 0.66)]
            .map(|(block, value)| Area { area: area(value), chosen: chosen(Some(block), 10.0) })
            .into(),
    }
}

/// The same run of grouped questions.
pub fn grouped(name: &str) -> Summary {
    let clustered = |e: &mut Estimate| {
        e.method = Method::Clustered;
        e.design_effect = Some(1.84);
    };
    let mut run = Summary { groups: Some(300), ..run(name, 0.4) };
    let first = &mut run.failures.first;
    [
        &mut run.hallucination_rate,
        &mut run.localised,
        &mut first.paper.rate,
        &mut first.strict.rate,
    ]
    .into_iter()
    .flatten()
    .for_each(clustered);
    run
}

/// A run of which only so many of 1,140 answers are localised.
pub fn withheld(name: &str, localised: usize) -> Summary {
    Summary { localised: share(localised, 1140), withheld: true, ..run(name, 0.4) }
}

/// A run whose failures are what chance gives.
pub fn chance(name: &str) -> Summary {
    let mut run = run(name, 0.4);
    let strict = &mut run.failures.first.strict;
    strict.null = strict.rate;
    strict.excess = difference(-0.004, 500);
    run
}

/// A second run beside a first.
pub fn comparison(first: &str, second: &str, warnings: &[&str]) -> Comparison {
    let paired = |value: f64, n: usize| Paired {
        difference: difference(value, n),
        only_first: 61,
        only_second: 1_024,
        p: Some(0.0312),
    };
    Comparison {
        first: first.into(),
        second: second.into(),
        shared: 1140,
        warnings: warnings.iter().map(|&warning| warning.into()).collect(),
        wrong: paired(-0.08, 1140),
        mass: difference(0.03, 1140),
        failures: paired(0.12, 400),
        strict: paired(0.07, 400),
    }
}

pub fn trends(parameters: &[Option<u64>]) -> Trends {
    let trend = |slope, p| Some(Trend { slope, p, runs: 3, permutations: 10_000 });
    Trends {
        parameters: parameters.into(),
        failures: trend(0.061, 0.0004),
        strict: trend(-0.012, 0.217),
    }
}

fn rate(failures: usize, wrong: usize) -> Rate {
    let excess = 0.75 * failures as f64 / wrong as f64;
    Rate {
        failures,
        rate: share(failures, wrong),
        null: mean(0.25 * failures as f64 / wrong as f64, wrong),
        excess: difference(excess, wrong),
    }
}

fn concentration(split: f64, failures: usize, right: usize) -> Concentration {
    let pairs = (0..failures / 2).map(|i| {
        let mass = 0.2 + 0.75 * (i as f64 * 0.618).fract();
        let bound = ((1.0 - mass) / mass).min(1.0);
        let strict = i % 3 > 0;
        let failure = if strict { bound * (0.3 + 0.6 * (i as f64 * 0.37).fract()) } else { 0.62 };
        let member = |id: &str, mass: f64, concentration: f64| Member {
            id: format!("{id}{i}"),
            mass,
            concentration,
        };
        Pair {
            failure: member("f", mass, failure),
            right: member("r", mass + 0.03, 0.5 + 0.5 * (i as f64 * 0.71).fract()),
            strict,
        }
    });
    let n = failures / 2;
    Concentration {
        failures: mean(split, failures),
        strict: mean(split - 0.04, failures / 2),
        right: mean(0.78, right),
        matched: Matched {
            caliper: 0.05,
            unmatched: share(failures - n, failures),
            failures: mean(split + 0.05, n),
            right: mean(0.61, n),
            difference: difference(0.56 - split, n),
            test: Some(SignedRankTest { w: 2107.5, p: 0.003, n }),
            pairs: pairs.collect(),
        },
    }
}

fn entropy(nats: f64, n: usize) -> Entropy {
    Entropy { nats: mean(nats, n), share: mean(nats / 151_936_f64.ln(), n) }
}

pub const TAUS: [f64; 7] = [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4];

fn detectors(commitment: f64, n: usize) -> BTreeMap<Detector, ByOutcome> {
    let areas = |(i, detector): (u32, &Detector)| {
        let (area, ceiling) = (0.84 - 0.01 * f64::from(i), 0.70 - 0.02 * f64::from(i % 7));
        let areas = ByOutcome::from([
            (Outcome::Hallucination, auroc(area, n)),
            (Outcome::CommitmentFailure, auroc(ceiling - 0.08 * commitment, n / 2)),
            (Outcome::StrictFailure, auroc(ceiling - 0.1 * commitment, n / 3)),
            (Outcome::OtherHallucination, auroc(area + 0.05, n)),
        ]);
        (*detector, areas)
    };
    (0..).zip(Detector::ALL).map(areas).collect()
}

fn calibration(commitment: f64) -> BTreeMap<Decoder, Calibration> {
    let kind = |gap: f64| {
        let bins = (0..10).map(|b| {
            let (low, high) = (b as f64 / 10.0, (b + 1) as f64 / 10.0);
            let middle = low + 0.052;
            let accuracy = (middle - gap * (1.0 - (2.0 * middle - 1.0).powi(2))).clamp(0.0, 1.0);
            match b {
                0 => Bin { low, high, n: 0, confidence: None, accuracy: None },
                _ => Bin {
                    low,
                    high,
                    n: 60 + 13 * b,
                    confidence: Some(middle),
                    accuracy: Some(accuracy),
                },
            }
        });
        Calibration { ece: Some(0.7 * gap.abs()), bins: bins.collect() }
    };
    BTreeMap::from([
        (Decoder::Greedy, kind(-0.1 + 0.05 * commitment)),
        (Decoder::Spelling, kind(0.04)),
        (Decoder::Embedding, kind(0.09 + 0.05 * commitment)),
        (Decoder::Aliases, kind(0.06)),
        (Decoder::Phrases, kind(0.02)),
    ])
}

fn decoders(
    commitment: f64,
    wrong: usize,
    failures: usize,
    right: usize,
) -> BTreeMap<Decoder, DecoderSummary> {
    let decoder = |recovered: usize, broken: usize| DecoderSummary {
        right: ByOutcome::from([
            (Outcome::All, share(right + recovered - broken, right + wrong)),
            (Outcome::Hallucination, share(recovered, wrong)),
            (Outcome::CommitmentFailure, share(recovered.min(failures), failures)),
        ]),
        recovered,
        broken,
        broken_rate: share(broken, right),
    };
    BTreeMap::from([
        (Decoder::Aliases, decoder((60.0 - 20.0 * commitment) as usize, 4)),
        (Decoder::Spelling, decoder(9, 3)),
        (Decoder::Embedding, decoder((22.0 - 12.0 * commitment) as usize, 14)),
        (Decoder::Phrases, decoder(48, 11)),
    ])
}

fn temperature(commitment: f64, n: usize) -> Temperature {
    let at = |temperature: f64| MassAt {
        temperature,
        mass: ByOutcome::from([
            (Outcome::CommitmentFailure, Some(0.41 - 0.06 * (temperature - 1.0).abs())),
            (Outcome::OtherHallucination, Some(0.03 + 0.02 * temperature)),
            (Outcome::Right, Some(0.92 - (0.22 - 0.1 * commitment) * temperature)),
        ]),
    };
    let shares = |right: f64, entropy: f64| SampledShares {
        answers: mean(right, n),
        majority: mean(right + 0.02, n),
        any: mean((right + 0.35).min(0.97), n),
        entropy: mean(entropy, n),
    };
    Temperature {
        curve: [0.5, 0.7, 1.0, 1.5, 2.0].map(at).into(),
        sampled: Some(SampledSummary {
            temperature: 0.7,
            samples: 10,
            judged: true,
            shares: ByOutcome::from([
                (Outcome::All, shares(0.52, 0.81)),
                (Outcome::CommitmentFailure, shares(0.29, 1.12)),
                (Outcome::OtherHallucination, shares(0.05, 1.38)),
                (Outcome::Right, shares(0.88, 0.35)),
            ]),
        }),
    }
}

fn share(hits: usize, of: usize) -> Option<Estimate> {
    Some(Estimate { method: Method::Wilson, ..mean(hits as f64 / of as f64, of)? })
}

fn auroc(area: f64, n: usize) -> Option<Estimate> {
    Some(Estimate { method: Method::Newcombe, ..mean(area, n)? })
}

fn difference(value: f64, n: usize) -> Option<Estimate> {
    let width = 0.5 / (n as f64).sqrt();
    Some(Estimate { low: value - width, high: value + width, ..mean(value.abs(), n)? })
        .map(|e| Estimate { value, ..e })
}

fn mean(value: f64, n: usize) -> Option<Estimate> {
    let width = 1.96 * (value * (1.0 - value).max(0.1) / n as f64).max(0.0).sqrt();
    let (low, high) = ((value - width).max(0.0), value + width);
    Some(Estimate { value, low, high, n, method: Method::Bca, design_effect: None })
}
