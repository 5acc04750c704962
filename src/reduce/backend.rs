//! Where the operations are done: the one place that tells devices apart.
//!
//! A CUDA device has kernels, if the crate is built with the feature `cuda`. For any other device
//! the logits are copied to the host, as candle's own sampler does, and what is found goes back to
//! their device; on the CPU there is nothing to copy.

use std::sync::{Arc, OnceLock};

use candle_core::{Device, Tensor};

use super::logits::Logits;
use super::noise::{Noise, advance};
use super::{BadRow, Decision, NO_TOKEN, ReduceError, Row};
use super::{cpu, cuda};
use crate::{ConceptMap, TokenSets};

/// The CUDA device that `device` is, if there are kernels for it.
#[cfg(feature = "cuda")]
pub(crate) fn with_kernels(device: &Device) -> Option<&cuda::CudaDevice> {
    match device {
        Device::Cuda(device) => Some(device),
        _ => None,
    }
}

/// The CUDA device that `device` is, if there are kernels for it: there are none in this build.
#[cfg(not(feature = "cuda"))]
pub(crate) fn with_kernels(_: &Device) -> Option<&cuda::CudaDevice> {
    None
}

/// What a map's operations need beside the map and the logits.
#[derive(Clone)]
pub(super) enum MapBackend {
    Host(Arc<cpu::Tables>),
    /// On the device; and on the host, once they are asked for there.
    Cuda(Arc<cuda::MapTables>, Arc<OnceLock<cpu::Tables>>),
}

impl MapBackend {
    pub(super) fn new(map: &ConceptMap, device: &Device) -> Result<Self, ReduceError> {
        Ok(match with_kernels(device) {
            Some(device) => Self::Cuda(cuda::upload_map(map, device)?, Arc::default()),
            None => Self::Host(Arc::new(cpu::Tables::new(map))),
        })
    }

    pub(super) fn is_at(&self, device: &Device) -> bool {
        matches!(self, Self::Cuda(..)) || device.is_cpu()
    }

    /// Whether there are kernels for the map's device.
    pub(super) fn has_kernels(&self) -> bool {
        matches!(self, Self::Cuda(..))
    }

    /// What is needed to work on the host.
    pub(super) fn tables_on_host(&self, map: &ConceptMap) -> &cpu::Tables {
        match self {
            Self::Host(tables) => tables,
            Self::Cuda(_, tables) => tables.get_or_init(|| cpu::Tables::new(map)),
        }
    }

    pub(super) fn reduce(
        &self,
        map: &ConceptMap,
        logits: &Logits,
    ) -> Result<Found<Row>, ReduceError> {
        Ok(match self {
            Self::Host(tables) => {
                let rows = cpu::reduce(cpu::Maps::Shared(map, tables), &logits.on_host()?)?;
                Found::Host(rows, logits.device().clone())
            }
            Self::Cuda(tables, _) => Found::Cuda(cuda::reduce(tables, logits)?),
        })
    }

    pub(super) fn decide(
        &self,
        map: &ConceptMap,
        logits: &Logits,
    ) -> Result<Found<Decision>, ReduceError> {
        Ok(match self {
            Self::Host(tables) => {
                let decisions = cpu::decide(cpu::Maps::Shared(map, tables), &logits.on_host()?)?;
                Found::Host(decisions, logits.device().clone())
            }
            Self::Cuda(tables, _) => Found::Cuda(cuda::decide(tables, logits)?),
        })
    }

    pub(super) fn masses(&self, map: &ConceptMap, logits: &Logits) -> Result<Tensor, ReduceError> {
        match self {
            Self::Host(tables) => {
                let masses = cpu::masses(map, tables, &logits.on_host()?)?;
                logits.result(masses, map.num_concepts())
            }
            Self::Cuda(tables, _) => cuda::masses(tables, logits),
        }
    }

    pub(super) fn pool(&self, map: &ConceptMap, logits: &Logits) -> Result<Tensor, ReduceError> {
        match self {
            Self::Host(tables) => {
                let pooled = cpu::pool(map, tables, &logits.on_host()?)?;
                logits.result(pooled, map.vocab_size())
            }
            Self::Cuda(tables, _) => cuda::pool(tables, logits),
        }
    }

    /// Draws a token for every row, whose step in `noise` moves on if there is one.
    pub(super) fn sample(
        &self,
        map: &ConceptMap,
        logits: &Logits,
        temperature: f64,
        noise: &mut Noise,
    ) -> Result<Tensor, ReduceError> {
        match (self, &mut noise.state) {
            (Self::Host(tables), NoiseBackend::Host { seed, steps }) => {
                let at = (*seed, &steps[..]);
                let maps = cpu::Maps::Shared(map, tables);
                let tokens = cpu::draw(maps, &logits.on_host()?, temperature, at)?;
                let result = Tensor::new(&tokens[..], logits.device())?;
                advance(steps, &tokens);
                Ok(result)
            }
            (Self::Cuda(tables, _), NoiseBackend::Cuda(state)) => {
                cuda::sample(tables, logits, temperature, state)
            }
            _ => Err(noise.not_at(logits.device())),
        }
    }
}

