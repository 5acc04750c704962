//! The decoder: one transformer for all architectures, driven by a [`Config`].
//!
//! | file | what it has |
//! | --- | --- |
//! | `linear` | matrices, dense or quantised; norms |
//! | `quantised` | matrices as GGUF files have them, and products with them |
//! | `formats` | the types of numbers in these |
//! | `rope` | rotary position embeddings, and what scales them |
//! | `attention` | attention, and the masks of it |
//! | `block` | attention and MLP, with norms before or after |
//! | `cache` | what was read |
//!
//! Nothing here asks for the name of an architecture: what differs is data, read in `config`.

mod attention;
mod block;
mod cache;
mod formats;
mod linear;
mod quantised;
pub mod rope;

use candle_core::{DType, Device, Result, Tensor, bail};

use crate::{
    config::{BlockKind, Config, HeadNorms, Norms},
    layout::{self, Weights},
};
use attention::{Attention, Shared};
use block::{Block, Mlp};
pub use cache::Cache;
pub use linear::Matrix;
use linear::{Linear, Norm, capped, last};
pub use quantised::Quantised;
use rope::Rope;

/// The weights of a model, and how they are used.
pub struct Decoder {
    model_type: String,
    embedding: Matrix,
    embedding_scale: Option<f64>,
    blocks: Vec<Block>,
    norm: Norm,
    head: Linear,
    logit_cap: Option<f64>,
    ropes: Vec<Rope>,
    positions: usize,
    dtype: DType,
    device: Device,
}

/// What is read, and what is to be returned of it: see [`Model::read`](crate::Model::read).
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass_models::Pass;
///
/// let folder = concept_mass_tiny::folder();
/// let mut model = concept_mass_models::load(&folder, None, &Device::Cpu, None)?.model;
/// // Two prompts of unequal length, the second with one column of padding on its left.
/// let tokens = Tensor::new(&[[5u32, 7, 9], [0, 7, 9]], &Device::Cpu)?;
/// let output = model.read(&Pass::new(&tokens).padding(&[0, 1]).all_positions().states(&[0]))?;
/// assert_eq!(output.logits.dims()[..2], [2, 3]); // [N, T, V]
/// assert_eq!(output.states[0].dims()[..2], [2, 3]); // [N, T, D]
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct Pass<'a> {
    tokens: &'a Tensor,
    padding: &'a [usize],
    all: bool,
    states: &'a [usize],
}

/// What a model says of what it read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Output {
    /// The logits of what follows: `[N, V]` after the last column, or `[N, T, V]` after each.
    pub logits: Tensor,
    /// The states that were asked for, each `[N, T, D]`.
    pub states: Vec<Tensor>,
}

impl<'a> Pass<'a> {
    /// Reads `tokens`, `u32` `[N, T]`; returns the logits after the last column.
    pub fn new(tokens: &'a Tensor) -> Self {
        Self { tokens, padding: &[], all: false, states: &[] }
    }

    /// How many columns of each row, from the left, are no tokens: nothing attends to them, and
    /// they have no position. Whatever ids stand there must be of the vocabulary all the same, and
    /// each row needs one token or more. A row's length is that of `tokens` less its padding.
    pub fn padding(self, padding: &'a [usize]) -> Self {
        Self { padding, ..self }
    }

    /// Returns the logits after every column.
    pub fn all_positions(self) -> Self {
        Self { all: true, ..self }
    }

    /// Returns the states after these blocks, counted from 0: what is added up from block to
    /// block, before the last norm.
    pub fn states(self, blocks: &'a [usize]) -> Self {
        Self { states: blocks, ..self }
    }
}

impl Decoder {
    /// Takes the weights of a model, all of which are there, on `device`.
    pub fn new(
        config: &Config,
        weights: &mut Weights,
        dtype: DType,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let embedding = weights.matrix(layout::EMBEDDING)?;
        let head = if config.tied { embedding.clone() } else { weights.matrix(layout::HEAD)? };
        let norm = norm(config, weights, layout::NORM)?;
        let blocks = config.blocks.iter().enumerate();
        let blocks = blocks.map(|(i, &kind)| block(config, weights, i, kind));
        Ok(Self {
            model_type: config.model_type.clone(),
            embedding,
            embedding_scale: config.embedding_scale,
            blocks: blocks.collect::<anyhow::Result<_>>()?,
            norm,
            head: Linear { weight: head, bias: None },
            logit_cap: config.logit_cap,
            ropes: config.ropes.clone(),
            positions: config.positions,
            dtype,
            device: device.clone(),
        })
    }

