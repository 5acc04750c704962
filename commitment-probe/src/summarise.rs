//! From samples to a summary.

use std::collections::BTreeMap;

use super::sample::{Sample, Sampled};
use super::stats::{self, Estimate};
use super::summary::*;
use crate::{Decoder, Detector, Error, Outcome, Result};

/// The thresholds at which commitment failures are counted, besides that of the summary.
const THRESHOLDS: [f64; 7] = [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4];

/// The largest difference of the P-masses of a failure and a right answer that are paired.
const CALIPER: f64 = 0.05;

/// The bins of a reliability diagram.
const BINS: u16 = 10;

impl Summary {
    /// The summary of `samples`, which are those of the run `name` of `planned` questions;
    /// commitment failures are hallucinations with a P-mass of `tau` or more.
    ///
    /// `O(n log n)` for `n` samples, and `O(n)` for each resample of an interval's bootstrap. The
    /// same samples in the same order give the same summary.
    ///
    /// # Errors
    ///
    /// [`Error::ProbeOption`] unless `tau` is above 0 and at most 1.
    ///
    /// ```
    /// use commitment_probe::Summary;
    ///
    /// let summary = Summary::of("nothing asked", 0, 0.2, &[])?;
    /// assert_eq!((summary.samples, summary.hallucination_rate), (0, None));
    /// assert!(Summary::of("nothing asked", 0, f64::NAN, &[]).is_err());
    /// # Ok::<(), commitment_probe::Error>(())
    /// ```
    pub fn of(
        name: impl Into<String>,
        planned: usize,
        tau: f64,
        samples: &[Sample],
    ) -> Result<Self> {
        if !(tau > 0.0 && tau <= 1.0) {
            return Err(Error::ProbeOption {
                option: "tau",
                value: tau.to_string(),
                requirement: "a P-mass must be able to reach it: it must be above 0 and at most 1",
            });
        }
        let groups = Groups::new(tau, samples);
        Ok(Self {
            name: name.into(),
            samples: samples.len(),
            planned,
            hallucinations: groups.of(Outcome::Hallucination).len(),
            hallucination_rate: stats::share(
                groups.of(Outcome::Hallucination).len(),
                samples.len(),
            ),
            tau,
            thresholds: groups.thresholds(),
            concentration: groups.concentration(),
            confidence: groups
                .each(Outcome::ALL, |of| mean(of, |s| Some(s.first.probability.into()))),
            second_token: groups.second_token(),
            detectors: groups.detectors(),
            calibration: groups.calibration(),
            decoders: groups.decoders(),
            temperature: groups.temperature(),
        })
    }
}

/// The samples by outcome, each in the order of the run.
struct Groups<'a> {
    tau: f64,
    by_outcome: BTreeMap<Outcome, Vec<&'a Sample>>,
}

impl<'a> Groups<'a> {
    fn new(tau: f64, samples: &'a [Sample]) -> Self {
        let of = |&outcome: &Outcome| {
            (outcome, samples.iter().filter(|sample| sample.has_outcome(outcome, tau)).collect())
        };
        Self { tau, by_outcome: Outcome::ALL.iter().map(of).collect() }
    }

    fn of(&self, outcome: Outcome) -> &[&'a Sample] {
        self.by_outcome.get(&outcome).map_or(&[], Vec::as_slice)
    }

    fn each<T>(&self, outcomes: &[Outcome], value: impl Fn(&[&Sample]) -> T) -> ByOutcome<T> {
        outcomes.iter().map(|&outcome| (outcome, value(self.of(outcome)))).collect()
    }

    fn thresholds(&self) -> Vec<Threshold> {
        let mut taus = THRESHOLDS.to_vec();
        taus.push(self.tau);
        taus.sort_by(f64::total_cmp);
        taus.dedup();
        let wrong = self.of(Outcome::Hallucination);
        let threshold = |tau: f64| {
            let failures = wrong.iter().filter(|sample| sample.is_failure(tau)).count();
            Threshold { tau, failures, rate: stats::share(failures, wrong.len()) }
        };
        taus.into_iter().map(threshold).collect()
    }

