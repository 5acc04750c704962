use super::{SamplingParams, range};
use crate::sample::SampleError;

/// How a [`ConceptSampler`](crate::ConceptSampler) chooses among concepts: the variants of candle's
/// own `Sampling`, and [`SamplingParams`].
///
/// A concept's weight is its mass to the power `1 / temperature`. Ties go to the lowest concept,
/// and within a concept to the lowest token. With the feature `candle-transformers`, candle's
/// `Sampling` converts into this one, by `try_into`.
///
/// ```
/// use concept_mass::Sampling;
///
/// let sampling = Sampling::TopKThenTopP { k: 40, p: 0.9, temperature: 0.7 };
/// assert_ne!(sampling, Sampling::ArgMax);
/// ```
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub enum Sampling {
    /// The concept with the largest mass.
    ArgMax,
    /// Any concept, by weight.
    All {
        /// Above 0, and finite.
        temperature: f64,
    },
    /// One of the `k` concepts with the largest mass, by weight.
    TopK {
        /// At least 1.
        k: usize,
        /// Above 0, and finite.
        temperature: f64,
    },
    /// One of the fewest concepts whose weights reach the share `p`, by weight; any concept if
    /// `p` is 0 or 1, as in candle.
    TopP {
        /// From 0 to 1.
        p: f64,
        /// Above 0, and finite.
        temperature: f64,
    },
    /// [`TopP`](Self::TopP) among the concepts of [`TopK`](Self::TopK).
    TopKThenTopP {
        /// At least 1.
        k: usize,
        /// From 0 to 1: a share of all concepts, not of the `k`.
        p: f64,
        /// Above 0, and finite.
        temperature: f64,
    },
    /// Any concept, by weight, as [`All`](Self::All); [`ArgMax`](Self::ArgMax) if the temperature is
    /// 0. On a CUDA device it is [drawn there](crate::DeviceMap::sample), by the sampler's seed.
    /// Candle's takes noise for each token, which has no seed.
    GumbelSoftmax {
        /// At least 0, and finite.
        temperature: f64,
    },
    /// Everything that a request of a batch may ask, penalties and log-probabilities among it; see
    /// [`ConceptSampler::from_params`](crate::ConceptSampler::from_params).
    Params(SamplingParams),
}

impl Sampling {
    /// Candle's usual options: no temperature, or one below 1e-7, is [`ArgMax`](Self::ArgMax).
    pub(super) fn from_options(
        temperature: Option<f64>,
        top_p: Option<f64>,
    ) -> Result<Self, SampleError> {
        // All that is given is checked, whether it is used or not.
        temperature.map(|t| range::at_least_0("temperature", t)).transpose()?;
        top_p.map(|p| range::share("p", p)).transpose()?;
        Ok(match (temperature.filter(|&t| t >= 1e-7), top_p) {
            (None, _) => Self::ArgMax,
            (Some(temperature), None) => Self::All { temperature },
            (Some(temperature), Some(p)) => Self::TopP { p, temperature },
        })
    }

    /// Itself, if every parameter is within its range.
    pub(super) fn checked(self) -> Result<Self, SampleError> {
        match self {
            Self::ArgMax => {}
            Self::All { temperature } => above_0(temperature)?,
            Self::TopK { k, temperature } => {
                range::at_least_1("k", k)?;
                above_0(temperature)?;
            }
            Self::TopP { p, temperature } => {
                range::share("p", p)?;
                above_0(temperature)?;
            }
            Self::TopKThenTopP { k, p, temperature } => {
                range::at_least_1("k", k)?;
                range::share("p", p)?;
                above_0(temperature)?;
            }
            Self::GumbelSoftmax { temperature } => range::at_least_0("temperature", temperature)?,
            // They could not be made otherwise.
            Self::Params(_) => {}
        }
        Ok(self)
    }

    /// The same way to choose at another temperature.
    pub(super) fn at(self, temperature: f64) -> Result<Self, SampleError> {
        let changed = match self {
            Self::ArgMax => return Err(SampleError::NoTemperature { temperature }),
            Self::All { .. } => Self::All { temperature },
            Self::TopK { k, .. } => Self::TopK { k, temperature },
            Self::TopP { p, .. } => Self::TopP { p, temperature },
            Self::TopKThenTopP { k, p, .. } => Self::TopKThenTopP { k, p, temperature },
            Self::GumbelSoftmax { .. } => Self::GumbelSoftmax { temperature },
            Self::Params(params) => {
                range::at_least_0("temperature", temperature)?;
                Self::Params(SamplingParams { temperature, ..params })
            }
        };
        changed.checked()
    }
}

/// Refuses what [`ConceptSampler::from_sampling`](crate::ConceptSampler::from_sampling) refuses.
///
/// ```
/// # use candle_core::Device;
/// use candle_transformers::generation;
/// use concept_mass::{ConceptMap, ConceptSampler, Sampling};
///
/// # let map = ConceptMap::singletons(2)?.to_device(&Device::Cpu)?;
/// let candles = generation::Sampling::TopK { k: 40, temperature: 0.7 };
/// let sampler = ConceptSampler::from_sampling(42, candles.try_into()?, map)?;
///
/// let cold = generation::Sampling::All { temperature: 0.0 };
/// assert!(Sampling::try_from(cold).is_err());
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[cfg(feature = "candle-transformers")]
impl TryFrom<candle_transformers::generation::Sampling> for Sampling {
    type Error = SampleError;

    fn try_from(sampling: candle_transformers::generation::Sampling) -> Result<Self, SampleError> {
        use candle_transformers::generation::Sampling as Candles;
        let same = match sampling {
            Candles::ArgMax => Self::ArgMax,
            Candles::All { temperature } => Self::All { temperature },
            Candles::TopK { k, temperature } => Self::TopK { k, temperature },
            Candles::TopP { p, temperature } => Self::TopP { p, temperature },
            Candles::TopKThenTopP { k, p, temperature } => Self::TopKThenTopP { k, p, temperature },
            Candles::GumbelSoftmax { temperature } => Self::GumbelSoftmax { temperature },
        };
        same.checked()
    }
}

/// A temperature of candle's modes that draw.
fn above_0(temperature: f64) -> Result<(), SampleError> {
    if temperature > 0.0 && temperature.is_finite() {
        return Ok(());
    }
    let requirement = "it must be above 0 and finite; for the likeliest concept, use ArgMax";
    Err(range::refuse("temperature", temperature, requirement))
}
