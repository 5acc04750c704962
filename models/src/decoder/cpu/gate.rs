//! The product in the middle of an MLP, `f(gate) · up`, and the sum at the end of a block.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, bail};
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

use super::{exp, slice};
use crate::config::Activation;

/// Numbers that a task computes.
const CHUNK: usize = 8 << 10;

/// The activation, and the product, of two contiguous `f32` tensors of one shape.
pub struct Gate(pub Activation);

impl CustomOp2 for Gate {
    fn name(&self) -> &'static str {
        "gate"
    }

    fn cpu_fwd(
        &self,
        gate: &CpuStorage,
        of_gate: &Layout,
        up: &CpuStorage,
        of_up: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (gate, up) = both((gate, of_gate), (up, of_up))?;
        let mut product = vec![0.0; gate.len()];
        let chunks = product.par_chunks_mut(CHUNK);
        chunks.zip(gate.par_chunks(CHUNK).zip(up.par_chunks(CHUNK))).for_each(|(y, (gate, up))| {
            match self.0 {
                Activation::Silu => Arch::new().dispatch(Gated { gate, up, y, by: Silu }),
                Activation::GeluTanh => Arch::new().dispatch(Gated { gate, up, y, by: GeluTanh }),
            }
        });
        Ok((CpuStorage::F32(product), of_gate.shape().clone()))
    }
}

/// The sum of two contiguous `f32` tensors of one shape. (candle's has threads of its own for it,
/// which wait for each other while they could multiply.)
pub struct Sum;

impl CustomOp2 for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn cpu_fwd(
        &self,
        one: &CpuStorage,
        of_one: &Layout,
        other: &CpuStorage,
        of_other: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (one, other) = both((one, of_one), (other, of_other))?;
        let sum = one.iter().zip(other).map(|(one, other)| one + other).collect();
        Ok((CpuStorage::F32(sum), of_one.shape().clone()))
    }
}

/// The numbers of two tensors, which must be of one shape.
fn both<'a>(
    one: (&'a CpuStorage, &Layout),
    other: (&'a CpuStorage, &Layout),
) -> Result<(&'a [f32], &'a [f32])> {
    if one.1.shape() != other.1.shape() {
        bail!("the shapes {:?} and {:?} differ", one.1.shape(), other.1.shape());
    }
    Ok((slice(one.0, one.1)?, slice(other.0, other.1)?))
}

/// `gate · σ(t(gate)) · up`, by what an activation takes the sigmoid of.
struct Gated<'a, A> {
    gate: &'a [f32],
    up: &'a [f32],
    y: &'a mut [f32],
    by: A,
}

/// An activation `x · σ(t(x))`.
trait Sigmoid {
    fn t(&self, x: f32) -> f32;
}

struct Silu;

impl Sigmoid for Silu {
    #[inline(always)]
    fn t(&self, x: f32) -> f32 {
        x
    }
}

/// GELU by the hyperbolic tangent, `x / 2 · (1 + tanh(√(2/π) (x + 0.044715 x³)))`: (1 + tanh t) / 2 is
/// σ(2t).
struct GeluTanh;

impl Sigmoid for GeluTanh {
    #[inline(always)]
    fn t(&self, x: f32) -> f32 {
        const FACTOR: f32 = 2.0 * 0.797_884_6;
        FACTOR * (x + 0.044_715 * x * x * x)
    }
}

impl<A: Sigmoid> NullaryFnOnce for Gated<'_, A> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        for ((y, &gate), &up) in self.y.iter_mut().zip(self.gate).zip(self.up) {
            *y = gate / (1.0 + exp(-self.by.t(gate))) * up;
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    #[test]
    fn gates_are_what_f64_says() {
        let numbers: Vec<f32> = (0..20_000).map(|i| i as f32 / 300.0 - 33.0).collect();
        let gate = Tensor::from_vec(numbers.clone(), (2, 10_000), &Device::Cpu).unwrap();
        let up = (gate.clone() * 0.3).unwrap();
        let silu: fn(f64) -> f64 = |x| x / (1.0 + (-x).exp());
        let gelu: fn(f64) -> f64 = |x| {
            let t = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            x / (1.0 + (-2.0 * t).exp())
        };
        for (activation, expected) in [(Activation::Silu, silu), (Activation::GeluTanh, gelu)] {
            let got = gate.apply_op2_no_bwd(&up, &Gate(activation)).unwrap();
            let got = got.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (got, &x) in got.into_iter().zip(&numbers) {
                let x = f64::from(x);
                let want = expected(x) * 0.3 * x;
                let apart = (f64::from(got) - want).abs();
                assert!(apart < 1e-5 * want.abs() + 1e-9, "{activation:?} of {x}: {got} {want}");
            }
        }
    }
}
