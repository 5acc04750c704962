//! The command line.

use std::path::{Path, PathBuf};

use candle_core::DType;
use clap::{Args, FromArgMatches, Parser, Subcommand, ValueEnum, builder::PossibleValue};
use commitment_probe::Scorer;
use serde::{Deserialize, Serialize};

use crate::preset::Preset;

/// Measures commitment failures: how often a language model knows the answer, and says another.
///
/// The measures are defined in docs/MEASURES.md of the repository.
///
/// Without a command, it probes the tiny model that comes with it, in a few seconds: a demonstration
/// on a synthetic world, not evidence about real models.
#[derive(Parser)]
#[command(version, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Subcommand)]
pub enum Command {
    /// Ask a model questions and measure its answers; resumes where it was stopped
    Run(Box<RunArgs>),
    /// Report the results of one run, or of several side by side
    Report(ReportArgs),
    /// Probe the tiny model that comes with the program
    Demo(DemoArgs),
}

#[derive(Args)]
pub struct RunArgs {
    /// A Llama, Mistral, SmolLM, Qwen, Gemma, Phi-3 or OLMo 2 model: a folder in the layout of
    /// Hugging Face, or a GGUF file; or, if there is no such path, owner/name on the Hugging Face
    /// Hub, owner/name@revision, or owner/name:file.gguf, in a program built with `--features hub`
    #[arg(long, value_name = "PATH|NAME")]
    pub model: PathBuf,
    /// The model's tokenizer.json, if it is not beside the model. It goes before the one that a GGUF
    /// file brings, and so does a tokenizer.json beside the file
    #[arg(long, value_name = "FILE")]
    pub tokenizer: Option<PathBuf>,
    /// The questions: JSONL of {"id", "question", "answers"}, or a usual data set as it is published
    /// (a file of another layout is refused with the list of those that are read); or, if there is no
    /// such path, a dataset on the Hugging Face Hub, owner/name or
    /// owner/name@revision:path/of/file
    #[arg(long, value_name = "FILE|NAME")]
    pub questions: PathBuf,
    /// The folder for the results; an existing partial run is resumed
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// The prompt, or with --chat the message of the user, with {question} in it; by default
    /// "Q: {question}" and "A:" on two lines, or with --chat the question and what kind of answer is
    /// wanted
    #[arg(long, value_name = "TEXT")]
    pub template: Option<String>,
    /// A file of questions that are shown with their answers before each question, in any layout of
    /// --questions; with --chat as turns of the user and the model. A question that one of them gives
    /// away is not asked. By default six general ones, but none with --chat or --template
    #[arg(long, value_name = "FILE|NAME")]
    pub shots: Option<PathBuf>,
    /// Show only this many of them, the first; 0 shows none. With --preset they are drawn at random for
    /// each question, and the default is 0
    #[arg(long, value_name = "N")]
    pub num_shots: Option<usize>,
    /// Put the examples into the message of the user, not into turns of their own
    #[arg(long, requires = "chat")]
    pub one_turn: bool,
    /// Open the answer with this text, with --chat: "The answer is:". What the model adds is its answer
    #[arg(long, value_name = "TEXT", requires = "chat")]
    pub prefill: Option<String>,
    /// Ask, stop and score as a task of lm-evaluation-harness does, question by question; the
    /// questions, and the shots, are rows of its data set on the Hugging Face Hub, as JSONL
    #[arg(long, value_enum, conflicts_with_all = ["template", "until", "scorer", "grader", "prefill"])]
    pub preset: Option<Preset>,
    /// Use the model's own chat template
    #[arg(long)]
    pub chat: bool,
    /// The system message, with --chat
    #[arg(long, value_name = "TEXT", requires = "chat")]
    pub system: Option<String>,

    /// How to keep the model from thinking before it answers, with --chat: `off` asks its template,
    /// and `close` also closes, empty, a thought that is open nevertheless
    #[arg(long, value_enum, default_value_t, value_name = "HOW", requires = "chat")]
    pub thinking: Thinking,

    /// Run on the first CUDA device; needs a program built with `--features cuda`
    #[arg(long)]
    pub cuda: bool,
    /// The type that the model computes in; by default f32 on the CPU and bf16 on CUDA. The weights
    /// of a GGUF file stay quantised by default, and are dequantised to a type that is given
    #[arg(long, value_enum)]
    pub dtype: Option<Dtype>,
    /// The most questions that are measured at once; up to four times as many sequences are read at
    /// once
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub batch: usize,

