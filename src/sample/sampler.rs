use std::collections::VecDeque;

use candle_core::{D, DType, Tensor};
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::step::{Source, StepPooling, TopKPooling};
use super::weights::{multinomial, softmax, top_k, top_p};
use crate::reduce::{BadRow, Decision, NO_TOKEN, ReduceError, positive};
use crate::sample::SampleError;
use crate::source::{Embedding, check_threshold};
#[cfg(feature = "tokenizers")]
use crate::source::{Judge, Vocabulary};
use crate::{DeviceMap, Noise, Row};

/// How a [`ConceptSampler`] chooses among concepts; the variants of candle's own `Sampling`.
///
/// A concept's weight is its mass to the power `1 / temperature`; temperatures are above 0.
///
/// ```
/// use concept_mass::Sampling;
///
/// let sampling = Sampling::TopKThenTopP { k: 40, p: 0.9, temperature: 0.7 };
/// assert_ne!(sampling, Sampling::ArgMax);
/// ```
#[derive(Clone, PartialEq, Debug)]
pub enum Sampling {
    /// The concept with the largest mass.
    ArgMax,
    /// Any concept, by weight.
    All {
        /// Above 0.
        temperature: f64,
    },
    /// One of the `k` concepts with the largest mass, by weight.
    TopK {
        /// At least 1.
        k: usize,
        /// Above 0.
        temperature: f64,
    },
    /// One of the fewest concepts whose weights reach the share `p`, by weight; any concept if
    /// `p` is 0 or less, or 1 or more.
    TopP {
        /// A share of 1.
        p: f64,
        /// Above 0.
        temperature: f64,
    },
    /// [`TopP`](Self::TopP) among the concepts of [`TopK`](Self::TopK).
    TopKThenTopP {
        /// At least 1.
        k: usize,
        /// A share of 1.
        p: f64,
        /// Above 0.
        temperature: f64,
    },
    /// Any concept, by weight, by way of the Gumbel-max trick, which
    /// [draws](crate::DeviceMap::sample) on the device; [`ArgMax`](Self::ArgMax) if the temperature
    /// is 0 or less. Unlike candle's, it has the sampler's seed.
    GumbelSoftmax {
        /// Any number.
        temperature: f64,
    },
}

/// Samples the next token from logits, counting meanings: a concept is chosen by its mass, and
/// its likeliest token is emitted.
///
/// Names and signatures are those of candle-transformers' `LogitsProcessor`, and with a map that
/// pools nothing so are the tokens, seed by seed (but for
/// [`GumbelSoftmax`](Sampling::GumbelSoftmax), which candle does not seed).
///
/// On a CUDA device, `ArgMax` and `GumbelSoftmax` copy the token to the host and nothing else; the
/// others copy the row's probabilities, as candle does. The tokens are those of the CPU there, but
/// for the rounding of probabilities.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::{ConceptMap, ConceptSampler, Sampling};
///
/// let device = Device::Cpu;
/// let map = ConceptMap::builder(4).concept("right", [1, 3])?.build()?.to_device(&device)?;
/// let mut sampler = ConceptSampler::from_sampling(299792458, Sampling::ArgMax, map);
///
/// // What a candle generation loop does, with the model's logits for the next token:
/// let logits = Tensor::new(&[0.4f32, 0.3, 0.05, 0.25], &device)?.log()?;
/// let next: u32 = sampler.sample(&logits)?;
/// assert_eq!(next, 1); // not 0, which has .4 alone
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ConceptSampler {
    rng: StdRng,
    sampling: Sampling,
    map: DeviceMap,
    trace: Option<Vec<Row>>,
    step: Option<StepPooling>,
    /// What is emitted next, whatever the logits.
    forced: VecDeque<u32>,
    seed: u64,
    /// From the first draw on.
    noise: Option<Noise>,
}

