//! Matrices as GGUF files have them, and products with them.
//!
//! On a CPU the file's bytes are all that is kept. A product unpacks a block into registers and
//! multiplies it there by every row of x, so that a matrix is read once, at a half or a quarter of a
//! byte or so for each number. Of many rows of x that is no longer worth it: as many rows of the
//! matrix as fit a cache are dequantised, and multiplied by candle. Either way the numbers of the
//! matrix are exact, and x is not rounded. (candle's own kernels and llama.cpp's round x to 8 bits;
//! and where candle's are fast, they keep a second copy of the matrix in an order of their own.)
//!
//! `pulp` compiles the loops once for each set of instructions, and chooses at run time. On another
//! device, candle's kernels are used.

use std::{borrow::Cow, marker::PhantomData, sync::Arc};

use candle_core::{
    D, Device, Result, Tensor, bail,
    quantized::{GgmlDType, QStorage, QTensor},
};
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

use super::formats::{Format, MOST, block, with_format};

/// Numbers that are added up side by side.
const LANES: usize = 8;

/// Rows of a matrix that a task multiplies.
const ROWS: usize = 64;

/// The most rows of x that are multiplied block by block.
const FEW: usize = 16;

/// A matrix `[M, K]`.
#[derive(Debug, Clone)]
pub struct Quantised {
    dtype: GgmlDType,
    rows: usize,
    columns: usize,
    data: Data,
}

#[derive(Debug, Clone)]
enum Data {
    // (Not of a slice, which would be copied.)
    Cpu(Arc<Vec<u8>>),
    Device(Arc<QTensor>),
}

impl Quantised {
    /// Takes the bytes of all rows.
    ///
    /// # Errors
    ///
    /// If a row is no whole number of blocks, or these are not as many bytes; for a type that is not
    /// for weights; candle's.
    pub fn new(
        dtype: GgmlDType,
        (rows, columns): (usize, usize),
        bytes: Vec<u8>,
        device: &Device,
    ) -> Result<Self> {
        let Some(block) = block(dtype) else { bail!("{dtype:?} is no type for weights") };
        if !columns.is_multiple_of(block) {
            bail!("its rows have {columns} columns; those of {dtype:?} are of {block} at a time");
        }
        let expected = columns / dtype.block_size() * dtype.type_size() * rows;
        if rows == 0 || columns == 0 || bytes.len() != expected {
            bail!("{rows} rows of {columns} columns take {expected} bytes, not {}", bytes.len());
        }
        let data = if device.is_cpu() {
            Data::Cpu(Arc::new(bytes))
        } else {
            let storage = QStorage::from_data(Cow::Owned(bytes), device, dtype)?;
            Data::Device(Arc::new(QTensor::new(storage, (rows, columns))?))
        };
        Ok(Self { dtype, rows, columns, data })
    }

    /// Whether a matrix of so many columns can be kept as it is.
    pub fn fits(dtype: GgmlDType, columns: usize) -> bool {
        block(dtype).is_some_and(|block| columns.is_multiple_of(block))
    }

    /// Bytes of a row.
    fn width(&self) -> usize {
        self.columns / self.dtype.block_size() * self.dtype.type_size()
    }

    /// The rows `order`, in that order.
    pub fn rows(&self, order: &[usize]) -> Result<Self> {
        let (all, device) = match &self.data {
            Data::Cpu(bytes) => (Cow::Borrowed(&bytes[..]), Device::Cpu),
            Data::Device(tensor) => (tensor.data()?, tensor.device()),
        };
        let width = self.width();
        let row = |&i: &usize| &all[i * width..][..width];
        let bytes = order.iter().flat_map(row).copied().collect();
        Self::new(self.dtype, (order.len(), self.columns), bytes, &device)
    }

    /// `x` `[N, K]` times the transposed matrix: `[N, M]`.
    pub fn multiply(&self, x: &Tensor) -> Result<Tensor> {
        let bytes = match &self.data {
            Data::Cpu(bytes) => bytes,
            Data::Device(tensor) => return x.contiguous()?.apply_op1_no_bwd(tensor.as_ref()),
        };
        let (many, columns) = x.dims2()?;
        if columns != self.columns {
            bail!("x has {columns} columns, and the matrix {}", self.columns);
        }
        if many > FEW {
            let parts = bytes.par_chunks(ROWS * self.width()).map(|part| {
                let dense = Tensor::from_vec(self.numbers(part), ((), columns), &Device::Cpu)?;
                x.matmul(&dense.t()?)
            });
            return Tensor::cat(&parts.collect::<Result<Vec<_>>>()?, D::Minus1);
        }
        let values = x.flatten_all()?.to_vec1::<f32>()?;
        let x: Vec<&[f32]> = values.chunks(columns).collect();
        let rows = self.rows.div_ceil(8 * rayon::current_num_threads());
        let parts = bytes.par_chunks(rows * self.width());
        let products: Vec<f32> = parts.flat_map_iter(|part| self.dots(part, &x)).collect();
        Tensor::from_vec(products, (self.rows, many), &Device::Cpu)?.t()?.contiguous()
    }

