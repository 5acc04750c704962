//! Products of a matrix with many vectors: `y[n] = W x[n]`.
//!
//! A task has some rows of W. It turns a block of them into `f32`, so many that they stay in a
//! cache, and multiplies them by all x before it goes on: W is read and unpacked once for a call,
//! however many x there are. A tile of the products (4 rows by 6 vectors, with the 32 registers of
//! AVX-512) is kept in registers while both are read along their length, which makes 24
//! multiplications of ten loads. Nothing is rounded to fewer bits than `f32` has.

use std::marker::PhantomData;

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{Aligned, LANES, computes, slice};
use crate::decoder::formats::{F32, Format, unpack};

/// Numbers of W that are unpacked at a time, of many vectors: half a megabyte of them.
const BLOCK: usize = 128 << 10;

/// The most rows at a time,
const MOST: usize = 64;
/// and the least, of few vectors, which are soon done with a row: as many as any tile has.
const SMALL: usize = 4;

/// Up to so many vectors are few.
const FEW: usize = 6;

/// Tasks for each thread, so that none waits long for the last.
const TASKS: usize = 4;

/// The products of all rows of a matrix with all `x`, `[N, M]`.
///
/// `rows` has the rows of the matrix, each of them `columns` numbers in the format `F`, a multiple
/// of [`LANES`]; `x` is `[N, columns]`.
pub fn products<F: Format>(rows: &[u8], columns: usize, x: &[f32]) -> Vec<f32> {
    let width = columns / F::NUMBERS * F::BYTES;
    let (num_rows, many) = (rows.len() / width, x.len() / columns);
    let mut y = vec![0.0; many * num_rows];
    let tasks = TASKS * rayon::current_num_threads();
    let of_task = num_rows.div_ceil(tasks).next_multiple_of(SMALL);
    // Of each task, its part of every vector of y.
    let mut parts: Vec<Vec<&mut [f32]>> = Vec::new();
    parts.resize_with(num_rows.div_ceil(of_task), || Vec::with_capacity(many));
    for y in y.chunks_exact_mut(num_rows) {
        parts.iter_mut().zip(y.chunks_mut(of_task)).for_each(|(part, y)| part.push(y));
    }
    let parts = parts.into_par_iter().zip(rows.par_chunks(of_task * width));
    parts.for_each_init(Aligned::default, |room, (mut y, rows)| {
        let format = PhantomData::<F>;
        Arch::new().dispatch(Products { rows, columns, x, y: &mut y, room, format });
    });
    y
}

/// The task: `y[n]` has the products of `rows` with the vector n.
struct Products<'a, 'y, F> {
    rows: &'a [u8],
    columns: usize,
    x: &'a [f32],
    y: &'a mut [&'y mut [f32]],
    room: &'a mut Aligned,
    format: PhantomData<F>,
}

impl<F: Format> WithSimd for Products<'_, '_, F> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { rows, columns, x, y, room, .. } = self;
        let width = columns / F::NUMBERS * F::BYTES;
        let length = columns / S::F32_LANES;
        let of_block = if y.len() > FEW { BLOCK / columns / SMALL * SMALL } else { SMALL };
        let of_block = of_block.clamp(SMALL, MOST);
        let (x, _) = S::as_simd_f32s(x);
        let room = room.room(of_block * columns);
        for (i, block) in rows.chunks(of_block * width).enumerate() {
            let numbers = &mut room[..block.len() / width * columns];
            unpack::<F>(block, numbers);
            let (w, _) = S::as_simd_f32s(numbers);
            multiply(simd, w, x, length, y, i * of_block);
        }
    }
}

/// Vectors of a tile.
const VECTORS: usize = 6;

/// Multiplies all rows of `w` with all `x`, each of `length` vectors: the product of row r with the
/// vector n goes to `y[n][row + r]`.
#[inline(always)]
pub fn multiply<S: Simd>(
    simd: S,
    w: &[S::f32s],
    x: &[S::f32s],
    length: usize,
    y: &mut [impl AsMut<[f32]>],
    row: usize,
) {
    // As many rows of a tile as leave its sums in registers.
    if S::REGISTER_COUNT >= 32 {
        strips::<S, 4>(simd, w, x, length, y, row);
    } else {
        strips::<S, 2>(simd, w, x, length, y, row);
    }
}

