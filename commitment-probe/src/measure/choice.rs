//! The first step: every token's probability, the right concept's P-mass, and what each way of
//! counting concepts would choose.

use candle_core::{IndexOp, Tensor};
use concept_mass::{
    ConceptMap, Row, TokenSets, map::OnConflict, phrase::NextLogits, source::Vocabulary,
};

use super::{Known, Prober, TEMPERATURES, rows};
use crate::sample::{AtTemperature, Decision, FirstStep, Vote};
use crate::{Decoder, Result};

/// A concept without a name is called by at most this many of its tokens,
const MAX_CALLED: usize = 4;
/// each of which has at least this share of its mass.
const MIN_SHARE: f64 = 0.01;

/// The vote on one question's first token.
pub(super) struct FirstVote {
    pub step: FirstStep,
    /// Of the decoders that count at the first step.
    pub choices: Vec<(Decoder, Choice)>,
    pub at_temperature: Vec<AtTemperature>,
    /// The probability of every token.
    pub probabilities: Vec<f64>,
}

/// What one way of counting chooses.
pub(super) struct Choice {
    concept: String,
    row: Row,
}

impl Choice {
    /// The chosen concept's likeliest token.
    pub fn token(&self) -> u32 {
        self.row.representative
    }

    /// With the answer that the choice leads to.
    pub fn decision(&self, answer: String, right: bool) -> Decision {
        Decision {
            concept: Some(self.concept.clone()),
            mass: self.row.mass.into(),
            answer,
            right,
            vote: Some(Vote {
                token: self.token(),
                concentration: self.row.concentration(),
                entropy: self.row.concept_entropy,
            }),
        }
    }
}

impl<M: NextLogits> Prober<M> {
    /// The votes on the logits `[B, V]`, in `f32`, of as many questions.
    pub(super) fn first_votes(&self, logits: &Tensor, known: &[Known]) -> Result<Vec<FirstVote>> {
        let by_spelling = rows(&self.spelling, logits)?;
        let masses = self.masses(logits, known)?;
        let mut votes = Vec::new();
        for (i, (row, mass)) in by_spelling.into_iter().zip(masses).enumerate() {
            let logits = logits.i(i)?;
            let values = logits.to_vec1::<f32>()?;
            let probability = |logit: &f32| (f64::from(*logit) - f64::from(row.log_z)).exp();
            let probabilities: Vec<f64> = values.iter().map(probability).collect();
            let aliases = known[i].firsts.map(OnConflict::LeaveOut)?;
            let pooling = self.options.pooling;
            let embedding =
                self.embedding.map(&likeliest(&values, pooling.k), pooling.threshold)?;
            let mut choices =
                vec![(Decoder::Spelling, self.choice(row, self.spelling.map(), &probabilities))];
            for (decoder, map) in [(Decoder::Embedding, embedding), (Decoder::Aliases, aliases)] {
                // One row of logits, one row.
                for row in rows(&map.to_device(&self.device)?, &logits)? {
                    choices.push((decoder, self.choice(row, &map, &probabilities)));
                }
            }
            votes.push(FirstVote {
                choices,
                step: FirstStep {
                    token: row.greedy,
                    text: name(&self.vocabulary, row.greedy),
                    probability: row.greedy_prob,
                    begins_answer: known[i].right.contains(&row.greedy),
                    mass: mass.mass,
                    concentration: (mass.mass > 0.0).then_some(mass.concentration),
                    token_entropy: row.token_entropy,
                },
                at_temperature: mass.at_temperature,
                probabilities,
            });
        }
        Ok(votes)
    }

    /// The P-mass of each question's right concept: the mass of its token set in its own row.
    fn masses(&self, logits: &Tensor, known: &[Known]) -> Result<Vec<Mass>> {
        // A question none of whose forms can begin an answer has no token set.
        let places: Vec<usize> = (0..known.len()).filter(|&i| !known[i].right.is_empty()).collect();
        let none = Mass {
            mass: 0.0,
            concentration: 0.0,
            at_temperature: TEMPERATURES
                .map(|temperature| AtTemperature { temperature, mass: 0.0 })
                .to_vec(),
        };
        let mut masses = vec![none; known.len()];
        let sets = places
            .iter()
            .try_fold(TokenSets::builder(self.vocabulary.vocab_size()), |sets, &i| {
                sets.set(i.to_string(), known[i].right.iter().copied())
            })?;
        let sets = sets.build()?.to_device(&self.device)?;
        let measure = |logits: &Tensor| -> Result<[Vec<f32>; 2]> {
            let measured = sets.measure(logits)?;
            let own = |of: &Tensor| -> Result<Vec<f32>> {
                let of = of.to_vec2::<f32>()?;
                Ok(places.iter().enumerate().map(|(set, &i)| of[i][set]).collect())
            };
            Ok([own(&measured.masses)?, own(&measured.concentrations)?])
        };
        let [mass, concentration] = measure(logits)?;
        for (&i, (mass, concentration)) in places.iter().zip(mass.into_iter().zip(concentration)) {
            (masses[i].mass, masses[i].concentration) = (mass, concentration);
        }
        for (t, temperature) in TEMPERATURES.into_iter().enumerate() {
            let [mass, _] = measure(&(logits / temperature)?)?;
            for (&i, mass) in places.iter().zip(mass) {
                masses[i].at_temperature[t].mass = mass;
            }
        }
        Ok(masses)
    }

    fn choice(&self, row: Row, map: &ConceptMap, probabilities: &[f64]) -> Choice {
        let mut tokens = map.tokens(row.winner).unwrap_or_default().to_vec();
        let probability = |token: u32| probabilities[token as usize];
        tokens.sort_by(|&a, &b| probability(b).total_cmp(&probability(a)));
        let least = MIN_SHARE * f64::from(row.mass);
        let called = tokens.iter().take(MAX_CALLED).filter(|&&token| probability(token) >= least);
        let called = called.map(|&token| name(&self.vocabulary, token)).collect::<Vec<_>>();
        let concept = map.name(row.winner).map_or_else(|| called.join(" + "), str::to_owned);
        Choice { concept, row }
    }
}

/// The right concept of one question.
#[derive(Clone)]
struct Mass {
    mass: f32,
    concentration: f32,
    at_temperature: Vec<AtTemperature>,
}

/// The `k` likeliest tokens, likeliest first; of equals, the lowest.
fn likeliest(logits: &[f32], k: usize) -> Vec<u32> {
    let logit = |token: u32| logits[token as usize];
    let mut tokens: Vec<u32> =
        (0..logits.len() as u32).filter(|&token| logit(token) > f32::NEG_INFINITY).collect();
    tokens.sort_by(|&a, &b| logit(b).total_cmp(&logit(a)));
    tokens.truncate(k);
    tokens
}

/// A token as a person would write it, without the space before it.
fn name(vocabulary: &Vocabulary, token: u32) -> String {
    let text = vocabulary.piece(token).to_string();
    match text.strip_prefix(' ').unwrap_or(&text) {
        "" => "␣".to_owned(),
        bare => bare.to_owned(),
    }
}
