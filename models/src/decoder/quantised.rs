//! Matrices as GGUF files have them, and products with them.
//!
//! On a CPU the file's bytes are all that is kept, and products unpack them as they go: the numbers
//! of the matrix are exact, and x is not rounded. (candle's own kernels and llama.cpp's round x to 8
//! bits; and where candle's are fast, they keep a second copy of the matrix in an order of their
//! own.) On another device, candle's kernels are used.

use std::{borrow::Cow, marker::PhantomData, sync::Arc};

use candle_core::{
    CpuStorage, CustomOp1, Device, Layout, Result, Shape, Tensor, bail,
    quantized::{GgmlDType, QStorage, QTensor},
};
use pulp::{Arch, NullaryFnOnce};

use super::cpu::{product::products, slice};
use super::formats::{Format, block, unpack, with_format};

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

    /// Whether products round what they multiply to 8 bits, as candle's kernels for CUDA do.
    pub fn rounds(&self) -> bool {
        match &self.data {
            Data::Cpu(_) => false,
            Data::Device(tensor) => tensor.device().is_cuda(),
        }
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
        let (_, columns) = x.dims2()?;
        if columns != self.columns {
            bail!("x has {columns} columns, and the matrix {}", self.columns);
        }
        x.contiguous()?.apply_op1_no_bwd(&Product { matrix: self, bytes })
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
}

/// What [`Quantised::multiply`] does on a CPU.
struct Product<'a> {
    matrix: &'a Quantised,
    bytes: &'a [u8],
}

impl CustomOp1 for Product<'_> {
    fn name(&self) -> &'static str {
        "quantised product"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (many, columns) = layout.shape().dims2()?;
        let (x, Quantised { dtype, rows, .. }) = (slice(x, layout)?, self.matrix);
        let products = with_format!(*dtype, F => products::<F>(self.bytes, columns, x));
        Ok((CpuStorage::F32(products.unwrap_or_default()), Shape::from((many, *rows))))
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
        let mut all = vec![0.0; self.rows.len() / F::BYTES * F::NUMBERS];
        unpack::<F>(self.rows, &mut all);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::{super::formats::TYPES, *};

    /// More than a tile, and no multiple of it.
    const MANY: usize = 16;

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
                [(1, 1, 256), (3, 200, 512), (6, 65, 256), (MANY, 130, 256)]
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
            let (matrix, x) = (matrix(dtype, 70, 256), x(MANY, 256));
            let together = matrix.multiply(&x).unwrap();
            for i in 0..MANY {
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
