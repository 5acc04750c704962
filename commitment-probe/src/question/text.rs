//! Bytes of a file to text: byte order marks, UTF-16, and the place of what is neither.

use std::{
    error::Error,
    fmt,
    io::{self, Read},
};

use super::QuestionProblem;

const CHUNK: usize = 1 << 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

impl Encoding {
    const fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "UTF-8",
            Self::Utf16Le => "UTF-16 (little endian)",
            Self::Utf16Be => "UTF-16 (big endian)",
        }
    }
}

/// What follows the byte order mark, if there is one, in UTF-8.
///
/// Reading it gives an error that [`problem`] takes apart if the text is not what it seems to be.
pub(super) struct Text<R> {
    reader: R,
    encoding: Encoding,
    /// What was read and is not decoded: less than a character.
    rest: Vec<u8>,
    /// What is decoded, and how much of it is given away.
    decoded: Vec<u8>,
    given: usize,
    /// The place of `rest`.
    byte: u64,
    line: u64,
    failed: Option<Wrong>,
    ended: bool,
}

/// Where text is wrong.
#[derive(Debug, Clone)]
struct Wrong {
    encoding: Encoding,
    problem: String,
    byte: u64,
    line: u64,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.problem, self.byte)
    }
}

impl Error for Wrong {}

/// What an error is that came from reading a [`Text`], or anything below it.
pub(super) fn problem(error: io::Error) -> QuestionProblem {
    match error.downcast::<Wrong>() {
        Ok(Wrong { encoding, problem, byte, line }) => {
            QuestionProblem::Text { encoding: encoding.name(), problem, byte, line }
        }
        Err(error) => error.into(),
    }
}

impl<R: Read> Text<R> {
    /// The text of `reader`, in the encoding that `start` shows: its first bytes, which it will
    /// give again.
    pub(super) fn new(mut reader: R, start: &[u8]) -> Self {
        // Without a mark: whatever is read begins with a character of ASCII, and has no NUL after it.
        let (encoding, mark) = match start {
            [0xEF, 0xBB, 0xBF, ..] => (Encoding::Utf8, 3),
            [0xFF, 0xFE, ..] => (Encoding::Utf16Le, 2),
            [0xFE, 0xFF, ..] => (Encoding::Utf16Be, 2),
            [first, 0, ..] if *first != 0 => (Encoding::Utf16Le, 0),
            [0, first, ..] if *first != 0 => (Encoding::Utf16Be, 0),
            _ => (Encoding::Utf8, 0),
        };
        // What cannot be read now cannot be read later, and is an error then.
        let mut bytes = [0; 3];
        let read = reader.read_exact(bytes.get_mut(..mark).unwrap_or_default());
        Self {
            reader,
            encoding,
            rest: Vec::new(),
            decoded: Vec::new(),
            given: 0,
            byte: if read.is_ok() { mark as u64 } else { 0 },
            line: 1,
            failed: None,
            ended: false,
        }
    }

    /// Decodes the next bytes; leaves nothing if there are none.
    fn fill(&mut self) -> io::Result<()> {
        self.decoded.clear();
        self.given = 0;
        while self.decoded.is_empty() && !self.ended {
            if let Some(wrong) = &self.failed {
                return Err(io::Error::new(io::ErrorKind::InvalidData, wrong.clone()));
            }
            let chunk = CHUNK as u64;
            let read = self.reader.by_ref().take(chunk).read_to_end(&mut self.rest)?;
            let last = read == 0;
            match self.encoding {
                Encoding::Utf8 => self.decode_utf8(last),
                Encoding::Utf16Le => self.decode_utf16(last, u16::from_le_bytes),
                Encoding::Utf16Be => self.decode_utf16(last, u16::from_be_bytes),
            }
            self.ended = last && self.failed.is_none();
        }
        Ok(())
    }

    fn decode_utf8(&mut self, last: bool) {
        let (valid, wrong) = match str::from_utf8(&self.rest) {
            Ok(text) => (text.len(), false),
            Err(error) => (error.valid_up_to(), error.error_len().is_some() || last),
        };
        self.decoded.extend(self.rest.drain(..valid));
        self.advance(valid);
        if wrong {
            let byte = self.rest.first().copied().unwrap_or_default();
            self.fail(format!("0x{byte:02X} begins no character"));
        }
    }

    fn decode_utf16(&mut self, last: bool, unit: fn([u8; 2]) -> u16) {
        let (pairs, odd) = self.rest.as_chunks::<2>();
        let units = pairs.iter().map(|&pair| unit(pair));
        let mut text = String::new();
        let mut used = 0;
        let mut wrong = None;
        for character in char::decode_utf16(units) {
            match character {
                Ok(character) => {
                    text.push(character);
                    used += 2 * character.len_utf16();
                }
                // Its other half may be in the next bytes.
                Err(_) if used + 2 == 2 * pairs.len() && !last => break,
                Err(half) => {
                    wrong = Some(format!("half a character, 0x{:04X}", half.unpaired_surrogate()));
                    break;
                }
            }
        }
        if last && wrong.is_none() && !odd.is_empty() {
            wrong = Some("half a code unit".into());
        }
        self.rest.drain(..used);
        self.decoded.extend(text.into_bytes());
        self.advance(used);
        if let Some(problem) = wrong {
            self.fail(problem);
        }
    }

    /// Moves the place past `bytes`, which are decoded.
    fn advance(&mut self, bytes: usize) {
        self.byte += bytes as u64;
        self.line += self.decoded.iter().filter(|&&byte| byte == b'\n').count() as u64;
    }

    /// Whoever reads on learns what is wrong after what is right.
    fn fail(&mut self, problem: String) {
        let Self { encoding, byte, line, .. } = *self;
        self.failed = Some(Wrong { encoding, problem, byte, line });
    }
}

impl<R: Read> Read for Text<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given == self.decoded.len() {
            self.fill()?;
        }
        let mut left = self.decoded.get(self.given..).unwrap_or_default();
        let read = left.read(buffer)?;
        self.given += read;
        Ok(read)
    }
}
