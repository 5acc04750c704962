//! Matrices, dense or as a GGUF file quantises them, and what is computed with them.

use std::{borrow::Cow, sync::Arc};

use candle_core::{
    D, DType, Result, Tensor, bail,
    quantized::{QStorage, QTensor},
    shape::Dim,
};
use candle_nn::ops::rms_norm;

use super::blocks::Format;

/// A weight of the model.
#[derive(Debug, Clone)]
pub enum Matrix {
    /// In the dtype that the model computes in.
    Dense(Tensor),
    /// In blocks along rows, and in pieces of so many rows, but for the last; activations are
    /// `f32`.
    Quantised(Vec<Arc<QTensor>>),
}

impl Matrix {
    /// The rows `order`, in that order.
    pub fn rows(&self, order: &[usize]) -> Result<Self> {
        match self {
            Self::Dense(tensor) => {
                let order = Tensor::from_iter(order.iter().map(|&i| i as u32), tensor.device())?;
                Ok(Self::Dense(tensor.contiguous()?.index_select(&order, 0)?))
            }
            // A row is a whole number of blocks, so that its bytes stay together.
            Self::Quantised(pieces) => {
                let (each, columns) = pieces[0].shape().dims2()?;
                let data = pieces.iter().map(|piece| piece.data()).collect::<Result<Vec<_>>>()?;
                let width = data[0].len() / each;
                let row = |&i: &usize| &data[i / each][i % each * width..][..width];
                let (device, dtype) = (pieces[0].device(), pieces[0].dtype());
                let piece = |order: &[usize]| {
                    let bytes = Cow::Owned(order.iter().flat_map(row).copied().collect());
                    let storage = QStorage::from_data(bytes, &device, dtype)?;
                    Ok(Arc::new(QTensor::new(storage, (order.len(), columns))?))
                };
                Ok(Self::Quantised(order.chunks(each).map(piece).collect::<Result<_>>()?))
            }
        }
    }

    /// `x` `[…, K]` times the transposed matrix `[M, K]`.
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        let x = x.reshape(((), x.dim(D::Minus1)?))?;
        let y = match self {
            Self::Dense(weight) => x.matmul(&weight.t()?)?,
            Self::Quantised(pieces) => {
                joined(pieces.iter().map(|piece| product(&x, piece)).collect::<Result<_>>()?, 1)?
            }
        };
        shape.pop();
        shape.push(y.dim(1)?);
        y.reshape(shape)
    }

    /// The rows of `tokens` `[N, T]`, `[N, T, D]`; only these are dequantised.
    pub fn embed(&self, tokens: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(weight) => {
                let (rows, columns) = tokens.dims2()?;
                weight.index_select(&tokens.flatten_all()?, 0)?.reshape((rows, columns, ()))
            }
            Self::Quantised(pieces) if pieces.len() == 1 => pieces[0].embedding(tokens),
            Self::Quantised(pieces) => {
                let (rows, columns) = tokens.dims2()?;
                let each = pieces[0].shape().dims2()?.0;
                let row = |token: u32| {
                    let (piece, row) = (token as usize / each, token as usize % each);
                    let Some(piece) = pieces.get(piece) else {
                        bail!("token {token} is out of range of the embedding")
                    };
                    piece.embedding(&Tensor::new(&[row as u32], &piece.device())?)
                };
                let tokens = tokens.flatten_all()?.to_vec1::<u32>()?;
                let found = tokens.into_iter().map(row).collect::<Result<_>>()?;
                joined(found, 0)?.reshape((rows, columns, ()))
            }
        }
    }

    /// All of it, dequantised if need be.
    pub fn dense(&self) -> Result<Tensor> {
        match self {
            Self::Dense(weight) => Ok(weight.clone()),
            Self::Quantised(pieces) => {
                let dense = pieces.iter().map(|piece| piece.dequantize(&piece.device()));
                joined(dense.collect::<Result<_>>()?, 0)
            }
        }
    }
}

/// `x` `[N, K]` times a transposed quantised matrix.
fn product(x: &Tensor, matrix: &Arc<QTensor>) -> Result<Tensor> {
    match Format::of(matrix.dtype()).filter(|_| x.device().is_cpu()) {
        Some(format) => format.multiply(&matrix.data()?, x),
        None => x.apply_op1_no_bwd(matrix.as_ref()),
    }
}

fn joined<D: Dim>(parts: Vec<Tensor>, dim: D) -> Result<Tensor> {
    match &parts[..] {
        [one] => Ok(one.clone()),
        parts => Tensor::cat(parts, dim),
    }
}

/// `x W^T + b`.
#[derive(Debug)]
pub struct Linear {
    pub weight: Matrix,
    pub bias: Option<Tensor>,
}

impl Linear {
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.weight.apply(x)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }
}

/// Division by the root of the mean square of the last dimension, times a weight: in `f32`,
/// whatever comes in.
#[derive(Debug)]
pub struct Norm {
    /// `f32`.
    pub weight: Tensor,
    pub epsilon: f64,
}

impl Norm {
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let wide = x.to_dtype(DType::F32)?.contiguous()?;
        rms_norm(&wide, &self.weight, self.epsilon as f32)?.to_dtype(x.dtype())
    }
}

/// `cap · tanh(x / cap)`, if there is a cap.
pub fn capped(x: Tensor, cap: Option<f64>) -> Result<Tensor> {
    match cap {
        Some(cap) => (x / cap)?.tanh()? * cap,
        None => Ok(x),
    }
}

/// The last of `T` positions of `x` `[N, T, D]`, `[N, D]`.
pub fn last(x: &Tensor) -> Result<Tensor> {
    let positions = x.dim(D::Minus2)?;
    x.narrow(D::Minus2, positions - 1, 1)?.squeeze(1)?.contiguous()
}
