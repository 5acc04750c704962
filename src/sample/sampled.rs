use crate::reduce::cpu::sample::{Drawn, DrawnLogProbs};

/// What was sampled from a row.
///
/// ```
/// # use candle_core::{Device, Tensor};
/// # use concept_mass::ConceptMap;
/// use concept_mass::sample::{Distribution, LogProbs, RowSampler, SamplingParams, sample_batch};
///
/// let map = ConceptMap::builder(3).concept("yes", [0, 1])?.build()?.to_device(&Device::Cpu)?;
/// let params = SamplingParams::greedy().with_log_probs(LogProbs::new(2, Distribution::Raw)?);
/// let mut rows = [RowSampler::new(params, map)?];
/// let logits = Tensor::new(&[[0.3f32, 0.25, 0.45]], &Device::Cpu)?.log()?;
/// let sampled = sample_batch(&logits, &mut rows)?.remove(0)?;
/// assert_eq!((sampled.token, sampled.concept), (0, 0));
///
/// let log_probs = sampled.log_probs.expect("they were asked for");
/// assert!((log_probs.concept.exp() - 0.55).abs() < 1e-6);
/// assert!((log_probs.token.exp() - 0.3).abs() < 1e-6);
/// assert_eq!(log_probs.likeliest[1].representative, 2);
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Sampled {
    /// The token to emit.
    pub token: u32,
    /// The concept that was chosen; where no map applies, the token's own id.
    pub concept: u32,
    /// What [`SamplingParams::with_log_probs`](super::SamplingParams::with_log_probs) asked for.
    pub log_probs: Option<SampledLogProbs>,
}

/// The log-probabilities of a [`Sampled`] token, in nats.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SampledLogProbs {
    /// That of the sampled concept, in the [`Distribution`](super::Distribution) asked for.
    pub concept: f32,
    /// That of the emitted token, always as the model gave it: the log of its softmax over the
    /// vocabulary, before anything was changed. `-inf` for a token that had no probability there.
    pub token: f32,
    /// The likeliest concepts of the distribution asked for, likeliest first; fewer than asked for
    /// if fewer have any probability.
    pub likeliest: Vec<ConceptLogProb>,
}

/// A concept and its log-probability.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ConceptLogProb {
    /// The concept.
    pub concept: u32,
    /// Its likeliest token.
    pub representative: u32,
    /// Its log-probability in nats.
    pub log_prob: f32,
}

impl Sampled {
    /// A token of a concept, without log-probabilities.
    pub(super) fn of(token: u32, concept: u32) -> Self {
        Self { token, concept, log_probs: None }
    }
}

impl From<Drawn> for Sampled {
    fn from(Drawn { token, concept, log_probs }: Drawn) -> Self {
        let log_probs = log_probs.map(|DrawnLogProbs { concept, token, likeliest }| {
            let of = |(concept, representative, log_prob)| ConceptLogProb {
                concept,
                representative,
                log_prob,
            };
            let likeliest = likeliest.into_iter().map(of).collect();
            SampledLogProbs { concept, token, likeliest }
        });
        Self { token, concept, log_probs }
    }
}
