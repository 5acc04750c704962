//! One word however written, over vocabularies of every kind, and over one of real size.

use std::time::{Duration, Instant};

use concept_mass::{
    map::OnConflict,
    source::{Aliases, Piece, Spelling},
};
use proptest::prelude::*;

use super::kinds::kinds;
use crate::common::vocabulary;

#[test]
fn concepts_are_the_tokens_of_one_word() {
    for kind in kinds() {
        let map = Spelling::default().map(&kind.vocabulary).unwrap();
        let pieces = kind.vocabulary.pieces();
        for (a, piece) in pieces.iter().enumerate() {
            for (b, other) in pieces.iter().enumerate().skip(a + 1) {
                let is_one = map.concept_of(a as u32) == map.concept_of(b as u32);
                let (Piece::Text(text), Piece::Text(other)) = (piece, other) else {
                    assert!(!is_one, "{}: {piece} and {other}", kind.name);
                    continue;
                };
                let is_word = |t: &str| !t.trim().is_empty() && !t.contains(char::is_control);
                let normalise = |t: &str| Spelling::default().normalise(t);
                let ought = is_word(text) && is_word(other) && normalise(text) == normalise(other);
                assert_eq!(is_one, ought, "{}: {text:?} and {other:?}", kind.name);
            }
        }
        assert!(map.stats().pooled_concepts > 0, "{}", kind.name);
    }
}

#[test]
fn a_vocabulary_of_real_size_is_mapped_in_time() {
    let made = vocabulary::large();
    let size = made.vocabulary.vocab_size();
    assert_eq!(size, 131_072);
    let start = Instant::now();
    let map = Spelling::default().map(&made.vocabulary).unwrap();
    let took = start.elapsed();

    let stats = map.stats();
    let largest = map.iter().max_by_key(|tokens| tokens.len()).unwrap();
    let largest: Vec<_> =
        largest.iter().map(|&t| format!("{:?}", made.vocabulary.piece(t).to_string())).collect();
    println!(
        "{size} tokens in {took:.0?}: {:.1} % of them in {} pooled concepts; the largest: {}",
        100.0 * stats.pooled_tokens as f64 / size as f64,
        stats.pooled_concepts,
        largest.join(" ")
    );
    assert!(took < Duration::from_secs(2), "{took:?}");

    // The tokens of one stem are one concept, and no others are in it.
    for (stem, tokens) in &made.stems {
        let concept = map.concept_of(tokens[0]).unwrap();
        assert_eq!(map.tokens(concept), Some(&tokens[..]), "{stem}");
    }
    let in_stems: usize = made.stems.iter().map(|(_, t)| t.len()).filter(|&n| n > 1).sum();
    assert_eq!(stats.pooled_tokens, in_stems);
}

#[test]
fn aliases_over_spelling_take_the_other_spellings_in() {
    let made = vocabulary::large();
    let spelling = Spelling::default().map(&made.vocabulary).unwrap();
    let has = |tokens: &[u32], text: &str| {
        tokens.iter().any(|&token| made.vocabulary.piece(token).text() == Some(text))
    };
    let is_whole = |stem: &str, tokens: &[u32]| {
        tokens.len() > 3 && has(tokens, stem) && has(tokens, &format!(" {stem}"))
    };
    let (stem, tokens) = made.stems.iter().find(|(stem, tokens)| is_whole(stem, tokens)).unwrap();
    let aliases = Aliases::new().concept("it", [stem]).unwrap();
    let firsts = aliases.after(&made.vocabulary, "A:").unwrap();
    let map = firsts.map(OnConflict::Refuse).unwrap().over(&spelling, OnConflict::Refuse).unwrap();
    assert_eq!(map.find("it"), map.concept_of(tokens[0]));
    assert_eq!(map.tokens(map.find("it").unwrap()), Some(&tokens[..]));
    assert_eq!(map.stats().pooled_tokens, spelling.stats().pooled_tokens);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn normalising_twice_changes_nothing(text in "[\\PC ()“\u{300}-\u{345}\u{FB00}-\u{FE7F}]{0,12}", switches: [bool; 5]) {
        let [leading_space, case, unicode, diacritics, punctuation] = switches;
        let spelling = Spelling { leading_space, case, unicode, diacritics, punctuation };
        let once = spelling.normalise(&text);
        prop_assert_eq!(spelling.normalise(&once), once);
    }
}