    /// The rows of `tokens` `[N, T]`: `[N, T, K]`.
    pub fn embed(&self, tokens: &Tensor) -> Result<Tensor> {
        let bytes = match &self.data {
            Data::Cpu(bytes) => bytes,
            Data::Device(tensor) => return tensor.embedding(tokens),
        };
        let (rows, columns) = tokens.dims2()?;
        let mut numbers = Vec::with_capacity(rows * columns * self.columns);
        for token in tokens.flatten_all()?.to_vec1::<u32>()? {
            if token as usize >= self.rows {
                bail!("token {token} is out of range; the embedding has {} rows", self.rows);
            }
            let row = &bytes[token as usize * self.width()..][..self.width()];
            numbers.extend(self.numbers(row));
        }
        Tensor::from_vec(numbers, (rows, columns, self.columns), &Device::Cpu)
    }

    /// All of it, in `f32`.
    pub fn dense(&self) -> Result<Tensor> {
        match &self.data {
            Data::Cpu(bytes) => {
                Tensor::from_vec(self.numbers(bytes), (self.rows, self.columns), &Device::Cpu)
            }
            Data::Device(tensor) => tensor.dequantize(&tensor.device()),
        }
    }

    /// The numbers of whole rows.
    fn numbers(&self, rows: &[u8]) -> Vec<f32> {
        let numbers = with_format!(self.dtype, F => {
            Arch::new().dispatch(Numbers::<F> { rows, format: PhantomData })
        });
        numbers.unwrap_or_default()
    }

    /// The dot products of each of the rows with all of `x`.
    fn dots(&self, rows: &[u8], x: &[&[f32]]) -> Vec<f32> {
        let width = self.width();
        let dots = with_format!(self.dtype, F => {
            Arch::new().dispatch(Dots::<F> { rows, width, x, format: PhantomData })
        });
        dots.unwrap_or_default()
    }
}

/// What [`Quantised::numbers`] does, to be compiled for a set of instructions. (A closure would be
/// compiled for the least of them, unless it happened to be inlined.)
struct Numbers<'a, F> {
    rows: &'a [u8],
    format: PhantomData<F>,
}

impl<F: Format> NullaryFnOnce for Numbers<'_, F> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn call(self) -> Vec<f32> {
        let blocks = self.rows.chunks_exact(F::BYTES);
        let mut all = vec![0.0; blocks.len() * F::NUMBERS];
        for (block, numbers) in blocks.zip(all.chunks_exact_mut(F::NUMBERS)) {
            F::unpack(block, numbers);
        }
        all
    }
}

/// What [`Quantised::dots`] does, likewise.
struct Dots<'a, F> {
    rows: &'a [u8],
    width: usize,
    x: &'a [&'a [f32]],
    format: PhantomData<F>,
}

impl<F: Format> NullaryFnOnce for Dots<'_, F> {
    type Output = Vec<f32>;

    #[inline(always)]
    fn call(self) -> Vec<f32> {
        let Self { rows, width, x, .. } = self;
        let mut products = Vec::with_capacity(rows.len() / width * x.len());
        let mut numbers = [0.0; MOST];
        let numbers = &mut numbers[..F::NUMBERS];
        for row in rows.chunks_exact(width) {
            let mut sums = [[0.0f32; LANES]; FEW];
            for (i, block) in row.chunks_exact(F::BYTES).enumerate() {
                F::unpack(block, numbers);
                for (x, sums) in x.iter().zip(&mut sums) {
                    let (numbers, _) = numbers.as_chunks::<LANES>();
                    let (values, _) = x[i * F::NUMBERS..][..F::NUMBERS].as_chunks::<LANES>();
                    let mut dot = [0.0; LANES];
                    for (numbers, values) in numbers.iter().zip(values) {
                        for lane in 0..LANES {
                            dot[lane] += numbers[lane] * values[lane];
                        }
                    }
                    for lane in 0..LANES {
                        sums[lane] += dot[lane];
                    }
                }
            }
            products.extend(sums[..x.len()].iter().map(|sums| sums.iter().sum::<f32>()));
        }
        products
    }
}

