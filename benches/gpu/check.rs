//! Every rival against the oracle, before it is timed.

use anyhow::{Context, ensure};
use candle_core::{DType, Device, Tensor};
use concept_mass::reduce::{Decision, ReduceError};
use concept_mass::{Noise, Row, reference};
use rayon::prelude::*;

use super::inputs::{DISTINCT_ROWS, Inputs, SEED};
use super::rival::Rival;
use crate::common::probability_is;

/// So many draws are checked at least.
const MIN_DRAWS: usize = 8;

/// What the oracle says of one distinct row.
struct Expected {
    row: reference::ReferenceRow,
    masses: Vec<f64>,
    pooled: Vec<f64>,
    measured: Vec<reference::ReferenceSetMass>,
}

impl Inputs {
    /// The first set and the last: every rival, every row of decisions, and of what has a number
    /// for each concept or token, as many rows as differ, from the end.
    pub fn check(&self) -> anyhow::Result<()> {
        let expected = self.expected()?;
        let mut ends = vec![0, self.sets.len() - 1];
        ends.dedup();
        for set in ends {
            let of_row = |row: usize| &expected[(set * self.case.batch + row) % DISTINCT_ROWS];
            self.check_decisions(set, of_row)
                .and_then(|()| self.check_vectors(set, of_row))
                .and_then(|()| self.check_measured(set, of_row))
                .and_then(|()| self.check_draws(set))
                .and_then(|()| self.check_replay(of_row))
                .and_then(|()| self.check_floor(set))
                .and_then(|()| self.check_samplers(set))
                .with_context(|| format!("{}, set {set}", self.case.name()))?;
        }
        Ok(())
    }

    fn expected(&self) -> anyhow::Result<Vec<Expected>> {
        let used = DISTINCT_ROWS.min(self.sets.len() * self.case.batch);
        let rows = self.rows.narrow(0, 0, used)?.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        let (map, token_sets) = (self.map.map(), self.token_sets.sets());
        let expected = rows.par_iter().map(|logits| {
            Ok(Expected {
                row: reference::reduce(map, logits)?,
                masses: reference::masses(map, logits)?,
                pooled: reference::pool(map, logits)?,
                measured: reference::measure(token_sets, logits)?,
            })
        });
        Ok(expected.collect::<Result<_, ReduceError>>()?)
    }

