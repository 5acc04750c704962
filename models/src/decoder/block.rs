//! One block: attention and an MLP, each added to what came in.

use candle_core::{Result, Tensor};

use super::{
    attention::{Attention, Shared},
    cache::KeysValues,
    cpu::{
        computes,
        gate::{Gate, Sum},
    },
    linear::{Linear, Norm},
};
use crate::config::Activation;

#[derive(Debug)]
pub struct Block {
    /// Normalises what attention reads.
    pub before_attention: Option<Norm>,
    pub attention: Attention,
    /// Normalises what it writes.
    pub after_attention: Option<Norm>,
    pub before_mlp: Option<Norm>,
    pub mlp: Mlp,
    pub after_mlp: Option<Norm>,
}

/// `down(f(gate(x)) · up(x))`.
#[derive(Debug)]
pub struct Mlp {
    pub gate: Linear,
    pub up: Linear,
    pub down: Linear,
    pub activation: Activation,
}

impl Block {
    pub fn forward(&self, x: &Tensor, read: &mut KeysValues, shared: &Shared) -> Result<Tensor> {
        let y = normed(&self.before_attention, x)?;
        let y = self.attention.forward(&y, read, shared)?;
        let x = sum(x, &normed(&self.after_attention, &y)?)?;
        let y = normed(&self.before_mlp, &x)?;
        let y = self.mlp.forward(&y)?;
        sum(&x, &normed(&self.after_mlp, &y)?)
    }
}

impl Mlp {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (gate, up) = (self.gate.forward(x)?, self.up.forward(x)?);
        if computes(gate.dtype(), gate.device()) {
            let both = gate.apply_op2_no_bwd(&up, &Gate(self.activation))?;
            return self.down.forward(&both);
        }
        let gate = match self.activation {
            Activation::Silu => gate.silu()?,
            Activation::GeluTanh => gate.gelu()?, // candle's is the approximation
        };
        self.down.forward(&(gate * up)?)
    }
}

fn sum(one: &Tensor, other: &Tensor) -> Result<Tensor> {
    if computes(one.dtype(), one.device()) {
        return one.contiguous()?.apply_op2_no_bwd(&other.contiguous()?, &Sum);
    }
    one + other
}

fn normed(norm: &Option<Norm>, x: &Tensor) -> Result<Tensor> {
    match norm {
        Some(norm) => norm.forward(x),
        None => Ok(x.clone()),
    }
}
