//! Generated rows and maps, and the tolerances of the contract.

// Each test uses its own part of this module.
#![allow(dead_code)]

pub mod chain;
pub mod chi_square;
pub mod philox;
#[cfg(feature = "tokenizers")]
pub mod vocabulary;

use std::sync::OnceLock;

use candle_core::{DType, Device, Tensor};
use concept_mass::reduce::{BadRow, Decision, ReduceError};
use concept_mass::reference::{self, ReferenceRow};
use concept_mass::{ConceptMap, Row};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

/// Vocabulary sizes around the edges of vectors, blocks and real models.
pub const AWKWARD_SIZES: [usize; 12] =
    [1, 2, 15, 16, 17, 31, 111, 2047, 2049, 32_000, 128_256, 151_936];

/// The device that is tested: with the feature `cuda`, the first CUDA device, else the CPU.
pub fn device() -> Device {
    static DEVICE: OnceLock<Device> = OnceLock::new();
    let open = || if cfg!(feature = "cuda") { Device::new_cuda(0) } else { Ok(Device::Cpu) };
    DEVICE.get_or_init(|| open().expect("a CUDA device, or an emulated one")).clone()
}

pub const DTYPES: [DType; 3] = [DType::F32, DType::F16, DType::BF16];

/// The shape of a row's values.
#[derive(Clone, Copy, Debug)]
pub enum Profile {
    /// A bell with a few candidates above it, as a language model gives.
    Peaked,
    AllEqual,
    NoiseWithinATenth,
    /// A handful of values only.
    Ties,
    /// Nine in ten are -inf, and at least one is not.
    Masked,
    /// From -1000 to 1000: all but a few underflow.
    Wide,
    Ascending,
    /// Millions, where neighbouring f32 are far apart.
    Huge,
}

pub const PROFILES: [Profile; 8] = [
    Profile::Peaked,
    Profile::AllEqual,
    Profile::NoiseWithinATenth,
    Profile::Ties,
    Profile::Masked,
    Profile::Wide,
    Profile::Ascending,
    Profile::Huge,
];

impl Profile {
    pub fn row(self, vocab_size: usize, rng: &mut StdRng) -> Vec<f32> {
        let mut bell = || (0..12).map(|_| rng.random::<f32>()).sum::<f32>() - 6.0;
        match self {
            Profile::Peaked => {
                let mut row: Vec<f32> = (0..vocab_size).map(|_| 2.5 * bell()).collect();
                for rank in 0..8 {
                    row[rng.random_range(0..vocab_size)] = 12.0 - 0.4 * rank as f32;
                }
                row
            }
            Profile::AllEqual => vec![-3.5; vocab_size],
            Profile::NoiseWithinATenth => {
                (0..vocab_size).map(|_| rng.random_range(-0.05..0.05)).collect()
            }
            Profile::Ties => (0..vocab_size).map(|_| rng.random_range(0..4) as f32).collect(),
            Profile::Masked => {
                let mut row: Vec<f32> = (0..vocab_size)
                    .map(|_| if rng.random_bool(0.9) { f32::NEG_INFINITY } else { rng.random() })
                    .collect();
                row[rng.random_range(0..vocab_size)] = 1.0;
                row
            }
            Profile::Wide => (0..vocab_size).map(|_| rng.random_range(-1000.0..1000.0)).collect(),
            Profile::Ascending => (0..vocab_size).map(|i| i as f32 * 1e-3).collect(),
            Profile::Huge => {
                (0..vocab_size).map(|_| 6e4 - rng.random_range(0.0..50f32).round()).collect()
            }
        }
    }
}

/// How a map divides the vocabulary.
#[derive(Clone, Copy, Debug)]
pub enum Partition {
    Singletons,
    /// A tenth of the tokens, in concepts of two to five.
    Sparse,
    /// Any token in any of `V / 3` concepts.
    Dense,
    /// One concept has half of all tokens.
    Giant,
    Everything,
    /// As `Sparse`, but the ids of the concepts are shuffled.
    Shuffled,
    /// Each of the sizes 1, 2, 3 … about as often, up to 80.
    EverySize,
}

pub const PARTITIONS: [Partition; 7] = [
    Partition::Singletons,
    Partition::Sparse,
    Partition::Dense,
    Partition::Giant,
    Partition::Everything,
    Partition::Shuffled,
    Partition::EverySize,
];

