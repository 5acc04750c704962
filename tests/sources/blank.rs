//! Tokens whose text is blank say nothing: no two of them mean the same, and no judge sees them.

use concept_mass::map::MapError;
use concept_mass::source::{
    Aliases, Judge, JudgeError, Piece, SourceError, Spelling, Vocabulary, checked_groups,
    tokenizers::{AddedToken, Tokenizer, models::wordlevel::WordLevel},
};
use proptest::prelude::*;

use super::kinds::kinds;

/// What has no visible character.
const BLANK: [&str; 16] = [
    " ",
    "  ",
    "\n",
    "\n\n",
    "\t",
    "\r\n",
    "\u{A0}",
    "\u{2003}",
    "\u{3000}",
    "\u{200B}",
    " \u{200B}",
    "\u{FEFF}",
    "\u{AD}",
    "\0",
    "\u{7F}",
    "\u{3164}",
];

/// A vocabulary of `words`, blank texts, a special token and padding.
fn vocabulary(words: &[&str]) -> Vocabulary {
    let vocab = words.iter().chain(&BLANK).map(|word| word.to_string()).zip(0..).collect();
    let mut tokenizer = Tokenizer::new(WordLevel::builder().vocab(vocab).build().unwrap());
    tokenizer.add_special_tokens([AddedToken::from("<|end|>", true)]).unwrap();
    let width = tokenizer.get_vocab_size(true) + 5;
    Vocabulary::new(tokenizer, width).unwrap()
}

/// Says that all texts mean the same, and remembers them.
struct AllAlike(Vec<String>);

impl Judge for AllAlike {
    fn groups(&mut self, texts: &[&str]) -> Result<Vec<Vec<usize>>, JudgeError> {
        self.0.extend(texts.iter().map(|text| text.to_string()));
        Ok(vec![(0..texts.len()).collect()])
    }
}

fn is_visible(text: &str) -> bool {
    !BLANK.contains(&text) && !text.trim().is_empty()
}

#[test]
fn blank_tokens_are_not_one_word() {
    let vocabulary = vocabulary(&["Word", " word"]);
    for bits in 0..32 {
        let [leading_space, case, unicode, diacritics, punctuation] =
            [1, 2, 4, 8, 16].map(|bit| bits & bit != 0);
        let spelling = Spelling { leading_space, case, unicode, diacritics, punctuation };
        let map = spelling.map(&vocabulary).unwrap();
        for token in 2..vocabulary.vocab_size() as u32 {
            let concept = map.concept_of(token).unwrap();
            assert_eq!(map.tokens(concept), Some(&[token][..]), "{spelling:?}");
        }
    }
}

#[test]
fn a_judge_sees_no_blank_token() {
    let vocabulary = vocabulary(&["Word", " word"]);
    let tokens: Vec<u32> = (0..vocabulary.vocab_size() as u32).rev().collect();
    let mut judge = AllAlike(Vec::new());
    let map = vocabulary.judge(&tokens, &mut judge).unwrap();
    assert_eq!(judge.0, [" word", "Word"]);
    assert_eq!(map.stats().pooled_tokens, 2);

    // Of one word and much that is blank there is nothing to ask.
    let mut judge = AllAlike(Vec::new());
    vocabulary.judge(&tokens[..tokens.len() - 1], &mut judge).unwrap();
    assert!(judge.0.is_empty(), "{:?}", judge.0);
}

#[test]
fn a_judge_sees_no_blank_token_of_any_tokenizer() {
    for kind in kinds() {
        let size = kind.vocabulary.vocab_size() as u32;
        let mut judge = AllAlike(Vec::new());
        let map = kind.vocabulary.judge(&(0..size).collect::<Vec<_>>(), &mut judge).unwrap();
        assert!(judge.0.iter().all(|text| is_visible(text)), "{}", kind.name);
        assert_eq!(map.stats().pooled_tokens, judge.0.len());
        for token in 0..size {
            let visible = kind.vocabulary.piece(token).text().is_some_and(is_visible);
            if !visible {
                let concept = map.concept_of(token).unwrap();
                assert_eq!(map.tokens(concept), Some(&[token][..]), "{}", kind.name);
            }
        }
    }
}

