//! The settings of a run, stored beside its results.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use commitment_probe::{ProbeOptions, Schema, Scorer, Stops};
use concept_mass::sample::TopKPooling;
use concept_mass_models::read_json;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::{RunArgs, Thinking};
use crate::fnv::Fnv;
use crate::folder::SETTINGS;
use crate::list::{Item, LeftOut};
use crate::preset::Preset;
use crate::prompt::Format;
use crate::source::Source;

/// The default template,
const PLAIN: &str = "Q: {question}\nA:";
/// and that with --chat.
const CHAT: &str = "{question}\nReply with the answer only.";

/// All that the samples depend on, except the questions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// The version of the layout of the run's files.
    pub schema: Schema,
    /// The version of this program.
    pub program: String,
    pub model: String,
    /// The hash of the commit, of a model on the Hub.
    pub commit: Option<String>,
    /// The files of the model and of its tokenizer, and what each [is known by](identity). Of a model
    /// on the Hub the commit says all, so this has the tokenizer alone, if one was given.
    pub files: BTreeMap<String, String>,
    pub tokenizer: Option<String>,
    pub device: String,
    pub dtype: Option<String>,
    pub batch: usize,
    #[serde(flatten)]
    pub prompt: PromptSettings,
    pub limit: Option<usize>,
    pub left_out: LeftOut,
    pub seed: u64,
    pub scorer: Scorer,
    pub endings: bool,
    pub grader: Option<String>,
    pub exchanges: usize,
    pub p_true: bool,
    pub hidden: bool,
    pub samples: usize,
    pub temperature: f64,
    pub judge: Option<String>,
    pub top_k: usize,
    pub threshold: f32,
}

/// What the model reads before it answers, and where its answer ends: what must be the same in runs
/// that are compared.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PromptSettings {
    pub preset: Option<Preset>,
    /// With `{question}` in it; a preset has its own.
    pub template: String,
    pub chat: bool,
    pub system: Option<String>,
    pub thinking: Thinking,
    pub prefill: Option<String>,
    /// Where the examples are from, and how many.
    pub shots: Option<String>,
    pub num_shots: usize,
    /// A hash of all that they say, before each question.
    pub shots_hash: Option<String>,
    pub one_turn: bool,
    /// Empty for the first line break.
    pub until: Vec<String>,
    pub max_tokens: usize,
}

impl PromptSettings {
    fn new(args: &RunArgs, items: &[Item]) -> Self {
        let template = if args.chat { CHAT } else { PLAIN };
        let until = args.preset.map_or_else(|| args.until.clone(), |p| p.stops().texts().to_vec());
        let longest = if args.preset.is_some() { Preset::MAX_TOKENS } else { MAX_TOKENS };
        Self {
            preset: args.preset,
            template: args.template.clone().unwrap_or_else(|| template.to_owned()),
            chat: args.chat,
            system: args.system.clone(),
            thinking: args.thinking,
            prefill: args.prefill.clone(),
            shots: args.shots.as_ref().map(|shots| shots.display().to_string()),
            num_shots: items.first().map_or(0, |item| item.shots.len()),
            shots_hash: shots_hash(items),
            one_turn: args.one_turn,
            until,
            max_tokens: args.max_tokens.unwrap_or(longest),
        }
    }

    /// How questions and examples are written down.
    pub fn format(&self) -> Result<Format> {
        self.preset.map_or_else(|| Format::new(&self.template), Preset::format)
    }
}

/// The maximum number of tokens of an answer, unless it is given.
const MAX_TOKENS: usize = 24;

impl Settings {
    pub fn new(args: &RunArgs, model: &Source, items: &[Item], left_out: LeftOut) -> Result<Self> {
        let text = |path: &Path| path.display().to_string();
        let tokenizer = args.tokenizer.as_deref();
        let (model, commit, files) = match model.commit() {
            Some((name, commit)) => (name.to_owned(), Some(commit.to_owned()), given(tokenizer)?),
            None => (text(&args.model), None, files(&args.model, tokenizer)?),
        };
        Ok(Self {
            schema: Schema,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            model,
            commit,
            files,
            tokenizer: tokenizer.map(text),
            device: if args.cuda { "cuda" } else { "cpu" }.to_owned(),
            dtype: args.dtype.map(|dtype| dtype.name().to_owned()),
            batch: args.batch,
            prompt: PromptSettings::new(args, items),
            limit: args.limit,
            left_out,
            seed: args.seed,
            scorer: scorer(args)?,
            endings: args.endings,
            grader: args.grader.clone(),
            exchanges: args.exchanges,
            p_true: !args.no_p_true,
            hidden: args.hidden,
            samples: args.samples,
            temperature: args.temperature,
            judge: args.judge.clone(),
            top_k: args.top_k,
            threshold: args.threshold,
        })
    }

