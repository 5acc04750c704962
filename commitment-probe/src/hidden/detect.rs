//! From states to what they know.

use std::collections::{BTreeMap, BTreeSet};

use super::features::{prompts, scalars, states_of};
use super::folds::{FOLDS, Folds, Place};
use super::nested::{Answers, Features, Split, Table};
use super::store::{HiddenState, HiddenStates};
use super::summary::{Area, Chosen, Contrast, Contrasted, Hidden, Predictors, WhyNot};
use crate::Result;
use crate::sample::Sample;
use crate::stats::{self, Draws, Folded};
use crate::summarise::{CALIPER, check_tau};

impl Hidden {
    /// What the `states` of a run's prompts know of its answers, of which those are strict failures
    /// that [`Sample::is_strict_failure`] at `tau` says; of answers that are right or wrong, and have
    /// states. `None` if there are none.
    ///
    /// The same samples in the same order give the same bits, on any number of threads. O(n² (D + c))
    /// for n answers of a contrast, at most 2,000, D numbers of a state, and about 30,000 products with
    /// a matrix `[n, n]`, c: seconds for 800 answers.
    ///
    /// # Errors
    ///
    /// [`Error::ProbeOption`](crate::Error::ProbeOption) unless `tau` is above 0 and at most 1.
    ///
    /// ```
    /// use commitment_probe::{Blocks, Hidden, HiddenState, HiddenStates, HiddenWriter};
    ///
    /// # let dir = std::env::temp_dir().join(format!("hidden-none-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir)?;
    /// let mut writer = HiddenWriter::open(&dir, Blocks::quarters(1))?;
    /// writer.append("a", &HiddenState { states: vec![vec![1.0]], embedding: vec![0.5] })?;
    /// let states = HiddenStates::load(&dir)?.unwrap();
    /// assert_eq!(Hidden::of(&[], &states, 0.2)?, None); // there is no answer
    /// # std::fs::remove_dir_all(dir)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(samples: &[Sample], states: &HiddenStates, tau: f64) -> Result<Option<Self>> {
        check_tau(tau)?;
        let has = |sample: &&Sample| sample.verdict.is_counted() && states.has(&sample.id);
        let samples: Vec<&Sample> = samples.iter().filter(has).collect();
        if samples.is_empty() {
            return Ok(None);
        }
        let kind = |sample: &&Sample| {
            let wrong = if sample.is_strict_failure(tau) { 1 } else { 2 };
            if sample.is_wrong() { wrong } else { 0 }
        };
        let kinds: Vec<usize> = samples.iter().map(kind).collect();
        let Folds { grouping, places } = Folds::new(&samples, &kinds);
        let mut sizes = BTreeMap::new();
        places.iter().for_each(|place| *sizes.entry(place.group).or_insert(0) += 1);
        let run = Run { samples: &samples, states, places: &places };
        let contrasts = Contrast::ALL.iter().map(|&contrast| {
            let members = members(contrast, &samples, tau);
            (contrast, run.contrast(contrast, &members))
        });
        Ok(Some(Self {
            answers: samples.len(),
            blocks: states.blocks().clone(),
            width: states.width(),
            grouping,
            groups: sizes.len(),
            largest: sizes.into_values().max().unwrap_or(0),
            contrasts: contrasts.collect(),
            places: samples.iter().map(|s| s.id.clone()).zip(places.iter().copied()).collect(),
        }))
    }
}

/// The answers of a contrast by their places, with whether each is a positive.
type Members = Vec<(usize, bool)>;

/// And how many there are of both kinds before some are taken.
fn members(contrast: Contrast, samples: &[&Sample], tau: f64) -> (Members, [usize; 2]) {
    let of = |is: &dyn Fn(&Sample) -> bool| -> Vec<usize> {
        (0..samples.len()).filter(|&i| is(samples[i])).collect()
    };
    let is_strict = |sample: &Sample| sample.is_strict_failure(tau);
    let strict = of(&is_strict);
    let (positives, negatives) = match contrast {
        Contrast::WrongRight => (of(&Sample::is_wrong), of(&Sample::is_right)),
        Contrast::StrictOther => (strict, of(&|sample| sample.is_wrong() && !is_strict(sample))),
        Contrast::StrictRight => {
            let right = of(&|sample| sample.is_right() && sample.mass() >= tau);
            let pairs = evenly(&matched(&strict, &right, samples)).into_iter();
            let members = pairs.flat_map(|(failure, right)| [(failure, true), (right, false)]);
            return (members.collect(), [strict.len(), right.len()]);
        }
    };
    let labelled =
        |of: &[usize], label| -> Members { evenly(of).into_iter().map(|i| (i, label)).collect() };
    let mut members = [labelled(&positives, true), labelled(&negatives, false)].concat();
    members.sort_unstable();
    (members, [positives.len(), negatives.len()])
}

