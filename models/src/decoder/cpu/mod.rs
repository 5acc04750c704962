//! What takes the time of a pass, by loops of our own for the CPU.
//!
//! | file | what it has |
//! | --- | --- |
//! | `product` | a matrix, whatever its format, times many vectors |
//! | `attention` | attention to the tokens that a token follows, and to no others |
//! | `gate` | the product in the middle of an MLP, and the sum at the end of a block |
//!
//! `pulp` compiles each loop once for each set of instructions (AVX-512, AVX2, NEON, none), and
//! chooses at run time. No result depends on what else is computed in the same call, or on the
//! number of threads: sums are over one row's own numbers, in one order.

pub mod attention;
pub mod gate;
pub mod product;

use candle_core::{CpuStorage, DType, Device, Layout, Result, bail};

/// Bytes of a cache line, at which vectors are loaded fastest.
const LINE: usize = 64;

/// Numbers of a vector of the widest instruction set: what rows are read by must be a multiple of it.
pub const LANES: usize = LINE / size_of::<f32>();

/// Whether these loops compute what is of `dtype` on `device`.
pub fn computes(dtype: DType, device: &Device) -> bool {
    device.is_cpu() && dtype == DType::F32
}

/// Room for `f32`s that begins at a cache line.
#[derive(Debug, Default)]
struct Aligned(Vec<f32>);

impl Aligned {
    /// `len` numbers, of any values.
    fn room(&mut self, len: usize) -> &mut [f32] {
        if self.0.len() < len + LANES {
            self.0.resize(len + LANES, 0.0);
        }
        // It may be that no offset is known, which costs time and nothing else.
        let skip = self.0.as_ptr().align_offset(LINE);
        let skip = if skip < LANES { skip } else { 0 };
        &mut self.0[skip..][..len]
    }
}

/// The numbers of a contiguous tensor of `f32`.
pub fn slice<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(all), Some((start, end))) => Ok(&all[start..end]),
        _ => bail!("this takes a contiguous tensor of f32"),
    }
}

/// `e^x`, to a few units in the last place; infinity above 88.7, and 0 below -87.3.
///
/// x = n ln 2 + r, with |r| at most ln 2 / 2; e^r is Cephes' polynomial, and 2^n goes into the
/// exponent. There is no branch, so that the compiler makes vectors of it.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    /// ln 2, in two parts of which the first has zeros at its end.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    let n = (x.clamp(-200.0, 200.0) * std::f32::consts::LOG2_E).round_ties_even();
    let r = x.clamp(-200.0, 200.0) - n * LN_2[0] - n * LN_2[1];
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_199_9e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 0.166_666_65;
    p = p * r + 0.5;
    let e = p * r * r + r + 1.0;
    // Two factors, as 2^128 is no f32; and what is below the normal numbers is 0.
    let n = n as i32;
    let half = n >> 1;
    let power = |n: i32| f32::from_bits(((n + 127).clamp(0, 255) as u32) << 23);
    e * power(half) * power(n - half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_is_that_of_f64() {
        let mut worst = 0.0f64;
        for i in -870_000..=880_000 {
            let x = i as f32 / 10_000.0;
            let (got, want) = (f64::from(exp(x)), f64::from(x).exp());
            worst = worst.max((got / want - 1.0).abs());
        }
        assert!(worst < 3e-7, "{worst}");
        assert_eq!([exp(0.0), exp(f32::NEG_INFINITY)], [1.0, 0.0]);
        assert_eq!([exp(-150.0), exp(1000.0)], [0.0, f32::INFINITY]);
        assert!(exp(f32::NAN).is_nan());
    }
}
