//! What the numbers of a run rest on: how it was made, and the cases that are shown of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::measure::seed;
use crate::stats::mixed;
use crate::{Kind, Sample};

/// At most so many cases of each kind are shown.
const SHOWN: usize = 10;

/// How a run was made, and which of its answers are shown.
///
/// ```
/// use commitment_probe::{Evidence, Kind};
///
/// let settings = [("scorer".to_owned(), "exact".into())].into();
/// let evidence = Evidence::of(&[], 0.2, 0).with_settings(settings, [].into());
/// assert_eq!(evidence.settings["scorer"], "exact");
/// assert_eq!(evidence.cases[&Kind::StrictFailure].number, 0);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The settings of the run, by name, as its folder has them.
    pub settings: BTreeMap<String, Value>,
    /// What is known of its model, by name, and of the first prompt, likewise; empty before the
    /// model was read.
    pub model: BTreeMap<String, Value>,
    /// The answers that are not right, by kind: every kind is there.
    pub cases: BTreeMap<Kind, Cases>,
}

/// The answers of one kind.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cases {
    /// How many there are.
    pub number: usize,
    /// The ids of those that are shown, ten at most, in the order in which they were chosen.
    pub shown: Vec<String>,
}

impl Evidence {
    /// The cases among `samples`, if commitment failures are those with a P-mass of `tau` or more.
    ///
    /// They are chosen by a hash of `seed` and id, so that whether one is chosen before another does
    /// not depend on what else was asked, nor on the order of the samples.
    pub fn of(samples: &[Sample], tau: f64, seed: u64) -> Self {
        let cases = |&kind: &Kind| (kind, Cases::of(samples, kind, tau, seed));
        Self { cases: Kind::ALL.iter().map(cases).collect(), ..Self::default() }
    }

    /// Says how the run was made: its settings, and what is known of its model.
    #[must_use]
    pub fn with_settings(
        self,
        settings: BTreeMap<String, Value>,
        model: BTreeMap<String, Value>,
    ) -> Self {
        Self { settings, model, ..self }
    }
}

impl Cases {
    fn of(samples: &[Sample], kind: Kind, tau: f64, seed: u64) -> Self {
        let of_kind = samples.iter().filter(|sample| sample.kind(tau) == Some(kind));
        let mut ids: Vec<(u64, &str)> =
            of_kind.map(|sample| (rank(seed, &sample.id), sample.id.as_str())).collect();
        let number = ids.len();
        ids.sort_unstable();
        ids.truncate(SHOWN);
        Self { number, shown: ids.into_iter().map(|(_, id)| id.to_owned()).collect() }
    }
}

/// The place of a question in the order in which cases are chosen: SplitMix64's finaliser over
/// FNV-1a, whose first bits alone hardly depend on an id's last character.
fn rank(of_run: u64, id: &str) -> u64 {
    mixed(seed(of_run, id))
}

#[cfg(test)]
mod tests {
    use super::rank;

    /// Those that `check_report` computes.
    #[test]
    fn ranks_are_known_and_do_not_follow_the_ids() {
        assert_eq!(rank(0, "npl-capital"), 0x6BA0_FC42_E6D8_81B1);
        assert_eq!(rank(1, "Łódź"), 0x4637_90DA_E630_9F2C);
        let mut ids: Vec<String> = (0..1000).map(|i| format!("question-{i:04}")).collect();
        ids.sort_by_key(|id| rank(7, id));
        let early = ids[..100].iter().filter(|id| id.as_str() < "question-0500").count();
        assert!((30..70).contains(&early), "{early}");
    }
}
