//! Who built what on Red Square? A model that knows, and says something else; and one line that
//! lets it say what it knows.
//!
//! ```sh
//! cargo run --release --example saint_basils             # one question, its vote in full
//! cargo run --release --example saint_basils -- --all    # all 66 questions, in a table
//! ```
//!
//! The tiny Llama of `assets/tiny` and candle-transformers' own code decode the answers, once with
//! candle's `LogitsProcessor` and once with a `ConceptSampler`. A model of your own, a Llama, Qwen2
//! or Qwen3 as Hugging Face hosts them, takes the same way:
//!
//! ```sh
//! cargo run --release --example saint_basils -- --model path/to/Qwen3-0.6B --concepts moscow.json \
//!     --prompt $'Q: Which cathedral did Ivan the Terrible build on Red Square?\nA:'
//! ```
//!
//! where `moscow.json` lists what may be meant, and how each of it may be spelt, as it would follow
//! the prompt: after a space, or after the white space that the prompt ends in.
//!
//! ```json
//! {
//!   "Saint Basil's Cathedral": ["Saint Basil's", "St. Basil's", "Cathedral of Vasily the Blessed"],
//!   "Moscow": ["Moscow"]
//! }
//! ```
//!
//! Built with `--features cuda`, `--cuda` decodes on the first CUDA device; what is copied to the
//! host at each step is the token.

use std::{
    io::{ErrorKind, Write, stdout},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Error, Result, ensure};
use candle_core::Device;
use clap::Parser;

use corpus::Corpus;
use demo::{Concepts, Decoder, Paint, Question, Table, Vote, page};

#[path = "tiny/corpus.rs"]
mod corpus;
mod demo;

/// The question of the paper.
const HEADLINE: &str = "red-square";

#[derive(Parser)]
#[command(about = "Decode answers twice: by counting tokens, and by counting meanings")]
struct Args {
    /// Answer every question, not only the one about Red Square.
    #[arg(long, conflicts_with = "Own")]
    all: bool,
    #[command(flatten)]
    own: Option<Own>,
    /// The most tokens of an answer.
    #[arg(long, default_value_t = 24)]
    max_tokens: usize,
    /// Decode on the first CUDA device; needs to be built with --features cuda.
    #[arg(long)]
    cuda: bool,
}

/// A model of the user's own, and what to ask it.
#[derive(clap::Args)]
#[group(requires_all = ["model", "prompt", "concepts"])]
struct Own {
    /// A folder with config.json, tokenizer.json and safetensors; llama, qwen2 or qwen3.
    #[arg(long, value_name = "DIR", required = false)]
    model: PathBuf,
    /// The text that the answer is to follow.
    #[arg(long, value_name = "TEXT", required = false)]
    prompt: String,
    /// What may be meant and how it may be spelt: {"Concept": ["form", "another form"], ...}.
    #[arg(long, value_name = "FILE", required = false)]
    concepts: PathBuf,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", message(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    let paint = Paint::for_stdout();
    if let Some(own) = &args.own {
        let mut decoder = Decoder::load(&own.model, device(args)?, args.max_tokens)?;
        let concepts = Concepts::load(&own.concepts)?;
        let question = Question::new(&decoder, &own.prompt, &concepts)
            .with_context(|| format!("cannot use {}", own.concepts.display()))?;
        return print(&page(&Vote::hold(&mut decoder, &question)?, None, paint));
    }

    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/tiny");
    let corpus = Corpus::load(&tiny.join("questions.json"))?;
    let mut decoder = Decoder::load(&tiny, device(args)?, args.max_tokens)?;
    if args.all {
        let table = Table::fill(&mut decoder, &corpus)?;
        print(&table.show(paint))?;
        return table.check();
    }
    let asked = corpus.questions.iter().find(|question| question.id == HEADLINE);
    let asked = asked.with_context(|| format!("there is no question {HEADLINE}"))?;
    let question = Question::new(&decoder, &corpus.prompt(asked), &Concepts::of(asked))?;
    print(&page(&Vote::hold(&mut decoder, &question)?, Some(asked.right()), paint))
}

fn device(args: &Args) -> Result<Device> {
    if !args.cuda {
        return Ok(Device::Cpu);
    }
    ensure!(cfg!(feature = "cuda"), "--cuda needs an example built with --features cuda");
    Device::new_cuda(0).context("there is no CUDA device that can be used")
}

/// Prints `text`, and takes no offence at a reader such as `head` that has seen enough.
fn print(text: &str) -> Result<()> {
    match stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// An error and its causes in one paragraph, without the backtrace that candle puts into the text
/// of its errors where `RUST_BACKTRACE` is set.
fn message(error: &Error) -> String {
    let text = format!("{error:#}");
    text.split("\n   0: ").next().unwrap_or_default().replace('\n', " ")
}
