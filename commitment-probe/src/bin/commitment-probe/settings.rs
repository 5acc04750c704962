//! The settings of a run, stored beside its results.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use commitment_probe::Schema;
use concept_mass_models::read_json;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::RunArgs;
use crate::folder::SETTINGS;

/// The default template,
const PLAIN: &str = "Q: {question}\nA:";
/// and that with --chat.
const CHAT: &str = "{question}\nAnswer with the name alone.";

/// All that the samples depend on, except the questions.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// The version of the layout of the run's files.
    pub schema: Schema,
    /// The version of this program.
    pub program: String,
    pub model: String,
    /// The bytes of the model's files.
    pub files: BTreeMap<String, u64>,
    pub tokenizer: Option<String>,
    pub device: String,
    pub dtype: Option<String>,
    pub batch: usize,
    pub template: String,
    pub chat: bool,
    pub system: Option<String>,
    pub limit: Option<usize>,
    pub seed: u64,
    pub max_tokens: usize,
    pub samples: usize,
    pub temperature: f64,
    pub judge: Option<String>,
    pub top_k: usize,
    pub threshold: f32,
}

impl Settings {
    pub fn new(args: &RunArgs) -> Result<Self> {
        let text = |path: &Path| path.display().to_string();
        let template = if args.chat { CHAT } else { PLAIN };
        Ok(Self {
            schema: Schema,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            model: text(&args.model),
            files: files(&args.model)?,
            tokenizer: args.tokenizer.as_deref().map(text),
            device: if args.cuda { "cuda" } else { "cpu" }.to_owned(),
            dtype: args.dtype.map(|dtype| dtype.name().to_owned()),
            batch: args.batch,
            template: args.template.clone().unwrap_or_else(|| template.to_owned()),
            chat: args.chat,
            system: args.system.clone(),
            limit: args.limit,
            seed: args.seed,
            max_tokens: args.max_tokens,
            samples: args.samples,
            temperature: args.temperature,
            judge: args.judge.clone(),
            top_k: args.top_k,
            threshold: args.threshold,
        })
    }

    /// Reads the settings of the run in `dir`.
    pub fn load(dir: &Path) -> Result<Self> {
        Ok(read_json(&dir.join(SETTINGS), "the settings of a run")?)
    }

    /// Fails, with all differences, if the run in `dir`, which began with `begun`, cannot be resumed
    /// with these settings.
    pub fn check(&self, begun: &Self, dir: &Path) -> Result<()> {
        let fields = |settings: &Self| -> Result<BTreeMap<String, Value>> {
            Ok(serde_json::from_value(serde_json::to_value(settings)?)?)
        };
        let (begun, now) = (fields(begun)?, fields(self)?);
        let differs = begun.iter().filter(|(name, value)| now.get(*name) != Some(value));
        let differs = differs.map(|(name, value)| {
            let now = now.get(name).unwrap_or(&Value::Null);
            format!("{name} was {value} and is {now}")
        });
        let differs: Vec<_> = differs.collect();
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

/// The bytes of the files that a model consists of.
fn files(model: &Path) -> Result<BTreeMap<String, u64>> {
    let unreadable = || format!("cannot read {}", model.display());
    if !model.is_dir() {
        let bytes = fs::metadata(model).with_context(unreadable)?.len();
        let name = model.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Ok([(name, bytes)].into());
    }
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(model).with_context(unreadable)? {
        let path = entry.with_context(unreadable)?.path();
        let of_model = path.extension().is_some_and(|extension| {
            ["json", "safetensors", "gguf", "jinja"].iter().any(|known| extension == *known)
        });
        if of_model {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.insert(name, fs::metadata(&path).with_context(unreadable)?.len());
        }
    }
    Ok(files)
}
