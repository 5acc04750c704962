//! Masses by definition: every answer of a fixed length is enumerated, and given to the concept of
//! the longest phrase that it begins with.

use std::collections::BTreeMap;

use concept_mass::phrase::{PhraseTrie, PhraseVote};
use proptest::prelude::*;

use super::toy::Toy;
use crate::common::device;

const PROMPT: [u32; 2] = [1, 0];
/// The longest phrase of the tests.
const LONGEST: usize = 4;

fn vote(toy: &mut Toy, trie: &PhraseTrie) -> PhraseVote {
    trie.to_device(&device()).unwrap().vote(toy, &PROMPT).unwrap()
}

/// All sequences of `length` tokens.
fn sequences(vocab_size: u32, length: usize) -> Vec<Vec<u32>> {
    (0..length).fold(vec![vec![]], |sequences, _| {
        let longer = sequences.iter().flat_map(|sequence: &Vec<u32>| {
            (0..vocab_size).map(move |token| [&sequence[..], &[token]].concat())
        });
        longer.collect()
    })
}

/// Phrases, each of one of four concepts; the same tokens are of the same concept.
fn phrases(vocab_size: u32) -> impl Strategy<Value = BTreeMap<Vec<u32>, u32>> {
    let tokens = proptest::collection::vec(0..vocab_size, 1..=LONGEST);
    proptest::collection::btree_map(tokens, 0u32..4, 1..12)
}

fn trie(vocab_size: usize, phrases: &BTreeMap<Vec<u32>, u32>, ends: &[u32]) -> PhraseTrie {
    let mut builder = PhraseTrie::builder(vocab_size);
    for (tokens, concept) in phrases {
        builder = builder.phrase(format!("{concept}"), tokens.iter().copied()).unwrap();
    }
    builder.ends(ends.iter().copied()).unwrap().build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn an_answer_is_the_longest_phrase_that_it_begins_with(phrases in phrases(4)) {
        let trie = trie(4, &phrases, &[]);
        let mut toy = Toy::new(4, device());
        let vote = vote(&mut toy, &trie);
        let mut masses = vec![0.0; trie.num_concepts()];
        for answer in sequences(4, LONGEST) {
            let longest = (1..=LONGEST).rev().find_map(|n| phrases.get(&answer[..n]));
            if let Some(concept) = longest {
                let concept = trie.find(&concept.to_string()).unwrap();
                masses[concept as usize] += toy.chain(&PROMPT, &answer);
            }
        }
        for (concept, want) in masses.iter().enumerate() {
            let got = vote.mass(concept as u32);
            prop_assert!((got - want).abs() < 1e-5, "{concept}: {got} {want}");
        }
        let best = masses.iter().copied().fold(0.0, f64::max);
        let winner = vote.winner().unwrap();
        prop_assert!(best - masses[winner as usize] < 1e-5);
        for (phrase, ln) in trie.phrases().iter().zip(vote.ln_probabilities()) {
            prop_assert!((ln.exp() - toy.chain(&PROMPT, &phrase.tokens)).abs() < 1e-5);
        }
        // The answer is the winner's likeliest phrase.
        let of_winner = trie.phrases().iter().filter(|phrase| phrase.concept == winner);
        let likeliest = of_winner.map(|phrase| toy.chain(&PROMPT, &phrase.tokens)).fold(0.0, f64::max);
        prop_assert!((toy.chain(&PROMPT, vote.answer().unwrap()) - likeliest).abs() < 1e-5);
    }

    #[test]
    fn with_ends_a_phrase_is_what_one_of_them_follows(phrases in phrases(3)) {
        let ends = [3, 4];
        let trie = trie(5, &phrases, &ends);
        let mut toy = Toy::new(5, device());
        let vote = vote(&mut toy, &trie);
        let mut masses = vec![0.0; trie.num_concepts()];
        for (phrase, ln) in trie.phrases().iter().zip(vote.ln_probabilities()) {
            let ended = ends.map(|end| toy.chain(&PROMPT, &[&phrase.tokens[..], &[end]].concat()));
            let want: f64 = ended.iter().sum();
            prop_assert!((ln.exp() - want).abs() < 1e-5);
            masses[phrase.concept as usize] += want;
        }
        for (concept, want) in masses.iter().enumerate() {
            prop_assert!((vote.mass(concept as u32) - want).abs() < 1e-5);
        }
    }

    #[test]
    fn the_batch_does_not_matter(phrases in phrases(4), max_batch in 1usize..5) {
        let trie = trie(4, &phrases, &[]);
        let mut toy = Toy::new(4, device());
        let all = vote(&mut toy, &trie);
        let few = trie.to_device(&device()).unwrap().with_max_batch(max_batch).unwrap();
        let few = few.vote(&mut toy, &PROMPT).unwrap();
        prop_assert_eq!(all.ln_masses(), few.ln_masses());
        prop_assert_eq!(all.ln_probabilities(), few.ln_probabilities());
        prop_assert!(few.cost().batch <= max_batch);
        prop_assert!(few.cost().passes >= all.cost().passes);
    }
}

