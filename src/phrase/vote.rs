use std::sync::Arc;

use super::model::PhraseCost;
use crate::ln::heaviest;
use crate::phrase::{Phrase, PhraseTrie};

/// The probabilities that a model gives to the phrases of a trie; from
/// [`DevicePhrases::vote`](crate::phrase::DevicePhrases::vote).
///
/// All of them are kept as natural logs, in `f64`; `-inf` is the log of 0.
#[derive(Debug, Clone)]
pub struct PhraseVote {
    pub(super) trie: Arc<PhraseTrie>,
    pub(super) ln_probabilities: Vec<f64>,
    pub(super) ln_masses: Vec<f64>,
    pub(super) cost: PhraseCost,
}

impl PhraseVote {
    /// The probability that what follows the prompt says `concept`, in `[0, 1]`; 0 for an id that no
    /// concept has.
    ///
    /// Below about `1e-308` it is 0 as well, which [`ln_mass`](Self::ln_mass) is not.
    pub fn mass(&self, concept: u32) -> f64 {
        self.ln_mass(concept).exp()
    }

    /// The natural log of [`mass`](Self::mass), which no number of tokens makes vanish.
    pub fn ln_mass(&self, concept: u32) -> f64 {
        self.ln_masses.get(concept as usize).copied().unwrap_or(f64::NEG_INFINITY)
    }

    /// The [`ln_mass`](Self::ln_mass) of every concept, `[C]`.
    pub fn ln_masses(&self) -> &[f64] {
        &self.ln_masses
    }

    /// `ln P(phrase | prompt)` of every phrase, in the order of [`PhraseTrie::phrases`]; with ends,
    /// of the phrase and any one of them.
    pub fn ln_probabilities(&self) -> &[f64] {
        &self.ln_probabilities
    }

    /// The concept with the largest mass; of equals, the one with the lowest id. `None` if no concept
    /// has any mass: if no phrase can follow the prompt, because of masks for instance.
    pub fn winner(&self) -> Option<u32> {
        heaviest(self.ln_masses.iter().copied().zip(0..))
    }

    /// The likeliest phrase of `concept`; of equals, the one whose tokens are the lowest, compared
    /// one after the other. `None` if no concept has this id, or none of its phrases can follow the
    /// prompt.
    pub fn phrase(&self, concept: u32) -> Option<&Phrase> {
        let phrases = self.ln_probabilities.iter().copied().zip(self.trie.phrases());
        heaviest(phrases.filter(|(_, phrase)| phrase.concept == concept))
    }

    /// The tokens to emit: the winner's likeliest phrase. `None` if there is no
    /// [`winner`](Self::winner).
    ///
    /// Have the model read them as if it had said them, and continue from there; or only the first of
    /// them, to leave the rest to the model.
    ///
    /// ```
    /// # use candle_core::{Device, Result, Tensor};
    /// # use concept_mass::phrase::{NextLogits, PhraseTrie};
    /// # struct Counter;
    /// # impl NextLogits for Counter {
    /// #     fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
    /// #         let next = sequences.iter().map(|sequence| sequence[sequence.len() - 1] + 1);
    /// #         let rows = next.map(|next| (0..10).map(move |t| if t == next { 9f32 } else { 0. }));
    /// #         Tensor::from_iter(rows.flatten(), &Device::Cpu)?.reshape((sequences.len(), 10))
    /// #     }
    /// # }
    /// # let mut model = Counter;
    /// let trie = PhraseTrie::builder(10).phrase("up", [3, 4])?.phrase("down", [1, 0])?.build()?;
    /// let mut sequence = vec![2];
    /// let vote = trie.to_device(&Device::Cpu)?.vote(&mut model, &sequence)?;
    ///
    /// // The answer first, then whatever the model says:
    /// sequence.extend(vote.answer().unwrap_or_default());
    /// while sequence.len() < 6 {
    ///     let logits = model.next_logits(&[sequence.clone()])?;
    ///     sequence.extend(logits.argmax(1)?.to_vec1::<u32>()?);
    /// }
    /// assert_eq!(sequence, [2, 3, 4, 5, 6, 7]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn answer(&self) -> Option<&[u32]> {
        self.phrase(self.winner()?).map(|phrase| phrase.tokens.as_slice())
    }

    /// The phrases that were voted on.
    pub fn trie(&self) -> &PhraseTrie {
        &self.trie
    }

    /// The forward passes that the vote took.
    pub fn cost(&self) -> PhraseCost {
        self.cost
    }
}
