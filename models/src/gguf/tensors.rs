//! The tensors of a GGUF file, as Hugging Face names and orders them.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
};

use anyhow::{Context, Result, ensure};
use candle_core::{
    DType, Device,
    quantized::{
        GgmlDType, QTensor,
        gguf_file::{Content, TensorInfo},
    },
};

use super::{
    Gguf,
    metadata::{ROPE, ROPE_LONG, ROPE_SHORT},
};
use crate::{
    computed_in,
    config::{Config, LARGEST, Norms},
    decoder::{Matrix, Quantised},
    layout::{EMBEDDING, HEAD, Layout, NORM, Weights},
};

/// How tensors are read.
struct How<'a> {
    quantised: bool,
    dtype: DType,
    device: &'a Device,
}

impl Gguf {
    /// Reads the tensors that the model has, one by one, and returns them with the dtype that the
    /// model computes in.
    ///
    /// They stay quantised unless `wanted` is given, or none is.
    pub fn tensors(
        &mut self,
        config: &Config,
        wanted: Option<DType>,
        device: &Device,
    ) -> Result<(Weights, DType)> {
        let mut names = Vec::new();
        for (part, content) in self.contents().enumerate() {
            for (name, info) in &content.tensor_infos {
                names.push((part, info.offset, name.clone(), is_quantised(info.ggml_dtype)));
            }
        }
        names.sort_unstable();
        let quantised = wanted.is_none() && names.iter().any(|(.., quantised)| *quantised);
        let dtype = if quantised { DType::F32 } else { computed_in(device, wanted)? };
        let how = How { quantised, dtype, device };

        let mut weights = Weights::new(Layout::new(config));
        for (.., name, _) in names {
            if [ROPE, ROPE_SHORT, ROPE_LONG].contains(&&name[..]) {
                continue; // the configuration has them
            }
            let known = hugging_face_name(&name, config);
            let known = known.with_context(|| format!("the tensor {name} is not known"))?;
            let info = self.info(&name).with_context(|| unread(&name))?;
            let stored_as = type_name(info.ggml_dtype);
            if weights.layout().wants(&known, info.shape.dims())? {
                let tensor = self.matrix(&name, &known, config, &how);
                weights.insert(known, tensor.with_context(|| unread(&name))?, stored_as)?;
            }
        }
        Ok((weights, dtype))
    }

    fn matrix(
        &mut self,
        name: &str,
        known: &str,
        config: &Config,
        how: &How<'_>,
    ) -> Result<Matrix> {
        let info = self.info(name).with_context(|| format!("there is no tensor {name}"))?;
        let order = their_order(config, known, info.shape.dims()[0]);
        // Half-precision matrices of a quantised file stay what they are, too, on a CPU.
        let (dtype, dims) = (info.ggml_dtype, info.shape.dims());
        let half = || {
            how.device.is_cpu() && matches!(*dims, [_, columns] if Quantised::fits(dtype, columns))
        };
        let matrix = if how.quantised && (is_quantised(dtype) || half()) {
            Matrix::Quantised(self.quantised(name, how.device)?)
        } else {
            // Norms are computed in f32. The CPU dequantises all types.
            let dtype = if known.ends_with("norm.weight") { DType::F32 } else { how.dtype };
            let tensor = self.tensor(name)?.dequantize(&Device::Cpu)?;
            Matrix::Dense(tensor.to_dtype(dtype)?.to_device(how.device)?)
        };
        Ok(match order {
            Some(order) => matrix.rows(&order)?,
            None => matrix,
        })
    }

    /// A matrix as it is. (candle would read it into memory twice.)
    fn quantised(&mut self, name: &str, device: &Device) -> Result<Quantised> {
        let (content, info, reader) = self.place(name)?;
        let (dtype, (rows, columns)) = (info.ggml_dtype, info.shape.dims2()?);
        let width = (columns / dtype.block_size()).checked_mul(dtype.type_size());
        let size = width.and_then(|width| width.checked_mul(rows)).context("it is too large")?;
        let start = content.tensor_data_offset.saturating_add(info.offset);
        let end = start.saturating_add(size as u64);
        let file = reader.get_ref().metadata()?.len();
        ensure!(end <= file, "it ends at byte {end}, and the file has {file}; fetch it again");
        let mut bytes = vec![0; size];
        reader.seek(SeekFrom::Start(start))?;
        reader.read_exact(&mut bytes)?;
        Ok(Quantised::new(dtype, (rows, columns), bytes, device)?)
    }

