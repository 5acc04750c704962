//! Every filter, and all of them together, against the chain by its definition.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::OnceLock;

use candle_core::DType;
use concept_mass::sample::{Distribution, Emission, Penalties};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::{Rng, rngs::StdRng};

use super::{slots, witness};
use crate::common::chain::Request;
use crate::common::philox::Steps;
use crate::common::*;

const TEMPERATURES: [f64; 11] = [0.0, 1e-38, 1e-3, 0.1, 0.5, 0.8, 1.0, 1.0, 1.7, 30.0, 1e38];
const SIZES: [usize; 7] = [1, 2, 17, 111, 2047, 2049, 5000];
const CASES: u32 = if cfg!(feature = "cuda") { 200 } else { 2400 };

/// A point of the test space; all else follows from it.
#[derive(Clone, Debug)]
struct Case {
    vocab_size: usize,
    dtype: DType,
    layout: Layout,
    profile: Profile,
    partition: Partition,
    temperature: f64,
    k: Option<usize>,
    p: f64,
    min_p: f64,
    /// Of what is allowed.
    mask: Option<Mask>,
    changes: Changes,
    by_share: bool,
    pooling: bool,
    log_probs: Option<(usize, Distribution)>,
    seed: u64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Mask {
    Most,
    Few,
    /// Most, of the first half of the vocabulary.
    Short,
}

/// Which changes of logits are asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Changes {
    None,
    Penalties,
    Bias,
    Both,
}

fn case() -> impl Strategy<Value = Case> {
    let of_rows = (
        select(&SIZES[..]),
        select(&DTYPES[..]),
        select(&LAYOUTS[..]),
        select(&PROFILES[..]),
        select(&PARTITIONS[..]),
    );
    let most_have_none = |some: Vec<f64>, none: f64| prop_oneof![Just(none), select(some)];
    let filters = (
        select(&TEMPERATURES[..]),
        proptest::option::of(select(vec![1, 2, 5, 20, 100, 5000, usize::MAX])),
        most_have_none(vec![0.0, 1e-300, 1e-9, 0.1, 0.5, 0.9, 0.999], 1.0),
        most_have_none(vec![1e-300, 1e-9, 0.01, 0.05, 0.5, 1.0], 0.0),
    );
    let changes = [Changes::None, Changes::None, Changes::Penalties, Changes::Bias, Changes::Both];
    let others = (
        proptest::option::weighted(0.3, select(vec![Mask::Most, Mask::Few, Mask::Short])),
        select(changes.to_vec()),
        any::<bool>(),
        proptest::bool::weighted(0.85),
        proptest::option::of((
            select(vec![0, 1, 5, 20]),
            select(vec![Distribution::Raw, Distribution::Final]),
        )),
        any::<u64>(),
    );
    (of_rows, filters, others).prop_map(|(of_rows, filters, others)| {
        let (vocab_size, dtype, layout, profile, partition) = of_rows;
        let (temperature, k, p, min_p) = filters;
        let (mask, changes, by_share, pooling, log_probs, seed) = others;
        Case {
            vocab_size,
            dtype,
            layout,
            profile,
            partition,
            temperature,
            k,
            p,
            min_p,
            mask,
            changes,
            by_share,
            pooling,
            log_probs,
            seed,
        }
    })
}

impl Case {
    fn request(&self, rng: &mut StdRng) -> Request {
        let mut request = Request {
            top_k: self.k,
            top_p: self.p,
            min_p: self.min_p,
            pooling: self.pooling,
            emission: if self.by_share { Emission::ByShare } else { Emission::Representative },
            log_probs: self.log_probs,
            mask: self.mask.map(|mask| mask.words(self.vocab_size, rng)),
            seed: steps().seed(),
            ..Request::at(self.temperature)
        };
        let token = |rng: &mut StdRng| rng.random_range(0..self.vocab_size as u32);
        if matches!(self.changes, Changes::Penalties | Changes::Both) {
            request.penalties = Penalties {
                repetition: [1.0, 0.5, 1.1, 2.0][rng.random_range(0..4)],
                presence: [0.0, -0.5, 0.5, 1.5][rng.random_range(0..4)],
                frequency: [0.0, -0.2, 0.3][rng.random_range(0..3)],
            };
            request.seen = (0..30).map(|_| (token(rng), rng.random_range(1..6))).collect();
        }
        if matches!(self.changes, Changes::Bias | Changes::Both) {
            let bias = |rng: &mut StdRng| match rng.random_range(0..4) {
                0 => f32::NEG_INFINITY,
                _ => rng.random_range(-5.0..5.0),
            };
            request.bias = (0..10).map(|_| (token(rng), bias(rng))).collect::<BTreeMap<_, _>>();
        }
        request
    }
}

