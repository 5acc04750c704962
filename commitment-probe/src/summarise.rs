//! From samples to a summary.

use super::sample::{Sample, Sampled};
use super::stats::{self, Estimate};
use super::summary::*;

/// The thresholds at which commitment failures are counted, besides that of the summary.
const THRESHOLDS: [f64; 7] = [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4];

/// The most by which the P-masses of a failure and of a right answer may differ that are compared.
const CALIPER: f64 = 0.05;

/// The bins of a reliability diagram.
const BINS: usize = 10;

impl Summary {
    /// What `samples` come to, of a run of `planned` questions called `name`; commitment failures
    /// are those with a P-mass of `tau` or more.
    ///
    /// Of `n` samples, `O(n log n)`, and `O(n)` for each resample of an interval's bootstrap. The
    /// same samples in the same order give the same summary.
    ///
    /// ```
    /// use commitment_probe::Summary;
    ///
    /// let summary = Summary::of("nothing asked", 0, 0.2, &[]);
    /// assert_eq!((summary.samples, summary.hallucination_rate), (0, None));
    /// ```
    pub fn of(name: impl Into<String>, planned: usize, tau: f64, samples: &[Sample]) -> Self {
        let groups = Groups::new(tau, samples);
        Self {
            name: name.into(),
            samples: samples.len(),
            planned,
            hallucinations: groups.wrong.len(),
            hallucination_rate: stats::share(groups.wrong.len(), samples.len()),
            tau,
            thresholds: groups.thresholds(),
            concentration: groups.concentration(),
            confidence: groups.confidence(),
            second_token: groups.second_token(),
            detectors: groups.detectors(),
            calibration: groups.calibration(),
            decoders: groups.decoders(),
            temperature: groups.temperature(),
        }
    }
}

/// The samples, sorted by what became of them.
struct Groups<'a> {
    tau: f64,
    all: Vec<&'a Sample>,
    right: Vec<&'a Sample>,
    /// The hallucinations, which are the next two together.
    wrong: Vec<&'a Sample>,
    failures: Vec<&'a Sample>,
    others: Vec<&'a Sample>,
}

impl<'a> Groups<'a> {
    fn new(tau: f64, samples: &'a [Sample]) -> Self {
        let all: Vec<&Sample> = samples.iter().collect();
        let (right, wrong) = all.iter().partition::<Vec<&Sample>, _>(|sample| sample.right);
        let (failures, others) =
            wrong.iter().partition::<Vec<&Sample>, _>(|sample| sample.is_failure(tau));
        Self { tau, all, right, wrong, failures, others }
    }

    fn thresholds(&self) -> Vec<Threshold> {
        let mut taus = THRESHOLDS.to_vec();
        taus.push(self.tau);
        taus.sort_by(f64::total_cmp);
        taus.dedup();
        let threshold = |tau: f64| {
            let failures = self.wrong.iter().filter(|sample| sample.is_failure(tau)).count();
            Threshold { tau, failures, rate: stats::share(failures, self.wrong.len()) }
        };
        taus.into_iter().map(threshold).collect()
    }

