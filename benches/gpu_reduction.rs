//! The table for GPUs of docs/PERFORMANCE.md: every rival at every point, in turn and in bursts,
//! timed on the device, each answer checked before it is timed.
//!
//! ```sh
//! cargo bench --features bench-rivals --bench gpu_reduction                        # everything
//! cargo bench --features bench-rivals --bench gpu_reduction -- 131072/b64/bf16     # points with that in their names
//! cargo bench --features bench-rivals --bench gpu_reduction -- --json results.json
//! cargo bench --features bench-rivals --bench gpu_reduction -- --quick 32000/b1/   # the answers, and one burst
//! cargo bench --features bench-rivals --bench gpu_reduction -- --answers 32000/b1/ # the answers, as for profilers
//! cargo bench --features bench-rivals --bench gpu_reduction -- --load              # what the first operation takes
//! ```

mod common;
mod gpu;
#[path = "sampling/row.rs"]
#[allow(dead_code)]
mod row;
mod samplers;

use std::path::PathBuf;

use anyhow::Context;
use gpu::case::{Case, cases};
use gpu::inputs::{Gpu, Inputs};
use gpu::report::Report;
use gpu::{load, timer};

#[derive(Default)]
struct Arguments {
    mode: Mode,
    json: Option<PathBuf>,
    /// A point is measured if its name holds one of them, or if there is none.
    filters: Vec<String>,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Mode {
    #[default]
    Full,
    /// One burst, over two input sets.
    Quick,
    /// No times.
    Answers,
    Load,
    LoadOnce,
}

impl Arguments {
    fn parse(mut from: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut arguments = Self::default();
        while let Some(argument) = from.next() {
            match argument.as_str() {
                "--quick" => arguments.mode = Mode::Quick,
                "--answers" => arguments.mode = Mode::Answers,
                "--load" => arguments.mode = Mode::Load,
                load::ONCE => arguments.mode = Mode::LoadOnce,
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
    match arguments.mode {
        Mode::Load => load::measure(arguments.json.as_deref()),
        Mode::LoadOnce => load::once(),
        _ => measure(&arguments),
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let gpu = Gpu::open()?;
    let cases: Vec<Case> = cases().into_iter().filter(|case| arguments.wants(case)).collect();
    anyhow::ensure!(!cases.is_empty(), "no point has such a name");
    let mut report = Report::begin(&gpu, arguments.json.clone())?;
    for case in cases {
        let inputs = Inputs::new(case, &gpu, arguments.mode != Mode::Full)?;
        let timed = match (inputs.check(), arguments.mode) {
            (Err(wrong), _) => Err(wrong),
            (Ok(()), Mode::Answers) => Ok(Vec::new()),
            (Ok(()), mode) => Ok(timer::measure(&gpu, &inputs, mode == Mode::Quick)?),
        };
        report.add(case, timed)?;
    }
    report.end()
}
