use std::collections::HashMap;

use caseless::Caseless;
use unicode_normalization::UnicodeNormalization;

use super::piece::is_blank;
use super::{SourceError, Vocabulary};
use crate::ConceptMap;

/// Words settle after two or three passes; this is only a bound.
const PASSES: usize = 8;

/// Maps a whole vocabulary: tokens that spell the same word are one concept.
///
/// Each switch names a difference to ignore; all are on by default. Tokens that are not text
/// (special tokens, bytes, padding), that contain a control character, or that have no visible
/// character (white space, a zero-width space) stay alone.
///
/// Mapping 131,072 tokens takes about a quarter of a second.
///
/// ```
/// use concept_mass::source::{Spelling, Vocabulary};
///
/// # let path = concept_mass_tiny::folder().join("tokenizer.json");
/// let vocabulary = Vocabulary::load(path, 1152)?;
/// let map = Spelling::default().map(&vocabulary)?;
///
/// let token = |text: &str| vocabulary.encode(text).unwrap()[0];
/// assert_eq!(map.concept_of(token(" The")), map.concept_of(token(" the")));
///
/// let map = Spelling { case: false, ..Spelling::default() }.map(&vocabulary)?;
/// assert_ne!(map.concept_of(token(" The")), map.concept_of(token(" the")));
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spelling {
    /// Ignores whether the word has a space before it.
    pub leading_space: bool,
    /// Ignores upper and lower case, by Unicode's default case folding.
    pub case: bool,
    /// Ignores the form of characters, such as full width and ligatures, by NFKC.
    pub unicode: bool,
    /// Ignores accents on letters: the marks in Unicode's blocks of combining diacritical marks,
    /// which Latin, Greek and Cyrillic use. The vowel signs of other scripts are kept.
    pub diacritics: bool,
    /// Ignores quotation marks around a word; opening brackets, `¿` and `¡` before it; and closing
    /// brackets, apostrophes, `.`, `,`, `;`, `:`, `!`, `?`, `…` and the like after it.
    ///
    /// All other signs are kept, because they carry meaning: `-5`, `5%`, `C#`, `#tag`, `_name`,
    /// `.5`, `'s`, `print(`. A token without letters or digits, such as `="`, is kept whole.
    pub punctuation: bool,
}

impl Default for Spelling {
    fn default() -> Self {
        Self { leading_space: true, case: true, unicode: true, diacritics: true, punctuation: true }
    }
}

impl Spelling {
    /// Maps `vocabulary`. The concepts have no names.
    ///
    /// # Errors
    ///
    /// Those of building a map; a valid vocabulary causes none.
    pub fn map(&self, vocabulary: &Vocabulary) -> Result<ConceptMap, SourceError> {
        let mut words = HashMap::<String, usize>::new();
        let mut concepts = Vec::<Vec<u32>>::new();
        for (token, piece) in (0..).zip(vocabulary.pieces()) {
            let word = piece.word().map(|text| self.normalise(text));
            let Some(word) = word.filter(|word| !is_blank(word)) else { continue };
            let next = concepts.len();
            let concept = *words.entry(word).or_insert(next);
            if concept == next {
                concepts.push(Vec::new());
            }
            concepts[concept].push(token);
        }
        let mut pooled = concepts.into_iter().filter(|tokens| tokens.len() > 1);
        let builder = ConceptMap::builder(vocabulary.vocab_size());
        let builder = pooled.try_fold(builder, |builder, tokens| builder.unnamed(tokens))?;
        Ok(builder.build()?)
    }

    /// Returns the word that `text` spells, without what the switches ignore: two texts spell the
    /// same word if this is the same for both.
    ///
    /// Blank texts spell no word. [`map`](Self::map) leaves them alone; do so too before you
    /// compare texts by this.
    ///
    /// ```
    /// # use concept_mass::source::Spelling;
    /// let spelling = Spelling::default();
    /// for text in ["Café", " café", "CAFE\u{301}", "“cafe,”", "ｃａｆｅ"] {
    ///     assert_eq!(spelling.normalise(text), "cafe");
    /// }
    /// ```
    pub fn normalise(&self, text: &str) -> String {
        let bare = text.trim_start_matches(' ');
        let space = if self.leading_space { "" } else { &text[..text.len() - bare.len()] };
        let mut word = bare.to_owned();
        // What one switch does may give another something to do: a full-width bracket, a space
        // behind one, an accent that is a character of its own until it is folded.
        for _ in 0..PASSES {
            let next = self.pass(&word);
            if next == word {
                break;
            }
            word = next;
        }
        format!("{space}{word}")
    }

    /// Applies every switch once.
    fn pass(&self, word: &str) -> String {
        let mut word = word.to_owned();
        if !word.is_ascii() {
            if self.unicode {
                word = word.nfkc().collect();
            }
            if self.diacritics {
                word = without_diacritics(&word);
            }
        }
        if self.case {
            word = word.chars().default_case_fold().collect();
        }
        if self.punctuation {
            let trimmed = word.trim_start_matches(opens).trim_end_matches(closes);
            // Of what is no word, such as `="`, all counts.
            if trimmed.contains(char::is_alphanumeric) {
                word = trimmed.to_owned();
            }
        }
        word.trim_start_matches(' ').to_owned()
    }
}

