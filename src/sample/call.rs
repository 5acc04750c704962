//! What one call of a [`ConceptSampler`] does. It changes nothing unless it gives a token.

use candle_core::{DType, Device, Tensor};
use rand::{RngCore, rngs::StdRng};

use super::noise::SeededNoise;
use super::settings::{Settings, words};
use super::step::StepPooling;
use super::weights::{check, maximum, probabilities};
use super::{Sampled, Sampling, TokenMask};
use crate::reduce::cpu::sample::{
    Adjust, Concepts, Filter, Request, TopP, adjusted_row, by_share, choose, sample_rows,
};
use crate::reduce::logits::{Logits, readable, view_on_host};
use crate::reduce::{BadRow, NO_TOKEN, ReduceError};
use crate::sample::SampleError;
use crate::{ConceptSampler, DeviceMap};

/// A caller's change of the weights.
pub(super) type Change<'a> = &'a mut dyn FnMut(&mut [f32]);

impl ConceptSampler {
    /// Samples from the only row of `logits`; `change` changes the weights, if there is one.
    pub(super) fn sample_row(
        &mut self,
        logits: &Tensor,
        mask: Option<TokenMask<'_>>,
        change: Option<Change<'_>>,
    ) -> Result<Sampled, SampleError> {
        if let [rows, _] = *logits.dims()
            && rows != 1
        {
            return Err(SampleError::NotOneRow { rows });
        }
        let logits = &readable(logits, self.map.map().vocab_size())?;
        if let Some(mask) = &mask {
            mask.check(1)?;
        }
        let vote = match self.trace {
            Some(_) => self.map.reduce(logits)?.rows()?.pop(),
            None => None,
        };
        let settings = Settings::of_sampling(&self.sampling, self.emission);
        let adjust = settings.adjust(self.state.seen(), words(mask.as_ref(), 0));
        let mut rng = self.rng.clone();
        let uniform = if settings.draws() { uniform(&mut rng) } else { 0.0 };
        let call = Call { map: &self.map, settings, adjust, uniform, logits };
        let sampled = match (call.on_device(&self.sampling), &mut self.step, change) {
            (Some(OnDevice::Decide), None, _) => call.decide(),
            (Some(OnDevice::Draw), None, _) => call.draw(&mut self.noise),
            (_, None, None) => call.sample(),
            (_, step, change) => call.sample_pooled(step.as_mut(), change),
        }?;
        self.rng = rng;
        self.state.advance(sampled.token);
        if let (Some(trace), Some(Ok(vote))) = (&mut self.trace, vote) {
            trace.push(vote);
        }
        Ok(sampled)
    }
}

/// A number from 0 to below 1: the one that rand's `Uniform` takes, by which candle draws.
fn uniform(rng: &mut StdRng) -> f64 {
    f64::from(rng.next_u32() >> 9) / f64::from(1 << 23)
}

/// What a device with kernels does without the host.
enum OnDevice {
    Decide,
    Draw,
}

/// One call: a row and all that is asked of it.
struct Call<'a> {
    map: &'a DeviceMap,
    settings: Settings<'a>,
    adjust: Adjust<'a>,
    uniform: f64,
    logits: &'a Tensor,
}