/// Pairs of a strict failure and a right answer that are alike: both kinds have the same P-mass and
/// number of tokens in F, as far as the caliper goes; within a fold it may be otherwise, and
/// [`Contrasted::by_mass`] says how.
fn matched(failures: &[usize], right: &[usize], samples: &[&Sample]) -> Vec<(usize, usize)> {
    let masses = |of: &[usize]| of.iter().map(|&i| samples[i].mass()).collect::<Vec<f64>>();
    let firsts = |of: &[usize]| of.iter().map(|&i| samples[i].first.firsts).collect::<Vec<_>>();
    let pairs = stats::matched_within(
        &masses(failures),
        &masses(right),
        &firsts(failures),
        &firsts(right),
        CALIPER,
    );
    pairs.into_iter().map(|(i, j)| (failures[i], right[j])).collect()
}

/// At most [`Hidden::MOST`] of them, evenly.
fn evenly<T: Copy>(of: &[T]) -> Vec<T> {
    let n = of.len().min(Hidden::MOST);
    (0..n).map(|i| of[i * of.len() / n]).collect()
}

struct Run<'a> {
    samples: &'a [&'a Sample],
    states: &'a HiddenStates,
    /// Of each sample.
    places: &'a [Place],
}

/// Scores of all answers of a contrast, and what was chosen for each fold.
#[derive(Default)]
struct Scores {
    scores: Vec<f64>,
    chosen: Vec<Chosen>,
}

impl Run<'_> {
    fn contrast(&self, contrast: Contrast, (members, of): &(Members, [usize; 2])) -> Contrasted {
        let labels: Vec<bool> = members.iter().map(|(_, label)| *label).collect();
        let positives = labels.iter().filter(|label| **label).count();
        let mut found = Contrasted {
            positives,
            negatives: labels.len() - positives,
            of: *of,
            why_not: None,
            learnt: Vec::new(),
            by_mass: None,
            areas: BTreeMap::new(),
            gain: None,
            detectable: None,
            by_block: Vec::new(),
        };
        if positives.min(found.negatives) < Hidden::LEAST {
            found.why_not = Some(WhyNot::Few);
            return found;
        }
        let places: Vec<Place> = members.iter().map(|(i, _)| self.places[*i]).collect();
        let groups_of = |kind: bool| {
            let of = labels.iter().zip(&places).filter(|(label, _)| **label == kind);
            of.map(|(_, place)| place.group).collect::<BTreeSet<usize>>().len()
        };
        if groups_of(true).min(groups_of(false)) < Hidden::LEAST_GROUPS {
            found.why_not = Some(WhyNot::FewGroups);
            return found;
        }
        let answers = Answers { labels: &labels, places: &places };
        let splits: Option<Vec<Split>> = (0..FOLDS).map(|fold| answers.split(fold)).collect();
        let Some(splits) = splits else {
            found.why_not = Some(WhyNot::Uneven);
            return found;
        };
        let samples: Vec<&Sample> = members.iter().map(|(i, _)| self.samples[*i]).collect();
        let tables = Tables::new(&samples, self.states);
        let shuffled = shuffled(&labels, &places, contrast as u64);
        let (scores, by_block) = tables.score(&answers, &shuffled, &splits);
        let folds: Vec<usize> = places.iter().map(|place| place.fold).collect();
        let groups: Vec<usize> = places.iter().map(|place| place.group).collect();
        found.learnt = splits.iter().map(|split| split.train.len()).collect();
        let learnt: Vec<usize> = folds.iter().map(|&fold| found.learnt[fold]).collect();
        let learnt = Some(&learnt[..]);
        let of = Folded { positives: &labels, folds: &folds, groups: &groups, learnt };
        let masses: Vec<f64> = samples.iter().map(|sample| sample.mass()).collect();
        found.by_mass = stats::auroc_within(&masses, of);
        let area = |Scores { scores, chosen }: &Scores, positives| {
            let area = stats::auroc_within_of(scores, Folded { positives, ..of })?;
            Some(Area { area, chosen: chosen.clone() })
        };
        for (evidence, scores) in &scores {
            let positives = if *evidence == Predictors::Shuffled { &shuffled } else { &labels };
            found.areas.extend(area(scores, positives).map(|area| (*evidence, area)));
        }
        // All or none, or their places would not say which block they are of.
        let areas = by_block.iter().map(|scores| area(scores, &labels));
        found.by_block = areas.collect::<Option<_>>().unwrap_or_default();
        let both =
            [Predictors::Scalars, Predictors::Both].map(|evidence| &scores[&evidence].scores[..]);
        found.gain = stats::auroc_gain(both, of);
        found.detectable = found.gain.map(|gain| gain.low > 0.0);
        found
    }
}

