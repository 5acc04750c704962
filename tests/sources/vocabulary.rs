//! How tokens are spelt, for every kind of tokenizer.

use concept_mass::ConceptMap;
use concept_mass::map::{MAX_VOCAB_SIZE, MapError};
use concept_mass::source::{Piece, SourceError, Vocabulary};
use proptest::prelude::*;
use tokenizers::{AddedToken, Tokenizer, models::wordlevel::WordLevel};

use super::kinds::{WORDS, kinds};

#[test]
fn pieces_end_to_end_are_the_text() {
    for kind in kinds().iter().filter(|kind| kind.is_lossless) {
        for word in WORDS {
            let text = format!("Who is {word}?");
            let mut bytes = Vec::new();
            for token in kind.vocabulary.encode(&text).unwrap() {
                match kind.vocabulary.piece(token) {
                    Piece::Text(text) => bytes.extend(text.bytes()),
                    Piece::Bytes(part) => bytes.extend(part),
                    piece => panic!("{}: {piece:?} in {text:?}", kind.name),
                }
            }
            // SentencePiece puts a space before everything.
            let read = String::from_utf8(bytes).unwrap();
            assert_eq!(read.strip_prefix(' ').unwrap_or(&read), text, "{}", kind.name);
        }
    }
}

#[test]
fn every_kind_knows_words_special_tokens_and_padding() {
    for kind in kinds() {
        let vocabulary = &kind.vocabulary;
        let (name, size) = (kind.name, vocabulary.vocab_size());
        let moscow = vocabulary.encode("a Moscow").unwrap();
        let texts: String = moscow.iter().filter_map(|&t| vocabulary.piece(t).text()).collect();
        assert_eq!(texts.trim_start().to_lowercase(), "a moscow", "{name}");
        assert!(vocabulary.pieces().iter().any(|p| matches!(p, Piece::Special(_))), "{name}");
        for padding in size - 7..size + 2 {
            assert_eq!(vocabulary.piece(padding as u32), &Piece::Absent, "{name}");
        }
        let has_bytes = vocabulary.pieces().iter().any(|p| matches!(p, Piece::Bytes(_)));
        assert_eq!(has_bytes, name.starts_with("byte-level") || name.contains("bytes"), "{name}");
        let knows_all = has_bytes;
        assert_eq!(vocabulary.unknown().is_none(), knows_all, "{name}");
        if let Some(unknown) = vocabulary.unknown() {
            assert!(matches!(vocabulary.piece(unknown), Piece::Special(_)), "{name}");
            assert!(vocabulary.encode("🦀").unwrap().contains(&unknown), "{name}");
        }
    }
}

#[test]
fn a_tokenizer_larger_than_the_logits_is_refused() {
    let tokenizer = kinds()[0].vocabulary.tokenizer();
    let known = tokenizer.get_vocab_size(true);
    assert!(Vocabulary::new(tokenizer.clone(), known).is_ok());
    let error = Vocabulary::new(tokenizer.clone(), known - 1).unwrap_err();
    assert!(
        matches!(error, SourceError::TokenizerTooLarge { known: k, vocab_size, .. }
            if k == known && vocab_size == known - 1),
        "{error}"
    );
}

#[test]
fn a_token_beyond_the_logits_is_refused_whatever_their_number() {
    let vocab = [("a".to_owned(), 0), ("b".to_owned(), 9)].into_iter().collect();
    let model = WordLevel::builder().vocab(vocab).build().unwrap();
    let error = Vocabulary::new(Tokenizer::new(model), 9).unwrap_err();
    assert!(matches!(error, SourceError::TokenizerTooLarge { known: 2, id: 9, .. }), "{error}");
}

/// Hash maps have another order in every process, and for every map.
#[test]
fn a_malformed_vocabulary_is_read_the_same_every_time() {
    for _ in 0..20 {
        let words = [("b", 0), ("a", 0), ("d", 0), ("c", 0), ("e", 7), ("f", 9)];
        let vocab = words.map(|(word, id)| (word.to_owned(), id)).into_iter().collect();
        let tokenizer = Tokenizer::new(WordLevel::builder().vocab(vocab).build().unwrap());
        let vocabulary = Vocabulary::new(tokenizer.clone(), 10).unwrap();
        assert_eq!(vocabulary.piece(0), &Piece::Text("d".to_owned()));
        let error = Vocabulary::new(tokenizer, 5).unwrap_err();
        assert!(matches!(error, SourceError::TokenizerTooLarge { known: 6, id: 9, .. }), "{error}");
    }
}

#[test]
fn a_vocabulary_that_is_smaller_than_the_map_is_refused_with_both_numbers() {
    let vocabulary = &kinds()[0].vocabulary;
    let size = vocabulary.vocab_size();
    for (map_size, fits) in [(1, true), (size - 1, true), (size, true), (size + 1, false)] {
        let covers = vocabulary.check_covers(&ConceptMap::singletons(map_size).unwrap());
        assert_eq!(covers.is_ok(), fits);
        if let Err(error) = covers {
            assert!(
                matches!(error, SourceError::VocabularyTokens { tokens, vocab_size }
                    if tokens == size && vocab_size == map_size),
                "{error}"
            );
        }
    }
}

#[test]
fn a_width_of_any_size_is_refused_before_memory_is_taken() {
    for width in [MAX_VOCAB_SIZE + 1, u32::MAX as usize, usize::MAX] {
        let error = Vocabulary::new(kinds()[0].vocabulary.tokenizer().clone(), width).unwrap_err();
        assert!(
            matches!(error, SourceError::Map(MapError::VocabularySize { vocab_size }) if vocab_size == width),
            "{error}"
        );
    }
}

#[test]
fn no_logits_and_no_file_are_refused() {
    let tokenizer = kinds()[0].vocabulary.tokenizer().clone();
    let error = Vocabulary::new(tokenizer, 0).unwrap_err();
    assert!(
        matches!(error, SourceError::Map(MapError::VocabularySize { vocab_size: 0 })),
        "{error}"
    );
    let error = Vocabulary::load("no/such/tokenizer.json", 10).unwrap_err().to_string();
    assert!(error.starts_with("cannot use no/such/tokenizer.json: "), "{error}");
}

#[test]
fn words_added_later_are_text_and_marks_are_not() {
    let mut tokenizer = kinds()[0].vocabulary.tokenizer().clone();
    tokenizer.add_tokens([AddedToken::from("Kreml", false)]).unwrap();
    tokenizer.add_special_tokens([AddedToken::from("<|think|>", true)]).unwrap();
    let size = tokenizer.get_vocab_size(true);
    let vocabulary = Vocabulary::new(tokenizer, size).unwrap();
    let piece = |text: &str| vocabulary.piece(vocabulary.encode(text).unwrap()[0]).clone();
    assert_eq!(piece("Kreml"), Piece::Text("Kreml".to_owned()));
    assert_eq!(piece("<|think|>"), Piece::Special("<|think|>".to_owned()));
}

proptest! {
    #[test]
    fn any_text_is_cut_into_tokens_that_there_are(text in "\\PC{0,20}") {
        for kind in kinds() {
            for token in kind.vocabulary.encode(&text).unwrap() {
                prop_assert_ne!(kind.vocabulary.piece(token), &Piece::Absent, "{}", kind.name);
            }
        }
    }
}
