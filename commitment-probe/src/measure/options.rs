//! What is measured, and how.

use concept_mass::sample::TopKPooling;

use crate::{Error, Result, Scorer, Stops};

/// The largest [`batch`](ProbeOptions::batch): each row of a forward pass takes memory for a whole
/// vocabulary of logits.
const MAX_BATCH: usize = 4096;

/// The largest [`max_tokens`](ProbeOptions::max_tokens).
const MAX_TOKENS: usize = 1 << 20;

/// The largest [`samples`](ProbeOptions::samples).
const MAX_SAMPLES: usize = 100_000;

/// The largest [`exchanges`](ProbeOptions::exchanges).
const MAX_EXCHANGES: usize = 1000;

/// What is measured, and how.
///
/// ```
/// use commitment_probe::{ProbeOptions, Scorer};
///
/// let options = ProbeOptions { samples: 0, ..ProbeOptions::default() }; // no sampling
/// assert_eq!((options.max_tokens, options.scorer), (24, Scorer::Exact));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeOptions {
    /// The maximum number of tokens of an answer, from 1 to 1,048,576.
    pub max_tokens: usize,
    /// Texts that an answer ends before; without any, it ends at its first line break.
    pub stops: Stops,
    /// Who says whether an answer is right.
    pub scorer: Scorer,
    /// Whether our own scorers forgive a plural or an article at the last word.
    pub endings: bool,
    /// The number of other questions whose forms are exchanged for each question's own, from 0 to
    /// 1,000.
    pub exchanges: usize,
    /// The number of answers to sample for each question, from 0 to 100,000.
    pub samples: usize,
    /// The temperature of sampled answers, above 0.
    pub temperature: f64,
    /// The seed of sampled answers and exchanges, together with the question's id.
    pub seed: u64,
    /// How the likeliest tokens are pooled by the model's embedding.
    pub pooling: TopKPooling,
    /// The maximum number of answers that are asked for at once, from 1 to 4,096.
    pub batch: usize,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        Self {
            max_tokens: 24,
            stops: Stops::default(),
            scorer: Scorer::Exact,
            endings: false,
            exchanges: 10,
            samples: 10,
            temperature: 1.0,
            seed: 0,
            pooling: TopKPooling { k: 20, threshold: 0.5 },
            batch: 16,
        }
    }
}

impl ProbeOptions {
    /// Whether they can be used; [`Prober::new`](crate::Prober::new) asks that as well.
    ///
    /// # Errors
    ///
    /// [`Error::ProbeOption`] for an option out of range.
    ///
    /// ```
    /// use commitment_probe::ProbeOptions;
    ///
    /// let error = ProbeOptions { batch: 0, ..ProbeOptions::default() }.check().unwrap_err();
    /// assert_eq!(error.to_string(), "batch = 0 cannot be used: it must be from 1 to 4,096");
    /// ```
    pub fn check(&self) -> Result<()> {
        let Self { max_tokens, exchanges, samples, temperature, pooling, batch, .. } = *self;
        let refuse = |option, value: &dyn std::fmt::Display, requirement| {
            Err(Error::ProbeOption { option, value: value.to_string(), requirement })
        };
        if !(1..=MAX_TOKENS).contains(&max_tokens) {
            return refuse("max_tokens", &max_tokens, "it must be from 1 to 1,048,576");
        }
        if !(1..=MAX_BATCH).contains(&batch) {
            return refuse("batch", &batch, "it must be from 1 to 4,096");
        }
        if samples > MAX_SAMPLES {
            return refuse("samples", &samples, "it must be from 0 to 100,000");
        }
        if exchanges > MAX_EXCHANGES {
            return refuse("exchanges", &exchanges, "it must be from 0 to 1,000");
        }
        if pooling.k == 0 {
            return refuse("top_k", &pooling.k, "it must be 1 or more");
        }
        if !(-1.0..=1.0).contains(&pooling.threshold) {
            return refuse("threshold", &pooling.threshold, "it must be a cosine, from -1 to 1");
        }
        if !(temperature > 0.0 && temperature.is_finite()) {
            return refuse("temperature", &temperature, "it must be above 0 and finite");
        }
        Ok(())
    }
}