/// The labels shuffled among the answers that are held out together twice, so that every fold has as
/// many of each kind as before.
fn shuffled(labels: &[bool], places: &[Place], seed: u64) -> Vec<bool> {
    let mut draws = Draws::new(seed);
    let mut shuffled = labels.to_vec();
    for (fold, inner) in (0..FOLDS).flat_map(|fold| (0..FOLDS).map(move |inner| (fold, inner))) {
        let of = |&i: &usize| (places[i].fold, places[i].inner) == (fold, inner);
        let members: Vec<usize> = (0..labels.len()).filter(of).collect();
        let mut within: Vec<bool> = members.iter().map(|&i| labels[i]).collect();
        draws.shuffle(&mut within);
        members.iter().zip(within).for_each(|(&i, label)| shuffled[i] = label);
    }
    shuffled
}

/// All that the answers of a contrast are told apart by.
struct Tables {
    numbers: Vec<usize>,
    states: Vec<Table>,
    scalars: Table,
    embedding: Table,
    length: Table,
}

impl Tables {
    fn new(samples: &[&Sample], states: &HiddenStates) -> Self {
        let of: Vec<HiddenState> = samples.iter().filter_map(|s| states.get(&s.id)).collect();
        let (embedding, length) = prompts(samples, &of);
        let numbers = states.blocks().numbers().to_vec();
        Self {
            states: (0..numbers.len()).map(|block| states_of(&of, block)).collect(),
            scalars: scalars(samples),
            embedding,
            length,
            numbers,
        }
    }

    /// The scores of all answers by all evidence, and by each block's states.
    fn score(
        &self,
        answers: &Answers,
        shuffled: &[bool],
        splits: &[Split],
    ) -> (BTreeMap<Predictors, Scores>, Vec<Scores>) {
        let n = answers.labels.len();
        let none = || Scores { scores: vec![0.0; n], chosen: Vec::new() };
        let mut all: BTreeMap<Predictors, Scores> =
            Predictors::ALL.iter().map(|&evidence| (evidence, none())).collect();
        let mut by_block: Vec<Scores> = self.states.iter().map(|_| none()).collect();
        let shuffled = Answers { labels: shuffled, ..*answers };
        for split in splits {
            let scaled = |table: &Table| table.scaled(&split.train);
            let blocks: Vec<Vec<f64>> =
                self.states.iter().map(|table| scaled(table).products()).collect();
            let few = scaled(&self.scalars);
            let prompt = [scaled(&self.embedding).products()];
            let length = scaled(&self.length);
            let states = Features { blocks: &blocks, few: None };
            let of_states = answers.score(split, states);
            let of_few = answers.score(split, Features { blocks: &[], few: Some((&few, None)) });
            // The scalars have the penalty that is best for them alone: without the states, it is them.
            let both = Features { blocks: &blocks, few: Some((&few, Some(of_few.best().0))) };
            let of_prompt = Features { blocks: &prompt, few: Some((&length, None)) };
            for (block, (lambda, scores)) in of_states.by_block.iter().enumerate() {
                let chosen = Chosen { block: Some(self.numbers[block]), lambda: *lambda };
                by_block[block].put(split, scores, chosen);
            }
            let found = [
                (Predictors::Both, answers.score(split, both), true),
                (Predictors::Prompt, answers.score(split, of_prompt), false),
                (Predictors::Shuffled, shuffled.score(split, states), true),
                (Predictors::States, of_states, true),
                (Predictors::Scalars, of_few, false),
            ];
            for (evidence, scored, of_block) in found {
                let (lambda, scores) = scored.best();
                let block = of_block.then(|| self.numbers[scored.block]);
                all.entry(evidence).or_default().put(split, scores, Chosen { block, lambda });
            }
        }
        (all, by_block)
    }
}

impl Scores {
    /// Puts the scores of what is held out where it is.
    fn put(&mut self, split: &Split, scores: &[f64], chosen: Chosen) {
        split.test.iter().zip(scores).for_each(|(&i, score)| self.scores[i] = *score);
        self.chosen.push(chosen);
    }
}
