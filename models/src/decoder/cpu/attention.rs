//! Attention of each token to those that it follows.
//!
//! What a token sees is given as runs of columns of the cache, and nothing else is looked at: there
//! is no mask, and a cache that holds many texts, as branches of one tree, costs each token no more
//! than its own text. For one token and the heads that share keys: the dot products of these heads
//! with all keys it sees, their exponentials relative to the largest, and the sum of the values
//! weighted by these. The columns come in the order of the text, so a token's result depends on the
//! tokens before it, and not on where in the cache they are.

use std::ops::Range;

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, bail};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{LANES, exp, product::multiply, slice};

/// The columns that a token sees, in the order of its text.
pub type Runs = Vec<Range<usize>>;

/// Vectors of a head's values that are added up side by side.
const VECTORS: usize = 4;

/// What queries `[N, heads, T, D]` attend to, `[N, T, heads · D]`, by keys and values
/// `[N, key heads, S, D]`, all of `f32`; nothing, which is 0, where a query sees nothing.
pub struct Attend<'a> {
    /// Of every query of every row, row by row.
    pub seen: &'a [Runs],
    /// What the dot products of queries and keys are multiplied by.
    pub scale: f32,
    /// Scores `s` become `cap · tanh(s / cap)`.
    pub cap: Option<f32>,
}

/// Whether [`Attend`] takes heads of this width.
pub fn fits(head: usize) -> bool {
    head > 0 && head.is_multiple_of(LANES)
}

impl CustomOp3 for Attend<'_> {
    fn name(&self) -> &'static str {
        "attend"
    }

    fn cpu_fwd(
        &self,
        queries: &CpuStorage,
        of_queries: &Layout,
        keys: &CpuStorage,
        of_keys: &Layout,
        values: &CpuStorage,
        of_values: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (rows, heads, columns, head) = of_queries.shape().dims4()?;
        let queries = slice(queries, of_queries)?;
        let (keys, values) = (Cached::new(keys, of_keys)?, Cached::new(values, of_values)?);
        let group = heads / keys.heads;
        let seen_by = |runs: &Runs| runs.iter().all(|run| run.end <= keys.columns);
        if !fits(head)
            || (keys.rows, keys.head) != (rows, head)
            || of_values.shape() != of_keys.shape()
            || heads != group * keys.heads
            || self.seen.len() != rows * columns
            || !self.seen.iter().all(seen_by)
        {
            bail!("queries {:?} do not fit keys {:?}", of_queries.shape(), of_keys.shape());
        }
        let mut mixed = vec![0.0; rows * columns * heads * head];
        let parts = mixed.par_chunks_mut(group * head).enumerate();
        parts.for_each_init(Scratch::default, |scratch, (i, mixed)| {
            let (at, of_keys) = (i / keys.heads, i % keys.heads);
            let (row, column, seen) = (at / columns, at % columns, &self.seen[at]);
            if seen.is_empty() {
                return;
            }
            let first = row * heads + of_keys * group;
            let query = |i: usize| &queries[((first + i) * columns + column) * head..][..head];
            scratch.queries.clear();
            scratch.queries.extend((0..group).flat_map(query).map(|number| number * self.scale));
            let (keys, values) = (keys.head(row, of_keys), values.head(row, of_keys));
            let cap = self.cap;
            Arch::new().dispatch(Token { seen, keys, values, head, cap, scratch, mixed });
        });
        Ok((CpuStorage::F32(mixed), Shape::from((rows, columns, heads * head))))
    }
}

/// Keys or values, in a buffer with room for more.
struct Cached<'a> {
    all: &'a [f32],
    rows: usize,
    heads: usize,
    columns: usize,
    head: usize,
    strides: (usize, usize),
}

