//! The tensors that a model has, by the names that Hugging Face gives them.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Result, bail, ensure};
use candle_core::Tensor;

/// The name of the matrix that turns tokens into vectors.
pub const EMBEDDING: &str = "model.embed_tokens.weight";

/// The name of the matrix that turns vectors into logits, where that is another.
pub const HEAD: &str = "lm_head.weight";

/// The sizes of a transformer.
pub struct Sizes {
    /// The tokens.
    pub vocab: usize,
    /// The width between blocks.
    pub hidden: usize,
    /// That within a block's MLP.
    pub inner: usize,
    /// The blocks.
    pub layers: usize,
    /// Those of queries.
    pub heads: usize,
    /// Those of keys and values.
    pub key_heads: usize,
    /// The width of one head.
    pub head: usize,
}

/// What is there besides, or is not.
pub struct Extras {
    /// Whether the embedding is the output layer, too.
    pub tied: bool,
    /// The projections of attention that have a bias.
    pub biases: &'static [&'static str],
    /// Whether the heads of queries and keys are normalised.
    pub head_norms: bool,
}

/// The tensors that a model is made of, and their shapes.
///
/// Every file is held against it before a tensor of it is read: candle's models panic for some
/// that are missing, and take no notice of those that they do not know, biases for instance.
pub struct Layout {
    model_type: String,
    shapes: BTreeMap<String, Vec<usize>>,
}

impl Layout {
    /// Lists the tensors of a model.
    pub fn new(model_type: &str, sizes: &Sizes, extras: &Extras) -> Self {
        let &Sizes { vocab, hidden, inner, layers, heads, key_heads, head } = sizes;
        let (queries, keys) = (heads * head, key_heads * head);
        let mut shapes = BTreeMap::new();
        let mut add = |name: String, shape: &[usize]| shapes.insert(name, shape.to_vec());
        add(EMBEDDING.to_owned(), &[vocab, hidden]);
        add("model.norm.weight".to_owned(), &[hidden]);
        if !extras.tied {
            add(HEAD.to_owned(), &[vocab, hidden]);
        }
        for layer in 0..layers {
            let block = format!("model.layers.{layer}");
            for (name, rows, columns) in [
                ("self_attn.q_proj", queries, hidden),
                ("self_attn.k_proj", keys, hidden),
                ("self_attn.v_proj", keys, hidden),
                ("self_attn.o_proj", hidden, queries),
                ("mlp.gate_proj", inner, hidden),
                ("mlp.up_proj", inner, hidden),
                ("mlp.down_proj", hidden, inner),
            ] {
                add(format!("{block}.{name}.weight"), &[rows, columns]);
                if extras.biases.contains(&name) {
                    add(format!("{block}.{name}.bias"), &[rows]);
                }
            }
            for name in ["input_layernorm", "post_attention_layernorm"] {
                add(format!("{block}.{name}.weight"), &[hidden]);
            }
            if extras.head_norms {
                for name in ["q_norm", "k_norm"] {
                    add(format!("{block}.self_attn.{name}.weight"), &[head]);
                }
            }
        }
        Self { model_type: model_type.to_owned(), shapes }
    }

    /// Whether the model reads the tensor `name`, which has the shape `dims`.
    ///
    /// # Errors
    ///
    /// If the shape is another, or the model would be another without that tensor.
    pub fn wants(&self, name: &str, dims: &[usize]) -> Result<bool> {
        match self.shapes.get(name) {
            Some(shape) if shape == dims => Ok(true),
            Some(shape) => bail!("the tensor {name} has the shape {dims:?}, not {shape:?}"),
            // A copy of the embedding that it is tied to; and what older versions of transformers
            // saved of the rotary embeddings.
            None if name == HEAD || name.ends_with(".rotary_emb.inv_freq") => Ok(false),
            None => bail!("no {} that candle knows has a tensor {name}", self.model_type),
        }
    }

    /// Fails if a tensor is missing.
    pub fn check(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        let missing = self.shapes.keys().find(|name| !tensors.contains_key(*name));
        ensure!(missing.is_none(), "there is no tensor {}", missing.map_or("", |name| name));
        Ok(())
    }
}
