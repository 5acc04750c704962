//! What a request may ask of its sampler.

use super::range;
use crate::sample::SampleError;

/// How the tokens of one request are sampled: one set for each row of a batch.
///
/// A set is made by [`greedy`](Self::greedy) or [`at`](Self::at) a temperature, and everything else
/// is added to it; what is out of range is refused there. What applies, in this order, to a row of
/// logits `x`, with `n(t)` the number of times that the row has seen token `t`:
///
/// 1. **Penalties** ([`Penalties`]), where `n(t) > 0`: `x ← x / repetition` if `x > 0`, else
///    `x · repetition`; then `x ← x − presence − frequency · n(t)`.
/// 2. **Bias**: `x ← x + bias(t)`.
/// 3. **Mask** ([`TokenMask`](super::TokenMask)): `x ← −∞` for each token that is not allowed.
/// 4. **Pooling**, unless [turned off](Self::with_pooling): a concept's mass is
///    `m = Σ softmax(x)(t)` over its tokens.
/// 5. **Temperature**: a concept's weight is `w = m^(1/T)`. At temperature 0 the concept with the
///    largest mass is taken, and 6 to 8 change nothing.
/// 6. **top_k**: the `k` concepts with the largest mass are left.
/// 7. **top_p**: of those, the fewest that hold the share `p` of *their* weight, the largest first.
/// 8. **min_p**: of those, the ones with `w ≥ min_p · max w`.
///
/// Of what is left, one concept is drawn by weight, and [emitted](Emission). At least one is always
/// left, and what is equal in `f32` is taken by the lowest concept id. A logit further below the
/// row's maximum than `f32` can hold counts as `-inf`.
///
/// docs/SAMPLING.md has a table of what candle, Hugging Face, vLLM and llama.cpp do instead.
///
/// ```
/// use concept_mass::sample::{Penalties, SamplingParams};
///
/// let params = SamplingParams::at(0.8)?
///     .with_top_k(40)?
///     .with_top_p(0.95)?
///     .with_penalties(Penalties { repetition: 1.1, ..Penalties::NONE })?
///     .with_seed(42);
/// assert!(SamplingParams::at(f64::NAN).is_err());
/// assert_eq!((params.temperature(), params.top_k(), params.seed()), (0.8, Some(40), 42));
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    pub(super) temperature: f64,
    pub(super) top_k: Option<usize>,
    pub(super) top_p: f64,
    pub(super) min_p: f64,
    pub(super) penalties: Penalties,
    /// By token, each once.
    pub(super) bias: Vec<(u32, f32)>,
    pub(super) pooling: bool,
    pub(super) emission: Emission,
    pub(super) seed: u64,
    pub(super) log_probs: Option<LogProbs>,
}

/// What tokens pay for having been seen.
///
/// ```
/// use concept_mass::sample::Penalties;
///
/// let like_candles = Penalties { repetition: 1.1, ..Penalties::NONE };
/// assert_eq!(like_candles.presence, 0.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Penalties {
    /// Divides a logit above 0 and multiplies one below; above 0, and 1 for none.
    pub repetition: f32,
    /// Subtracted once; finite, and 0 for none.
    pub presence: f32,
    /// Subtracted for each time; finite, and 0 for none.
    pub frequency: f32,
}

impl Penalties {
    /// No penalty.
    pub const NONE: Self = Self { repetition: 1.0, presence: 0.0, frequency: 0.0 };
}

impl Default for Penalties {
    fn default() -> Self {
        Self::NONE
    }
}