impl<'a> Cached<'a> {
    fn new(storage: &'a CpuStorage, layout: &Layout) -> Result<Self> {
        let (rows, heads, columns, head) = layout.shape().dims4()?;
        let &[row, of_head, column, 1] = layout.stride() else { bail!("heads are not contiguous") };
        let CpuStorage::F32(all) = storage else { bail!("keys and values are not f32") };
        if column != head || columns == 0 {
            bail!("columns are not contiguous");
        }
        let all = &all[layout.start_offset()..];
        Ok(Self { all, rows, heads, columns, head, strides: (row, of_head) })
    }

    /// The columns of one head, and whatever comes after them.
    fn head(&self, row: usize, head: usize) -> &'a [f32] {
        &self.all[row * self.strides.0 + head * self.strides.1..]
    }
}

/// What is used again from token to token.
#[derive(Default)]
struct Scratch {
    /// `[group, D]`.
    queries: Vec<f32>,
    /// Of each head of the group, in the order of the text.
    scores: Vec<Vec<f32>>,
}

/// One token, and the heads that share keys.
struct Token<'a> {
    seen: &'a Runs,
    keys: &'a [f32],
    values: &'a [f32],
    head: usize,
    cap: Option<f32>,
    scratch: &'a mut Scratch,
    /// `[group, D]`.
    mixed: &'a mut [f32],
}

impl WithSimd for Token<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { seen, keys, values, head, cap, scratch, mixed } = self;
        let Scratch { queries, scores } = scratch;
        let (group, length) = (queries.len() / head, head / S::F32_LANES);
        let all: usize = seen.iter().map(|run| run.len()).sum();
        scores.resize(group, Vec::new());
        scores.iter_mut().for_each(|scores| scores.resize(all, 0.0));
        score(simd, seen, keys, queries, length, scores);
        for (scores, mixed) in scores.iter_mut().zip(mixed.chunks_exact_mut(head)) {
            if let Some(cap) = cap {
                // tanh t is 2 σ(2t) - 1.
                scores
                    .iter_mut()
                    .for_each(|s| *s = cap * (2.0 / (1.0 + exp(-2.0 * *s / cap)) - 1.0));
            }
            softmax(scores);
            mix(simd, seen, values, scores, mixed);
        }
    }
}

/// The dot products of all queries with all keys that are seen.
#[inline(always)]
fn score<S: Simd>(
    simd: S,
    seen: &Runs,
    keys: &[f32],
    queries: &[f32],
    length: usize,
    scores: &mut [Vec<f32>],
) {
    let (queries, _) = S::as_simd_f32s(queries);
    let head = length * S::F32_LANES;
    let mut first = 0;
    for run in seen {
        let (keys, _) = S::as_simd_f32s(&keys[run.start * head..run.end * head]);
        multiply(simd, keys, queries, length, scores, first);
        first += run.len();
    }
}

/// Scores become weights that add up to 1.
#[inline(always)]
fn softmax(scores: &mut [f32]) {
    let mut largest = [f32::NEG_INFINITY; LANES];
    for chunk in scores.chunks(LANES) {
        for (score, largest) in chunk.iter().zip(&mut largest) {
            *largest = largest.max(*score);
        }
    }
    let largest = largest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let mut sums = [0.0; LANES];
    for chunk in scores.chunks_mut(LANES) {
        for (score, sum) in chunk.iter_mut().zip(&mut sums) {
            *score = exp(*score - largest);
            *sum += *score;
        }
    }
    let scale = 1.0 / sums.iter().sum::<f32>();
    scores.iter_mut().for_each(|score| *score *= scale);
}

