//! Runs side by side: question by question, and over sizes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::sample::Sample;
use super::stats::{self, Estimate, Trend};
use super::summarise::{Members, check_tau};
use crate::Result;

/// A run beside the first, question by question: of questions that both have, by id.
/// `docs/MEASURES.md` defines every quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The first run's name.
    pub first: String,
    /// The other's.
    pub second: String,
    /// The questions that both have.
    pub shared: usize,
    /// Why the difference may not be that of the models: what else differs.
    pub warnings: Vec<String>,
    /// Wrong in the second less wrong in the first, of questions right or wrong in both.
    pub wrong: Paired,
    /// The same of the P-mass, which has no test.
    pub mass: Option<Estimate>,
    /// Commitment failures in the second less in the first, of questions wrong, and localised, in
    /// both.
    pub failures: Paired,
    /// The same of strict failures.
    pub strict: Paired,
}

/// A difference of two shares over the same questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paired {
    /// Its mean.
    pub difference: Option<Estimate>,
    /// The questions counted in the first run alone.
    pub only_first: usize,
    /// The questions counted in the second run alone.
    pub only_second: usize,
    /// McNemar's test: exact, or by groups.
    pub p: Option<f64>,
}

/// Whether rates rise with the size of the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trends {
    /// The parameters of each run's model, in the order of the runs; none where it is not known.
    pub parameters: Vec<Option<u64>>,
    /// Of the paper's rate.
    pub failures: Option<Trend>,
    /// Of the strict rate.
    pub strict: Option<Trend>,
}

/// A run to be compared: its name and its samples.
#[derive(Debug, Clone, Copy)]
pub struct Compared<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its samples.
    pub samples: &'a [Sample],
}

impl Comparison {
    /// Compares `second` with `first`. `warnings` say what else differs, such as the prompts; that
    /// scorers or questions do is found here.
    ///
    /// # Errors
    ///
    /// [`Error::ProbeOption`](crate::Error::ProbeOption) unless `tau` is above 0 and at most 1.
    ///
    /// ```
    /// use commitment_probe::{Compared, Comparison};
    ///
    /// let [first, second] = ["base", "instruct"].map(|name| Compared { name, samples: &[] });
    /// let comparison = Comparison::of(first, second, 0.2, vec![])?;
    /// assert_eq!((comparison.shared, comparison.wrong.difference), (0, None));
    /// # Ok::<(), commitment_probe::Error>(())
    /// ```
    pub fn of(
        first: Compared,
        second: Compared,
        tau: f64,
        mut warnings: Vec<String>,
    ) -> Result<Self> {
        check_tau(tau)?;
        let by_id: BTreeMap<&str, &Sample> =
            second.samples.iter().map(|sample| (sample.id.as_str(), sample)).collect();
        let members = Members::new(first.samples).filter(|s| by_id.contains_key(s.id.as_str()));
        let other = |sample: &Sample| by_id[sample.id.as_str()];
        warnings.extend(differences(first, second, members.len()));
        let counted = members.filter(|s| s.verdict.is_counted() && other(s).verdict.is_counted());
        let is = |s: &Sample| s.is_wrong() && s.localised;
        let wrong = members.filter(|s| is(s) && is(other(s)));
        Ok(Self {
            first: first.name.to_owned(),
            second: second.name.to_owned(),
            shared: members.len(),
            warnings,
            wrong: paired(&counted, other, Sample::is_wrong),
            mass: counted.mean(|sample| Some(other(sample).mass() - sample.mass())),
            failures: paired(&wrong, other, |sample| sample.is_failure(tau)),
            strict: paired(&wrong, other, |sample| sample.is_strict_failure(tau)),
        })
    }
}