/// The same with tiles of `R` rows.
#[inline(always)]
fn strips<S: Simd, const R: usize>(
    simd: S,
    w: &[S::f32s],
    x: &[S::f32s],
    length: usize,
    y: &mut [impl AsMut<[f32]>],
    row: usize,
) {
    let mut first = 0;
    while first + VECTORS <= y.len() {
        let (x, y) = (&x[first * length..], &mut y[first..]);
        strip::<S, R, VECTORS>(simd, w, x, length, y, row);
        first += VECTORS;
    }
    let (x, y) = (&x[first * length..], &mut y[first..]);
    match y.len() {
        0 => {}
        1 => strip::<S, R, 1>(simd, w, x, length, y, row),
        2 => strip::<S, R, 2>(simd, w, x, length, y, row),
        3 => strip::<S, R, 3>(simd, w, x, length, y, row),
        4 => strip::<S, R, 4>(simd, w, x, length, y, row),
        _ => strip::<S, R, 5>(simd, w, x, length, y, row),
    }
}

/// Multiplies all rows of `w` with the first `C` of `x`.
#[inline(always)]
fn strip<S: Simd, const R: usize, const C: usize>(
    simd: S,
    w: &[S::f32s],
    x: &[S::f32s],
    length: usize,
    y: &mut [impl AsMut<[f32]>],
    row: usize,
) {
    let rows = w.len() / length;
    let mut r = 0;
    while r < rows {
        if r + R <= rows {
            tile::<S, R, C>(simd, &w[r * length..], x, length, y, row + r);
            r += R;
        } else {
            tile::<S, 1, C>(simd, &w[r * length..], x, length, y, row + r);
            r += 1;
        }
    }
}

/// The products of the first `R` of `w` with the first `C` of `x`.
///
/// (Loops, and no closures: these would be functions of their own, compiled for no instruction set.)
#[inline(always)]
fn tile<S: Simd, const R: usize, const C: usize>(
    simd: S,
    w: &[S::f32s],
    x: &[S::f32s],
    length: usize,
    y: &mut [impl AsMut<[f32]>],
    row: usize,
) {
    let zero = simd.splat_f32s(0.0);
    let mut rows = [&w[..length]; R];
    for r in 0..R {
        rows[r] = &w[r * length..][..length];
    }
    let mut vectors = [&x[..length]; C];
    for c in 0..C {
        vectors[c] = &x[c * length..][..length];
    }
    let mut sums = [[zero; C]; R];
    for k in 0..length {
        let mut numbers = [zero; R];
        for r in 0..R {
            numbers[r] = rows[r][k];
        }
        for c in 0..C {
            let value = vectors[c][k];
            for r in 0..R {
                sums[r][c] = simd.mul_add_e_f32s(numbers[r], value, sums[r][c]);
            }
        }
    }
    for c in 0..C {
        let y = &mut y[c].as_mut()[row..][..R];
        for r in 0..R {
            y[r] = simd.reduce_sum_f32s(sums[r][c]);
        }
    }
}

/// The product of `x` `[N, K]` with the transposed matrix `[M, K]`, `[N, M]`; both are contiguous,
/// and [`takes`] says whether it can be computed.
pub struct Dense;

/// Whether [`Dense`] multiplies these two.
pub fn takes(x: &Tensor, weight: &Tensor) -> bool {
    let is_taken = |of: &Tensor| computes(of.dtype(), of.device());
    let columns = x.dims().last().copied().unwrap_or(0);
    is_taken(x) && is_taken(weight) && columns > 0 && columns.is_multiple_of(LANES)
}

impl CustomOp2 for Dense {
    fn name(&self) -> &'static str {
        "dense product"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        of_x: &Layout,
        weight: &CpuStorage,
        of_weight: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (many, columns) = of_x.shape().dims2()?;
        let (rows, of_row) = of_weight.shape().dims2()?;
        if columns != of_row || rows == 0 {
            bail!("x has {columns} columns, and the matrix {of_row}");
        }
        let bytes = bytemuck::cast_slice(slice(weight, of_weight)?);
        let products = products::<F32>(bytes, columns, slice(x, of_x)?);
        Ok((CpuStorage::F32(products), Shape::from((many, rows))))
    }
}