/// Which token is emitted for a concept that was chosen.
///
/// ```
/// # use candle_core::{Device, Tensor};
/// # use concept_mass::ConceptMap;
/// use concept_mass::sample::{Emission, RowSampler, SamplingParams, sample_batch};
///
/// let map = ConceptMap::builder(3).concept("yes", [0, 1])?.build()?.to_device(&Device::Cpu)?;
/// let params = SamplingParams::at(1.0)?.with_emission(Emission::ByShare);
/// let mut rows = [RowSampler::new(params, map)?];
/// let logits = Tensor::new(&[[2f32, 2.0, -9.0]], &Device::Cpu)?;
/// let mut emitted = [0; 3];
/// for _ in 0..100 {
///     let sampled = sample_batch(&logits, &mut rows)?.remove(0)?;
///     emitted[sampled.token as usize] += 1;
/// }
/// assert!(emitted[0] > 30 && emitted[1] > 30); // both spellings live on
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Emission {
    /// The concept's likeliest token.
    #[default]
    Representative,
    /// One of the concept's tokens, each with its share of the concept's mass: so that pooling at
    /// every step does not extinguish the minority of spellings. It takes no random number of its
    /// own: what is left of the one that chose the concept decides.
    ByShare,
}

/// Which log-probabilities are asked for, beside the token.
///
/// ```
/// use concept_mass::sample::{Distribution, LogProbs, SamplingParams};
///
/// let params = SamplingParams::greedy().with_log_probs(LogProbs::new(5, Distribution::Raw)?);
/// assert!(LogProbs::new(21, Distribution::Raw).is_err());
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogProbs {
    pub(super) n: usize,
    pub(super) of: Distribution,
}

/// The distribution over concepts that [`LogProbs`] are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Distribution {
    /// As the model gave it: the masses under the map, before penalties, bias, mask, temperature
    /// and filters.
    Raw,
    /// As it was drawn from: after all of them, over the concepts that were left. At temperature 0
    /// all of it is on the concept that was taken.
    Final,
}

impl LogProbs {
    /// The largest number of likeliest concepts.
    pub const MAX: usize = 20;

    /// Those of the sampled concept and of the `n` likeliest, at most [`MAX`](Self::MAX).
    ///
    /// # Errors
    ///
    /// [`SampleError::Parameter`] for more.
    pub fn new(n: usize, of: Distribution) -> Result<Self, SampleError> {
        if n > Self::MAX {
            return Err(range::refuse("log_probs", n as f64, "it must be at most 20"));
        }
        Ok(Self { n, of })
    }
}

impl SamplingParams {
    /// The likeliest concept at every step.
    pub fn greedy() -> Self {
        Self {
            temperature: 0.0,
            top_k: None,
            top_p: 1.0,
            min_p: 0.0,
            penalties: Penalties::NONE,
            bias: Vec::new(),
            pooling: true,
            emission: Emission::Representative,
            seed: 0,
            log_probs: None,
        }
    }

    /// A draw at a temperature, by weight; 0 is [`greedy`](Self::greedy).
    ///
    /// # Errors
    ///
    /// [`SampleError::Parameter`] unless the temperature is at least 0 and finite.
    pub fn at(temperature: f64) -> Result<Self, SampleError> {
        range::at_least_0("temperature", temperature)?;
        Ok(Self { temperature, ..Self::greedy() })
    }

    /// Leaves the `k` likeliest concepts.
    ///
    /// # Errors
    ///
    /// [`SampleError::Parameter`] for 0.
    pub fn with_top_k(self, k: usize) -> Result<Self, SampleError> {
        range::at_least_1("top_k", k)?;
        Ok(Self { top_k: Some(k), ..self })
    }

    /// Leaves the fewest concepts that hold the share `p` of what top_k left; all of it for 1, the
    /// likeliest alone for 0.
    ///
    /// # Errors
    ///
    /// [`SampleError::Parameter`] outside 0 to 1.
    pub fn with_top_p(self, p: f64) -> Result<Self, SampleError> {
        range::share("top_p", p)?;
        Ok(Self { top_p: p, ..self })
    }

