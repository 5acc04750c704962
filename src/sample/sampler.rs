use candle_core::Tensor;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::noise::SeededNoise;
use super::settings::Settings;
use super::step::StepPooling;
use super::{Emission, RowState, Sampled, Sampling, SamplingParams, TokenMask};
use crate::sample::SampleError;
use crate::{DeviceMap, Row};

/// Samples the next token from logits, counting meanings: a concept is chosen by its mass, and
/// its likeliest token is emitted.
///
/// Names are those of candle-transformers' `LogitsProcessor`, though the constructors can refuse,
/// and a draw takes the same number from the same generator. With a map that pools nothing,
/// [`All`](Sampling::All) and [`TopP`](Sampling::TopP) give candle's token, unless that number is as
/// near to the boundary of two tokens as rounding has moved it: candle adds up a vocabulary in `f32`.
/// [`TopK`](Sampling::TopK) and [`TopKThenTopP`](Sampling::TopKThenTopP) leave the same tokens, and
/// draw from them in another order, since candle's is what a partial sort leaves.
///
/// For a batch, whose rows are requests of their own, see [`sample_batch`](crate::sample::sample_batch).
///
/// Every temperature in range works with all logits: weights are relative to the row's maximum. As
/// the temperature falls, the draw settles on the likeliest concept; as it rises, it becomes an even
/// draw among the concepts that have any mass.
///
/// A call either samples a token or changes nothing: if it fails, the next one draws with the same
/// random numbers, and the trace is as it was.
///
/// On a CUDA device, `ArgMax` and `GumbelSoftmax` copy the decision or the token to the host, and no
/// logits; the others copy the row, as candle does. On the CPU, logits in `f32`, `f16` and `bf16` are read where they are: a call
/// takes `O(V)` as a rule, and after the first allocates nothing whose size grows with `V` or `C`.
/// [`sample_f`](Self::sample_f), a trace, and pooling by step take copies of the row.
///
/// A sampler may be moved between threads: [`threads`](crate::reduce::threads).
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::{ConceptMap, ConceptSampler, Sampling};
///
/// let device = Device::Cpu;
/// let map = ConceptMap::builder(4).concept("right", [1, 3])?.build()?.to_device(&device)?;
/// let mut sampler = ConceptSampler::from_sampling(299792458, Sampling::ArgMax, map)?;
///
/// // What a candle generation loop does, with the model's logits for the next token:
/// let logits = Tensor::new(&[0.4f32, 0.3, 0.05, 0.25], &device)?.log()?;
/// let next: u32 = sampler.sample(&logits)?;
/// assert_eq!(next, 1); // not 0, which has .4 alone
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ConceptSampler {
    pub(super) rng: StdRng,
    pub(super) sampling: Sampling,
    pub(super) emission: Emission,
    pub(super) state: RowState,
    pub(super) map: DeviceMap,
    pub(super) trace: Option<Vec<Row>>,
    pub(super) step: Option<StepPooling>,
    pub(super) noise: SeededNoise,
}

impl std::fmt::Debug for ConceptSampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { sampling, map, .. } = self;
        let mut debug = f.debug_struct("ConceptSampler");
        debug.field("sampling", sampling).field("map", map).finish_non_exhaustive()
    }
}

impl ConceptSampler {
    /// A sampler with a seed and a way to choose.
    ///
    /// # Errors
    ///
    /// [`SampleError::Parameter`] for a parameter outside the range that [`Sampling`] states;
    /// [`SampleError::Map`] for a bias of a token that the map's vocabulary does not have.
    ///
    /// ```
    /// # use candle_core::Device;
    /// # use concept_mass::{ConceptMap, ConceptSampler, Sampling};
    /// let map = ConceptMap::singletons(2)?.to_device(&Device::Cpu)?;
    /// let nan = Sampling::All { temperature: f64::NAN };
    /// assert!(ConceptSampler::from_sampling(42, nan, map).is_err());
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn from_sampling(
        seed: u64,
        sampling: Sampling,
        map: DeviceMap,
    ) -> Result<Self, SampleError> {
        Ok(Self {
            rng: StdRng::seed_from_u64(seed),
            sampling: checked(sampling, &map)?,
            emission: Emission::default(),
            state: RowState::default(),
            map,
            trace: None,
            step: None,
            noise: SeededNoise::new(seed),
        })
    }

