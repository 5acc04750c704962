//! Causal attention with grouped queries, and the masks that it needs.

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{ops::softmax_last_dim, rotary_emb::rope};

use super::{
    cache::KeysValues,
    linear::{Linear, Norm, capped},
};
use crate::config::BlockKind;

/// The attention of one block.
#[derive(Debug)]
pub struct Attention {
    pub queries: Linear,
    pub keys: Linear,
    pub values: Linear,
    pub output: Linear,
    /// Of queries and keys.
    pub norms: Option<(Norm, Norm)>,
    /// Whether these are of all heads together.
    pub together: bool,
    pub heads: usize,
    pub key_heads: usize,
    pub head: usize,
    pub scale: f64,
    pub cap: Option<f64>,
    pub kind: BlockKind,
}

/// What all blocks share in one pass.
pub struct Shared {
    /// The cosines and sines of each of the model's rotary embeddings.
    pub ropes: Vec<(Tensor, Tensor)>,
    /// By window, what is added to scores `[N or 1, 1, T, S]`; nothing if all is attended to.
    pub masks: Vec<(Option<usize>, Option<Tensor>)>,
}

impl Shared {
    fn mask(&self, window: Option<usize>) -> Option<&Tensor> {
        self.masks.iter().find(|(of, _)| *of == window)?.1.as_ref()
    }
}

impl Attention {
    /// What `x` `[N, T, D]` attends to, with what was read before.
    pub fn forward(&self, x: &Tensor, read: &mut KeysValues, shared: &Shared) -> Result<Tensor> {
        let (rows, columns, _) = x.dims3()?;
        let (queries, keys) = (self.queries.forward(x)?, self.keys.forward(x)?);
        let norms = self.norms.as_ref();
        let queries = self.by_heads(&queries, self.heads, norms.map(|(norm, _)| norm))?;
        let keys = self.by_heads(&keys, self.key_heads, norms.map(|(_, norm)| norm))?;
        let values = self.by_heads(&self.values.forward(x)?, self.key_heads, None)?;

        let rope = self.kind.rope.and_then(|place| shared.ropes.get(place));
        let queries = (turned(&queries, rope)? * self.scale)?.to_dtype(x.dtype())?;
        let keys = turned(&keys, rope)?.to_dtype(x.dtype())?;
        let (keys, values) = read.append(&keys, &values)?;

        // The queries that share keys are more rows of one product; nothing is repeated.
        let group = self.heads / self.key_heads;
        let queries = queries.reshape((rows, self.key_heads, group * columns, self.head))?;
        let scores = queries.matmul(&keys.t()?)?.to_dtype(DType::F32)?;
        let mut scores = capped(scores, self.cap)?;
        if let Some(mask) = shared.mask(self.kind.window) {
            let all = scores.dim(D::Minus1)?;
            scores = scores.reshape((rows, self.heads, columns, all))?.broadcast_add(mask)?;
            scores = scores.reshape((rows, self.key_heads, group * columns, all))?;
        }
        let weights = softmax_last_dim(&scores)?.to_dtype(x.dtype())?;
        let mixed = weights.matmul(&values)?.reshape((rows, self.heads, columns, self.head))?;
        let mixed = mixed.transpose(1, 2)?.reshape((rows, columns, self.heads * self.head))?;
        self.output.forward(&mixed)
    }

    /// `[N, T, heads · D]` as `[N, heads, T, D]`, contiguous.
    fn by_heads(&self, x: &Tensor, heads: usize, norm: Option<&Norm>) -> Result<Tensor> {
        let (rows, columns, _) = x.dims3()?;
        let split = |x: &Tensor| x.reshape((rows, columns, heads, self.head));
        let x = match norm {
            Some(norm) if self.together => split(&norm.forward(x)?)?,
            Some(norm) => norm.forward(&split(x)?)?,
            None => split(x)?,
        };
        x.transpose(1, 2)?.contiguous()
    }
}

/// `x` `[N, heads, T, D]` in `f32`, its first columns turned.
fn turned(x: &Tensor, rope_tables: Option<&(Tensor, Tensor)>) -> Result<Tensor> {
    let x = x.to_dtype(DType::F32)?;
    let Some((cosines, sines)) = rope_tables else { return Ok(x) };
    let (head, width) = (x.dim(D::Minus1)?, 2 * cosines.dim(D::Minus1)?);
    if width == head {
        return rope(&x, cosines, sines);
    }
    let first = rope(&x.narrow(D::Minus1, 0, width)?.contiguous()?, cosines, sines)?;
    Tensor::cat(&[first, x.narrow(D::Minus1, width, head - width)?], D::Minus1)
}

/// What is added to the scores of the last `columns` of `places` so that each attends to itself
/// and to earlier tokens of its row, within a window if there is one, and never to padding.
pub fn mask(
    places: &[Vec<Option<u32>>],
    columns: usize,
    window: Option<usize>,
    device: &Device,
) -> Result<Option<Tensor>> {
    let all = places.first().map_or(0, Vec::len);
    let padded = places.iter().flatten().any(Option::is_none);
    if !padded && columns == 1 && window.is_none_or(|window| all <= window) {
        return Ok(None);
    }
    // Rows without padding stand at the same positions.
    let distinct = if padded { places } else { &places[..1] };
    let mut values = Vec::with_capacity(distinct.len() * columns * all);
    for row in distinct {
        for query in all - columns..all {
            values.extend((0..all).map(|key| {
                let seen = match (row[query], row[key]) {
                    _ if key >= query => key == query,
                    (Some(at), Some(of)) => {
                        window.is_none_or(|window| ((at - of) as usize) < window)
                    }
                    _ => false,
                };
                if seen { 0.0 } else { f32::NEG_INFINITY }
            }));
        }
    }
    Tensor::from_vec(values, (distinct.len(), 1, columns, all), device).map(Some)
}
