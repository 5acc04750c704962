//! What the kernels do, counted by the CUDA emulator, beside candle's chain; and whether it is what
//! was promised. Counters tell of work, not of time.
//!
//! ```sh
//! ../shared/cuda-emulator/with-emulator cargo bench --features bench-rivals --bench cuda_counters
//! ../shared/cuda-emulator/with-emulator cargo bench --features bench-rivals --bench cuda_counters -- samplers
//! ```
//!
//! It prints the tables of docs/PERFORMANCE.md, and fails if a promise is not kept; with `samplers`
//! the table of those alone. On a GPU there are no counters, and it says so.

#[path = "../common/mod.rs"]
mod common;
#[path = "../gpu/kernels.rs"]
#[allow(dead_code)]
mod kernels;
mod operations;
mod paths;
mod report;
#[path = "../sampling/row.rs"]
#[allow(dead_code)]
mod row;
#[path = "../samplers/mod.rs"]
mod samplers;
mod sampling;
mod seeds;
mod steps;

use std::process::{Command, ExitCode};
use std::{env, fs, process};

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use common::{Pooling, model_like_logits, probability_is};
use concept_mass::{Noise, Row, reduce::Decision, reference};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// The constants of kernels/abi.rs.
#[allow(dead_code)]
mod abi {
    macro_rules! table {
        (constants { $($(#[$_doc:meta])* $constant:ident = $value:expr;)* } $($_rest:tt)*) => {
            $(pub const $constant: u32 = $value;)*
        };
    }
    include!("../../kernels/abi.rs");
}

use operations::{Map, OURS, Operation, Output, stream_operations};
use paths::{Paths, Typical};
use report::{Counters, Report};
use steps::Steps;

const VOCAB_SIZE: usize = 131_072;
const BATCH: usize = 64;
/// Flat logits with a dense map keep the emulator busy.
const FLAT_BATCH: usize = 4;
/// The logits of a block of kernels/decide.cu: a tile for each warp.
const PER_BLOCK: usize = (abi::WARPS * abi::TILE) as usize;
/// An H200: bytes a second of its memory, and warp-instructions a second of its 132
/// multiprocessors, four each at 1.98 GHz.
const H200_BYTES: f64 = 4.8e12;
const H200_WARP_INSTRUCTIONS: f64 = 132.0 * 4.0 * 1.98e9;

fn main() -> Result<ExitCode> {
    if env::args().any(|argument| argument == seeds::DIGEST) {
        println!("{:x}", seeds::digest()?);
        return Ok(ExitCode::SUCCESS);
    }
    match env::var_os("CUDA_EMU_REPORT") {
        Some(path) => count(&Report(path.into())),
        None => again_with_a_report(),
    }
}

/// The emulator wants to know from the start where to write. It looks for races in shared memory
/// in all but the table of samplers, where attention.rs's sort would take it minutes to watch.
fn again_with_a_report() -> Result<ExitCode> {
    let path = env::temp_dir().join(format!("concept-mass-counters-{}", process::id()));
    let again = || {
        let mut again = Command::new(env::current_exe()?);
        again.env("CUDA_EMU_REPORT", &path);
        Ok::<_, anyhow::Error>(again)
    };
    // Without what cargo adds.
    let asked = || env::args().skip(1).filter(|argument| argument != "--bench");
    let is_alone = asked().any(|argument| argument == sampling::ALONE);
    let mut success = is_alone || again()?.args(asked()).status()?.success();
    if is_alone || asked().next().is_none() {
        let mut samplers = again()?;
        samplers.arg(sampling::ALONE).env("CUDA_EMU_RACECHECK", "0");
        success &= samplers.status()?.success();
    }
    let _ = fs::remove_file(path);
    Ok(if success { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn count(report: &Report) -> Result<ExitCode> {
    let device = Device::new_cuda(0)?;
    let sparse = Map::new(Pooling::Sparse.map(VOCAB_SIZE), &device)?;
    let dense = Map::new(Pooling::Dense.map(VOCAB_SIZE), &device)?;
    let peaked = model_like_logits(BATCH, VOCAB_SIZE, DType::BF16)?.to_device(&device)?;

    if !counts(report, || Ok(sparse.tables.decide(&peaked)?.tokens()?))? {
        println!("No counters: they need the emulator, and this is a GPU. Nothing is claimed.");
        return Ok(ExitCode::SUCCESS);
    }
    if env::args().any(|argument| argument == steps::ALONE) {
        Steps::count(report, &device)?.print();
        return Ok(ExitCode::SUCCESS);
    }
    if env::args().any(|argument| argument == sampling::ALONE) {
        sampling::count(report, &sparse.tables, &peaked)?;
        return Ok(ExitCode::SUCCESS);
    }
    print_head();
    let spelling = Map::new(Pooling::Spelling.map(VOCAB_SIZE), &device)?;
    let of_all = |map: (&str, &Map)| {
        let line =
            |&operation| Ok((operation, Line::of(report, operation, map, ("peaked", &peaked))?));
        OURS.iter().map(line).collect::<Result<Vec<_>>>().map(Lines)
    };
    let (of_sparse, of_dense) = (of_all(("sparse", &sparse))?, of_all(("dense", &dense))?);
    let of_spelling = of_all(("spelling", &spelling))?;
    let chain = Line::of(report, Operation::Chain, ("sparse", &sparse), ("peaked", &peaked))?;
    let chain_dense = Line::of(report, Operation::Chain, ("dense", &dense), ("peaked", &peaked))?;
    let [decided, decided_dense, decided_spelling] =
        [&of_sparse, &of_dense, &of_spelling].map(|lines| lines.get(Operation::Decide));

    for (shape, logits) in few_rows(&peaked)? {
        for map in [("sparse", &sparse), ("dense", &dense)] {
            Line::of(report, Operation::Decide, map, (shape, &logits))?;
        }
    }

    let paths = Paths::count(report, &device)?;
    paths.print();
    let steps = Steps::count(report, &device)?;
    steps.print();

    let mut promises = Promises::default();
    promises.of_the_paths(&paths);
    promises.of_a_decision(decided, &sparse);
    promises.of_steps(&steps);
    promises.of_any_map("dense", decided, decided_dense);
    promises.of_any_map("spelling", decided, decided_spelling);
    promises.of_every_concept(&of_dense);
    promises.of_draws([("sparse", &of_sparse), ("dense", &of_dense), ("spelling", &of_spelling)]);
    promises.beside_candle("sparse", decided, &chain);
    promises.beside_candle("dense", decided_dense, &chain_dense);
    let digests = seeds::distinct_digests()? as f64;
    promises.add(
        &format!("different results of all operations under {} seeds", seeds::SEEDS),
        digests,
        Bound::AtMost(1.0),
    );
    Ok(promises.print())
}

/// Whether launches are counted at all.
fn counts<T>(report: &Report, launch: impl FnOnce() -> concept_mass::Result<T>) -> Result<bool> {
    let (_, counters) = report.of(|| Ok(launch()?))?;
    Ok(counters.get("launches") > 0.0)
}

/// A few rows of each shape: some of the `peaked` ones, and flat ones.
fn few_rows(peaked: &Tensor) -> Result<[(&'static str, Tensor); 3]> {
    let few = peaked.narrow(0, 0, FLAT_BATCH)?;
    let mut rng = StdRng::seed_from_u64(1);
    let noise = (0..few.elem_count()).map(|_| rng.random_range(-0.05f32..0.05)).collect();
    let noise = Tensor::from_vec(noise, few.shape(), &Device::Cpu)?.to_dtype(few.dtype())?;
    let equal = few.zeros_like()?;
    Ok([("peaked", few), ("noise", noise.to_device(peaked.device())?), ("equal", equal)])
}

/// A line of the first table.
struct Line {
    rows: f64,
    stream_operations: f64,
    counters: Counters,
}

impl Line {
    /// Counts the operation, checks its answer if it is a decision, and prints the line.
    fn of(
        report: &Report,
        operation: Operation,
        (map_name, map): (&str, &Map),
        (shape, logits): (&str, &Tensor),
    ) -> Result<Self> {
        let device = logits.device();
        let mut noise = Noise::new(1, device)?;
        let (output, counters) = report.of(|| map.run(operation, logits, &mut noise))?;
        match output {
            Output::Decisions(decisions) => {
                let decisions: Result<Vec<_>, _> = decisions.rows()?.into_iter().collect();
                check(map, logits, &decisions?)?;
            }
            Output::Rows(reduction) => {
                let rows: Result<Vec<_>, _> = reduction.rows()?.into_iter().collect();
                let rows = rows?;
                check_runners_up(map, logits, &rows)?;
                check(map, logits, &rows.iter().map(Row::decision).collect::<Vec<_>>())?;
            }
            Output::Tensors(_) => {}
        }
        let stream_operations =
            stream_operations(device, || map.run(operation, logits, &mut noise))?;
        let line = Self { rows: logits.dims()[0] as f64, stream_operations, counters };
        line.print(&format!("{operation:?}, {map_name}, {shape}, {}", line.rows).to_lowercase());
        Ok(line)
    }

    fn get(&self, name: &str) -> f64 {
        self.counters.get(name)
    }

    /// Kernels, copies and memsets of one of our operations. What is in the stream is counted by a
    /// graph, whose own scratch memory is set once for each operation.
    fn outside_a_graph(&self) -> f64 {
        self.stream_operations - 1.0
    }

    /// Read and written, as asked for by the kernels.
    fn requested(&self) -> f64 {
        self.get("global_load_bytes") + self.get("global_store_bytes")
    }

    /// Read and written, as memory must move it for each launch if the cache forgets nothing.
    fn distinct(&self) -> f64 {
        self.get("distinct_read_bytes") + self.get("distinct_written_bytes")
    }

    /// Of the instructions that an H200 could issue while its memory moves the distinct bytes.
    fn share_of_issue(&self) -> f64 {
        let seconds = self.distinct() / H200_BYTES;
        self.get("warp_instructions") / (seconds * H200_WARP_INSTRUCTIONS)
    }

    /// What 32 lanes could have executed, for each logit.
    fn instructions_per_logit(&self) -> f64 {
        self.get("warp_instructions") * 32.0 / (self.rows * VOCAB_SIZE as f64)
    }

    fn print(&self, name: &str) {
        let millions = |counter| format!("{:.3}", self.get(counter) / 1e6);
        let cells = [
            name.to_owned(),
            format!("{} / {}", self.get("launches"), self.stream_operations),
            millions("global_load_bytes"),
            millions("distinct_read_bytes"),
            millions("global_load_sectors"),
            millions("global_store_bytes"),
            millions("distinct_written_bytes"),
            millions("global_store_sectors"),
            millions("warp_instructions"),
            format!("{:.1}", self.instructions_per_logit()),
            format!("{:.2}", self.share_of_issue()),
            format!("{}", self.get("global_atomics")),
            format!("{} / {}", self.get("shared_bank_conflicts"), self.get("shared_wavefronts")),
        ];
        println!("| {} |", cells.join(" | "));
    }
}

/// Those of one map.
struct Lines(Vec<(Operation, Line)>);

impl Lines {
    fn get(&self, operation: Operation) -> &Line {
        let line = self.0.iter().find(|(of, _)| *of == operation);
        &line.expect("each of ours has one").1
    }

    /// Warp-instructions of an operation, in those of a decision.
    fn decisions(&self, operation: Operation) -> f64 {
        let instructions = |operation| self.get(operation).get("warp_instructions");
        instructions(operation) / instructions(Operation::Decide)
    }
}

fn print_head() {
    println!(
        "| operation, map, logits, rows | kernels / all in the stream | MB read | distinct \
         | M sectors | MB written | distinct | M sectors | M warp-instructions | × 32 ÷ logits \
         | ÷ H200 | atomics | bank conflicts / wavefronts |\n| --- |{}",
        " ---: |".repeat(12)
    );
}

/// The first rows, which are those that are checked, in `f64`.
fn checked(logits: &Tensor) -> Result<Vec<Vec<f64>>> {
    const CHECKED: usize = 2;
    Ok(logits.narrow(0, 0, CHECKED)?.to_dtype(DType::F64)?.to_vec2::<f64>()?)
}

/// The first decisions against the oracle.
fn check(map: &Map, logits: &Tensor, decisions: &[Decision]) -> Result<()> {
    for (row, logits) in decisions.iter().zip(&checked(logits)?) {
        let map = map.tables.map();
        let oracle = reference::reduce(map, logits)?;
        let mass_of_winner = reference::masses(map, logits)?[row.winner as usize];
        ensure!(oracle.mass - mass_of_winner < 1e-6, "{row:?} should be {oracle:?}");
        ensure!(row.greedy == oracle.greedy, "{row:?} should be {oracle:?}");
        ensure!(probability_is(row.mass, oracle.mass), "{row:?} should be {oracle:?}");
        ensure!((f64::from(row.log_z) - oracle.log_z).abs() < 1e-4, "{row:?} is not {oracle:?}");
    }
    Ok(())
}

/// The runners-up of the first rows against the oracle.
fn check_runners_up(map: &Map, logits: &Tensor, rows: &[Row]) -> Result<()> {
    for (row, logits) in rows.iter().zip(&checked(logits)?) {
        let oracle = reference::reduce(map.tables.map(), logits)?;
        let mass = row.runner_up.map_or(0.0, |runner_up| runner_up.mass);
        let wanted = oracle.runner_up.map_or(0.0, |runner_up| runner_up.mass);
        ensure!(probability_is(mass, wanted), "{row:?} should be {oracle:?}");
    }
    Ok(())
}

enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

/// The second table.
#[derive(Default)]
struct Promises {
    lines: Vec<String>,
    broken: bool,
}

impl Promises {
    fn add(&mut self, what: &str, is: f64, bound: Bound) {
        let (kept, bound) = match bound {
            Bound::AtMost(most) => (is <= most, format!("at most {most}")),
            Bound::AtLeast(least) => (is >= least, format!("at least {least}")),
        };
        self.broken |= !kept;
        let verdict = if kept { "" } else { ": **not met**" };
        let is = format!("{is:.4}");
        let is = is.trim_end_matches('0').trim_end_matches('.');
        self.lines.push(format!("| {what} | {bound} | {is}{verdict} |"));
    }

    fn of_a_decision(&mut self, decided: &Line, map: &Map) {
        let logits = decided.rows * (VOCAB_SIZE * DType::BF16.size_in_bytes()) as f64;
        let read = decided.get("distinct_read_bytes");
        let blocks = decided.rows * VOCAB_SIZE.div_ceil(PER_BLOCK) as f64;
        self.add("launches of a decision", decided.outside_a_graph(), Bound::AtMost(1.0));
        self.add(
            "distinct bytes read ÷ (logits + map)",
            read / (logits + map.bytes()),
            Bound::AtMost(1.05),
        );
        self.add("distinct bytes read ÷ logits", read / logits, Bound::AtMost(1.05));
        self.add(
            "distinct bytes written ÷ read",
            decided.get("distinct_written_bytes") / read,
            Bound::AtMost(0.01),
        );
        self.add(
            "atomics ÷ blocks (the tickets)",
            decided.get("global_atomics") / blocks,
            Bound::AtMost(1.0),
        );
        self.add(
            "bank conflicts ÷ warp-instructions",
            decided.get("shared_bank_conflicts") / decided.get("warp_instructions"),
            Bound::AtMost(0.001),
        );
    }

    fn of_the_paths(&mut self, paths: &Paths) {
        const FLAT: f64 = 60_000.0;
        for (map, p_max, most) in [
            ("sparse", 0.39, 1.7),
            ("dense", 0.39, 1.7),
            ("spellings to 114", 0.11, 2.2),
            ("spellings to 114", 0.04, 3.0),
        ] {
            let path = paths.get(map, Typical(p_max)).get("critical_path_cycles");
            let argmax = paths.argmax.get("critical_path_cycles");
            self.add(
                &format!("critical path, {map}, p_max {p_max} ÷ argmax's"),
                path / argmax,
                Bound::AtMost(most),
            );
        }
        for map in ["sparse", "dense"] {
            for shape in [row::Shape::Equal, row::Shape::Noise] {
                let path = paths.get(map, shape).get("critical_path_cycles");
                self.add(&format!("critical path, {map}, {shape:?}"), path, Bound::AtMost(FLAT));
            }
        }
        let instructions = |map, p_max| paths.get(map, Typical(p_max)).get("warp_instructions");
        self.add(
            "warp-instructions, spellings to 114, p_max .04 ÷ spellings to 4, p_max .39",
            instructions("spellings to 114", 0.04) / instructions("spellings to 4", 0.39),
            Bound::AtMost(1.6),
        );
        for (counter, most) in [("critical_path_cycles", 1.5), ("warp_instructions", 1.5)] {
            for (name, ratio) in paths.odd(counter) {
                let what = format!("{}, a row {name} ÷ another", counter.replace('_', " "));
                self.add(&what, ratio, Bound::AtMost(most));
            }
        }
        let logits = (VOCAB_SIZE * DType::BF16.size_in_bytes()) as f64;
        self.add(
            "distinct bytes read, one row, spellings to 114 ÷ logits",
            paths.get("spellings to 114", Typical(0.11)).get("distinct_read_bytes") / logits,
            Bound::AtMost(1.25),
        );
    }

    /// A batch's, in those of a decision over the same rows.
    fn of_steps(&mut self, steps: &Steps) {
        let mut add = |what: &str, is, most| self.add(what, is, Bound::AtMost(most));
        let everything = "everything, 1,000 seen, sparse";
        add("launches of a step", steps.get(everything).get("launches"), 3.0);
        add("distinct bytes, a step with everything ÷ a decision", steps.distinct(everything), 2.3);
        let [instructions, bytes] = steps.maps_of_all_sizes();
        add("warp-instructions, a map for each row ÷ one for all", instructions, 1.15);
        add("distinct bytes, a map for each row ÷ one for all", bytes, 1.15);
    }

    fn of_any_map(&mut self, map: &str, sparse: &Line, other: &Line) {
        self.add(
            &format!("warp-instructions of a decision, {map} ÷ sparse"),
            other.get("warp_instructions") / sparse.get("warp_instructions"),
            Bound::AtMost(1.3),
        );
    }

    /// Beside the kernels of version 0 of these operations, each of whose threads read the map for one
    /// row alone.
    fn of_every_concept(&mut self, dense: &Lines) {
        use Operation::*;
        for (operation, before) in [(Masses, 23.788e6), (Pool, 41.166e6), (Measure, 24.293e6)] {
            self.add(
                &format!("warp-instructions, {operation:?}, dense ÷ one row a thread")
                    .to_lowercase(),
                dense.get(operation).get("warp_instructions") / before,
                Bound::AtMost(0.6),
            );
        }
    }

    /// A draw's instructions in those of a decision. With a dense map at a temperature, every mass is
    /// needed, and the bound is what masses take and a half.
    fn of_draws(&mut self, maps: [(&str, &Lines); 3]) {
        use Operation::*;
        for (map, lines) in maps {
            let name = |at| format!("warp-instructions, a draw at {at}, {map} ÷ a decision");
            self.add(&name("1"), lines.decisions(SampleAt1), Bound::AtMost(1.6));
            let masses = (100.0 * lines.decisions(Masses)).floor() / 100.0;
            let most = if map == "sparse" { 1.6 } else { masses + 0.6 };
            self.add(&name(".7"), lines.decisions(Sample), Bound::AtMost(most));
        }
    }

    fn beside_candle(&mut self, map: &str, ours: &Line, chain: &Line) {
        self.add(
            &format!("candle's chain ÷ decision, {map}: kernels, copies and memsets"),
            chain.stream_operations / ours.outside_a_graph(),
            Bound::AtLeast(4.0),
        );
        let mut ratio = |what: &str, of: &dyn Fn(&Line) -> f64, least: f64| {
            let what = format!("candle's chain ÷ decision, {map}: {what}");
            self.add(&what, of(chain) / of(ours), Bound::AtLeast(least));
        };
        ratio("bytes asked for", &Line::requested, 4.0);
        ratio("distinct bytes", &Line::distinct, 4.0);
        ratio("warp-instructions", &|line| line.get("warp_instructions"), 1.0);
    }

    fn print(&self) -> ExitCode {
        println!("\n| what | must be | is |\n| --- | --- | --- |\n{}", self.lines.join("\n"));
        if self.broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }
}
