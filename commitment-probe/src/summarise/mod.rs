//! From samples to a summary.

mod concentration;
mod failures;
mod measures;

use std::collections::BTreeMap;

use super::sample::Sample;
use super::stats::{self, Estimate};
use super::summary::*;
use crate::{Error, Hidden, Outcome, Result, Scorer, Verdict};
pub(crate) use concentration::ROUNDED_UP as CALIPER;
use concentration::concentration;
use failures::{failures, rates};

/// The thresholds at which commitment failures are counted, besides that of the summary.
const THRESHOLDS: [f64; 7] = [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4];

/// Where a smaller share of the answers is localised, there is no headline.
const LOCALISED: f64 = 0.8;

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
        check_tau(tau)?;
        let all = Members::new(samples);
        let groups = Outcomes::new(tau, &all);
        let counted = groups.of(Outcome::All);
        let localised = counted.share(|sample| sample.localised);
        let of_localised = groups.of(Outcome::Hallucination).filter(|sample| sample.localised);
        let step = |step| concentration(&groups, step);
        Ok(Self {
            name: name.into(),
            samples: samples.len(),
            planned,
            groups: all.num_groups(),
            verdicts: verdicts(samples),
            scorer: samples.first().map(|sample| sample.scorer),
            hallucination_rate: counted.share(Sample::is_wrong),
            cut_as_wrong: all
                .filter(|sample| sample.verdict.is_counted() || sample.verdict == Verdict::Cut)
                .share(|sample| !sample.is_right()),
            by_scorer: by_scorer(&all),
            says_nothing: counted.share(Sample::says_nothing),
            withheld: localised.is_some_and(|share| share.value < LOCALISED),
            localised,
            tau,
            failures: failures(&of_localised, tau),
            all_failures: failures(&groups.of(Outcome::Hallucination), tau),
            thresholds: thresholds(&of_localised, tau),
            uninformative: uninformative(samples),
            concentration: step(concentration::Step::First),
            informative_concentration: step(concentration::Step::Informative),
            confidence: groups.each(Outcome::ALL, |of| of.mean(winner)),
            wrong_winner_confidence: groups
                .of(Outcome::Hallucination)
                .filter(|sample| !sample.first.begins_answer)
                .mean(winner),
            later: measures::later(&groups),
            detectors: measures::detectors(&groups),
            calibration: measures::calibration(&groups),
            decoders: measures::decoders(&groups),
            temperature: measures::temperature(&groups),
            hidden: None,
        })
    }

    /// Adds what hidden states know, if they were stored.
    ///
    /// ```
    /// use commitment_probe::Summary;
    ///
    /// let summary = Summary::of("no states", 0, 0.2, &[])?.with_hidden(None);
    /// assert_eq!(summary.hidden, None);
    /// # Ok::<(), commitment_probe::Error>(())
    /// ```
    #[must_use]
    pub fn with_hidden(self, hidden: Option<Hidden>) -> Self {
        Self { hidden, ..self }
    }
}

/// Fails unless a P-mass can reach `tau`.
pub(crate) fn check_tau(tau: f64) -> Result<()> {
    if tau > 0.0 && tau <= 1.0 {
        return Ok(());
    }
    Err(Error::ProbeOption {
        option: "tau",
        value: tau.to_string(),
        requirement: "a P-mass must be able to reach it: it must be above 0 and at most 1",
    })
}

/// Samples, and the groups that they belong to.
#[derive(Clone)]
pub(crate) struct Members<'a> {
    pub samples: Vec<&'a Sample>,
    /// Of each sample; none if no sample of the run has a group.
    labels: Option<Vec<usize>>,
}

impl<'a> Members<'a> {
    /// A sample without a group is one of its own, if others have any.
    pub fn new(samples: &'a [Sample]) -> Self {
        let samples: Vec<&Sample> = samples.iter().collect();
        let labels = samples.iter().any(|sample| sample.group.is_some()).then(|| {
            let mut names = BTreeMap::new();
            let mut label = |(place, sample): (usize, &&'a Sample)| {
                let next = names.len();
                // An id may be the name of a group, too.
                let name = sample.group.as_deref().ok_or(place);
                *names.entry(name).or_insert(next)
            };
            samples.iter().enumerate().map(&mut label).collect()
        });
        Self { samples, labels }
    }

    pub fn len(&self) -> usize {
        self.samples.len()
    }

    fn num_groups(&self) -> Option<usize> {
        let mut labels = self.labels.clone()?;
        labels.sort_unstable();
        labels.dedup();
        Some(labels.len())
    }

