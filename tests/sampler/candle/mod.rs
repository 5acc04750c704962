//! With a map that pools nothing, the sampler is candle's own: to the token where candle's running
//! sum decides nothing, and in distribution where candle leaves the order or the noise to chance.

mod boundaries;
mod filters;

use candle_core::{DType, Device, Tensor};
use candle_transformers::generation::{self, LogitsProcessor};
use concept_mass::{ConceptMap, ConceptSampler, Sampling};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::random_logits;
use crate::common::{Profile, device};
use boundaries::{Boundaries, softmax, uniform};

fn candles(sampling: &Sampling) -> generation::Sampling {
    match *sampling {
        Sampling::ArgMax => generation::Sampling::ArgMax,
        Sampling::All { temperature } => generation::Sampling::All { temperature },
        Sampling::TopK { k, temperature } => generation::Sampling::TopK { k, temperature },
        Sampling::TopP { p, temperature } => generation::Sampling::TopP { p, temperature },
        Sampling::TopKThenTopP { k, p, temperature } => {
            generation::Sampling::TopKThenTopP { k, p, temperature }
        }
        Sampling::GumbelSoftmax { temperature } => {
            generation::Sampling::GumbelSoftmax { temperature }
        }
        _ => unreachable!("candle has no such way to choose: {sampling:?}"),
    }
}

/// Where candle's argmax has the lowest of equal tokens; on a CUDA device it has any of them.
fn on_cpu(logits: &Tensor) -> Tensor {
    logits.to_device(&Device::Cpu).unwrap()
}

/// Both samplers, and the numbers that both draw by.
struct Pair {
    ours: ConceptSampler,
    theirs: LogitsProcessor,
    rng: StdRng,
}

impl Pair {
    fn new(sampling: &Sampling, vocab_size: usize, seed: u64) -> Self {
        let map = ConceptMap::singletons(vocab_size).unwrap().to_device(&device()).unwrap();
        Self {
            ours: ConceptSampler::from_sampling(seed, sampling.clone(), map).unwrap(),
            theirs: LogitsProcessor::from_sampling(seed, candles(sampling)),
            rng: boundaries::rng(seed),
        }
    }

    /// A token of each; and whether it had to be the same.
    #[track_caller]
    fn draw(&mut self, logits: &Tensor, boundaries: &Boundaries) -> bool {
        let ours = self.ours.sample(logits).unwrap();
        let theirs = self.theirs.sample(&on_cpu(logits)).unwrap();
        let uniform = uniform(&mut self.rng);
        let Some(want) = boundaries.token(uniform) else { return false };
        assert_eq!((ours, theirs), (want, want), "ours and theirs at {uniform}");
        true
    }
}

/// Candle's own probabilities of a row.
fn candles_probs(logits: &Tensor, temperature: f64) -> Vec<f32> {
    let all = generation::Sampling::All { temperature };
    let mut probs = Vec::new();
    let mut processor = LogitsProcessor::from_sampling(0, all);
    processor.sample_f(&on_cpu(logits), |p| probs = p.to_vec()).unwrap();
    probs
}

fn temperature_of(sampling: &Sampling) -> f64 {
    match *sampling {
        Sampling::All { temperature } | Sampling::TopP { temperature, .. } => temperature,
        _ => unreachable!("{sampling:?} is compared by its distribution"),
    }
}

fn boundaries_of(sampling: &Sampling, logits: &Tensor) -> Boundaries {
    let temperature = temperature_of(sampling);
    let exact = softmax(&on_cpu(logits), temperature);
    Boundaries::of(sampling, &candles_probs(logits, temperature), &exact)
}

/// How many of some draws had to be candle's, and were; and how many rows were filtered exactly.
#[derive(Default)]
struct Share {
    equal: usize,
    draws: usize,
    exact: usize,
    rows: usize,
}

