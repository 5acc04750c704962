//! A program of the user that decides which answers mean the same.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use concept_mass::source::{Judge, JudgeError};

/// How much of an answer is shown that is none.
const SHOWN: usize = 200;

/// How long a process may take to end that has closed its output.
const PATIENCE: Duration = Duration::from_secs(1);

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
        match self.to.write_all(line.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return self.ended(),
            written => written.context("it does not read its input")?,
        }
        let mut answer = Vec::new();
        let most = longest_answer(texts.len());
        let read = self.from.by_ref().take(most).read_until(b'\n', &mut answer);
        read.context("it does not answer")?;
        if answer.is_empty() {
            return self.ended();
        }
        ensure!(
            answer.last() == Some(&b'\n') || (answer.len() as u64) < most,
            "its answer to {} texts has more than {most} bytes",
            texts.len()
        );
        serde_json::from_slice(answer.trim_ascii_end()).with_context(|| {
            let shown: String = String::from_utf8_lossy(&answer).chars().take(SHOWN).collect();
            format!("its answer {:?} is not groups such as [[0,2]]", shown.trim_end())
        })
    }

    /// It has closed its end: says how it ended.
    fn ended<T>(&mut self) -> Result<T> {
        // It may have closed its output alone, and go on for ever.
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().context("it does not answer")? {
                bail!("it has ended ({status}); it must answer each line until its input ends");
            }
            thread::sleep(Duration::from_millis(5));
        }
        bail!("it has closed its output; it must answer each line until its input ends")
    }
}

/// The most bytes of an answer about so many texts: every place once, with brackets, commas and
/// more space than anybody needs.
fn longest_answer(texts: usize) -> u64 {
    (texts as u64).saturating_mul(64).saturating_add(4096)
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
