//! Products with the quantised matrices that candle 0.11 multiplies number by number: Q4_1, Q5_0
//! and Q5_1.
//!
//! These types store a row in blocks of 32 whole numbers q below 32, each of which stands for
//! `scale · q + offset`. So a block's part of a dot product with x is
//!
//! ```text
//! scale · Σ q x  +  offset · Σ x
//! ```
//!
//! where Σ x is computed once for all rows, and q goes from the file's bits to a vector register
//! without a detour through memory. Activations are not rounded, as they are by candle and llama.cpp.
//! The loops are written so that the compiler makes vectors of them; `pulp` compiles them once for
//! each set of instructions, and chooses at run time.
//!
//! Of many rows of x, 32 numbers a block are too few to be worth unpacking again for each: then as
//! many rows of the matrix as fit a cache are dequantised, and multiplied by candle.

use std::sync::{Mutex, PoisonError};

use candle_core::{D, Device, Result, Tensor, bail, quantized::GgmlDType, utils::barrier_pool};
use pulp::Arch;
use rayon::prelude::*;

/// Numbers in a block.
const BLOCK: usize = 32;

/// Numbers that are added up side by side.
const LANES: usize = 8;

/// Rows of the matrix that are dequantised at once.
const ROWS: usize = 64;

/// The most rows of x that are multiplied block by block: measured with AVX2, either way is as fast
/// for 16.
const FEW: usize = 16;

/// How a type lays out a block: the scale, perhaps the offset (both `f16`), perhaps the highest bits
/// of all numbers, and two numbers of 4 bits in each byte.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    offset: bool,
    fifth_bit: bool,
}

impl Format {
    /// That of `dtype`, if it is one of these.
    pub fn of(dtype: GgmlDType) -> Option<Self> {
        match dtype {
            GgmlDType::Q4_1 => Some(Self { offset: true, fifth_bit: false }),
            GgmlDType::Q5_0 => Some(Self { offset: false, fifth_bit: true }),
            GgmlDType::Q5_1 => Some(Self { offset: true, fifth_bit: true }),
            _ => None,
        }
    }

    const fn bytes(self) -> usize {
        2 + if self.offset { 2 } else { 0 } + if self.fifth_bit { 4 } else { 0 } + BLOCK / 2
    }

