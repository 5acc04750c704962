//! The tiny Llama of `assets/tiny`, by candle-transformers: phrase masses against products of full
//! softmaxes, and the questions that a first token cannot decide.

use std::fs;

use candle_core::Tensor;
use candle_nn::ops::softmax_last_dim;
use concept_mass::{
    map::OnConflict,
    phrase::{CachedForward, DevicePhrases, PhraseTrie},
    source::{Aliases, Vocabulary},
};
use rand::Rng;
use serde_json::Value;

use super::tiny::{Tiny, asset, cache, sharing, tiny, vocabulary};
use crate::common::{device, rng};

/// `P(phrase | prompt)`: a full softmax after each token, without a cache.
fn by_softmaxes(tiny: &Tiny, prompt: &[u32], phrase: &[u32]) -> f64 {
    let mut sequence = prompt.to_vec();
    let mut probability = 1.0;
    for &token in phrase {
        let tokens = Tensor::new(sequence.as_slice(), &device()).unwrap().unsqueeze(0).unwrap();
        let mut cache = cache(&tiny.config, &device()).unwrap();
        let logits = tiny.llama.forward(&tokens, 0, &mut cache).unwrap();
        let softmax: Vec<f32> =
            softmax_last_dim(&logits.squeeze(0).unwrap()).unwrap().to_vec1().unwrap();
        probability *= f64::from(softmax[token as usize]);
        sequence.push(token);
    }
    probability
}

#[test]
fn masses_are_the_products_of_full_softmaxes() {
    let mut model = tiny();
    let mut rng = rng(5);
    let prompt = vocabulary().encode("Q: Who wrote The Wealth of Nations?\nA:").unwrap();
    // The emulator takes its time.
    let rounds = if device().is_cpu() { 12 } else { 4 };
    for round in 0..rounds {
        // Random ones have next to no probability; so some go the way that the model goes.
        let mut builder = PhraseTrie::builder(1152);
        for i in 0..rng.random_range(1..10) {
            let mut phrase = Vec::new();
            for _ in 0..rng.random_range(1..5) {
                let likely = ["Adam", "Smith", "Lambert", "Karl", "Marx", "David", "Hume"];
                let word = likely[rng.random_range(0..likely.len())];
                match rng.random_bool(0.8) {
                    true => phrase.extend(vocabulary().encode(&format!(" {word}")).unwrap()),
                    false => phrase.push(rng.random_range(1..1152)),
                }
            }
            builder = builder.clone().phrase(format!("{}", i % 3), phrase).unwrap_or(builder);
        }
        let builder = if round % 2 == 1 { builder.ends([0]).unwrap() } else { builder };
        let ends: &[u32] = if round % 2 == 1 { &[0] } else { &[] };
        let trie = builder.build().unwrap();
        let phrases = trie.to_device(&device()).unwrap();
        let votes = [phrases.vote(&mut model, &prompt), phrases.vote(&mut sharing(), &prompt)];
        let [batched, shared] = votes.map(|vote| vote.unwrap().ln_probabilities().to_vec());
        for (i, phrase) in trie.phrases().iter().enumerate() {
            let tokens = [&phrase.tokens[..], ends].concat();
            let want = by_softmaxes(model.model(), &prompt, &tokens);
            for got in [batched[i].exp(), shared[i].exp()] {
                assert!((got - want).abs() < 1e-5, "{phrase:?}: {got} {want}");
            }
        }
    }
}

#[test]
fn the_vote_is_that_of_the_corpus() {
    let vocabulary = vocabulary();
    let prompt = "Q: Who wrote The Wealth of Nations?\nA:";
    let aliases = Aliases::new()
        .concept("Adam Smith", ["Adam Smith", "Smith"])
        .and_then(|aliases| aliases.concept("Adam Lambert", ["Adam Lambert"]))
        .unwrap();
    let phrases = phrases(&vocabulary, &aliases, prompt);
    let vote = phrases.vote(&mut tiny(), &vocabulary.encode(prompt).unwrap()).unwrap();
    assert!((vote.mass(0) - 0.45).abs() < 0.03, "{vote:?}");
    assert!((vote.mass(1) - 0.34).abs() < 0.03, "{vote:?}");
    // One pass for each token of the longest answer, and one for its end; six phrases, with and
    // without a space before them.
    assert_eq!(vote.cost().passes, phrases.trie().depth() + 1);
}

