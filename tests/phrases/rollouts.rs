//! Rollouts in log space, ties, texts that are none, and failures.

use candle_core::Tensor;
use concept_mass::{
    phrase::{NextLogits, OpenVocabulary, OpenVote, Rollouts},
    source::{
        Embedding, JudgeError, Spelling, Vocabulary,
        tokenizers::{AddedToken, Tokenizer, models::wordlevel::WordLevel},
    },
};
use proptest::prelude::*;

use super::open::{evens_and_odds, numbers, singletons};
use super::toy::{By, Toy, ln_softmax};
use crate::common::device;

const ALWAYS: Rollouts = Rollouts { k: 9, length: 8, floor: 0.0, margin: 2.0, concentration: 0.0 };

fn apart(_: &[&str]) -> Result<Vec<Vec<usize>>, JudgeError> {
    Ok(vec![])
}

fn open(rollouts: Rollouts) -> OpenVocabulary {
    OpenVocabulary::by_judge(singletons(9), rollouts, numbers(9), apart).unwrap()
}

fn vote(open: &mut OpenVocabulary, model: &mut impl NextLogits) -> OpenVote {
    open.step(model, &[0]).unwrap().vote.unwrap()
}

#[test]
fn a_long_continuation_has_its_weight() {
    // After 5, the likeliest first token, all is alike, 2.2 nats a token; after 6, one is likelier.
    let mut model = By(|sequence: &[u32]| match sequence {
        [_] => (0..9).map(|token| f32::from([0, 1, 2][token % 3] as u8)).collect(),
        [_, 6, ..] => vec![0.0, 0.1, 0., 0., 0., 0., 0., 0., 0.],
        _ => vec![0.0; 9],
    });
    let mut open = open(Rollouts { length: 500, ..ALWAYS });
    let vote = vote(&mut open, &mut model);
    assert_eq!(vote.answer()[..3], [6, 1, 1], "{:?}", vote.ln_masses);
    assert!(vote.ln_masses.iter().all(|ln| ln.is_finite() && *ln < -900.0));
    let first = ln_softmax(&[0., 1., 2., 0., 1., 2., 0., 1., 2.])[6];
    let after = ln_softmax(&[0.0, 0.1, 0., 0., 0., 0., 0., 0., 0.])[1];
    let winner = &vote.continuations[vote.said];
    assert!((winner.ln_probability - first - 499.0 * after).abs() < 1e-3, "{winner:?}");
    assert_eq!(vote.mass(winner.meaning), 0.0, "no f64 is as small");
}

#[test]
fn a_first_token_far_down_has_its_weight() {
    for down in [88.0f32, 104.0, 1e3, 1e30] {
        let mut model = By(|_: &[u32]| (0..9).map(|token| -down * token as f32).collect());
        let vote = vote(&mut open(Rollouts { length: 1, ..ALWAYS }), &mut model);
        assert_eq!(vote.said, 0);
        for (token, continuation) in vote.continuations.iter().enumerate() {
            assert_eq!(continuation.tokens, [token as u32]);
            let want = f64::from(-down * token as f32);
            assert!((continuation.ln_probability - want).abs() <= want.abs() * 1e-9);
        }
    }
}

#[test]
fn equal_logits_have_equal_shares_at_any_offset() {
    for offset in [0.0f32, 3e7, -3e7, 1e30, -1e30, 3e38, f32::MIN, f32::MAX] {
        let vote =
            vote(&mut open(Rollouts { length: 2, ..ALWAYS }), &mut By(|_: &[u32]| vec![offset; 9]));
        for continuation in &vote.continuations {
            assert!((continuation.ln_probability + 81f64.ln()).abs() < 1e-6, "{offset}: {vote:?}");
        }
        assert_eq!(vote.continuations.len(), 9);
    }
}

