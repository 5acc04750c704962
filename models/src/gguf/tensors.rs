//! The tensors of a GGUF file, dequantised, as Hugging Face names and orders them.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};

use super::Gguf;
use crate::{
    config::{Architecture, Config},
    layout::{EMBEDDING, HEAD},
};

/// The factors of Llama 3's rotary embeddings, which candle computes from the configuration.
const ROPE: &str = "rope_freqs.weight";

impl Gguf {
    /// Reads the tensors that the model has, one by one, as `dtype`: no other is in memory twice.
    pub fn tensors(
        &mut self,
        config: &Config,
        dtype: DType,
        device: &Device,
    ) -> Result<HashMap<String, Tensor>> {
        let infos = self.content.tensor_infos.iter();
        let mut infos: Vec<_> =
            infos.map(|(name, info)| (info.offset, name.clone(), info.shape.clone())).collect();
        infos.sort_unstable_by_key(|(offset, ..)| *offset);
        let rope = matches!(config.architecture, Architecture::Llama(_)).then_some(ROPE);
        let mut tensors = HashMap::new();
        for (_, name, shape) in infos.into_iter().filter(|(_, name, _)| Some(&name[..]) != rope) {
            let known = hugging_face_name(&name);
            let known = known.with_context(|| format!("the tensor {name} is not known"))?;
            if config.layout.wants(&known, shape.dims())? {
                let tensor = self.tensor(&name)?.to_dtype(dtype)?;
                let tensor = in_order(&config.architecture, &known, tensor);
                let tensor = tensor.and_then(|tensor| tensor.to_device(device));
                tensors.insert(known, tensor.with_context(|| unread(&name))?);
            }
        }
        config.layout.check(&tensors)?;
        Ok(tensors)
    }

    /// What `rope_freqs.weight` holds, where a Llama has it: a factor for each pair of the columns of
    /// a `head`.
    pub fn rope_factors(&mut self, architecture: &str, head: u64) -> Result<Option<Vec<f32>>> {
        let Some(info) = self.content.tensor_infos.get(ROPE).filter(|_| architecture == "llama")
        else {
            return Ok(None);
        };
        // Before it is read: candle multiplies the dimensions.
        let dims = info.shape.dims();
        ensure!(
            matches!(*dims, [factors] if factors as u64 == head / 2),
            "{ROPE} has the shape {dims:?}, but half a head has {} columns",
            head / 2
        );
        Ok(Some(self.tensor(ROPE)?.to_vec1()?))
    }

    /// A tensor as `f32`. Dequantised on the CPU, which knows how for all types.
    fn tensor(&mut self, name: &str) -> Result<Tensor> {
        let Self { reader, content } = self;
        let tensor = content.tensor(reader, name, &Device::Cpu);
        tensor.and_then(|tensor| tensor.dequantize(&Device::Cpu)).with_context(|| unread(name))
    }
}

fn unread(name: &str) -> String {
    format!("cannot read the tensor {name}")
}

/// The name that Hugging Face gives a tensor of llama.cpp's.
fn hugging_face_name(name: &str) -> Option<String> {
    match name {
        "token_embd.weight" => return Some(EMBEDDING.to_owned()),
        "output_norm.weight" => return Some("model.norm.weight".to_owned()),
        "output.weight" => return Some(HEAD.to_owned()),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = part.rsplit_once('.')?;
    let part = match part {
        "attn_norm" => "input_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{part}.{kind}"))
}

/// Undoes what llama.cpp does to a Llama's queries and keys.
///
/// Rotary embeddings turn pairs of a head's rows. Hugging Face pairs row i with row i + head / 2,
/// llama.cpp's Llama row 2 i with row 2 i + 1, so it interleaves the halves of each head.
fn in_order(
    architecture: &Architecture,
    name: &str,
    tensor: Tensor,
) -> candle_core::Result<Tensor> {
    let Architecture::Llama(config) = architecture else { return Ok(tensor) };
    let heads = if name.ends_with(".q_proj.weight") {
        config.num_attention_heads
    } else if name.ends_with(".k_proj.weight") {
        config.num_key_value_heads
    } else {
        return Ok(tensor);
    };
    let (rows, columns) = tensor.dims2()?;
    let paired = tensor.reshape((heads, rows / heads / 2, 2, columns))?;
    paired.transpose(1, 2)?.contiguous()?.reshape((rows, columns))
}
