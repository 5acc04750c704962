//! What the probe asks of a language model.
//!
//! The measures need distributions after a prompt, the probabilities of given continuations, greedy
//! and sampled ones, and nothing else: no tensor. So the model may be in this process, or a server
//! that answers over HTTP.

use std::collections::BTreeMap;

use crate::{Error, Result, Stops};

/// A language model, by the questions that can be put to it.
///
/// [`InProcess`](crate::InProcess) implements it for whatever gives logits. All log-probabilities are
/// natural, at temperature 1, in `[-inf, 0]`.
///
/// ```
/// use commitment_probe::{Continued, LanguageModel, Result, Sampling, Start, Step, Until};
///
/// /// Says 1, 2, 3, … and is sure of it.
/// struct Counter;
///
/// impl LanguageModel for Counter {
///     fn vocab_size(&self) -> usize {
///         10
///     }
///     fn all(&mut self, sequences: &[Vec<u32>]) -> Result<Vec<Vec<f64>>> {
///         let next = |s: &[u32]| s.last().map_or(0, |last| last + 1);
///         let row = |s| (0..10).map(move |t| if t == next(s) { 0.0 } else { f64::NEG_INFINITY });
///         Ok(sequences.iter().map(|s| row(s).collect()).collect())
///     }
///     fn greedy(&mut self, starts: &[Start], until: &Until) -> Result<Vec<Vec<Step>>> {
///         // …
/// #       let _ = (starts, until);
/// #       Ok(Vec::new())
///     }
///     fn sample(&mut self, asked: &[Sampling], until: &Until) -> Result<Vec<Vec<Vec<u32>>>> {
///         // …
/// #       let _ = (asked, until);
/// #       Ok(Vec::new())
///     }
/// }
///
/// assert_eq!(Counter.likeliest(&[vec![3]], 1)?, [[(4, 0.0)]]);
/// let asked = Continued { prompt: &[3], continuations: vec![vec![4], vec![4, 6]] };
/// assert_eq!(Counter.score(&[asked.clone()], &[])?, [[0.0, f64::NEG_INFINITY]]);
/// assert_eq!(Counter.score(&[asked], &[5, 9])?[0][0], 0.0); // and then 5 or 9
/// # Ok::<(), commitment_probe::Error>(())
/// ```
pub trait LanguageModel {
    /// The number of tokens in the vocabulary.
    fn vocab_size(&self) -> usize;

    /// The most tokens that a sequence may have, if the model has a limit.
    fn context(&self) -> Option<usize> {
        None
    }

    /// Other questions follow: what was kept for those before may be forgotten. What is asked after
    /// it has the same answers whatever was asked before.
    fn begin(&mut self) {}

    /// `ln P` of every token, `[V]`, after each of `sequences`, which have a token or more each, and
    /// any lengths.
    ///
    /// # Errors
    ///
    /// Those of the model, [`Error::Model`](crate::Error::Model) for example; so for all methods. A
    /// failed call changes nothing that later calls give, but for rounding.
    fn all(&mut self, sequences: &[Vec<u32>]) -> Result<Vec<Vec<f64>>>;

    /// `ln P` of the tokens `tokens[i]`, in their order, after `sequences[i]`.
    ///
    /// # Errors
    ///
    /// See [`all`](Self::all).
    fn named(&mut self, sequences: &[Vec<u32>], tokens: &[Vec<u32>]) -> Result<Vec<Vec<f64>>> {
        let rows = self.all(sequences)?;
        let pick = |(row, tokens): (&Vec<f64>, &Vec<u32>)| {
            let ln = |&token: &u32| row.get(token as usize).copied().unwrap_or(f64::NEG_INFINITY);
            tokens.iter().map(ln).collect()
        };
        Ok(rows.iter().zip(tokens).map(pick).collect())
    }

    /// The `k` likeliest tokens after each of `sequences`, with `ln P`, likeliest first; of equals,
    /// the lowest. Fewer, if fewer can follow.
    ///
    /// # Errors
    ///
    /// See [`all`](Self::all).
    fn likeliest(&mut self, sequences: &[Vec<u32>], k: usize) -> Result<Vec<Vec<(u32, f64)>>> {
        Ok(self.all(sequences)?.iter().map(|row| likeliest(row, k)).collect())
    }