#[test]
fn ties_go_to_the_lowest_meaning_and_then_to_the_lowest_tokens() {
    let mut alike = By(|_: &[u32]| vec![1.0; 9]);
    let said = |vote: &OpenVote| vote.continuations.iter().map(|c| c.tokens[0]).collect::<Vec<_>>();
    let by_itself = vote(&mut open(Rollouts { k: 4, length: 2, ..ALWAYS }), &mut alike);
    assert_eq!(said(&by_itself), [0, 1, 2, 3]);
    assert_eq!(by_itself.answer(), [0, 0]);
    // Two meanings of two: the one that comes first.
    let rollouts = Rollouts { k: 4, length: 1, ..ALWAYS };
    let mut open =
        OpenVocabulary::by_judge(singletons(9), rollouts, numbers(9), evens_and_odds).unwrap();
    assert_eq!(vote(&mut open, &mut alike).answer(), [0]);
    // Meanings are numbered as they appear.
    let meanings = vote(&mut open, &mut alike).continuations;
    assert_eq!(meanings.iter().map(|c| c.meaning).collect::<Vec<_>>(), [0, 1, 0, 1]);
    // Of one meaning: the lowest tokens.
    let together = |texts: &[&str]| Ok(vec![(0..texts.len()).rev().collect()]);
    let mut open = OpenVocabulary::by_judge(singletons(9), rollouts, numbers(9), together).unwrap();
    let vote = vote(&mut open, &mut alike);
    assert_eq!((vote.answer(), vote.ln_masses.len()), (&[0][..], 1));
}

/// Of the tokens, two are one word, and from 3 on all are texts of nothing: white space, a special
/// token and padding.
fn mostly_nothing() -> Vocabulary {
    let words = ["yes", "Yes", "no", " ", "\t", "\n", "\u{a0}"];
    let words = words.iter().zip(0..).map(|(word, id)| ((*word).to_owned(), id)).collect();
    let mut tokenizer = Tokenizer::new(WordLevel::builder().vocab(words).build().unwrap());
    tokenizer.add_special_tokens([AddedToken::from("<s>".to_owned(), true)]).unwrap();
    Vocabulary::new(tokenizer, 10).unwrap()
}

/// Says that everything means the same, and is not shown texts of nothing.
fn all_alike(texts: &[&str]) -> Result<Vec<Vec<usize>>, JudgeError> {
    assert!(texts.iter().all(|text| !text.trim().is_empty()), "{texts:?}");
    Ok(vec![(0..texts.len()).collect()])
}

