//! Whether a drafted token stands, and what is emitted if it does not.
//!
//! Leviathan et al., "Fast inference from transformers via speculative decoding" (ICML 2023), and Chen
//! et al., "Accelerating large language model decoding with speculative sampling" (2023), over concepts:
//! with `p` what the request makes of the target's logits and `q` of the draft's, the concept of the
//! drafted token stands with probability `min(1, p / q)`; otherwise one is drawn by `max(0, p - q)`.
//! Then `p` is what is emitted, whatever `q` is, if `q` is what was drafted from.

use super::each::{Each, OfRows};
use super::row::View;
use super::{Request, Scratch, Undrawn};
use crate::reduce::ReduceError;
use crate::reduce::cpu::logit::Logit;
use crate::reduce::cpu::rows;
use crate::reduce::cpu::simd::Isa;
use crate::reduce::logits::Logits;

/// The concepts that a request leaves, in the order of the draw, and their probabilities.
pub(crate) type Left = Vec<(u32, f64)>;

/// A drafted token, and what it is to be held against.
pub(crate) struct Proposal<'a> {
    /// Of the target's row. Its uniform number draws a token of our own.
    pub(crate) request: Request<'a>,
    /// The drafted token, of the vocabulary.
    pub(crate) token: u32,
    /// Concepts and probabilities from which its concept was drawn; empty if it was not drawn.
    pub(crate) draft: Left,
    /// The uniform number that accepts or does not.
    pub(crate) accept: f64,
    /// Whether any token of an accepted concept stands, not only the one that the request would emit.
    pub(crate) any_spelling: bool,
}

/// What is emitted in the place of a drafted token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Verdict {
    /// The drafted token itself: the next one may stand, too.
    Drafted(u32),
    /// Another token, after which nothing of the draft stands.
    Own(u32),
}

/// The verdict on every proposal, by the row that its request names.
pub(crate) fn verify_rows(
    proposals: &[Proposal<'_>],
    logits: &Logits,
) -> Result<Vec<Result<Verdict, Undrawn>>, ReduceError> {
    let of = |proposal: &Proposal<'_>| proposal.request.row;
    rows::run(OfRows { of: proposals, row: of, each: Verify }, logits)
}

/// What each request leaves of the row that it names.
pub(crate) fn left_of_rows(
    requests: &[Request<'_>],
    logits: &Logits,
) -> Result<Vec<Result<Left, Undrawn>>, ReduceError> {
    rows::run(
        OfRows { of: requests, row: |request: &Request<'_>| request.row, each: LeftOf },
        logits,
    )
}

struct LeftOf;

impl Each<Request<'_>> for LeftOf {
    type Output = Left;

    fn of<I: Isa, T: Logit>(
        &self,
        isa: I,
        row: &[T],
        request: &Request<'_>,
        scratch: &mut Scratch,
    ) -> Result<Self::Output, Undrawn> {
        let Scratch { row: copy, maxima, found } = scratch;
        Ok(View::of(isa, row, &request.adjust, copy, maxima)?.left(request, found))
    }
}

struct Verify;

impl Each<Proposal<'_>> for Verify {
    type Output = Verdict;

    fn of<I: Isa, T: Logit>(
        &self,
        isa: I,
        row: &[T],
        proposal: &Proposal<'_>,
        scratch: &mut Scratch,
    ) -> Result<Verdict, Undrawn> {
        let Proposal { request, token, draft, accept, any_spelling } = proposal;
        let Scratch { row: copy, maxima, found } = scratch;
        let view = View::of(isa, row, &request.adjust, copy, maxima)?;
        let target = view.left(request, found);
        let concept = request.concepts.of_token(*token);
        let certain = [(concept, 1.0)];
        // What the draft could not have drawn by these parameters was not drawn by them. A token that
        // was given is accepted by the target's probability alone.
        let draft = match probability(draft, concept) {
            0.0 => &certain[..],
            _ => draft,
        };
        let stands = accept * probability(draft, concept) < probability(&target, concept);
        if !stands {
            let count = request.concepts.count(view.row.len());
            let (concept, rest) = draw_rest(&target, draft, count, request.uniform);
            return Ok(Verdict::Own(view.spell(request, concept, rest)));
        }
        if *any_spelling && view.row[*token as usize] > f32::NEG_INFINITY {
            return Ok(Verdict::Drafted(*token));
        }
        let own = view.spell(request, concept, request.uniform);
        Ok(if own == *token { Verdict::Drafted(own) } else { Verdict::Own(own) })
    }
}

fn probability(of: &[(u32, f64)], concept: u32) -> f64 {
    of.iter().find(|&&(id, _)| id == concept).map_or(0.0, |&(_, probability)| probability)
}

/// A concept drawn by `max(0, target - draft)`, in the order of the target's, and what is left of the
/// uniform number. There are `count` concepts.
fn draw_rest(
    target: &[(u32, f64)],
    draft: &[(u32, f64)],
    count: usize,
    uniform: f64,
) -> (u32, f64) {
    let mut drafted = vec![0.0; count];
    for &(concept, probability) in draft {
        drafted[concept as usize] = probability;
    }
    let rest = |&(concept, p): &(u32, f64)| (p - drafted[concept as usize]).max(0.0);
    let total: f64 = target.iter().map(rest).sum();
    // By rounding alone: two distributions that are the same leave nothing.
    let has_rest = total > 0.0;
    let weight = |pair: &(u32, f64)| if has_rest { rest(pair) } else { pair.1 };
    let tau = uniform * if has_rest { total } else { target.iter().map(weight).sum() };
    let mut last = (target[0].0, 0.0);
    let mut before = 0.0;
    for pair in target {
        let weight = weight(pair);
        if weight > 0.0 {
            last = (pair.0, ((tau - before) / weight).clamp(0.0, 1.0 - f64::EPSILON));
            before += weight;
            if before > tau {
                break;
            }
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_is_what_the_draft_has_too_little_of() {
        let target = [(2, 0.5), (0, 0.3), (1, 0.2)];
        let draft = [(0, 0.5), (1, 0.1), (3, 0.4)];
        // .5 of 2 and .1 of 1.
        for (uniform, want, rest) in
            [(0.0, 2, 0.0), (0.5, 2, 0.6), (0.83, 2, 0.996), (0.84, 1, 0.04), (0.999, 1, 0.994)]
        {
            let (concept, got) = draw_rest(&target, &draft, 4, uniform);
            assert_eq!(concept, want, "{uniform}");
            assert!((got - rest).abs() < 1e-9, "{uniform}: {got}, not {rest}");
        }
    }

    #[test]
    fn equal_distributions_leave_the_target_itself() {
        let both = [(1, 0.75), (0, 0.25)];
        assert_eq!(draw_rest(&both, &both, 2, 0.7).0, 1);
        assert_eq!(draw_rest(&both, &both, 2, 0.8).0, 0);
    }
}
