//! Every rival at every point, by criterion: for work on the crate. (`cpu_ratios` measures them in
//! turn, for claims.)
//!
//! ```sh
//! RAYON_NUM_THREADS=1 cargo bench --bench cpu_reduction -- 131072/b1/f32/sparse
//! ```

mod common;

use std::hint::black_box;
use std::time::Duration;

use common::{BATCHES, Case, DTYPES, Rival, VOCAB_SIZES, poolings, rivals};
use criterion::{BenchmarkId, Criterion, Throughput};

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    for vocab_size in VOCAB_SIZES {
        for batch in BATCHES {
            for dtype in DTYPES {
                for pooling in poolings(vocab_size) {
                    bench(&mut criterion, &Case::new(vocab_size, batch, dtype, pooling));
                }
            }
        }
    }
    criterion.final_summary();
}

fn bench(criterion: &mut Criterion, case: &Case) {
    let mut group = criterion.benchmark_group(case.name());
    group.throughput(Throughput::Elements((case.vocab_size * case.batch) as u64));
    for rival in rivals() {
        // Built and checked on first use, so that a filter does not wait for other cases.
        group.bench_function(BenchmarkId::from_parameter(format!("{rival:?}")), |bencher| {
            let ready = case.ready();
            if let Some(floor) = ready.floor().filter(|_| rival == Rival::Floor) {
                println!("the floor is {floor}");
            }
            bencher.iter(|| black_box(ready.run(rival).expect("it ran when it was checked")));
        });
    }
    group.finish();
}