    /// What is measured; fails for an option out of range.
    pub fn options(&self) -> Result<ProbeOptions> {
        let options = ProbeOptions {
            max_tokens: self.prompt.max_tokens,
            stops: Stops::new(self.prompt.until.clone()),
            scorer: self.scorer,
            endings: self.endings,
            exchanges: self.exchanges,
            samples: self.samples,
            temperature: self.temperature,
            seed: self.seed,
            pooling: TopKPooling { k: self.top_k, threshold: self.threshold },
            batch: self.batch,
        };
        options.check()?;
        Ok(options)
    }

    /// Why runs with these settings cannot be compared as if their models alone differed.
    pub fn differences(&self, other: &Self) -> Result<Vec<String>> {
        changed(&self.prompt, &other.prompt, |name, one, other| {
            format!("the prompts differ: {name} is {one} in the first and {other} in the second")
        })
    }

    /// Reads the settings of the run in `dir`.
    pub fn load(dir: &Path) -> Result<Self> {
        Ok(read_json(&dir.join(SETTINGS), "the settings of a run")?)
    }

    /// Fails, with all differences, if the run in `dir`, which began with `begun`, cannot be resumed
    /// with these settings.
    pub fn check(&self, begun: &Self, dir: &Path) -> Result<()> {
        let differs =
            changed(begun, self, |name, begun, now| format!("{name} was {begun} and is {now}"))?;
        if differs.is_empty() {
            return Ok(());
        }
        bail!(
            "the run in {} cannot be resumed with other settings: {}; give the same, or choose \
             another --out",
            dir.display(),
            differs.join(", ")
        )
    }
}

/// Tells the examples before all questions from others; none if there are none.
fn shots_hash(items: &[Item]) -> Option<String> {
    let mut hash = Fnv::new();
    // Where every question has the same ones, they are told apart by the first question's alone.
    let alike = items.windows(2).all(|pair| pair[0].shots == pair[1].shots);
    let items = if alike { &items[..items.len().min(1)] } else { items };
    for shot in items.iter().flat_map(|item| &item.shots) {
        for text in [&shot.question, &shot.answer] {
            hash.write(text.as_bytes());
            hash.write(&[0]);
        }
    }
    items.iter().any(|item| !item.shots.is_empty()).then(|| hash.hex())
}

/// What is `told` of each field of `one` that `other` has not, or with another value.
fn changed<T: Serialize>(
    one: &T,
    other: &T,
    told: impl Fn(&str, &Value, &Value) -> String,
) -> Result<Vec<String>> {
    let fields = |settings: &T| -> Result<BTreeMap<String, Value>> {
        Ok(serde_json::from_value(serde_json::to_value(settings)?)?)
    };
    let (one, other) = (fields(one)?, fields(other)?);
    let differs = one.iter().filter(|(name, value)| other.get(*name) != Some(value));
    let told = |(name, value): (&String, &Value)| {
        told(name, value, other.get(name).unwrap_or(&Value::Null))
    };
    Ok(differs.map(told).collect())
}

/// What decides whether an answer is right.
fn scorer(args: &RunArgs) -> Result<Scorer> {
    let given = args.scorer.map(|given| given.0);
    let scorer = match (args.preset, given, &args.grader) {
        (Some(preset), ..) => preset.scorer(),
        (None, Some(given), _) => given,
        (None, None, Some(_)) => Scorer::Grader,
        // A chat model answers in sentences, and a right one is not wrong.
        (None, None, None) if args.chat => Scorer::Contains,
        (None, None, None) => Scorer::Exact,
    };
    ensure!(
        scorer != Scorer::Grader || args.grader.is_some(),
        "--match grader needs a program to ask; give --grader COMMAND"
    );
    ensure!(
        scorer == Scorer::Grader || args.grader.is_none(),
        "--grader is not asked with another --match; leave one of them out"
    );
    Ok(scorer)
}

/// The files that a model and its tokenizer consist of.
fn files(model: &Path, tokenizer: Option<&Path>) -> Result<BTreeMap<String, String>> {
    let unreadable = || format!("cannot read {}", model.display());
    let mut paths = Vec::new();
    if model.is_dir() {
        for entry in fs::read_dir(model).with_context(unreadable)? {
            let path = entry.with_context(unreadable)?.path();
            if path
                .extension()
                .is_some_and(|extension| FILES.iter().any(|known| extension == *known))
            {
                paths.push(path);
            }
        }
    } else {
        paths.extend(parts(model));
        // It takes the place of what the GGUF file has.
        let beside = model.with_file_name("tokenizer.json");
        if tokenizer.is_none() && beside.exists() {
            paths.push(beside);
        }
    }
    let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut files = given(tokenizer)?;
    for path in &paths {
        files.insert(name(path), identity(path)?);
    }
    Ok(files)
}