    /// Reads more tokens of each row. After an error, the cache is as it was.
    pub fn forward(&self, pass: &Pass<'_>, cache: &mut Cache) -> Result<Output> {
        let (rows, columns) = pass.tokens.dims2()?;
        if rows == 0 || columns == 0 {
            bail!("there are no tokens: the shape is {:?}", pass.tokens.shape());
        }
        if let Some(block) = pass.states.iter().find(|&&block| block >= self.blocks.len()) {
            bail!("there is no block {block}; the model has {}", self.blocks.len());
        }
        let (len, longest) = (cache.len(), cache.longest.clone());
        cache.blocks.resize_with(self.blocks.len(), Default::default);
        cache.extend(rows, columns, pass.padding)?;
        // On a thread of rayon's, of which each of the many products within would else ask for one.
        let output = rayon::scope(|_| self.compute(pass, cache, &longest));
        if output.is_err() {
            cache.truncate(len);
            cache.longest = longest;
        }
        output
    }

    /// What the last tokens of `cache` come to, of whose rows some had `earlier` tokens before.
    fn compute(&self, pass: &Pass<'_>, cache: &mut Cache, earlier: &[usize]) -> Result<Output> {
        let shared = self.shared(cache, pass.tokens.dim(1)?, earlier)?;
        let mut x = self.embed(pass.tokens)?;
        let mut states = vec![None; pass.states.len()];
        for (i, (block, read)) in self.blocks.iter().zip(&mut cache.blocks).enumerate() {
            x = block.forward(&x, read, &shared)?;
            for (state, _) in states.iter_mut().zip(pass.states).filter(|(_, of)| **of == i) {
                *state = Some(x.clone());
            }
        }
        let x = if pass.all { x } else { last(&x)? };
        let logits = capped(self.head.forward(&self.norm.forward(&x)?)?, self.logit_cap)?;
        Ok(Output { logits, states: states.into_iter().flatten().collect() })
    }

    /// The embeddings of tokens `[N, T]`, `[N, T, D]`, scaled as the first block wants them.
    fn embed(&self, tokens: &Tensor) -> Result<Tensor> {
        let x = self.embedding.embed(tokens)?.to_dtype(self.dtype)?;
        match self.embedding_scale {
            // Rounded as the model was trained: in bf16, the root of 3072 is 55.5.
            Some(scale) => {
                x.broadcast_mul(&Tensor::new(scale as f32, &self.device)?.to_dtype(self.dtype)?)
            }
            None => Ok(x),
        }
    }

    /// The tables and masks of the last `columns` of `cache`.
    fn shared(&self, cache: &Cache, columns: usize, earlier: &[usize]) -> Result<Shared> {
        let places = &cache.places;
        let first = cache.len() - columns;
        let mut positions = Vec::new();
        let mut lengths = Vec::new();
        for row in places {
            positions.push(row[first..].iter().map(|place| place.unwrap_or(0)).collect());
            lengths.push(row.iter().flatten().last().map_or(0, |&last| last as usize + 1));
        }
        if let Some(&length) = lengths.iter().find(|&&length| length > self.positions) {
            bail!("the text has {length} tokens, but the model reads at most {}", self.positions);
        }
        for (row, (&earlier, &now)) in earlier.iter().zip(&lengths).enumerate() {
            if earlier > 0 && !self.ropes.iter().all(|rope| rope.goes_on(earlier, now)) {
                bail!(
                    "row {row} has had {earlier} tokens, and now has {now}: between the two, all \
                     positions are scaled anew; reset the model, and read the text from its \
                     beginning"
                );
            }
        }
        let same = positions.iter().all(|row| *row == positions[0])
            && lengths.iter().all(|length| *length == lengths[0]);
        if same {
            positions.truncate(1);
        }
        let ropes = self.ropes.iter().map(|rope| {
            let (cosines, sines) = rope.tables(&positions, &lengths, &self.device)?;
            // Tables without a dimension of rows are for all rows.
            if same { Ok((cosines.squeeze(0)?, sines.squeeze(0)?)) } else { Ok((cosines, sines)) }
        });
        let ropes = ropes.collect::<Result<_>>()?;
        let mut masks = Vec::new();
        for window in self.blocks.iter().map(|block| block.attention.kind.window) {
            if masks.iter().all(|(of, _)| *of != window) {
                masks.push((window, attention::mask(places, columns, window, &self.device)?));
            }
        }
        Ok(Shared { ropes, masks })
    }

