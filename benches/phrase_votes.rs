//! What a vote on phrases takes, beside scoring each form alone: forward passes, batches and time,
//! for the questions of the tiny Llama that a first token cannot decide.
//!
//! ```sh
//! RAYON_NUM_THREADS=1 cargo bench --bench phrase_votes
//! ```
//!
//! On the CUDA emulator it counts launches and bytes instead, for the first question:
//!
//! ```sh
//! CUDA_EMU_REPORT=report ../shared/cuda-emulator/with-emulator \
//!     cargo bench --features cuda --bench phrase_votes
//! ```

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "cuda_counters/report.rs"]
mod report;
#[path = "../tests/phrases/tiny.rs"]
mod tiny;

use std::{env, fs, time::Instant};

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use concept_mass::{
    TokenSets,
    map::OnConflict,
    phrase::{CachedModel, DevicePhrases, NextLogits, PhraseCost, PhraseTrie, SharedPrompt},
    source::Aliases,
};
use serde_json::Value;

use common::device;
use report::{Counters, Report};
use tiny::{Tiny, asset, roomy, sharing, tiny, vocabulary};

/// Each is timed as often.
const ROUNDS: usize = 15;

/// The prompts of the second table, in tokens.
const LENGTHS: [usize; 4] = [25, 100, 400, 800];

/// A question, all of its forms, and each of them alone.
#[derive(Clone)]
struct Case {
    id: String,
    prompt: Vec<u32>,
    together: DevicePhrases,
    alone: Vec<DevicePhrases>,
}

fn main() -> Result<()> {
    let mut model = tiny();
    let cases = cases()?;
    match env::var_os("CUDA_EMU_REPORT") {
        Some(path) if device().is_cuda() => count(&mut model, &cases[0], &Report(path.into())),
        _ => {
            measure(&mut model, &cases)?;
            measure_long(&cases[0])
        }
    }
}

fn cases() -> Result<Vec<Case>> {
    let vocabulary = vocabulary();
    let end = vocabulary.encode("<|end|>")?;
    let corpus: Value = serde_json::from_slice(&fs::read(asset("questions.json"))?)?;
    let questions = corpus["questions"].as_array().into_iter().flatten();
    let case = |question: &Value| {
        let text = |field: &str| question[field].as_str().unwrap_or_default().to_owned();
        let prompt = format!("Q: {}\nA:", text("question"));
        let mut aliases = Aliases::new();
        for (concept, forms) in question["concepts"].as_object().into_iter().flatten() {
            let forms = forms.as_object().into_iter().flatten().map(|(form, _)| form);
            aliases = aliases.concept(concept, forms)?;
        }
        let firsts = aliases.after(&vocabulary, &prompt)?;
        let together = firsts.phrases(OnConflict::Refuse)?.ends(end.clone())?.build()?;
        let alone = together.phrases().iter().map(|phrase| {
            let trie = PhraseTrie::builder(together.vocab_size());
            let trie = trie.phrase("it", phrase.tokens.iter().copied())?.ends(end.clone())?;
            Ok(trie.build()?.to_device(&device())?)
        });
        Ok(Case {
            id: text("id"),
            prompt: vocabulary.encode(&prompt)?,
            alone: alone.collect::<Result<_>>()?,
            together: together.to_device(&device())?,
        })
    };
    questions.filter(|question| question["kind"] == "phrase").map(case).collect()
}

impl Case {
    /// `ln P` of every form, and what it took, by one vote.
    fn vote(&self, model: &mut impl NextLogits) -> Result<(Vec<f64>, PhraseCost)> {
        let vote = self.together.vote(model, &self.prompt)?;
        Ok((vote.ln_probabilities().to_vec(), vote.cost()))
    }

    /// The same, one form after the other.
    fn one_by_one(&self, model: &mut CachedModel<Tiny>) -> Result<(Vec<f64>, PhraseCost)> {
        let mut cost = PhraseCost::default();
        let score = |phrase: &DevicePhrases| {
            let vote = phrase.vote(model, &self.prompt)?;
            cost += vote.cost();
            Ok(vote.ln_probabilities()[0])
        };
        let scores = self.alone.iter().map(score).collect::<Result<_>>()?;
        Ok((scores, cost))
    }

    /// All ways give the same.
    fn check(&self, model: &mut CachedModel<Tiny>) -> Result<[PhraseCost; 2]> {
        let ((vote, cost), (scores, cost_alone)) = (self.vote(model)?, self.one_by_one(model)?);
        let (shared, _) = self.vote(&mut sharing())?;
        for ((a, b), c) in vote.iter().zip(&scores).zip(&shared) {
            let is_same = (a.exp() - b.exp()).abs() < 1e-5 && (a.exp() - c.exp()).abs() < 1e-5;
            ensure!(is_same, "{}: {vote:?} {scores:?} {shared:?}", self.id);
        }
        Ok([cost, cost_alone])
    }
}