impl Partition {
    pub fn map(self, vocab_size: usize, rng: &mut StdRng) -> ConceptMap {
        let mut tokens: Vec<u32> = (0..vocab_size as u32).collect();
        tokens.shuffle(rng);
        let mut ids = vec![0u32; vocab_size];
        match self {
            Partition::Singletons => ids = (0..vocab_size as u32).collect(),
            Partition::Everything => {}
            Partition::Dense => {
                let concepts = (vocab_size as u32).div_ceil(3);
                ids.iter_mut().for_each(|id| *id = rng.random_range(0..concepts));
            }
            Partition::Giant => {
                let alone = &tokens[..vocab_size / 2];
                (1..).zip(alone).for_each(|(id, &t)| ids[t as usize] = id);
            }
            Partition::Sparse | Partition::Shuffled | Partition::EverySize => {
                let mut rest = &tokens[..];
                let mut id = 0;
                while !rest.is_empty() {
                    let size = match self {
                        Partition::EverySize => 1 + id as usize % 80,
                        _ if rest.len() > vocab_size * 9 / 10 => rng.random_range(2..=5),
                        _ => 1,
                    };
                    let (concept, others) = rest.split_at(size.min(rest.len()));
                    concept.iter().for_each(|&t| ids[t as usize] = id);
                    (rest, id) = (others, id + 1);
                }
            }
        }
        number(&mut ids, matches!(self, Partition::Shuffled).then_some(rng));
        ConceptMap::from_concept_ids(ids).expect("a partition")
    }
}

/// Closes the gaps between the ids; shuffles them if there is something to shuffle with.
fn number(ids: &mut [u32], shuffle: Option<&mut StdRng>) {
    let mut used = ids.to_vec();
    used.sort_unstable();
    used.dedup();
    let mut new: Vec<u32> = (0..used.len() as u32).collect();
    if let Some(rng) = shuffle {
        new.shuffle(rng);
    }
    for id in ids {
        *id = new[used.binary_search(id).expect("an id in use")];
    }
}

/// How the rows lie in memory.
#[derive(Clone, Copy, Debug)]
pub enum Layout {
    Contiguous,
    /// Some columns of a wider tensor: an offset, and gaps between the rows.
    Columns,
    /// Some rows of a taller tensor.
    Rows,
    Transposed,
}

pub const LAYOUTS: [Layout; 4] =
    [Layout::Contiguous, Layout::Columns, Layout::Rows, Layout::Transposed];

impl Layout {
    /// A tensor `[B, V]` that holds `rows` of `width`, in this layout.
    pub fn tensor(
        self,
        rows: &[Vec<f32>],
        width: usize,
        dtype: DType,
    ) -> candle_core::Result<Tensor> {
        let batch = rows.len();
        let plain = Tensor::from_vec(rows.concat(), (batch, width), &Device::Cpu)?;
        let plain = plain.to_dtype(dtype)?;
        let poison = |rows, columns| Tensor::full(f32::NAN, (rows, columns), &Device::Cpu);
        let poison = |rows, columns| poison(rows, columns)?.to_dtype(dtype);
        match self {
            Layout::Contiguous => plain.to_device(&device()),
            Layout::Columns => {
                let wide = Tensor::cat(&[poison(batch, 3)?, plain, poison(batch, 2)?], 1)?;
                wide.to_device(&device())?.narrow(1, 3, width)
            }
            Layout::Rows => {
                let tall = Tensor::cat(&[poison(2, width)?, plain, poison(1, width)?], 0)?;
                tall.to_device(&device())?.narrow(0, 2, batch)
            }
            Layout::Transposed => plain.t()?.contiguous()?.to_device(&device())?.t(),
        }
    }
}

/// A map with these concepts.
pub fn pooling(vocab_size: usize, concepts: &[&[u32]]) -> ConceptMap {
    let builder = ConceptMap::builder(vocab_size);
    let add = |b: concept_mass::map::ConceptMapBuilder, tokens: &&[u32]| {
        b.unnamed(tokens.iter().copied())
    };
    concepts.iter().try_fold(builder, add).unwrap().build().unwrap()
}

pub fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// The logits as rounded to their dtype, row by row.
pub fn in_f64(logits: &Tensor) -> Vec<Vec<f64>> {
    let on_host = logits.to_device(&Device::Cpu);
    on_host.and_then(|t| t.to_dtype(DType::F64)?.to_vec2()).expect("a matrix")
}

/// The tolerance on probabilities: 1e-5 absolute and 1e-4 relative.
pub fn probability_is(got: f32, want: f64) -> bool {
    (f64::from(got) - want).abs() <= 1e-5 + 1e-4 * want.abs()
}

/// The tolerance on log Z: 1e-4, and what f32 cannot tell apart.
pub fn log_z_is(got: f32, want: f64) -> bool {
    (f64::from(got) - want).abs() <= 1e-4 + 1e-7 * want.abs()
}

pub fn entropy_is(got: f32, want: f64) -> bool {
    (f64::from(got) - want).abs() <= 1e-3
}

