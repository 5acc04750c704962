//! The alignment of a GGUF file's tensors, read before candle reads the file.

use std::io::{self, BufRead, ErrorKind, Read, Seek, SeekFrom};

/// Its key.
pub const KEY: &str = "general.alignment";

/// How deep lists of lists may be, as in candle.
const MAX_DEPTH: usize = 64;

/// The least alignment that the metadata give, if they do; the reader is at the beginning, before and
/// after. `None` as well for a file that is damaged, of which candle says what is wrong.
///
/// candle takes the last, and a key may end in zeros.
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
    let mut least = None;
    for _ in 0..length(reader)? {
        let key = length(reader)?;
        let is_it = is_key(reader, key)?;
        let kind = number(reader, 4)?;
        match width(kind) {
            Some(bytes) if is_it => {
                let alignment = number(reader, bytes)?;
                least = Some(least.map_or(alignment, |least: u64| least.min(alignment)));
            }
            _ => skip_value(reader, kind, bytes_of_length, 0)?,
        }
    }
    Ok(least)
}

/// Reads a key of `length` bytes, and says whether it is [`KEY`], with zeros behind it or without.
fn is_key(reader: &mut impl BufRead, length: u64) -> io::Result<bool> {
    let mut begin = Vec::new();
    reader.by_ref().take(length.min(KEY.len() as u64)).read_to_end(&mut begin)?;
    let mut rest = length.saturating_sub(KEY.len() as u64);
    let mut is_key = begin == KEY.as_bytes();
    while rest > 0 {
        let bytes = reader.fill_buf()?;
        if bytes.is_empty() {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let read = bytes.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
        is_key &= bytes[..read].iter().all(|&byte| byte == 0);
        reader.consume(read);
        rest -= read as u64;
    }
    Ok(is_key)
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