/// What measuring sets needs beside the sets and the logits.
#[derive(Clone)]
pub(super) enum SetBackend {
    Host,
    Cuda(Arc<cuda::SetTables>),
}

impl SetBackend {
    pub(super) fn new(sets: &TokenSets, device: &Device) -> Result<Self, ReduceError> {
        Ok(match with_kernels(device) {
            Some(device) => Self::Cuda(cuda::upload_sets(sets, device)?),
            None => Self::Host,
        })
    }

    pub(super) fn is_at(&self, device: &Device) -> bool {
        matches!(self, Self::Cuda(_)) || device.is_cpu()
    }

    /// Masses and concentrations.
    pub(super) fn measure(
        &self,
        sets: &TokenSets,
        logits: &Logits,
    ) -> Result<(Tensor, Tensor), ReduceError> {
        match self {
            Self::Host => {
                let (masses, concentrations) = cpu::measure(sets, &logits.on_host()?)?;
                let width = sets.len();
                Ok((logits.result(masses, width)?, logits.result(concentrations, width)?))
            }
            Self::Cuda(tables) => cuda::measure(tables, logits),
        }
    }
}

/// A seed, and how many tokens each row has drawn.
pub(super) enum NoiseBackend {
    Host { seed: u64, steps: Vec<u64> },
    Cuda(cuda::NoiseState),
}

impl NoiseBackend {
    pub(super) fn new(seed: u64, steps: &[u64], device: &Device) -> Result<Self, ReduceError> {
        Ok(match with_kernels(device) {
            Some(device) => Self::Cuda(cuda::NoiseState::new(seed, steps, device)?),
            None => Self::Host { seed, steps: steps.to_vec() },
        })
    }
}

/// What was found in the rows of a batch, wherever that is.
#[derive(Debug, Clone)]
pub(super) enum Found<R> {
    /// The rows, and the device of the logits.
    Host(Vec<Result<R, BadRow>>, Device),
    Cuda(cuda::DeviceRows),
}

/// What is found in a row.
pub(super) trait Vote: Copy {
    /// The token to emit.
    fn representative(&self) -> u32;
}

impl Vote for Row {
    fn representative(&self) -> u32 {
        self.representative
    }
}

impl Vote for Decision {
    fn representative(&self) -> u32 {
        self.representative
    }
}

impl<R: Vote> Found<R> {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Host(rows, _) => rows.len(),
            Self::Cuda(rows) => rows.len(),
        }
    }

    /// The tokens to emit; [`NO_TOKEN`] for a bad row.
    pub(super) fn tokens(&self) -> Result<Tensor, ReduceError> {
        match self {
            Self::Host(rows, device) => {
                let token = |row: &Result<R, _>| row.map_or(NO_TOKEN, |row| row.representative());
                let tokens: Vec<u32> = rows.iter().map(token).collect();
                Ok(Tensor::from_vec(tokens, rows.len(), device)?)
            }
            Self::Cuda(rows) => rows.tokens(),
        }
    }
}

impl Found<Row> {
    pub(super) fn rows(&self) -> Result<Vec<Result<Row, BadRow>>, ReduceError> {
        match self {
            Self::Host(rows, _) => Ok(rows.clone()),
            Self::Cuda(rows) => rows.rows(),
        }
    }
}

impl Found<Decision> {
    pub(super) fn rows(&self) -> Result<Vec<Result<Decision, BadRow>>, ReduceError> {
        match self {
            Self::Host(rows, _) => Ok(rows.clone()),
            Self::Cuda(rows) => rows.decisions(),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::MetalDevice;

    use super::*;
    use crate::Noise;

    /// A device that candle has in no build of these tests, but that has a name.
    #[test]
    fn a_device_without_kernels_is_served_by_the_host() {
        let metal = Device::Metal(MetalDevice);
        let map = ConceptMap::singletons(3).unwrap().to_device(&metal).unwrap();
        assert!(!map.runs_on_device());
        let sets = TokenSets::builder(3).set("a", [1]).unwrap().build().unwrap();
        assert!(!sets.to_device(&metal).unwrap().runs_on_device());
        Noise::new(1, &metal).unwrap();
        let map = ConceptMap::singletons(3).unwrap().to_device(&Device::Cpu).unwrap();
        assert!(map.runs_on_device());
        assert!(sets.to_device(&Device::Cpu).unwrap().runs_on_device());
    }
}
