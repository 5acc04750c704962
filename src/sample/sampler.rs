use candle_core::Tensor;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::noise::SeededNoise;
use super::sampling::Sampling;
use super::step::StepPooling;
use crate::sample::SampleError;
use crate::{DeviceMap, Row};

/// Samples the next token from logits, counting meanings: a concept is chosen by its mass, and
/// its likeliest token is emitted.
///
/// Names are those of candle-transformers' `LogitsProcessor`, though the constructors can refuse.
/// With a map that pools nothing the tokens are candle's as well, seed by seed; except those of
/// [`GumbelSoftmax`](Sampling::GumbelSoftmax), which candle does not seed, and where candle leaves
/// a tie to chance or its arithmetic overflows.
///
/// Every temperature in range works with all logits: weights are relative to the row's maximum. As
/// the temperature falls, the draw settles on the likeliest concept; as it rises, it becomes an even
/// draw among the concepts that have any mass.
///
/// A call either samples a token or changes nothing: if it fails, the next one draws with the same
/// random numbers, and the trace is as it was.
///
/// On a CUDA device, `ArgMax` and `GumbelSoftmax` copy only the token to the host; the others copy
/// the row, as candle does.
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
    /// [`SampleError::Parameter`] for a parameter outside the range that [`Sampling`] states.
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
            sampling: sampling.checked()?,
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

    /// Changes the way to choose; the random numbers go on where they are.
    ///
    /// # Errors
    ///
    /// As for [`from_sampling`](Self::from_sampling); the sampler is then as it was.
    pub fn set_sampling(&mut self, sampling: Sampling) -> Result<(), SampleError> {
        self.sampling = sampling.checked()?;
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

    /// Starts the random numbers anew, as a new sampler with this seed would.
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

    /// Keeps the [`Row`] of every row sampled from now on, for [`take_trace`](Self::take_trace):
    /// the vote at every step.
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

    /// The next token, from logits `[V]` or `[1, V]`.
    ///
    /// # Errors
    ///
    /// Those of [`DeviceMap::reduce`], except that logits of other floating-point dtypes, such as
    /// `f64`, are converted to `f32`, as candle's sampler does;
    /// [`ReduceError::BadRow`](crate::reduce::ReduceError::BadRow) if the logits hold a NaN or
    /// `+inf`, or are all `-inf`; [`SampleError::NotOneRow`]; those of a judge.
    pub fn sample(&mut self, logits: &Tensor) -> Result<u32, SampleError> {
        self.sample_f(logits, |_| {})
    }

    /// [`sample`](Self::sample), with a change of the concepts' probabilities before the choice.
    ///
    /// `f` gets `V` probabilities, after temperature and before top-k and top-p: a concept's is at
    /// the place of its representative, and its other tokens have 0. As in candle, it is not called
    /// for [`Sampling::ArgMax`] and [`Sampling::GumbelSoftmax`].
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
        if let [rows, _] = *logits.dims()
            && rows != 1
        {
            return Err(SampleError::NotOneRow { rows });
        }
        // Where a step is pooled, GumbelSoftmax weighs on the host like the others do.
        let weighs = !matches!(self.sampling, Sampling::ArgMax | Sampling::GumbelSoftmax { .. });
        let mut f = weighs.then_some(f);
        let mut once = |weights: &mut [f32]| {
            if let Some(f) = f.take() {
                f(weights);
            }
        };
        let token = self.sample_rows(logits, &mut once)?.pop();
        token.unwrap_or(Err(SampleError::NotOneRow { rows: 0 }))
    }

    /// A token for every row of logits `[B, V]` (or one, for `[V]`), or why that row has none.
    ///
    /// All rows are pooled in one call, then drawn in turn from the sampler's one seed: as if each
    /// were given to [`sample`](Self::sample). A row without a token takes no random number and
    /// leaves nothing in the trace; the other rows are sampled as if it were not there. (The noise
    /// of [`Sampling::GumbelSoftmax`] depends on the place in the batch and on how many tokens were
    /// drawn there before.)
    ///
    /// # Errors
    ///
    /// Those of [`DeviceMap::reduce`], which concern the whole batch; nothing has changed then. For
    /// a row, as for [`sample`](Self::sample);
    /// [`ReduceError::BadRow`](crate::reduce::ReduceError::BadRow) names it.
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, ConceptSampler, Sampling};
    /// let map = ConceptMap::singletons(2)?.to_device(&Device::Cpu)?;
    /// let mut sampler = ConceptSampler::from_sampling(1, Sampling::ArgMax, map)?;
    /// let logits = Tensor::new(&[[0f32, 1.], [f32::NAN, 0.], [1., 0.]], &Device::Cpu)?;
    /// let tokens = sampler.sample_batch(&logits)?;
    /// assert!(matches!(tokens[..], [Ok(1), Err(_), Ok(0)]));
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn sample_batch(
        &mut self,
        logits: &Tensor,
    ) -> Result<Vec<Result<u32, SampleError>>, SampleError> {
        self.sample_rows(logits, &mut |_| {})
    }
}
