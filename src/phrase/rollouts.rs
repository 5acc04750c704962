use crate::Row;
use crate::ln::{heaviest, ln_sum};
use crate::phrase::PhraseError;

/// When to look beyond the first token, and how far.
///
/// Values out of range are refused by the constructors of
/// [`OpenVocabulary`](crate::phrase::OpenVocabulary).
///
/// ```
/// use concept_mass::phrase::Rollouts;
///
/// let rollouts = Rollouts { k: 4, ..Rollouts::default() };
/// assert_eq!(rollouts.length, 8);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rollouts {
    /// How many of the step's likeliest tokens are rolled out, at least 1.
    pub k: usize,
    /// The most tokens of a continuation, its first one included, at least 1.
    pub length: usize,
    /// Tokens with a smaller probability are not rolled out, except for the likeliest; from 0 to 1.
    pub floor: f32,
    /// A vote is split if the winning concept leads the second by less than this probability; at
    /// least 0, and above 1 every vote is split.
    pub margin: f32,
    /// A vote is split, too, if the winner's likeliest token has less than this share of its mass;
    /// from 0 to 1.
    pub concentration: f32,
}

impl Default for Rollouts {
    fn default() -> Self {
        Self { k: 8, length: 8, floor: 0.02, margin: 0.2, concentration: 0.5 }
    }
}

impl Rollouts {
    /// Whether the vote of `row` is split.
    pub fn is_split(&self, row: &Row) -> bool {
        row.margin() < self.margin || row.concentration() < self.concentration
    }

    pub(super) fn check(self) -> Result<Self, PhraseError> {
        at_least_1("k", self.k)?;
        at_least_1("length", self.length)?;
        for (parameter, value) in [("floor", self.floor), ("concentration", self.concentration)] {
            if !(0.0..=1.0).contains(&value) {
                let (value, requirement) = (value.into(), "it must be from 0 to 1");
                return Err(PhraseError::Parameter { parameter, value, requirement });
            }
        }
        if self.margin >= 0.0 {
            return Ok(self);
        }
        let (value, requirement) = (self.margin.into(), "it must be 0 or more");
        Err(PhraseError::Parameter { parameter: "margin", value, requirement })
    }
}

/// `value`, unless it is 0.
pub(super) fn at_least_1(parameter: &'static str, value: usize) -> Result<usize, PhraseError> {
    let requirement = "it must be 1 or more";
    match value {
        0 => Err(PhraseError::Parameter { parameter, value: 0.0, requirement }),
        _ => Ok(value),
    }
}

/// One of the ways in which an answer may go on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Continuation {
    /// Its tokens, at least one; the last may end the answer.
    pub tokens: Vec<u32>,
    /// `ln Π P(token)`.
    pub ln_probability: f64,
    /// Its meaning: an index into [`OpenVote::ln_masses`].
    pub meaning: usize,
}

/// The continuations of a split step, and which of them mean the same.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenVote {
    /// In the order of their first tokens' probabilities, the likeliest first.
    pub continuations: Vec<Continuation>,
    /// The natural log of each meaning's mass; meanings are numbered in the order in which they
    /// appear among the continuations.
    pub ln_masses: Vec<f64>,
    /// What is said, an index into [`continuations`](Self::continuations): the likeliest continuation
    /// of the heaviest meaning. Of equal meanings, it is the one with the lowest number; of equal
    /// continuations, the one whose tokens are the lowest, compared one after the other.
    pub said: usize,
}

impl OpenVote {
    /// Counts `continuations`, at least one, by groups of those that mean the same; a continuation in
    /// no group has a meaning of its own.
    pub(super) fn count(mut continuations: Vec<Continuation>, groups: &[Vec<usize>]) -> Self {
        // The first of each group stands for it.
        let mut first: Vec<usize> = (0..continuations.len()).collect();
        for group in groups {
            let Some(&least) = group.iter().min() else { continue };
            group.iter().for_each(|&member| first[member] = least);
        }
        let mut members = Vec::<Vec<f64>>::new();
        for i in 0..continuations.len() {
            let meaning = match first[i] {
                own if own == i => {
                    members.push(Vec::new());
                    members.len() - 1
                }
                earlier => continuations[earlier].meaning,
            };
            continuations[i].meaning = meaning;
            members[meaning].push(continuations[i].ln_probability);
        }
        let ln_masses: Vec<f64> = members.into_iter().map(|lns| ln_sum(lns).min(0.0)).collect();
        let meaning = heaviest(ln_masses.iter().copied().zip(0..));
        let of_meaning =
            continuations.iter().enumerate().filter(|(_, c)| Some(c.meaning) == meaning);
        let said = heaviest(of_meaning.map(|(i, c)| (c.ln_probability, (&c.tokens, i))));
        // Continuations consist of likeliest tokens, so each has some probability.
        let said = said.map_or(0, |(_, i)| i);
        Self { continuations, ln_masses, said }
    }

    /// The mass of a meaning, in `[0, 1]`: the sum of its continuations' probabilities. 0 for a
    /// number that no meaning has, and where it is below about `1e-308`.
    pub fn mass(&self, meaning: usize) -> f64 {
        self.ln_masses.get(meaning).map_or(0.0, |ln| ln.exp())
    }

    /// The tokens of what is [`said`](Self::said).
    pub fn answer(&self) -> &[u32] {
        self.continuations.get(self.said).map_or(&[], |continuation| &continuation.tokens)
    }
}
