//! What the vote on a row is.

use concept_mass::sample::{RowSampler, SamplingParams, sample_batch};

use super::*;

#[test]
fn the_papers_example_flips() {
    let probabilities = [0.24f32, 0.13, 0.12, 0.31, 0.20];
    let row = row_of(&pooling(5, &[&[0, 1, 2]]), &probabilities.map(f32::ln));
    assert_eq!((row.greedy, row.winner, row.representative), (3, 0, 0));
    assert!(row.is_flip());
    assert!(probability_is(row.mass, 0.49));
    assert!(probability_is(row.concentration(), 0.24 / 0.49));
    assert!(probability_is(row.margin(), 0.18));
    assert_eq!(runner_up(&row), Some(1), "the concept of token 3");
    assert!(row.concept_entropy < row.token_entropy);
}

#[test]
fn a_map_of_singletons_is_plain_argmax() {
    let mut rng = rng(1);
    let map = ConceptMap::singletons(5000).unwrap();
    for profile in PROFILES {
        let logits = profile.row(5000, &mut rng);
        let row = row_of(&map, &logits);
        assert_eq!(row.representative, row.greedy, "{profile:?}");
        assert_eq!(row.concept_entropy, row.token_entropy, "{profile:?}");
        assert!(!row.is_flip());
    }
}

#[test]
fn singletons_closer_than_probabilities_can_tell_are_still_in_order() {
    let map = ConceptMap::singletons(4).unwrap();
    for logits in [[1e-10, 3e-10, 2e-10, -1.0], [0.0, 1e-40, 0.0, -9.0]] {
        let row = row_of(&map, &logits);
        assert_eq!((row.greedy, row.winner, row.is_flip()), (1, 1, false), "{logits:?}");
    }
    assert_eq!(runner_up(&row_of(&map, &[1e-10, 3e-10, 2e-10, -1.0])), Some(2));
}

#[test]
fn one_concept_of_everything_is_certain() {
    let map = pooling(3, &[&[0, 1, 2]]);
    let row = row_of(&map, &[1.0, 5.0, 2.0]);
    assert_eq!((row.winner, row.representative, row.mass), (0, 1, 1.0));
    assert_eq!((row.runner_up, row.margin(), row.concept_entropy), (None, 1.0, 0.0));
}

#[test]
fn a_vocabulary_of_one_token() {
    let row = row_of(&ConceptMap::singletons(1).unwrap(), &[-7.5]);
    assert_eq!((row.winner, row.greedy, row.mass, row.log_z), (0, 0, 1.0, -7.5));
    assert_eq!((row.runner_up, row.token_entropy), (None, 0.0));
}

/// Beside large logits, a threshold that is rounded to `f32` would pass over a winner.
#[test]
fn a_winner_is_found_beside_large_logits() {
    for max in [512f32, 2048.0, 65_536.0, 8_388_608.0] {
        let logits = [max, max - 0.5, max - 2.0, max - 0.5, max - 0.5, max - 0.5];
        let row = row_of(&pooling(6, &[&[0, 1, 2], &[3, 4, 5]]), &logits);
        assert_eq!((row.winner, row.representative), (1, 3), "{max}");
        let map = pooling(6, &[&[0, 1, 2], &[3, 4, 5]]).to_device(&device()).unwrap();
        let logits = Tensor::new(&logits, &device()).unwrap();
        let decision = map.decide(&logits).unwrap().rows().unwrap()[0].unwrap();
        assert_eq!((decision.winner, decision.representative), (1, 3), "{max}");
        let params = SamplingParams::at(1e-9).unwrap().with_top_k(1).unwrap();
        let mut rows = [RowSampler::new(params, map).unwrap()];
        let sampled = sample_batch(&logits, &mut rows).unwrap().remove(0).unwrap();
        assert_eq!((sampled.concept, sampled.token), (1, 3), "{max}");
    }
}