/// The text without the marks on its letters. `≠` is not a letter, and a mark alone is on none.
fn without_diacritics(text: &str) -> String {
    let mut is_on_letter = false;
    let keep = |c: &char| {
        let is_mark = is_diacritic(*c);
        if !is_mark {
            is_on_letter = c.is_alphabetic();
        }
        !(is_mark && is_on_letter)
    };
    text.nfd().filter(keep).nfc().collect()
}

fn is_diacritic(c: char) -> bool {
    matches!(u32::from(c),
        0x300..=0x36F | 0x1AB0..=0x1AFF | 0x1DC0..=0x1DFF | 0x20D0..=0x20FF | 0xFE20..=0xFE2F)
}

/// A quotation mark, which one language opens with and another closes with.
fn quotes(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„' | '‟' | '‘' | '‚' | '‛' | '«' | '»' | '‹' | '›')
}

fn opens(c: char) -> bool {
    let bracket =
        matches!(c, '(' | '[' | '{' | '（' | '［' | '「' | '『' | '《' | '〈' | '【' | '〔');
    quotes(c) || bracket || matches!(c, '¿' | '¡')
}

/// An apostrophe only closes: before a word, it may be the rest of another, as in `'s`.
fn closes(c: char) -> bool {
    let bracket =
        matches!(c, ')' | ']' | '}' | '）' | '］' | '」' | '』' | '》' | '〉' | '】' | '〕');
    let ends = matches!(
        c,
        '.' | ','
            | ';'
            | ':'
            | '!'
            | '?'
            | '…'
            | '\''
            | '’'
            | '。'
            | '、'
            | '，'
            | '．'
            | '；'
            | '：'
            | '！'
            | '？'
            | '،'
            | '؛'
            | '؟'
            | '।'
            | '·'
            | '‥'
    );
    quotes(c) || bracket || ends
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Spelling = Spelling {
        leading_space: true,
        case: true,
        unicode: true,
        diacritics: true,
        punctuation: true,
    };
    const NONE: Spelling = Spelling {
        leading_space: false,
        case: false,
        unicode: false,
        diacritics: false,
        punctuation: false,
    };

    #[test]
    fn each_switch_does_its_part_and_no_other() {
        let only_space = Spelling { leading_space: true, ..NONE };
        let only_case = Spelling { case: true, ..NONE };
        let only_unicode = Spelling { unicode: true, ..NONE };
        let only_diacritics = Spelling { diacritics: true, ..NONE };
        let only_punctuation = Spelling { punctuation: true, ..NONE };
        let each = [only_space, only_case, only_unicode, only_diacritics, only_punctuation];
        for (switch, (a, b)) in [
            (" word", "word"),
            ("Word", "wORD"),
            ("ｗord", "word"),
            ("naïve", "naive"),
            ("(word).", "word"),
        ]
        .into_iter()
        .enumerate()
        {
            for (i, spelling) in each.iter().enumerate() {
                let same = spelling.normalise(a) == spelling.normalise(b);
                assert_eq!(same, i == switch, "{a:?} {b:?} {spelling:?}");
            }
            assert_eq!(ALL.normalise(a), ALL.normalise(b));
            assert_ne!(NONE.normalise(a), NONE.normalise(b));
        }
    }

    #[test]
    fn one_word_however_written() {
        for (a, b) in [
            ("Straße", " STRASSE"),
            ("ὈΔΥΣΣΕΎΣ", "ὀδυσσεύς"),
            ("Ёлка", "елка"),
            ("e\u{301}", "É"),
            ("Ａ", "a"),
            ("²", "2"),
            (" “Hello,”", "hello"),
            ("boys’", "boys"),
            ("¿Qué", "que?"),
            ("「東京」", "東京"),
            ("„Wort“", "Wort"),
            (" ,", ","),
            (" ＝", "="),
        ] {
            assert_eq!(ALL.normalise(a), ALL.normalise(b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn other_words_stay_apart() {
        for (a, b) in [
            ("'s", "s"),
            ("-5", "5"),
            ("5%", "5"),
            ("C#", "C"),
            ("_name", "name"),
            (".5", "5"),
            (".", ","),
            ("कि", "का"),
            ("が", "か"),
            ("קָם", "קם"),
            ("a b", "ab"),
            ("ø", "o"),
            ("=\"", "="),
            ("≠", "="),
            ("(", "["),
            ("print(", "print"),
            (")a", "a"),
            ("\u{301}", "\u{300}"),
        ] {
            assert_ne!(ALL.normalise(a), ALL.normalise(b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn normalising_twice_changes_nothing() {
        for text in ["ΌΣΟΣ", "ﬃ", "ǅ", "İ", "ﬀ\u{345}", "⁽²⁾", "…", "'“a”'", "\u{1F9B}"]
        {
            let once = ALL.normalise(text);
            assert_eq!(ALL.normalise(&once), once, "{text:?}");
        }
    }
}
