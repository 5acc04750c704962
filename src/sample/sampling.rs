use crate::sample::SampleError;

/// How a [`ConceptSampler`](crate::ConceptSampler) chooses among concepts; the variants of candle's
/// own `Sampling`.
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
    /// Any concept, by weight, by way of the Gumbel-max trick, which
    /// [draws](crate::DeviceMap::sample) on the device; [`ArgMax`](Self::ArgMax) if the temperature
    /// is 0. Unlike candle's, it uses the sampler's seed.
    GumbelSoftmax {
        /// At least 0, and finite.
        temperature: f64,
    },
}

impl Sampling {
    /// Candle's usual options: no temperature, or one below 1e-7, is [`ArgMax`](Self::ArgMax).
    pub(super) fn from_options(
        temperature: Option<f64>,
        top_p: Option<f64>,
    ) -> Result<Self, SampleError> {
        // All that is given is checked, whether it is used or not.
        temperature.map(at_least_0).transpose()?;
        top_p.map(share).transpose()?;
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
                at_least_1(k)?;
                above_0(temperature)?;
            }
            Self::TopP { p, temperature } => {
                share(p)?;
                above_0(temperature)?;
            }
            Self::TopKThenTopP { k, p, temperature } => {
                at_least_1(k)?;
                share(p)?;
                above_0(temperature)?;
            }
            Self::GumbelSoftmax { temperature } => at_least_0(temperature)?,
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

/// Refuses a `k` of 0.
pub(super) fn at_least_1(k: usize) -> Result<(), SampleError> {
    match k {
        0 => {
            Err(out_of_range("k", 0.0, "it must be at least 1, or nothing is left to choose from"))
        }
        _ => Ok(()),
    }
}

fn above_0(temperature: f64) -> Result<(), SampleError> {
    if temperature > 0.0 && temperature.is_finite() {
        return Ok(());
    }
    let requirement = "it must be above 0 and finite; for the likeliest concept, use ArgMax";
    Err(out_of_range("temperature", temperature, requirement))
}

fn at_least_0(temperature: f64) -> Result<(), SampleError> {
    if temperature >= 0.0 && temperature.is_finite() {
        return Ok(());
    }
    Err(out_of_range("temperature", temperature, "it must be at least 0 and finite"))
}

fn share(p: f64) -> Result<(), SampleError> {
    if (0.0..=1.0).contains(&p) {
        return Ok(());
    }
    Err(out_of_range("p", p, "it must be from 0 to 1"))
}

fn out_of_range(parameter: &'static str, value: f64, requirement: &'static str) -> SampleError {
    SampleError::Parameter { parameter, value, requirement }
}