impl Call<'_> {
    /// What can be left to the device.
    fn on_device(&self, sampling: &Sampling) -> Option<OnDevice> {
        let Settings { temperature, log_probs, pooling, .. } = self.settings;
        let is_plain = pooling && log_probs.is_none() && !self.settings.by_share();
        if !is_plain || !self.adjust.is_none() || !self.map.has_kernels() {
            return None;
        }
        match sampling {
            _ if temperature == 0.0 => Some(OnDevice::Decide),
            Sampling::GumbelSoftmax { .. } => Some(OnDevice::Draw),
            _ => None,
        }
    }

    /// The winner, from the row: a tensor of tokens would cost more calls of the device's driver.
    fn decide(&self) -> Result<Sampled, SampleError> {
        match self.map.decide(self.logits)?.rows()?[0] {
            Ok(decision) => Ok(self.sampled(decision.representative)),
            Err(bad) => Err(ReduceError::BadRow(bad).into()),
        }
    }

    /// A draw with noise, which moves on if there is a token.
    fn draw(&self, noise: &mut SeededNoise) -> Result<Sampled, SampleError> {
        let (tokens, after) = noise.draw(self.map, self.logits, self.settings.temperature)?;
        let token = tokens[0];
        if token == NO_TOKEN {
            return Err(self.bad_row()?);
        }
        noise.keep(&tokens, after);
        Ok(self.sampled(token))
    }

    /// On the host, from the logits as they are.
    fn sample(&self) -> Result<Sampled, SampleError> {
        let concepts = match self.settings.pooling {
            true => self.map.concepts_on_host(),
            false => Concepts::Tokens(None),
        };
        let logits = self.map.check(self.logits)?.on_host()?;
        self.sample_from(&logits, concepts, self.adjust)
    }

    fn sample_from(
        &self,
        logits: &Logits,
        concepts: Concepts<'_>,
        adjust: Adjust<'_>,
    ) -> Result<Sampled, SampleError> {
        let request = Request {
            row: 0,
            concepts,
            adjust,
            temperature: self.settings.temperature,
            filter: self.settings.filter,
            by_share: self.settings.by_share(),
            uniform: self.uniform,
            log_probs: self.settings.asked_log_probs(),
        };
        let drawn = sample_rows(&[request], logits)?.remove(0);
        Ok(drawn.map_err(|why| SampleError::undrawn(0, why))?.into())
    }

    /// On the host, from a row in which concepts stand for their tokens already: for a step that
    /// pools more, or for a caller who changes the weights.
    fn sample_pooled(
        &self,
        step: Option<&mut StepPooling>,
        change: Option<Change<'_>>,
    ) -> Result<Sampled, SampleError> {
        let logits = &self.adjusted()?;
        let temperature = self.settings.temperature;
        let map = Some(self.map).filter(|_| self.settings.pooling);
        let ids = map.map(|map| map.map().concept_ids());
        let pools = map.filter(|map| map.map().num_concepts() < map.map().vocab_size());
        // If nothing is pooled, they are the caller's own, from which candle's own probabilities
        // follow to the bit.
        let mut pooled = match pools {
            Some(map) => on_host(&map.pool(logits)?)?,
            None => on_host(&view_on_host(logits)?)?,
        };
        let Some(mut max) = maximum(&pooled) else { return Err(self.bad_row()?) };
        let by_step = step.is_some();
        if let Some(step) = step {
            // The logarithm of a sum has digits only beside a maximum of about 0.
            pooled.iter_mut().for_each(|logit| *logit -= max);
            if temperature == 0.0 && self.is_settled(logits)? {
                return self.sample_from(&row_of(pooled)?, Concepts::Tokens(ids), Adjust::NONE);
            }
            step.pool(&mut pooled, &flat(logits)?, ids)?;
            max = pooled.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        }
        let Some(change) = change else {
            return self.sample_from(&row_of(pooled)?, Concepts::Tokens(ids), Adjust::NONE);
        };
        let mut weights = probabilities(&pooled, max, temperature)?;
        change(&mut weights);
        let unfit = |problem| SampleError::Weights { row: 0, problem };
        check(&weights).map_err(unfit)?;
        let chosen = choose(&weights, ids, self.filter_of(&weights), self.uniform);
        let (place, rest) = chosen.ok_or_else(|| unfit("nothing has a weight".to_owned()))?;
        let mut sampled = self.sampled(place as u32);
        if let (true, false, Some(map)) = (self.settings.by_share(), by_step, pools) {
            let tokens = map.map().tokens(sampled.concept).unwrap_or_default();
            sampled.token = by_share(&on_host(&view_on_host(logits)?)?, tokens, rest);
        }
        Ok(sampled)
    }

    /// The filter for weights that a caller has changed. In candle's modes a share is one of what their
    /// sum was, which is 1.
    fn filter_of(&self, weights: &[f32]) -> Filter {
        let Settings { filter, is_candles, .. } = self.settings;
        if !is_candles {
            return filter;
        }
        let sum: f64 = weights.iter().copied().map(f64::from).sum();
        let p = filter.p.map(|p| TopP { p: p.p / sum, ..p }).filter(|p| p.p < 1.0);
        Filter { p, ..filter }
    }

    /// Whether one token has more than half of the vote, so that no pooling can change it.
    fn is_settled(&self, logits: &Tensor) -> Result<bool, SampleError> {
        if !self.settings.pooling {
            return Ok(false);
        }
        let decision = self.map.decide(logits)?.rows()?.pop();
        Ok(decision.is_some_and(|row| row.is_ok_and(|row| row.representative_prob > 0.5)))
    }

    /// The logits after penalties, bias and mask, where the map is.
    fn adjusted(&self) -> Result<Tensor, SampleError> {
        if self.adjust.is_none() {
            self.map.check(self.logits)?;
            return Ok(self.logits.clone());
        }
        let row = adjusted_row(&self.adjust, &self.map.check(self.logits)?.on_host()?)?;
        let row = row.map_err(|why| SampleError::undrawn(0, why))?;
        Ok(Tensor::new(row, self.map.device())?)
    }

    fn sampled(&self, token: u32) -> Sampled {
        let concept = Some(self.map.map()).filter(|_| self.settings.pooling);
        let concept = concept.and_then(|map| map.concept_of(token)).unwrap_or(token);
        Sampled { token, concept, log_probs: None }
    }

    /// Why the row has no token.
    fn bad_row(&self) -> Result<SampleError, SampleError> {
        let bad: Option<BadRow> = self.map.decide(self.logits)?.rows()?.pop().and_then(Result::err);
        let nothing = || SampleError::Weights { row: 0, problem: "nothing was drawn".to_owned() };
        Ok(bad.map_or_else(nothing, |bad| ReduceError::BadRow(bad).into()))
    }
}

/// A row of logits as it is in the host's memory.
fn row_of(row: Vec<f32>) -> Result<Logits, SampleError> {
    let width = row.len();
    Ok(Logits::check(&Tensor::new(row, &Device::Cpu)?, width, &Device::Cpu)?)
}

/// Logits `[V]` of `[V]` or `[1, V]`.
fn flat(logits: &Tensor) -> candle_core::Result<Tensor> {
    if logits.rank() == 1 { Ok(logits.clone()) } else { logits.get(0) }
}

/// The only row.
fn on_host(logits: &Tensor) -> Result<Vec<f32>, SampleError> {
    Logits::check_room(1, logits.elem_count(), &Device::Cpu)?;
    let logits = logits.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    Ok(logits.flatten_all()?.to_vec1()?)
}
