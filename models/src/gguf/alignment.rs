//! The alignment of a GGUF file's tensors, read before candle reads the file.

use std::io::{self, BufRead, ErrorKind, Read, Seek, SeekFrom};

/// Its key.
pub const KEY: &str = "general.alignment";

/// How deep lists of lists may be, as in candle.
const MAX_DEPTH: usize = 64;

/// The alignment that the metadata give, if they do; the reader is at the beginning, before and
/// after. `None` as well for a file that is damaged, of which candle says what is wrong.
pub fn find(reader: &mut (impl BufRead + Seek)) -> io::Result<Option<u64>> {
    let found = walk(reader);
    reader.seek(SeekFrom::Start(0))?;
    match found {
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => {
            Ok(None)
        }
        found => found,
    }
}

fn walk(reader: &mut (impl BufRead + Seek)) -> io::Result<Option<u64>> {
    let mut magic = [0; 4];
    reader.read_exact(&mut magic)?;
    let is_short = number(reader, 4)? == 1; // lengths in version 1 are of 32 bits
    let bytes_of_length = if is_short { 4 } else { 8 };
    let length = |reader: &mut _| number(reader, bytes_of_length);
    let _tensors = length(reader)?;
    for _ in 0..length(reader)? {
        let key = length(reader)?;
        if key != KEY.len() as u64 {
            skip(reader, key)?;
        } else {
            let mut key = [0; KEY.len()];
            reader.read_exact(&mut key)?;
            if key == KEY.as_bytes() {
                let kind = number(reader, 4)?;
                return match width(kind) {
                    Some(bytes) => number(reader, bytes).map(Some),
                    None => Ok(None),
                };
            }
        }
        let kind = number(reader, 4)?;
        skip_value(reader, kind, bytes_of_length, 0)?;
    }
    Ok(None)
}

/// A little-endian number of so many bytes.
fn number(reader: &mut impl Read, bytes: usize) -> io::Result<u64> {
    let mut number = [0; 8];
    reader.read_exact(&mut number[..bytes])?;
    Ok(u64::from_le_bytes(number))
}

/// The bytes of a value of one of the types that have a fixed number of them.
fn width(kind: u64) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

fn skip_value(
    reader: &mut (impl BufRead + Seek),
    kind: u64,
    bytes_of_length: usize,
    depth: usize,
) -> io::Result<()> {
    const TEXT: u64 = 8;
    const LIST: u64 = 9;
    match (kind, width(kind)) {
        (_, Some(bytes)) => skip(reader, bytes as u64),
        (TEXT, _) => {
            let length = number(reader, bytes_of_length)?;
            skip(reader, length)
        }
        (LIST, _) if depth < MAX_DEPTH => {
            let kind = number(reader, 4)?;
            let length = number(reader, bytes_of_length)?;
            match width(kind) {
                Some(bytes) => skip(reader, length.saturating_mul(bytes as u64)),
                // Each takes some bytes, so that a length which is not true ends with the file.
                None => (0..length)
                    .try_for_each(|_| skip_value(reader, kind, bytes_of_length, depth + 1)),
            }
        }
        _ => Err(ErrorKind::InvalidData.into()),
    }
}

/// Fails where the file ends before, as reading would.
fn skip(reader: &mut impl BufRead, bytes: u64) -> io::Result<()> {
    let skipped = io::copy(&mut reader.by_ref().take(bytes), &mut io::sink())?;
    if skipped == bytes { Ok(()) } else { Err(ErrorKind::UnexpectedEof.into()) }
}
