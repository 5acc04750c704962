//! The log-probabilities of what was sampled, where they are asked for.

use super::candidates::likeliest;
use super::draw::AskedOfLeft;
use super::row::{Choice, View};
use super::select::{Order, largest};
use super::sources::concepts_of_tokens;
use super::weigh::{Power, weigh};
use super::{Concepts, Filter, Found, Request};
use crate::reduce::cpu::pass;
use crate::reduce::cpu::simd::Isa;

/// The log-probability of a concept; and the likeliest concepts with their likeliest tokens and
/// log-probabilities.
pub(super) type LogProbs = (f32, Vec<(u32, u32, f32)>);

/// A log-probability, which rounding may have made more than 0.
pub(super) fn at_most_0(log_prob: f64) -> f32 {
    log_prob.min(0.0) as f32
}

impl<'a, I: Isa> View<'a, I> {
    /// Those of the distribution that was drawn from.
    pub(super) fn log_probs_of_draw(
        self,
        request: &Request<'a>,
        choice: &Choice,
        n: usize,
        found: &mut Found,
    ) -> LogProbs {
        let concepts = request.concepts;
        let Some((law, drawn)) = choice.draw else {
            // All of it is on the likeliest.
            let representative = self.representative(concepts, choice.concept);
            let all = (choice.concept, representative, 0.0);
            return (0.0, if n > 0 { vec![all] } else { vec![] });
        };
        let ln_total = drawn.total.ln();
        let kept = drawn.kept.unwrap_or(usize::MAX);
        let ln_weight = |key| law.ln_weight(key) - ln_total;
        self.by_keys(concepts, choice.concept, n.min(kept), ln_weight, found)
    }

    /// Those of the row as it is, whose weights have a sum with this logarithm.
    pub(super) fn log_probs(
        self,
        concepts: Concepts<'a>,
        concept: u32,
        n: usize,
        ln_total: f64,
        found: &mut Found,
    ) -> LogProbs {
        self.by_keys(concepts, concept, n, |key| f64::from(key) - ln_total, found)
    }

    /// Those that follow from keys.
    fn by_keys(
        self,
        concepts: Concepts<'a>,
        concept: u32,
        n: usize,
        log_prob: impl Fn(f32) -> f64,
        found: &mut Found,
    ) -> LogProbs {
        let log_prob = |key| at_most_0(log_prob(key));
        let with_log_prob =
            |(concept, key)| (concept, self.representative(concepts, concept), log_prob(key));
        let likeliest = self.likeliest(concepts, n, found).into_iter().map(with_log_prob);
        (log_prob(self.key_of(concepts, concept)), likeliest.collect())
    }

    /// The logarithm of the sum of all tokens' weights, relative to the likeliest.
    pub(super) fn ln_total(self, found: &mut Found) -> f64 {
        weigh(self.isa, &[self.tokens(None)], Power::new(1.0, 0.0), &mut found.sums).ln()
    }

    /// The logarithm of a token's weight, relative to the likeliest.
    pub(super) fn key(self, token: u32) -> f32 {
        self.row[token as usize] - self.max
    }

    /// The logarithm of a concept's mass, relative to the likeliest token.
    fn key_of(self, concepts: Concepts<'a>, concept: u32) -> f32 {
        match concepts {
            Concepts::Tokens(_) => self.key(self.representative(concepts, concept)),
            Concepts::Pooled(map, tables) => {
                let tokens = map.tokens(concept).unwrap_or_default();
                self.pooled(map, tables).key_of(self.isa, tokens)
            }
        }
    }

    /// The likeliest token of a concept.
    pub(super) fn representative(self, concepts: Concepts<'a>, concept: u32) -> u32 {
        match concepts {
            Concepts::Tokens(None) => concept,
            Concepts::Tokens(Some(ids)) => {
                ids.iter().position(|&id| id == concept).map_or(concept, |token| token as u32)
            }
            Concepts::Pooled(map, _) => {
                pass::likeliest(self.row, map.tokens(concept).unwrap_or_default())
            }
        }
    }

    /// The `n` likeliest concepts and their keys, likeliest first.
    fn likeliest(self, concepts: Concepts<'a>, n: usize, found: &mut Found) -> Vec<(u32, f32)> {
        if n == 0 {
            return Vec::new();
        }
        let law = Power::new(1.0, 0.0);
        match concepts {
            Concepts::Tokens(ids) => {
                let (concept_of, in_order) = concepts_of_tokens(ids);
                let pieces = [self.tokens(ids)];
                let draw = self.draw(law, &pieces, concept_of, in_order, AskedOfLeft::Nothing);
                draw.collect_from(f32::MIN, Some(n), &mut found.memory());
                likeliest(&found.candidates, n, concept_of)
            }
            Concepts::Pooled(map, tables) => {
                let filter = Filter { k: Some(n), ..Filter::NONE };
                let in_order = self.in_order(tables);
                if self.prune(map, tables, 1.0, filter, found) {
                    let concept_of = self.concepts_of_candidates(map);
                    let order = Order { concept_of: &concept_of, in_order };
                    let Found { candidates, buffers, .. } = found;
                    let cut = largest(candidates, self.isa, n, order, buffers);
                    candidates.keep(&cut);
                    return likeliest(candidates, n, concept_of);
                }
                self.write_keys(map, tables, found);
                let concept_of = self.concepts_of_table(map, tables);
                let (keys, mut memory) = found.keys_and_memory();
                let pieces = self.pieces(tables, keys);
                let draw = self.draw(law, &pieces, concept_of, in_order, AskedOfLeft::Nothing);
                draw.collect_from(f32::MIN, Some(n), &mut memory);
                likeliest(&found.candidates, n, concept_of)
            }
        }
    }
}