    /// `ln P` of each continuation of each prompt, by the chain rule, and with any one of `ends`
    /// after it, if there are ends: the sum over its tokens, and 0 for an empty one without ends.
    /// Beginnings that several have in common are read once.
    ///
    /// # Errors
    ///
    /// See [`all`](Self::all); [`Error::ShortAnswer`](crate::Error::ShortAnswer) if the model left
    /// one out.
    fn score(&mut self, asked: &[Continued], ends: &[u32]) -> Result<Vec<Vec<f64>>> {
        let mut branches: Vec<Branches> =
            asked.iter().map(|asked| Branches::new(asked, ends)).collect();
        let beginnings = asked.iter().zip(&branches).flat_map(|(asked, branches)| {
            branches.0.keys().map(|beginning| [asked.prompt, beginning].concat())
        });
        let sequences: Vec<Vec<u32>> = beginnings.collect();
        let next = branches.iter().flat_map(|branches| branches.0.values());
        let tokens: Vec<Vec<u32>> = next.map(|next| next.keys().copied().collect()).collect();
        let read = self.named(&sequences, &tokens)?;
        let is_whole = |(read, tokens): (&Vec<f64>, &Vec<u32>)| read.len() == tokens.len();
        if read.len() != tokens.len() || !read.iter().zip(&tokens).all(is_whole) {
            return Err(Error::ShortAnswer { asked: "named" });
        }
        let next = branches.iter_mut().flat_map(|branches| branches.0.values_mut());
        for (next, read) in next.zip(read) {
            next.values_mut().zip(read).for_each(|(ln, read)| *ln = read);
        }
        let of = |(asked, branches): (&Continued, &Branches)| {
            asked.continuations.iter().map(|tokens| branches.ln(tokens, ends)).collect()
        };
        Ok(asked.iter().zip(&branches).map(of).collect())
    }

    /// The likeliest token after each of `starts`, the likeliest after that, and so on: for each
    /// what follows it, with the token that is the last by `until`; nothing if it is over already.
    ///
    /// # Errors
    ///
    /// See [`all`](Self::all).
    fn greedy(&mut self, starts: &[Start], until: &Until) -> Result<Vec<Vec<Step>>>;

    /// Sampled continuations of each prompt, each with the token that is the last by `until`. The
    /// same seed gives the same ones, whatever else is asked.
    ///
    /// # Errors
    ///
    /// See [`all`](Self::all).
    fn sample(&mut self, asked: &[Sampling], until: &Until) -> Result<Vec<Vec<Vec<u32>>>>;

    /// The states, `[D]` each, that the blocks `blocks` have after the last token of each of
    /// `sequences`: `states[i][b]`. None if the model does not show them.
    ///
    /// # Errors
    ///
    /// See [`all`](Self::all).
    fn states(&mut self, sequences: &[Vec<u32>], blocks: &[usize]) -> Result<Option<States>> {
        let _ = (sequences, blocks);
        Ok(None)
    }
}

/// The states of blocks: of each sequence, of each block, `[D]`.
pub type States = Vec<Vec<Vec<f32>>>;

/// A prompt, and continuations of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Continued<'a> {
    /// The prompt's tokens, at least one.
    pub prompt: &'a [u32],
    /// The tokens of each continuation.
    pub continuations: Vec<Vec<u32>>,
}

/// Of every beginning of continuations: the tokens that come next, and `ln P` of each.
struct Branches<'a>(BTreeMap<&'a [u32], BTreeMap<u32, f64>>);

impl<'a> Branches<'a> {
    /// Those of all continuations, and the ends after each; nothing is known of any.
    fn new(asked: &'a Continued, ends: &[u32]) -> Self {
        let mut next: BTreeMap<&[u32], BTreeMap<u32, f64>> = BTreeMap::new();
        for continuation in &asked.continuations {
            for (i, &token) in continuation.iter().enumerate() {
                next.entry(&continuation[..i]).or_default().insert(token, f64::NAN);
            }
            if !ends.is_empty() {
                let after = next.entry(continuation).or_default();
                after.extend(ends.iter().map(|&end| (end, f64::NAN)));
            }
        }
        Self(next)
    }