    pub fn filter(&self, keep: impl Fn(&Sample) -> bool) -> Self {
        let places = (0..self.len()).filter(|&i| keep(self.samples[i]));
        let places: Vec<usize> = places.collect();
        Self {
            samples: places.iter().map(|&i| self.samples[i]).collect(),
            labels: self.labels.as_ref().map(|labels| places.iter().map(|&i| labels[i]).collect()),
        }
    }

    /// The share of the samples of which something holds.
    pub fn share(&self, holds: impl Fn(&Sample) -> bool) -> Option<Estimate> {
        let hits: Vec<bool> = self.samples.iter().map(|sample| holds(sample)).collect();
        stats::share_of(&hits, self.labels.as_deref())
    }

    /// The mean of what samples have.
    pub fn mean(&self, value: impl Fn(&Sample) -> Option<f64>) -> Option<Estimate> {
        let (values, labels) = self.values(value);
        stats::mean_of(&values, labels.as_deref())
    }

    /// What samples have, and the groups of those that have it.
    fn values(&self, value: impl Fn(&Sample) -> Option<f64>) -> (Vec<f64>, Option<Vec<usize>>) {
        let found = self.samples.iter().enumerate();
        let found = found.filter_map(|(i, sample)| Some((i, value(sample)?)));
        let (places, values): (Vec<usize>, Vec<f64>) = found.unzip();
        let labels = self.labels.as_ref();
        (values, labels.map(|labels| places.iter().map(|&i| labels[i]).collect()))
    }

    /// The groups of the samples, if the run has any.
    pub fn labels(&self) -> Option<&[usize]> {
        self.labels.as_deref()
    }
}

/// The samples of each outcome.
struct Outcomes<'a> {
    tau: f64,
    by_outcome: BTreeMap<Outcome, Members<'a>>,
}

impl<'a> Outcomes<'a> {
    fn new(tau: f64, all: &Members<'a>) -> Self {
        let of =
            |&outcome: &Outcome| (outcome, all.filter(|sample| sample.has_outcome(outcome, tau)));
        Self { tau, by_outcome: Outcome::ALL.iter().map(of).collect() }
    }

    fn of(&self, outcome: Outcome) -> Members<'a> {
        self.by_outcome[&outcome].clone()
    }

    fn each<T>(&self, outcomes: &[Outcome], value: impl Fn(&Members<'a>) -> T) -> ByOutcome<T> {
        outcomes.iter().map(|&outcome| (outcome, value(&self.by_outcome[&outcome]))).collect()
    }
}

/// The probability of the greedy token.
#[expect(clippy::unnecessary_wraps, reason = "as every value of a sample, it may be none")]
fn winner(sample: &Sample) -> Option<f64> {
    Some(sample.first.probability.into())
}

fn verdicts(samples: &[Sample]) -> BTreeMap<Verdict, usize> {
    let count = |&verdict: &Verdict| {
        (verdict, samples.iter().filter(|sample| sample.verdict == verdict).count())
    };
    Verdict::ALL.iter().map(count).collect()
}

/// The wrong answers' share of those that are right or wrong by each scorer that was asked of all that
/// it could be asked of.
fn by_scorer(all: &Members) -> BTreeMap<Scorer, Option<Estimate>> {
    let is_asked = |scorer: Scorer| {
        all.samples.iter().all(|sample| {
            sample.otherwise == Verdict::Empty || sample.accepted.contains_key(&scorer)
        })
    };
    let rate = |&scorer: &Scorer| {
        let by = |sample: &Sample| sample.verdict_by(scorer);
        let counted = all.filter(|sample| by(sample).is_some_and(Verdict::is_counted));
        (scorer, counted.share(|sample| by(sample) == Some(Verdict::Wrong)))
    };
    let asked = Scorer::ALL.iter().filter(|scorer| all.len() > 0 && is_asked(**scorer));
    asked.map(rate).collect()
}

fn thresholds(wrong: &Members, tau: f64) -> Vec<Threshold> {
    let mut taus = THRESHOLDS.to_vec();
    taus.push(tau);
    taus.sort_by(f64::total_cmp);
    taus.dedup();
    let threshold = |tau| Threshold {
        tau,
        first: rates(wrong, tau, failures::FIRST),
        informative: rates(wrong, tau, failures::INFORMATIVE),
    };
    taus.into_iter().map(threshold).collect()
}

fn uninformative(samples: &[Sample]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for token in samples.iter().flat_map(|sample| &sample.informative.passed) {
        *counts.entry(token.clone()).or_insert(0) += 1;
    }
    counts
}
