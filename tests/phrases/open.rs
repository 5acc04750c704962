//! Open vocabulary: continuations of a split step, by definition; and whole texts.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use concept_mass::phrase::PhraseError;
use concept_mass::reduce::BadRowReason;
use concept_mass::source::SourceError;
use concept_mass::{
    ConceptMap, DeviceMap,
    phrase::{OpenVocabulary, OpenVote, Rollouts},
    source::{
        Embedding, JudgeError, Spelling, Vocabulary,
        tokenizers::{Tokenizer, models::wordlevel::WordLevel},
    },
};
use proptest::prelude::*;

use super::tiny::{sharing, tiny, vocabulary};
use super::toy::Toy;
use crate::common::device;

/// The tokens of the toys are their own texts.
pub fn numbers(vocab_size: usize) -> Vocabulary {
    let words = (0..vocab_size as u32).map(|token| (token.to_string(), token)).collect();
    let model = WordLevel::builder().vocab(words).build().unwrap();
    Vocabulary::new(Tokenizer::new(model), vocab_size).unwrap()
}

pub fn singletons(vocab_size: usize) -> DeviceMap {
    ConceptMap::singletons(vocab_size).unwrap().to_device(&device()).unwrap()
}

/// What the judges of these tests go by: whether a text's last word is even.
fn is_even(text: &str) -> bool {
    text.split_whitespace().last().is_some_and(|word| word.parse::<u32>().unwrap() % 2 == 0)
}

pub fn evens_and_odds(texts: &[&str]) -> Result<Vec<Vec<usize>>, JudgeError> {
    let (evens, odds) = (0..texts.len()).partition(|&i| is_even(texts[i]));
    Ok(vec![evens, odds])
}

/// The continuations of a toy, with their probabilities, the likeliest first token first.
fn continuations(
    toy: &Toy,
    sequence: &[u32],
    rollouts: &Rollouts,
    end: u32,
) -> Vec<(Vec<u32>, f64)> {
    let ranked = |sequence: &[u32]| {
        let logits = toy.logits(sequence);
        let mut tokens: Vec<u32> = (0..toy.vocab_size as u32).collect();
        let logit = |token: u32| logits[token as usize];
        tokens.sort_by(|&a, &b| logit(b).total_cmp(&logit(a)).then(a.cmp(&b)));
        tokens
    };
    let mut first = ranked(sequence);
    first.truncate(rollouts.k);
    let floor = f64::from(rollouts.floor);
    let is_rolled_out =
        |(i, token): &(usize, u32)| *i == 0 || toy.probability(sequence, *token) >= floor;
    let first = first.into_iter().enumerate().filter(is_rolled_out);
    let roll_out = |(_, token)| {
        let mut tokens = vec![token];
        while tokens.len() < rollouts.length && *tokens.last().unwrap() != end {
            tokens.push(ranked(&[sequence, &tokens].concat())[0]);
        }
        let probability = toy.chain(sequence, &tokens);
        (tokens, probability)
    };
    first.map(roll_out).collect()
}

fn check(vote: &OpenVote, want: &[(Vec<u32>, f64)], end: u32) -> Result<(), TestCaseError> {
    let said: Vec<_> = vote.continuations.iter().map(|c| c.tokens.clone()).collect();
    prop_assert_eq!(&said, &want.iter().map(|(tokens, _)| tokens.clone()).collect::<Vec<_>>());
    // By definition: silence means nothing but itself.
    let mut masses = BTreeMap::<_, f64>::new();
    let meaning = |tokens: &[u32]| {
        let last = tokens.iter().rev().find(|&&token| token != end);
        last.map(|last| last % 2)
    };
    for ((tokens, probability), continuation) in want.iter().zip(&vote.continuations) {
        prop_assert!((continuation.ln_probability.exp() - probability).abs() < 1e-5);
        *masses.entry(meaning(tokens)).or_default() += probability;
    }
    for ((tokens, _), continuation) in want.iter().zip(&vote.continuations) {
        let mass = vote.mass(continuation.meaning);
        prop_assert!((mass - masses[&meaning(tokens)]).abs() < 1e-5);
    }
    let heaviest = masses.values().copied().fold(0.0, f64::max);
    let winner = &want[vote.said];
    prop_assert!(heaviest - masses[&meaning(&winner.0)] < 1e-5);
    let of_meaning = want.iter().filter(|(tokens, _)| meaning(tokens) == meaning(&winner.0));
    let likeliest = of_meaning.map(|(_, probability)| *probability).fold(0.0, f64::max);
    prop_assert!((winner.1 - likeliest).abs() < 1e-5);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(80))]

    #[test]
    fn the_heaviest_meaning_is_said_in_its_likeliest_way(
        prompt in proptest::collection::vec(0u32..9, 1..4),
        k in 1usize..12,
        length in 1usize..6,
        floor in 0.0f32..0.3,
    ) {
        let end = 8;
        let rollouts = Rollouts { k, length, floor, margin: 2.0, concentration: 0.0 };
        let mut open =
            OpenVocabulary::by_judge(singletons(9), rollouts, numbers(9), evens_and_odds)
                .unwrap()
                .with_ends([end])
                .unwrap();
        let mut toy = Toy::new(9, device());
        let step = open.step(&mut toy, &prompt).unwrap();
        let want = continuations(&toy, &prompt, &rollouts, end);
        let vote = step.vote.unwrap();
        check(&vote, &want, end)?;
        prop_assert_eq!(&step.tokens, &want[vote.said].0);
        // One pass for the step, and one for each token of the longest continuation but the first.
        let longest = want.iter().map(|(tokens, _)| tokens.len()).max().unwrap();
        prop_assert_eq!(step.cost.passes, longest);
        prop_assert_eq!(toy.calls.len(), longest);
        prop_assert!(toy.calls[1..].iter().all(|call| call.len() == want.len()));
    }
}