    fn concentration(&self) -> Concentration {
        let split = |samples: &[&Sample]| -> (Vec<f64>, Vec<f64>) {
            let enough = samples.iter().filter(|sample| sample.mass() >= self.tau);
            enough.filter_map(|s| Some((s.mass(), f64::from(s.first.concentration?)))).unzip()
        };
        let (failure_masses, failures) = split(&self.failures);
        let (right_masses, right) = split(&self.right);
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

    fn confidence(&self) -> Confidence {
        let confidence = |samples| mean(samples, |sample| Some(sample.first.probability.into()));
        Confidence {
            hallucinations: confidence(&self.wrong),
            failures: confidence(&self.failures),
            right: confidence(&self.right),
        }
    }

    fn second_token(&self) -> SecondToken {
        let entropy = |valid: bool| {
            mean(&self.all, |sample| {
                let second = sample.second.as_ref().filter(|second| second.valid == valid)?;
                Some(second.entropy.into())
            })
        };
        let late = self.wrong.iter().filter(|sample| sample.first.begins_answer).count();
        let phrase_mass = |samples| mean(samples, |sample| Some(sample.phrases.mass));
        SecondToken {
            valid: entropy(true),
            invalid: entropy(false),
            phrase_failures: late,
            phrase_failure_rate: stats::share(late, self.wrong.len()),
            phrase_mass_failures: phrase_mass(&self.failures),
            phrase_mass_right: phrase_mass(&self.right),
        }
    }

    fn detectors(&self) -> Vec<Detector> {
        let scores: [(&str, Score); 6] = [
            ("max probability", |s| Some(-f64::from(s.first.probability))),
            ("token entropy", |s| Some(s.first.token_entropy.into())),
            ("concept entropy (spelling)", |s| Some(s.spelling.entropy.into())),
            ("concept entropy (embedding)", |s| Some(s.embedding.entropy.into())),
            ("concept entropy (aliases)", |s| Some(s.aliases.entropy.into())),
            ("semantic entropy", |s| Some(s.sampled.as_ref()?.semantic_entropy)),
        ];
        let detector = |(name, score): (&str, Score)| {
            let of = |samples: &[&Sample]| -> Vec<f64> {
                samples.iter().filter_map(|sample| score(sample)).collect()
            };
            let right = of(&self.right);
            let against_right = |samples| stats::auroc_estimate(&of(samples), &right);
            Detector {
                name: name.to_owned(),
                hallucinations: against_right(&self.wrong),
                failures: against_right(&self.failures),
                others: against_right(&self.others),
            }
        };
        scores.into_iter().map(detector).collect()
    }

    fn calibration(&self) -> Vec<CalibrationOf> {
        let confidences: [(&str, Confidently); 5] = [
            ("token", |s| (s.first.probability.into(), s.right)),
            ("concept (spelling)", |s| (s.spelling.mass.into(), s.spelling.right)),
            ("concept (embedding)", |s| (s.embedding.mass.into(), s.embedding.right)),
            ("concept (aliases)", |s| (s.aliases.mass.into(), s.aliases.right)),
            ("phrase", |s| (s.phrases.winner_mass, s.phrases.right)),
        ];
        let calibration = |(name, confidence): (&str, Confidently)| {
            let (confidences, right): (Vec<f64>, Vec<bool>) =
                self.all.iter().map(|sample| confidence(sample)).unzip();
            CalibrationOf {
                name: name.to_owned(),
                calibration: stats::calibration(&confidences, &right, BINS),
            }
        };
        confidences.into_iter().map(calibration).collect()
    }

    fn decoders(&self) -> Vec<DecoderSummary> {
        let decoders: [(&str, bool, Verdict); 4] = [
            ("spelling", false, |s| s.spelling.right),
            ("embedding", false, |s| s.embedding.right),
            ("aliases", true, |s| s.aliases.right),
            ("phrases", true, |s| s.phrases.right),
        ];
        let decoder = |(name, knows_answers, right): (&str, bool, Verdict)| {
            let right_of = |samples: &[&Sample]| samples.iter().filter(|s| right(s)).count();
            let share = |samples: &[&Sample]| stats::share(right_of(samples), samples.len());
            let broken = self.right.len() - right_of(&self.right);
            DecoderSummary {
                name: name.to_owned(),
                knows_answers,
                right: share(&self.all),
                recovered: right_of(&self.wrong),
                recovered_hallucinations: share(&self.wrong),
                recovered_failures: share(&self.failures),
                broken,
                broken_rate: stats::share(broken, self.right.len()),
            }
        };
        decoders.into_iter().map(decoder).collect()
    }

    fn temperature(&self) -> Temperature {
        let temperatures = self.all.first().map_or(&[][..], |first| &first.at_temperature);
        let mass_at = |(i, at): (usize, &super::AtTemperature)| {
            let mean = |samples: &[&Sample]| {
                let masses = samples.iter().filter_map(|sample| sample.at_temperature.get(i));
                let sum: f64 = masses.map(|at| f64::from(at.mass)).sum();
                (!samples.is_empty()).then(|| sum / samples.len() as f64)
            };
            MassAt {
                temperature: at.temperature,
                failures: mean(&self.failures),
                others: mean(&self.others),
                right: mean(&self.right),
            }
        };
        let curve = temperatures.iter().enumerate().map(mass_at).collect();
        let sampled = self.all.iter().find_map(|sample| sample.sampled.as_ref());
        let sampled = sampled.map(|sampled| SampledSummary {
            temperature: sampled.temperature,
            draws: sampled.answers.len(),
            all: sampled_shares(&self.all),
            failures: sampled_shares(&self.failures),
            others: sampled_shares(&self.others),
            right: sampled_shares(&self.right),
        });
        Temperature { curve, sampled }
    }
}

/// What a detector goes by: the larger, the likelier is the answer to be wrong.
type Score = fn(&Sample) -> Option<f64>;
/// How sure some way of answering is, and whether it is right.
type Confidently = fn(&Sample) -> (f64, bool);
/// Whether some way of answering is right.
type Verdict = fn(&Sample) -> bool;

fn mean(samples: &[&Sample], value: impl Fn(&Sample) -> Option<f64>) -> Option<Estimate> {
    stats::mean(&samples.iter().filter_map(|sample| value(sample)).collect::<Vec<_>>())
}

fn difference(a: &[f64], b: &[f64]) -> Difference {
    Difference { cohens_d: stats::cohens_d(a, b), rank_test: stats::mann_whitney(a, b) }
}

fn sampled_shares(samples: &[&Sample]) -> SampledShares {
    let drawn: Vec<&Sampled> = samples.iter().filter_map(|s| s.sampled.as_ref()).collect();
    let right = |sampled: &Sampled| sampled.answers.iter().filter(|answer| answer.right).count();
    // Answers to one question are not independent: it is questions that are resampled.
    let of_question = |sampled: &&Sampled| right(sampled) as f64 / sampled.answers.len() as f64;
    let majority = drawn.iter().filter(|sampled| sampled.majority().is_some_and(|a| a.right));
    let any = drawn.iter().filter(|sampled| right(sampled) > 0);
    let entropy = |sampled: &&Sampled| sampled.semantic_entropy;
    SampledShares {
        answers: stats::mean(&drawn.iter().map(of_question).collect::<Vec<_>>()),
        majority: stats::share(majority.count(), drawn.len()),
        any: stats::share(any.count(), drawn.len()),
        semantic_entropy: stats::mean(&drawn.iter().map(entropy).collect::<Vec<_>>()),
    }
}
