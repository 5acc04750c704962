//! What both CPU benches measure: the cases, the rivals, and the check that each rival's answer
//! is right before it is timed. The maps and the logits are those of the CUDA counters, too.

// Each bench uses its own part of this module.
#![allow(dead_code)]

pub mod floor;
pub mod spellings;
#[path = "../../tests/common/vocabulary.rs"]
mod vocabulary;

use std::cell::OnceCell;

use candle_core::{D, DType, Device, Result, Tensor};
use concept_mass::{ConceptMap, DeviceMap, reference, source::Spelling};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

pub const VOCAB_SIZES: [usize; 3] = [32_000, 131_072, 262_144];
pub const BATCHES: [usize; 2] = [1, 16];
pub const DTYPES: [DType; 2] = [DType::F32, DType::BF16];

/// How much of the vocabulary a map pools.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pooling {
    /// 250 concepts of four tokens each; the rest of the vocabulary is alone.
    Sparse,
    /// 50,000 concepts over all tokens, each at even distances: `token mod 50,000`.
    Dense,
    /// 50,000 concepts over all tokens, drawn at random: the worst order for a cache.
    Scattered,
    /// The spelling map of a vocabulary of 131,072 tokens: most of them in 36,000 concepts of two
    /// to eight, the rest alone.
    Spelling,
}

/// The maps for vocabularies of any size.
pub const POOLINGS: [Pooling; 3] = [Pooling::Sparse, Pooling::Dense, Pooling::Scattered];

/// The maps for vocabularies of this size.
pub fn poolings(vocab_size: usize) -> impl Iterator<Item = Pooling> {
    let spelling = (vocab_size == vocabulary::WIDTH).then_some(Pooling::Spelling);
    POOLINGS.into_iter().chain(spelling)
}

impl Pooling {
    pub fn map(self, vocab_size: usize) -> ConceptMap {
        let mut rng = StdRng::seed_from_u64(vocab_size as u64);
        // Smaller vocabularies get fewer, so that concepts have as many tokens.
        let concepts = 50_000.min((vocab_size as f64 / 2.6) as u32);
        let ids: Vec<u32> = match self {
            Pooling::Sparse => return sparse(vocab_size, &mut rng),
            Pooling::Dense => (0..vocab_size as u32).map(|token| token % concepts).collect(),
            Pooling::Scattered => (0..vocab_size).map(|_| rng.random_range(0..concepts)).collect(),
            Pooling::Spelling => {
                return Spelling::default().map(&vocabulary::large().vocabulary).expect("a map");
            }
        };
        ConceptMap::from_concept_ids(without_gaps(ids)).expect("a valid map")
    }
}

fn sparse(vocab_size: usize, rng: &mut StdRng) -> ConceptMap {
    let mut tokens: Vec<u32> = (0..vocab_size as u32).collect();
    tokens.shuffle(rng);
    let mut builder = ConceptMap::builder(vocab_size);
    for concept in tokens[..1000].chunks(4) {
        builder = builder.unnamed(concept.iter().copied()).expect("disjoint");
    }
    builder.build().expect("a valid map")
}

/// Numbers the concepts in the order of their first tokens.
fn without_gaps(mut ids: Vec<u32>) -> Vec<u32> {
    let mut renumbered = vec![u32::MAX; ids.len()];
    let mut next = 0;
    for id in &mut ids {
        let new = &mut renumbered[*id as usize];
        if *new == u32::MAX {
            *new = next;
            next += 1;
        }
        *id = *new;
    }
    ids
}

/// Logits as a language model gives them: most tokens in a bell of standard deviation 2.5, and a
/// few candidates some ten above it. `[B, V]`.
pub fn model_like_logits(batch: usize, vocab_size: usize, dtype: DType) -> Result<Tensor> {
    let mut rng = StdRng::seed_from_u64(7);
    let mut logits = Vec::with_capacity(batch * vocab_size);
    for _ in 0..batch {
        let start = logits.len();
        for _ in 0..vocab_size {
            // The sum of twelve uniform numbers less six is close to a standard normal one.
            let normal: f32 = (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
            logits.push(2.5 * normal);
        }
        for rank in 0..20 {
            logits[start + rng.random_range(0..vocab_size)] = 18.0 - 0.5 * rank as f32;
        }
    }
    Tensor::from_vec(logits, (batch, vocab_size), &Device::Cpu)?.to_dtype(dtype)
}

/// candle: softmax → index_add into `concepts` concepts → argmax, on the logits' device.
pub fn candle_chain(logits: &Tensor, concept_ids: &Tensor, concepts: usize) -> Result<Tensor> {
    let probabilities = candle_nn::ops::softmax_last_dim(logits)?;
    Tensor::zeros((logits.dims()[0], concepts), logits.dtype(), logits.device())?
        .index_add(concept_ids, &probabilities, 1)?
        .argmax(D::Minus1)
}

/// The contract's tolerance on probabilities.
pub fn probability_is(got: f32, want: f64) -> bool {
    (f64::from(got) - want).abs() < 1e-5 + 1e-4 * want
}

/// One point of the benchmark.
pub struct Case {
    pub vocab_size: usize,
    pub batch: usize,
    pub dtype: DType,
    pub pooling: Pooling,
    inputs: OnceCell<Inputs>,
}

/// What the rivals work on.
pub struct Inputs {
    logits: Tensor,
    map: DeviceMap,
    concept_ids: Tensor,
}

/// A way to come to a decision, or the floor under all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rival {
    /// [`DeviceMap::reduce`].
    ConceptMass,
    /// The largest logit and `Σ exp`, as fast as the machine can: no decision, no concepts.
    Floor,
    /// candle: softmax → index_add into concepts → argmax.
    CandleChain,
    /// candle: argmax over tokens, which counts no meanings.
    CandleArgmax,
}