    /// The numbers of a small tensor.
    pub fn factors(&mut self, name: &str) -> Result<Vec<f32>> {
        let info = self.info(name).with_context(|| format!("there is no tensor {name}"))?;
        let dims = info.shape.dims();
        // Before it is read: candle multiplies the dimensions.
        ensure!(
            matches!(*dims, [factors] if factors <= LARGEST),
            "{name} has the shape {dims:?}; it must be a list of factors"
        );
        let mut read = || -> Result<Vec<f32>> {
            let tensor = self.tensor(name)?.dequantize(&Device::Cpu)?;
            Ok(tensor.flatten_all()?.to_vec1()?)
        };
        read().with_context(|| unread(name))
    }

    fn tensor(&mut self, name: &str) -> Result<QTensor> {
        let (content, info, reader) = self.place(name)?;
        Ok(info.read(reader, content.tensor_data_offset, &Device::Cpu)?)
    }

    /// Where a tensor is, and the file.
    fn place(&mut self, name: &str) -> Result<(&Content, &TensorInfo, &mut BufReader<File>)> {
        let first = [(&self.content, &mut self.reader)].into_iter();
        let more = self.more.iter_mut().map(|(content, reader)| (&*content, reader));
        let mut found = first.chain(more).filter_map(|(content, reader)| {
            Some((content, content.tensor_infos.get(name)?, reader))
        });
        found.next().with_context(|| format!("there is no tensor {name}"))
    }
}

/// Whether a matrix of this type takes less memory as it is.
fn is_quantised(dtype: GgmlDType) -> bool {
    !matches!(dtype, GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16)
}

/// What llama.cpp calls a type: candle has `Q4K` for `Q4_K`.
fn type_name(dtype: GgmlDType) -> String {
    format!("{dtype:?}").replace('K', "_K")
}

fn unread(name: &str) -> String {
    format!("cannot read the tensor {name}")
}

/// The name that Hugging Face gives a tensor of llama.cpp's.
fn hugging_face_name(name: &str, config: &Config) -> Option<String> {
    match name {
        "token_embd.weight" => return Some(EMBEDDING.to_owned()),
        "output_norm.weight" => return Some(NORM.to_owned()),
        "output.weight" => return Some(HEAD.to_owned()),
        _ => {}
    }
    let (layer, part) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = part.rsplit_once('.')?;
    let part = match part {
        "attn_norm" => "input_layernorm",
        "ffn_norm" if config.norms == Norms::Both => "pre_feedforward_layernorm",
        "ffn_norm" | "post_attention_norm" => "post_attention_layernorm",
        "post_ffw_norm" => "post_feedforward_layernorm",
        "attn_qkv" => "self_attn.qkv_proj",
        "attn_q" => "self_attn.q_proj",
        "attn_k" => "self_attn.k_proj",
        "attn_v" => "self_attn.v_proj",
        "attn_output" => "self_attn.o_proj",
        "attn_q_norm" => "self_attn.q_norm",
        "attn_k_norm" => "self_attn.k_norm",
        "ffn_gate" => "mlp.gate_proj",
        "ffn_up" if config.fused => "mlp.gate_up_proj",
        "ffn_up" => "mlp.up_proj",
        "ffn_down" => "mlp.down_proj",
        _ => return None,
    };
    Some(format!("model.layers.{layer}.{part}.{kind}"))
}

/// The order of rows that undoes what llama.cpp does to a Llama's queries and keys.
///
/// Rotary embeddings turn pairs of a head's rows. Hugging Face pairs row i with row i + head / 2,
/// llama.cpp's Llama row 2 i with row 2 i + 1, so it interleaves the halves of each head.
fn their_order(config: &Config, name: &str, rows: usize) -> Option<Vec<usize>> {
    let interleaved = ["llama", "mistral", "smollm3"].contains(&&config.model_type[..]);
    let heads = [".q_proj.", ".k_proj."].iter().any(|part| name.contains(part));
    if !interleaved || !heads {
        return None;
    }
    let head = config.head;
    let from = |row: usize| {
        let (first, place) = (row / head * head, row % head);
        first + place % (head / 2) * 2 + place / (head / 2)
    };
    Some((0..rows).map(from).collect())
}
