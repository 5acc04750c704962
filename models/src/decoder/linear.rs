//! Matrices, dense or quantised, and what is computed with them.

use candle_core::{D, DType, Result, Tensor};
use candle_nn::ops::rms_norm;

use super::{cpu::product, quantised::Quantised};

/// A weight of the model.
#[derive(Debug, Clone)]
pub enum Matrix {
    /// In the dtype that the model computes in.
    Dense(Tensor),
    /// As a GGUF file has it; activations are `f32`.
    Quantised(Quantised),
}

impl Matrix {
    /// The rows `order`, in that order.
    pub fn rows(&self, order: &[usize]) -> Result<Self> {
        match self {
            Self::Dense(tensor) => {
                let order = Tensor::from_iter(order.iter().map(|&i| i as u32), tensor.device())?;
                Ok(Self::Dense(tensor.contiguous()?.index_select(&order, 0)?))
            }
            Self::Quantised(matrix) => Ok(Self::Quantised(matrix.rows(order)?)),
        }
    }

    /// Whether products with it round what they multiply to 8 bits.
    pub fn rounds(&self) -> bool {
        matches!(self, Self::Quantised(matrix) if matrix.rounds())
    }

    /// `x` `[…, K]` times the transposed matrix `[M, K]`.
    fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let mut shape = x.dims().to_vec();
        let x = x.reshape(((), x.dim(D::Minus1)?))?;
        let y = match self {
            Self::Dense(weight) if product::takes(&x, weight) => {
                x.apply_op2_no_bwd(weight, &product::Dense)?
            }
            Self::Dense(weight) => x.matmul(&weight.t()?)?,
            Self::Quantised(matrix) => matrix.multiply(&x)?,
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
            Self::Quantised(matrix) => matrix.embed(tokens),
        }
    }

    /// All of it, dequantised if need be.
    pub fn dense(&self) -> Result<Tensor> {
        match self {
            Self::Dense(weight) => Ok(weight.clone()),
            Self::Quantised(matrix) => matrix.dense(),
        }
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

/// The columns `columns` of `x` `[N, T, D]`, `[N, P, D]`.
pub fn picked(x: &Tensor, columns: &[usize]) -> Result<Tensor> {
    let columns = Tensor::from_iter(columns.iter().map(|&column| column as u32), x.device())?;
    x.contiguous()?.index_select(&columns, 1)
}
