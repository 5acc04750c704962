//! How a token is spelt, in whatever way its tokenizer writes that down.

use std::{borrow::Cow, fmt};

use serde_json::Value;

/// The text that one token stands for.
///
/// ```
/// use concept_mass::source::Piece;
///
/// let piece = Piece::Text(" Saint".to_owned());
/// assert_eq!(piece.text(), Some(" Saint"));
/// assert_eq!(Piece::Bytes(vec![0xC3]).to_string(), "<C3>");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text, with a leading space if the token includes one.
    Text(String),
    /// Bytes that are not text by themselves: a part of a character, or a byte of a character that
    /// the vocabulary lacks.
    Bytes(Vec<u8>),
    /// A token that stands for no text, such as `<|end|>` or the unknown token; its name.
    Special(String),
    /// Nothing: the tokenizer has no token with this id.
    Absent,
}

impl Piece {
    /// The text, or `None` if the token stands for none.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The bytes that the token stands for: those of its text, or a part of some text's; none of a
    /// token that stands for no text.
    ///
    /// A line break, for one, is a text in some vocabularies and a byte in others: what looks for
    /// it in a token looks here.
    ///
    /// ```
    /// # use concept_mass::source::Piece;
    /// assert_eq!(Piece::Text("\n".to_owned()).bytes(), b"\n");
    /// assert_eq!(Piece::Bytes(vec![0x0A]).bytes(), b"\n"); // written `<0x0A>`
    /// assert_eq!(Piece::Special("<|end|>".to_owned()).bytes(), b"");
    /// ```
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
            Self::Special(_) | Self::Absent => &[],
        }
    }

    /// The text, if it may be a word: it has a visible character and no control characters.
    pub(super) fn word(&self) -> Option<&str> {
        self.text().filter(|text| !text.contains(char::is_control) && !is_blank(text))
    }

    /// Whether there is a space before it.
    pub(super) fn begins_with_space(&self) -> bool {
        self.bytes().first() == Some(&b' ')
    }
}

/// Whether `text` has no visible character: it is empty, or white space, control characters and
/// characters that Unicode has renderers ignore, such as a zero-width space or a byte order mark.
///
/// Such a text says nothing, so it means the same as no other: it is no form of a concept, and no
/// [`Judge`](super::Judge) sees it.
///
/// ```
/// use concept_mass::source::is_blank;
///
/// assert!(is_blank("") && is_blank(" \n") && is_blank("\u{200B}"));
/// assert!(!is_blank("\u{200B}a"));
/// ```
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c.is_control() || is_ignorable(c))
}

/// Unicode's property `Default_Ignorable_Code_Point`.
fn is_ignorable(c: char) -> bool {
    matches!(u32::from(c),
        0xAD | 0x34F | 0x61C | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
            | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F | 0x3164 | 0xFE00..=0xFE0F
            | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFF8 | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
            | 0xE0000..=0xE0FFF)
}

/// For people: control characters are escaped, and bytes are in hexadecimal.
impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) | Self::Special(text) => f.write_str(&visible(text)),
            Self::Bytes(bytes) => bytes.iter().try_for_each(|byte| write!(f, "<{byte:02X}>")),
            Self::Absent => f.write_str("<no token>"),
        }
    }
}

/// The text with control characters escaped: it may come from a model and go to a terminal.
fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text.into();
    }
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().collect(),
        false => String::from(c),
    };
    text.chars().map(escape).collect()
}

/// How the tokens of a vocabulary are written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Script {
    /// A character for each byte, as in GPT-2, Llama 3 and Qwen.
    ByteLevel,
    /// A mark for a space, `▁`, as in SentencePiece; bytes as `<0x0A>`.
    Metaspace(String),
    /// A mark for what is no beginning of a word, `##`, as in BERT.
    WordPiece(String),
    /// As they are.
    Plain,
}

impl Script {
    /// The script that the JSON of a decoder or a pre-tokenizer implies, if any.
    pub(super) fn of(part: &Value) -> Option<Self> {
        let text = |field: &str| Some(part.get(field)?.as_str()?.to_owned());
        let sequence = |field: &str| part.get(field)?.as_array()?.iter().find_map(Self::of);
        match text("type")?.as_str() {
            "ByteLevel" => Some(Self::ByteLevel),
            "Metaspace" => Some(Self::Metaspace(text("replacement")?)),
            "Replace" if text("content")? == " " => {
                Some(Self::Metaspace(part.get("pattern")?.get("String")?.as_str()?.to_owned()))
            }
            "WordPiece" => Some(Self::WordPiece(text("prefix")?)),
            "Sequence" => sequence("decoders").or_else(|| sequence("pretokenizers")),
            _ => None,
        }
    }

