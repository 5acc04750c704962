//! What a program says on the terminal.

use std::io::{ErrorKind, Write, stdout};
use std::process::ExitCode;

use anyhow::{Error, Result};

/// Prints `text` at once, and takes no offence at a reader such as `head` that has seen enough.
pub fn print(text: &str) -> Result<()> {
    let mut out = stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// What a program exits with, and says of an error.
pub fn exit(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", message(&error));
            ExitCode::FAILURE
        }
    }
}

/// An error and its causes in one paragraph, without the backtrace that candle puts into the text
/// of its errors where `RUST_BACKTRACE` is set.
fn message(error: &Error) -> String {
    let text = format!("{error:#}");
    text.split("\n   0: ").next().unwrap_or_default().replace('\n', " ")
}