/// The sum of the values that are seen, by their weights.
#[inline(always)]
fn mix<S: Simd>(simd: S, seen: &Runs, values: &[f32], weights: &[f32], mixed: &mut [f32]) {
    let head = mixed.len();
    let length = head / S::F32_LANES;
    let (mixed, _) = S::as_mut_simd_f32s(mixed);
    let mut first = 0;
    while first < length {
        let many = if first + VECTORS <= length { VECTORS } else { 1 };
        let zero = simd.splat_f32s(0.0);
        let mut sums = [zero; VECTORS];
        let mut at = 0;
        for run in seen {
            let (values, _) = S::as_simd_f32s(&values[run.start * head..run.end * head]);
            let weights = &weights[at..at + run.len()];
            for (&weight, values) in weights.iter().zip(values.chunks_exact(length)) {
                let weight = simd.splat_f32s(weight);
                if many == VECTORS {
                    let values = &values[first..first + VECTORS];
                    for i in 0..VECTORS {
                        sums[i] = simd.mul_add_e_f32s(weight, values[i], sums[i]);
                    }
                } else {
                    sums[0] = simd.mul_add_e_f32s(weight, values[first], sums[0]);
                }
            }
            at += run.len();
        }
        mixed[first..first + many].copy_from_slice(&sums[..many]);
        first += many;
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    fn numbers(shape: (usize, usize, usize, usize), step: usize) -> Tensor {
        let count = shape.0 * shape.1 * shape.2 * shape.3;
        let numbers = (0..count).map(|i| (i * step % 1009) as f32 / 252.0 - 2.0);
        Tensor::from_iter(numbers, &Device::Cpu).unwrap().reshape(shape).unwrap()
    }

    /// What one query comes to, in `f64`.
    fn plain(
        query: &[f32],
        (keys, values): (&[Vec<f32>], &[Vec<f32>]),
        seen: &Runs,
        of: &Attend,
    ) -> Vec<f64> {
        let score = |column: usize| {
            let products = query.iter().zip(&keys[column]).map(|(q, k)| f64::from(q * k));
            let score = products.sum::<f64>() * f64::from(of.scale);
            of.cap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
        };
        let columns = seen.iter().flat_map(Clone::clone);
        let weights: Vec<(usize, f64)> =
            columns.map(|column| (column, score(column).exp())).collect();
        let all: f64 = weights.iter().map(|(_, weight)| weight).sum();
        let mix = |i: usize| {
            let parts = weights.iter().map(|(column, w)| w / all * f64::from(values[*column][i]));
            parts.sum()
        };
        (0..query.len()).map(mix).collect()
    }

    #[test]
    fn attention_is_what_f64_says() {
        let runs: [Runs; 6] = [
            vec![0..1; 1],
            vec![0..9; 1],
            vec![3..40; 1],
            vec![0..2, 5..6, 7..23],
            vec![],
            vec![39..40; 1],
        ];
        for (head, group, cap) in
            [(16, 1, None), (64, 3, None), (80, 7, Some(5.0)), (256, 4, None), (128, 2, Some(0.5))]
        {
            let (rows, key_heads, columns) = (2, 2, runs.len() / 2);
            let queries = numbers((rows, key_heads * group, columns, head), 71);
            // In buffers with room for more.
            let all = (
                numbers((rows, key_heads, 50, head), 37),
                numbers((rows, key_heads, 50, head), 53),
            );
            let (keys, values) = (all.0.narrow(2, 0, 40).unwrap(), all.1.narrow(2, 0, 40).unwrap());
            let attend = Attend { seen: &runs, scale: 0.3 / head as f32, cap };
            let got = queries.apply_op3_no_bwd(&keys, &values, &attend).unwrap();
            assert_eq!(got.dims(), [rows, columns, key_heads * group * head]);
            let got = got.to_vec3::<f32>().unwrap();
            for (i, seen) in runs.iter().enumerate() {
                let (row, column) = (i / columns, i % columns);
                for h in 0..key_heads * group {
                    let of = |all: &Tensor| -> Vec<Vec<f32>> {
                        all.get(row).unwrap().get(h / group).unwrap().to_vec2().unwrap()
                    };
                    let query = queries.get(row).unwrap().get(h).unwrap().get(column).unwrap();
                    let query = query.to_vec1::<f32>().unwrap();
                    let want = plain(&query, (&of(&keys), &of(&values)), seen, &attend);
                    for (got, want) in got[row][column][h * head..][..head].iter().zip(want) {
                        let want = if seen.is_empty() { 0.0 } else { want };
                        assert!((f64::from(*got) - want).abs() < 2e-5, "{head} {i}: {got} {want}");
                    }
                }
            }
        }
    }
}
