//! The first step: every token's probability, the right concept's P-mass, and what each way of
//! counting concepts would choose.

use std::cmp::Ordering;

use candle_core::{D, IndexOp, Tensor};
use concept_mass::{
    ConceptMap, Row, TokenSets,
    map::{ConceptMapBuilder, OnConflict},
    phrase::NextLogits,
    reduce::{DeviceTokenSets, SetMass},
    source::Vocabulary,
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
            let probabilities = softmax(&values);
            let aliases = known[i].firsts.map(OnConflict::LeaveOut)?;
            let embedding = self.pooled(&likeliest(&values, self.options.pooling.k))?;
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
                    concentration: mass.concentration,
                    token_entropy: row.token_entropy,
                },
                at_temperature: mass.at_temperature,
                probabilities,
            });
        }
        Ok(votes)
    }

    /// What the model's embedding pools of `tokens`.
    ///
    /// Not [`Embedding::map`](concept_mass::source::Embedding::map): that map is as wide as the
    /// matrix, which may have more rows than the vocabulary has tokens.
    fn pooled(&self, tokens: &[u32]) -> Result<ConceptMap> {
        let groups = self.embedding.groups(tokens, self.options.pooling.threshold)?;
        let pool = |builder: ConceptMapBuilder, group: Vec<usize>| {
            builder.unnamed(group.into_iter().map(|place| tokens[place]))
        };
        let builder = ConceptMap::builder(self.vocabulary.vocab_size());
        Ok(groups.into_iter().try_fold(builder, pool)?.build()?)
    }

    /// The P-mass of each question's right concept: the mass of its token set in its own row.
    /// Every row of the logits has a winner.
    fn masses(&self, logits: &Tensor, known: &[Known]) -> Result<Vec<Mass>> {
        // A question none of whose forms can begin an answer has no token set.
        let places: Vec<usize> = (0..known.len()).filter(|&i| !known[i].right.is_empty()).collect();
        let none = Mass {
            mass: 0.0,
            concentration: None,
            at_temperature: TEMPERATURES
                .map(|temperature| AtTemperature { temperature, mass: 0.0 })
                .to_vec(),
        };
        let mut masses = vec![none; known.len()];
        if places.is_empty() {
            return Ok(masses);
        }
        let sets = places
            .iter()
            .try_fold(TokenSets::builder(self.vocabulary.vocab_size()), |sets, &i| {
                sets.set(i.to_string(), known[i].right.iter().copied())
            })?;
        let sets = sets.build()?.to_device(&self.device)?;
        for (&i, own) in places.iter().zip(own_sets(&sets, logits, &places)?) {
            (masses[i].mass, masses[i].concentration) = (own.mass, own.concentration);
        }
        // With 0 as the largest logit, none can grow beyond what an `f32` holds.
        let shifted = logits.broadcast_sub(&logits.max_keepdim(D::Minus1)?)?;
        for (t, temperature) in TEMPERATURES.into_iter().enumerate() {
            let scaled = (&shifted / temperature)?;
            for (&i, own) in places.iter().zip(own_sets(&sets, &scaled, &places)?) {
                masses[i].at_temperature[t].mass = own.mass;
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
    concentration: Option<f32>,
    at_temperature: Vec<AtTemperature>,
}

/// What each set has in a row of its own: set `s` in row `places[s]`.
fn own_sets(sets: &DeviceTokenSets, logits: &Tensor, places: &[usize]) -> Result<Vec<SetMass>> {
    let rows = sets.measure(logits)?.rows()?;
    let own = |(set, &row): (usize, &usize)| {
        // A NaN in a sample could not be read again.
        let sets = rows[row].as_ref().map_err(|bad| concept_mass::Error::from(*bad))?;
        Ok(sets[set])
    };
    places.iter().enumerate().map(own).collect()
}

/// The probabilities of a row of logits that has a winner.
///
/// In `f64` from the largest logit on. The row's own `log_z` is an `f32`, which at logits of
/// millions is too coarse to be subtracted.
fn softmax(logits: &[f32]) -> Vec<f64> {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let weights = logits.iter().map(|&logit| (f64::from(logit) - largest).exp());
    let sum: f64 = weights.clone().sum();
    weights.map(|weight| weight / sum).collect()
}

/// The `k` likeliest tokens, likeliest first; of equals, the lowest. Zeros of both signs are equal,
/// and there is no NaN.
fn likeliest(logits: &[f32], k: usize) -> Vec<u32> {
    let logit = |token: u32| logits[token as usize];
    let by_logit = |a: u32, b: u32| logit(b).partial_cmp(&logit(a)).unwrap_or(Ordering::Equal);
    let order = |&a: &u32, &b: &u32| by_logit(a, b).then(a.cmp(&b));
    let mut tokens: Vec<u32> =
        (0..logits.len() as u32).filter(|&token| logit(token) > f32::NEG_INFINITY).collect();
    if k < tokens.len() {
        tokens.select_nth_unstable_by(k, order);
        tokens.truncate(k);
    }
    tokens.sort_unstable_by(order);
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn probabilities_know_no_origin() {
        for largest in [-3e38, -3e7, 0.0, 1e4, 3e7, 3e38] {
            let p = softmax(&[largest, f32::NEG_INFINITY, largest]);
            assert_eq!(p, [0.5, 0.0, 0.5], "{largest}");
        }
        let p = softmax(&[1e4 + 1.0, 1e4]);
        assert!((p[0] / p[1] - 1f64.exp()).abs() < 1e-12, "{p:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

        #[test]
        fn the_likeliest_are_those_of_a_sort(
            logits in proptest::collection::vec(
                prop_oneof![(-2i8..3).prop_map(f32::from), Just(-0.0), Just(f32::NEG_INFINITY), -1.0f32..1.0],
                0..60,
            ),
            k in 1usize..70,
        ) {
            // Stable, so that the lowest of equals stays first.
            let mut tokens: Vec<u32> = (0..logits.len() as u32).collect();
            tokens.retain(|&token| logits[token as usize] > f32::NEG_INFINITY);
            tokens.sort_by(|&a, &b| {
                logits[b as usize].partial_cmp(&logits[a as usize]).unwrap()
            });
            tokens.truncate(k);
            prop_assert_eq!(likeliest(&logits, k), tokens);
        }
    }
}
