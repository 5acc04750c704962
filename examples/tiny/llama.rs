//! A Llama that can be trained: the mathematics of `candle_transformers::models::llama`, but of
//! operations that have a gradient (candle's fused softmax, RMS norm and rotary embedding have none).

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
};

use anyhow::{Context, Result};
use candle_core::{D, DType, Device, Tensor, Var, safetensors};
use candle_nn::ops::{log_softmax, softmax};
use candle_transformers::models::llama::Config;
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::tree::Batch;

/// The spread of the initial weights.
const INIT_STD: f64 = 0.04;

pub struct Llama {
    config: Config,
    embedding: Var,
    layers: Vec<Layer>,
    norm: Var,
    /// Cosine and sine of every position's angles: `[max_position_embeddings, head_dim]`.
    cos: Tensor,
    sin: Tensor,
    /// The same variables by the names that Hugging Face gives them.
    vars: BTreeMap<String, Var>,
}

struct Layer {
    attention_norm: Var,
    query: Var,
    key: Var,
    value: Var,
    output: Var,
    mlp_norm: Var,
    gate: Var,
    up: Var,
    down: Var,
}

impl Llama {
    /// A model whose weights the seed alone decides. The embedding is also the output head.
    pub fn new(config: &Config, seed: u64, device: &Device) -> Result<Self> {
        let mut init = Init { rng: StdRng::seed_from_u64(seed), device, vars: BTreeMap::new() };
        let hidden = config.hidden_size;
        let embedding =
            init.uniform("model.embed_tokens", (config.vocab_size, hidden), INIT_STD)?;
        let layers = (0..config.num_hidden_layers)
            .map(|i| Layer::new(config, &format!("model.layers.{i}"), &mut init))
            .collect::<Result<_>>()?;
        let norm = init.ones("model.norm", hidden)?;
        let (cos, sin) = rotations(config, device)?;
        Ok(Self { config: config.clone(), embedding, layers, norm, cos, sin, vars: init.vars })
    }

    /// The variables, in the order of their names.
    pub fn vars(&self) -> Vec<Var> {
        self.vars.values().cloned().collect()
    }

    /// Saves the weights in half precision.
    pub fn save(&self, path: &Path) -> Result<()> {
        let halves = self
            .vars
            .iter()
            .map(|(name, var)| Ok((name.clone(), var.to_dtype(DType::F16)?)))
            .collect::<Result<HashMap<_, _>>>()?;
        safetensors::save(&halves, path).with_context(|| format!("saving {}", path.display()))
    }

    /// The log-probabilities of what comes after each node that is followed by something: `[R, V]`.
    pub fn forward(&self, batch: &Batch) -> Result<Tensor> {
        let (b, _, s, _) = batch.mask.dims4()?;
        let per_node = |table: &Tensor| -> Result<Tensor> {
            Ok(table.index_select(&batch.depths, 0)?.reshape((b, 1, s, ()))?)
        };
        let (cos, sin) = (per_node(&self.cos)?, per_node(&self.sin)?);

        let mut x = self.embedding.index_select(&batch.tokens, 0)?;
        for layer in &self.layers {
            let normed = self.rms_norm(&x, &layer.attention_norm)?;
            x = (x + self.attention(layer, &normed, &cos, &sin, &batch.mask)?)?;
            let normed = self.rms_norm(&x, &layer.mlp_norm)?;
            x = (x + layer.mlp(&normed)?)?;
        }
        let x = x.index_select(&batch.followed, 0)?;
        let logits = linear(&self.rms_norm(&x, &self.norm)?, &self.embedding)?;
        Ok(log_softmax(&logits, D::Minus1)?)
    }

    fn attention(
        &self,
        layer: &Layer,
        x: &Tensor,
        cos: &Tensor,
        sin: &Tensor,
        mask: &Tensor,
    ) -> Result<Tensor> {
        let (b, _, s, _) = mask.dims4()?;
        let heads = self.config.num_attention_heads;
        let head_dim = self.config.hidden_size / heads;
        let split = |x: Tensor| -> Result<Tensor> {
            let x = x.reshape((b, s, heads, head_dim))?;
            Ok(x.transpose(1, 2)?.contiguous()?)
        };
        let query = rotate(&split(linear(x, &layer.query)?)?, cos, sin)?;
        let key = rotate(&split(linear(x, &layer.key)?)?, cos, sin)?;
        let value = split(linear(x, &layer.value)?)?;

        let scores = (query.matmul(&key.t()?)? / (head_dim as f64).sqrt())?;
        let weights = softmax(&scores.broadcast_add(mask)?, D::Minus1)?;
        let mixed = weights.matmul(&value)?.transpose(1, 2)?;
        linear(&mixed.reshape((b * s, ()))?, &layer.output)
    }

