//! A map of spellings at every step of a text, which the tiny Llama writes: whether the minority of
//! spellings lives on.

use concept_mass::ConceptMap;
use concept_mass::phrase::NextLogits;
use concept_mass::sample::{Emission, RowSampler, SamplingParams, sample_batch};
use concept_mass::source::{Spelling, Vocabulary};

use super::tiny::{tiny, vocabulary};
use crate::common::chi_square::{LEAST_P, Sums};
use crate::common::device;

const TOKENS: usize = 2000;

/// How many tokens the model reads at most, and how many it goes on with after so many.
const WINDOW: usize = 120;
const KEPT: usize = 40;

/// What a token begins with: a space and a capital, a space, a capital, or neither.
fn spelling(vocabulary: &Vocabulary, token: u32) -> usize {
    let text = vocabulary.decode(&[token]).unwrap();
    let bare = text.trim_start();
    let is_capital = bare.starts_with(char::is_uppercase);
    2 * usize::from(bare.len() == text.len()) + usize::from(!is_capital)
}

/// The probabilities of a concept's tokens, likeliest first.
fn shares(tokens: &[u32], logits: &[f32]) -> Vec<(u32, f64)> {
    let logit = |token: u32| f64::from(logits[token as usize]);
    let max = tokens.iter().map(|&token| logit(token)).fold(f64::NEG_INFINITY, f64::max);
    let weights = tokens.iter().map(|&token| (token, (logit(token) - max).exp()));
    let mut shares: Vec<(u32, f64)> = weights.collect();
    let sum: f64 = shares.iter().map(|(_, weight)| weight).sum();
    shares.iter_mut().for_each(|(_, weight)| *weight /= sum);
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

/// How the words of a text were spelled.
struct Text {
    /// As [`spelling`] tells.
    forms: Sums,
    /// Whether as their likeliest spelling, the second, or another.
    ranks: Sums,
    pooled: usize,
}

impl Text {
    fn add(&mut self, vocabulary: &Vocabulary, emitted: u32, shares: &[(u32, f64)]) {
        let (mut forms, mut ranks) = ([0.0; 4], [0.0; 3]);
        for (rank, &(token, share)) in shares.iter().enumerate() {
            forms[spelling(vocabulary, token)] += share;
            ranks[rank.min(2)] += share;
        }
        let rank = shares.iter().position(|&(token, _)| token == emitted).unwrap();
        self.forms.add(spelling(vocabulary, emitted), &forms);
        self.ranks.add(rank.min(2), &ranks);
        self.pooled += 1;
    }

    fn print(&self, what: &str) {
        for (of, sums) in [("forms", &self.forms), ("ranks", &self.ranks)] {
            println!(
                "{what}: of {} pooled tokens {of} {:?}, where {:.1?} are expected: p = {:.3e}",
                self.pooled,
                sums.counts(),
                sums.expected(),
                sums.p_value()
            );
        }
    }
}

fn write(emission: Emission) -> Text {
    let vocabulary = vocabulary();
    let map: ConceptMap = Spelling::default().map(&vocabulary).unwrap();
    let params = SamplingParams::at(0.8).and_then(|params| params.with_top_p(0.98));
    let params = params.unwrap().with_seed(11).with_emission(emission);
    let mut rows = [RowSampler::new(params, map.to_device(&device()).unwrap()).unwrap()];
    let mut model = tiny();
    let mut read = vocabulary.encode("Q:").unwrap();
    let mut text = Text { forms: Sums::new(4), ranks: Sums::new(3), pooled: 0 };
    for _ in 0..TOKENS {
        if read.len() == WINDOW {
            read.drain(..WINDOW - KEPT);
        }
        // A model that is less sure of its spellings than the tiny one.
        let logits = (model.next_logits(std::slice::from_ref(&read)).unwrap() * 0.6).unwrap();
        let sampled = sample_batch(&logits, &mut rows).unwrap().remove(0).unwrap();
        let tokens = map.tokens(sampled.concept).unwrap();
        read.push(sampled.token);
        if tokens.len() > 1 {
            let logits: Vec<f32> = logits.flatten_all().unwrap().to_vec1().unwrap();
            text.add(&vocabulary, sampled.token, &shares(tokens, &logits));
        }
    }
    text
}

#[test]
fn by_share_every_spelling_has_the_share_that_the_model_gives_it() {
    let text = write(Emission::ByShare);
    text.print("by share");
    assert!(text.forms.p_value() > LEAST_P && text.ranks.p_value() > LEAST_P);
    assert!(text.pooled > TOKENS / 8);
}

/// And so the test above can fail.
#[test]
fn by_representatives_the_minority_is_extinct() {
    let text = write(Emission::Representative);
    text.print("by representatives");
    assert_eq!(text.ranks.counts()[1..], [0.0; 2]);
    assert!(text.ranks.p_value() < LEAST_P);
}
