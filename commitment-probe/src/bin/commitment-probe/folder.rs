//! The folder of a run: what was asked, how, and the results.
//!
//! | file | what it is |
//! | --- | --- |
//! | `run.json` | the settings, which must not change once there is a sample |
//! | `questions.jsonl` | the questions, in our own layout |
//! | `samples.jsonl` | a line for each question that has been measured |
//! | `model.json` | what is known of the model once it has been read |
//! | `hidden.safetensors` | with `--hidden`: the states of all prompts; until then `hidden.part` |
//!
//! A sample is appended in one piece and at once. Whatever kills the run, all lines except the last
//! are complete, and so is the last if it ends in a line break; a run resumes after the last
//! complete line. Settings and samples carry the version of their layout, and those of another
//! version are refused.
//!
//! A folder without a sample has nothing to lose: whatever a run failed of before its first one, its
//! settings and questions may be given anew. States that it has may be those of other settings, and
//! are deleted.

use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File, OpenOptions, TryLockError},
    io::{Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    process,
};

use anyhow::{Context, Error, Result, bail, ensure};
use commitment_probe::{HiddenWriter, Question, Questions, Sample, Schema};
use concept_mass_models::read_json;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::settings::Settings;

pub const SETTINGS: &str = "run.json";
const QUESTIONS: &str = "questions.jsonl";
const SAMPLES: &str = "samples.jsonl";

const MODEL: &str = "model.json";

/// A run in progress, locked by this process.
pub struct Folder {
    samples: File,
    dir: PathBuf,
}

/// What is known of a model once it has been read.
#[derive(Debug, Serialize, Deserialize)]
pub struct ModelFacts {
    pub schema: Schema,
    pub architecture: String,
    pub num_parameters: u64,
    /// The types of the weights in the files, and how many numbers of each.
    pub stored_as: BTreeMap<String, u64>,
    /// The dtype of what is computed.
    pub computed_in: String,
    /// The precision of what matrices multiply; none in folders of a version that did not say.
    #[serde(default)]
    pub activations: Option<String>,
    pub vocab_size: usize,
    /// The most tokens that a prompt and its answer may have together.
    pub positions: usize,
    /// What it reads before the answer to the first question, with the special tokens.
    pub first_prompt: String,
}

/// A JSON object as it is in a file.
pub type Fields = BTreeMap<String, Value>;

/// The results of a run so far.
pub struct Results {
    pub settings: Settings,
    /// None before the model was read.
    pub model: Option<ModelFacts>,
    /// The settings and what is known of the model, as the files have them.
    pub as_written: (Fields, Fields),
    pub questions: Vec<Question>,
    pub samples: Vec<Sample>,
}

impl Folder {
    /// Begins a run in `dir`, or resumes the one that is there, which must have the same settings
    /// and questions once it has a sample; also returns the samples that it has already.
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
        match samples.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another process is writing to {}; wait for it, or choose another --out",
                dir.display()
            ),
            Err(TryLockError::Error(error)) => {
                let locked = format!("cannot lock {}; choose another --out", path.display());
                return Err(Error::new(error).context(locked));
            }
        }
        let mut bytes = Vec::new();
        let read = samples.read_to_end(&mut bytes);
        read.with_context(|| format!("cannot read {}", path.display()))?;
        let whole = whole_lines(&bytes);
        if !whole.is_empty() && dir.join(SETTINGS).exists() {
            settings.check(&Settings::load(dir)?, dir)?;
            ensure!(
                Questions::load(dir.join(QUESTIONS))?.questions == questions,
                "the questions differ from those of the run in {}; give the same file and --limit, \
                 or choose another --out",
                dir.display()
            );
        } else {
            // States of another model or prompt may be there.
            HiddenWriter::remove(dir)?;
            // The settings last: if they are there, so is everything else.
            write_whole(&dir.join(QUESTIONS), &lines(questions)?)?;
            write_whole(
                &dir.join(SETTINGS),
                &format!("{}\n", serde_json::to_string_pretty(settings)?),
            )?;
        }
        let done = parse(whole, &path, questions)?;
        samples.set_len(whole.len() as u64)?;
        samples.seek(SeekFrom::End(0))?;
        Ok((Self { samples, dir: dir.to_owned() }, done))
    }

    /// Writes down what is known of the model.
    pub fn describe(&self, facts: &ModelFacts) -> Result<()> {
        write_whole(&self.dir.join(MODEL), &format!("{}\n", serde_json::to_string_pretty(facts)?))
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
        let settings = Settings::load(dir)?;
        let facts = dir.join(MODEL);
        let model = facts.exists().then(|| read_json(&facts, "what is known of a model"));
        let model = model.transpose()?;
        let fields = |path: &Path| read_json::<Fields>(path, "a JSON object");
        let as_written = (
            fields(&dir.join(SETTINGS))?,
            if model.is_some() { fields(&facts)? } else { Fields::new() },
        );
        let questions = Questions::load(dir.join(QUESTIONS))?.questions;
        let path = dir.join(SAMPLES);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let samples = parse(whole_lines(&bytes), &path, &questions)?;
        Ok(Self { settings, model, as_written, questions, samples })
    }
}

/// The bytes without a last line that was cut short, which may end within a character.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1)]
}

