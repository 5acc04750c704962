//! What one call does: the tokens of all rows, and nothing changed for a row without one.

use candle_core::{DType, Device, Tensor};

use super::plan::{Filter, Plan};
use super::rank::{Rank, ranks};
use super::weights::{check, choose, maximum, probabilities};
use crate::reduce::logits::{Logits, readable, view_on_host};
use crate::reduce::{BadRow, NO_TOKEN};
use crate::sample::SampleError;
use crate::{ConceptSampler, Decision, Row};

/// What the map found in each row, where it is kept in the trace.
type Traced = [Result<Row, BadRow>];

/// A token for each row, or why there is none.
type Tokens = Vec<Result<u32, SampleError>>;

impl ConceptSampler {
    /// Samples from every row; `f` changes the weights of each.
    ///
    /// Only rows that get a token take anything from the generator, or leave a row in the trace.
    pub(super) fn sample_rows(
        &mut self,
        logits: &Tensor,
        f: &mut dyn FnMut(&mut [f32]),
    ) -> Result<Tokens, SampleError> {
        let logits = &readable(logits, self.map.map().vocab_size())?;
        let traced = match self.trace {
            Some(_) => Some(self.map.reduce(logits)?.rows()?),
            None => None,
        };
        let tokens = match Plan::of(&self.sampling, self.step.is_some()) {
            Plan::Decide => self.decide(logits, traced.as_deref()),
            Plan::DecideByStep => self.decide_by_step(logits, traced.as_deref()),
            Plan::Draw { temperature } => self.draw(logits, temperature),
            Plan::Weigh { temperature, filter } => self.weigh(logits, temperature, filter, f),
        }?;
        if let (Some(trace), Some(rows)) = (&mut self.trace, traced) {
            let sampled = rows.into_iter().zip(&tokens).filter(|(_, token)| token.is_ok());
            trace.extend(sampled.filter_map(|(row, _)| row.ok()));
        }
        Ok(tokens)
    }

    fn decide(&self, logits: &Tensor, traced: Option<&Traced>) -> Result<Tokens, SampleError> {
        if let Some(rows) = traced {
            return Ok(rows.iter().map(|row| Vote::of(decision(row)).token).collect());
        }
        // Of all that the device found, the tokens alone are copied.
        let tokens = self.map.decide(logits)?.tokens()?.to_vec1::<u32>()?;
        self.or_reasons(logits, tokens.into_iter().map(is_some).collect())
    }

    /// The winners after a step's pooling, which no settled vote needs.
    fn decide_by_step(
        &mut self,
        logits: &Tensor,
        traced: Option<&Traced>,
    ) -> Result<Tokens, SampleError> {
        let votes = self.votes(logits, traced)?;
        if votes.iter().all(|vote| vote.is_settled) {
            return Ok(votes.into_iter().map(|vote| vote.token).collect());
        }
        let mut pooled = on_host(&self.map.pool(logits)?)?;
        let Self { map, step, .. } = self;
        let concepts = map.map().concept_ids();
        let rows = pooled.chunks_exact_mut(concepts.len()).zip(votes).enumerate();
        let decide = |(i, (pooled, vote)): (usize, (&mut [f32], Vote))| match step {
            Some(step) if !vote.is_settled => {
                step.pool(pooled, &row(logits, i)?, concepts)?;
                let winner = ranks(pooled, Some(concepts)).max();
                winner.map_or(vote.token, |winner| Ok(winner.token()))
            }
            _ => vote.token,
        };
        Ok(rows.map(decide).collect())
    }

    fn draw(&mut self, logits: &Tensor, temperature: f64) -> Result<Tokens, SampleError> {
        let (drawn, noise) = self.noise.draw(&self.map, logits, temperature)?;
        let tokens = self.or_reasons(logits, drawn.iter().copied().map(is_some).collect())?;
        self.noise.keep(&drawn, noise);
        Ok(tokens)
    }

