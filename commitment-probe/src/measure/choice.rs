//! The first step: every token's probability, the right concept's P-mass, and what each way of
//! counting concepts would choose.

use candle_core::{IndexOp, Tensor};
use concept_mass::{
    ConceptMap, Row, TokenSets, map::OnConflict, phrase::NextLogits, reduce::ReduceError,
    source::Vocabulary,
};

use super::{Known, Prober, TEMPERATURES};
use crate::Result;
use crate::sample::{AtTemperature, Decision, FirstStep};

/// The most tokens by which a concept without a name is called,
const CALLED: usize = 4;
/// and the least share of it that each of them has.
const SHARE: f64 = 0.01;

/// The vote on one question's first token.
pub(super) struct FirstVote {
    pub step: FirstStep,
    /// By aliases, by spelling and by embedding.
    pub choices: [Choice; 3],
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
            concept: self.concept.clone(),
            mass: self.row.mass,
            concentration: self.row.concentration(),
            entropy: self.row.concept_entropy,
            token: self.token(),
            answer,
            right,
        }
    }
}

impl<M: NextLogits> Prober<M> {
    /// The votes on the logits `[B, V]`, in `f32`, of as many questions.
    pub(super) fn first_votes(&self, logits: &Tensor, known: &[Known]) -> Result<Vec<FirstVote>> {
        let by_spelling = self.spelling.reduce(logits)?.rows()?;
        let masses = self.masses(logits, known)?;
        let mut votes = Vec::new();
        for (i, (row, mass)) in by_spelling.into_iter().zip(masses).enumerate() {
            let row = row.map_err(ReduceError::from)?;
            let logits = logits.i(i)?;
            let values = logits.to_vec1::<f32>()?;
            let probability = |logit: &f32| (f64::from(*logit) - f64::from(row.log_z)).exp();
            let probabilities: Vec<f64> = values.iter().map(probability).collect();
            let aliases = known[i].firsts.map(OnConflict::LeaveOut)?;
            let pooling = self.options.pooling;
            let embedding =
                self.embedding.map(&likeliest(&values, pooling.k), pooling.threshold)?;
            let choose = |map: &ConceptMap| -> Result<Choice> {
                let rows = map.to_device(&self.device)?.reduce(&logits)?.rows()?;
                let row = rows[0].map_err(ReduceError::from)?;
                Ok(self.choice(row, map, &probabilities))
            };
            votes.push(FirstVote {
                choices: [
                    choose(&aliases)?,
                    self.choice(row, self.spelling.map(), &probabilities),
                    choose(&embedding)?,
                ],
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

    /// The P-mass of each question's right concept: its probe in its own row.
    fn masses(&self, logits: &Tensor, known: &[Known]) -> Result<Vec<Mass>> {
        // A question none of whose forms can begin an answer has no probe.
        let places: Vec<usize> = (0..known.len()).filter(|&i| !known[i].right.is_empty()).collect();
        let none = Mass {
            mass: 0.0,
            concentration: 0.0,
            at_temperature: TEMPERATURES
                .map(|temperature| AtTemperature { temperature, mass: 0.0 })
                .to_vec(),
        };
        let mut masses = vec![none; known.len()];
        let probes = places
            .iter()
            .try_fold(TokenSets::builder(self.vocabulary.vocab_size()), |probes, &i| {
                probes.set(i.to_string(), known[i].right.iter().copied())
            })?;
        let probes = probes.build()?.to_device(&self.device)?;
        let probe = |logits: &Tensor| -> Result<[Vec<f32>; 2]> {
            let probed = probes.measure(logits)?;
            let own = |of: &Tensor| -> Result<Vec<f32>> {
                let of = of.to_vec2::<f32>()?;
                Ok(places.iter().enumerate().map(|(probe, &i)| of[i][probe]).collect())
            };
            Ok([own(&probed.masses)?, own(&probed.concentrations)?])
        };
        let [mass, concentration] = probe(logits)?;
        for (&i, (mass, concentration)) in places.iter().zip(mass.into_iter().zip(concentration)) {
            (masses[i].mass, masses[i].concentration) = (mass, concentration);
        }
        for (t, temperature) in TEMPERATURES.into_iter().enumerate() {
            let [mass, _] = probe(&(logits / temperature)?)?;
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
        let least = SHARE * f64::from(row.mass);
        let called = tokens.iter().take(CALLED).filter(|&&token| probability(token) >= least);
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
