//! A program of the user that decides which answers mean the same.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use anyhow::{Context, Result};
use concept_mass::source::{Judge, JudgeError};

/// A process that reads arrays of texts, one a line, and answers with arrays of groups.
pub struct Program {
    command: String,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Program {
    /// Starts `command` in the shell.
    pub fn start(command: &str) -> Result<Self> {
        let shell = if cfg!(windows) { ["cmd", "/C"] } else { ["sh", "-c"] };
        let mut child = Command::new(shell[0])
            .args([shell[1], command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start the judge {command:?}"))?;
        let to = child.stdin.take().context("the judge has no input")?;
        let from = BufReader::new(child.stdout.take().context("the judge has no output")?);
        Ok(Self { command: command.to_owned(), child, to, from })
    }

    fn ask(&mut self, texts: &[&str]) -> Result<Vec<Vec<usize>>> {
        let line = serde_json::to_string(texts)? + "\n";
        self.to.write_all(line.as_bytes()).context("it does not read its input")?;
        let mut answer = String::new();
        self.from.read_line(&mut answer).context("it does not answer")?;
        serde_json::from_str(&answer).with_context(|| {
            format!("its answer {:?} is not groups such as [[0,2]]", answer.trim_end())
        })
    }
}

impl Judge for Program {
    fn groups(&mut self, texts: &[&str]) -> Result<Vec<Vec<usize>>, JudgeError> {
        let asked = self.ask(texts).with_context(|| format!("{:?}", self.command));
        asked.map_err(Into::into)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, which is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