    /// A sampler with candle's usual options: [`Sampling::ArgMax`] without a temperature (or one
    /// below 1e-7), otherwise [`Sampling::TopP`] or [`Sampling::All`].
    ///
    /// # Errors
    ///
    /// [`SampleError::Parameter`] for a temperature that is negative or not finite, or a `top_p`
    /// outside 0 to 1, whether it is used or not.
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, ConceptSampler};
    /// let map = ConceptMap::singletons(2)?.to_device(&Device::Cpu)?;
    /// let mut sampler = ConceptSampler::new(1, Some(0.8), Some(0.95), map)?;
    /// assert!(sampler.sample(&Tensor::new(&[0f32, 1.], &Device::Cpu)?)? < 2);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn new(
        seed: u64,
        temperature: Option<f64>,
        top_p: Option<f64>,
        map: DeviceMap,
    ) -> Result<Self, SampleError> {
        Self::from_sampling(seed, Sampling::from_options(temperature, top_p)?, map)
    }

    /// A sampler with [`SamplingParams`]: penalties, min-p, biases and log-probabilities among them.
    /// Their seed is that of the sampler's generator.
    ///
    /// # Errors
    ///
    /// [`SampleError::Map`] for a bias of a token that the map's vocabulary does not have.
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// use concept_mass::sample::{Penalties, SamplingParams};
    /// # use concept_mass::{ConceptMap, ConceptSampler};
    /// let map = ConceptMap::singletons(3)?.to_device(&Device::Cpu)?;
    /// let penalties = Penalties { repetition: 2.0, ..Penalties::NONE };
    /// let params = SamplingParams::greedy().with_penalties(penalties)?;
    /// let mut sampler = ConceptSampler::from_params(params, map)?;
    /// sampler.see(&[1])?; // the prompt
    /// let logits = Tensor::new(&[1.5f32, 2.0, 0.0], &Device::Cpu)?;
    /// assert_eq!(sampler.sample(&logits)?, 0); // 1 has been seen
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn from_params(params: SamplingParams, map: DeviceMap) -> Result<Self, SampleError> {
        Self::from_sampling(params.seed(), Sampling::Params(params), map)
    }

    /// The same sampler, which emits for a concept what [`Emission`] says, until
    /// [`Sampling::Params`] are set that say otherwise.
    #[must_use]
    pub fn with_emission(mut self, emission: Emission) -> Self {
        self.emission = emission;
        if let Sampling::Params(params) = self.sampling {
            self.sampling = Sampling::Params(params.with_emission(emission));
        }
        self
    }

    /// Counts tokens as seen, such as those of the prompt, for the penalties of
    /// [`SamplingParams`]; what is sampled is counted by itself.
    ///
    /// # Errors
    ///
    /// [`SampleError::Map`] for a token that the vocabulary does not have; nothing is counted then.
    pub fn see(&mut self, tokens: &[u32]) -> Result<(), SampleError> {
        self.state.see_all(tokens, self.map.map().vocab_size())
    }

    /// Changes the way to choose; the random numbers go on where they are.
    ///
    /// # Errors
    ///
    /// As for [`from_sampling`](Self::from_sampling), and [`SampleError::LogProbsOfStep`]; the sampler
    /// is then as it was.
    pub fn set_sampling(&mut self, sampling: Sampling) -> Result<(), SampleError> {
        let sampling = checked(sampling, &self.map)?;
        self.check_step(&sampling)?;
        self.sampling = sampling;
        Ok(())
    }

    /// Changes the temperature of the present way to choose.
    ///
    /// # Errors
    ///
    /// [`SampleError::Parameter`] for a temperature out of range; [`SampleError::NoTemperature`] if
    /// the sampler chooses by [`Sampling::ArgMax`]. The sampler is then as it was.
    ///
    /// ```
    /// # use candle_core::Device;
    /// # use concept_mass::{ConceptMap, ConceptSampler, Sampling};
    /// # let map = ConceptMap::singletons(2)?.to_device(&Device::Cpu)?;
    /// let sampling = Sampling::TopK { k: 40, temperature: 0.7 };
    /// let mut sampler = ConceptSampler::from_sampling(42, sampling, map)?;
    /// sampler.set_temperature(1.2)?;
    /// assert_eq!(*sampler.sampling(), Sampling::TopK { k: 40, temperature: 1.2 });
    /// assert!(sampler.set_temperature(f64::NAN).is_err());
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn set_temperature(&mut self, temperature: f64) -> Result<(), SampleError> {
        self.sampling = self.sampling.clone().at(temperature)?;
        Ok(())
    }

    /// Starts the random numbers anew, as those of a new sampler with this seed. What was seen stays
    /// seen: see [`forget`](Self::forget).
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, ConceptSampler, Sampling};
    /// # let map = ConceptMap::singletons(100)?.to_device(&Device::Cpu)?;
    /// # let logits = Tensor::zeros(100, candle_core::DType::F32, &Device::Cpu)?;
    /// let sampling = Sampling::All { temperature: 1.0 };
    /// let mut sampler = ConceptSampler::from_sampling(42, sampling, map)?;
    /// let first = sampler.sample(&logits)?;
    /// sampler.set_seed(42);
    /// assert_eq!(sampler.sample(&logits)?, first);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn set_seed(&mut self, seed: u64) {
        self.rng = StdRng::seed_from_u64(seed);
        self.noise = SeededNoise::new(seed);
    }

    /// Forgets all tokens that were seen, for the next request; the random numbers go on.
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, ConceptSampler};
    /// # use concept_mass::sample::{Penalties, SamplingParams};
    /// # let map = ConceptMap::singletons(2)?.to_device(&Device::Cpu)?;
    /// let penalties = Penalties { presence: 5.0, ..Penalties::NONE };
    /// let params = SamplingParams::greedy().with_penalties(penalties)?;
    /// let mut sampler = ConceptSampler::from_params(params, map)?;
    /// let logits = Tensor::new(&[1f32, 0.0], &Device::Cpu)?;
    /// assert_eq!((sampler.sample(&logits)?, sampler.sample(&logits)?), (0, 1));
    /// sampler.forget();
    /// assert_eq!(sampler.sample(&logits)?, 0);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn forget(&mut self) {
        self.state = RowState::default();
    }

    /// The way to choose.
    pub fn sampling(&self) -> &Sampling {
        &self.sampling
    }

    /// The map.
    pub fn map(&self) -> &DeviceMap {
        &self.map
    }

    /// The map, for other use; the sampler is dropped.
    pub fn into_map(self) -> DeviceMap {
        self.map
    }

    /// Keeps the [`Row`] of every row sampled from now on, for [`take_trace`](Self::take_trace): the
    /// vote at every step, before penalties, bias and mask.
    #[must_use]
    pub fn with_trace(mut self) -> Self {
        self.trace = Some(Vec::new());
        self
    }

    /// The rows kept since the last call, oldest first; none without
    /// [`with_trace`](Self::with_trace).
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, ConceptSampler, Sampling};
    /// let map = ConceptMap::singletons(2)?.to_device(&Device::Cpu)?;
    /// let mut sampler = ConceptSampler::from_sampling(1, Sampling::ArgMax, map)?.with_trace();
    /// sampler.sample(&Tensor::new(&[0f32, 0.], &Device::Cpu)?)?;
    /// let trace = sampler.take_trace();
    /// assert_eq!((trace.len(), trace[0].mass), (1, 0.5));
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn take_trace(&mut self) -> Vec<Row> {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// The next token, from logits `[V]` or `[1, V]`. Between threads, streams and graphs:
    /// [`threads`](crate::reduce::threads).
    ///
    /// # Errors
    ///
    /// Those of [`DeviceMap::reduce`], except that logits of other floating-point dtypes, such as
    /// `f64`, are converted to `f32`, as candle's sampler does;
    /// [`ReduceError::BadRow`](crate::reduce::ReduceError::BadRow) if the logits hold a NaN or
    /// `+inf`, or are all `-inf`; [`SampleError::NothingAllowed`] if penalties and biases leave
    /// nothing; [`SampleError::NotOneRow`]; those of a judge.
    pub fn sample(&mut self, logits: &Tensor) -> Result<u32, SampleError> {
        Ok(self.sample_row(logits, None, None)?.token)
    }

    /// [`sample`](Self::sample), with a change of the concepts' probabilities before the choice.
    ///
    /// `f` gets `V` probabilities, after temperature and before top-k and top-p: a concept's is at
    /// the place of its representative, and its other tokens have 0. As in candle, it is not called
    /// for [`Sampling::ArgMax`] and [`Sampling::GumbelSoftmax`], nor at temperature 0.
    ///
    /// # Errors
    ///
    /// As for [`sample`](Self::sample), and [`SampleError::Weights`] if `f` leaves a number that is
    /// negative, infinite or NaN, nothing but zeros, or a sum beyond `f32`.
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, ConceptSampler, Sampling};
    /// let map = ConceptMap::singletons(3)?.to_device(&Device::Cpu)?;
    /// let all = Sampling::All { temperature: 1.0 };
    /// let mut sampler = ConceptSampler::from_sampling(1, all, map)?;
    /// let logits = Tensor::new(&[9f32, 0., 9.], &Device::Cpu)?;
    /// let only_the_last = |p: &mut [f32]| p[..2].fill(0.0);
    /// assert_eq!(sampler.sample_f(&logits, only_the_last)?, 2);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn sample_f(
        &mut self,
        logits: &Tensor,
        f: impl FnOnce(&mut [f32]),
    ) -> Result<u32, SampleError> {
        // Where a step is pooled, GumbelSoftmax weighs like the others.
        let weighs = Settings::of_sampling(&self.sampling, self.emission).temperature > 0.0
            && !matches!(self.sampling, Sampling::GumbelSoftmax { .. });
        let mut f = Some(f);
        let mut once = |weights: &mut [f32]| {
            if let Some(f) = f.take() {
                f(weights);
            }
        };
        Ok(self.sample_row(logits, None, weighs.then_some(&mut once))?.token)
    }

    /// [`sample`](Self::sample), with everything that [`SamplingParams`] ask for, and a
    /// [`TokenMask`] of one row, if there is one.
    ///
    /// # Errors
    ///
    /// As for [`sample`](Self::sample); [`SampleError::NothingAllowed`] if bias and mask leave
    /// nothing; [`SampleError::MaskRows`] for a mask of other than one row.
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// use concept_mass::sample::{Distribution, LogProbs, SamplingParams, TokenMask};
    /// # use concept_mass::{ConceptMap, ConceptSampler};
    /// let map = ConceptMap::singletons(3)?.to_device(&Device::Cpu)?;
    /// let params = SamplingParams::greedy().with_log_probs(LogProbs::new(1, Distribution::Raw)?);
    /// let mut sampler = ConceptSampler::from_params(params, map)?;
    /// let logits = Tensor::new(&[0.2f32, 0.3, 0.5], &Device::Cpu)?.log()?;
    /// let no_2 = TokenMask::new(&[0b011], 1)?;
    /// let sampled = sampler.sample_detailed(&logits, Some(no_2))?;
    /// assert_eq!(sampled.token, 1);
    /// assert_eq!(sampled.log_probs.unwrap().likeliest[0].concept, 2); // as the model gave it
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn sample_detailed(
        &mut self,
        logits: &Tensor,
        mask: Option<TokenMask<'_>>,
    ) -> Result<Sampled, SampleError> {
        self.sample_row(logits, mask, None)
    }
}

/// The way to choose, if it is within its range and fits the map.
fn checked(sampling: Sampling, map: &DeviceMap) -> Result<Sampling, SampleError> {
    let sampling = sampling.checked()?;
    if let Sampling::Params(params) = &sampling {
        params.check_bias(map.map().vocab_size())?;
    }
    Ok(sampling)
}
