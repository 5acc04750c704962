//! What hidden states were found to know.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::folds::{Grouping, Place};
use super::store::Blocks;
use crate::stats::Estimate;

keys! {
    /// Two kinds of answers that are to be told apart, the positives first.
    ///
    /// ```
    /// use commitment_probe::Contrast;
    ///
    /// assert_eq!(serde_json::to_string(&Contrast::StrictRight)?, r#""strict_right""#);
    /// assert_eq!(Contrast::WrongRight.to_string(), "wrong against right");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub enum Contrast {
        /// Wrong answers and right ones.
        WrongRight => "wrong against right",
        /// Strict failures and right answers, in pairs of one P-mass and equally many tokens in F.
        StrictRight => "strict failure against right, matched",
        /// Strict failures and all other wrong answers.
        StrictOther => "strict failure against other wrong",
    }
}

keys! {
    /// What a model goes by that tells answers apart.
    ///
    /// ```
    /// use commitment_probe::Predictors;
    ///
    /// assert_eq!(Predictors::Both.to_string(), "states and scalars");
    /// ```
    pub enum Predictors {
        /// The state after one block.
        States => "states",
        /// Numbers of the first step that know no answer: entropies, largest probability, margin.
        Scalars => "scalars",
        /// Both together.
        Both => "states and scalars",
        /// The mean embedding of the prompt's tokens, and how many there are.
        Prompt => "prompt",
        /// The states, but labels that were shuffled.
        Shuffled => "shuffled labels",
    }
}

/// What the hidden states of a run know of its answers. `docs/MEASURES.md` defines every quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hidden {
    /// The right and wrong answers that have states.
    pub answers: usize,
    /// The blocks that the states are of.
    pub blocks: Blocks,
    /// The numbers of a state.
    pub width: usize,
    /// What questions that are held out together have in common.
    pub grouping: Grouping,
    /// How many groups of questions that makes.
    pub groups: usize,
    /// The questions of the largest.
    pub largest: usize,
    /// Where each question is held out, by its id.
    pub places: BTreeMap<String, Place>,
    /// What is told apart.
    pub contrasts: BTreeMap<Contrast, Contrasted>,
}

/// How well two kinds of answers are told apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Contrasted {
    /// How many positives there are.
    pub positives: usize,
    /// How many negatives.
    pub negatives: usize,
    /// How many positives and negatives the run has; fewer are taken where there are more than
    /// [`MOST`](Hidden::MOST), or where they are matched.
    pub of: [usize; 2],
    /// Why nothing is shown, if nothing is.
    pub why_not: Option<WhyNot>,
    /// From how many answers each fold's model has learnt; empty if nothing is shown.
    pub learnt: Vec<usize>,
    /// The area by P-mass, over pairs of one fold: what is left of it where kinds are matched, and
    /// what an oracle would see where they are not; none if nothing is shown.
    pub by_mass: Option<f64>,
    /// The area under the ROC curve, by evidence; empty if nothing is shown.
    pub areas: BTreeMap<Predictors, Area>,
    /// The area of states and scalars, less that of scalars alone.
    pub gain: Option<Estimate>,
    /// Whether that gain is above 0, its whole interval.
    pub detectable: Option<bool>,
    /// The area of each block's states alone, in the order of the blocks.
    pub by_block: Vec<Area>,
}

/// Why two kinds of answers are not told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WhyNot {
    /// There are fewer than [`LEAST`](Hidden::LEAST) of one kind.
    Few,
    /// Those of one kind are of fewer than [`LEAST_GROUPS`](Hidden::LEAST_GROUPS) groups of questions
    /// that are held out together.
    FewGroups,
    /// Some fold has none of one kind, or leaves fewer than [`LEARNT`](Hidden::LEARNT) of one to learn
    /// from.
    Uneven,
}

/// How well answers are told apart that the model had not seen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Area {
    /// The area under the ROC curve, over pairs of one fold.
    pub area: Estimate,
    /// What was chosen for each fold.
    pub chosen: Vec<Chosen>,
}

/// What a fold's model was chosen to be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// The number of the block, the first being 1; none if there is nothing of a block in it.
    pub block: Option<usize>,
    /// The penalty.
    pub lambda: f64,
}

impl Hidden {
    /// With fewer answers of a kind nothing is shown.
    pub const LEAST: usize = 50;

    /// With a kind of fewer groups of questions nothing is shown: there is no interval.
    pub const LEAST_GROUPS: usize = 5;

    /// So many of a kind must be left to learn from, whatever fold is held out.
    pub const LEARNT: usize = super::nested::LEARNT;

    /// Of more answers of a kind, so many are taken, evenly from the run's order: the time that it
    /// takes grows as their square.
    pub const MOST: usize = 1000;
}