#[cfg(test)]
mod tests {
    use super::{super::formats::TYPES, *};

    fn numbers(count: usize, step: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * step % 1009) as f32 / 504.0 - 1.0) * 0.7).collect()
    }

    fn x(many: usize, columns: usize) -> Tensor {
        Tensor::from_vec(numbers(many * columns, 71), (many, columns), &Device::Cpu).unwrap()
    }

    fn matrix(dtype: GgmlDType, rows: usize, columns: usize) -> Quantised {
        let dense = Tensor::from_vec(numbers(rows * columns, 37), (rows, columns), &Device::Cpu);
        let quantised = QTensor::quantize(&dense.unwrap(), dtype).unwrap();
        let bytes = quantised.data().unwrap().into_owned();
        Quantised::new(dtype, (rows, columns), bytes, &Device::Cpu).unwrap()
    }

    fn largest(a: &Tensor, b: &Tensor) -> f32 {
        assert_eq!(a.dims(), b.dims());
        let all = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        all.to_vec1::<f32>().unwrap().into_iter().fold(0.0, |a, b| if a >= b { a } else { b })
    }

    #[test]
    fn a_product_is_that_with_the_dense_matrix() {
        for dtype in TYPES {
            for (many, rows, columns) in
                [(1, 1, 256), (3, 200, 512), (FEW, 65, 256), (FEW + 1, 130, 256)]
            {
                let (matrix, x) = (matrix(dtype, rows, columns), x(many, columns));
                let expected = x.matmul(&matrix.dense().unwrap().t().unwrap()).unwrap();
                let difference = largest(&matrix.multiply(&x).unwrap(), &expected);
                assert!(difference < 1e-4, "{dtype:?} {many} {rows} {columns}: {difference}");
            }
        }
        assert!(matrix(GgmlDType::Q4_0, 2, 32).multiply(&x(1, 64)).is_err());
    }

    #[test]
    fn rows_of_x_do_not_depend_on_each_other() {
        for dtype in TYPES {
            let (matrix, x) = (matrix(dtype, 70, 256), x(FEW, 256));
            let together = matrix.multiply(&x).unwrap();
            for i in 0..FEW {
                let alone = matrix.multiply(&x.narrow(0, i, 1).unwrap()).unwrap();
                assert_eq!(largest(&together.narrow(0, i, 1).unwrap(), &alone), 0.0);
            }
        }
    }

    #[test]
    fn rows_and_embeddings_are_rows_of_the_dense_matrix() {
        for dtype in TYPES {
            let matrix = matrix(dtype, 70, 256);
            let dense = matrix.dense().unwrap();
            let order = [69, 0, 3, 3];
            let tokens = Tensor::new(&[[69u32, 0], [3, 3]], &Device::Cpu).unwrap();
            let expected = dense.index_select(&tokens.flatten_all().unwrap(), 0).unwrap();
            let rows = matrix.rows(&order).unwrap().dense().unwrap();
            assert_eq!(largest(&rows, &expected), 0.0);
            let embedded = matrix.embed(&tokens).unwrap();
            assert_eq!(embedded.dims(), [2, 2, 256]);
            assert_eq!(largest(&embedded.reshape((4, 256)).unwrap(), &expected), 0.0);
            assert!(matrix.embed(&Tensor::new(&[[70u32]], &Device::Cpu).unwrap()).is_err());
        }
    }

    #[test]
    fn what_is_no_matrix_is_refused() {
        let new = |dtype, shape, bytes| {
            Quantised::new(dtype, shape, vec![0; bytes], &Device::Cpu).unwrap_err().to_string()
        };
        assert!(new(GgmlDType::Q4_0, (1, 33), 18).contains("33 columns"));
        assert!(new(GgmlDType::F16, (1, 48), 96).contains("48 columns"));
        assert!(new(GgmlDType::Q4_0, (1, 32), 17).contains("18 bytes, not 17"));
        assert!(new(GgmlDType::Q4_0, (0, 32), 0).contains("0 rows"));
        assert!(new(GgmlDType::Q8_1, (1, 32), 36).contains("no type for weights"));
    }
}