    /// `x` `[N, K]` times the transposed matrix `[M, K]` whose rows are in `matrix`: `[N, M]`.
    pub fn multiply(self, matrix: &[u8], x: &Tensor) -> Result<Tensor> {
        let (many, columns) = x.dims2()?;
        let width = columns / BLOCK * self.bytes();
        if !columns.is_multiple_of(BLOCK) || width == 0 || !matrix.len().is_multiple_of(width) {
            bail!("{} bytes are no matrix of {columns} columns", matrix.len());
        }
        if many > FEW {
            let parts = matrix.par_chunks(ROWS * width).map(|rows| {
                let dense = self.dequantise(rows);
                let dense = Tensor::from_vec(dense, (rows.len() / width, columns), &Device::Cpu)?;
                x.matmul(&dense.t()?)
            });
            return Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, D::Minus1);
        }
        let values = x.flatten_all()?.to_vec1::<f32>()?;
        let x: Vec<Activations<'_>> = values.chunks(columns).map(Activations::new).collect();
        let rows = matrix.len() / width;
        let parts = Mutex::new(Vec::new());
        // The threads of candle's other products: they spin between two of these, and others would
        // have to do without the cores.
        barrier_pool().execute_chunked(rows, |range| {
            let part = self.dots(&matrix[range.start * width..range.end * width], width, &x);
            parts.lock().unwrap_or_else(PoisonError::into_inner).push((range.start, part));
        });
        let mut parts = parts.into_inner().unwrap_or_else(PoisonError::into_inner);
        parts.sort_unstable_by_key(|(start, _)| *start);
        let products = parts.into_iter().flat_map(|(_, part)| part).collect::<Vec<_>>();
        Tensor::from_vec(products, (rows, many), &Device::Cpu)?.t()?.contiguous()
    }

    /// The dot products of each row of `matrix` with all of `x`.
    fn dots(self, matrix: &[u8], width: usize, x: &[Activations<'_>]) -> Vec<f32> {
        // A constant format in each arm: the loops are compiled for each.
        Arch::new().dispatch(|| match (self.offset, self.fifth_bit) {
            (true, false) => dots(Self { offset: true, fifth_bit: false }, matrix, width, x),
            (false, true) => dots(Self { offset: false, fifth_bit: true }, matrix, width, x),
            _ => dots(Self { offset: true, fifth_bit: true }, matrix, width, x),
        })
    }

    fn dequantise(self, matrix: &[u8]) -> Vec<f32> {
        Arch::new().dispatch(|| match (self.offset, self.fifth_bit) {
            (true, false) => dequantise(Self { offset: true, fifth_bit: false }, matrix),
            (false, true) => dequantise(Self { offset: false, fifth_bit: true }, matrix),
            _ => dequantise(Self { offset: true, fifth_bit: true }, matrix),
        })
    }

    /// The scale, the offset and the numbers of a block.
    #[inline(always)]
    fn unpack(self, block: &[u8]) -> (f32, f32, [f32; BLOCK]) {
        let scale = half([block[0], block[1]]);
        // Without an offset, a q of 16 stands for 0.
        let offset = if self.offset { half([block[2], block[3]]) } else { -16.0 * scale };
        let (head, pairs) = block[..self.bytes()].split_at(self.bytes() - BLOCK / 2);
        let bits = match (self.fifth_bit, head) {
            (true, &[.., a, b, c, d]) => u32::from_le_bytes([a, b, c, d]),
            _ => 0,
        };
        let mut numbers = [0.0; BLOCK];
        let (low, high) = numbers.split_at_mut(BLOCK / 2);
        for (i, ((low, high), &pair)) in low.iter_mut().zip(high).zip(pairs).enumerate() {
            let (mut a, mut b) = (u32::from(pair & 15), u32::from(pair >> 4));
            if self.fifth_bit {
                a |= (bits >> i & 1) << 4;
                b |= (bits >> (i + BLOCK / 2) & 1) << 4;
            }
            // Of whole numbers that have a sign, the conversion is one instruction.
            (*low, *high) = (a as i32 as f32, b as i32 as f32);
        }
        (scale, offset, numbers)
    }
}

/// A row of x, and the sum of each block of it.
struct Activations<'a> {
    values: &'a [f32],
    sums: Vec<f32>,
}

impl<'a> Activations<'a> {
    fn new(values: &'a [f32]) -> Self {
        Self { values, sums: values.chunks(BLOCK).map(|block| block.iter().sum()).collect() }
    }
}

