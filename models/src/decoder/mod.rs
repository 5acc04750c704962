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
//! | `cpu` | the loops that take the time, for the CPU |
//!
//! Nothing here asks for the name of an architecture: what differs is data, read in `config`.

mod attention;
mod block;
mod cache;
mod cpu;
mod formats;
mod linear;
mod quantised;
pub mod rope;

use candle_core::{DType, Device, Result, Tensor, bail};

use crate::{
    config::{BlockKind, Config, HeadNorms, Norms},
    layout::{self, Weights},
};
use attention::{Attention, Shared, Sight};
use block::{Block, Mlp};
pub use cache::Cache;
use cache::Place;
pub use linear::Matrix;
use linear::{Linear, Norm, capped, last, picked};
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
    follow: &'a [Vec<Option<usize>>],
    wanted: Wanted<'a>,
    states: &'a [usize],
}

/// The columns after which logits are returned.
#[derive(Debug, Clone, Copy)]
enum Wanted<'a> {
    Last,
    All,
    Some(&'a [usize]),
}

/// What a model says of what it read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Output {
    /// The logits of what follows: `[N, V]` after the last column, `[N, T, V]` after each, or
    /// `[N, P, V]` after some.
    pub logits: Tensor,
    /// The states that were asked for, each `[N, T, D]`, or `[N, P, D]` of some columns.
    pub states: Vec<Tensor>,
}

impl<'a> Pass<'a> {
    /// Reads `tokens`, `u32` `[N, T]`; returns the logits after the last column.
    pub fn new(tokens: &'a Tensor) -> Self {
        Self { tokens, padding: &[], follow: &[], wanted: Wanted::Last, states: &[] }
    }

    /// How many columns of each row, from the left, are no tokens: nothing attends to them, and
    /// they have no position. Whatever ids stand there must be of the vocabulary all the same, and
    /// each row needs one token or more. A row's length is that of `tokens` less its padding.
    pub fn padding(self, padding: &'a [usize]) -> Self {
        Self { padding, ..self }
    }

    /// Makes each row a tree of texts: the token in column t of row i follows the one in the column
    /// `follow[i][t]` of the [cache](crate::Cache), in which those of this pass come after those that
    /// were read before; or begins a text, for `None`. It sees itself and what it follows, directly
    /// or not; so what texts have in common is read once, with neither copies nor padding. No
    /// text may be longer than [`longest_branch`](crate::Model::longest_branch).
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use concept_mass_models::Pass;
    ///
    /// let folder = concept_mass_tiny::folder();
    /// let mut model = concept_mass_models::load(&folder, None, &Device::Cpu, None)?.model;
    /// model.forward(&Tensor::new(&[[5u32, 7]], &Device::Cpu)?, 0)?;
    /// // 5 7 9, 5 7 11 and 5 7 11 2.
    /// let tokens = Tensor::new(&[[9u32, 11, 2]], &Device::Cpu)?;
    /// let follow = [vec![Some(1), Some(1), Some(3)]];
    /// let output = model.read(&Pass::new(&tokens).follow(&follow).positions(&[0, 2]))?;
    /// assert_eq!(output.logits.dims()[..2], [1, 2]); // after 5 7 9, and after 5 7 11 2
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn follow(self, follow: &'a [Vec<Option<usize>>]) -> Self {
        Self { follow, ..self }
    }

    /// Returns the logits after every column.
    pub fn all_positions(self) -> Self {
        Self { wanted: Wanted::All, ..self }
    }

    /// Returns the logits after these columns of the pass, `[N, P, V]`; and the states there, which
    /// are `[N, P, D]` then.
    pub fn positions(self, columns: &'a [usize]) -> Self {
        Self { wanted: Wanted::Some(columns), ..self }
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
        if let Wanted::Some(wanted) = pass.wanted
            && (wanted.is_empty() || wanted.iter().any(|&column| column >= columns))
        {
            bail!("the columns {wanted:?} are asked for, of {columns}");
        }
        if let Some(block) = pass.states.iter().find(|&&block| block >= self.blocks.len()) {
            bail!("there is no block {block}; the model has {}", self.blocks.len());
        }
        let (len, longest) = (cache.len(), cache.longest.clone());
        cache.blocks.resize_with(self.blocks.len(), Default::default);
        cache.extend(rows, columns, pass.padding, pass.follow)?;
        // On a thread of rayon's, of which each of the many products within would else ask for one.
        let output = match self.device.is_cpu() {
            true => rayon::scope(|_| self.compute(pass, cache, &longest)),
            false => self.compute(pass, cache, &longest),
        };
        if output.is_err() {
            cache.truncate(len);
            cache.longest = longest;
        }
        output
    }

    /// What the last tokens of `cache` come to, of whose rows some had `earlier` tokens before.
    fn compute(&self, pass: &Pass<'_>, cache: &mut Cache, earlier: &[usize]) -> Result<Output> {
        let shared = self.shared(pass, cache, earlier)?;
        let mut x = self.embed(pass.tokens)?;
        let mut states = vec![None; pass.states.len()];
        for (i, (block, read)) in self.blocks.iter().zip(&mut cache.blocks).enumerate() {
            x = block.forward(&x, read, &shared)?;
            for (state, _) in states.iter_mut().zip(pass.states).filter(|(_, of)| **of == i) {
                *state = Some(match pass.wanted {
                    Wanted::Some(columns) => picked(&x, columns)?,
                    _ => x.clone(),
                });
            }
        }
        let x = match pass.wanted {
            Wanted::Last => last(&x)?,
            Wanted::All => x,
            Wanted::Some(columns) => picked(&x, columns)?,
        };
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

    /// The tables of the pass's columns, the last of `cache`, and what they see.
    fn shared(&self, pass: &Pass<'_>, cache: &Cache, earlier: &[usize]) -> Result<Shared> {
        let columns = pass.tokens.dim(1)?;
        let places = &cache.places;
        let first = cache.len() - columns;
        let mut positions = Vec::new();
        let mut lengths = Vec::new();
        for row in places {
            let position = |place: &Option<Place>| place.map_or(0, |place| place.position);
            positions.push(row[first..].iter().map(position).collect());
            lengths.push(cache::text_length(row));
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
        let longest = lengths.iter().copied().max().unwrap_or(0);
        if let Some(most) = self.longest_branch().filter(|&most| longest > most)
            && !pass.follow.is_empty()
        {
            bail!(
                "a text of a tree has {longest} tokens: beyond {most}, all positions are scaled by \
                 the length of the text; read it in a row of its own"
            );
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
        let mut sights = Vec::new();
        for attention in self.blocks.iter().map(|block| &block.attention) {
            let window = attention.kind.window;
            if sights.iter().any(|(of, _)| *of == window) {
                continue;
            }
            let is_ours = cpu::computes(self.dtype, &self.device);
            sights.push((
                window,
                if is_ours && cpu::attention::fits(attention.head) {
                    let seen = |row: &Vec<_>| attention::seen(row, columns, window);
                    Sight::Runs(places.iter().flat_map(seen).collect())
                } else {
                    Sight::Mask(attention::mask(places, columns, window, &self.device)?)
                },
            ));
        }
        Ok(Shared { ropes, sights })
    }

    /// The matrix `[V, D]` of embeddings, dense, not scaled.
    pub fn embedding(&self) -> Result<Tensor> {
        self.embedding.dense()
    }

    /// The most tokens that a text may have which shares its beginning with others; none if any
    /// may.
    pub fn longest_branch(&self) -> Option<usize> {
        self.ropes.iter().filter_map(Rope::even).min()
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