impl ConceptSampler {
    /// A sampler with a seed and a way to choose.
    pub fn from_sampling(seed: u64, sampling: Sampling, map: DeviceMap) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        let (trace, step, forced, noise) = (None, None, VecDeque::new(), None);
        Self { rng, sampling, map, trace, step, forced, seed, noise }
    }

    /// A sampler with candle's usual options: [`Sampling::ArgMax`] without a temperature (or one
    /// below 1e-7), else [`Sampling::TopP`] or [`Sampling::All`].
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, ConceptSampler};
    /// let map = ConceptMap::singletons(2)?.to_device(&Device::Cpu)?;
    /// let mut sampler = ConceptSampler::new(1, Some(0.8), Some(0.95), map);
    /// assert!(sampler.sample(&Tensor::new(&[0f32, 1.], &Device::Cpu)?)? < 2);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn new(seed: u64, temperature: Option<f64>, top_p: Option<f64>, map: DeviceMap) -> Self {
        // A NaN is kept, to be refused when it is used.
        let temperature = temperature.filter(|t| t.is_nan() || *t >= 1e-7);
        let sampling = match (temperature, top_p) {
            (None, _) => Sampling::ArgMax,
            (Some(temperature), None) => Sampling::All { temperature },
            (Some(temperature), Some(p)) => Sampling::TopP { p, temperature },
        };
        Self::from_sampling(seed, sampling, map)
    }

    /// Pools each step's likeliest concepts by meaning, as `embedding`, the model's own matrix,
    /// tells it, before the choice; over what the map pools already.
    ///
    /// A group's mass is that of its concepts, and its likeliest token stands for it. Where one
    /// token has more than half of the vote, nothing can change it, and [`Sampling::ArgMax`] looks
    /// no further. Else a step takes `O(V + k² D)` more, on a CUDA device with a copy of the row to
    /// the host. The trace tells of the map's own vote. [`Sampling::GumbelSoftmax`] draws by weight
    /// from the sampler's generator, which is the same distribution.
    ///
    /// # Errors
    ///
    /// [`SampleError::Parameter`] for a `k` of 0 or a threshold out of range;
    /// [`SourceError::EmbeddingRows`](crate::source::SourceError::EmbeddingRows) if the matrix has fewer rows than the map has tokens.
    ///
    /// For an example, see [`TopKPooling`].
    pub fn with_top_k_pooling(
        self,
        pooling: TopKPooling,
        embedding: Embedding,
    ) -> Result<Self, SampleError> {
        embedding.check_covers(self.map.map())?;
        let TopKPooling { k, threshold } = pooling;
        self.with_step(k, Source::Embedding(embedding, check_threshold(threshold)?))
    }

    /// Pools each step's `k` likeliest concepts by meaning, as `judge` says; the rest is as with
    /// [`with_top_k_pooling`](Self::with_top_k_pooling).
    ///
    /// The judge gets the texts of the concepts' likeliest tokens, likeliest first.
    ///
    /// # Errors
    ///
    /// [`SampleError::Parameter`] for a `k` of 0. Later, [`sample`](Self::sample) may give
    /// [`SourceError::Judge`](crate::source::SourceError::Judge).
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, ConceptSampler, Sampling, source::{JudgeError, Vocabulary}};
    /// # let device = Device::Cpu;
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny/tokenizer.json");
    /// let vocabulary = Vocabulary::load(path, 1152)?;
    /// let saints = |texts: &[&str]| -> Result<Vec<Vec<usize>>, JudgeError> {
    ///     let is_saint = |&i: &usize| matches!(texts[i].trim(), "Saint" | "St");
    ///     Ok(vec![(0..texts.len()).filter(is_saint).collect()])
    /// };
    /// let map = ConceptMap::singletons(1152)?.to_device(&device)?;
    /// let mut sampler = ConceptSampler::from_sampling(42, Sampling::ArgMax, map)
    ///     .with_top_k_judge(5, vocabulary.clone(), saints)?;
    ///
    /// let [saint, st, mos] = [" Saint", " St", " Mos"].map(|t| vocabulary.encode(t).unwrap()[0]);
    /// let mut logits = vec![0f32; 1152];
    /// (logits[saint as usize], logits[st as usize], logits[mos as usize]) = (9.0, 8.9, 9.1);
    /// assert_eq!(sampler.sample(&Tensor::new(logits, &device)?)?, saint);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    #[cfg(feature = "tokenizers")]
    pub fn with_top_k_judge(
        self,
        k: usize,
        vocabulary: Vocabulary,
        judge: impl Judge + Send + 'static,
    ) -> Result<Self, SampleError> {
        self.with_step(k, Source::Judge(vocabulary, Box::new(judge)))
    }

    fn with_step(mut self, k: usize, source: Source) -> Result<Self, SampleError> {
        self.step = Some(StepPooling::new(k, source)?);
        Ok(self)
    }

    /// Keeps the [`Row`] of every row sampled from now on, for [`take_trace`](Self::take_trace):
    /// the vote at every step.
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
    /// let mut sampler = ConceptSampler::from_sampling(1, Sampling::ArgMax, map).with_trace();
    /// sampler.sample(&Tensor::new(&[0f32, 0.], &Device::Cpu)?)?;
    /// let trace = sampler.take_trace();
    /// assert_eq!((trace.len(), trace[0].mass), (1, 0.5));
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn take_trace(&mut self) -> Vec<Row> {
        self.trace.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Has the next calls of [`sample`](Self::sample) give `tokens`, one each, whatever the logits:
    /// a phrase that has been [voted](crate::phrase::DevicePhrases::vote) for.
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, ConceptSampler, Sampling};
    /// let map = ConceptMap::singletons(3)?.to_device(&Device::Cpu)?;
    /// let mut sampler = ConceptSampler::from_sampling(1, Sampling::ArgMax, map);
    /// sampler.force([2, 1]);
    /// let logits = Tensor::new(&[9f32, 0., 0.], &Device::Cpu)?;
    /// let tokens = [(); 3].map(|()| sampler.sample(&logits).unwrap());
    /// assert_eq!(tokens, [2, 1, 0]);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn force(&mut self, tokens: impl IntoIterator<Item = u32>) {
        self.forced.extend(tokens);
    }

    /// The next token, from logits `[V]` or `[1, V]`.
    ///
    /// # Errors
    ///
    /// Those of [`DeviceMap::reduce`]; [`ReduceError::BadRow`](crate::reduce::ReduceError::BadRow) if the logits hold a NaN or `+inf`, or
    /// are all `-inf`; [`SampleError::NotOneRow`]; [`SampleError::Parameter`].
    pub fn sample(&mut self, logits: &Tensor) -> Result<u32, SampleError> {
        self.sample_f(logits, |_| {})
    }

    /// [`sample`](Self::sample), with a change of the concepts' probabilities before the choice.
    ///
    /// `f` gets `V` probabilities, after temperature and before top-k and top-p: a concept's is at
    /// the place of its representative, and its other tokens have 0. It is not called for
    /// [`Sampling::ArgMax`] and [`Sampling::GumbelSoftmax`], as in candle.
    ///
    /// # Errors
    ///
    /// As for [`sample`](Self::sample), and [`SampleError::Weights`] if `f` leaves a negative or no
    /// number, or nothing but zeros.
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, ConceptSampler, Sampling};
    /// let map = ConceptMap::singletons(3)?.to_device(&Device::Cpu)?;
    /// let mut sampler = ConceptSampler::from_sampling(1, Sampling::All { temperature: 1.0 }, map);
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
        if let Some(token) = self.forced.pop_front() {
            return Ok(token);
        }
        let winner = self.vote(logits)?[0];
        self.choose(logits, winner, 0, f)
    }

    /// A token for every row of logits `[B, V]` (or one, for `[V]`), drawn row by row from the
    /// sampler's one seed.
    ///
    /// # Errors
    ///
    /// As for [`sample`](Self::sample); [`ReduceError::BadRow`](crate::reduce::ReduceError::BadRow) names the row.
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, ConceptSampler, Sampling};
    /// let map = ConceptMap::singletons(2)?.to_device(&Device::Cpu)?;
    /// let mut sampler = ConceptSampler::from_sampling(1, Sampling::ArgMax, map);
    /// let logits = Tensor::new(&[[0f32, 1.], [1., 0.]], &Device::Cpu)?;
    /// assert_eq!(sampler.sample_batch(&logits)?, [1, 0]);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn sample_batch(&mut self, logits: &Tensor) -> Result<Vec<u32>, SampleError> {
        let winners = self.vote(logits)?;
        let choose = |(i, winner)| self.choose(logits, winner, i, |_| {});
        winners.into_iter().enumerate().map(choose).collect()
    }

    /// The winner of every row, all of which have one: a drawn one for `GumbelSoftmax`, else the
    /// map's. Keeps the trace.
    fn vote(&mut self, logits: &Tensor) -> Result<Vec<Winner>, SampleError> {
        let mut rows: Option<Vec<Decision>> = None;
        if let Some(trace) = &mut self.trace {
            let traced = all_good(self.map.reduce(logits)?.rows()?)?;
            trace.extend(&traced);
            rows = Some(traced.iter().map(Row::decision).collect());
        } else if self.step.is_some() {
            rows = Some(all_good(self.map.decide(logits)?.rows()?)?);
        }
        let drawn = match self.sampling {
            Sampling::GumbelSoftmax { temperature } if self.step.is_none() => {
                (!is_argmax(temperature)).then_some(temperature)
            }
            _ => None,
        };
        let winner = |token| Winner { token, is_settled: false };
        let winners: Vec<Winner> = match (drawn, rows) {
            (Some(temperature), _) => {
                self.draw(logits, temperature)?.into_iter().map(winner).collect()
            }
            (None, Some(rows)) => {
                let of_row = |row: Decision| {
                    let is_settled = row.representative_prob > 0.5;
                    Winner { token: row.representative, is_settled }
                };
                rows.into_iter().map(of_row).collect()
            }
            // Of all that the device found, the tokens alone are copied.
            (None, None) => {
                let tokens = self.map.decide(logits)?.tokens()?.to_vec1::<u32>()?;
                tokens.into_iter().map(winner).collect()
            }
        };
        if winners.iter().any(|winner| winner.token == NO_TOKEN) {
            all_good(self.map.decide(logits)?.rows()?)?;
        }
        Ok(winners)
    }

    fn draw(&mut self, logits: &Tensor, temperature: f64) -> Result<Vec<u32>, SampleError> {
        let noise = match &mut self.noise {
            Some(noise) => noise,
            none => none.insert(Noise::new(self.seed, self.map.device())?),
        };
        Ok(self.map.sample(logits, temperature, noise)?.to_vec1()?)
    }

    /// The token for row `index` of the logits, for which [`vote`](Self::vote) gave `winner`.
    fn choose(
        &mut self,
        logits: &Tensor,
        winner: Winner,
        index: usize,
        f: impl FnOnce(&mut [f32]),
    ) -> Result<u32, SampleError> {
        let by_step = self.step.is_some();
        let sampling = match self.sampling {
            Sampling::GumbelSoftmax { temperature } if is_argmax(temperature) => Sampling::ArgMax,
            Sampling::GumbelSoftmax { temperature } if by_step => Sampling::All { temperature },
            ref sampling => sampling.clone(),
        };
        let Self { rng, map, step, .. } = self;
        let mut pooled = || {
            let logits = if logits.rank() == 1 { logits.clone() } else { logits.get(index)? };
            let pooled = match map.map().stats().pooled_concepts {
                // Not relative to the maximum: candle's own logits give candle's own bits.
                0 => logits.to_dtype(DType::F32)?,
                _ => map.pool(&logits)?,
            };
            match step {
                Some(step) => step.pool(&pooled, &logits),
                None => Ok(pooled),
            }
        };
        let probabilities = |temperature| -> Result<Vec<f32>, SampleError> {
            let mut probabilities = softmax(&pooled()?, positive(temperature)?)?;
            f(&mut probabilities);
            Ok(probabilities)
        };
        let place = match sampling {
            Sampling::ArgMax if by_step && !winner.is_settled => {
                Ok(pooled()?.argmax(D::Minus1)?.to_scalar::<u32>()? as usize)
            }
            Sampling::ArgMax | Sampling::GumbelSoftmax { .. } => return Ok(winner.token),
            Sampling::All { temperature } => multinomial(&probabilities(temperature)?, rng),
            Sampling::TopK { k, temperature } => {
                let (tokens, weights) = top_k(probabilities(temperature)?, k)?;
                multinomial(&weights, rng).map(|i| tokens[i])
            }
            Sampling::TopP { p, temperature } => {
                let mut weights = probabilities(temperature)?;
                top_p(&mut weights, p, 1.0)?;
                multinomial(&weights, rng)
            }
            Sampling::TopKThenTopP { k, p, temperature } => {
                let (tokens, mut weights) = top_k(probabilities(temperature)?, k)?;
                let all = weights.iter().sum();
                top_p(&mut weights, p, all)?;
                multinomial(&weights, rng).map(|i| tokens[i])
            }
        };
        place.map(|t| t as u32).map_err(|problem| SampleError::Weights { row: index, problem })
    }
}

/// The rows, or the first that has no winner.
fn all_good<T>(rows: Vec<Result<T, BadRow>>) -> Result<Vec<T>, ReduceError> {
    Ok(rows.into_iter().collect::<Result<_, _>>()?)
}

/// What the map's vote on a row came to.
#[derive(Clone, Copy)]
struct Winner {
    token: u32,
    /// Whether its token alone has more than half of the vote, so that no pooling can change it.
    is_settled: bool,
}

/// Whether candle takes a `GumbelSoftmax` of this temperature for `ArgMax`.
fn is_argmax(temperature: f64) -> bool {
    temperature <= 0.0
}
