//! The first step: every token's probability, the right concept's P-mass, and what each way of
//! counting concepts would choose.

use candle_core::{Device, Tensor};
use concept_mass::{
    ConceptMap, DeviceMap, Row,
    map::{ConceptMapBuilder, OnConflict},
    reduce::ReduceError,
    source::Vocabulary,
};

use super::{Prober, TEMPERATURES, forms::Forms};
use crate::model::{LanguageModel, likeliest};
use crate::sample::{AtTemperature, COMPETING, Competing, Decision, FirstStep, Vote};
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
    /// `ln P` of every token.
    pub ln: Vec<f64>,
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

impl FirstVote {
    /// The probability of a token.
    pub fn probability(&self, token: u32) -> f64 {
        self.ln[token as usize].exp()
    }
}

impl<M: LanguageModel> Prober<M> {
    /// The vote on the first token of a question, by `ln P` of every token.
    pub(super) fn first_vote(&self, ln: Vec<f64>, forms: &Forms) -> Result<FirstVote> {
        let logits: Vec<f32> = ln.iter().map(|&ln| ln as f32).collect();
        let logits = Tensor::from_vec(logits, ln.len(), &Device::Cpu)?;
        let best = likeliest(&ln, self.options.pooling.k.max(COMPETING));
        let pooled: Vec<u32> =
            best.iter().take(self.options.pooling.k).map(|&(token, _)| token).collect();
        let mut choices = Vec::new();
        let spelling = row(&self.spelling, &logits)?;
        choices.push((Decoder::Spelling, self.choice(spelling, self.spelling.map(), &ln)));
        let embedding = self.pooled(&pooled)?;
        let aliases = forms.firsts.map(OnConflict::LeaveOut)?;
        for (decoder, map) in [(Decoder::Embedding, embedding), (Decoder::Aliases, Some(aliases))] {
            let Some(map) = map else { continue };
            let row = row(&map.to_device(&Device::Cpu)?, &logits)?;
            choices.push((decoder, self.choice(row, &map, &ln)));
        }
        let probability = |place: usize| best.get(place).map_or(0.0, |(_, ln)| ln.exp());
        let own: Vec<f64> = forms.right.iter().map(|&token| ln[token as usize].exp()).collect();
        let (mass, concentration) = mass(&own);
        let at = |temperature| {
            let mass = mass_at(&ln, &forms.right, temperature) as f32;
            AtTemperature { temperature, mass }
        };
        Ok(FirstVote {
            step: FirstStep {
                token: spelling.greedy,
                text: name(&self.vocabulary, spelling.greedy),
                probability: probability(0) as f32,
                margin: (probability(0) - probability(1)) as f32,
                begins_answer: forms.begins(spelling.greedy),
                is_own: forms.owns(spelling.greedy, &self.vocabulary),
                firsts: forms.right.len(),
                mass,
                concentration,
                token_entropy: spelling.token_entropy,
                tokens: self.competing(&ln, &best, forms),
            },
            choices,
            at_temperature: TEMPERATURES.map(at).to_vec(),
            ln,
        })
    }

    /// The likeliest tokens of all, which `best` begins with, and of those that begin a form.
    fn competing(&self, ln: &[f64], best: &[(u32, f64)], forms: &Forms) -> Vec<Competing> {
        let probability = |token: u32| ln[token as usize].exp();
        let likelier =
            |a: &u32, b: &u32| ln[*b as usize].total_cmp(&ln[*a as usize]).then(a.cmp(b));
        let mut own = forms.right.clone();
        own.sort_unstable_by(likelier);
        let all = best.iter().take(COMPETING).map(|&(token, _)| token);
        let mut tokens: Vec<u32> = all.chain(own.into_iter().take(COMPETING)).collect();
        tokens.sort_unstable_by(likelier);
        tokens.dedup();
        let competing = |token: u32| Competing {
            token,
            text: self.vocabulary.piece(token).to_string(),
            probability: probability(token) as f32,
            begins_answer: forms.begins(token),
            is_own: forms.owns(token, &self.vocabulary),
        };
        tokens.into_iter().map(competing).collect()
    }

    /// What the model's embedding pools of `tokens`, if it is at hand.
    ///
    /// Not [`Embedding::map`](concept_mass::source::Embedding::map): that map is as wide as the
    /// matrix, which may have more rows than the vocabulary has tokens.
    fn pooled(&self, tokens: &[u32]) -> Result<Option<ConceptMap>> {
        let Some(embedding) = &self.embedding else { return Ok(None) };
        let groups = embedding.groups(tokens, self.options.pooling.threshold)?;
        let pool = |builder: ConceptMapBuilder, group: Vec<usize>| {
            builder.unnamed(group.into_iter().map(|place| tokens[place]))
        };
        let builder = ConceptMap::builder(self.vocabulary.vocab_size());
        Ok(Some(groups.into_iter().try_fold(builder, pool)?.build()?))
    }

    fn choice(&self, row: Row, map: &ConceptMap, ln: &[f64]) -> Choice {
        let mut tokens = map.tokens(row.winner).unwrap_or_default().to_vec();
        let probability = |token: u32| ln[token as usize].exp();
        tokens.sort_by(|&a, &b| probability(b).total_cmp(&probability(a)));
        let least = MIN_SHARE * f64::from(row.mass);
        let called = tokens.iter().take(MAX_CALLED).filter(|&&token| probability(token) >= least);
        let called = called.map(|&token| name(&self.vocabulary, token)).collect::<Vec<_>>();
        let concept = map.name(row.winner).map_or_else(|| called.join(" + "), str::to_owned);
        Choice { concept, row }
    }
}

/// The sum of these probabilities, at most 1, and the share that the largest has of it; none if it
/// is 0.
pub(super) fn mass(probabilities: &[f64]) -> (f32, Option<f32>) {
    // Not `sum()`, which of nothing is -0.
    let sum: f64 = probabilities.iter().fold(0.0, |sum, p| sum + p);
    let top = probabilities.iter().copied().fold(0.0, f64::max);
    let mass = sum.min(1.0) as f32;
    (mass, (mass > 0.0).then(|| (top / sum) as f32))
}

/// The mass of `tokens` when the logits are divided by the temperature.
fn mass_at(ln: &[f64], tokens: &[u32], temperature: f64) -> f64 {
    let largest = ln.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weight = |ln: f64| ((ln - largest) / temperature).exp();
    let all: f64 = ln.iter().copied().map(weight).sum();
    let own: f64 = tokens.iter().map(|&token| weight(ln[token as usize])).sum();
    (own / all).min(1.0)
}

/// The row of one question's logits `[V]`, counted by `map`; fails if it has no winner.
fn row(map: &DeviceMap, logits: &Tensor) -> Result<Row> {
    let mut rows = map.reduce(logits)?.rows()?;
    // One row of logits, one row.
    Ok(rows.remove(0).map_err(ReduceError::from)?)
}

/// A token as a person would write it, without the space before it.
pub(super) fn name(vocabulary: &Vocabulary, token: u32) -> String {
    let text = vocabulary.piece(token).to_string();
    match text.strip_prefix(' ').unwrap_or(&text) {
        "" => "␣".to_owned(),
        bare => bare.to_owned(),
    }
}
