//! The table of docs/PERFORMANCE.md: every rival at every point, in turn and in short bursts, so
//! that the machine's moods strike all of them alike; medians of the bursts, and ratios.
//!
//! ```sh
//! RAYON_NUM_THREADS=1 cargo bench --bench cpu_ratios            # everything
//! RAYON_NUM_THREADS=1 cargo bench --bench cpu_ratios -- 131072/b1/
//! ```

mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use common::{BATCHES, Case, DTYPES, Inputs, Rival, VOCAB_SIZES, poolings, rivals};

/// How long all rivals together are measured at one point.
const TIME_PER_CASE: Duration = Duration::from_secs(3);

fn main() -> anyhow::Result<()> {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    println!("{} threads; medians of microseconds a call", rayon::current_num_threads());
    println!(
        "| V/batch/dtype/map | concept-mass | floor | candle chain | candle argmax \
         | concept-mass ÷ floor | chain ÷ concept-mass | the floor is |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |"
    );
    for vocab_size in VOCAB_SIZES {
        for batch in BATCHES {
            for dtype in DTYPES {
                for pooling in poolings(vocab_size) {
                    let case = Case::new(vocab_size, batch, dtype, pooling);
                    if case.name().contains(&filter) {
                        measure(&case)?;
                    }
                }
            }
        }
    }
    Ok(())
}

fn measure(case: &Case) -> anyhow::Result<()> {
    let inputs = case.ready();
    let mut times: Vec<(Rival, Vec<f64>)> = rivals().map(|rival| (rival, Vec::new())).collect();
    let start = Instant::now();
    while start.elapsed() < TIME_PER_CASE {
        for (rival, times) in &mut times {
            times.push(time(inputs, *rival)?);
        }
    }
    let of = |rival| {
        let (_, times) = times.iter().find(|(of, _)| *of == rival)?;
        Some(median(times.clone()))
    };
    let ours = of(Rival::ConceptMass).expect("it is always there");
    let (floor, chain) = (of(Rival::Floor), of(Rival::CandleChain));
    println!(
        "| {} | {ours:.1} | {} | {} | {} | {} | {} | {} |",
        case.name(),
        cell(floor, 1),
        cell(chain, 0),
        cell(of(Rival::CandleArgmax), 1),
        cell(floor.map(|floor| ours / floor), 2),
        cell(chain.map(|chain| chain / ours), 1),
        inputs.floor().unwrap_or_default(),
    );
    Ok(())
}

/// A number with so many decimals, or nothing.
fn cell(number: Option<f64>, decimals: usize) -> String {
    number.map(|number| format!("{number:.decimals$}")).unwrap_or_default()
}

/// Microseconds a call: the median over a burst, which is long enough for threads to be awake and
/// for the cache to be the rival's own.
fn time(inputs: &Inputs, rival: Rival) -> anyhow::Result<f64> {
    const BURST: Duration = Duration::from_millis(20);
    let burst = Instant::now();
    let mut times = Vec::new();
    while times.is_empty() || burst.elapsed() < BURST {
        let start = Instant::now();
        black_box(black_box(inputs).run(rival)?);
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(times))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
