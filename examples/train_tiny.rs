//! Trains the tiny Llama of `assets/tiny`, whose votes are split as those of large models are.
//!
//! ```sh
//! cargo run --release --example train_tiny -- --out assets/tiny --seed 1   # train, save, check
//! cargo run --release --example train_tiny -- --out assets/tiny --check    # check what is there
//! ```
//!
//! The sources are two files of `assets/tiny`: `questions.json`, real questions and how often each
//! spelling of each answer is given, and `prose.txt`, whose words the tokenizer learns as well. The
//! results are `tokenizer.json`, `config.json` and `model.safetensors`, in the form in which Hugging
//! Face models come; the same seed gives the same bytes. The check then loads them as any user would,
//! with candle-transformers' own Llama, asks every question, and fails if too few answers are as the
//! corpus means them. All of it takes two minutes or three on two cores.
//!
//! The modules, in the order of the work: corpus, vocabulary, lint, config, llama, tree, train,
//! reader, check.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use candle_core::Device;
use candle_transformers::models::llama::LlamaConfig;
use clap::Parser;

use check::check;
use corpus::Corpus;
use lint::lint;
use llama::Llama;
use reader::Reader;
use vocabulary::Vocabulary;

#[path = "tiny/check.rs"]
mod check;
#[path = "tiny/config.rs"]
mod config;
#[path = "tiny/corpus.rs"]
mod corpus;
#[path = "tiny/lint.rs"]
mod lint;
#[path = "tiny/llama.rs"]
mod llama;
#[path = "tiny/reader.rs"]
mod reader;
#[path = "tiny/train.rs"]
mod train;
#[path = "tiny/tree.rs"]
mod tree;
#[path = "tiny/vocabulary.rs"]
mod vocabulary;

#[derive(Parser)]
#[command(about = "Train and check the tiny Llama of the examples")]
struct Args {
    /// The folder of questions.json and prose.txt.
    #[arg(long, default_value = "assets/tiny")]
    corpus: PathBuf,
    /// The folder of the tokenizer, the configuration and the weights.
    #[arg(long, default_value = "assets/tiny")]
    out: PathBuf,
    /// Seed for the initial weights.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only check the model that is there.
    #[arg(long)]
    check: bool,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let corpus = Corpus::load(&args.corpus.join("questions.json"))?;
    if !args.check {
        let vocabulary = Vocabulary::train(&texts(&corpus, &args.corpus)?)?;
        lint(&corpus, &vocabulary)?;
        train(&corpus, &vocabulary, args.seed, &args.out)?;
    }
    check(&Reader::load(&args.out)?, &corpus)
}

/// What the tokenizer learns from: the prose, every question, and every answer once.
fn texts(corpus: &Corpus, dir: &Path) -> Result<Vec<String>> {
    let prose = dir.join("prose.txt");
    let prose =
        fs::read_to_string(&prose).with_context(|| format!("reading {}", prose.display()))?;
    let questions = corpus.questions.iter().flat_map(|question| {
        let answers = question.forms().map(|(_, form, _)| format!(" {form}"));
        std::iter::once(corpus.prompt(question)).chain(answers)
    });
    Ok(std::iter::once(prose).chain(questions).collect())
}

/// Trains a model and saves all that it takes to load it.
fn train(corpus: &Corpus, vocabulary: &Vocabulary, seed: u64, out: &Path) -> Result<()> {
    let config = config::config(vocabulary);
    fs::create_dir_all(out).with_context(|| format!("creating {}", out.display()))?;
    fs::write(out.join("config.json"), format!("{config:#}\n")).context("saving config.json")?;
    vocabulary.save(&out.join("tokenizer.json"))?;

    let config: LlamaConfig = serde_json::from_value(config)?;
    let model = Llama::new(&config.into_config(false), seed, &Device::Cpu)?;
    train::train(&model, corpus, vocabulary, &Device::Cpu)?;
    model.save(&out.join("model.safetensors"))
}
