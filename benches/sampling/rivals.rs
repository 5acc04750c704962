//! What chooses tokens, or is the floor under it: each can be asked once, and timed.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Context;
use candle_core::Tensor;
use candle_transformers::generation::LogitsProcessor;
use concept_mass::reduce::Decision;
use concept_mass::sample::{RowSampler, RowState, TokenMask, sample_batch, sample_batch_masked};
use concept_mass::{ConceptSampler, DeviceMap};
use rand::{RngCore, SeedableRng, rngs::StdRng};

use super::mode::Mode;
use super::past::Past;
use crate::common::floor;

/// Of all that is drawn.
pub const SEED: u64 = 42;

/// What is timed in bursts.
pub trait Rival {
    /// What has to be done before a call, and is not timed.
    fn prepare(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn call(&mut self) -> anyhow::Result<()>;

    /// Microseconds a call: the median over a burst, which is at least one call.
    fn burst(&mut self, length: Duration) -> anyhow::Result<f64> {
        let burst = Instant::now();
        let mut times = Vec::new();
        while times.is_empty() || burst.elapsed() < length {
            self.prepare()?;
            let start = Instant::now();
            self.call()?;
            times.push(start.elapsed().as_secs_f64() * 1e6);
        }
        Ok(median(times))
    }
}

pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// The uniform numbers that candle's generator gives, and so does a [`ConceptSampler`]'s.
pub fn uniforms() -> impl Iterator<Item = f64> {
    let mut rng = StdRng::seed_from_u64(SEED);
    std::iter::repeat_with(move || f64::from(rng.next_u32() >> 9) / f64::from(1 << 23))
}

/// The crate's way to choose in a mode.
pub enum Ours<'a> {
    Decision {
        map: DeviceMap,
        logits: Tensor,
    },
    /// By candle's names.
    Sampler {
        sampler: Box<ConceptSampler>,
        logits: Tensor,
    },
    /// By parameters: one request at a time, of several that differ in their seed alone.
    Rows {
        rows: Vec<RowSampler>,
        turn: usize,
        state: RowState,
        past: Option<&'a Past>,
        logits: Tensor,
    },
}

impl<'a> Ours<'a> {
    pub fn new(
        mode: Mode,
        map: &DeviceMap,
        logits: &Tensor,
        past: &'a Past,
    ) -> anyhow::Result<Self> {
        let (map, logits) = (map.clone(), logits.clone());
        if let Some(sampling) = mode.sampling() {
            let sampler = Box::new(ConceptSampler::from_sampling(SEED, sampling, map)?);
            return Ok(Self::Sampler { sampler, logits });
        }
        let Some(params) = mode.params()? else {
            return Ok(Self::Decision { map, logits });
        };
        const SEEDS: u64 = 32;
        let rows =
            (0..SEEDS).map(|seed| RowSampler::new(params.clone().with_seed(seed), map.clone()));
        let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
        let past = (mode == Mode::Everything).then_some(past);
        if let Some(past) = past {
            rows.iter_mut().try_for_each(|row| row.see(&past.seen))?;
        }
        let state = rows[0].state().clone();
        Ok(Self::Rows { rows, turn: 0, state, past, logits })
    }

    /// A decision in full, if that is the mode.
    pub fn decide(&self) -> anyhow::Result<Option<Decision>> {
        Ok(match self {
            Self::Decision { map, logits } => Some(map.decide(logits)?.rows()?[0]?),
            _ => None,
        })
    }

    /// The next token.
    pub fn token(&mut self) -> anyhow::Result<u32> {
        Ok(match self {
            Self::Decision { map, logits } => map.decide(logits)?.rows()?[0]?.representative,
            Self::Sampler { sampler, logits } => sampler.sample(logits)?,
            Self::Rows { rows, turn, past, logits, .. } => {
                let row = std::slice::from_mut(&mut rows[*turn]);
                let mut sampled = match past {
                    None => sample_batch(logits, row)?,
                    Some(Past { mask, .. }) => {
                        sample_batch_masked(logits, row, TokenMask::new(mask, mask.len())?)?
                    }
                };
                sampled.pop().context("a batch of one")??.token
            }
        })
    }
}

impl Rival for Ours<'_> {
    /// Another seed, and nothing seen but at first: what is drawn here is no text that goes on.
    fn prepare(&mut self) -> anyhow::Result<()> {
        if let Self::Rows { rows, turn, state, .. } = self {
            *turn = (*turn + 1) % rows.len();
            rows[*turn].restore(state.clone())?;
        }
        Ok(())
    }

    fn call(&mut self) -> anyhow::Result<()> {
        black_box(black_box(self).token()?);
        Ok(())
    }
}

/// candle's processor, which knows no concepts.
pub struct Candle {
    processor: LogitsProcessor,
    logits: Tensor,
}

impl Candle {
    /// None for a mode that candle does not have.
    pub fn new(mode: Mode, logits: &Tensor) -> Option<Self> {
        let processor = LogitsProcessor::from_sampling(SEED, mode.candle()?);
        Some(Self { processor, logits: logits.clone() })
    }

    pub fn token(&mut self) -> anyhow::Result<u32> {
        Ok(self.processor.sample(&self.logits)?)
    }
}

impl Rival for Candle {
    fn call(&mut self) -> anyhow::Result<()> {
        black_box(black_box(self).token()?);
        Ok(())
    }
}

/// The largest logit and `Σ exp`.
pub struct Floor {
    logits: Tensor,
}

impl Floor {
    /// None for an instruction set that has no floor.
    pub fn new(logits: &Tensor) -> anyhow::Result<Option<Self>> {
        let floor = Self { logits: logits.unsqueeze(0)? };
        Ok(floor.log_sum_exp().is_some().then_some(floor))
    }

    pub fn log_sum_exp(&self) -> Option<f64> {
        floor::log_sum_exp(&self.logits)?.first().copied()
    }
}

impl Rival for Floor {
    fn call(&mut self) -> anyhow::Result<()> {
        black_box(black_box(&*self).log_sum_exp());
        Ok(())
    }
}
