//! Numbers and parts that do not fit are refused where they are given, and sizes size nothing.

use std::iter::repeat_n;

use candle_core::{DType, Device, Tensor};
use concept_mass::{
    ConceptMap, ConceptSampler, Sampling, TokenSets,
    map::MapError,
    phrase::{
        CachedModel, DevicePhrases, MAX_PHRASE_LENGTH, OpenVocabulary, PhraseError, PhraseTrie,
        PhraseVote, Rollouts, SharedPrompt,
    },
    sample::SampleError,
    source::{Embedding, Judge, JudgeError, SourceError, Spelling},
};

use super::open::{evens_and_odds, numbers, singletons};
use super::tiny::Tiny;
use super::toy::{By, Toy};
use crate::common::device;

fn by(rollouts: Rollouts) -> Result<OpenVocabulary, PhraseError> {
    OpenVocabulary::by_judge(singletons(9), rollouts, numbers(9), evens_and_odds)
}

#[test]
fn rollouts_out_of_range_are_refused_by_every_constructor() {
    let base = Rollouts::default();
    let mut unfit = vec![
        ("k", Rollouts { k: 0, ..base }),
        ("length", Rollouts { length: 0, ..base }),
        ("margin", Rollouts { margin: f32::NAN, ..base }),
        ("margin", Rollouts { margin: -0.1, ..base }),
        ("margin", Rollouts { margin: f32::NEG_INFINITY, ..base }),
    ];
    for value in [f32::NAN, -f32::NAN, -0.1, 1.1, f32::INFINITY, f32::NEG_INFINITY] {
        unfit.push(("floor", Rollouts { floor: value, ..base }));
        unfit.push(("concentration", Rollouts { concentration: value, ..base }));
    }
    for (name, rollouts) in unfit {
        let rows = Tensor::eye(9, DType::F32, &device()).unwrap();
        let embedding = Embedding::new(&rows).unwrap();
        let spelling = Spelling::default();
        for open in [
            by(rollouts),
            OpenVocabulary::by_spelling(singletons(9), rollouts, numbers(9), spelling),
            OpenVocabulary::by_embedding(singletons(9), rollouts, embedding, 0.5),
        ] {
            let error = open.unwrap_err();
            let of = |e: &PhraseError| match e {
                PhraseError::Parameter { parameter, .. } => Some(*parameter),
                _ => None,
            };
            assert_eq!(of(&error), Some(name), "{rollouts:?}: {error}");
        }
    }
    for value in [0.0, 1e-45, 1.0] {
        assert!(by(Rollouts { floor: value, margin: value, concentration: value, ..base }).is_ok());
    }
    for threshold in [f32::NAN, 1.1, -1.1] {
        let embedding = Embedding::new(&Tensor::eye(9, DType::F32, &device()).unwrap()).unwrap();
        let open = OpenVocabulary::by_embedding(singletons(9), base, embedding, threshold);
        let error = open.unwrap_err();
        assert!(matches!(error, PhraseError::Source(SourceError::Threshold { .. })), "{error}");
    }
}

#[test]
fn ends_beyond_the_vocabulary_are_refused() {
    for token in [9, 10, u32::MAX] {
        let open = by(Rollouts::default()).unwrap();
        let error = open.with_ends([8, token]).unwrap_err();
        let is_it = matches!(
            error,
            PhraseError::Map(MapError::TokenOutOfRange { token: t, vocab_size: 9, .. }) if t == token
        );
        assert!(is_it, "{error}");
    }
}

#[test]
fn a_vocabulary_smaller_than_the_map_is_refused() {
    let rollouts = Rollouts::default();
    for known in [1, 8] {
        let judge =
            OpenVocabulary::by_judge(singletons(9), rollouts, numbers(known), evens_and_odds);
        let spelling = Spelling::default();
        let spelling =
            OpenVocabulary::by_spelling(singletons(9), rollouts, numbers(known), spelling);
        for open in [judge, spelling] {
            let error = open.unwrap_err();
            let want = (known, 9);
            let is_it = matches!(error,
                PhraseError::Source(SourceError::VocabularyTokens { tokens, vocab_size })
                    if (tokens, vocab_size) == want);
            assert!(is_it, "{error}");
        }
    }
    assert!(OpenVocabulary::by_judge(singletons(9), rollouts, numbers(10), evens_and_odds).is_ok());
}

