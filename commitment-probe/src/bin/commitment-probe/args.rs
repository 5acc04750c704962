//! The command line.

use std::path::{Path, PathBuf};

use candle_core::DType;
use clap::{Args, FromArgMatches, Parser, Subcommand, ValueEnum};

/// Measures commitment failures: how often a language model knows the answer, and says another.
///
/// Without a command, it probes the tiny model that comes with it, which takes some seconds: a
/// demonstration on a synthetic world, not evidence about real models.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Ask a model questions, and measure its answers; goes on where it was stopped
    Run(RunArgs),
    /// Say what one run comes to, or several side by side
    Report(ReportArgs),
    /// Probe the tiny model that comes with the program
    Demo(DemoArgs),
}

#[derive(Args)]
pub struct RunArgs {
    /// A folder of a Llama, Qwen2 or Qwen3 as Hugging Face hosts them, or a GGUF file of one
    #[arg(long, value_name = "PATH")]
    pub model: PathBuf,
    /// Its tokenizer.json, if it is elsewhere
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// The questions: JSONL of {"id", "question", "answers"}, or TriviaQA or Natural Questions as
    /// published
    #[arg(long, value_name = "FILE")]
    pub questions: PathBuf,
    /// The folder of the results; one that holds a part of them is gone on with
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// What the model reads, or with --chat what the user says, with {question} in it; unless given,
    /// "Q: {question}" and "A:" on two lines, or the question and "Answer with the name alone."
    #[arg(long, value_name = "TEXT")]
    pub template: Option<String>,
    /// Ask by the model's own chat template
    #[arg(long)]
    pub chat: bool,
    /// What the system says, with --chat
    #[arg(long, value_name = "TEXT", requires = "chat")]
    pub system: Option<String>,

    /// Run on the first CUDA device; needs a program built with the feature `cuda`
    #[arg(long)]
    pub cuda: bool,
    /// What the model computes in; unless given, f32 on the CPU and bf16 on CUDA, but f32 for a Qwen2,
    /// of whose positions candle loses count in bf16
    #[arg(long, value_enum)]
    pub dtype: Option<Dtype>,
    /// The most rows of a forward pass
    #[arg(long, default_value_t = 16, value_name = "N")]
    pub batch: usize,

    /// Ask only so many of the questions, drawn by the seed
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// What is drawn by lot is drawn from this
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// The most tokens of an answer
    #[arg(long, default_value_t = 24, value_name = "N")]
    pub max_tokens: usize,
    /// The answers sampled for each question; 0 for none
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub samples: usize,
    /// The temperature at which they are sampled
    #[arg(long, default_value_t = 1.0, value_name = "T")]
    pub temperature: f64,
    /// A command that says which sampled answers mean the same: for each line of JSON, an array of
    /// texts, it prints a line, an array of groups of places, such as `[[0,2]]`; unless given, those
    /// do that are equal but for case, punctuation and articles
    #[arg(long, value_name = "COMMAND")]
    pub judge: Option<String>,
    /// The likeliest tokens of which those are pooled that the model's embedding says are alike
    #[arg(long, default_value_t = 20, value_name = "K")]
    pub top_k: usize,
    /// The least cosine of two that are alike
    #[arg(long, default_value_t = 0.5, value_name = "COSINE", allow_negative_numbers = true)]
    pub threshold: f32,
}

#[derive(Args)]
pub struct ReportArgs {
    /// The folders of the runs
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The least P-mass of a commitment failure
    #[arg(long, default_value_t = TAU)]
    pub tau: f64,
    /// Where report.md, report.json and report.html go; the folder of the run, or for several the
    /// one that they are in
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Args)]
pub struct DemoArgs {
    /// The folder of the models, the runs and the report
    #[arg(long, value_name = "DIR", default_value = DEMO)]
    pub out: PathBuf,
}

impl RunArgs {
    /// The defaults of all that need not be given.
    pub fn of(model: &Path, questions: &Path, out: &Path) -> Result<Self, clap::Error> {
        let words = [
            "run".as_ref(),
            "--model".as_ref(),
            model.as_os_str(),
            "--questions".as_ref(),
            questions.as_os_str(),
            "--out".as_ref(),
            out.as_os_str(),
        ];
        let matches = Self::augment_args(clap::Command::new("run")).try_get_matches_from(words)?;
        Self::from_arg_matches(&matches)
    }
}

impl Default for DemoArgs {
    fn default() -> Self {
        Self { out: DEMO.into() }
    }
}

/// The folder of the demonstration.
const DEMO: &str = "commitment-probe-demo";

/// The threshold of the paper.
pub const TAU: f64 = 0.2;

#[derive(Clone, Copy, ValueEnum)]
pub enum Dtype {
    F32,
    F16,
    Bf16,
}

impl Dtype {
    pub fn name(self) -> &'static str {
        DType::from(self).as_str()
    }
}

impl From<Dtype> for DType {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::Bf16 => Self::BF16,
        }
    }
}
