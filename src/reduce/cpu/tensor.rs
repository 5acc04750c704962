//! From logits on the CPU to results on the CPU.

use candle_core::{Device, Tensor};

use super::noise::Noise;
use super::{Logit, Tables};
use crate::reduce::ReduceError;
use crate::reduce::Row;
use crate::reduce::logits::{Logits, OnRows, Rows};
use crate::{ConceptMap, TokenSets};

pub(crate) fn reduce(
    map: &ConceptMap,
    tables: &Tables,
    logits: &Logits,
) -> Result<Vec<Row>, ReduceError> {
    logits.on_cpu(Reduce { map, tables })
}

/// `[C]` or `[B, C]`.
pub(crate) fn masses(
    map: &ConceptMap,
    tables: &Tables,
    logits: &Logits,
) -> Result<Tensor, ReduceError> {
    let width = map.num_concepts();
    let mut out = vec![0f32; logits.rows() * width];
    logits.on_cpu(Masses { map, tables, out: &mut out })?;
    Ok(Tensor::from_vec(out, logits.shape_of(width), &Device::Cpu)?)
}

/// `[V]` or `[B, V]`.
pub(crate) fn pool(
    map: &ConceptMap,
    tables: &Tables,
    logits: &Logits,
) -> Result<Tensor, ReduceError> {
    let width = map.vocab_size();
    let mut out = vec![0f32; logits.rows() * width];
    logits.on_cpu(Pool { map, tables, out: &mut out })?;
    Ok(Tensor::from_vec(out, logits.shape_of(width), &Device::Cpu)?)
}

/// A token for each row, `[B]`, drawn with the noise of a seed and an offset.
pub(crate) fn draw(
    map: &ConceptMap,
    tables: &Tables,
    logits: &Logits,
    inverse_temperature: f32,
    (seed, offset): (u64, u64),
) -> Result<Tensor, ReduceError> {
    let pooled = pool(map, tables, logits)?.flatten_all()?.to_vec1::<f32>()?;
    let rows = (0..).zip(pooled.chunks(map.vocab_size()));
    let draw = |(row, pooled)| Noise { seed, offset, row }.draw(map, pooled, inverse_temperature);
    let tokens: Vec<u32> = rows.map(draw).collect();
    Ok(Tensor::from_vec(tokens, logits.rows(), &Device::Cpu)?)
}

/// Masses and concentrations, `[P]` or `[B, P]`.
pub(crate) fn measure(sets: &TokenSets, logits: &Logits) -> Result<(Tensor, Tensor), ReduceError> {
    let width = sets.len();
    let mut masses = vec![0f32; logits.rows() * width];
    let mut concentrations = masses.clone();
    let out = (masses.as_mut_slice(), concentrations.as_mut_slice());
    logits.on_cpu(Probe { sets, out })?;
    let tensor = |out| Tensor::from_vec(out, logits.shape_of(width), &Device::Cpu);
    Ok((tensor(masses)?, tensor(concentrations)?))
}

struct Reduce<'a> {
    map: &'a ConceptMap,
    tables: &'a Tables,
}

impl OnRows for Reduce<'_> {
    type Output = Vec<Row>;
    fn run<T: Logit>(self, rows: Rows<'_, T>) -> Vec<Row> {
        super::reduce(self.map, self.tables, rows)
    }
}

struct Masses<'a> {
    map: &'a ConceptMap,
    tables: &'a Tables,
    out: &'a mut [f32],
}

impl OnRows for Masses<'_> {
    type Output = ();
    fn run<T: Logit>(self, rows: Rows<'_, T>) {
        super::masses(self.map, self.tables, rows, self.out);
    }
}

struct Pool<'a> {
    map: &'a ConceptMap,
    tables: &'a Tables,
    out: &'a mut [f32],
}

impl OnRows for Pool<'_> {
    type Output = ();
    fn run<T: Logit>(self, rows: Rows<'_, T>) {
        super::pool(self.map, self.tables, rows, self.out);
    }
}

struct Probe<'a> {
    sets: &'a TokenSets,
    out: (&'a mut [f32], &'a mut [f32]),
}

impl OnRows for Probe<'_> {
    type Output = ();
    fn run<T: Logit>(self, rows: Rows<'_, T>) {
        super::measure(self.sets, rows, self.out.0, self.out.1);
    }
}