/// All of them; the floor only where there is one.
pub fn rivals() -> impl Iterator<Item = Rival> {
    [Rival::ConceptMass, Rival::Floor, Rival::CandleChain, Rival::CandleArgmax]
        .into_iter()
        .filter(|&rival| rival != Rival::Floor || floor::exists())
}

impl Case {
    pub fn new(vocab_size: usize, batch: usize, dtype: DType, pooling: Pooling) -> Self {
        Self { vocab_size, batch, dtype, pooling, inputs: OnceCell::new() }
    }

    /// As in `131072/b1/f32/sparse`.
    pub fn name(&self) -> String {
        let Self { vocab_size, batch, dtype, pooling, .. } = self;
        format!("{vocab_size}/b{batch}/{}/{pooling:?}", dtype.as_str()).to_lowercase()
    }

    /// The inputs, once every rival has answered right.
    pub fn ready(&self) -> &Inputs {
        self.inputs.get_or_init(|| {
            let inputs = self.inputs().expect("valid inputs");
            inputs.check(&self.name()).expect("rivals that run");
            inputs
        })
    }

    fn inputs(&self) -> anyhow::Result<Inputs> {
        let logits = model_like_logits(self.batch, self.vocab_size, self.dtype)?;
        let map = self.pooling.map(self.vocab_size);
        let concept_ids = Tensor::new(map.concept_ids(), &Device::Cpu)?;
        let map = map.to_device(&Device::Cpu)?;
        Ok(Inputs { logits, map, concept_ids })
    }
}

impl Inputs {
    /// Runs one rival once, and returns something of its answer.
    pub fn run(&self, rival: Rival) -> Result<f64> {
        Ok(match rival {
            Rival::ConceptMass => self.map.reduce(&self.logits)?.rows()?[0]?.mass.into(),
            Rival::Floor => floor::log_sum_exp(&self.logits).map_or(f64::NAN, |rows| rows[0]),
            Rival::CandleChain => self.candle_chain()?.to_vec1::<u32>()?[0].into(),
            Rival::CandleArgmax => self.logits.argmax(D::Minus1)?.to_vec1::<u32>()?[0].into(),
        })
    }

    /// What the floor is here, as in `AVX2, one pass`.
    pub fn floor(&self) -> Option<&'static str> {
        floor::name(&self.logits)
    }

    fn candle_chain(&self) -> Result<Tensor> {
        candle_chain(&self.logits, &self.concept_ids, self.map.map().num_concepts())
    }

    /// Every rival against the oracle.
    fn check(&self, name: &str) -> anyhow::Result<()> {
        let rows = self.map.reduce(&self.logits)?.rows()?;
        let floors = floor::all_ways(&self.logits);
        let chain = self.candle_chain()?.to_vec1::<u32>()?;
        let argmax = self.logits.argmax(D::Minus1)?.to_vec1::<u32>()?;
        let logits = self.logits.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        for (i, logits) in logits.iter().enumerate() {
            let (row, oracle) = (rows[i]?, reference::reduce(self.map.map(), logits)?);
            assert_eq!(row.winner, oracle.winner, "{name}");
            assert_eq!(row.representative, oracle.representative, "{name}");
            assert!((f64::from(row.mass) - oracle.mass).abs() < 1e-5, "{name}");
            assert!((f64::from(row.log_z) - oracle.log_z).abs() < 1e-4, "{name}");
            let entropy_error = f64::from(row.concept_entropy) - oracle.concept_entropy;
            assert!(entropy_error.abs() < 1e-3, "{name}");
            for (way, floors) in &floors {
                assert!((floors[i] - oracle.log_z).abs() < 1e-4, "{name}: the floor by {way}");
            }
            assert_eq!(argmax[i], oracle.greedy, "{name}: candle's argmax");
            // candle rounds probabilities and their sums to the logits' dtype, so that in bf16
            // its chain may well decide otherwise.
            if self.logits.dtype() == DType::F32 {
                assert_eq!(chain[i], oracle.winner, "{name}: candle's chain");
            }
        }
        Ok(())
    }
}