    fn concentration(&self) -> Concentration {
        let split = |samples: &[&Sample]| -> (Vec<f64>, Vec<f64>) {
            let enough = samples.iter().filter(|sample| sample.mass() >= self.tau);
            enough.filter_map(|s| Some((s.mass(), f64::from(s.first.concentration?)))).unzip()
        };
        let (failure_masses, failures) = split(self.of(Outcome::CommitmentFailure));
        let (right_masses, right) = split(self.of(Outcome::Right));
        // The masses are decimals, such as .55 and .5, whose difference is a little more than .05.
        let pairs = stats::matched(&failure_masses, &right_masses, CALIPER + 1e-9);
        let (of_failures, of_right): (Vec<f64>, Vec<f64>) =
            pairs.iter().map(|&(a, b)| (failures[a], right[b])).unzip();
        Concentration {
            failures: stats::mean(&failures),
            right: stats::mean(&right),
            difference: difference(&right, &failures),
            matched: Matched {
                caliper: CALIPER,
                pairs: pairs.len(),
                failures: stats::mean(&of_failures),
                right: stats::mean(&of_right),
                difference: difference(&of_right, &of_failures),
            },
        }
    }

    fn second_token(&self) -> SecondToken {
        let entropy = |valid: bool| {
            mean(self.of(Outcome::All), |sample| {
                let second = sample.second.as_ref().filter(|second| second.valid == valid)?;
                Some(second.entropy.into())
            })
        };
        let wrong = self.of(Outcome::Hallucination);
        let late = wrong.iter().filter(|sample| sample.first.begins_answer).count();
        SecondToken {
            valid: entropy(true),
            invalid: entropy(false),
            phrase_failures: late,
            phrase_failure_rate: stats::share(late, wrong.len()),
            phrase_mass: self.each(Outcome::PARTS, |of| mean(of, |s| Some(s.phrase_mass))),
        }
    }

    fn detectors(&self) -> BTreeMap<Detector, ByOutcome> {
        let wrong: Vec<Outcome> = Outcome::ALL.iter().copied().filter(|o| o.is_wrong()).collect();
        let detector = |&detector: &Detector| {
            let scores = |samples: &[&Sample]| -> Vec<f64> {
                samples.iter().filter_map(|sample| score(detector, sample)).collect()
            };
            let right = scores(self.of(Outcome::Right));
            let against_right = |wrong: &[&Sample]| stats::auroc_estimate(&scores(wrong), &right);
            (detector, self.each(&wrong, against_right))
        };
        Detector::ALL.iter().map(detector).collect()
    }

    fn calibration(&self) -> BTreeMap<Decoder, stats::Calibration> {
        let calibration = |&decoder: &Decoder| {
            let answers = self.of(Outcome::All).iter();
            let (confidences, right): (Vec<f64>, Vec<bool>) =
                answers.filter_map(|sample| sample.confidence(decoder)).unzip();
            (decoder, stats::calibration(&confidences, &right, BINS))
        };
        Decoder::ALL.iter().map(calibration).collect()
    }

    fn decoders(&self) -> BTreeMap<Decoder, DecoderSummary> {
        let summary = |decoder: Decoder| {
            // The number of right answers, and of all.
            let counts = |samples: &[&Sample]| {
                let right = samples.iter().filter_map(|s| Some(s.confidence(decoder)?.1));
                right.fold((0, 0), |(hits, of), right| (hits + usize::from(right), of + 1))
            };
            let share = |samples: &[&Sample]| {
                let (hits, of) = counts(samples);
                stats::share(hits, of)
            };
            let (recovered, _) = counts(self.of(Outcome::Hallucination));
            let (kept, right) = counts(self.of(Outcome::Right));
            DecoderSummary {
                right: self.each(Outcome::ALL, share),
                recovered,
                broken: right - kept,
                broken_rate: stats::share(right - kept, right),
            }
        };
        Decoder::others().map(|decoder| (decoder, summary(decoder))).collect()
    }