/// The tokenizer that was given, by its path, as the model may have a file of that name.
fn given(tokenizer: Option<&Path>) -> Result<BTreeMap<String, String>> {
    let identify = |path: &Path| Ok((path.display().to_string(), identity(path)?));
    tokenizer.into_iter().map(identify).collect()
}

/// A GGUF file, and the others of the same model if it is the first of several.
fn parts(model: &Path) -> Vec<PathBuf> {
    let name = model.file_name().unwrap_or_default().to_string_lossy();
    let split = name.split_once("-00001-of-");
    let count = split.and_then(|(_, rest)| rest.strip_suffix(".gguf")?.parse::<u32>().ok());
    let (Some((stem, _)), Some(count)) = (split, count) else { return vec![model.to_owned()] };
    let part = |i: u32| model.with_file_name(format!("{stem}-{i:05}-of-{count:05}.gguf"));
    (1..=count).map(part).filter(|path| path.exists()).collect()
}

/// The endings of the files of a model.
const FILES: [&str; 4] = ["json", "jinja", "safetensors", "gguf"];

/// What tells a file from another version of it: its size, and a hash (64 bits of FNV-1a) of all of
/// it, or of samples if it is large: whoever trains or quantises weights anew changes them all.
fn identity(path: &Path) -> Result<String> {
    let identify = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut hash = Fnv::new();
        let samples = bytes.div_ceil(SAMPLE).min(SAMPLES);
        for i in 0..samples {
            // The first begins where the file does, and the last ends there.
            let last = bytes.saturating_sub(SAMPLE);
            let start = u128::from(last) * u128::from(i) / u128::from((samples - 1).max(1));
            file.seek(SeekFrom::Start(start as u64))?;
            let mut sample = Vec::new();
            file.by_ref().take(SAMPLE).read_to_end(&mut sample)?;
            hash.write(&sample);
        }
        Ok(format!("{bytes} bytes, {}", hash.hex()))
    };
    identify().with_context(|| format!("cannot read {}", path.display()))
}

/// How many samples there are at most, and their bytes.
const SAMPLES: u64 = 256;
const SAMPLE: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_has_changed_is_another_whatever_its_size() {
        let dir =
            std::env::temp_dir().join(format!("commitment-probe-files-{}", std::process::id()));
        fs::create_dir_all(dir.join("folder")).unwrap();
        let write = |file: &str, text: &str| fs::write(dir.join(file), text).unwrap();
        let begin = || {
            for file in ["model.gguf", "tokenizer.json", "given.json", "folder/config.json"] {
                write(file, "as it was");
            }
        };
        let given = dir.join("given.json");
        for (model, tokenizer, changed) in [
            ("folder", None, "folder/config.json"),
            ("folder", Some(given.as_path()), "given.json"),
            ("model.gguf", None, "tokenizer.json"),
            ("model.gguf", Some(given.as_path()), "given.json"),
        ] {
            begin();
            let model = dir.join(model);
            let before = files(&model, tokenizer).unwrap();
            assert_eq!(before, files(&model, tokenizer).unwrap());
            write(changed, "as it is!");
            assert_ne!(before, files(&model, tokenizer).unwrap(), "{changed}");
        }
        for (file, parts) in [("model.gguf", 1), ("split-00001-of-00003.gguf", 3)] {
            let names = match parts {
                1 => vec![file.to_owned()],
                n => (1..=n).map(|i| format!("split-{i:05}-of-{n:05}.gguf")).collect(),
            };
            // Of several samples; a change anywhere but between them is seen.
            let weights = vec![7; 3 * SAMPLE as usize];
            for name in &names {
                fs::write(dir.join(name), &weights).unwrap();
            }
            let before = files(&dir.join(file), None).unwrap();
            for name in &names {
                for at in [0, weights.len() / 2, weights.len() - 1] {
                    let mut changed = weights.clone();
                    changed[at] = 8;
                    fs::write(dir.join(name), changed).unwrap();
                    assert_ne!(before, files(&dir.join(file), None).unwrap(), "{name} {at}");
                    fs::write(dir.join(name), &weights).unwrap();
                }
            }
            assert_eq!(before, files(&dir.join(file), None).unwrap());
        }
        fs::remove_dir_all(dir).unwrap();
    }
}