fn measure(model: &mut CachedModel<Tiny>, cases: &[Case]) -> Result<()> {
    println!(
        "| question | forms | passes | largest batch | passes, each form alone | ms, in batches \
         | ms, sharing the prompt | ms, each form alone | alone ÷ in batches | alone ÷ sharing \
         |\n| --- |{}",
        " ---: |".repeat(9)
    );
    for case in cases {
        let [cost, alone] = case.check(model)?;
        let mut sharing = sharing();
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..ROUNDS {
            times[0].push(time(|| case.vote(model))?);
            times[1].push(time(|| case.vote(&mut sharing))?);
            times[2].push(time(|| case.one_by_one(model))?);
        }
        let [batched, shared, one_by_one] = times.map(median);
        println!(
            "| {} | {} | {} | {} | {} | {batched:.1} | {shared:.1} | {one_by_one:.1} | {:.1} | {:.1} |",
            case.id,
            case.alone.len(),
            cost.passes,
            cost.batch,
            alone.passes,
            one_by_one / batched,
            one_by_one / shared
        );
    }
    Ok(())
}

/// The first question after a long text, to a model with random weights, to which all is alike.
fn measure_long(case: &Case) -> Result<()> {
    println!(
        "\n| tokens of the prompt | ms, in batches | ms, sharing the prompt | ms, each form alone |\n\
         | ---: | ---: | ---: | ---: |"
    );
    let mut model = CachedModel::new(roomy(), device(), None);
    let mut sharing = SharedPrompt::new(model.model().clone(), device(), None);
    for length in LENGTHS {
        let text = case.prompt.iter().copied().cycle();
        let case = Case { prompt: text.take(length).collect(), ..case.clone() };
        let ((batched, _), (shared, _)) = (case.vote(&mut model)?, case.vote(&mut sharing)?);
        for (a, b) in batched.iter().zip(&shared) {
            ensure!((a.exp() - b.exp()).abs() < 1e-5, "{batched:?} {shared:?}");
        }
        let mut times = [Vec::new(), Vec::new(), Vec::new()];
        for _ in 0..3 {
            times[0].push(time(|| case.vote(&mut model))?);
            times[1].push(time(|| case.vote(&mut sharing))?);
            times[2].push(time(|| case.one_by_one(&mut model))?);
        }
        let [batched, shared, alone] = times.map(median);
        println!("| {length} | {batched:.0} | {shared:.0} | {alone:.0} |");
    }
    Ok(())
}

fn time<T>(operation: impl FnOnce() -> Result<T>) -> Result<f64> {
    let start = Instant::now();
    operation()?;
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn count(model: &mut CachedModel<Tiny>, case: &Case, report: &Report) -> Result<()> {
    case.check(model)?;
    println!(
        "| what | launches | MB read | MB written | M warp-instructions |\n| --- |{}",
        " ---: |".repeat(4)
    );
    print("a vote in batches, the model's passes included", &report.of(|| case.vote(model))?.1);
    let mut sharing = sharing();
    print("the same, sharing the prompt", &report.of(|| case.vote(&mut sharing))?.1);
    print("each form alone", &report.of(|| case.one_by_one(model))?.1);

    // Of a real vocabulary: the reading alone, of as many next tokens.
    let (rows, vocab_size) = (case.check(model)?[0].batch, 131_072);
    let logits = Tensor::zeros((rows, vocab_size), DType::BF16, &Device::Cpu)?;
    let logits = logits.to_device(&device())?;
    let tokens = case.together.trie().phrases().iter().flat_map(|phrase| &phrase.tokens);
    let mut sets = TokenSets::builder(vocab_size);
    for (i, token) in tokens.enumerate() {
        sets = sets.set(i.to_string(), [*token])?;
    }
    let sets = sets.build()?.to_device(&device())?;
    let read = || Ok(sets.measure(&logits)?.masses.to_vec2::<f32>()?);
    let (masses, counters) = report.of(read)?;
    let expected = 1.0 / vocab_size as f32;
    ensure!(masses.iter().flatten().all(|mass| (mass - expected).abs() < 1e-5 * expected + 1e-9));
    print(&format!("reading {rows} rows of {vocab_size} logits: measure"), &counters);
    let softmax =
        || Ok(candle_nn::ops::softmax_last_dim(&logits)?.to_dtype(DType::F32)?.to_vec2::<f32>()?);
    print("the same by candle: softmax, and all of it to the host", &report.of(softmax)?.1);
    Ok(())
}

fn print(what: &str, counters: &Counters) {
    let millions = |name| counters.get(name) / 1e6;
    println!(
        "| {what} | {} | {:.3} | {:.3} | {:.3} |",
        counters.get("launches"),
        millions("global_load_bytes"),
        millions("global_store_bytes"),
        millions("warp_instructions")
    );
}