    fn temperature(&self) -> Temperature {
        let mut temperatures: Vec<f64> = Vec::new();
        for at in self.of(Outcome::All).iter().flat_map(|sample| &sample.at_temperature) {
            if !temperatures.contains(&at.temperature) {
                temperatures.push(at.temperature);
            }
        }
        let mass_at = |temperature: f64| {
            let mean = |samples: &[&Sample]| {
                let all = samples.iter().flat_map(|sample| &sample.at_temperature);
                let masses = all.filter(|at| at.temperature == temperature);
                let masses: Vec<f64> = masses.map(|at| at.mass.into()).collect();
                let mean = masses.iter().sum::<f64>() / masses.len() as f64;
                mean.is_finite().then_some(mean)
            };
            MassAt { temperature, mass: self.each(Outcome::PARTS, mean) }
        };
        let curve = temperatures.into_iter().map(mass_at).collect();
        let first = self.of(Outcome::All).iter().find_map(|sample| sample.sampled.as_ref());
        let sampled = first.map(|first| SampledSummary {
            temperature: first.temperature,
            samples: first.answers.len(),
            shares: self.each(Outcome::ALL, sampled_shares),
        });
        Temperature { curve, sampled }
    }
}

/// What a detector goes by: the higher, the likelier the answer is wrong. None if the sample does
/// not have it.
fn score(detector: Detector, sample: &Sample) -> Option<f64> {
    let entropy = |decoder| Some(sample.decisions.get(&decoder)?.vote?.entropy.into());
    match detector {
        Detector::MaxProbability => Some(-f64::from(sample.first.probability)),
        Detector::TokenEntropy => Some(sample.first.token_entropy.into()),
        Detector::ConceptEntropySpelling => entropy(Decoder::Spelling),
        Detector::ConceptEntropyEmbedding => entropy(Decoder::Embedding),
        Detector::ConceptEntropyAliases => entropy(Decoder::Aliases),
        Detector::SemanticEntropy => Some(sample.sampled.as_ref()?.semantic_entropy),
    }
}

fn mean(samples: &[&Sample], value: impl Fn(&Sample) -> Option<f64>) -> Option<Estimate> {
    stats::mean(&samples.iter().filter_map(|sample| value(sample)).collect::<Vec<_>>())
}

fn difference(a: &[f64], b: &[f64]) -> Difference {
    Difference { cohens_d: stats::cohens_d(a, b), rank_test: stats::mann_whitney(a, b) }
}

fn sampled_shares(samples: &[&Sample]) -> SampledShares {
    let sampled = samples.iter().filter_map(|sample| sample.sampled.as_ref());
    let sampled: Vec<&Sampled> = sampled.filter(|sampled| !sampled.answers.is_empty()).collect();
    let right = |sampled: &Sampled| sampled.answers.iter().filter(|answer| answer.right).count();
    // Answers to one question are not independent: it is questions that are resampled.
    let of_question = |sampled: &&Sampled| right(sampled) as f64 / sampled.answers.len() as f64;
    let majority = sampled.iter().filter(|sampled| sampled.majority().is_some_and(|a| a.right));
    let any = sampled.iter().filter(|sampled| right(sampled) > 0);
    let entropy = |sampled: &&Sampled| sampled.semantic_entropy;
    SampledShares {
        answers: stats::mean(&sampled.iter().map(of_question).collect::<Vec<_>>()),
        majority: stats::share(majority.count(), sampled.len()),
        any: stats::share(any.count(), sampled.len()),
        semantic_entropy: stats::mean(&sampled.iter().map(entropy).collect::<Vec<_>>()),
    }
}
