//! The vote on the first token of an answer, counted both ways.

use anyhow::Result;
use candle_core::Tensor;
use candle_nn::ops::softmax_last_dim;
use concept_mass::ConceptMap;

use super::{Decoder, Question, text::Text};

/// Of the candidates, the winner is shown, and whoever has this much of the vote,
const SHARE: f32 = 0.005;
/// but no more of them than this.
const ROWS: usize = 12;

pub struct Vote {
    pub prompt: String,
    pub by_tokens: Count,
    pub by_meanings: Count,
}

/// One way of counting, and the answer that it leads to.
pub struct Count {
    /// The front runners, the winner first.
    pub candidates: Vec<Candidate>,
    pub answer: String,
}

/// A token, or a concept.
pub struct Candidate {
    /// The name of the concept, if it has one.
    pub concept: Option<String>,
    /// The tokens, likeliest first, and their probabilities.
    pub tokens: Vec<(String, f32)>,
    /// The probability of all of them.
    pub mass: f32,
}

impl Vote {
    /// Lets the model vote on `question`, and answer it both ways.
    pub fn hold(decoder: &mut Decoder, question: &Question) -> Result<Self> {
        let logits = decoder.first_logits(question)?;
        let ballots = Ballots {
            probabilities: softmax_last_dim(&logits)?.to_vec1()?,
            map: question.map.map(),
            text: &decoder.text,
        };
        let by_tokens = ballots.tokens()?;
        let by_meanings = ballots.concepts(&question.map.masses(&logits)?)?;
        Ok(Self {
            prompt: question.prompt.clone(),
            by_tokens: Count { candidates: by_tokens, answer: decoder.by_tokens(question)? },
            by_meanings: Count { candidates: by_meanings, answer: decoder.by_meanings(question)? },
        })
    }
}

/// What it takes to describe a candidate.
struct Ballots<'a> {
    probabilities: Vec<f32>,
    map: &'a ConceptMap,
    text: &'a Text,
}

impl Ballots<'_> {
    fn tokens(&self) -> Result<Vec<Candidate>> {
        let tokens = front_runners(&self.probabilities).into_iter();
        tokens
            .map(|token| {
                let concept = self.map.concept_of(token).and_then(|concept| self.map.name(concept));
                self.candidate(concept, &[token], self.probabilities[token as usize])
            })
            .collect()
    }

    fn concepts(&self, masses: &Tensor) -> Result<Vec<Candidate>> {
        let masses = masses.to_vec1()?;
        let concepts = front_runners(&masses).into_iter();
        concepts
            .map(|concept| {
                let tokens = self.map.tokens(concept).unwrap_or_default();
                self.candidate(self.map.name(concept), tokens, masses[concept as usize])
            })
            .collect()
    }

    fn candidate(&self, concept: Option<&str>, tokens: &[u32], mass: f32) -> Result<Candidate> {
        let tokens = tokens.iter();
        let mut tokens = tokens
            .map(|&token| Ok((self.text.token(token)?, self.probabilities[token as usize])))
            .collect::<Result<Vec<_>>>()?;
        tokens.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        Ok(Candidate { concept: concept.map(str::to_owned), tokens, mass })
    }
}

/// The ids of the shares that are shown, largest first; of equals, the lowest id first.
fn front_runners(shares: &[f32]) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..shares.len() as u32).collect();
    let share = |id: u32| shares[id as usize];
    ids.sort_by(|&a, &b| share(b).total_cmp(&share(a)));
    let shown = ids.iter().take(ROWS).filter(|&&id| share(id) >= SHARE).count();
    ids.truncate(shown.max(1));
    ids
}