#[test]
fn all_sequences_of_a_length_have_all_of_the_probability() {
    for (vocab_size, length) in [(6, 3), (2, 6), (40, 2), (111, 1)] {
        let mut builder = PhraseTrie::builder(vocab_size);
        for (i, sequence) in sequences(vocab_size as u32, length).into_iter().enumerate() {
            builder = builder.phrase(format!("{}", i % 7), sequence).unwrap();
        }
        let trie = builder.build().unwrap();
        let vote = vote(&mut Toy::new(vocab_size, device()), &trie);
        let sum: f64 = vote.ln_masses().iter().map(|ln| ln.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{vocab_size} {length}: {sum}");
    }
}

#[test]
fn a_phrase_within_a_phrase_is_counted_once() {
    let toy = Toy::new(4, device());
    let chain = |phrase: &[u32]| toy.chain(&PROMPT, phrase);
    // York, York Times; of one concept, and of two.
    let one = PhraseTrie::builder(4).phrase("a", [2]).unwrap().phrase("a", [2, 3]).unwrap();
    let one = vote(&mut Toy::new(4, device()), &one.build().unwrap());
    assert!((one.mass(0) - chain(&[2])).abs() < 1e-6);
    let two = PhraseTrie::builder(4).phrase("a", [2]).unwrap().phrase("b", [2, 3]).unwrap();
    let two = vote(&mut Toy::new(4, device()), &two.build().unwrap());
    assert!((two.mass(0) - (chain(&[2]) - chain(&[2, 3]))).abs() < 1e-6);
    assert!((two.mass(1) - chain(&[2, 3])).abs() < 1e-6);
    assert_eq!(two.mass(2), 0.0);
}

#[test]
fn phrases_that_begin_alike_are_asked_about_together() {
    let trie = PhraseTrie::builder(9)
        .phrase("a", [2, 3, 4])
        .unwrap()
        .phrase("a", [2, 3, 5])
        .unwrap()
        .phrase("b", [2, 6])
        .unwrap()
        .phrase("c", [7, 8])
        .unwrap()
        .phrase("d", [8])
        .unwrap()
        .build()
        .unwrap();
    let mut toy = Toy::new(9, device());
    let vote = vote(&mut toy, &trie);
    // Five phrases of ten tokens: alone, they would be as many prompts, and as many passes as tokens.
    let cost = vote.cost();
    assert_eq!((cost.passes, cost.batch, cost.rows), (3, 2, 6));
    let [p, q] = PROMPT;
    assert_eq!(toy.calls[0], [[p, q], [p, q]]);
    assert_eq!(toy.calls[1], [[p, q, 7], [p, q, 2]]);
    assert_eq!(toy.calls[2][1], [p, q, 2, 3]);
    assert_eq!(toy.calls[2][0][..3], [p, q, 7]);
}

#[test]
fn token_sets_are_what_may_come_next() {
    let trie = PhraseTrie::builder(9)
        .phrase("a", [2, 3])
        .unwrap()
        .phrase("b", [2, 4])
        .unwrap()
        .phrase("b", [5])
        .unwrap()
        .phrase("b", [5])
        .unwrap()
        .build()
        .unwrap();
    assert_eq!(trie.phrases().len(), 3);
    let next = |prefix: &[u32]| {
        let sets = trie.token_sets(prefix)?;
        let set = |i| (sets.name(i).unwrap().to_owned(), sets.tokens(i).unwrap().to_vec());
        Some((0..sets.len()).map(set).collect::<Vec<_>>())
    };
    let (a, b) = ("a".to_owned(), "b".to_owned());
    assert_eq!(next(&[]), Some(vec![(a.clone(), vec![2]), (b.clone(), vec![2, 5])]));
    assert_eq!(next(&[2]), Some(vec![(a, vec![3]), (b, vec![4])]));
    assert_eq!((next(&[5]), next(&[2, 3]), next(&[8])), (None, None, None));
}
