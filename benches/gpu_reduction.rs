//! The table for GPUs of docs/PERFORMANCE.md: every rival at every point, in turn and in bursts,
//! timed on the device, each answer checked before it is timed.
//!
//! ```sh
//! cargo bench --features bench-rivals --bench gpu_reduction                        # everything
//! cargo bench --features bench-rivals --bench gpu_reduction -- 131072/b64/bf16     # points with that in their names
//! cargo bench --features bench-rivals --bench gpu_reduction -- --json results.json
//! cargo bench --features bench-rivals --bench gpu_reduction -- --quick 32000/b1/   # the answers, and one burst
//! ```

mod common;
mod gpu;

use std::path::PathBuf;

use anyhow::Context;
use common::{DTYPES, POOLINGS, VOCAB_SIZES};
use gpu::case::{BATCHES, Case, Gpu};
use gpu::report::Report;
use gpu::timer;

#[derive(Default)]
struct Arguments {
    quick: bool,
    json: Option<PathBuf>,
    /// A point is measured if its name holds one of them, or if there is none.
    filters: Vec<String>,
}

impl Arguments {
    fn parse(mut from: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut arguments = Self::default();
        while let Some(argument) = from.next() {
            match argument.as_str() {
                "--quick" => arguments.quick = true,
                "--json" => arguments.json = Some(from.next().context("--json FILE")?.into()),
                // What cargo adds.
                "--bench" => {}
                option if option.starts_with("--") => anyhow::bail!("there is no option {option}"),
                _ => arguments.filters.push(argument),
            }
        }
        Ok(arguments)
    }

    fn wants(&self, case: &Case) -> bool {
        let name = case.name();
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter))
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    let gpu = Gpu::open()?;
    let mut report = Report::begin(&gpu, arguments.json.clone())?;
    for case in cases().filter(|case| arguments.wants(case)) {
        let inputs = case.inputs(&gpu, arguments.quick)?;
        inputs.check()?;
        report.add(case, timer::measure(&gpu, &inputs, arguments.quick)?)?;
    }
    report.end();
    Ok(())
}

fn cases() -> impl Iterator<Item = Case> {
    VOCAB_SIZES.into_iter().flat_map(|vocab_size| {
        BATCHES.into_iter().flat_map(move |batch| {
            DTYPES.into_iter().flat_map(move |dtype| {
                POOLINGS.into_iter().map(move |pooling| Case { vocab_size, batch, dtype, pooling })
            })
        })
    })
}