    /// `ln P` of a continuation, and of any end after it.
    fn ln(&self, tokens: &[u32], ends: &[u32]) -> f64 {
        let steps = tokens.iter().enumerate();
        let own: f64 = steps.map(|(i, token)| self.0[&tokens[..i]][token]).sum();
        if ends.is_empty() {
            return own;
        }
        let after = &self.0[tokens];
        own + ends.iter().map(|end| after[end].exp()).sum::<f64>().ln()
    }
}

/// A prompt, and how its continuation begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start<'a> {
    /// The prompt's tokens, at least one.
    pub prompt: &'a [u32],
    /// The tokens that the continuation begins with; may be none.
    pub begun: Vec<u32>,
}

/// Where a continuation is over.
#[derive(Clone, Copy)]
pub struct Until<'a> {
    /// The most tokens that follow the prompt, those included that it was begun with.
    pub max_tokens: usize,
    /// Tokens at which a server may stop, and texts; without any, at the first line break.
    pub ends: &'a [u32],
    /// The texts.
    pub stops: &'a Stops,
    /// Whether it ends with the last of these tokens, which are all that follow the prompt: this has
    /// the last word.
    pub is_over: &'a (dyn Fn(&[u32]) -> bool + Sync),
}

impl Until<'_> {
    /// Whether these tokens are all.
    pub fn is_reached(&self, said: &[u32]) -> bool {
        said.len() >= self.max_tokens || (self.is_over)(said)
    }
}

/// Without the last word.
impl std::fmt::Debug for Until<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { max_tokens, ends, stops, .. } = self;
        let mut debug = f.debug_struct("Until");
        debug.field("max_tokens", max_tokens).field("ends", ends).field("stops", stops);
        debug.finish_non_exhaustive()
    }
}

/// A prompt, and how continuations of it are sampled.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampling<'a> {
    /// The prompt's tokens, at least one.
    pub prompt: &'a [u32],
    /// How many.
    pub samples: usize,
    /// The temperature, above 0.
    pub temperature: f64,
    /// The seed.
    pub seed: u64,
}

/// A token of a greedy continuation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Its id.
    pub token: u32,
    /// `ln P` of it.
    pub ln_probability: f64,
    /// The entropy over all tokens there; none if the model does not tell.
    pub entropy: Option<f32>,
}

/// The `k` likeliest tokens of a row of log-probabilities, likeliest first; of equals, the lowest.
pub(crate) fn likeliest(row: &[f64], k: usize) -> Vec<(u32, f64)> {
    let order = |a: &(u32, f64), b: &(u32, f64)| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
    // Adding 0 makes -0 the 0 that it equals.
    let possible = (0..).zip(row).filter(|(_, ln)| **ln > f64::NEG_INFINITY);
    let mut tokens: Vec<(u32, f64)> = possible.map(|(token, ln)| (token, ln + 0.0)).collect();
    if k < tokens.len() {
        tokens.select_nth_unstable_by(k, order);
        tokens.truncate(k);
    }
    tokens.sort_unstable_by(order);
    tokens
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn the_likeliest_are_those_of_a_sort(
            row in proptest::collection::vec(
                prop_oneof![
                    (-2i8..3).prop_map(f64::from), Just(-0.0), Just(f64::NEG_INFINITY), -1.0..1.0
                ],
                0..60,
            ),
            k in 1usize..70,
        ) {
            // Stable, so that the lowest of equals stays first.
            let mut tokens: Vec<u32> = (0..row.len() as u32).collect();
            tokens.retain(|&token| row[token as usize] > f64::NEG_INFINITY);
            tokens.sort_by(|&a, &b| row[b as usize].partial_cmp(&row[a as usize]).unwrap());
            tokens.truncate(k);
            let found: Vec<u32> = likeliest(&row, k).into_iter().map(|(token, _)| token).collect();
            prop_assert_eq!(found, tokens);
        }
    }
}