#[test]
fn a_prompt_that_the_model_cannot_read_is_no_empty_answer() {
    // The toy reads twelve tokens.
    let mut open = by(Rollouts { margin: 2.0, ..Rollouts::default() }).unwrap();
    let toy = &mut Toy::new(9, device());
    for prompt in [12, 13, 100] {
        let error = open.generate(toy, &vec![1; prompt], 5).unwrap_err();
        let is_it = matches!(error,
            PhraseError::TooLong { prompt: p, context: 12, .. } if p == prompt);
        assert!(is_it, "{prompt}: {error}");
        let step = open.step(toy, &vec![1; prompt]);
        assert_eq!(matches!(step, Err(PhraseError::TooLong { .. })), prompt > 12);
    }
    assert!(toy.calls.iter().flatten().all(|sequence| sequence.len() <= 12));
    assert_eq!(open.generate(toy, &[1; 11], 5).unwrap().tokens.len(), 1);
    assert!(matches!(open.generate(toy, &[], 0), Err(PhraseError::EmptyPrompt)));
    assert!(open.generate(toy, &[1; 12], 0).unwrap().tokens.is_empty());
}

#[test]
fn no_number_of_the_callers_sizes_an_allocation() {
    let sizes = [100_000_000_000, usize::MAX / 2, usize::MAX - 1, usize::MAX];
    // Says 0, unless it has said three tokens: then it ends.
    let model = || {
        By(|sequence: &[u32]| {
            let said = if sequence.len() > 3 { 8 } else { 0 };
            (0..9).map(|token| if token == said { 1.0 } else { 0.0 }).collect()
        })
    };
    for size in sizes {
        let rollouts =
            Rollouts { k: size, length: size, floor: 0.0, margin: 2.0, ..Rollouts::default() };
        let mut open = by(rollouts).unwrap().with_ends([8]).unwrap();
        let step = open.step(&mut model(), &[1]).unwrap();
        assert_eq!(step.vote.unwrap().continuations.len(), 9);
        assert!(open.generate(&mut model(), &[1], size).unwrap().tokens.len() < 5);
        let trie = PhraseTrie::builder(9).phrase("a", [1, 2]).unwrap().build().unwrap();
        let phrases = trie.to_device(&device()).unwrap().with_max_batch(size).unwrap();
        assert!(phrases.vote(&mut model(), &[1]).is_ok());
    }
    let trie = PhraseTrie::builder(9).phrase("a", [1, 2]).unwrap().build().unwrap();
    let error = trie.to_device(&device()).unwrap().with_max_batch(0).unwrap_err();
    assert!(matches!(error, PhraseError::Parameter { parameter: "max_batch", .. }), "{error}");
}

/// An iterator that claims to have as many tokens as there are numbers, and has two.
struct Boastful(Vec<u32>);

impl Iterator for Boastful {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        self.0.pop()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::MAX, None)
    }
}

#[test]
fn no_iterator_sizes_an_allocation() {
    let trie = || PhraseTrie::builder(9);
    let open = || by(Rollouts::default()).unwrap();
    let boastful = || Boastful(vec![2, 1]);
    // What an iterator says of its length is not believed.
    assert!(ConceptMap::builder(9).concept("a", boastful()).is_ok());
    assert!(TokenSets::builder(9).set("a", boastful()).is_ok());
    assert!(trie().phrase("a", boastful()).is_ok());
    assert!(trie().ends(boastful()).is_ok());
    assert!(open().with_ends(boastful()).is_ok());
    // Tokens are checked as they come.
    for tokens in [0..u32::MAX, 9..u32::MAX] {
        let errors = [
            trie().phrase("a", tokens.clone()).unwrap_err(),
            trie().ends(tokens.clone()).unwrap_err(),
            open().with_ends(tokens.clone()).unwrap_err(),
            ConceptMap::builder(9).concept("a", tokens.clone()).unwrap_err().into(),
            TokenSets::builder(9).set("a", tokens.clone()).unwrap_err().into(),
        ];
        for error in errors {
            assert!(
                matches!(error, PhraseError::Map(MapError::TokenOutOfRange { token: 9, .. })),
                "{error}"
            );
        }
    }
    // Nor does a length that is true size anything, where the tokens are few,
    let repeated = || repeat_n(1, 1 << 24);
    assert!(trie().phrase("a", [2]).unwrap().ends(repeated()).unwrap().build().is_ok());
    assert!(open().with_ends(repeated()).is_ok());
    // and a phrase is not longer than any phrase may be.
    for (length, fits) in
        [(MAX_PHRASE_LENGTH, true), (MAX_PHRASE_LENGTH + 1, false), (1 << 40, false)]
    {
        match trie().phrase("a", repeat_n(3, length)) {
            Ok(trie) => assert!(fits && trie.build().unwrap().depth() == length),
            Err(error) => {
                assert!(!fits, "{error}");
                let is_it =
                    matches!(&error, PhraseError::PhraseTooLong { concept } if concept == "a");
                assert!(is_it, "{error}");
            }
        }
    }
}