    /// Ask only this many questions, chosen at random
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// The seed for all random choices
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub seed: u64,
    /// The maximum number of tokens of an answer: 24, or 256 with --preset
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,
    /// End an answer before this text, in the place of its first line break; may be given several
    /// times
    #[arg(long, value_name = "TEXT")]
    pub until: Vec<String>,
    /// What decides whether an answer is right; by default `exact`, with --chat `contains`, which
    /// accepts a sentence, and with --grader `grader`
    #[arg(long = "match", value_enum, value_name = "SCORER")]
    pub scorer: Option<Match>,
    /// Forgive a plural or an article at the last word, in exact, prefix and contains
    #[arg(long)]
    pub endings: bool,
    /// A command that grades answers: for each line it reads, a JSON object of "question", "answers"
    /// and "answer", it prints one line: right, wrong or not attempted. Sampled answers are graded, too
    #[arg(long, value_name = "COMMAND")]
    pub grader: Option<String>,
    /// With how many other questions each one's forms are exchanged, which shows how often chance alone
    /// would make a failure; may be 0
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub exchanges: usize,
    /// Do not ask the model whether its own answer is true
    #[arg(long)]
    pub no_p_true: bool,
    /// Store what the model has in its blocks when it is to answer, in hidden.safetensors; the report
    /// then says what it knows of the answer
    #[arg(long)]
    pub hidden: bool,
    /// The number of answers to sample for each question; may be 0
    #[arg(long, default_value_t = 10, value_name = "N")]
    pub samples: usize,
    /// The temperature of sampled answers
    #[arg(long, default_value_t = 1.0, value_name = "T", allow_negative_numbers = true)]
    pub temperature: f64,
    /// A command that decides which sampled answers mean the same: for each line it reads, a JSON
    /// array of texts, it prints a line, an array of groups of indices such as `[[0,2]]`; by default,
    /// answers mean the same if they contain a form of one answer, or are equal apart from case,
    /// punctuation and articles
    #[arg(long, value_name = "COMMAND")]
    pub judge: Option<String>,
    /// Pool, by the model's embedding, among this many of the likeliest tokens
    #[arg(long, default_value_t = 20, value_name = "K")]
    pub top_k: usize,
    /// The minimum cosine of two tokens to pool
    #[arg(long, default_value_t = 0.5, value_name = "COSINE", allow_negative_numbers = true)]
    pub threshold: f32,
}

#[derive(Args)]
pub struct ReportArgs {
    /// The folders of the runs
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The minimum P-mass of a commitment failure
    #[arg(long, default_value_t = TAU)]
    pub tau: f64,
    /// The folder for report.md, report.json, report.html and samples.html; by default the folder of
    /// the run, or for several runs the folder that holds the first
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
}

#[derive(Args)]
pub struct DemoArgs {
    /// The folder for the models, the runs and the report
    #[arg(long, value_name = "DIR", default_value = DEMO)]
    pub out: PathBuf,
}

impl RunArgs {
    /// The arguments of a run that shows no examples and leaves everything else optional at its
    /// default.
    pub fn of(model: &Path, questions: &Path, out: &Path) -> Result<Self, clap::Error> {
        let words = [
            "run".as_ref(),
            "--model".as_ref(),
            model.as_os_str(),
            "--questions".as_ref(),
            questions.as_os_str(),
            "--out".as_ref(),
            out.as_os_str(),
            "--num-shots=0".as_ref(),
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

/// A scorer by the name that it has on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Match(pub Scorer);

impl ValueEnum for Match {
    fn value_variants<'a>() -> &'a [Self] {
        use Scorer::*;
        const {
            &[
                Match(Exact),
                Match(Prefix),
                Match(Contains),
                Match(Squad),
                Match(NqOpen),
                Match(TriviaQa),
                Match(LmEvalTriviaQa),
                Match(LmEvalNqOpen),
                Match(Grader),
            ]
        }
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(match self.0 {
            Scorer::Exact => "exact",
            Scorer::Prefix => "prefix",
            Scorer::Contains => "contains",
            Scorer::Squad => "squad",
            Scorer::NqOpen => "nq-open",
            Scorer::TriviaQa => "trivia-qa",
            Scorer::LmEvalTriviaQa => "lm-eval-trivia-qa",
            Scorer::LmEvalNqOpen => "lm-eval-nq-open",
            Scorer::Grader => "grader",
            _ => return None,
        }))
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Thinking {
    #[default]
    Off,
    Close,
}

impl From<Thinking> for concept_mass_models::Thinking {
    fn from(thinking: Thinking) -> Self {
        match thinking {
            Thinking::Off => Self::Off,
            Thinking::Close => Self::Close,
        }
    }
}

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
