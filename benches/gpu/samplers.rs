//! Whether other samplers are right, before they are timed.

use anyhow::{Context, ensure};
use candle_core::DType;
use rayon::prelude::*;

use super::inputs::{DISTINCT_ROWS, Inputs};
use super::rival::Rival;
use crate::common::probability_is;
use crate::samplers::{Filter, Way, candle_probs};

/// So many draws of each are checked at least.
const MIN_DRAWS: usize = 16;

impl Inputs {
    /// Each of those measured here, on a set of logits.
    pub(super) fn check_samplers(&self, set: usize) -> anyhow::Result<()> {
        let samplers = self.rivals().filter(|rival| Rival::SAMPLERS.contains(rival));
        let samplers: Vec<Rival> = samplers.collect();
        if samplers.is_empty() {
            return Ok(());
        }
        let distinct = self.rows.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        let places = (set * self.case.batch..).take(self.case.batch);
        let rows: Vec<&[f64]> = places.map(|row| &distinct[row % DISTINCT_ROWS][..]).collect();
        for rival in samplers {
            match rival {
                Rival::Sampler(way, filter) => self.check_sampler(set, (way, filter), &rows),
                _ => self.check_candle(set, &rows),
            }
            .with_context(|| rival.name())?;
        }
        Ok(())
    }

    /// Whether tokens are of those that are left. How often each is sampled, the counters check.
    fn check_sampler(
        &self,
        set: usize,
        (way, filter): (Way, Filter),
        rows: &[&[f64]],
    ) -> anyhow::Result<()> {
        let samplers = &self.gpu.samplers;
        let sample = |seed| samplers.read(&samplers.sample(way, &self.sets[set], filter, seed)?);
        let draws = MIN_DRAWS.div_ceil(rows.len()) as u64;
        let tokens = (0..draws).map(sample).collect::<anyhow::Result<Vec<_>>>()?;
        (0..rows.len().min(DISTINCT_ROWS)).into_par_iter().try_for_each(|first| {
            let kept = way.cut(filter).of(rows[first]);
            let same_row = (first..rows.len()).step_by(DISTINCT_ROWS);
            let mut of_row = same_row.flat_map(|row| tokens.iter().map(move |batch| batch[row]));
            of_row.try_for_each(|token| kept.check(token))
        })
    }

    /// The probabilities of the last row.
    fn check_candle(&self, set: usize, rows: &[&[f64]]) -> anyhow::Result<()> {
        let last = rows.len() - 1;
        let (probs, logits) = (&candle_probs(&self.sets[set])?[last], rows[last]);
        let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let all: f64 = logits.iter().map(|logit| (logit - max).exp()).sum();
        for (token, (&got, logit)) in probs.iter().zip(logits).enumerate() {
            let want = (logit - max).exp() / all;
            ensure!(probability_is(got, want), "that of {token} is {got}, not {want}");
        }
        Ok(())
    }
}
