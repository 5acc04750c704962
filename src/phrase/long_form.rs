use super::model::{NextLogits, PhraseCost};
use super::open::{OpenVocabulary, OpenVote};
use crate::phrase::PhraseError;
use crate::reduce::Row;

/// A text of several steps, and where it was decided by whole phrases; from
/// [`OpenVocabulary::generate`].
#[derive(Debug, Clone, Default)]
pub struct LongForm {
    /// What was said after the prompt, without what ended it.
    pub tokens: Vec<u32>,
    /// Where the vote was split, in order.
    pub interventions: Vec<Intervention>,
    /// What all of it took.
    pub cost: PhraseCost,
}

/// A step of a text at which the vote was split.
#[derive(Debug, Clone)]
pub struct Intervention {
    /// The place in [`LongForm::tokens`] of the step's first token.
    pub at: usize,
    /// The map's own vote.
    pub row: Row,
    /// What was counted instead.
    pub vote: OpenVote,
}

impl Intervention {
    /// Whether it made a difference: whether something else was said than the likeliest token.
    pub fn is_change(&self) -> bool {
        self.vote.continuations[self.vote.winner].tokens[0] != self.row.greedy
    }
}

impl OpenVocabulary {
    /// Goes on from `prompt` for up to `max_tokens` tokens, or to an end, step by step: where a
    /// vote is split, with the phrase that [`step`](Self::step) decides for, whole.
    ///
    /// With [`SharedPrompt`](crate::phrase::SharedPrompt) for the model, nothing is read twice; with
    /// [`CachedModel`](crate::phrase::CachedModel), a split step reads the sequence anew, in each row of its
    /// batch, and the step after it once more.
    ///
    /// # Errors
    ///
    /// As for [`step`](Self::step).
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
    ///     .with_ends([7]);
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
        let mut said = LongForm::default();
        let room = model.context().map_or(usize::MAX, |most| most.saturating_sub(prompt.len()));
        let max_tokens = max_tokens.min(room);
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