impl Mask {
    fn words(self, vocab_size: usize, rng: &mut StdRng) -> Vec<u32> {
        let allowed = if self == Mask::Few { 0.05 } else { 0.9 };
        let len = if self == Mask::Short { vocab_size / 2 } else { vocab_size };
        // At least a word, or there is no mask.
        let mut words = vec![0; len.div_ceil(32).max(1)];
        // Beyond the vocabulary as well.
        for bit in 0..32 * words.len() {
            words[bit / 32] |= u32::from(rng.random_bool(allowed)) << (bit % 32);
        }
        words
    }
}

fn steps() -> &'static Steps {
    static STEPS: OnceLock<Steps> = OnceLock::new();
    STEPS.get_or_init(|| Steps::of(0x0123_4567_89ab_cdef))
}

/// Draws that were within rounding of another, and all.
#[derive(Clone, Copy, Default)]
struct Count {
    open: usize,
    all: usize,
}

impl Count {
    fn share(self) -> f64 {
        self.open as f64 / self.all as f64
    }
}

/// The draws at each temperature: with uniforms anywhere, and with those near a boundary.
type Counts = BTreeMap<String, [Count; 2]>;

fn count(counts: &mut Counts, temperature: f64, check: witness::Check) {
    let count =
        &mut counts.entry(format!("{temperature:e}")).or_default()[usize::from(check.is_near)];
    count.open += usize::from(check.is_open);
    count.all += 1;
}

/// The sum over some temperatures.
fn sum(counts: &Counts, of: impl Fn(&str) -> bool) -> [Count; 2] {
    let mut sums = [Count::default(); 2];
    for (_, counts) in counts.iter().filter(|(temperature, _)| of(temperature)) {
        for (sum, count) in sums.iter_mut().zip(counts) {
            (sum.open, sum.all) = (sum.open + count.open, sum.all + count.all);
        }
    }
    sums
}

/// Who samples.
#[derive(Clone, Copy, PartialEq)]
enum By {
    /// `sample_batch`.
    Rows,
    /// A `BatchSampler`.
    Slots,
}

fn check(case: &Case, by: By, counts: &mut Counts) -> Result<(), TestCaseError> {
    let mut rng = rng(case.seed);
    let map = case.partition.map(case.vocab_size, &mut rng).to_device(&device()).unwrap();
    let row = case.profile.row(case.vocab_size, &mut rng);
    let request = case.request(&mut rng);
    let rows = |n| case.layout.tensor(&vec![row.clone(); n], case.vocab_size, case.dtype).unwrap();
    let checks = match by {
        By::Rows => witness::check(&map, rows, &request, steps(), &mut rng),
        By::Slots => slots::check(&map, rows, &request, steps(), &mut rng),
    };
    match checks {
        Ok(checks) => checks.into_iter().for_each(|check| count(counts, case.temperature, check)),
        Err(wrong) => prop_assert!(false, "{}", wrong),
    }
    Ok(())
}

/// A draw is open if its uniform is within rounding of a boundary; then either side is right.
#[test]
fn every_row_draws_what_the_chain_draws() {
    all_draw_what_the_chain_draws(By::Rows, CASES);
}

#[test]
fn every_slot_draws_what_the_chain_draws() {
    all_draw_what_the_chain_draws(By::Slots, CASES);
}

fn all_draw_what_the_chain_draws(by: By, cases: u32) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let counts = RefCell::new(Counts::default());
    let run = TestRunner::new_with_rng(config, rng)
        .run(&case(), |case| check(&case, by, &mut counts.borrow_mut()));
    run.unwrap_or_else(|wrong| panic!("{wrong}"));
    let counts = counts.into_inner();
    for (temperature, [anywhere, near]) in &counts {
        println!(
            "temperature {temperature}: within rounding {} of {} draws, and {} of {} near a boundary",
            anywhere.open, anywhere.all, near.open, near.all
        );
    }
    // What is nearly equal is told apart by rounding, if it is told apart at all.
    let is_cold = |temperature: &str| ["0e0", "1e-38", "1e-3"].contains(&temperature);
    let [anywhere, near] = sum(&counts, |temperature| !is_cold(temperature));
    let [cold, cold_near] = sum(&counts, is_cold);
    let shares = [anywhere, near, cold, cold_near].map(Count::share);
    println!("shares within rounding: {shares:.4?}");
    assert!(anywhere.all > 3 * cases as usize / 2);
    assert!(shares.iter().zip([0.04, 0.04, 0.03, 0.03]).all(|(share, most)| *share < most));
}