#[test]
fn a_step_that_is_decided_costs_one_pass() {
    let mut toy = Toy::new(9, device());
    let likeliest = |toy: &Toy, prompt: u32| {
        (0..9).max_by(|&a, &b| {
            toy.probability(&[prompt], a).total_cmp(&toy.probability(&[prompt], b))
        })
    };
    for prompt in 0..9 {
        let token = likeliest(&toy, prompt).unwrap();
        let mut others: Vec<f64> =
            (0..9).filter(|&t| t != token).map(|t| toy.probability(&[prompt], t)).collect();
        others.sort_by(f64::total_cmp);
        let lead = toy.probability(&[prompt], token) - others[7];
        for (margin, is_split) in [(lead as f32 - 0.01, false), (lead as f32 + 0.01, true)] {
            let rollouts = Rollouts { margin, concentration: 0.0, ..Rollouts::default() };
            let mut open =
                OpenVocabulary::by_judge(singletons(9), rollouts, numbers(9), evens_and_odds)
                    .unwrap();
            toy.calls.clear();
            let step = open.step(&mut toy, &[prompt]).unwrap();
            assert_eq!(step.vote.is_some(), is_split);
            if !is_split {
                assert_eq!((step.tokens, toy.calls.len()), (vec![token], 1));
            }
        }
    }
}

#[test]
fn continuations_end_with_the_context() {
    // The toy reads twelve tokens; thirteen can be known.
    let rollouts = Rollouts { margin: 2.0, ..Rollouts::default() };
    let mut open =
        OpenVocabulary::by_judge(singletons(9), rollouts, numbers(9), evens_and_odds).unwrap();
    for (prompt, most) in [(5, 8), (10, 3), (12, 1)] {
        let mut toy = Toy::new(9, device());
        let vote = open.step(&mut toy, &vec![1; prompt]).unwrap().vote.unwrap();
        assert!(vote.continuations.iter().all(|c| c.tokens.len() == most), "{prompt}");
        assert!(toy.calls.iter().flatten().all(|sequence| sequence.len() <= 12));
    }
    let said = open.generate(&mut Toy::new(9, device()), &[1; 7], 100).unwrap();
    assert_eq!(said.tokens.len(), 5);
}

#[test]
fn phrases_that_point_the_same_way_are_one_meaning() {
    // 1 2 and 2 1 are the same on average; 3 is elsewhere.
    let rows = [[0f32, -1.], [1., 0.], [0.8, 0.6], [-1., 0.], [0., -1.]];
    let embedding = Embedding::new(&Tensor::new(&rows, &device()).unwrap()).unwrap();
    let rollouts = Rollouts { k: 5, length: 2, floor: 0.0, margin: 2.0, concentration: 0.0 };
    let mut open = OpenVocabulary::by_embedding(singletons(5), rollouts, embedding, 0.99).unwrap();
    let vote = open.step(&mut Toy::new(5, device()), &[0]).unwrap().vote.unwrap();
    let direction = |tokens: &[u32]| {
        let sum = tokens
            .iter()
            .fold([0.0, 0.0], |[x, y], &t| [x + rows[t as usize][0], y + rows[t as usize][1]]);
        f32::atan2(sum[1], sum[0])
    };
    for a in &vote.continuations {
        for b in &vote.continuations {
            let apart = (direction(&a.tokens) - direction(&b.tokens)).cos();
            if (apart - 0.99).abs() > 1e-3 {
                assert_eq!(a.meaning == b.meaning, apart > 0.99, "{a:?} {b:?}");
            }
        }
    }
}

