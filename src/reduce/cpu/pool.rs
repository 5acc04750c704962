//! Logits in which concepts stand for their tokens.

use super::Tables;
use super::gather::{ForEachMass, Members};
use super::logit::Logit;
use super::pass::{Pass, likeliest};
use super::rows::{self, Operation, Rows};
use super::scale::Scale;
use super::simd::Isa;
use super::stream::WriteRelative;
use crate::ConceptMap;
use crate::reduce::ReduceError;
use crate::reduce::logits::{Logits, zeros};

/// Every row's pooled logits, relative to the row's maximum, `[B, V]`; NaN in rows without a
/// normaliser.
pub(crate) fn pool(
    map: &ConceptMap,
    tables: &Tables,
    logits: &Logits,
) -> Result<Vec<f32>, ReduceError> {
    let mut out = zeros(logits.rows(), map.vocab_size())?;
    rows::run(Pool { map, tables, out: &mut out }, logits)?;
    Ok(out)
}

struct Pool<'a> {
    map: &'a ConceptMap,
    tables: &'a Tables,
    out: &'a mut [f32],
}

impl Operation for Pool<'_> {
    type Output = ();

    fn run<I: Isa, T: Logit>(self, isa: I, rows: Rows<'_, T>) {
        let Self { map, tables, out } = self;
        rows.for_each(out.chunks_mut(map.vocab_size()), |row, out| {
            pool_row(Pass { isa, row, split: false }, map, tables, out);
        });
    }
}

fn pool_row<I: Isa, T: Logit>(
    pass: Pass<'_, I, T>,
    map: &ConceptMap,
    tables: &Tables,
    out: &mut [f32],
) {
    let Pass { isa, row, .. } = pass;
    let Ok(z) = pass.normaliser() else {
        return out.fill(f32::NAN);
    };
    isa.vectorize(WriteRelative { row, scale: z.scale, out });
    let members = Members { row, scale: z.scale, map, table: &tables.gather };
    let each = |concept: u32, weight: f32| {
        let tokens = map.tokens(concept).expect("the table holds concepts of the map");
        if tokens.len() > 1 {
            let representative = likeliest(row, tokens);
            let log_weight = log_weight(row, tokens, representative, z.scale, weight);
            for &token in tokens {
                out[token as usize] = f32::NEG_INFINITY;
            }
            out[representative as usize] = log_weight;
        }
    };
    isa.vectorize(ForEachMass(members, each));
}

/// The logarithm of `weight`, to which the weights of tokens add up on the row's scale: their
/// `ln Σ exp(logit - maximum)`.
fn log_weight<T: Logit>(
    row: &[T],
    tokens: &[u32],
    representative: u32,
    scale: Scale,
    weight: f32,
) -> f32 {
    /// Below it, members' weights may have vanished: it is still far above the least f32.
    const FAINT: f32 = 1e-20;
    if weight >= FAINT {
        return weight.ln();
    }
    // The probability is as good as 0, but a temperature may raise it: so on a scale of its own.
    let likeliest: f32 = row[representative as usize].into();
    match Scale::of(likeliest) {
        None => f32::NEG_INFINITY,
        Some(own) => {
            let weights = tokens.iter().map(|&t| own.weight(row[t as usize].into()));
            scale.relative(likeliest) + weights.sum::<f64>().ln() as f32
        }
    }
}
