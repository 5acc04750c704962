//! What sampling a batch takes in other ways: candle's processor, attention.rs's two stages and
//! FlashInfer's rejection, each answer checked; beside a decision.

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};
use concept_mass::sample::{BatchSampler, RowState, SamplingParams};
use concept_mass::{DeviceMap, MapSet};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use rayon::prelude::*;

use crate::report::{Counters, Report};
use crate::samplers::{Cut, FILTERS, Filter, Samplers, WAYS, candle, candle_cut};

#[path = "../../tests/common/chi_square.rs"]
#[allow(dead_code)]
mod chi_square;

/// The argument that asks for this table alone.
pub const ALONE: &str = "samplers";

/// Of what is counted.
const SEED: u64 = 1;

/// Prints the table: of a whole batch, and of its first row alone.
pub fn count(report: &Report, map: &DeviceMap, logits: &Tensor) -> Result<()> {
    let (rows, width) = logits.dims2()?;
    let on_device = Samplers::load(logits.device().as_cuda_device()?)?;
    let rivals = Rivals {
        report,
        batches: [logits.clone(), logits.narrow(0, 0, 1)?],
        few: few_tokens(rows, logits.device())?,
    };
    print_head();
    for logits in &rivals.batches {
        let (_, decide) = report.of(|| Ok(map.decide(logits)?.tokens()?))?;
        print("decide, sparse", logits.dim(0)?, &decide, size_of::<u32>());
    }
    for filter in FILTERS {
        for way in WAYS.into_iter().filter(|&way| on_device.has(way)) {
            let sample = |logits: &Tensor, seed| {
                on_device.read(&on_device.sample(way, logits, filter, seed)?)
            };
            let name = format!("{}, {}", way.name(), filter.name());
            rivals.count(&name, way.cut(filter), size_of::<u32>(), sample)?;
        }
        let name = format!("concept-mass, {}", filter.name());
        let cut = Cut { k: filter.k(), p: filter.p(), of_k: true };
        rivals.count(&name, cut, size_of::<u32>(), |logits, seed| ours(logits, filter, seed))?;
        let name = format!("candle's processor, {}", filter.name());
        let probabilities = width * size_of::<f32>();
        let sample = |logits: &Tensor, seed| candle(logits, filter, seed);
        rivals.count(&name, candle_cut(filter), probabilities, sample)?;
    }
    Ok(())
}

/// A step of our own, of requests without a map, each with a seed of its own.
fn ours(logits: &Tensor, filter: Filter, seed: u64) -> Result<Vec<u32>> {
    let (rows, width) = logits.dims2()?;
    let mut sampler = BatchSampler::new(MapSet::new(width, 0, logits.device())?, rows)?;
    for slot in 0..rows {
        let seed = (seed << 32) + slot as u64;
        let mut params = SamplingParams::at(1.0)?.with_top_p(filter.p())?.with_seed(seed);
        if let Some(k) = filter.k() {
            params = params.with_top_k(k)?;
        }
        sampler.start(slot, params, None, RowState::default())?;
    }
    let slots = sampler.slots(&(0..rows).collect::<Vec<_>>())?;
    Ok(sampler.sample(logits, &slots, None)?.tokens()?.to_vec1()?)
}

/// What each is given.
struct Rivals<'a> {
    report: &'a Report,
    /// What is counted.
    batches: [Tensor; 2],
    /// Of which token counts are compared with probabilities.
    few: Tensor,
}

impl Rivals<'_> {
    /// Checks, counts and prints one, which gives a token for each row by a seed, and copies so many
    /// bytes of each row to the host.
    fn count(
        &self,
        name: &str,
        cut: Cut,
        bytes_to_host: usize,
        sample: impl Fn(&Tensor, u64) -> Result<Vec<u32>>,
    ) -> Result<()> {
        self.check_frequencies(cut, &sample).context(name.to_owned())?;
        for logits in &self.batches {
            let (tokens, counters) = self.report.of(|| sample(logits, SEED))?;
            let rows = logits.to_dtype(DType::F64)?.to_vec2::<f64>()?;
            ensure!(tokens.len() == rows.len(), "{name}: {} tokens", tokens.len());
            let all = rows.par_iter().zip(tokens);
            all.try_for_each(|(row, token)| cut.of(row).check(token)).context(name.to_owned())?;
            print(name, rows.len(), &counters, bytes_to_host);
        }
        Ok(())
    }

    /// Whether tokens are sampled as often as they should be.
    fn check_frequencies(
        &self,
        cut: Cut,
        sample: impl Fn(&Tensor, u64) -> Result<Vec<u32>>,
    ) -> Result<()> {
        const SEEDS: u64 = 16;
        let row = self.few.get(0)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
        let kept = cut.of(&row);
        let mut counts = vec![0; row.len()];
        for seed in 0..SEEDS {
            for token in sample(&self.few, seed)? {
                kept.check(token)?;
                counts[token as usize] += 1;
            }
        }
        let p_value = chi_square::p_value(&counts, &kept.weights()?);
        ensure!(p_value > chi_square::LEAST_P, "such frequencies come with p = {p_value}");
        Ok(())
    }
}

/// The same row again and again, whose likeliest tokens are each a sixteenth likelier than the next.
/// `[B, V]`.
fn few_tokens(rows: usize, device: &Device) -> Result<Tensor> {
    const TOKENS: usize = 1024;
    // What bf16 has each multiple of a sixteenth of.
    const LARGEST: f32 = 15.0;
    let mut row: Vec<f32> = (0..TOKENS).map(|rank| LARGEST - rank as f32 / 16.0).collect();
    row.shuffle(&mut StdRng::seed_from_u64(1));
    let row = Tensor::from_vec(row, (1, TOKENS), &Device::Cpu)?.to_dtype(DType::BF16)?;
    Ok(row.repeat((rows, 1))?.to_device(device)?)
}

fn print_head() {
    println!(
        "\n| sampler, rows | kernels | M warp-instructions | MB distinct | MB asked for \
         | critical path | bytes to the host |\n| --- |{}",
        " ---: |".repeat(6)
    );
}

fn print(name: &str, rows: usize, of: &Counters, bytes_to_host: usize) {
    let millions = |counters: &[&str]| counters.iter().map(|name| of.get(name)).sum::<f64>() / 1e6;
    println!(
        "| {name}, {rows} | {} | {:.3} | {:.3} | {:.3} | {} | {} |",
        of.get("launches"),
        millions(&["warp_instructions"]),
        millions(&["distinct_read_bytes", "distinct_written_bytes"]),
        millions(&["global_load_bytes", "global_store_bytes"]),
        of.get("critical_path_cycles"),
        rows * bytes_to_host,
    );
}
