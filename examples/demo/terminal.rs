//! What a program says on the terminal.

use std::io::{ErrorKind, Write, stdout};

use anyhow::{Error, Result};

/// Prints `text` at once, and takes no offence at a reader such as `head` that has seen enough.
pub fn print(text: &str) -> Result<()> {
    let mut out = stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// An error and its causes in one paragraph, without the backtrace that candle puts into the text
/// of its errors where `RUST_BACKTRACE` is set.
pub fn message(error: &Error) -> String {
    let text = format!("{error:#}");
    text.split("\n   0: ").next().unwrap_or_default().replace('\n', " ")
}
