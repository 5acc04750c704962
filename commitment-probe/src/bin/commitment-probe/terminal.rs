//! Output on the terminal.

use std::io::{ErrorKind, Write, stdout};

use anyhow::{Error, Result};

/// Prints `text`; it is no error if a reader such as `head` has closed the pipe.
pub fn print(text: &str) -> Result<()> {
    match stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// An error and its causes, each once, in one paragraph, without the backtrace that candle adds to
/// the text of its errors if `RUST_BACKTRACE` is set.
pub fn message(error: &Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        let cause = cause.split("\n   0: ").next().unwrap_or_default().trim_end();
        // Some errors of other crates repeat their cause.
        if !message.contains(cause) {
            message += if message.is_empty() { "" } else { ": " };
            message += cause;
        }
    }
    message.replace('\n', " ")
}
