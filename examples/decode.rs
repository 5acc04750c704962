//! A complete decode loop over a model of candle-transformers, with this crate's sampler and with
//! candle's: a prompt, penalties on what was said before, end tokens, and text as it comes.
//!
//! ```sh
//! cargo run --release --example decode
//! cargo run --release --example decode -- --temperature 0.8 --top-p 0.9 --repeat-penalty 1.1
//! cargo run --release --example decode -- --temperature 0.8 --map none   # candle's text, by the seed
//! cargo run --release --example decode -- --sampler ours --temperature 1 --min-p 0.05 --seed 7
//! ```
//!
//! The model is the tiny Llama of `assets/tiny`, or any Llama that Hugging Face hosts:
//!
//! ```sh
//! cargo run --release --example decode -- --model path/to/SmolLM2-360M --max-tokens 200 \
//!     --prompt "My favorite theorem is" --temperature 0.8 --min-p 0.05 --sampler ours
//! ```

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Error, Result, ensure};
use candle_core::{DType, Device, Tensor};
use candle_transformers::generation::{LogitsProcessor, Sampling};
use candle_transformers::models::llama::Cache;
use candle_transformers::utils::apply_repeat_penalty;
use clap::{Parser, ValueEnum};
use concept_mass::ConceptMap;
use concept_mass::sample::{ConceptSampler, Emission, Penalties, SamplingParams};
use concept_mass::source::{Spelling, Vocabulary};

use model::Model;
use terminal::{exit, print};
use text_stream::TextStream;

#[path = "decode/model.rs"]
mod model;
#[path = "demo/terminal.rs"]
mod terminal;
#[path = "decode/text_stream.rs"]
mod text_stream;

#[derive(Parser)]
#[command(about = "Decode with this crate's sampler, and with candle's")]
struct Args {
    /// A folder with config.json, tokenizer.json and safetensors of a Llama; the tiny one if absent.
    #[arg(long, value_name = "FOLDER")]
    model: Option<PathBuf>,
    /// The text that is continued.
    #[arg(long, default_value = "Q: Which medal does the winner of a race get?\nA:")]
    prompt: String,
    /// The maximum number of tokens.
    #[arg(long, default_value_t = 24)]
    max_tokens: usize,
    /// Whose sampler decodes.
    #[arg(long, default_value = "both")]
    sampler: Whose,
    /// Which tokens are one concept of our sampler.
    #[arg(long, default_value = "spelling")]
    map: Map,
    /// 0 takes the likeliest at every step.
    #[arg(long, default_value_t = 0.0)]
    temperature: f64,
    #[arg(long)]
    top_k: Option<usize>,
    #[arg(long)]
    top_p: Option<f64>,
    /// Of our sampler alone: candle has none.
    #[arg(long, default_value_t = 0.0)]
    min_p: f64,
    /// On the tokens of the prompt and of the text so far; 1 is none.
    #[arg(long, default_value_t = 1.0)]
    repeat_penalty: f32,
    #[arg(long, default_value_t = 42)]
    seed: u64,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Whose {
    Ours,
    Candle,
    Both,
}

#[derive(Clone, Copy, ValueEnum)]
enum Map {
    /// Tokens that spell the same word.
    Spelling,
    /// Every token is a concept of its own.
    None,
}

fn main() -> ExitCode {
    exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let model = Model::load(args.model.as_deref().unwrap_or(&concept_mass_tiny::folder()))?;
    let prompt = model.tokenizer.encode(args.prompt.as_str(), true).map_err(Error::from_boxed)?;
    let prompt = prompt.get_ids();
    if args.sampler != Whose::Ours {
        let mut sampler = candles(args)?;
        print("candle ▸")?;
        decode(&model, prompt, args.max_tokens, |logits, tokens| {
            let logits = apply_repeat_penalty(logits, args.repeat_penalty, tokens)?;
            Ok(sampler.sample(&logits)?)
        })?;
    }
    if args.sampler != Whose::Candle {
        let mut sampler = ours(args, &model)?;
        sampler.see(prompt)?;
        print("ours   ▸")?;
        decode(&model, prompt, args.max_tokens, |logits, _| Ok(sampler.sample(logits)?))?;
    }
    Ok(())
}

fn ours(args: &Args, model: &Model) -> Result<ConceptSampler> {
    let vocab_size = model.config.vocab_size;
    let map = match args.map {
        Map::Spelling => {
            Spelling::default().map(&Vocabulary::new(model.tokenizer.clone(), vocab_size)?)?
        }
        Map::None => ConceptMap::singletons(vocab_size)?,
    };
    let penalties = Penalties { repetition: args.repeat_penalty, ..Penalties::NONE };
    // A draw leaves every spelling its share; the likeliest concept is spelt in its likeliest way.
    let emission = if args.temperature > 0.0 { Emission::ByShare } else { Emission::default() };
    let mut params = SamplingParams::at(args.temperature)?
        .with_top_p(args.top_p.unwrap_or(1.0))?
        .with_min_p(args.min_p)?
        .with_penalties(penalties)?
        .with_emission(emission)
        .with_seed(args.seed);
    if let Some(k) = args.top_k {
        params = params.with_top_k(k)?;
    }
    Ok(ConceptSampler::from_params(params, map.to_device(&Device::Cpu)?)?)
}

fn candles(args: &Args) -> Result<LogitsProcessor> {
    ensure!(args.min_p == 0.0, "candle's sampler has no min_p: add --sampler ours");
    let temperature = args.temperature;
    let sampling = match (args.top_k, args.top_p) {
        _ if temperature <= 0.0 => Sampling::ArgMax,
        (None, None) => Sampling::All { temperature },
        (Some(k), None) => Sampling::TopK { k, temperature },
        (None, Some(p)) => Sampling::TopP { p, temperature },
        (Some(k), Some(p)) => Sampling::TopKThenTopP { k, p, temperature },
    };
    Ok(LogitsProcessor::from_sampling(args.seed, sampling))
}

/// The loop. `choose` gets the logits `[V]` of what comes next, and all tokens before it.
fn decode(
    model: &Model,
    prompt: &[u32],
    max_tokens: usize,
    mut choose: impl FnMut(&Tensor, &[u32]) -> Result<u32>,
) -> Result<()> {
    let mut cache = Cache::new(true, DType::F32, &model.config, &Device::Cpu)?;
    let mut text = TextStream::after(&model.tokenizer, prompt)?;
    let mut tokens = prompt.to_vec();
    let room = model.config.max_position_embeddings.saturating_sub(prompt.len());
    let mut read = 0;
    for _ in 0..max_tokens.min(room) {
        let input = Tensor::new(&tokens[read..], &Device::Cpu)?.unsqueeze(0)?;
        let logits = model.llama.forward(&input, read, &mut cache)?.squeeze(0)?;
        read = tokens.len();
        let token = choose(&logits, &tokens)?;
        if model.ends.contains(&token) {
            break;
        }
        tokens.push(token);
        print(&text.push(token)?)?;
    }
    print("\n")
}
