use candle_core::{DType, Tensor};

use super::range::at_least_1;
use super::rank::{Rank, largest_of, ranks};
use crate::ln::ln_sum;
use crate::sample::SampleError;
use crate::source::{Embedding, check_threshold};
#[cfg(feature = "tokenizers")]
use crate::source::{Judge, Vocabulary};
use crate::{ConceptSampler, Sampling};

/// Pools each step's likeliest tokens by meaning, which the model's own embedding gives: the
/// concept-aware decoding that Yeom et al. (2026) sketch.
///
/// Of the `k` likeliest concepts of a step (tokens, under a map that pools nothing), those whose
/// likeliest tokens have rows within the threshold become one; see [`Embedding`] for the grouping,
/// and [`ConceptSampler::with_top_k_pooling`](crate::ConceptSampler::with_top_k_pooling).
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::{ConceptMap, ConceptSampler, Sampling, sample::TopKPooling, source::Embedding};
///
/// let device = Device::Cpu;
/// let rows = [[0f32, 1.], [1., 0.], [0.9, 0.1], [0.9, -0.1]];
/// let embedding = Embedding::new(&Tensor::new(&rows, &device)?)?;
/// let map = ConceptMap::singletons(4)?.to_device(&device)?; // no concepts but those of the step
/// let mut sampler = ConceptSampler::from_sampling(42, Sampling::ArgMax, map)?
///     .with_top_k_pooling(TopKPooling { k: 3, threshold: 0.9 }, embedding)?;
///
/// let logits = Tensor::new(&[0.4f32, 0.3, 0.25, 0.05], &device)?.log()?;
/// assert_eq!(sampler.sample(&logits)?, 1); // with 2, .55
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TopKPooling {
    /// How many of the likeliest are looked at, at least 1.
    pub k: usize,
    /// The least cosine of two rows of one meaning, in -1 to 1.
    pub threshold: f32,
}

impl ConceptSampler {
    /// Pools each step's likeliest concepts by meaning before the choice, on top of what the map
    /// pools; `embedding`, the model's own matrix, gives the meanings.
    ///
    /// A group's mass is that of its concepts, and its likeliest token stands for it. Where one
    /// token has more than half of the vote, pooling cannot change the outcome, and
    /// [`Sampling::ArgMax`](crate::Sampling::ArgMax) skips it. Otherwise a step takes
    /// `O(V + k² D)` more, on a CUDA device with a copy of the row to the host. The trace holds the
    /// map's own vote. [`Sampling::GumbelSoftmax`](crate::Sampling::GumbelSoftmax) draws by weight
    /// from the sampler's generator, which is the same distribution.
    ///
    /// # Errors
    ///
    /// [`SampleError::Parameter`] for a `k` of 0;
    /// [`SourceError::Threshold`](crate::source::SourceError::Threshold) for a threshold outside
    /// -1 to 1;
    /// [`SourceError::EmbeddingRows`](crate::source::SourceError::EmbeddingRows) if the matrix has
    /// fewer rows than the map has tokens.
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

    /// Pools each step's `k` likeliest concepts as `judge` groups them; the rest is as with
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
    /// # let path = concept_mass_tiny::folder().join("tokenizer.json");
    /// let vocabulary = Vocabulary::load(path, 1152)?;
    /// let saints = |texts: &[&str]| -> Result<Vec<Vec<usize>>, JudgeError> {
    ///     let is_saint = |&i: &usize| matches!(texts[i].trim(), "Saint" | "St");
    ///     Ok(vec![(0..texts.len()).filter(is_saint).collect()])
    /// };
    /// let map = ConceptMap::singletons(1152)?.to_device(&device)?;
    /// let mut sampler = ConceptSampler::from_sampling(42, Sampling::ArgMax, map)?
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
        judge: impl Judge + Send + Sync + 'static,
    ) -> Result<Self, SampleError> {
        vocabulary.check_covers(self.map.map())?;
        self.with_step(k, Source::Judge(vocabulary, Box::new(judge)))
    }

    fn with_step(mut self, k: usize, source: Source) -> Result<Self, SampleError> {
        self.step = Some(StepPooling::new(k, source)?);
        self.check_step(&self.sampling)?;
        Ok(self)
    }

    /// Fails for a way to choose that asks for what pooling by step does not have.
    pub(super) fn check_step(&self, sampling: &Sampling) -> Result<(), SampleError> {
        match sampling {
            Sampling::Params(params) if self.step.is_some() && params.log_probs.is_some() => {
                Err(SampleError::LogProbsOfStep)
            }
            _ => Ok(()),
        }
    }
}

/// What a sampler does with a step's likeliest concepts.
pub(super) struct StepPooling {
    k: usize,
    source: Source,
}

/// Who says what means the same.
pub(super) enum Source {
    Embedding(Embedding, f32),
    #[cfg(feature = "tokenizers")]
    Judge(Vocabulary, Box<dyn Judge + Send + Sync>),
}

impl StepPooling {
    pub(super) fn new(k: usize, source: Source) -> Result<Self, SampleError> {
        at_least_1("k", k)?;
        Ok(Self { k, source })
    }

    /// Pools what means the same among the largest of `pooled`, in which concepts stand for their
    /// tokens already; it is `[V]` as are `logits`, from which it was pooled, and `concepts`, the
    /// concept of every token, if that is not the token itself.
    ///
    /// A group stands at the place of its likeliest token, as in [`crate::DeviceMap::pool`].
    pub(super) fn pool(
        &mut self,
        pooled: &mut [f32],
        logits: &Tensor,
        concepts: Option<&[u32]>,
    ) -> Result<(), SampleError> {
        let tokens = largest_of(ranks(pooled, concepts), self.k);
        let groups = match &mut self.source {
            Source::Embedding(embedding, threshold) => embedding.groups(&tokens, *threshold)?,
            #[cfg(feature = "tokenizers")]
            Source::Judge(vocabulary, judge) => vocabulary.judged(&tokens, judge.as_mut())?,
        };
        if groups.is_empty() {
            return Ok(());
        }
        let own = gather(logits, &tokens)?;
        for group in groups {
            let rank = |&i: &usize| {
                let token = tokens[i];
                Rank::of_logit(own[i], concepts.map_or(token, |ids| ids[token as usize]), token)
            };
            let Some(likeliest) = group.iter().map(rank).max() else { continue };
            let lns = group.iter().map(|&i| f64::from(pooled[tokens[i] as usize]));
            let mass = ln_sum(lns.collect()) as f32;
            group.iter().for_each(|&i| pooled[tokens[i] as usize] = f32::NEG_INFINITY);
            pooled[likeliest.token() as usize] = mass;
        }
        Ok(())
    }
}

/// The logits of `tokens`, of a row in any layout.
fn gather(logits: &Tensor, tokens: &[u32]) -> candle_core::Result<Vec<f32>> {
    let tokens = Tensor::new(tokens, logits.device())?;
    logits.contiguous()?.index_select(&tokens, 0)?.to_dtype(DType::F32)?.to_vec1()
}
