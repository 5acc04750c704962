//! What a sampled token costs: the tables "Sampling on the CPU" of docs/PERFORMANCE.md, one thread,
//! all rivals in turn and in short bursts, every answer checked before it is timed.
//!
//! ```sh
//! export RAYON_NUM_THREADS=1
//! cargo bench --bench cpu_sampling                    # everything, in six minutes
//! cargo bench --bench cpu_sampling -- 128256/f32/     # lines with that in their names
//! cargo bench --bench cpu_sampling -- --check         # the answers of the smallest vocabulary
//! ```
//!
//! With CONCEPT_MASS_ISA=avx2 it does without AVX-512; if CONCEPT_MASS_TORCH_PYTHON names a Python
//! that has PyTorch, that is a rival, too.

mod common;
mod sampling;

use anyhow::ensure;
use common::DTYPES;
use concept_mass::DeviceMap;
use sampling::line::{Case, Effort, Inputs, Line, MAPS, map};
use sampling::mode::Mode;
use sampling::row::SHAPES;
use sampling::torch::Torch;
use sampling::{promises, report};

const VOCAB_SIZES: [usize; 3] = [32_000, 128_256, 262_144];

#[derive(Default)]
struct Arguments {
    check: bool,
    /// What a line's name must hold.
    filter: String,
}

impl Arguments {
    fn parse(from: impl Iterator<Item = String>) -> anyhow::Result<Self> {
        let mut arguments = Self::default();
        for argument in from {
            match argument.as_str() {
                "--check" => arguments.check = true,
                // What cargo adds.
                "--bench" => {}
                option if option.starts_with("--") => anyhow::bail!("there is no option {option}"),
                _ => arguments.filter = argument,
            }
        }
        Ok(arguments)
    }

    fn vocab_sizes(&self) -> &'static [usize] {
        if self.check { &VOCAB_SIZES[..1] } else { &VOCAB_SIZES }
    }

    fn wanted(&self, case: Case) -> Vec<Mode> {
        let wanted =
            |mode: &Mode| format!("{}/{}", case.name(), mode.name()).contains(&self.filter);
        case.modes().filter(wanted).collect()
    }

    fn effort(&self, case: Case) -> Effort {
        match promises::are_made_at(case.vocab_size, case.dtype) {
            _ if self.check => Effort::CHECK,
            true => Effort::CLAIM,
            false => Effort::MEASURE,
        }
    }
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse(std::env::args().skip(1))?;
    // candle reads it whenever it has work to share, and its threads spin while they wait for some.
    ensure!(
        std::env::var("RAYON_NUM_THREADS").is_ok_and(|threads| threads == "1"),
        "one thread is measured, candle's as well: set RAYON_NUM_THREADS=1"
    );
    // This one, so that no call waits for another.
    rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global()?;
    let mut torch = Torch::start()?;
    println!("{}", head(torch.as_ref()));
    let lines = measure(&arguments, &mut torch)?;
    if arguments.check {
        println!("{} lines: every answer is right", lines.len());
    } else {
        promises::print(&lines);
    }
    Ok(())
}

/// The conditions, and the unit.
fn head(torch: Option<&Torch>) -> String {
    let isa = std::env::var("CONCEPT_MASS_ISA");
    let isa = isa.map_or(String::new(), |isa| format!("; CONCEPT_MASS_ISA={isa}"));
    let torch = torch.map_or("no PyTorch".to_owned(), |torch| format!("PyTorch {}", torch.version));
    format!("one thread{isa}; {torch}; medians of microseconds a token")
}

fn measure(arguments: &Arguments, torch: &mut Option<Torch>) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    for &vocab_size in arguments.vocab_sizes() {
        let maps = MAPS.into_iter().map(|pooling| Ok((pooling, map(pooling, vocab_size)?)));
        let maps = maps.collect::<anyhow::Result<Vec<_>>>()?;
        for dtype in DTYPES {
            let cases = SHAPES.into_iter().flat_map(|shape| {
                let case = move |pooling| Case { vocab_size, dtype, shape, pooling };
                maps.iter().map(move |(pooling, map)| (case(*pooling), map))
            });
            let is_wanted = |(case, _): &(Case, _)| !arguments.wanted(*case).is_empty();
            let mut cases = cases.filter(is_wanted).peekable();
            if cases.peek().is_some() && !arguments.check {
                report::begin(vocab_size, dtype);
            }
            for (case, map) in cases {
                lines.extend(measure_case(arguments, case, map, torch)?);
            }
        }
    }
    Ok(lines)
}

/// The lines of a row and a map.
fn measure_case(
    arguments: &Arguments,
    case: Case,
    map: &DeviceMap,
    torch: &mut Option<Torch>,
) -> anyhow::Result<Vec<Line>> {
    let inputs = Inputs::new(case, map)?;
    if let Some(torch) = torch {
        inputs.tell(torch)?;
    }
    let measure = |mode| {
        let line = inputs.measure(mode, arguments.effort(case), torch.as_mut())?;
        if !arguments.check {
            line.print();
        }
        Ok(line)
    };
    arguments.wanted(case).into_iter().map(measure).collect()
}