    fn check_decisions<'a>(
        &self,
        set: usize,
        expected: impl Fn(usize) -> &'a Expected,
    ) -> anyhow::Result<()> {
        let logits = &self.sets[set];
        let decided = self.map.decide(logits)?;
        let tokens = decided.tokens()?.to_vec1::<u32>()?;
        let decided = decided.rows()?;
        let reduced = self.map.reduce(logits)?.rows()?;
        let on_host = self.on_host(logits)?.rows()?;
        let argmax = self.gpu.kernels.read(&self.gpu.kernels.argmax(logits)?)?;
        // It takes long, so it is not asked where it is not measured.
        let is_rival = self.rivals().any(|rival| rival == Rival::CandleChain);
        let chain = is_rival.then(|| self.candle_chain(logits)?.to_vec1::<u32>()).transpose()?;
        for i in 0..self.case.batch {
            let want = &expected(i).row;
            is_decided_right(&decided[i]?, want).context("decide")?;
            is_right(&reduced[i]?, want).context("reduce")?;
            is_right(&on_host[i]?, want).context("the CPU")?;
            ensure!(tokens[i] == want.representative, "token {i}: {}", tokens[i]);
            let error = f64::from(reduced[i]?.concept_entropy) - want.concept_entropy;
            ensure!(error.abs() < 1e-3, "concept entropy {i} is off by {error}");
            ensure!(argmax[i] == want.greedy, "argmax {i}: {}", argmax[i]);
            // candle rounds probabilities and their sums to the logits' dtype, so that in bf16
            // its chain may well decide otherwise.
            if let (Some(chain), DType::F32) = (&chain, logits.dtype()) {
                ensure!(chain[i] == want.winner, "candle's chain {i}: {}", chain[i]);
            }
        }
        Ok(())
    }

    fn check_vectors<'a>(
        &self,
        set: usize,
        expected: impl Fn(usize) -> &'a Expected,
    ) -> anyhow::Result<()> {
        let logits = &self.sets[set];
        let batch = self.case.batch;
        let count = batch.min(DISTINCT_ROWS);
        let last = |all: Tensor| all.narrow(0, batch - count, count)?.to_vec2::<f32>();
        let masses = last(self.map.masses(logits)?)?;
        let pooled = last(self.map.pool(logits)?)?;
        for i in 0..count {
            let want = expected(batch - count + i);
            for (concept, (&got, &want)) in masses[i].iter().zip(&want.masses).enumerate() {
                ensure!(probability_is(got, want), "mass of {concept} is {got}, not {want}");
            }
            for (token, (&got, &want)) in pooled[i].iter().zip(&want.pooled).enumerate() {
                let same = f64::from(got) == want || (f64::from(got) - want).abs() < 1e-4;
                ensure!(same, "pooled logit of {token} is {got}, not {want}");
            }
        }
        Ok(())
    }

    fn check_measured<'a>(
        &self,
        set: usize,
        expected: impl Fn(usize) -> &'a Expected,
    ) -> anyhow::Result<()> {
        for (row, got) in self.token_sets.measure(&self.sets[set])?.rows()?.into_iter().enumerate()
        {
            for (i, (got, want)) in got?.iter().zip(&expected(row).measured).enumerate() {
                let shares = got.concentration.zip(want.concentration);
                let right = probability_is(got.mass, want.mass)
                    && shares.is_none_or(|(got, want)| probability_is(got, want));
                ensure!(right, "set {i} of row {row}: {got:?} instead of {want:?}");
            }
        }
        Ok(())
    }

    /// Draws are the host's, which the tests hold against the probabilities; unless a number falls
    /// where rounding decides, which one in hundreds may do.
    fn check_draws(&self, set: usize) -> anyhow::Result<()> {
        let logits = &self.sets[set];
        let on_host = logits.to_device(&Device::Cpu)?;
        for temperature in [1.0, 0.7] {
            let [mut noise, mut host_noise] =
                [Noise::new(SEED, &self.gpu.device)?, Noise::new(SEED, &Device::Cpu)?];
            let (mut got, mut want) = (Vec::new(), Vec::new());
            while got.len() < MIN_DRAWS {
                let drawn = self.map.sample(logits, temperature, &mut noise)?;
                got.extend(drawn.to_vec1::<u32>()?);
                let drawn = self.host_map.sample(&on_host, temperature, &mut host_noise)?;
                want.extend(drawn.to_vec1::<u32>()?);
            }
            let differ = got.iter().zip(&want).filter(|(got, want)| got != want).count();
            let may_differ = 1 + got.len() / 32;
            ensure!(differ <= may_differ, "draws at {temperature}: {got:?}, not {want:?}");
        }
        Ok(())
    }

    fn check_replay<'a>(&self, expected: impl Fn(usize) -> &'a Expected) -> anyhow::Result<()> {
        if self.rivals().all(|rival| rival != Rival::Replay) {
            return Ok(());
        }
        for (row, got) in self.replay()?.rows()?.into_iter().enumerate() {
            is_decided_right(&got?, &expected(row).row).context("a replay")?;
        }
        Ok(())
    }

    /// The kernel that only reads must have read everything.
    fn check_floor(&self, set: usize) -> anyhow::Result<()> {
        let logits = &self.sets[set];
        let sums = self.gpu.kernels.read(&self.gpu.kernels.read_all(logits)?)?;
        let got = sums.into_iter().fold(0, u32::wrapping_add);
        let of_rows = words(&self.rows)?;
        let want = (0..self.case.batch)
            .map(|row| of_rows[(set * self.case.batch + row) % DISTINCT_ROWS])
            .fold(0, u32::wrapping_add);
        ensure!(got == want, "the floor adds up to {got}, not {want}");
        Ok(())
    }
}

fn is_right(got: &Row, want: &reference::ReferenceRow) -> anyhow::Result<()> {
    is_decided_right(&got.decision(), want)?;
    let second = got.runner_up.map_or(0.0, |runner_up| runner_up.mass);
    let wanted = want.runner_up.map_or(0.0, |runner_up| runner_up.mass);
    ensure!(probability_is(second, wanted), "{got:?} instead of {want:?}");
    Ok(())
}

fn is_decided_right(got: &Decision, want: &reference::ReferenceRow) -> anyhow::Result<()> {
    let log_z_error = f64::from(got.log_z) - want.log_z;
    let right = got.winner == want.winner
        && got.representative == want.representative
        && got.greedy == want.greedy
        && probability_is(got.mass, want.mass)
        && log_z_error.abs() < 1e-4;
    ensure!(right, "{got:?} instead of {want:?}");
    Ok(())
}

/// The sum of the 32-bit words of each row.
fn words(rows: &Tensor) -> anyhow::Result<Vec<u32>> {
    let add = |words: &mut dyn Iterator<Item = u32>| words.fold(0, u32::wrapping_add);
    Ok(match rows.dtype() {
        DType::F32 => {
            let rows = rows.to_vec2::<f32>()?;
            rows.iter().map(|row| add(&mut row.iter().map(|x| x.to_bits()))).collect()
        }
        _ => {
            let rows = rows.to_vec2::<half::bf16>()?;
            let word = |pair: &[half::bf16]| {
                u32::from(pair[0].to_bits()) | u32::from(pair[1].to_bits()) << 16
            };
            rows.iter().map(|row| add(&mut row.chunks_exact(2).map(word))).collect()
        }
    })
}
