//! What is to be asked in a run, and what a question's measures depend on beyond itself: which tokens
//! begin the answers of others, and whose forms are exchanged for its own.

use std::collections::{BTreeSet, HashMap, HashSet};

use concept_mass::source::Vocabulary;
use rand::{SeedableRng, rngs::StdRng, seq::index};
use rayon::prelude::*;

use super::forms::Forms;
use super::informative::{Cut, Uninformative};
use super::seed;
use crate::scorer::key;
use crate::{Question, Result};

/// A question as it is put to the model.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The question, and its answers.
    pub question: &'a Question,
    /// The text that the answer is to follow.
    pub prompt: &'a str,
    /// Its tokens, including those that the model expects at the beginning of any text.
    pub tokens: &'a [u32],
}

/// All questions of a run as they are put to the model; from [`Prober::plan`](crate::Prober::plan).
pub struct Plan<'a> {
    pub(super) asked: Vec<Asked<'a>>,
    pub(super) forms: Vec<Forms>,
    /// Of each token, how many questions have an answer that it begins.
    begun: HashMap<u32, usize>,
    /// Of each question, the cuts of its forms.
    pub(super) cuts: Vec<BTreeSet<Cut>>,
    /// Of each question, the places of those whose forms are exchanged for its own.
    pub(super) exchanges: Vec<Vec<usize>>,
}

/// The number of questions.
impl std::fmt::Debug for Plan<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("questions", &self.asked.len()).finish_non_exhaustive()
    }
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        asked: Vec<Asked<'a>>,
        vocabulary: &Vocabulary,
        exchanges: usize,
        seed: u64,
    ) -> Result<Self> {
        let forms = asked.par_iter().map(|asked| Forms::find(asked, vocabulary));
        let forms: Vec<Forms> = forms.collect::<Result<_>>()?;
        let mut begun = HashMap::new();
        for token in forms.iter().flat_map(|forms| &forms.right) {
            *begun.entry(*token).or_insert(0) += 1;
        }
        let exchanges = partners(&asked, &forms, exchanges, seed);
        let mut plan = Self { asked, forms, begun, cuts: Vec::new(), exchanges };
        let cuts = |i: usize| plan.uninformative(i, vocabulary).cuts(&plan.forms[i].sequences);
        plan.cuts = (0..plan.asked.len()).into_par_iter().map(cuts).collect();
        Ok(plan)
    }

    pub(super) fn uninformative<'p>(
        &'p self,
        i: usize,
        vocabulary: &'p Vocabulary,
    ) -> Uninformative<'p> {
        let (begun, own) = (&self.begun, self.forms[i].right.as_slice());
        Uninformative { vocabulary, begun, others: self.asked.len() - 1, own }
    }
}

/// Of each question up to `exchanges` others that share no form with it, by the seed and its id. A
/// question none of whose forms can begin an answer has no mass, and is no other's.
fn partners(asked: &[Asked], forms: &[Forms], exchanges: usize, by: u64) -> Vec<Vec<usize>> {
    let keys = |asked: &Asked| -> HashSet<String> {
        asked.question.answers().iter().map(|form| key(form)).collect()
    };
    let keys: Vec<HashSet<String>> = asked.par_iter().map(keys).collect();
    let of = |i: usize| {
        let mut rng = StdRng::seed_from_u64(seed(by, asked[i].question.id()));
        // More than are wanted, as some may not do.
        let drawn = asked.len().min(4 * exchanges + 16);
        let drawn = index::sample(&mut rng, asked.len(), drawn).into_iter();
        let fits = |&j: &usize| forms[j].note.is_none() && j != i && keys[i].is_disjoint(&keys[j]);
        drawn.filter(fits).take(exchanges).collect()
    };
    (0..asked.len()).into_par_iter().map(of).collect()
}