    fn rms_norm(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let mean_square = x.sqr()?.mean_keepdim(D::Minus1)?;
        let rms = (mean_square + self.config.rms_norm_eps)?.sqrt()?;
        Ok(x.broadcast_div(&rms)?.broadcast_mul(weight)?)
    }
}

impl Layer {
    fn new(config: &Config, name: &str, init: &mut Init) -> Result<Self> {
        let (hidden, inner) = (config.hidden_size, config.intermediate_size);
        // What a layer adds to the residual stream starts small, so that the sum of all layers does not.
        let residual_std = INIT_STD / (2.0 * config.num_hidden_layers as f64).sqrt();
        let mut linear = |part: &str, outputs, inputs, std| {
            init.uniform(&format!("{name}.{part}"), (outputs, inputs), std)
        };
        let query = linear("self_attn.q_proj", hidden, hidden, INIT_STD)?;
        let key = linear("self_attn.k_proj", hidden, hidden, INIT_STD)?;
        let value = linear("self_attn.v_proj", hidden, hidden, INIT_STD)?;
        let output = linear("self_attn.o_proj", hidden, hidden, residual_std)?;
        let gate = linear("mlp.gate_proj", inner, hidden, INIT_STD)?;
        let up = linear("mlp.up_proj", inner, hidden, INIT_STD)?;
        let down = linear("mlp.down_proj", hidden, inner, residual_std)?;
        Ok(Self {
            attention_norm: init.ones(&format!("{name}.input_layernorm"), hidden)?,
            query,
            key,
            value,
            output,
            mlp_norm: init.ones(&format!("{name}.post_attention_layernorm"), hidden)?,
            gate,
            up,
            down,
        })
    }

    fn mlp(&self, x: &Tensor) -> Result<Tensor> {
        let gated = (linear(x, &self.gate)?.silu()? * linear(x, &self.up)?)?;
        linear(&gated, &self.down)
    }
}

/// Makes variables of seeded random numbers (candle's own generator on the CPU takes no seed).
struct Init<'a> {
    rng: StdRng,
    device: &'a Device,
    vars: BTreeMap<String, Var>,
}

impl Init<'_> {
    fn uniform(&mut self, name: &str, shape: (usize, usize), std: f64) -> Result<Var> {
        let bound = (3f64.sqrt() * std) as f32;
        let values = (0..shape.0 * shape.1).map(|_| self.rng.random_range(-bound..bound));
        let tensor = Tensor::from_iter(values, self.device)?.reshape(shape)?;
        self.register(name, &tensor)
    }

    fn ones(&mut self, name: &str, size: usize) -> Result<Var> {
        self.register(name, &Tensor::ones(size, DType::F32, self.device)?)
    }

    fn register(&mut self, name: &str, tensor: &Tensor) -> Result<Var> {
        let var = Var::from_tensor(tensor)?;
        self.vars.insert(format!("{name}.weight"), var.clone());
        Ok(var)
    }
}

fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    Ok(x.matmul(&weight.t()?)?)
}

/// The rotary tables, each angle once for either half of a head.
fn rotations(config: &Config, device: &Device) -> Result<(Tensor, Tensor)> {
    let head = config.hidden_size / config.num_attention_heads;
    let frequency = |i| config.rope_theta.powf(i as f32 / head as f32).recip();
    let frequencies: Vec<_> = (0..head).step_by(2).map(frequency).collect();
    let angles = (0..config.max_position_embeddings)
        .flat_map(|position| frequencies.iter().map(move |f| position as f32 * f));
    let angles =
        Tensor::from_iter(angles, device)?.reshape((config.max_position_embeddings, ()))?;
    let angles = Tensor::cat(&[&angles, &angles], 1)?;
    Ok((angles.cos()?, angles.sin()?))
}

/// Rotates the halves of every head against each other (`rope`, not the interleaved `rope_i`).
fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let half = x.dim(D::Minus1)? / 2;
    let left = x.narrow(D::Minus1, 0, half)?;
    let right = x.narrow(D::Minus1, half, half)?;
    let turned = Tensor::cat(&[&right.neg()?, &left], D::Minus1)?;
    Ok((x.broadcast_mul(cos)? + turned.broadcast_mul(sin)?)?)
}
