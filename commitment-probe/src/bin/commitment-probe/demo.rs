//! The demonstration: the tiny model that comes with the program, and a sharpened copy, on the
//! questions that it was trained on.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use candle_core::{DType, Device, safetensors};
use commitment_probe::Question;
use concept_mass_tiny as tiny;
use serde::Deserialize;

use crate::args::{DemoArgs, ReportArgs, RunArgs, TAU};
use crate::folder::write_whole;
use crate::report::report;
use crate::run::run;

/// What the reader of the report must know.
const NOTE: &str = "A demonstration on a synthetic world, not evidence about real models: a tiny \
    model that was trained to split its votes, and the same model with its logits multiplied.";

/// The last normalisation's weights, by which all logits are scaled.
const NORM: &str = "model.norm.weight";

/// The models, and the factors of their logits. The sharpened one stands for an instruct model,
/// which gives the same answers and is surer of them.
const MODELS: [(&str, f64); 2] = [("base", 1.0), ("sharpened", 1.5)];

/// Makes the models, runs them, and writes the report; returns it in Markdown.
pub fn demo(args: &DemoArgs) -> Result<String> {
    let questions = args.out.join("questions.jsonl");
    fs::create_dir_all(&args.out).with_context(|| format!("cannot make {}", args.out.display()))?;
    write_whole(&questions, &lines()?)?;
    let mut runs = Vec::new();
    for (name, sharpness) in MODELS {
        let model = args.out.join("models").join(name);
        save(&model, sharpness)?;
        let out = args.out.join(name);
        run(&RunArgs::of(&model, &questions, &out)?)?;
        runs.push(out);
    }
    report(&ReportArgs { runs, tau: TAU, out: Some(args.out.clone()) }, Some(NOTE))
}

/// The model with its logits multiplied by `sharpness`, as a Hugging Face folder.
fn save(dir: &Path, sharpness: f64) -> Result<()> {
    tiny::write_to(dir).with_context(|| format!("cannot write to {}", dir.display()))?;
    let mut tensors = safetensors::load_buffer(tiny::WEIGHTS, &Device::Cpu)?;
    let norm = tensors.get(NORM).with_context(|| format!("the tiny model has no {NORM}"))?;
    let scaled = (norm.to_dtype(DType::F32)? * sharpness)?.to_dtype(norm.dtype())?;
    tensors.insert(NORM.to_owned(), scaled);
    let path = dir.join("model.safetensors");
    safetensors::save(&tensors, &path).with_context(|| format!("cannot write {}", path.display()))
}

/// `questions.json` of the tiny model.
#[derive(Deserialize)]
struct Corpus {
    questions: Vec<Taught>,
}

/// A question, and how a hundred people answer it.
#[derive(Deserialize)]
struct Taught {
    id: String,
    question: String,
    answer: String,
    concepts: BTreeMap<String, BTreeMap<String, u32>>,
}

/// The questions in our own layout.
fn lines() -> Result<String> {
    let corpus: Corpus = serde_json::from_str(tiny::QUESTIONS)?;
    let question = |taught: Taught| {
        let mut others: BTreeMap<String, Vec<String>> =
            taught.concepts.into_iter().map(|(name, forms)| (name, by_share(forms))).collect();
        let answers = others.remove(&taught.answer).unwrap_or_default();
        Question::new(taught.id, taught.question, answers, others)
    };
    let line = |taught| Ok(serde_json::to_string(&question(taught)?)? + "\n");
    let taught = corpus.questions.into_iter().map(line).collect::<Result<String>>()?;
    Ok(taught + tiny::UNTAUGHT)
}

/// The forms, the usual one first.
fn by_share(forms: BTreeMap<String, u32>) -> Vec<String> {
    let mut forms: Vec<_> = forms.into_iter().collect();
    forms.sort_by_key(|&(_, share)| std::cmp::Reverse(share));
    forms.into_iter().map(|(form, _)| form).collect()
}