#[test]
fn a_judges_places_are_those_of_the_texts_given() {
    let mut judge = AllAlike(Vec::new());
    let texts = ["", "a", " ", "\u{200B}", "b", "\n"];
    assert_eq!(checked_groups(&mut judge, &texts).unwrap(), [[1, 4]]);
    assert_eq!(judge.0, ["a", "b"]);
    assert_eq!(checked_groups(&mut judge, &["", "", "a"]).unwrap(), [[0; 0]; 0]);
    // A place that is in `texts`, but not among what the judge saw.
    let mut beyond = |_: &[&str]| -> Result<_, JudgeError> { Ok(vec![vec![0, 3]]) };
    let error = checked_groups(&mut beyond, &texts).unwrap_err();
    assert!(matches!(error, SourceError::Judge { .. }), "{error}");
}

#[test]
fn a_token_that_is_listed_twice_is_judged_once() {
    let vocabulary = vocabulary(&["a", "b", "c"]);
    let mut judge = AllAlike(Vec::new());
    let map = vocabulary.judge(&[2, 0, 2, 0, 2], &mut judge).unwrap();
    assert_eq!(judge.0, ["c", "a"]);
    assert_eq!(map.tokens(0), Some(&[0, 2][..]));
}

#[test]
fn a_token_beyond_the_vocabulary_is_not_judged_nor_decoded() {
    let vocabulary = vocabulary(&["a", "b"]);
    let size = vocabulary.vocab_size();
    for token in [size as u32, u32::MAX] {
        let mut judge = AllAlike(Vec::new());
        let judged = vocabulary.judge(&[0, 1, token], &mut judge).unwrap_err();
        let decoded = vocabulary.decode(&[0, token]).unwrap_err();
        assert!(judge.0.is_empty());
        for error in [judged, decoded] {
            assert!(
                matches!(error, SourceError::Map(MapError::TokenOutOfRange { token: t, vocab_size, .. })
                    if t == token && vocab_size == size),
                "{error}"
            );
        }
    }
    // Padding is of the vocabulary.
    assert_eq!(vocabulary.piece(size as u32 - 1), &Piece::Absent);
    assert_eq!(vocabulary.decode(&[0, size as u32 - 1]).unwrap(), "a");
}

#[test]
fn a_blank_form_is_refused() {
    for blank in BLANK.iter().copied().chain(["", "\u{200B}\u{FEFF}\n"]) {
        let error = Aliases::new().concept("it", ["x", blank]).unwrap_err();
        assert!(matches!(error, SourceError::EmptyForm { index: 1, .. }), "{blank:?}: {error}");
    }
}

proptest! {
    /// Two tokens are one concept only if both have something to see.
    #[test]
    fn what_is_pooled_can_be_seen(
        texts in proptest::collection::hash_set("[ab .,\"()\\s\u{300}\u{A8}\u{AD}\u{200B}-\u{200F}\u{FE0F}\u{FEFF}\u{FFA0}]{0,4}", 2..40),
    ) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).filter(|t| !BLANK.contains(t)).collect();
        let vocabulary = vocabulary(&texts);
        let map = Spelling::default().map(&vocabulary).unwrap();
        for tokens in map.iter().filter(|tokens| tokens.len() > 1) {
            for &token in tokens {
                let text = vocabulary.piece(token).text().unwrap();
                let is_shown = |c: char| c.is_alphanumeric() || ".,\"()\u{300}\u{A8}".contains(c);
                prop_assert!(text.contains(is_shown), "{:?}", text);
            }
        }
    }

    /// A map depends on the vocabulary alone, not on the order of any hash map.
    #[test]
    fn a_map_is_the_same_every_time(
        texts in proptest::collection::hash_set("[aAáÁ ]{1,3}", 2..40),
    ) {
        let texts: Vec<&str> = texts.iter().map(String::as_str).filter(|t| !BLANK.contains(t)).collect();
        let map = || Spelling::default().map(&vocabulary(&texts)).unwrap();
        prop_assert_eq!(map().concept_ids().to_vec(), map().concept_ids().to_vec());
    }
}
