//! The folder of a run: what was asked, how, and the results.
//!
//! | file | what it is |
//! | --- | --- |
//! | `run.json` | the settings, which must not change when the run is resumed |
//! | `questions.jsonl` | the questions, in our own layout |
//! | `samples.jsonl` | a line for each question that has been measured |
//!
//! A sample is appended in one piece and at once. Whatever kills the run, all lines except the last
//! are complete, and so is the last if it ends in a line break; a run resumes after the last
//! complete line. Settings and samples carry the version of their layout, and those of another
//! version are refused.

use std::{
    collections::HashSet,
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom, Write},
    path::Path,
};

use anyhow::{Context, Result, ensure};
use commitment_probe::{Question, Sample};
use serde::Serialize;

use crate::settings::Settings;
pub const SETTINGS: &str = "run.json";
const QUESTIONS: &str = "questions.jsonl";
const SAMPLES: &str = "samples.jsonl";

/// A run in progress, locked by this process.
pub struct Folder {
    samples: File,
}

/// The results of a run so far.
pub struct Results {
    pub questions: Vec<Question>,
    pub samples: Vec<Sample>,
}

impl Folder {
    /// Begins a run in `dir`, or resumes the one that is there, which must have the same settings
    /// and questions; also returns the samples that it has already.
    pub fn open(
        dir: &Path,
        settings: &Settings,
        questions: &[Question],
    ) -> Result<(Self, Vec<Sample>)> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let path = dir.join(SAMPLES);
        let mut samples = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        ensure!(
            samples.try_lock().is_ok(),
            "another process is writing to {}; wait for it, or choose another --out",
            dir.display()
        );
        if dir.join(SETTINGS).exists() {
            settings.check(&Settings::load(dir)?, dir)?;
            ensure!(
                Question::load(dir.join(QUESTIONS))? == questions,
                "the questions differ from those of the run in {}; give the same file and --limit, \
                 or choose another --out",
                dir.display()
            );
        } else {
            // The settings last: if they are there, so is everything else.
            write_whole(&dir.join(QUESTIONS), &lines(questions)?)?;
            write_whole(
                &dir.join(SETTINGS),
                &format!("{}\n", serde_json::to_string_pretty(settings)?),
            )?;
        }
        let mut text = String::new();
        let read = samples.read_to_string(&mut text);
        read.with_context(|| format!("cannot read {}", path.display()))?;
        let whole = whole_lines(&text);
        let done = parse(whole, &path, questions)?;
        samples.set_len(whole.len() as u64)?;
        samples.seek(SeekFrom::End(0))?;
        Ok((Self { samples }, done))
    }

    /// Adds a sample.
    pub fn append(&mut self, sample: &Sample) -> Result<()> {
        let line = serde_json::to_string(sample)? + "\n";
        self.samples.write_all(line.as_bytes()).context("cannot add to the samples")
    }
}

impl Results {
    /// Reads the results in `dir`, whether the run is finished or not.
    pub fn load(dir: &Path) -> Result<Self> {
        ensure!(
            dir.join(SETTINGS).exists(),
            "{} is not the folder of a run: it has no {SETTINGS}",
            dir.display()
        );
        Settings::load(dir)?;
        let questions = Question::load(dir.join(QUESTIONS))?;
        let path = dir.join(SAMPLES);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { samples: parse(whole_lines(&text), &path, &questions)?, questions })
    }
}

/// The text without a last line that was cut short.
fn whole_lines(text: &str) -> &str {
    &text[..text.rfind('\n').map_or(0, |end| end + 1)]
}

/// The samples of complete lines, each of a question of its own.
fn parse(text: &str, path: &Path, questions: &[Question]) -> Result<Vec<Sample>> {
    let known: HashSet<&str> = questions.iter().map(Question::id).collect();
    let mut seen = HashSet::new();
    let mut samples = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let place = || format!("line {} of {}", i + 1, path.display());
        let sample: Sample =
            serde_json::from_str(line).with_context(|| format!("cannot read {}", place()))?;
        ensure!(
            known.contains(sample.id.as_str()),
            "{} is a sample of no question of the run",
            place()
        );
        ensure!(
            seen.insert(sample.id.clone()),
            "{} is a second sample of the same question",
            place()
        );
        samples.push(sample);
    }
    Ok(samples)
}

fn lines<T: Serialize>(values: &[T]) -> Result<String> {
    let line = |value| Ok(serde_json::to_string(value)? + "\n");
    values.iter().map(line).collect()
}

/// Writes a file completely or not at all.
pub fn write_whole(path: &Path, text: &str) -> Result<()> {
    let part = path.with_extension("part");
    let write = || fs::write(&part, text).and_then(|()| fs::rename(&part, path));
    write().with_context(|| format!("cannot write {}", path.display()))
}
