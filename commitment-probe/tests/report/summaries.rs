//! Summaries made up for the tests: no model was asked.

use std::collections::BTreeMap;

use commitment_probe::{
    ByOutcome, Concentration, Decoder, DecoderSummary, Detector, Difference, MassAt, Matched,
    Outcome, SampledShares, SampledSummary, SecondToken, Summary, Temperature, Threshold,
    stats::{Bin, Calibration, Estimate, RankTest},
};

/// A run that was planned and has not begun.
pub fn nothing(name: &str) -> Summary {
    let none = Difference { cohens_d: None, rank_test: None };
    Summary {
        name: name.into(),
        samples: 0,
        planned: 1000,
        hallucinations: 0,
        hallucination_rate: None,
        tau: 0.2,
        thresholds: TAUS.map(|tau| Threshold { tau, failures: 0, rate: None }).into(),
        concentration: Concentration {
            failures: None,
            right: None,
            difference: none.clone(),
            matched: Matched {
                caliper: 0.05,
                pairs: 0,
                failures: None,
                right: None,
                difference: none,
            },
        },
        confidence: ByOutcome::new(),
        second_token: SecondToken {
            valid: None,
            invalid: None,
            phrase_failures: 0,
            phrase_failure_rate: None,
            phrase_mass: ByOutcome::new(),
        },
        detectors: BTreeMap::new(),
        calibration: BTreeMap::new(),
        decoders: BTreeMap::new(),
        temperature: Temperature { curve: vec![], sampled: None },
    }
}

/// A run of a model that commits itself so much, from 0 to 1.
pub fn run(name: &str, commitment: f64) -> Summary {
    let (samples, hallucinations) = (1200, 620 - (200.0 * commitment) as usize);
    let failures = |tau: f64| {
        let share = (0.12 + 0.4 * commitment) * (1.3 - 1.4 * (tau - 0.1));
        (share * hallucinations as f64) as usize
    };
    let n = failures(0.2);
    let right = samples - hallucinations;
    let confidence = 0.3 + 0.27 * commitment;
    let split = 0.36 - 0.1 * commitment;
    Summary {
        samples,
        planned: samples,
        hallucinations,
        hallucination_rate: share(hallucinations, samples),
        thresholds: TAUS
            .map(|tau| Threshold {
                tau,
                failures: failures(tau),
                rate: share(failures(tau), hallucinations),
            })
            .into(),
        concentration: Concentration {
            failures: mean(split, n),
            right: mean(0.78, right),
            difference: Difference {
                cohens_d: Some(1.6 + commitment),
                rank_test: Some(RankTest { u: 15_840.5, p: 1e-9 }),
            },
            matched: Matched {
                caliper: 0.05,
                pairs: n / 2,
                failures: mean(split + 0.05, n / 2),
                right: mean(0.61, n / 2),
                difference: Difference {
                    cohens_d: Some(0.9),
                    rank_test: Some(RankTest { u: 2107.0, p: 0.003 }),
                },
            },
        },
        confidence: ByOutcome::from([
            (Outcome::Hallucination, mean(confidence, hallucinations)),
            (Outcome::CommitmentFailure, mean(confidence + 0.06, n)),
            (Outcome::Right, mean(0.71, right)),
        ]),
        second_token: SecondToken {
            valid: mean(0.42 - 0.35 * commitment, right),
            invalid: mean(1.31, hallucinations),
            phrase_failures: 41,
            phrase_failure_rate: share(41, hallucinations),
            phrase_mass: ByOutcome::from([
                (Outcome::CommitmentFailure, mean(0.21, n)),
                (Outcome::Right, mean(0.68, right)),
            ]),
        },
        detectors: detectors(commitment, n + right),
        calibration: calibration(commitment),
        decoders: decoders(commitment, hallucinations, n, right),
        temperature: temperature(commitment, n),
        ..nothing(name)
    }
}

pub const TAUS: [f64; 7] = [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4];

fn detectors(commitment: f64, n: usize) -> BTreeMap<Detector, ByOutcome> {
    let areas = |area: f64, ceiling: f64| {
        ByOutcome::from([
            (Outcome::Hallucination, mean(area, n)),
            (Outcome::CommitmentFailure, mean(ceiling - 0.08 * commitment, n / 4)),
            (Outcome::OtherHallucination, mean(area + 0.05, n)),
        ])
    };
    BTreeMap::from([
        (Detector::MaxProbability, areas(0.79, 0.66)),
        (Detector::TokenEntropy, areas(0.77, 0.61)),
        (Detector::ConceptEntropySpelling, areas(0.80, 0.64)),
        (Detector::ConceptEntropyEmbedding, areas(0.78, 0.57)),
        (Detector::SemanticEntropy, areas(0.83, 0.71)),
    ])
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
        semantic_entropy: mean(entropy, n),
    };
    Temperature {
        curve: [0.5, 0.7, 1.0, 1.5, 2.0].map(at).into(),
        sampled: Some(SampledSummary {
            temperature: 0.7,
            samples: 10,
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
    mean(hits as f64 / of as f64, of)
}

fn mean(value: f64, n: usize) -> Option<Estimate> {
    let width = 1.96 * (value * (1.0 - value).max(0.1) / n as f64).max(0.0).sqrt();
    Some(Estimate { value, low: (value - width).max(0.0), high: value + width, n })
}
