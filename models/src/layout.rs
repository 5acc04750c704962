//! The tensors that a model has, by the names that Hugging Face gives them.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail, ensure};
use candle_core::Tensor;

use crate::{
    config::{Config, HeadNorms},
    decoder::Matrix,
};

/// The name of the matrix that turns tokens into vectors.
pub const EMBEDDING: &str = "model.embed_tokens.weight";

/// The name of the matrix that turns vectors into logits, where that is another.
pub const HEAD: &str = "lm_head.weight";

/// The name of the last norm.
pub const NORM: &str = "model.norm.weight";

/// The tensors that a model is made of, and their shapes.
///
/// Every file is held against it before a tensor of it is read.
#[derive(Debug, Clone)]
pub struct Layout {
    model_type: String,
    shapes: BTreeMap<String, Vec<usize>>,
    /// The rows of what a matrix is split into, by the end of its name.
    splits: Vec<(&'static str, Vec<(&'static str, usize)>)>,
}

impl Layout {
    /// Lists the tensors of a model.
    pub fn new(config: &Config) -> Self {
        let &Config { vocab_size, hidden, inner, head, biases, .. } = config;
        let (queries, keys) = (config.heads * head, config.key_heads * head);
        let mut shapes = BTreeMap::new();
        let mut add = |name: String, shape: &[usize]| shapes.insert(name, shape.to_vec());
        add(EMBEDDING.to_owned(), &[vocab_size, hidden]);
        add(NORM.to_owned(), &[hidden]);
        if !config.tied {
            add(HEAD.to_owned(), &[vocab_size, hidden]);
        }
        let splits = vec![
            (
                "self_attn.qkv_proj.weight",
                vec![
                    ("self_attn.q_proj.weight", queries),
                    ("self_attn.k_proj.weight", keys),
                    ("self_attn.v_proj.weight", keys),
                ],
            ),
            (
                "mlp.gate_up_proj.weight",
                vec![("mlp.gate_proj.weight", inner), ("mlp.up_proj.weight", inner)],
            ),
        ];
        let whole = [
            ("self_attn.q_proj", queries, hidden, biases.inputs),
            ("self_attn.k_proj", keys, hidden, biases.inputs),
            ("self_attn.v_proj", keys, hidden, biases.inputs),
            ("self_attn.o_proj", hidden, queries, biases.output),
            ("mlp.gate_proj", inner, hidden, biases.mlp),
            ("mlp.up_proj", inner, hidden, biases.mlp),
            ("mlp.down_proj", hidden, inner, biases.mlp),
        ];
        let fused = [
            ("self_attn.qkv_proj", queries + 2 * keys, hidden, false),
            ("self_attn.o_proj", hidden, queries, false),
            ("mlp.gate_up_proj", 2 * inner, hidden, false),
            ("mlp.down_proj", hidden, inner, false),
        ];
        let projections: &[_] = if config.fused { &fused } else { &whole };
        let names = config.norms.names();
        let norms =
            [names.before_attention, names.after_attention, names.before_mlp, names.after_mlp];
        let head_norms = match config.head_norms {
            HeadNorms::None => None,
            HeadNorms::Each => Some((head, head)),
            HeadNorms::Together => Some((queries, keys)),
        };
        for layer in 0..config.blocks.len() {
            let block = format!("model.layers.{layer}");
            for &(name, rows, columns, biased) in projections {
                add(format!("{block}.{name}.weight"), &[rows, columns]);
                if biased {
                    add(format!("{block}.{name}.bias"), &[rows]);
                }
            }
            for name in norms.into_iter().flatten() {
                add(format!("{block}.{name}.weight"), &[hidden]);
            }
            if let Some((queries, keys)) = head_norms {
                add(format!("{block}.self_attn.q_norm.weight"), &[queries]);
                add(format!("{block}.self_attn.k_norm.weight"), &[keys]);
            }
        }
        Self { model_type: config.model_type.clone(), shapes, splits }
    }

    /// The numbers that all tensors have together.
    pub fn num_parameters(&self) -> u64 {
        self.shapes.values().map(|shape| product(shape)).sum()
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
            None => bail!(
                "a {} of these sizes has no tensor {name}; if all files are of one model, run it in \
                 an inference engine",
                self.model_type
            ),
        }
    }

    /// What the matrix `name` is split into: ends of names, and rows. Itself, mostly.
    fn parts<'a>(&'a self, name: &'a str) -> Option<(&'a str, &'a [(&'static str, usize)])> {
        self.splits.iter().find_map(|(end, parts)| Some((name.strip_suffix(end)?, &parts[..])))
    }
}

/// The numbers that a tensor of this shape has.
fn product(shape: &[usize]) -> u64 {
    shape.iter().map(|&width| width as u64).product()
}

/// The tensors of a model, as they come from its files and go to the decoder.
#[derive(Debug)]
pub struct Weights {
    layout: Layout,
    found: HashMap<String, Matrix>,
    stored_as: BTreeMap<String, u64>,
}

impl Weights {
    /// None yet.
    pub fn new(layout: Layout) -> Self {
        Self { layout, found: HashMap::new(), stored_as: BTreeMap::new() }
    }

    /// What is to be found.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The types that the files have the tensors in, and how many numbers of each.
    pub fn stored_as(&self) -> BTreeMap<String, u64> {
        self.stored_as.clone()
    }

    /// Whether products with any of them round what they multiply to 8 bits.
    pub fn rounds(&self) -> bool {
        self.found.values().any(Matrix::rounds)
    }

    /// Takes a tensor that the layout wants, and the name of the type that its file has it in.
    pub fn insert(&mut self, name: String, tensor: Matrix, stored_as: String) -> Result<()> {
        let numbers = self.layout.shapes.get(&name).map_or(0, |shape| product(shape));
        *self.stored_as.entry(stored_as).or_default() += numbers;
        let Some((block, parts)) = self.layout.parts(&name) else {
            self.found.insert(name, tensor);
            return Ok(());
        };
        let mut first = 0;
        for &(end, rows) in parts {
            let order: Vec<usize> = (first..first + rows).collect();
            self.found.insert(format!("{block}{end}"), tensor.rows(&order)?);
            first += rows;
        }
        Ok(())
    }

    /// Fails if a tensor is missing.
    pub fn check(&self) -> Result<()> {
        let found = |name: &str| match self.layout.parts(name) {
            Some((block, parts)) => {
                parts.iter().all(|(end, _)| self.found.contains_key(&format!("{block}{end}")))
            }
            None => self.found.contains_key(name),
        };
        let missing = self.layout.shapes.keys().find(|name| !found(name));
        ensure!(missing.is_none(), "there is no tensor {}", missing.map_or("", |name| name));
        Ok(())
    }

    /// Gives a matrix away.
    pub fn matrix(&mut self, name: &str) -> Result<Matrix> {
        self.found.remove(name).with_context(|| format!("there is no tensor {name}"))
    }

    /// Gives a vector away.
    pub fn vector(&mut self, name: &str) -> Result<Tensor> {
        Ok(self.matrix(name)?.dense()?)
    }
}
