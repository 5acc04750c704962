//! Larger weight, then lowest concept, then lowest token.

use super::*;

#[test]
fn ties_of_tokens_go_to_the_lowest_token() {
    for at in [0, 15, 16, 2047, 2048, 3000] {
        let mut logits = vec![0.0; 6000];
        for t in [at, at + 1, at + 17, 5999] {
            logits[t] = 2.0;
        }
        let row = row_of(&ConceptMap::singletons(6000).unwrap(), &logits);
        assert_eq!((row.greedy, row.winner), (at as u32, at as u32));
        assert_eq!(runner_up(&row), Some(at as u32 + 1));
    }
}

#[test]
fn ties_of_concepts_go_to_the_lowest_concept() {
    // Concepts 0 and 1 hold two tokens each; concept 1 has the lower token ids.
    let row = row_of(&pooling(6, &[&[4, 5], &[0, 1]]), &[0.0; 6]);
    assert_eq!((row.winner, runner_up(&row)), (0, Some(1)));
    assert_eq!((row.representative, row.greedy), (4, 0));
}

#[test]
fn ties_of_singletons_go_to_the_lowest_concept_whatever_the_tokens() {
    let ids = (0..100u32).rev().collect();
    let row = row_of(&ConceptMap::from_concept_ids(ids).unwrap(), &[1.0; 100]);
    assert_eq!((row.winner, runner_up(&row)), (0, Some(1)));
    assert_eq!((row.representative, row.greedy), (99, 0));
}

#[test]
fn ties_between_a_pooled_concept_and_a_singleton() {
    // ln 2 beside 0 + 0, in f32 to the bit: both have weight 2 of 4 with the maximum at ln 2.
    let half = 0.5f32;
    let row = row_of(&pooling(3, &[&[1, 2]]), &[half.ln() + 2f32.ln(), half.ln(), half.ln()]);
    assert!((row.mass - 0.5).abs() < 1e-6 && (row.margin()).abs() < 1e-6);
}

#[test]
fn ties_within_a_concept_go_to_the_lowest_token() {
    let row = row_of(&pooling(5, &[&[4, 3, 2]]), &[0.5, 0.0, 0.0, 0.3, 0.3]);
    assert_eq!((row.winner, row.representative), (0, 3));
}

#[test]
fn negative_zero_ties_with_zero() {
    assert_eq!(row_of(&ConceptMap::singletons(2).unwrap(), &[-0.0, 0.0]).greedy, 0);
}
