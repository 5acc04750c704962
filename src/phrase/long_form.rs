use super::model::{NextLogits, PhraseCost};
use super::open::{OpenVocabulary, room};
use super::rollouts::OpenVote;
use crate::phrase::PhraseError;
use crate::reduce::Row;

/// A text of several steps, and the steps that were decided by whole phrases; from
/// [`OpenVocabulary::generate`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct LongForm {
    /// What was said after the prompt, without the end.
    pub tokens: Vec<u32>,
    /// The steps at which the vote was split, in order.
    pub interventions: Vec<Intervention>,
    /// The forward passes that the whole text took.
    pub cost: PhraseCost,
}

/// A step of a text at which the vote was split.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Intervention {
    /// Where in [`LongForm::tokens`] the step's tokens begin. If the step did nothing but end the
    /// text, this is their number: there are none after it.
    pub at: usize,
    /// The map's own vote.
    pub row: Row,
    /// The vote on continuations that took its place.
    pub vote: OpenVote,
}

impl Intervention {
    /// Whether what was said begins with another token than the likeliest one.
    pub fn is_change(&self) -> bool {
        self.vote.answer().first() != Some(&self.row.greedy)
    }
}

impl OpenVocabulary {
    /// Continues `prompt` step by step to an end, or to `max_tokens` tokens: where a vote is split,
    /// by the whole phrase that [`step`](Self::step) decides for.
    ///
    /// The prompt and the text together have at most as many tokens as the model's
    /// [context](NextLogits::context).
    ///
    /// A model that is a [`SharedPrompt`](crate::phrase::SharedPrompt) reads nothing twice. A
    /// [`CachedModel`](crate::phrase::CachedModel) reads the sequence again at each split step, in
    /// every row of its batch, and once more at the step after it.
    ///
    /// # Errors
    ///
    /// As for [`step`](Self::step); also [`PhraseError::TooLong`] if the prompt fills the model's
    /// context.
    ///
    /// ```
    /// # use candle_core::{Device, Result, Tensor};
    /// # use concept_mass::{ConceptMap, phrase::{NextLogits, OpenVocabulary, Rollouts}, source::Embedding};
    /// # struct Counter;
    /// # impl NextLogits for Counter {
    /// #     fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
    /// #         let next = sequences.iter().map(|sequence| sequence[sequence.len() - 1] + 1);
    /// #         let rows = next.map(|next| (0..10).map(move |t| if t == next { 9f32 } else { 0. }));
    /// #         Tensor::from_iter(rows.flatten(), &Device::Cpu)?.reshape((sequences.len(), 10))
    /// #     }
    /// # }
    /// # let embedding = Embedding::new(&Tensor::eye(10, candle_core::DType::F32, &Device::Cpu)?)?;
    /// let map = ConceptMap::singletons(10)?.to_device(&Device::Cpu)?;
    /// let mut open = OpenVocabulary::by_embedding(map, Rollouts::default(), embedding, 0.9)?
    ///     .with_ends([7])?;
    /// let said = open.generate(&mut Counter, &[3], 100)?; // a model that is sure how to count
    /// assert_eq!(said.tokens, [4, 5, 6]);
    /// assert!(said.interventions.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn generate(
        &mut self,
        model: &mut impl NextLogits,
        prompt: &[u32],
        max_tokens: usize,
    ) -> Result<LongForm, PhraseError> {
        let room = room(model, prompt)?;
        if room == 0 && max_tokens > 0 {
            let prompt = prompt.len();
            return Err(PhraseError::TooLong { prompt, phrase: 1, context: prompt });
        }
        let max_tokens = max_tokens.min(room);
        let mut said = LongForm::default();
        while said.tokens.len() < max_tokens {
            let step = self.step(model, &[prompt, &said.tokens].concat())?;
            said.cost += step.cost;
            if let Some(vote) = step.vote {
                let at = said.tokens.len();
                said.interventions.push(Intervention { at, row: step.row, vote });
            }
            for token in step.tokens {
                if self.is_end(token) || said.tokens.len() == max_tokens {
                    return Ok(said);
                }
                said.tokens.push(token);
            }
        }
        Ok(said)
    }
}
