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

use common::{BATCHES, Case, DTYPES, Inputs, RIVALS, Rival, VOCAB_SIZES, poolings};

/// How long all rivals together are measured at one point.
const TIME_PER_CASE: Duration = Duration::from_secs(3);

fn main() -> anyhow::Result<()> {
    let filter = std::env::args().skip(1).find(|a| !a.starts_with("--")).unwrap_or_default();
    println!("{} threads; medians of microseconds a call", rayon::current_num_threads());
    println!(
        "| V/batch/dtype/map | concept-mass | floor | candle chain | candle argmax \
         | concept-mass ÷ floor | chain ÷ concept-mass |\n| --- | --- | --- | --- | --- | --- | --- |"
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
    let mut times = RIVALS.map(|_| Vec::new());
    let start = Instant::now();
    while start.elapsed() < TIME_PER_CASE {
        for (&rival, times) in RIVALS.iter().zip(&mut times) {
            times.push(time(inputs, rival)?);
        }
    }
    let [ours, floor, chain, argmax] = times.map(median);
    println!(
        "| {} | {ours:.1} | {floor:.1} | {chain:.0} | {argmax:.1} | {:.2} | {:.1} |",
        case.name(),
        ours / floor,
        chain / ours
    );
    Ok(())
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