    /// What `token` stands for, as the vocabulary writes it.
    pub(super) fn read(&self, token: String) -> Piece {
        match self {
            Self::ByteLevel => match token.chars().map(byte_of).collect::<Option<Vec<u8>>>() {
                Some(bytes) => match String::from_utf8(bytes) {
                    Ok(text) => Piece::Text(text),
                    Err(error) => Piece::Bytes(error.into_bytes()),
                },
                // Not one of the alphabet: a token added later, which stands for itself.
                None => Piece::Text(token),
            },
            Self::Metaspace(mark) => match fallback_byte(&token) {
                Some(byte) => Piece::Bytes(vec![byte]),
                None => Piece::Text(token.replace(mark, " ")),
            },
            Self::WordPiece(mark) => Piece::Text(match token.strip_prefix(mark) {
                Some(rest) => rest.to_owned(),
                None => format!(" {token}"),
            }),
            Self::Plain => Piece::Text(token),
        }
    }
}

/// The byte that GPT-2's alphabet writes as `c`: itself if that can be seen, else one of the
/// characters from 256 on, in order.
fn byte_of(c: char) -> Option<u8> {
    match u32::from(c) {
        code @ (0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF) => Some(code as u8),
        code @ 0x100..=0x120 => Some((code - 0x100) as u8),
        code @ 0x121..=0x142 => Some((code - 0x121 + 0x7F) as u8),
        0x143 => Some(0xAD),
        _ => None,
    }
}

/// The byte of a token such as `<0x0A>`.
fn fallback_byte(token: &str) -> Option<u8> {
    let digits = token.strip_prefix("<0x")?.strip_suffix('>')?;
    (digits.len() == 2).then(|| u8::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;

    use super::*;

    #[test]
    fn every_byte_is_read_as_byte_level_tokenizers_write_it() {
        let mut alphabet: Vec<char> = ByteLevel::alphabet().into_iter().collect();
        assert_eq!(alphabet.len(), 256);
        alphabet.sort_by_key(|&c| byte_of(c));
        let bytes: Vec<u8> = alphabet.iter().filter_map(|&c| byte_of(c)).collect();
        assert_eq!(bytes, (0..=255).collect::<Vec<u8>>());
        // The visible ones are themselves, and `Ġ` is the space.
        assert_eq!((byte_of('A'), byte_of('é'), byte_of('Ġ')), (Some(65), Some(0xE9), Some(32)));
        assert_eq!((byte_of('▁'), byte_of('\n')), (None, None));
    }

    #[test]
    fn tokens_of_every_script() {
        let text = |text: &str| Piece::Text(text.to_owned());
        let metaspace = Script::Metaspace("▁".to_owned());
        let word_piece = Script::WordPiece("##".to_owned());
        for (script, token, piece) in [
            (&Script::ByteLevel, "ĠSaint", text(" Saint")),
            (&Script::ByteLevel, "Ã©t", text("ét")),
            (&Script::ByteLevel, "ĠÃ", Piece::Bytes(vec![0x20, 0xC3])),
            (&Script::ByteLevel, "<|im_start|>", text("<|im_start|>")),
            (&Script::ByteLevel, "東", text("東")),
            (&metaspace, "▁Saint", text(" Saint")),
            (&metaspace, "▁▁", text("  ")),
            (&metaspace, "<0x0A>", Piece::Bytes(vec![0x0A])),
            (&metaspace, "<0xXY>", text("<0xXY>")),
            (&word_piece, "saint", text(" saint")),
            (&word_piece, "##ly", text("ly")),
            (&Script::Plain, "Saint", text("Saint")),
        ] {
            assert_eq!(script.read(token.to_owned()), piece, "{script:?}");
        }
    }

    #[test]
    fn blank_is_what_shows_nothing() {
        for text in ["", " ", "\n\t", "\u{A0}", "\u{3000}", "\u{200B}", "\u{FEFF} ", "\0", "\u{AD}"]
        {
            assert!(is_blank(text), "{text:?}");
            assert_eq!(Piece::Text(text.to_owned()).word(), None, "{text:?}");
        }
        for text in ["a", " .", "\u{301}", "\u{FFFD}", "\u{200B}a", "一"] {
            assert!(!is_blank(text), "{text:?}");
            assert_eq!(Piece::Text(text.to_owned()).word(), Some(text), "{text:?}");
        }
        assert_eq!(Piece::Text("a\n".to_owned()).word(), None);
        for piece in [Piece::Absent, Piece::Special("x".to_owned()), Piece::Bytes(vec![65])] {
            assert_eq!(piece.word(), None, "{piece}");
        }
    }

    #[test]
    fn a_decoder_tells_the_script() {
        let llama_2 = json!({ "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "ByteFallback" }, { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ] });
        assert_eq!(Script::of(&llama_2), Some(Script::Metaspace("▁".to_owned())));
        let llama_3 = json!({ "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": "\\w+" }, "behavior": "Isolated" },
            { "type": "ByteLevel", "add_prefix_space": false },
        ] });
        assert_eq!(Script::of(&llama_3), Some(Script::ByteLevel));
        assert_eq!(Script::of(&Value::Null), None);
        assert_eq!(Script::of(&json!({ "type": "Fuse" })), None);
    }

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        assert_eq!(Piece::Text(" a\n\u{1b}[31m".to_owned()).to_string(), " a\\n\\u{1b}[31m");
        assert_eq!(Piece::Bytes(vec![0x20, 0xC3]).to_string(), "<20><C3>");
    }
}