    /// The matrix `[V, D]` of embeddings, dense, not scaled.
    pub fn embedding(&self) -> Result<Tensor> {
        self.embedding.dense()
    }

    /// The name of the architecture.
    pub fn model_type(&self) -> &str {
        &self.model_type
    }

    /// The number of blocks.
    pub fn num_blocks(&self) -> usize {
        self.blocks.len()
    }

    /// The dtype of activations and logits.
    pub fn dtype(&self) -> DType {
        self.dtype
    }
}

/// Block `i`, of the names that Hugging Face gives its tensors.
fn block(
    config: &Config,
    weights: &mut Weights,
    i: usize,
    kind: BlockKind,
) -> anyhow::Result<Block> {
    let name = |part: &str| format!("model.layers.{i}.{part}");
    let mut linear = |part: &str, biased: bool| -> anyhow::Result<Linear> {
        let weight = weights.matrix(&name(&format!("{part}.weight")))?;
        let bias = biased.then(|| weights.vector(&name(&format!("{part}.bias"))));
        Ok(Linear { weight, bias: bias.transpose()? })
    };
    let biases = config.biases;
    let queries = linear("self_attn.q_proj", biases.inputs)?;
    let keys = linear("self_attn.k_proj", biases.inputs)?;
    let values = linear("self_attn.v_proj", biases.inputs)?;
    let output = linear("self_attn.o_proj", biases.output)?;
    let mlp = Mlp {
        gate: linear("mlp.gate_proj", biases.mlp)?,
        up: linear("mlp.up_proj", biases.mlp)?,
        down: linear("mlp.down_proj", biases.mlp)?,
        activation: config.activation,
    };
    let mut norm = |part: Option<&str>| {
        part.map(|part| norm(config, weights, &name(&format!("{part}.weight")))).transpose()
    };
    let norms = match config.head_norms {
        HeadNorms::None => None,
        _ => norm(Some("self_attn.q_norm"))?.zip(norm(Some("self_attn.k_norm"))?),
    };
    let names = config.norms.names();
    let attention = Attention {
        queries,
        keys,
        values,
        output,
        norms,
        together: config.head_norms == HeadNorms::Together,
        heads: config.heads,
        key_heads: config.key_heads,
        head: config.head,
        scale: config.query_scale,
        cap: config.attention_cap,
        kind,
    };
    Ok(Block {
        before_attention: norm(names.before_attention)?,
        attention,
        after_attention: norm(names.after_attention)?,
        before_mlp: norm(names.before_mlp)?,
        mlp,
        after_mlp: norm(names.after_mlp)?,
    })
}

fn norm(config: &Config, weights: &mut Weights, name: &str) -> anyhow::Result<Norm> {
    let weight = (weights.vector(name)? + config.norm_offset)?;
    Ok(Norm { weight, epsilon: config.epsilon })
}

/// The names of a block's norms; those that it has.
pub struct NormNames {
    pub before_attention: Option<&'static str>,
    pub after_attention: Option<&'static str>,
    pub before_mlp: Option<&'static str>,
    pub after_mlp: Option<&'static str>,
}

impl Norms {
    /// "post_attention" is after attention, or else before the MLP: it depends on who asks.
    pub fn names(self) -> NormNames {
        let (input, post_attention) = (Some("input_layernorm"), Some("post_attention_layernorm"));
        let post_mlp = Some("post_feedforward_layernorm");
        match self {
            Self::Before => NormNames {
                before_attention: input,
                after_attention: None,
                before_mlp: post_attention,
                after_mlp: None,
            },
            Self::After => NormNames {
                before_attention: None,
                after_attention: post_attention,
                before_mlp: None,
                after_mlp: post_mlp,
            },
            Self::Both => NormNames {
                before_attention: input,
                after_attention: post_attention,
                before_mlp: Some("pre_feedforward_layernorm"),
                after_mlp: post_mlp,
            },
        }
    }
}