/// What a judge says is checked, and no judge can put its own check in the place of ours.
#[test]
fn places_that_a_judge_invents_are_an_error() {
    struct Inventive(Vec<Vec<usize>>);
    impl Judge for Inventive {
        fn groups(&mut self, _: &[&str]) -> Result<Vec<Vec<usize>>, JudgeError> {
            Ok(self.0.clone())
        }
    }
    let logits = Tensor::zeros(9, DType::F32, &device()).unwrap();
    for groups in [vec![vec![99]], vec![vec![0, 1], vec![1]], vec![vec![usize::MAX, 0]]] {
        let judge = || Inventive(groups.clone());
        let rollouts = Rollouts { margin: 2.0, ..Rollouts::default() };
        let open = OpenVocabulary::by_judge(singletons(9), rollouts, numbers(9), judge());
        let error = open.unwrap().step(&mut Toy::new(9, device()), &[1]).unwrap_err();
        assert!(matches!(error, PhraseError::Source(SourceError::Judge { .. })), "{error}");
        let sampler = ConceptSampler::from_sampling(1, Sampling::ArgMax, singletons(9)).unwrap();
        let mut sampler = sampler.with_top_k_judge(3, numbers(9), judge()).unwrap();
        let error = sampler.sample(&logits).unwrap_err();
        assert!(matches!(error, SampleError::Source(SourceError::Judge { .. })), "{error}");
        let error = numbers(9).judge(&[1, 2], &mut judge()).unwrap_err();
        assert!(matches!(error, SourceError::Judge { .. }), "{error}");
    }
}

#[test]
fn many_continuations_are_read_in_batches() {
    let vocab_size = 200;
    let rollouts =
        Rollouts { k: usize::MAX, length: 3, floor: 0.0, margin: 2.0, concentration: 0.0 };
    let mut open = OpenVocabulary::by_judge(
        singletons(vocab_size),
        rollouts,
        numbers(vocab_size),
        evens_and_odds,
    )
    .unwrap();
    let step = open.step(&mut Toy::new(vocab_size, device()), &[1]).unwrap();
    assert_eq!(step.vote.unwrap().continuations.len(), vocab_size);
    assert_eq!((step.cost.passes, step.cost.batch, step.cost.rows), (1 + 2 * 4, 64, 1 + 2 * 200));
}

#[test]
fn all_of_it_may_be_sent_and_shared_between_threads() {
    fn is_send_and_sync<T: Send + Sync>() {}
    is_send_and_sync::<OpenVocabulary>();
    is_send_and_sync::<DevicePhrases>();
    is_send_and_sync::<PhraseTrie>();
    is_send_and_sync::<PhraseVote>();
    is_send_and_sync::<PhraseError>();
    is_send_and_sync::<CachedModel<Tiny>>();
    is_send_and_sync::<SharedPrompt<Tiny>>();
}

#[test]
fn errors_do_not_repeat_their_causes() {
    let failing = |_: &[&str]| Err("the judge is ill".into());
    let rollouts = Rollouts { margin: 2.0, ..Rollouts::default() };
    let open = OpenVocabulary::by_judge(singletons(9), rollouts, numbers(9), failing);
    let error = open.unwrap().step(&mut Toy::new(9, Device::Cpu), &[1]);
    // On another device, it is the logits that are refused.
    if device().is_cpu() {
        let error = error.unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(source, "the judge is ill");
        assert!(!error.to_string().contains(&source), "{error}");
    }
}