fn phrases(vocabulary: &Vocabulary, aliases: &Aliases, prompt: &str) -> DevicePhrases {
    let firsts = aliases.after(vocabulary, prompt).unwrap();
    let builder = firsts.phrases(OnConflict::Refuse).unwrap();
    let end = vocabulary.encode("<|end|>").unwrap();
    builder.ends(end).unwrap().build().unwrap().to_device(&device()).unwrap()
}

/// What the model says if its answer begins with `begun`.
fn answer(model: &mut Tiny, prompt: &[u32], begun: &[u32]) -> Vec<u32> {
    model.reset();
    let mut answer = begun.to_vec();
    let mut new = [prompt, begun].concat();
    let mut offset = 0;
    loop {
        let tokens = Tensor::new(new.as_slice(), &device()).unwrap().unsqueeze(0).unwrap();
        let logits = model.forward(&tokens, offset).unwrap();
        offset += new.len();
        let token = logits.flatten_all().unwrap().argmax(0).unwrap().to_scalar::<u32>().unwrap();
        if token == 0 || answer.len() == 24 {
            return answer;
        }
        answer.push(token);
        new = vec![token];
    }
}

#[test]
fn questions_that_a_first_token_cannot_decide_are_decided_by_phrases() {
    let vocabulary = vocabulary();
    let corpus: Value =
        serde_json::from_slice(&fs::read(asset("questions.json")).unwrap()).unwrap();
    let questions = corpus["questions"].as_array().unwrap().iter();
    let questions = questions.filter(|question| question["kind"] == "phrase");
    let mut model = tiny();
    let (mut asked, mut by_first_tokens) = (0, 0);
    for question in questions.take(if device().is_cpu() { usize::MAX } else { 4 }) {
        let text = question["question"].as_str().unwrap();
        let prompt = format!("Q: {text}\nA:");
        let mut aliases = Aliases::new();
        for (concept, forms) in question["concepts"].as_object().unwrap() {
            aliases = aliases.concept(concept, forms.as_object().unwrap().keys()).unwrap();
        }
        let tokens = vocabulary.encode(&prompt).unwrap();
        let right = question["concepts"][question["answer"].as_str().unwrap()].as_object().unwrap();
        let is_right = |answer: &[u32]| {
            let said = vocabulary.tokenizer().decode(answer, true).unwrap();
            right.contains_key(said.trim())
        };

        // Pooled by first tokens, whoever the shared token is given to.
        for conflicts in [OnConflict::First, OnConflict::LeaveOut] {
            let map = aliases.after(&vocabulary, &prompt).unwrap().map(conflicts).unwrap();
            let map = map.to_device(&device()).unwrap();
            let tiny = model.model_mut();
            tiny.reset();
            let input = Tensor::new(tokens.as_slice(), &device()).unwrap().unsqueeze(0).unwrap();
            let logits = tiny.forward(&input, 0).unwrap();
            let first = map.decide(&logits).unwrap().tokens().unwrap().to_vec1::<u32>().unwrap();
            let said = answer(tiny, &tokens, &first);
            by_first_tokens += usize::from(is_right(&said));
        }

        // By phrases: the model goes on after the whole answer.
        let phrases = phrases(&vocabulary, &aliases, &prompt);
        let vote = phrases.vote(&mut model, &tokens).unwrap();
        let winner = phrases.trie().name(vote.winner().unwrap());
        assert_eq!(winner, question["answer"].as_str(), "{text}");
        let said = answer(model.model_mut(), &tokens, vote.answer().unwrap());
        assert!(is_right(&said), "{text}");
        asked += 1;
    }
    if device().is_cpu() {
        assert!(asked >= 10, "{asked}");
        assert_eq!(by_first_tokens, 0);
    }
}
