use std::fmt;

use super::{SourceError, Vocabulary};

/// One form of a concept with one spacing, as it is encoded.
///
/// ```
/// use concept_mass::source::{Aliases, Beginning, Vocabulary};
///
/// # let path = concept_mass_tiny::folder().join("tokenizer.json");
/// let vocabulary = Vocabulary::load(path, 1152)?;
/// let firsts = Aliases::new().concept("Moscow", ["Moscow"])?.after(&vocabulary, "A:")?;
/// let (_, forms) = firsts.iter().next().unwrap();
/// assert_eq!(forms[0].text, " Moscow");
/// assert_eq!(forms[0].beginning, Beginning::Follows);
/// assert_eq!(vocabulary.piece(forms[0].first().unwrap()).text(), Some(" Mos"));
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Form {
    /// The form as it is appended to the prompt, with the space between them if there is one.
    pub text: String,
    /// All of its tokens, in order.
    pub tokens: Vec<u32>,
    /// Whether its first token is used, and why or why not.
    pub beginning: Beginning,
}

/// Whether the first token of a form is used, and why or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Beginning {
    /// Used: the token that is at the form's place when the prompt and the form are encoded
    /// together.
    Follows,
    /// Used: the token that the form begins with when it is encoded apart from the prompt, because
    /// the end of the prompt and the beginning of the form would become one token.
    Apart,
    /// Left out of maps, but not of token sets: the other spacing of the form is expected here, and
    /// the token begins a form of another concept.
    GivesWay,
    /// Left out: the form would turn the prompt's last word into another.
    Glued,
    /// Left out: the tokenizer does not know the form's first character.
    Unknown,
    /// Left out: the form encodes to no tokens.
    Nothing,
}

/// Where forms are placed.
pub(super) enum Place<'a> {
    After { prompt: &'a str, tokens: Vec<u32> },
    Anywhere,
}

impl Form {
    /// The token that the form begins with in a map; `None` if it is left out of maps.
    pub fn first(&self) -> Option<u32> {
        self.first_in_set().filter(|_| self.beginning != Beginning::GivesWay)
    }

    /// The token that the form begins with in a token set; `None` if it is left out of them.
    pub(crate) fn first_in_set(&self) -> Option<u32> {
        match self.beginning {
            Beginning::Follows | Beginning::Apart | Beginning::GivesWay => {
                self.tokens.first().copied()
            }
            Beginning::Glued | Beginning::Unknown | Beginning::Nothing => None,
        }
    }

    pub(super) fn new(
        vocabulary: &Vocabulary,
        place: &Place,
        text: String,
    ) -> Result<Self, SourceError> {
        let apart = || Ok::<_, SourceError>(vocabulary.encode_apart(&text)?.unwrap_or_default());
        let (tokens, beginning) = match place {
            Place::Anywhere => (apart()?, Beginning::Follows),
            Place::After { prompt, tokens } => {
                let whole = vocabulary.encode(&format!("{prompt}{text}"))?;
                match whole.strip_prefix(&tokens[..]) {
                    Some(follows) => (follows.to_vec(), Beginning::Follows),
                    None if is_glued(prompt, &text) => (Vec::new(), Beginning::Glued),
                    None => (apart()?, Beginning::Apart),
                }
            }
        };
        let beginning = match tokens.first() {
            _ if beginning == Beginning::Glued => beginning,
            None => Beginning::Nothing,
            first if first == vocabulary.unknown().as_ref() => Beginning::Unknown,
            Some(_) => beginning,
        };
        Ok(Self { text, tokens, beginning })
    }
}

/// Whether `text` would continue the word that `prompt` ends in. In scripts without spaces between
/// words, and where a script changes, no word is continued.
fn is_glued(prompt: &str, text: &str) -> bool {
    let is_of_word = |c: char| c.is_alphanumeric() && !is_unspaced(c);
    prompt.ends_with(is_of_word) && text.starts_with(is_of_word)
}

impl Place<'_> {
    /// What may stand before `form` here, a space or nothing; the expected one first.
    pub(super) fn spacings(&self, form: &str) -> &'static [&'static str] {
        match self {
            Self::After { prompt, .. } if prompt.ends_with(char::is_whitespace) => &[""],
            Self::After { prompt, .. } if expects_no_space(prompt, form) => &["", " "],
            _ => &[" ", ""],
        }
    }
}

/// Whether an answer that begins with `form` would follow `prompt` without a space: after an
/// opening quotation mark or bracket, at the very beginning, and in scripts that put no spaces
/// between words.
fn expects_no_space(prompt: &str, form: &str) -> bool {
    let mut last = prompt.chars().rev();
    match (last.next(), last.next()) {
        (None, _) => true,
        (Some('(' | '[' | '{' | '“' | '‘' | '„' | '«' | '‹' | '¿' | '¡'), _) => true,
        (Some('"' | '\'' | '`' | '*' | '_'), before) => before.is_none_or(char::is_whitespace),
        (Some(last), _) => is_unspaced(last) || form.starts_with(is_unspaced),
    }
}

/// Scripts that put no spaces between words, with their punctuation: Thai, Lao, Tibetan, Burmese,
/// Khmer, those of the Tai languages, Balinese, Javanese, Chinese and Japanese.
fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0xE00..=0x109F | 0x1780..=0x17FF | 0x1950..=0x19FF | 0x1A20..=0x1AAF | 0x1B00..=0x1B7F
            | 0x3000..=0x312F | 0x3190..=0x31FF | 0x3400..=0x9FFF | 0xA980..=0xA9FF
            | 0xAA60..=0xAADF | 0xF900..=0xFAFF | 0xFF00..=0xFFEF | 0x1AFF0..=0x1B16F
            | 0x20000..=0x3FFFF)
}

impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Follows => "follows the prompt",
            Self::Apart => "encoded apart from the prompt's end",
            Self::GivesWay => "left out: its first token begins a form of another concept",
            Self::Glued => "left out: it would turn the prompt's last word into another",
            Self::Unknown => "left out: its first character is unknown to the tokenizer",
            Self::Nothing => "left out: it encodes to nothing",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_glued_and_scripts_without_spaces_are_not() {
        for (prompt, text) in [("Say an", "other"), ("in 19", "69"), ("Л", "ондон"), ("서", "울")]
        {
            assert!(is_glued(prompt, text), "{prompt} {text}");
        }
        for (prompt, text) in [
            ("首都是", "北京"),
            ("首都は", "トウキョウ"),
            ("カタ", "カナ"),
            ("เมืองหลวงคือ", "กรุงเทพ"),
            ("ນະຄອນ", "ວຽງຈັນ"),
            ("မြို့တော်က", "ရန်ကုန်"),
            ("រាជធានី", "ភ្នំពេញ"),
            ("རྒྱལ་ས", "ལྷ་ས"),
            ("𠀀", "𠀁"),
            // Where the script changes.
            ("the capital of China is", "北京"),
            ("in 1949", "年"),
            ("首都是", "Beijing"),
            ("成立于", "1949"),
            // Where no word ends, or none begins.
            ("A:", "x"),
            ("Say an", " other"),
            ("", "x"),
        ] {
            assert!(!is_glued(prompt, text), "{prompt} {text}");
        }
    }
}