#[test]
fn unfit_settings_and_logits_are_refused() {
    let by =
        |rollouts| OpenVocabulary::by_judge(singletons(9), rollouts, numbers(9), evens_and_odds);
    let k = by(Rollouts { k: 0, ..Rollouts::default() }).err().unwrap();
    assert!(matches!(k, PhraseError::Parameter { parameter: "k", .. }), "{k}");
    let length = by(Rollouts { length: 0, ..Rollouts::default() }).err().unwrap();
    assert!(matches!(length, PhraseError::Parameter { parameter: "length", .. }), "{length}");
    let rows = Tensor::zeros((8, 2), DType::F32, &Device::Cpu).unwrap();
    let few = Embedding::new(&rows).unwrap();
    let few = OpenVocabulary::by_embedding(singletons(9), Rollouts::default(), few, 0.5);
    assert!(matches!(
        few.err().unwrap(),
        PhraseError::Source(SourceError::EmbeddingRows { rows: 8, vocab_size: 9 })
    ));

    let mut open = by(Rollouts::default()).unwrap();
    let error = open.step(&mut Toy::new(9, device()), &[]).unwrap_err();
    assert!(matches!(error, PhraseError::EmptyPrompt), "{error}");
    let error = open.step(&mut Toy::new(8, device()), &[1]).unwrap_err();
    assert!(matches!(error, PhraseError::ModelOutput { expected: (1, 9), .. }), "{error}");
    struct Nothing;
    impl concept_mass::phrase::NextLogits for Nothing {
        fn next_logits(&mut self, sequences: &[Vec<u32>]) -> candle_core::Result<Tensor> {
            Tensor::full(f32::NAN, (sequences.len(), 9), &device())
        }
    }
    let error = open.step(&mut Nothing, &[1]).unwrap_err();
    let reason = BadRowReason::Nan;
    assert!(
        matches!(&error, PhraseError::Logits { after, reason: r } if after.is_empty() && *r == reason),
        "{error}"
    );
}

/// A judge that knows two names of one cathedral.
fn cathedral(texts: &[&str]) -> Result<Vec<Vec<usize>>, JudgeError> {
    let is_it = |&i: &usize| texts[i].contains("Basil") || texts[i].contains("Vasily");
    Ok(vec![(0..texts.len()).filter(is_it).collect()])
}

#[test]
fn the_cathedral_is_found_without_a_list_of_answers() {
    let vocabulary = vocabulary();
    let prompt = "Q: Which cathedral did Ivan the Terrible build on Red Square?\nA:";
    let prompt = vocabulary.encode(prompt).unwrap();
    let rollouts = Rollouts { k: 5, length: 16, ..Rollouts::default() };
    let end = vocabulary.encode("<|end|>").unwrap();
    let mut open =
        OpenVocabulary::by_judge(singletons(1152), rollouts, vocabulary.clone(), cathedral)
            .unwrap()
            .with_ends(end)
            .unwrap();
    let said = open.generate(&mut sharing(), &prompt, 24).unwrap();
    assert_eq!(vocabulary.decode(&said.tokens).unwrap(), " Saint Basil's Cathedral");
    assert_eq!(open.generate(&mut tiny(), &prompt, 24).unwrap().tokens, said.tokens);
    let [intervention] = &said.interventions[..] else { panic!("{said:?}") };
    assert_eq!(intervention.at, 0);
    assert!(intervention.is_change());
    let vote = &intervention.vote;
    let meaning = vote.continuations[vote.said].meaning;
    assert!((vote.mass(meaning) - 0.48).abs() < 0.03, "{vote:?}");
    assert_eq!(vote.continuations.iter().filter(|c| c.meaning == meaning).count(), 3);
}

#[test]
fn spellings_of_whole_answers_are_one_meaning() {
    let vocabulary = vocabulary();
    let prompt = vocabulary.encode("Q: Which medal does the winner of a race get?\nA:").unwrap();
    let end = vocabulary.encode("<|end|>").unwrap();
    let mut open = OpenVocabulary::by_spelling(
        singletons(1152),
        Rollouts::default(),
        vocabulary.clone(),
        Spelling::default(),
    )
    .unwrap()
    .with_ends(end)
    .unwrap();
    let said = open.generate(&mut tiny(), &prompt, 24).unwrap();
    assert_eq!(vocabulary.decode(&said.tokens).unwrap(), " Gold");
}

#[test]
fn a_text_that_is_sure_of_itself_costs_a_pass_a_token() {
    let vocabulary = vocabulary();
    let prompt = vocabulary.encode("Q: What is the capital of France?\nA:").unwrap();
    let end = vocabulary.encode("<|end|>").unwrap();
    let mut open = OpenVocabulary::by_judge(
        singletons(1152),
        Rollouts::default(),
        vocabulary.clone(),
        cathedral,
    )
    .unwrap()
    .with_ends(end)
    .unwrap();
    let said = open.generate(&mut tiny(), &prompt, 24).unwrap();
    assert_eq!(vocabulary.decode(&said.tokens).unwrap(), " Paris");
    assert!(said.interventions.is_empty());
    assert_eq!((said.cost.passes, said.cost.batch), (said.tokens.len() + 1, 1));
}
