//! Causal attention with grouped queries, and the masks that it needs.

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{ops::softmax_last_dim, rotary_emb::rope};

use super::{
    cache::{KeysValues, Place},
    cpu::attention::{Attend, Runs},
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
    /// By window, which tokens are seen.
    pub sights: Vec<(Option<usize>, Sight)>,
}

/// Which tokens are seen.
pub enum Sight {
    /// By every query of every row, row by row: for the loops of [`cpu`](super::cpu).
    Runs(Vec<Runs>),
    /// What is added to scores `[N or 1, 1, T, S]`; nothing if all are seen.
    Mask(Option<Tensor>),
}

impl Shared {
    fn sight(&self, window: Option<usize>) -> Option<&Sight> {
        self.sights.iter().find(|(of, _)| *of == window).map(|(_, sight)| sight)
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
        // Where only some columns are turned, both parts are joined in another order.
        let queries = turned(&queries, rope)?.contiguous()?;
        let keys = turned(&keys, rope)?.to_dtype(x.dtype())?;
        let (keys, values) = read.append(&keys, &values)?;

        let mask = match shared.sight(self.kind.window) {
            Some(Sight::Runs(seen)) => {
                let (scale, cap) = (self.scale as f32, self.cap.map(|cap| cap as f32));
                let attend = Attend { seen, scale, cap };
                let mixed = queries.apply_op3_no_bwd(&keys, &values, &attend)?;
                return self.output.forward(&mixed);
            }
            Some(Sight::Mask(mask)) => mask.as_ref(),
            None => None,
        };
        let queries = (queries * self.scale)?.to_dtype(x.dtype())?;

        // The queries that share keys are more rows of one product; nothing is repeated.
        let group = self.heads / self.key_heads;
        let queries = queries.reshape((rows, self.key_heads, group * columns, self.head))?;
        let scores = queries.matmul(&keys.t()?)?.to_dtype(DType::F32)?;
        let mut scores = capped(scores, self.cap)?;
        if let Some(mask) = mask {
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

/// What each of the last `columns` of a row sees: itself and the tokens that it follows, within a
/// window if there is one; nothing, for padding.
pub fn seen(places: &[Option<Place>], columns: usize, window: Option<usize>) -> Vec<Runs> {
    let of = |column: usize| {
        let mut runs = Runs::new();
        let mut next = places[column].map(|_| column);
        let mut left = window.unwrap_or(usize::MAX);
        while let Some(column) = next.filter(|_| left > 0) {
            match runs.last_mut() {
                Some(run) if run.start == column + 1 => run.start = column,
                _ => runs.push(column..column + 1),
            }
            next = places[column].and_then(|place| place.after);
            left -= 1;
        }
        runs.reverse();
        runs
    };
    (places.len() - columns..places.len()).map(of).collect()
}

/// What is added to the scores of the last `columns` of `places` so that each attends to what it
/// [sees](seen) alone; nothing if all see all. Padding sees itself, so that it comes to a number.
pub fn mask(
    places: &[Vec<Option<Place>>],
    columns: usize,
    window: Option<usize>,
    device: &Device,
) -> Result<Option<Tensor>> {
    let all = places.first().map_or(0, Vec::len);
    // Rows that hold the same tokens of the same texts need one mask.
    let alike = places.iter().all(|row| *row == places[0]);
    let distinct = if alike { &places[..1] } else { places };
    let mut values = vec![f32::NEG_INFINITY; distinct.len() * columns * all];
    let queries = distinct.iter().flat_map(|row| seen(row, columns, window)).enumerate();
    let mut hidden = false;
    for ((i, mut runs), values) in queries.zip(values.chunks_exact_mut(all)) {
        if runs.is_empty() {
            let column = all - columns + i % columns;
            runs.push(column..column + 1);
        }
        hidden |= runs.len() > 1 || runs.iter().any(|run| run.len() < all);
        runs.into_iter().for_each(|run| values[run].fill(0.0));
    }
    if !hidden {
        return Ok(None);
    }
    Tensor::from_vec(values, (distinct.len(), 1, columns, all), device).map(Some)
}