#[inline(always)]
fn dots(format: Format, matrix: &[u8], width: usize, x: &[Activations<'_>]) -> Vec<f32> {
    let mut products = Vec::with_capacity(matrix.len() / width * x.len());
    for row in matrix.chunks_exact(width) {
        let mut sums = [([0.0; LANES], 0.0); FEW];
        for (i, block) in row.chunks_exact(format.bytes()).enumerate() {
            let (scale, offset, numbers) = format.unpack(block);
            for (x, (lanes, rest)) in x.iter().zip(&mut sums) {
                let mut dot = [0.0; LANES];
                let values = x.values[i * BLOCK..][..BLOCK].chunks_exact(LANES);
                for (numbers, values) in numbers.chunks_exact(LANES).zip(values) {
                    for lane in 0..LANES {
                        dot[lane] += numbers[lane] * values[lane];
                    }
                }
                for lane in 0..LANES {
                    lanes[lane] += scale * dot[lane];
                }
                *rest += offset * x.sums[i];
            }
        }
        let total = |(lanes, rest): &([f32; LANES], f32)| lanes.iter().sum::<f32>() + rest;
        products.extend(sums[..x.len()].iter().map(total));
    }
    products
}

#[inline(always)]
fn dequantise(format: Format, matrix: &[u8]) -> Vec<f32> {
    let mut values = Vec::with_capacity(matrix.len() / format.bytes() * BLOCK);
    for block in matrix.chunks_exact(format.bytes()) {
        let (scale, offset, numbers) = format.unpack(block);
        values.extend(numbers.map(|q| scale * q + offset));
    }
    values
}

/// An `f16`, little-endian, as `f32`: `half` would call a function for each, or branch.
///
/// Exponent and fraction move to their places, which makes a number that is 2^112 times too small,
/// and a product that is exact also for subnormal ones.
#[inline(always)]
fn half(bytes: [u8; 2]) -> f32 {
    let bits = u32::from(u16::from_le_bytes(bytes));
    let (sign, rest) = (bits & 0x8000, bits & 0x7FFF);
    // Infinite, or not a number: what remains is so as well.
    let special = if rest >= 0x7C00 { 0x7F80_0000 } else { 0 };
    let magnitude = f32::from_bits(rest << 13) * f32::from_bits((127 + 112) << 23);
    f32::from_bits(magnitude.to_bits() | special | sign << 16)
}

#[cfg(test)]
mod tests {
    use candle_core::quantized::QTensor;
    use half::f16;

    use super::*;

    fn numbers(count: usize, step: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * step % 1009) as f32 / 504.0 - 1.0) * 0.7).collect()
    }

    #[test]
    fn a_product_is_that_with_the_dequantised_matrix() {
        for dtype in [GgmlDType::Q4_1, GgmlDType::Q5_0, GgmlDType::Q5_1] {
            for (many, rows, columns) in
                [(1, 1, 32), (1, 200, 96), (3, 65, 64), (FEW, 64, 320), (FEW + 1, 130, 64)]
            {
                let matrix =
                    Tensor::from_vec(numbers(rows * columns, 37), (rows, columns), &Device::Cpu);
                let matrix = QTensor::quantize(&matrix.unwrap(), dtype).unwrap();
                let x =
                    Tensor::from_vec(numbers(many * columns, 71), (many, columns), &Device::Cpu);
                let x = x.unwrap();
                let dense = matrix.dequantize(&Device::Cpu).unwrap();
                let expected = x.matmul(&dense.t().unwrap()).unwrap();
                let format = Format::of(dtype).unwrap();
                let got = format.multiply(&matrix.data().unwrap(), &x).unwrap();
                assert_eq!(got.dims(), [many, rows]);
                let differences = (got - expected).unwrap().abs().unwrap().flatten_all().unwrap();
                let largest = differences.max(0).unwrap().to_scalar::<f32>().unwrap();
                assert!(largest < 2e-5, "{dtype:?} {many} {rows} {columns}: {largest}");
            }
        }
    }

    #[test]
    fn rows_do_not_depend_on_each_other() {
        let matrix = Tensor::from_vec(numbers(70 * 96, 37), (70, 96), &Device::Cpu).unwrap();
        let matrix = QTensor::quantize(&matrix, GgmlDType::Q5_0).unwrap();
        let x = Tensor::from_vec(numbers(FEW * 96, 71), (FEW, 96), &Device::Cpu).unwrap();
        let multiply = |x: &Tensor| {
            let format = Format::of(GgmlDType::Q5_0).unwrap();
            format.multiply(&matrix.data().unwrap(), x).unwrap().to_vec2::<f32>().unwrap()
        };
        let together = multiply(&x);
        for (i, row) in together.iter().enumerate() {
            assert_eq!(*row, multiply(&x.narrow(0, i, 1).unwrap())[0]);
        }
    }

    #[test]
    fn what_is_no_matrix_is_refused() {
        let format = Format::of(GgmlDType::Q4_1).unwrap();
        for (bytes, columns) in [(20, 33), (21, 32), (20, 64)] {
            let x = Tensor::zeros((1, columns), candle_core::DType::F32, &Device::Cpu).unwrap();
            assert!(format.multiply(&vec![0; bytes], &x).is_err());
        }
    }

    #[test]
    fn every_half_is_itself() {
        for bits in 0..=u16::MAX {
            let (expected, got) = (f16::from_bits(bits).to_f32(), half(bits.to_le_bytes()));
            assert!(expected == got || expected.is_nan() && got.is_nan(), "{bits:#06x}: {got}");
        }
    }
}