#[test]
fn texts_of_nothing_stand_alone() {
    let vocabulary = mostly_nothing();
    for length in 1..5 {
        for judged in [true, false] {
            let rollouts = Rollouts { k: 10, length, ..ALWAYS };
            let map = || singletons(10);
            let open = if judged {
                OpenVocabulary::by_judge(map(), rollouts, vocabulary.clone(), all_alike)
            } else {
                let spelling = Spelling::default();
                OpenVocabulary::by_spelling(map(), rollouts, vocabulary.clone(), spelling)
            };
            let mut open = open.unwrap();
            // What begins as nothing goes on so.
            let mut model = By(|sequence: &[u32]| {
                let last = *sequence.last().unwrap();
                let next = if sequence.len() > 1 { last } else { 0 };
                (0..10).map(|token| if token == next { 1.0 } else { 0.0 }).collect()
            });
            let vote = vote(&mut open, &mut model);
            let alone = |meaning: usize| {
                vote.continuations.iter().filter(|c| c.meaning == meaning).count() == 1
            };
            let texts = vote.continuations.iter().map(|c| vocabulary.decode(&c.tokens).unwrap());
            for (text, c) in texts.zip(&vote.continuations) {
                if text.trim().is_empty() {
                    assert!(c.tokens[0] >= 3 && alone(c.meaning), "{c:?}");
                } else {
                    assert!(c.tokens[0] < 3, "{c:?}");
                    assert_eq!(alone(c.meaning), !judged && c.tokens[0] == 2, "{c:?}");
                }
            }
            assert_eq!(vote.ln_masses.len(), if judged { 8 } else { 9 });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(feature = "cuda") { 8 } else { 60 }))]

    #[test]
    fn only_texts_share_a_meaning(prompt in proptest::collection::vec(0u32..10, 1..4), length in 1usize..6) {
        let vocabulary = mostly_nothing();
        let rollouts = Rollouts { k: 10, length, ..ALWAYS };
        let mut open =
            OpenVocabulary::by_judge(singletons(10), rollouts, vocabulary.clone(), all_alike).unwrap();
        let vote = open.step(&mut Toy::new(10, device()), &prompt).unwrap().vote.unwrap();
        let is_text = |tokens: &[u32]| !vocabulary.decode(tokens).unwrap().trim().is_empty();
        for (i, a) in vote.continuations.iter().enumerate() {
            for (j, b) in vote.continuations.iter().enumerate() {
                let same = i == j || is_text(&a.tokens) && is_text(&b.tokens);
                prop_assert_eq!(a.meaning == b.meaning, same);
            }
        }
    }

    #[test]
    fn a_failed_step_changes_nothing(
        prompt in proptest::collection::vec(0u32..9, 1..4),
        fails_at in 0usize..5,
        judge_fails in any::<bool>(),
    ) {
        struct Failing(Toy, Option<usize>);
        impl NextLogits for Failing {
            fn next_logits(&mut self, sequences: &[Vec<u32>]) -> candle_core::Result<Tensor> {
                let logits = self.0.next_logits(sequences)?;
                match self.1 {
                    Some(0) => {
                        self.1 = None;
                        candle_core::bail!("out of memory")
                    }
                    ref mut left => *left = left.map(|left| left - 1),
                }
                Ok(logits)
            }
        }
        let want = format!("{:?}", open_by(false).step(&mut Toy::new(9, device()), &prompt).unwrap());
        let mut open = open_by(judge_fails);
        let mut model = Failing(Toy::new(9, device()), Some(fails_at));
        let mut failures = 0;
        let got = loop {
            match open.step(&mut model, &prompt) {
                Ok(step) => break format!("{step:?}"),
                Err(_) => failures += 1,
            }
        };
        prop_assert_eq!(got, want);
        // If the judge fails, the three passes before that were in vain.
        let passes = if judge_fails { 6 } else { 3 };
        prop_assert_eq!(failures, usize::from(fails_at < passes) + usize::from(judge_fails));
    }
}

/// Rolls out three tokens; the judge may fail, once.
fn open_by(mut judge_fails: bool) -> OpenVocabulary {
    let judge = move |texts: &[&str]| {
        if std::mem::take(&mut judge_fails) {
            return Err("the judge is ill".into());
        }
        evens_and_odds(texts)
    };
    let rollouts = Rollouts { length: 3, ..ALWAYS };
    OpenVocabulary::by_judge(singletons(9), rollouts, numbers(9), judge).unwrap()
}

#[test]
fn strided_logits_are_rolled_out_alike() {
    struct Transposed(Toy);
    impl NextLogits for Transposed {
        fn next_logits(&mut self, sequences: &[Vec<u32>]) -> candle_core::Result<Tensor> {
            self.0.next_logits(sequences)?.t()?.contiguous()?.t()
        }
    }
    let rows = Tensor::eye(9, candle_core::DType::F32, &device()).unwrap();
    let embedding = Embedding::new(&rows).unwrap();
    let mut open = OpenVocabulary::by_embedding(singletons(9), ALWAYS, embedding, 0.9).unwrap();
    let strided = open.step(&mut Transposed(Toy::new(9, device())), &[3]).unwrap();
    let plain = open.step(&mut Toy::new(9, device()), &[3]).unwrap();
    assert_eq!(format!("{strided:?}"), format!("{plain:?}"));
}
