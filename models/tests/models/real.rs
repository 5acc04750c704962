//! How fast a real GGUF file is, and how much memory it takes: the file that CONCEPT_MASS_GGUF names,
//! of a Llama or a Gemma 3. Run each test by itself, with `--release`.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Instant,
};

use candle_core::{Device, Result, Tensor, quantized::gguf_file::Content};
use candle_transformers::models::{quantized_gemma3, quantized_llama};

use concept_mass_models::{Loaded, load};
use tokenizers::{Tokenizer, models::wordlevel::WordLevel};

const FILE: &str = "CONCEPT_MASS_GGUF";

/// The tokens that are read at once, and those that follow one by one.
const PROMPT: usize = 256;
const STEPS: usize = 32;

/// What two runs of the same differ by on a machine that does other things, too.
const NOISE: f64 = 1.1;

fn file() -> PathBuf {
    std::env::var_os(FILE).unwrap_or_else(|| panic!("{FILE} is not set")).into()
}

fn content() -> Content {
    Content::read(&mut File::open(file()).unwrap()).unwrap()
}

/// A tokenizer that takes next to no memory and is not used: some of the file's own tokens.
fn tokenizer() -> PathBuf {
    let content = content();
    let tokens = content.metadata["tokenizer.ggml.tokens"].to_vec().unwrap().iter().take(1000);
    let vocab = tokens.zip(0..).map(|(token, id)| (token.to_string().unwrap().clone(), id));
    let model = WordLevel::builder().vocab(vocab.collect()).build().unwrap();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("some-tokens.json");
    Tokenizer::new(model).save(&path, false).unwrap();
    path
}

fn loaded(tokenizer: &Path) -> Loaded {
    load(&file(), Some(tokenizer), &Device::Cpu, None).unwrap()
}

/// The shortest times of reading a prompt, and of a token after it, in seconds.
fn times(mut forward: impl FnMut(&Tensor, usize) -> Result<Tensor>) -> [f64; 2] {
    let token = |i: usize| (i * 37 % 1000) as u32;
    let prompt = Tensor::from_iter((0..PROMPT).map(token), &Device::Cpu).unwrap();
    let prompt = prompt.unsqueeze(0).unwrap();
    let mut best = [f64::INFINITY; 2];
    for _ in 0..4 {
        let start = Instant::now();
        forward(&prompt, 0).unwrap();
        best[0] = best[0].min(start.elapsed().as_secs_f64());
        let start = Instant::now();
        for i in 0..STEPS {
            let next = Tensor::new(&[[token(i)]], &Device::Cpu).unwrap();
            forward(&next, PROMPT + i).unwrap();
        }
        best[1] = best[1].min(start.elapsed().as_secs_f64() / STEPS as f64);
    }
    best
}

#[test]
#[ignore = "wants a GGUF file, in CONCEPT_MASS_GGUF"]
fn no_slower_than_candles_own() {
    let mut ours = loaded(&tokenizer()).model;
    let ours = times(|tokens, offset| {
        if offset == 0 {
            ours.reset();
        }
        ours.forward(tokens, offset)
    });
    let mut reader = File::open(file()).unwrap();
    let content = content();
    let architecture = content.metadata["general.architecture"].to_string().unwrap().clone();
    let (cpu, theirs) = (Device::Cpu, &mut reader);
    let theirs = match architecture.as_str() {
        "llama" => {
            let mut model =
                quantized_llama::ModelWeights::from_gguf(content, theirs, &cpu).unwrap();
            times(|tokens, offset| model.forward(tokens, offset))
        }
        "gemma3" => {
            let mut model =
                quantized_gemma3::ModelWeights::from_gguf(content, theirs, &cpu).unwrap();
            times(|tokens, offset| model.forward(tokens, offset))
        }
        other => panic!("candle's {other} is not compared with"),
    };
    for (i, (what, tokens)) in
        [("reading", PROMPT as f64), ("one at a time", 1.0)].iter().enumerate()
    {
        println!(
            "{what}: {:.0} tokens a second, candle's own model {:.0}",
            tokens / ours[i],
            tokens / theirs[i]
        );
    }
    assert!(ours[0] < theirs[0] * NOISE && ours[1] < theirs[1] * NOISE, "{ours:?} {theirs:?}");
}

/// The most memory that this process has had, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[test]
#[ignore = "wants a GGUF file, in CONCEPT_MASS_GGUF"]
fn memory_is_that_of_the_tensors() {
    let tensors = fs::metadata(file()).unwrap().len() - content().tensor_data_offset;
    let tokenizer = tokenizer();
    let before = peak();
    let start = Instant::now();
    let mut loaded = loaded(&tokenizer);
    let seconds = start.elapsed().as_secs_f64();
    let after_load = peak() - before;
    let mut offset = 0;
    for size in [64, 1, 1] {
        let tokens = Tensor::ones((1, size), candle_core::DType::U32, &Device::Cpu).unwrap();
        loaded.model.forward(&tokens, offset).unwrap();
        offset += size;
    }
    let all = peak() - before;
    let part = |bytes: u64| bytes as f64 / tensors as f64;
    println!(
        "loaded in {seconds:.2} s; {:.1} MB of tensors; the peak is {:.2} of that after loading, \
         and {:.2} after reading",
        tensors as f64 / 1e6,
        part(after_load),
        part(all)
    );
    assert!(part(all) <= 1.3);
}
