//! The one order in which concepts are preferred.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// A concept's place in the order of preference: the larger rank is preferred.
///
/// The larger logit comes first. Ties go to the lowest concept, then to the lowest token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    logit: i32,
    concept: Reverse<u32>,
    token: Reverse<u32>,
}

impl Rank {
    /// The rank of what has this logit, which is not NaN, or any other measure of its weight.
    pub(super) fn of_logit(logit: f32, concept: u32, token: u32) -> Self {
        Self { logit: ordered(logit), concept: Reverse(concept), token: Reverse(token) }
    }

    pub(super) fn token(self) -> u32 {
        self.token.0
    }
}

/// An integer in the order of floats other than NaN; zeros of both signs are equal.
fn ordered(x: f32) -> i32 {
    let bits = (x + 0.0).to_bits() as i32;
    bits ^ (((bits >> 31) as u32) >> 1) as i32
}

/// The tokens of the `k` largest ranks, largest first.
pub(super) fn largest_of(ranks: impl Iterator<Item = Rank>, k: usize) -> Vec<u32> {
    // The least of the largest is on top.
    let mut heap = BinaryHeap::new();
    for rank in ranks {
        if heap.len() < k {
            heap.push(Reverse(rank));
        } else if let Some(mut least) = heap.peek_mut()
            && rank > least.0
        {
            *least = Reverse(rank);
        }
    }
    heap.into_sorted_vec().into_iter().map(|Reverse(rank)| rank.token()).collect()
}

/// The ranks of all logits above -inf. Without `concepts`, every token is its own.
pub(super) fn ranks<'a>(
    logits: &'a [f32],
    concepts: Option<&'a [u32]>,
) -> impl Iterator<Item = Rank> + 'a {
    let concept = move |token: u32| concepts.map_or(token, |ids| ids[token as usize]);
    let finite = (0..).zip(logits).filter(|(_, logit)| **logit > f32::NEG_INFINITY);
    finite.map(move |(token, &logit)| Rank::of_logit(logit, concept(token), token))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn largest(logits: &[f32], k: usize) -> Vec<u32> {
        largest_of(ranks(logits, None), k)
    }

    #[test]
    fn ties_go_to_the_lowest_concept_and_zeros_of_both_signs_tie() {
        assert_eq!(largest(&[-0.0, 1.0, 0.0], 2), [1, 0]);
        assert_eq!(largest(&[0.0, 1.0, -0.0], 2), [1, 0]);
        assert_eq!(largest(&[f32::NEG_INFINITY, -3.0], 5), [1]);
        assert!(largest(&[f32::NEG_INFINITY], 1).is_empty());
        let logits = [1.0, 1.0, 1.0, 0.5];
        assert_eq!(largest_of(ranks(&logits, Some(&[2, 1, 1, 0])), 3), [1, 2, 0]);
    }

    #[test]
    fn the_number_asked_for_sizes_nothing() {
        for k in [0, 2, 100_000_000_000, usize::MAX / 2, usize::MAX] {
            assert_eq!(largest(&[0.0, 1.0], k).len(), k.min(2));
        }
    }

    proptest! {
        #[test]
        fn the_largest_are_those_of_a_sort(
            logits in proptest::collection::vec(
                prop_oneof![(-3i8..3).prop_map(f32::from), Just(f32::NEG_INFINITY), -1e9f32..1e9],
                1..200,
            ),
            concepts in 1u32..9,
            k in 0usize..220,
        ) {
            let ids: Vec<u32> = (0..logits.len() as u32).map(|t| t * 7 % concepts).collect();
            let logit = |token: u32| logits[token as usize];
            let mut tokens: Vec<u32> = (0..logits.len() as u32).collect();
            tokens.retain(|&token| logit(token) > f32::NEG_INFINITY);
            tokens.sort_by(|&a, &b| {
                let concept = |token: u32| ids[token as usize];
                let by_logit = logit(b).partial_cmp(&logit(a)).unwrap();
                by_logit.then(concept(a).cmp(&concept(b))).then(a.cmp(&b))
            });
            tokens.truncate(k);
            prop_assert_eq!(largest_of(ranks(&logits, Some(&ids)), k), tokens);
        }
    }
}