/// A margin of masses under which either concept may win.
const MARGIN: f64 = 1e-6;

/// What of `row`, found in `logits`, is not as the contract wants it.
pub fn differences(map: &ConceptMap, row: &Result<Row, BadRow>, logits: &[f64]) -> Vec<String> {
    let (row, want) = match found_and_wanted(map, row, logits) {
        Ok(both) => both,
        Err(wrong) => return wrong,
    };
    let masses = reference::masses(map, logits).unwrap();
    let mut wrong = decision_is(map, &row.decision(), &want, &masses);
    let mut check = |ok: bool, what: &str| {
        if !ok {
            wrong.push(format!("{what}: {row:?}\n  should be {want:?}"));
        }
    };
    let wanted_second = want.runner_up.map_or(0.0, |runner_up| runner_up.mass);
    match row.runner_up {
        None => check(wanted_second < 1e-30, "no runner-up"),
        Some(second) => {
            check(second.concept != row.winner, "runner-up is another concept");
            check((wanted_second - mass_in(&masses, second.concept)).abs() < MARGIN, "runner-up");
            check(probability_is(second.mass, wanted_second) && second.mass > 0.0, "its mass");
        }
    }
    check(entropy_is(row.token_entropy, want.token_entropy), "token_entropy");
    check(entropy_is(row.concept_entropy, want.concept_entropy), "concept_entropy");
    let concentration = row.concentration();
    check(concentration > 0.0 && concentration <= 1.0, "concentration");
    wrong
}

/// What of `decision`, found in `logits`, is not as the contract wants it.
pub fn decision_differences(
    map: &ConceptMap,
    decision: &Result<Decision, BadRow>,
    logits: &[f64],
) -> Vec<String> {
    match found_and_wanted(map, decision, logits) {
        Ok((found, want)) => {
            decision_is(map, found, &want, &reference::masses(map, logits).unwrap())
        }
        Err(wrong) => wrong,
    }
}

/// What was found in a row that has a winner, and what the oracle finds; or else what is wrong.
fn found_and_wanted<'a, T: std::fmt::Debug>(
    map: &ConceptMap,
    found: &'a Result<T, BadRow>,
    logits: &[f64],
) -> Result<(&'a T, ReferenceRow), Vec<String>> {
    match (found, reference::reduce(map, logits)) {
        (Ok(found), Ok(want)) => Ok((found, want)),
        (Err(bad), Err(ReduceError::BadRow(want))) if bad.reason == want.reason => Err(vec![]),
        (found, want) => Err(vec![format!("{found:?} should be {want:?}")]),
    }
}

fn mass_in(masses: &[f64], concept: u32) -> f64 {
    masses.get(concept as usize).copied().unwrap_or(-1.0)
}

/// What of a decision is not as the oracle has it, which also knows all masses.
fn decision_is(
    map: &ConceptMap,
    decision: &Decision,
    want: &ReferenceRow,
    masses: &[f64],
) -> Vec<String> {
    let clear = want.mass - want.runner_up.map_or(0.0, |runner_up| runner_up.mass) >= MARGIN;
    let emitted = (decision.winner, decision.representative);
    let right = |ok: bool, what: &str| (!ok).then(|| format!("{what}: {decision:?}, not {want:?}"));
    [
        right(decision.greedy == want.greedy, "greedy"),
        right(!clear || emitted == (want.winner, want.representative), "winner"),
        right(want.mass - mass_in(masses, decision.winner) < MARGIN, "winner within the margin"),
        right(map.concept_of(decision.representative) == Some(decision.winner), "representative"),
        right(probability_is(decision.mass, want.mass), "mass"),
        right(
            !clear || probability_is(decision.representative_prob, want.representative_prob),
            "representative_prob",
        ),
        right(probability_is(decision.greedy_prob, want.greedy_prob), "greedy_prob"),
        right(log_z_is(decision.log_z, want.log_z), "log_z"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// A row to the bit.
pub fn bits(row: &Result<Row, BadRow>) -> Vec<u32> {
    match row {
        Ok(row) => {
            let second = row.runner_up.map_or([u32::MAX; 2], |r| [r.concept, r.mass.to_bits()]);
            let numbers = [
                row.mass,
                row.representative_prob,
                row.greedy_prob,
                row.log_z,
                row.token_entropy,
                row.concept_entropy,
            ];
            let ids = [row.winner, row.representative, row.greedy];
            [&ids[..], &second, &numbers.map(f32::to_bits)].concat()
        }
        Err(bad) => vec![bad.reason as u32],
    }
}

pub fn all_bits_of(rows: &[Result<Row, BadRow>]) -> Vec<u32> {
    rows.iter().flat_map(bits).collect()
}
