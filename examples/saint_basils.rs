//! Who built what on Red Square? A model knows, and says something else; one line of code makes it
//! say what it knows.
//!
//! ```sh
//! cargo run --release --example saint_basils             # one question, its vote in full
//! cargo run --release --example saint_basils -- --all    # all 72 questions, in a table
//! ```
//!
//! The tiny Llama of `assets/tiny` and candle-transformers' own code decode the answers, once with
//! candle's `LogitsProcessor` and once with a `ConceptSampler`.
//!
//! `--map` chooses which tokens mean the same: `aliases`, the forms of the possible answers (each
//! question's own, or those in a file); `spelling`, by the vocabulary alone; or
//! `embedding:K,T`, by the rows of the model's embedding, of the K likeliest tokens, within a cosine
//! of T.
//!
//! ```sh
//! cargo run --release --example saint_basils -- --all --map spelling
//! cargo run --release --example saint_basils -- --all --map embedding:20,0.5
//! cargo run --release --example saint_basils -- --svg vote.svg
//! ```
//!
//! Where right and wrong begin with the same token, `--phrases` counts whole answers:
//!
//! ```sh
//! cargo run --release --example saint_basils -- --phrases         # Adam Smith or Adam Lambert?
//! cargo run --release --example saint_basils -- --phrases --all   # 14 such questions
//! ```
//!
//! Your own model works the same way, if it is a Llama, Mistral, SmolLM, Qwen, Gemma, Phi-3 or
//! OLMo 2, as Hugging Face hosts it or as GGUF:
//!
//! ```sh
//! cargo run --release --example saint_basils -- --model path/to/Qwen3-0.6B --map aliases moscow.json \
//!     --prompt $'Q: Which cathedral did Ivan the Terrible build on Red Square?\nA:'
//! ```
//!
//! where `moscow.json` lists what may be meant, and how each of it may be spelt.
//!
//! ```json
//! {
//!   "Saint Basil's Cathedral": ["Saint Basil's", "St. Basil's", "Cathedral of Vasily the Blessed"],
//!   "Moscow": ["Moscow"]
//! }
//! ```
//!
//! Built with `--features cuda`, `--cuda` decodes on the first CUDA device; only the
//! token is copied to the host at each step.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use clap::{Parser, ValueEnum};
use concept_mass::{map::OnConflict, source::Aliases};

use corpus::Corpus;
use demo::{
    Ballot, Concepts, Decoder, Paint, Question, Source, Table, Vote, aliases, page, phrase_table,
    picture,
};
use terminal::{exit, print};

#[path = "tiny/corpus.rs"]
mod corpus;
mod demo;
#[path = "demo/terminal.rs"]
mod terminal;

/// The question of the paper,
const HEADLINE: &str = "red-square";
/// and the one that a first token cannot decide.
const PHRASES: &str = "wealth-of-nations";

#[derive(Parser)]
#[command(about = "Decode answers twice: by counting tokens, and by counting meanings")]
struct Args {
    /// Answer every question, not only the one about Red Square.
    #[arg(long, conflicts_with = "Own")]
    all: bool,
    #[command(flatten)]
    own: Option<Own>,
    /// Which tokens mean the same: aliases FILE (or each question's own), spelling, embedding:K,T.
    #[arg(long, num_args = 1..=2, value_names = ["SOURCE", "FILE"], default_value = "aliases")]
    map: Vec<String>,
    /// What to do with a token that begins forms of two concepts of the file.
    #[arg(long, default_value = "refuse")]
    conflicts: Conflicts,
    /// Vote on whole answers, not on their first tokens.
    #[arg(long, conflicts_with = "svg")]
    phrases: bool,
    /// Also draw the vote, into an SVG file.
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    svg: Option<PathBuf>,
    /// The maximum number of tokens in an answer.
    #[arg(long, default_value_t = 24)]
    max_tokens: usize,
    /// Decode on the first CUDA device; requires a build with --features cuda.
    #[arg(long)]
    cuda: bool,
}

/// A model of the user's own, and what to ask it.
#[derive(clap::Args)]
#[group(requires_all = ["model", "prompt"])]
struct Own {
    /// A folder with config.json, tokenizer.json and safetensors, or a GGUF file: a Llama, Mistral,
    /// SmolLM, Qwen, Gemma, Phi-3 or OLMo 2.
    #[arg(long, value_name = "PATH", required = false)]
    model: PathBuf,
    /// The prompt, which ends where the answer begins.
    #[arg(long, value_name = "TEXT", required = false)]
    prompt: String,
}

/// [`OnConflict`], for the command line.
#[derive(Clone, Copy, ValueEnum)]
enum Conflicts {
    /// Report it as an error.
    Refuse,
    /// Leave the token out of both.
    LeaveOut,
    /// Give it to the concept that the file names first.
    First,
}

impl From<Conflicts> for OnConflict {
    fn from(conflicts: Conflicts) -> Self {
        match conflicts {
            Conflicts::Refuse => Self::Refuse,
            Conflicts::LeaveOut => Self::LeaveOut,
            Conflicts::First => Self::First,
        }
    }
}

fn main() -> ExitCode {
    exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let source = Source::parse(&args.map)?;
    let tiny = concept_mass_tiny::folder();
    let model = args.own.as_ref().map_or(&tiny, |own| &own.model);
    let mut decoder = Decoder::load(model, device(args)?, args.max_tokens)?;
    let concepts = Concepts::new(&source, args.conflicts.into(), &decoder)?;
    if let Some(own) = &args.own {
        return show(&mut decoder, &concepts, &own.prompt, None, args);
    }

    let corpus = Corpus::load(&tiny.join("questions.json"))?;
    if args.all && args.phrases {
        return print(&phrase_table(&mut decoder, &concepts, &corpus, Paint::for_stdout())?);
    }
    if args.all {
        let table = Table::fill(&mut decoder, &concepts, &corpus)?;
        print(&table.show(Paint::for_stdout()))?;
        return if matches!(concepts, Concepts::Own) { table.check() } else { Ok(()) };
    }
    let id = if args.phrases { PHRASES } else { HEADLINE };
    let asked = corpus.questions.iter().find(|question| question.id == id);
    let asked = asked.with_context(|| format!("there is no question {id}"))?;
    show(&mut decoder, &concepts, &corpus.prompt(asked), Some(asked), args)
}

/// Prints the vote on what follows `prompt`, which is a question of the corpus or not, and draws it.
fn show(
    decoder: &mut Decoder,
    concepts: &Concepts,
    prompt: &str,
    asked: Option<&corpus::Question>,
    args: &Args,
) -> Result<()> {
    let own: Option<Aliases> = asked.map(aliases).transpose()?;
    let right = asked.map(|asked| asked.right());
    if args.phrases {
        let ballot = Ballot::new(decoder, concepts, prompt, own.as_ref())?;
        return print(&ballot.hold(decoder)?.show(right, Paint::for_stdout()));
    }
    let question = Question::new(decoder, concepts, prompt, own.as_ref())?;
    let vote = Vote::hold(decoder, &question)?;
    print(&page(&vote, right, Paint::for_stdout()))?;
    let Some(file) = &args.svg else { return Ok(()) };
    fs::write(file, picture(&vote)).with_context(|| format!("cannot write {}", file.display()))
}

fn device(args: &Args) -> Result<Device> {
    if !args.cuda {
        return Ok(Device::Cpu);
    }
    ensure!(cfg!(feature = "cuda"), "--cuda needs an example built with --features cuda");
    Device::new_cuda(0).context("there is no CUDA device that can be used")
}