impl Trends {
    /// Whether the rates of `runs` rise with the `parameters` of their models; of runs of which the
    /// parameters are known. None with fewer than three sizes.
    ///
    /// # Errors
    ///
    /// [`Error::ProbeOption`](crate::Error::ProbeOption) unless `tau` is above 0 and at most 1.
    ///
    /// ```
    /// use commitment_probe::{Compared, Trends};
    ///
    /// let runs = ["1b", "8b"].map(|name| Compared { name, samples: &[] });
    /// assert_eq!(Trends::of(&runs, &[Some(1_000_000_000), Some(8_000_000_000)], 0.2)?, None);
    /// # Ok::<(), commitment_probe::Error>(())
    /// ```
    pub fn of(runs: &[Compared], parameters: &[Option<u64>], tau: f64) -> Result<Option<Self>> {
        check_tau(tau)?;
        let known: Vec<(&Compared, u64)> =
            runs.iter().zip(parameters).filter_map(|(run, of)| Some((run, (*of)?))).collect();
        let sizes: BTreeSet<u64> = known.iter().map(|(_, size)| *size).collect();
        if sizes.len() < 3 {
            return Ok(None);
        }
        let sizes: Vec<f64> = known.iter().map(|(_, size)| *size as f64).collect();
        let mut places: BTreeMap<&str, Vec<Option<&Sample>>> = BTreeMap::new();
        for (place, (run, _)) in known.iter().enumerate() {
            for sample in run.samples {
                let of = places.entry(&sample.id).or_insert_with(|| vec![None; known.len()]);
                of[place] = Some(sample);
            }
        }
        let mut names = BTreeMap::new();
        let mut label = |id: &str, of: &[Option<&Sample>]| {
            let group = of.iter().flatten().find_map(|sample| sample.group.clone());
            let next = names.len();
            *names.entry(group.ok_or(id.to_owned())).or_insert(next)
        };
        let labels: Vec<usize> = places.iter().map(|(id, of)| label(id, of)).collect();
        let trend = |fails: &dyn Fn(&Sample) -> bool| {
            let is = |sample: &&Sample| sample.is_wrong() && sample.localised;
            let of = |sample: Option<&Sample>| sample.filter(is).map(fails);
            let blocks = places.values().map(|all| all.iter().map(|s| of(*s)).collect());
            let blocks: Vec<Vec<Option<bool>>> = blocks.collect();
            stats::trend(&sizes, &blocks, Some(&labels))
        };
        Ok(Some(Self {
            parameters: parameters.to_vec(),
            failures: trend(&|sample| sample.is_failure(tau)),
            strict: trend(&|sample| sample.is_strict_failure(tau)),
        }))
    }
}

/// The difference in how often something holds, of samples of the first run and those of the
/// second that `other` finds.
fn paired<'a>(
    of: &Members,
    other: impl Fn(&Sample) -> &'a Sample,
    holds: impl Fn(&Sample) -> bool,
) -> Paired {
    let both = of.samples.iter().map(|sample| (holds(sample), holds(other(sample))));
    let both: Vec<(bool, bool)> = both.collect();
    let only_first = both.iter().filter(|both| **both == (true, false)).count();
    let only_second = both.iter().filter(|both| **both == (false, true)).count();
    let number = |sample: &Sample| f64::from(u8::from(holds(sample)));
    Paired {
        difference: of.mean(|sample| Some(number(other(sample)) - number(sample))),
        only_first,
        only_second,
        p: stats::mcnemar_of(&both, of.labels()),
    }
}

/// What the samples themselves show to be different.
fn differences(first: Compared, second: Compared, shared: usize) -> Vec<String> {
    let mut warnings = Vec::new();
    let scorer = |run: Compared| run.samples.first().map(|sample| sample.scorer);
    if let (Some(one), Some(other)) = (scorer(first), scorer(second))
        && one != other
    {
        warnings.push(format!(
            "{one} decided what is right in {}, and {other} in {}",
            first.name, second.name
        ));
    }
    let (of_first, of_second) = (first.samples.len(), second.samples.len());
    if shared < of_first.max(of_second) {
        warnings.push(format!(
            "{shared} questions are in both, of {of_first} in {} and {of_second} in {}",
            first.name, second.name
        ));
    }
    warnings
}
