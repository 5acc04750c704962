//! The same bits whatever the order in which blocks and warps come: under other seeds of the
//! emulator's scheduler, and from run to run.

use std::collections::BTreeSet;
use std::env;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use concept_mass::Noise;

use crate::common::{Pooling, model_like_logits};
use crate::operations::{Map, OURS, Output};

/// The argument that asks for [`digest`] alone.
pub const DIGEST: &str = "digest";

pub const SEEDS: u32 = 20;

/// Rows of such a size begin at any place within sixteen bytes.
const VOCAB_SIZE: usize = 20_001;

/// Runs this program under each seed, and again under the first: how many different digests.
pub fn distinct_digests() -> Result<usize> {
    let mut digests = BTreeSet::new();
    for seed in (1..=SEEDS).chain([1]) {
        let mut again = Command::new(env::current_exe()?);
        let ran = again.arg(DIGEST).env("CUDA_EMU_SEED", seed.to_string()).output()?;
        ensure!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
        digests.insert(ran.stdout);
    }
    Ok(digests.len())
}

/// Of all bits that all operations give, for every dtype and both kinds of maps: a peaked row, one
/// of equal logits and one of noise.
pub fn digest() -> Result<u64> {
    let device = Device::new_cuda(0)?;
    let peaked = model_like_logits(1, VOCAB_SIZE, DType::F32)?;
    let logits = Tensor::cat(&[&peaked, &(&peaked * 0.0)?, &(&peaked * 0.01)?], 0)?;
    let mut hasher = DefaultHasher::new();
    for pooling in [Pooling::Sparse, Pooling::Dense] {
        let map = Map::new(pooling.map(VOCAB_SIZE), &device)?;
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let logits = logits.to_dtype(dtype)?.to_device(&device)?;
            let mut noise = Noise::new(1, &device)?;
            for operation in OURS {
                match map.run(operation, &logits, &mut noise)? {
                    // Numbers are printed with as many digits as tell them apart.
                    Output::Decisions(rows) => format!("{:?}", rows.rows()?).hash(&mut hasher),
                    Output::Rows(rows) => format!("{:?}", rows.rows()?).hash(&mut hasher),
                    Output::Tensors(tensors) => {
                        for tensor in tensors {
                            bits(&tensor)?.hash(&mut hasher);
                        }
                    }
                }
            }
        }
    }
    Ok(hasher.finish())
}

fn bits(tensor: &Tensor) -> Result<Vec<u32>> {
    let flat = tensor.flatten_all()?;
    Ok(match tensor.dtype() {
        DType::U32 => flat.to_vec1()?,
        _ => flat.to_vec1::<f32>()?.into_iter().map(f32::to_bits).collect(),
    })
}
