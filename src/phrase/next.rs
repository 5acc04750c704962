//! What a model says next: asking it, and reading the probabilities of single tokens off its logits.

use candle_core::{DType, Tensor};

use super::model::{NextLogits, PhraseCost};
use crate::phrase::PhraseError;
use crate::reduce::logits::readable;
use crate::{BadRow, Decision, DeviceMap};

/// The most rows of a forward pass, unless the caller sets another number.
pub(super) const MAX_BATCH: usize = 64;

/// The logits `[N, V]` of what follows `sequences`, in a dtype that can be reduced; counted in
/// `cost`.
pub(super) fn ask(
    model: &mut impl NextLogits,
    sequences: &[Vec<u32>],
    vocab_size: usize,
    cost: &mut PhraseCost,
) -> Result<Tensor, PhraseError> {
    *cost += PhraseCost { passes: 1, batch: sequences.len(), rows: sequences.len() };
    let logits = model.next_logits(sequences)?;
    if logits.dims() != [sequences.len(), vocab_size] {
        let expected = (sequences.len(), vocab_size);
        return Err(PhraseError::ModelOutput { expected, got: logits.shape().clone() });
    }
    Ok(readable(&logits, vocab_size)?)
}

/// Pads a sequence to `length`, so that it can wait in a batch for longer ones: nobody looks at the
/// logits there, so any token will do.
pub(super) fn padded(mut sequence: Vec<u32>, length: usize) -> Vec<u32> {
    let filler = sequence.last().copied().unwrap_or_default();
    sequence.resize(length, filler);
    sequence
}

/// The likeliest token of a row of logits, against which the others are measured.
#[derive(Debug, Clone, Copy)]
pub(super) struct Likeliest {
    pub token: u32,
    pub ln_probability: f64,
}

impl Likeliest {
    /// That of every row of `logits` `[N, V]`, or why a row has none.
    pub fn of(logits: &Tensor, map: &DeviceMap) -> Result<Vec<Result<Self, BadRow>>, PhraseError> {
        let rows = map.decide(logits)?.rows()?;
        Ok(rows.into_iter().map(|row| row.map(|row| Self::in_decision(&row))).collect())
    }

    /// That of a row which has been decided.
    pub fn in_decision(row: &Decision) -> Self {
        // Its probability is 1 / V at least, whatever the logits: the log is exact to `f32`.
        Self { token: row.greedy, ln_probability: f64::from(row.greedy_prob).ln() }
    }

    /// `ln P` of a token by its logit and that of the likeliest, both of one row.
    ///
    /// It is formed relative to the row's largest logit, never from a normaliser that is as large
    /// as the logits are; and never by way of the probability, which `f32` holds only down to some
    /// 88 nats below the largest.
    pub fn ln(self, logit: f32, largest: f32) -> f64 {
        f64::from(logit) - f64::from(largest) + self.ln_probability
    }
}

/// `ln P` of the tokens `wanted[i]` in row `i` of `logits` `[N, V]`, in their order, or why a row
/// has no [`Likeliest`] to measure them against.
///
/// The logits are reduced on their device. Of each row, those of the wanted tokens and the largest
/// one are copied to the host, and nothing else.
pub(super) fn ln_probabilities(
    logits: &Tensor,
    map: &DeviceMap,
    wanted: &[Vec<u32>],
) -> Result<Vec<Result<Vec<f64>, BadRow>>, PhraseError> {
    let likeliest = Likeliest::of(logits, map)?;
    let vocab_size = map.map().vocab_size();
    let mut places = Vec::new();
    for (row, (likeliest, wanted)) in likeliest.iter().zip(wanted).enumerate() {
        if let Ok(Likeliest { token, .. }) = likeliest {
            let place = |token: &u32| (row * vocab_size) as i64 + i64::from(*token);
            places.extend([token].into_iter().chain(wanted).map(place));
        }
    }
    let mut picked = pick(logits, places)?.into_iter();
    let rows = likeliest.iter().zip(wanted).map(|(likeliest, wanted)| {
        let likeliest = (*likeliest)?;
        // As many are picked for each row: the largest and those that are wanted.
        let largest = picked.next().unwrap_or_default();
        Ok(picked.by_ref().take(wanted.len()).map(|l| likeliest.ln(l, largest)).collect())
    });
    Ok(rows.collect())
}

/// The logits at these places of the flattened `logits`.
fn pick(logits: &Tensor, places: Vec<i64>) -> candle_core::Result<Vec<f32>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let places = Tensor::new(places, logits.device())?;
    // Of strided ones, candle selects nothing.
    let logits = logits.contiguous()?.flatten_all()?;
    logits.index_select(&places, 0)?.to_dtype(DType::F32)?.to_vec1()
}