    /// Leaves the concepts whose weight is at least `p` times the largest; all of them for 0.
    ///
    /// # Errors
    ///
    /// [`SampleError::Parameter`] outside 0 to 1.
    pub fn with_min_p(self, p: f64) -> Result<Self, SampleError> {
        range::share("min_p", p)?;
        Ok(Self { min_p: p, ..self })
    }

    /// Penalties on tokens that the row has seen.
    ///
    /// # Errors
    ///
    /// [`SampleError::Parameter`] unless `repetition` is above 0 and all are finite.
    pub fn with_penalties(self, penalties: Penalties) -> Result<Self, SampleError> {
        range::above_0("repetition penalty", penalties.repetition.into())?;
        range::finite("presence penalty", penalties.presence.into())?;
        range::finite("frequency penalty", penalties.frequency.into())?;
        Ok(Self { penalties, ..self })
    }

    /// What is added to the logits of some tokens; `-inf` bans one. Of several biases of one token
    /// the last counts.
    ///
    /// # Errors
    ///
    /// [`SampleError::Parameter`] for a NaN or `+inf`.
    pub fn with_bias(
        self,
        bias: impl IntoIterator<Item = (u32, f32)>,
    ) -> Result<Self, SampleError> {
        let mut by_token = std::collections::BTreeMap::new();
        for (token, bias) in bias {
            range::below_inf("logit bias", bias.into())?;
            by_token.insert(token, bias);
        }
        Ok(Self { bias: by_token.into_iter().collect(), ..self })
    }

    /// Whether the row's map applies: if not, every token is a concept of its own. It may change
    /// from step to step: see [`RowSampler::set_params`](super::RowSampler::set_params).
    #[must_use]
    pub fn with_pooling(self, pooling: bool) -> Self {
        Self { pooling, ..self }
    }

    /// Which token is emitted for the concept.
    #[must_use]
    pub fn with_emission(self, emission: Emission) -> Self {
        Self { emission, ..self }
    }

    /// The seed of all of the row's random numbers; 0 unless given. Rows of one seed and one step draw
    /// by the same number, so give each row of a batch its own.
    ///
    /// It seeds Philox for a [`RowSampler`](super::RowSampler), and candle's generator for a
    /// [`ConceptSampler`](crate::ConceptSampler): these are other numbers.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Asks for log-probabilities, which cost as much as a draw or two.
    #[must_use]
    pub fn with_log_probs(self, log_probs: LogProbs) -> Self {
        Self { log_probs: Some(log_probs), ..self }
    }

    /// Fails for a bias of a token that the vocabulary does not have.
    pub(super) fn check_bias(&self, vocab_size: usize) -> Result<(), SampleError> {
        let tokens: Vec<u32> = self.bias.iter().map(|&(token, _)| token).collect();
        Ok(crate::map::check_tokens(&tokens, vocab_size, || "the logit bias".to_owned())?)
    }

    /// The largest number of concepts that top_k leaves, if it was set.
    pub fn top_k(&self) -> Option<usize> {
        self.top_k
    }

    /// The share that top_p leaves; 1 for all.
    pub fn top_p(&self) -> f64 {
        self.top_p
    }

    /// The least share of the largest weight; 0 for none.
    pub fn min_p(&self) -> f64 {
        self.min_p
    }

    /// The penalties.
    pub fn penalties(&self) -> Penalties {
        self.penalties
    }

    /// The biases, by token.
    pub fn bias(&self) -> &[(u32, f32)] {
        &self.bias
    }

    /// Whether the row's map applies.
    pub fn pooling(&self) -> bool {
        self.pooling
    }

    /// Which token is emitted for a concept.
    pub fn emission(&self) -> Emission {
        self.emission
    }

    /// The log-probabilities that are asked for.
    pub fn log_probs(&self) -> Option<LogProbs> {
        self.log_probs
    }

    /// The temperature; 0 is greedy.
    pub fn temperature(&self) -> f64 {
        self.temperature
    }

    /// The seed.
    pub fn seed(&self) -> u64 {
        self.seed
    }
}