/// The samples of complete lines, each of a question of its own.
fn parse(lines: &[u8], path: &Path, questions: &[Question]) -> Result<Vec<Sample>> {
    let known: HashSet<&str> = questions.iter().map(Question::id).collect();
    let mut seen = HashSet::new();
    let mut samples = Vec::new();
    for (i, line) in lines.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let place = || format!("line {} of {}", i + 1, path.display());
        let sample: Sample = serde_json::from_slice(line.trim_ascii_end())
            .with_context(|| format!("cannot read {}", place()))?;
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
    // A name that neither another file nor another process has.
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".{}.part", process::id()));
    let written = fs::write(&part, text).and_then(|()| fs::rename(&part, path));
    if written.is_err() {
        // It may not be there; and what is told is why it could not be written.
        let _ = fs::remove_file(&part);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use serde_json::json;

    use super::*;
    use crate::args::RunArgs;
    use crate::list::LeftOut;
    use crate::source::Source;

    fn folder(test: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("commitment-probe-{}-{test}", process::id()));
        if dir.exists() {
            fs::remove_dir_all(&dir).unwrap();
        }
        dir
    }

    fn settings(dir: &Path, change: impl FnOnce(&mut RunArgs)) -> Settings {
        let mut args = RunArgs::of(&concept_mass_tiny::folder(), dir, dir).unwrap();
        change(&mut args);
        Settings::new(&args, &Source::Path(args.model.clone()), &[], LeftOut::default()).unwrap()
    }

    /// Texts of characters of one byte to four.
    const TEXTS: [&str; 3] = ["Łódź", "naïve 一二", "🎈 à la carte"];

    fn questions() -> Vec<Question> {
        let question = |text: &&str| {
            Question::new(*text, *text, vec![text.to_string()], Default::default()).unwrap()
        };
        TEXTS.iter().map(question).collect()
    }

    fn sample(text: &str) -> Sample {
        let sample = json!({
            "schema": Schema, "id": text, "question": text, "forms": [text], "prompt_tokens": 1,
            "answer": text, "verdict": "right",
            "scorer": "exact", "accepted": {}, "otherwise": "wrong", "localised": true, "vocab_size": 9,
            "first": {
                "token": 1, "text": text, "probability": 0.5, "margin": 0.25,
                "begins_answer": true, "is_own": true, "firsts": 1, "mass": 0.5, "concentration": null,
                "token_entropy": 0.5, "tokens": [],
            },
            "later": [],
            "informative": {
                "mass": 0.5, "concentration": null, "cuts": 1, "winner": text,
                "winner_is_right": true, "conditional": null, "passed": [],
            },
            "exchanged": [], "decisions": {}, "phrase_mass": 0.5,
            "sequence": {"ln_probability": -0.5, "tokens": 1}, "p_true": null,
            "at_temperature": [], "sampled": null,
        });
        serde_json::from_value(sample).unwrap()
    }

    /// Whatever byte of a line was the last to reach the disk.
    #[test]
    fn samples_that_are_cut_at_any_byte_are_those_before() {
        let (dir, questions) = (folder("cut"), questions());
        let settings = settings(&dir, |_| {});
        let (mut run, none) = Folder::open(&dir, &settings, &questions).unwrap();
        assert!(none.is_empty());
        TEXTS.iter().for_each(|text| run.append(&sample(text)).unwrap());
        drop(run);
        let path = dir.join(SAMPLES);
        let whole = fs::read(&path).unwrap();
        assert!(whole.iter().any(|byte| *byte >= 0xF0));
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let lines = whole[..cut].iter().filter(|byte| **byte == b'\n').count();
            assert_eq!(Results::load(&dir).unwrap().samples.len(), lines, "report, {cut}");
            let (mut run, done) = Folder::open(&dir, &settings, &questions).unwrap();
            assert_eq!(done.len(), lines, "resume, {cut}");
            TEXTS[lines..].iter().for_each(|text| run.append(&sample(text)).unwrap());
            drop(run);
            assert!(fs::read(&path).unwrap() == whole, "resumed, {cut}");
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn settings_may_be_given_anew_until_there_is_a_sample() {
        let (dir, questions) = (folder("anew"), questions());
        let [first, other] =
            [24, 12].map(|tokens| settings(&dir, |args| args.max_tokens = Some(tokens)));
        let open = |settings: &Settings, questions: &[Question]| {
            let begun = Folder::open(&dir, settings, questions).map_err(|e| e.to_string())?;
            let begun_with = Settings::load(&dir).unwrap();
            assert_eq!(begun_with.prompt.max_tokens, settings.prompt.max_tokens);
            assert_eq!(Results::load(&dir).unwrap().questions, questions);
            Ok::<_, String>(begun.0)
        };
        open(&first, &questions).unwrap();
        // Killed between the states of a batch and its samples; or the samples were deleted.
        let leftovers = ["hidden.part", "hidden.safetensors", "hidden.safetensors.7.part"];
        leftovers.iter().for_each(|name| fs::write(dir.join(name), "of the first").unwrap());
        open(&other, &questions[..2]).unwrap();
        assert!(leftovers.iter().all(|name| !dir.join(name).exists()));
        // What was cut short is no sample.
        fs::write(dir.join(SAMPLES), "{\"schema\": 1, \"id\": \"\u{141}").unwrap();
        let mut run = open(&first, &questions).unwrap();
        run.append(&sample(TEXTS[0])).unwrap();
        drop(run);
        let refused = open(&other, &questions).err().unwrap();
        assert!(refused.contains("max_tokens was 24 and is 12"), "{refused}");
        let refused = open(&first, &questions[..2]).err().unwrap();
        assert!(refused.contains("the questions differ"), "{refused}");
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_behind() {
        let dir = folder("part");
        fs::create_dir_all(dir.join("report.md").join("in the way")).unwrap();
        write_whole(&dir.join("report.md"), "text").unwrap_err();
        write_whole(&dir.join("report.json"), "{}").unwrap();
        let mut names: Vec<_> =
            fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["report.json", "report.md"]);
        assert_eq!(fs::read_to_string(dir.join("report.json")).unwrap(), "{}");
        fs::remove_dir_all(dir).unwrap();
    }
}
