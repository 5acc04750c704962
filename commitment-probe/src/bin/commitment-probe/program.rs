//! A program of the user that decides which answers mean the same, or which are right.

use std::{
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use commitment_probe::{Grade, Grader, Question};
use concept_mass::source::{Judge, JudgeError};
use serde::Serialize;
use serde_json::json;

/// How much of an answer is shown that is none.
const SHOWN: usize = 200;

/// How long a process may take to end that has closed its output.
const PATIENCE: Duration = Duration::from_secs(1);

/// A process that reads a line, and answers with one.
pub struct Program {
    command: String,
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Program {
    /// Starts `command` in the shell; `role` is what it is called in errors.
    pub fn start(role: &'static str, command: &str) -> Result<Self> {
        let shell = if cfg!(windows) { ["cmd", "/C"] } else { ["sh", "-c"] };
        let mut child = Command::new(shell[0])
            .args([shell[1], command])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start the {role} {command:?}"))?;
        let to = child.stdin.take().context("it has no input")?;
        let from = BufReader::new(child.stdout.take().context("it has no output")?);
        Ok(Self { command: command.to_owned(), child, to, from })
    }

    /// Its answer to a line of JSON, which has at most `most` bytes.
    fn ask(&mut self, asked: &impl Serialize, most: u64) -> Result<String> {
        ensure!(
            self.from.buffer().is_empty(),
            "it has printed more than one line for a line; it must answer each with one"
        );
        let line = serde_json::to_string(asked)? + "\n";
        match self.to.write_all(line.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return self.ended(),
            written => written.context("it does not read its input")?,
        }
        let mut answer = Vec::new();
        let read = self.from.by_ref().take(most).read_until(b'\n', &mut answer);
        read.context("it does not answer")?;
        if answer.is_empty() {
            return self.ended();
        }
        ensure!(
            answer.last() == Some(&b'\n') || (answer.len() as u64) < most,
            "its answer has more than {most} bytes"
        );
        Ok(String::from_utf8_lossy(answer.trim_ascii()).into_owned())
    }

    fn named<T>(&self, answered: Result<T>) -> Result<T> {
        answered.with_context(|| format!("{:?}", self.command))
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
        let asked = self.ask(&texts, longest_answer(texts.len())).and_then(|answer| {
            serde_json::from_str(&answer).with_context(|| {
                format!("its answer {:?} is not groups such as [[0,2]]", shown(&answer))
            })
        });
        self.named(asked).map_err(Into::into)
    }
}

impl Grader for Program {
    fn grade(
        &mut self,
        question: &Question,
        answer: &str,
    ) -> Result<Grade, Box<dyn std::error::Error + Send + Sync>> {
        let (text, answers) = (question.text(), question.answers());
        let asked = json!({"question": text, "answers": answers, "answer": answer});
        let grade = self.ask(&asked, LONGEST_GRADE).and_then(|grade| grade_of(&grade));
        self.named(grade).map_err(Into::into)
    }
}

/// The most bytes of a grade, with more space than anybody needs.
const LONGEST_GRADE: u64 = 4096;

/// What a grader says: in words, in JSON, or by the letters of SimpleQA's.
fn grade_of(said: &str) -> Result<Grade> {
    let word = said.trim_matches('"').to_lowercase().replace(['_', '-'], " ");
    Ok(match word.as_str() {
        "right" | "correct" | "true" | "a" => Grade::Right,
        "wrong" | "incorrect" | "false" | "b" => Grade::Wrong,
        "not attempted" | "c" => Grade::NotAttempted,
        _ => bail!("its answer {:?} is not right, wrong or not attempted", shown(said)),
    })
}

fn shown(answer: &str) -> String {
    answer.chars().take(SHOWN).collect()
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already, which is no error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