impl Share {
    /// Rows of a kind, by both samplers, from the first draw to the last without a new seed.
    fn compare(
        &mut self,
        sampling: &Sampling,
        vocab_size: usize,
        kind: Kind,
        rows: u64,
        draws: usize,
    ) {
        let mut pair = Pair::new(sampling, vocab_size, 40 + rows);
        for row in 0..rows {
            let logits = kind.row(vocab_size, row);
            let boundaries = boundaries_of(sampling, &logits);
            self.rows += 1;
            self.exact += usize::from(boundaries.is_left_exactly);
            self.draws += draws;
            self.equal += (0..draws).filter(|_| pair.draw(&logits, &boundaries)).count();
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// As a language model gives it, in f32, or as bf16 holds it.
    Typical,
    TypicalBf16,
    /// A few candidates, and a bell as flat as it is wide.
    Flat,
    /// A tenth apart at most.
    Noise,
    AllEqual,
}

impl Kind {
    fn row(self, vocab_size: usize, seed: u64) -> Tensor {
        let profile = match self {
            Kind::Typical | Kind::TypicalBf16 | Kind::Flat => Profile::Peaked,
            Kind::Noise => Profile::NoiseWithinATenth,
            Kind::AllEqual => Profile::AllEqual,
        };
        let row = profile.row(vocab_size, &mut StdRng::seed_from_u64(seed));
        let row = Tensor::new(row, &device()).unwrap();
        match self {
            Kind::TypicalBf16 => row.to_dtype(DType::BF16).unwrap(),
            Kind::Flat => (row * 0.4).unwrap(),
            _ => row,
        }
    }
}

/// How many of some draws had to be candle's, at least: fewer, the more tokens have any weight worth
/// the name. Of equal logits, candle's sum soon errs by more than a token's.
fn least(kind: Kind, vocab_size: usize) -> f64 {
    match (kind, vocab_size) {
        (Kind::AllEqual, _) => 0.0,
        (_, 0..5000) => 0.98,
        (_, 5000..50_000) => 0.8,
        (Kind::Noise, _) => 0.3,
        _ => 0.5,
    }
}

#[test]
fn all_and_top_p_give_candles_token_wherever_its_sum_decides_nothing() {
    let all = |temperature| Sampling::All { temperature };
    let top_p = |p, temperature| Sampling::TopP { p, temperature };
    let modes = [
        ("All", vec![all(0.3), all(0.8), all(1.0), all(1.7)]),
        ("TopP", vec![top_p(0.5, 1.0), top_p(0.9, 0.8)]),
        ("TopP of 0 or 1", vec![top_p(0.0, 1.0), top_p(1.0, 0.8)]),
    ];
    let large: &[usize] = if cfg!(feature = "cuda") { &[] } else { &[32_000, 128_256] };
    for vocab_size in [&[1, 7, 100, 3000], large].concat() {
        for kind in [Kind::Typical, Kind::TypicalBf16, Kind::Flat, Kind::Noise, Kind::AllEqual] {
            for (mode, settings) in &modes {
                let (rows, draws) = if vocab_size > 10_000 { (1, 30) } else { (10, 40) };
                let mut share = Share::default();
                for sampling in settings {
                    share.compare(sampling, vocab_size, kind, rows, draws);
                }
                let Share { equal, draws, exact, rows } = share;
                let there = equal as f64 / draws as f64;
                println!(
                    "V {vocab_size}, {kind:?}, {mode}: {:.1} % of {draws} draws, all equal; {exact} \
                     of {rows} rows filtered exactly",
                    100.0 * there
                );
                assert!(there >= least(kind, vocab_size), "{vocab_size} {kind:?} {mode}");
            }
        }
    }
}

/// What does not draw, and what draws from one token.
#[test]
fn what_draws_nothing_is_candles_to_the_token() {
    let mut rng = StdRng::seed_from_u64(1);
    for vocab_size in [1, 7, 100, 3000] {
        let temperature = 0.0;
        for sampling in [
            Sampling::ArgMax,
            Sampling::GumbelSoftmax { temperature },
            Sampling::TopK { k: 1, temperature: 1.3 },
            Sampling::TopKThenTopP { k: 1, p: 0.3, temperature: 0.7 },
        ] {
            let mut pair = Pair::new(&sampling, vocab_size, rng.random());
            for dtype in [DType::F32, DType::BF16, DType::F16, DType::F64] {
                let logits = random_logits(vocab_size, &mut rng).to_dtype(dtype).unwrap();
                let ours = pair.ours.sample(&logits).unwrap();
                let theirs = pair.theirs.sample(&on_cpu(&logits)).unwrap();
                // Of equal ones, candle's filters leave any.
                let logits = on_cpu(&logits).to_dtype(DType::F32).unwrap();
                let logits = logits.to_vec1::<f32>().unwrap();
                assert_eq!(logits[ours as usize], logits[theirs as usize], "{sampling:?}");
            }
        }
    }
}

#[test]
fn new_reads_its_options_as_candle_does() {
    let mut rng = StdRng::seed_from_u64(2);
    let map = ConceptMap::singletons(500).unwrap().to_device(&device()).unwrap();
    for temperature in [None, Some(0.0), Some(1e-8), Some(0.7)] {
        for top_p in [None, Some(0.4)] {
            let mut ours = ConceptSampler::new(9, temperature, top_p, map.clone()).unwrap();
            let sampling = ours.sampling().clone();
            let mut pair = Pair::new(&Sampling::ArgMax, 500, 9);
            std::mem::swap(&mut pair.ours, &mut ours);
            pair.theirs = LogitsProcessor::new(9, temperature, top_p);
            let mut equal = 0;
            for _ in 0..50 {
                let logits = random_logits(500, &mut rng);
                if sampling == Sampling::ArgMax {
                    let theirs = pair.theirs.sample(&on_cpu(&logits)).unwrap();
                    assert_eq!(pair.ours.sample(&logits).unwrap(), theirs);
                    equal += 1;
                } else {
                    equal += usize::from(pair.draw(&logits, &boundaries_of(&sampling, &logits)));
                }
            }
            assert!(equal > 45, "{temperature:?} {top_p:?}: {equal} of 50");
        }
    }
}

#[test]
fn sample_f_gives_its_change_to_the_same_probabilities_as_candle() {
    let mut rng = StdRng::seed_from_u64(3);
    let temperature = 0.8;
    for sampling in [Sampling::TopP { p: 0.9, temperature }, Sampling::All { temperature }] {
        let mut pair = Pair::new(&sampling, 200, 4);
        let mut equal = 0;
        for _ in 0..50 {
            let logits = random_logits(200, &mut rng);
            let (mut seen, mut expected) = (Vec::new(), Vec::new());
            let halve = |p: &mut [f32]| p[..100].iter_mut().for_each(|p| *p /= 2.0);
            let change = |p: &mut [f32]| {
                seen = p.to_vec();
                halve(p);
            };
            let ours = pair.ours.sample_f(&logits, change).unwrap();
            let change = |p: &mut [f32]| {
                expected = p.to_vec();
                halve(p);
            };
            let theirs = pair.theirs.sample_f(&on_cpu(&logits), change).unwrap();
            if device().is_cuda() {
                assert!(seen.iter().zip(&expected).all(|(a, b)| (a - b).abs() <= 1e-6 * b));
            } else {
                assert_eq!(seen, expected);
            }
            halve(&mut expected);
            let mut exact = softmax(&on_cpu(&logits), temperature);
            exact[..100].iter_mut().for_each(|p| *p /= 2.0);
            let boundaries = Boundaries::of(&sampling, &expected, &exact);
            if let Some(want) = boundaries.token(uniform(&mut pair.rng)) {
                assert_eq!((ours, theirs), (want, want), "{sampling:?}");
                equal += 1;
            }
        }
        assert!(equal > 45, "{sampling:?}: {equal} of 50");
    }
}
