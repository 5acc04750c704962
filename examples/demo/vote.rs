//! The vote on the first token of an answer, counted both ways.

use anyhow::Result;
use candle_core::Tensor;
use candle_nn::ops::softmax_last_dim;
use concept_mass::{ConceptMap, sample::TopKPooling};

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
    /// The concept, or that of the token.
    pub concept: u32,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The tokens, likeliest first, and their probabilities.
    pub tokens: Vec<(String, f32)>,
    /// The probability of all of them.
    pub mass: f32,
}

impl Vote {
    /// Lets the model vote on `question`, and answer it both ways.
    pub fn hold(decoder: &mut Decoder, question: &Question) -> Result<Self> {
        let logits = decoder.first_logits(&question.tokens)?;
        let probabilities: Vec<f32> = softmax_last_dim(&logits)?.to_vec1()?;
        let map = match question.step {
            None => question.map.clone(),
            // What the sampler pools at this step, as a map.
            Some(TopKPooling { k, threshold }) => {
                let likeliest = &by_share(&probabilities)[..k.min(probabilities.len())];
                decoder.embedding.map(likeliest, threshold)?.to_device(&decoder.device)?
            }
        };
        let ballots = Ballots { probabilities, map: map.map(), text: &decoder.text };
        let by_tokens = ballots.tokens();
        let by_meanings = ballots.concepts(&map.masses(&logits)?)?;
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
    fn tokens(&self) -> Vec<Candidate> {
        let tokens = front_runners(&self.probabilities).into_iter();
        let candidate = |token| {
            let concept = self.map.concept_of(token).unwrap_or_default();
            self.candidate(concept, &[token], self.probabilities[token as usize])
        };
        tokens.map(candidate).collect()
    }

    fn concepts(&self, masses: &Tensor) -> Result<Vec<Candidate>> {
        let masses = masses.to_vec1()?;
        let candidate = |concept| {
            let tokens = self.map.tokens(concept).unwrap_or_default();
            self.candidate(concept, tokens, masses[concept as usize])
        };
        Ok(front_runners(&masses).into_iter().map(candidate).collect())
    }

    fn candidate(&self, concept: u32, tokens: &[u32], mass: f32) -> Candidate {
        let share = |&token: &u32| (self.text.token(token), self.probabilities[token as usize]);
        let mut tokens: Vec<_> = tokens.iter().map(share).collect();
        tokens.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        Candidate { concept, name: self.map.name(concept).map(str::to_owned), tokens, mass }
    }
}

/// The ids of the shares that are shown, largest first.
fn front_runners(shares: &[f32]) -> Vec<u32> {
    let mut ids = by_share(shares);
    let shown = ids.iter().take(ROWS).filter(|&&id| shares[id as usize] >= SHARE).count();
    ids.truncate(shown.max(1));
    ids
}

/// All ids, those of the largest shares first; of equals, the lowest first.
fn by_share(shares: &[f32]) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..shares.len() as u32).collect();
    ids.sort_by(|&a, &b| shares[b as usize].total_cmp(&shares[a as usize]));
    ids
}
