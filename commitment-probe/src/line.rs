//! Where the first line of an answer ends.
//!
//! A line break may be a token, a part of one, or several: `\n` is a text in a byte-level
//! vocabulary, the byte `<0x0A>` in one of SentencePiece, the end of `.\n\n` in Llama 3's; and a
//! separator of paragraphs, U+2029, is three bytes where the vocabulary lacks it.

use concept_mass::source::{Piece, Vocabulary};

/// Unicode's mandatory breaks, in UTF-8.
const BREAKS: [&str; 7] = ["\n", "\r", "\u{B}", "\u{C}", "\u{85}", "\u{2028}", "\u{2029}"];

/// The most tokens that a break may be: one for each byte.
const MAX_TOKENS: usize = 3;

/// The tokens with a line break in them, each in ascending order.
#[derive(Default)]
pub struct LineEnds {
    /// Those with nothing but white space before the break: the line ends before them.
    pub blank: Vec<u32>,
    /// Those with text before it: the line ends with them.
    pub closing: Vec<u32>,
    /// Those of the closing ones that close a sentence, and add nothing to what the line says.
    pub stops: Vec<u32>,
}

impl LineEnds {
    pub fn find(vocabulary: &Vocabulary) -> Self {
        let mut ends = Self::default();
        for (token, piece) in (0..).zip(vocabulary.pieces()) {
            let bytes = piece.bytes();
            let Some(at) = break_in(bytes) else { continue };
            match str::from_utf8(&bytes[..at]).map(str::trim) {
                Ok("") => ends.blank.push(token),
                Ok(text) if text.chars().all(is_stop) => {
                    ends.closing.push(token);
                    ends.stops.push(token);
                }
                _ => ends.closing.push(token),
            }
        }
        ends
    }
}

/// The first line of a text, without the white space around it.
pub fn first_line(text: &str) -> &str {
    let text = text.trim_start();
    text[..break_in(text.as_bytes()).unwrap_or(text.len())].trim_end()
}

/// How many of the tokens `said` are before a break that the last of them completes, if it is one of
/// several tokens.
pub fn before_spelt_break(vocabulary: &Vocabulary, said: &[u32]) -> Option<usize> {
    let piece = |token: &&u32| matches!(vocabulary.piece(**token), Piece::Bytes(_));
    let spelt = said.iter().rev().take(MAX_TOKENS).take_while(piece).count();
    let before = said.len() - spelt;
    let bytes = |tokens: &[u32]| -> Vec<u8> {
        tokens.iter().flat_map(|&token| vocabulary.piece(token).bytes()).copied().collect()
    };
    let at = break_in(&bytes(&said[before..]))?;
    let mut length = 0;
    let whole = said[before..].iter().take_while(|&&token| {
        length += vocabulary.piece(token).bytes().len();
        length <= at
    });
    Some(before + whole.count())
}

/// Where the first break in `bytes` begins.
fn break_in(bytes: &[u8]) -> Option<usize> {
    let begins = |at: &usize| BREAKS.iter().any(|line| bytes[*at..].starts_with(line.as_bytes()));
    (0..bytes.len()).find(begins)
}

/// Whether a sentence may end in `c`.
fn is_stop(c: char) -> bool {
    matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '…' | '。' | '！' | '？')
}

#[cfg(test)]
mod tests {
    use concept_mass::source::tokenizers::{
        Tokenizer, decoders::byte_level::ByteLevel, models::wordlevel::WordLevel,
    };

    use super::*;

    /// Byte-level tokens: `Ċ` is a line break, `Ġ` a space, and `âĢ©` U+2029.
    fn vocabulary(tokens: &[&str]) -> Vocabulary {
        let ids = tokens.iter().zip(0..).map(|(token, id)| ((*token).to_owned(), id)).collect();
        let mut tokenizer = Tokenizer::new(WordLevel::builder().vocab(ids).build().unwrap());
        tokenizer.with_decoder(Some(ByteLevel::default()));
        Vocabulary::new(tokenizer, tokens.len()).unwrap()
    }

    #[test]
    fn tokens_by_what_is_before_their_break() {
        let tokens = ["a", "Ċ", "ĠĠĊĊ", ".ĊĊ", "#Ċ", "č", "ĊâĢ", "ĠâĢ©", "âĢĶ", "!?Ċa", "ÃĊ"];
        let ends = LineEnds::find(&vocabulary(&tokens));
        assert_eq!(ends.blank, [1, 2, 5, 6, 7]);
        assert_eq!(ends.closing, [3, 4, 9, 10]);
        assert_eq!(ends.stops, [3, 9]);
    }

    #[test]
    fn a_break_of_several_tokens() {
        let vocabulary = vocabulary(&["a", "âĢ", "©", "â", "Ģ", "ĠâĢ", "Ķ", "Â", "ħ"]);
        for (said, before) in [
            (&[0, 1, 2][..], Some(1)),
            (&[0, 3, 4, 2], Some(1)),
            (&[0, 5, 2], Some(1)),
            (&[0, 7, 8], Some(1)),
            (&[1, 2], Some(0)),
            (&[0, 1, 6], None), // a dash
            (&[0, 1], None),
            (&[2], None),
            (&[], None),
        ] {
            assert_eq!(before_spelt_break(&vocabulary, said), before, "{said:?}");
        }
    }

    #[test]
    fn the_first_line_of_a_text() {
        for (text, line) in [
            (" Paris \n\nQ: London", "Paris"),
            ("\nParis", "Paris"),
            ("Paris.\u{2028}It is", "Paris."),
            ("New York\r\n", "New York"),
            ("", ""),
        ] {
            assert_eq!(first_line(text), line);
        }
    }
}