    fn weigh(
        &mut self,
        logits: &Tensor,
        temperature: f64,
        filter: Filter,
        f: &mut dyn FnMut(&mut [f32]),
    ) -> Result<Tokens, SampleError> {
        let mut rows = self.pooled_on_host(logits)?;
        let width = self.map.map().vocab_size();
        // Before anything is drawn, since finding the reasons may fail.
        let maxima = rows.chunks_exact(width).map(maximum).collect();
        let maxima = self.or_reasons(logits, maxima)?;
        let Self { rng, map, step, .. } = self;
        let concepts = map.map().concept_ids();
        let mut choose = |i: usize, pooled: &mut [f32], mut max: f32| {
            if let Some(step) = step {
                step.pool(pooled, &row(logits, i)?, concepts)?;
                max = pooled.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            }
            let mut weights = probabilities(pooled, max, temperature)?;
            f(&mut weights);
            let rank = |t: usize, weight| Rank::of_weight(weight, pooled[t], concepts[t], t as u32);
            let token = check(&weights).and_then(|()| choose(weights, filter, rank, rng));
            token.map(|t| t as u32).map_err(|problem| SampleError::Weights { row: i, problem })
        };
        let rows = rows.chunks_exact_mut(width).zip(maxima).enumerate();
        Ok(rows.map(|(i, (row, max))| choose(i, row, max?)).collect())
    }

    /// The logits of all rows, pooled if the map pools anything. If not, they are the caller's own,
    /// from which candle's own probabilities follow to the bit.
    fn pooled_on_host(&self, logits: &Tensor) -> Result<Vec<f32>, SampleError> {
        let map = self.map.map();
        if self.step.is_none() && map.num_concepts() == map.vocab_size() {
            self.map.check(logits)?;
            // It may be a view of far more than it shows.
            return on_host(&view_on_host(logits)?);
        }
        on_host(&self.map.pool(logits)?)
    }

    fn votes(&self, logits: &Tensor, traced: Option<&Traced>) -> Result<Vec<Vote>, SampleError> {
        Ok(match traced {
            Some(rows) => rows.iter().map(|row| Vote::of(decision(row))).collect(),
            None => self.map.decide(logits)?.rows()?.into_iter().map(Vote::of).collect(),
        })
    }

    /// What was found in every row, or the reason why a row has nothing.
    fn or_reasons<T>(
        &self,
        logits: &Tensor,
        found: Vec<Option<T>>,
    ) -> Result<Vec<Result<T, SampleError>>, SampleError> {
        if found.iter().all(Option::is_some) {
            return Ok(found.into_iter().flatten().map(Ok).collect());
        }
        let votes = self.votes(logits, None)?;
        let or_reason = |(row, (found, vote)): (usize, (Option<T>, Vote))| {
            let nothing = || SampleError::Weights { row, problem: "nothing was drawn".to_owned() };
            found.ok_or_else(|| vote.token.err().unwrap_or_else(nothing))
        };
        Ok(found.into_iter().zip(votes).enumerate().map(or_reason).collect())
    }
}

/// What the map's vote on a row came to.
struct Vote {
    token: Result<u32, SampleError>,
    /// Whether no pooling can change it: one token has more than half of it, or there is none.
    is_settled: bool,
}

impl Vote {
    fn of(decision: Result<Decision, BadRow>) -> Self {
        let is_settled = decision.is_ok_and(|decision| decision.representative_prob > 0.5);
        let is_settled = is_settled || decision.is_err();
        let token = decision.map(|decision| decision.representative);
        Self { token: token.map_err(SampleError::from), is_settled }
    }
}

fn decision(row: &Result<Row, BadRow>) -> Result<Decision, BadRow> {
    row.map(|row| row.decision())
}

/// The token, unless it is the one that stands for none.
fn is_some(token: u32) -> Option<u32> {
    (token != NO_TOKEN).then_some(token)
}

/// Row `i` of logits `[B, V]`, or the one of `[V]`.
fn row(logits: &Tensor, i: usize) -> candle_core::Result<Tensor> {
    if logits.rank() == 1 { Ok(logits.clone()) } else { logits.get(i) }
}

/// All rows, one after the other.
fn on_host(logits: &Tensor) -> Result<Vec<f32>, SampleError> {
    if let [rows, width] = *logits.dims() {
        Logits::check_room(rows, width, &Device::Cpu)?;
    }
    let logits = logits.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    Ok(logits.flatten_all()?.to_vec1()?)
}
