//! What the first operations of a process take: with the machine code that the crate carries, and as
//! on a GPU for which it has none, where the driver compiles the PTX.

use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use candle_core::DType;
use serde_json::json;

use super::kernels;
use crate::common::{Pooling, model_like_logits};

/// The argument of a process that does nothing but load.
pub const ONCE: &str = "--load-once";

/// What is timed, in this order.
const STAGES: [&str; 5] =
    ["the device", "first decide", "second decide", "first masses", "second masses"];

/// How the kernels are loaded, and the variables that see to it. Nothing comes from the driver's cache
/// of compiled PTX.
const WAYS: [(&str, &[(&str, &str)]); 2] = [
    ("machine code", &[("CUDA_CACHE_DISABLE", "1")]),
    ("PTX", &[("CUDA_CACHE_DISABLE", "1"), ("CUDA_FORCE_PTX_JIT", "1")]),
];

/// So many processes load in each way, one after the other; medians are given.
const PROCESSES: usize = 3;

/// Loads, and prints the milliseconds of each stage.
pub fn once() -> anyhow::Result<()> {
    let map = Pooling::Sparse.map(32_000);
    let logits = model_like_logits(1, 32_000, DType::BF16)?;
    let mut since = Instant::now();
    let mut lap = || {
        let milliseconds = since.elapsed().as_secs_f64() * 1e3;
        since = Instant::now();
        milliseconds
    };
    let (device, _) = kernels::open()?;
    let (map, logits) = (map.to_device(&device)?, logits.to_device(&device)?);
    device.synchronize()?;
    let mut stages = vec![lap()];
    for _ in 0..2 {
        map.decide(&logits)?.rows()?;
        stages.push(lap());
    }
    for _ in 0..2 {
        map.masses(&logits)?.to_vec2::<f32>()?;
        stages.push(lap());
    }
    println!("{}", json!(stages));
    Ok(())
}

/// Prints a table. A driver that does not load in one of the ways is no reason to give up the other.
pub fn measure(json: Option<&Path>) -> anyhow::Result<()> {
    let (device, cuda) = kernels::open()?;
    let emulated = kernels::Kernels::load(&cuda, 1)?.is_emulated()?;
    drop((device, cuda));
    println!("Milliseconds in a new process, medians of {PROCESSES}\n");
    println!(
        "| kernels from | {} |\n| --- |{}",
        STAGES.join(" | "),
        " ---: |".repeat(STAGES.len())
    );
    let mut found = serde_json::Map::new();
    for (way, variables) in WAYS {
        let processes = if emulated { 1 } else { PROCESSES };
        match (0..processes).map(|_| in_a_process(variables)).collect::<Result<Vec<_>, _>>() {
            Ok(_) if emulated => println!("| {way} | emulated: no times |"),
            Ok(times) => {
                let medians = medians(times);
                let cells: Vec<String> = medians.iter().map(|ms| format!("{ms:.2}")).collect();
                println!("| {way} | {} |", cells.join(" | "));
                let stages = STAGES
                    .iter()
                    .map(|&stage| stage.to_owned())
                    .zip(medians.into_iter().map(Into::into));
                found.insert(way.to_owned(), serde_json::Value::Object(stages.collect()));
            }
            Err(error) => println!("| {way} | failed: {error:#} |"),
        }
    }
    if let Some(path) = json {
        std::fs::write(path, serde_json::to_string_pretty(&json!({ "milliseconds": found }))?)?;
    }
    Ok(())
}

fn in_a_process(variables: &[(&str, &str)]) -> anyhow::Result<Vec<f64>> {
    let mut command = Command::new(std::env::current_exe()?);
    let output = command.arg(ONCE).envs(variables.iter().copied()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", said.lines().last().unwrap_or("no word"));
    let times: Vec<f64> = serde_json::from_slice(&output.stdout).context("what it has printed")?;
    ensure!(times.len() == STAGES.len(), "{} stages", times.len());
    Ok(times)
}

fn medians(times: Vec<Vec<f64>>) -> Vec<f64> {
    let median = |stage: usize| {
        let mut of_stage: Vec<f64> = times.iter().map(|times| times[stage]).collect();
        of_stage.sort_by(f64::total_cmp);
        of_stage[of_stage.len() / 2]
    };
    (0..STAGES.len()).map(median).collect()
}
