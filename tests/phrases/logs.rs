//! Votes whose probabilities no float can hold: products of many, tokens far down, masks, logits of
//! any offset, and ties.

use std::hash::{DefaultHasher, Hash, Hasher};

use candle_core::{DType, Result, Tensor};
use concept_mass::phrase::{NextLogits, PhraseError, PhraseTrie, PhraseVote};
use proptest::prelude::*;

use super::toy::{By, ln_softmax};
use crate::common::device;

const NOTHING: f64 = f64::NEG_INFINITY;
const MASKED: f32 = f32::NEG_INFINITY;

fn trie(vocab_size: usize, phrases: &[(&str, &[u32])], ends: &[u32]) -> PhraseTrie {
    let mut builder = PhraseTrie::builder(vocab_size);
    for (concept, tokens) in phrases {
        builder = builder.phrase(*concept, tokens.iter().copied()).unwrap();
    }
    builder.ends(ends.iter().copied()).unwrap().build().unwrap()
}

fn vote(trie: &PhraseTrie, model: &mut impl NextLogits) -> PhraseVote {
    trie.to_device(&device()).unwrap().vote(model, &[0]).unwrap()
}

#[test]
fn sixty_tokens_at_14_nats_each_have_their_weight() {
    // Token 2 is a little likelier than token 1, and both are 14 nats below token 0.
    let mut model = By(|_: &[u32]| vec![0.0, -14.0, -13.99]);
    let (first, second) = ([1; 60], [2; 60]);
    let trie = trie(3, &[("first", &first), ("second", &second)], &[]);
    let vote = vote(&trie, &mut model);
    assert_eq!(vote.winner(), Some(1));
    assert_eq!(vote.answer(), Some(&second[..]));
    let ln = ln_softmax(&[0.0, -14.0, -13.99]);
    for concept in [0, 1] {
        let want = 60.0 * ln[concept as usize + 1];
        assert!((vote.ln_mass(concept) - want).abs() < 1e-4, "{vote:?}");
        assert_eq!(vote.mass(concept), 0.0, "no f64 is as small");
    }
}

#[test]
fn a_token_88_nats_down_is_not_lost() {
    for down in [87.0f32, 88.0, 104.0, 1e3, 1e6, 1e30] {
        let mut model = By(|_: &[u32]| vec![0.0, -1.5 * down, -down]);
        let vote = vote(&trie(3, &[("less", &[1]), ("more", &[2])], &[]), &mut model);
        assert_eq!(vote.winner(), Some(1), "{down}");
        assert!((vote.ln_mass(1) / f64::from(-down) - 1.0).abs() < 1e-9, "{down}: {vote:?}");
    }
}

#[test]
fn when_every_phrase_is_masked_nobody_wins() {
    let phrases: &[(&str, &[u32])] = &[("a", &[1, 0]), ("b", &[0, 1]), ("b", &[1])];
    for ends in [&[][..], &[2]] {
        let trie = trie(3, phrases, ends);
        let vote = vote(&trie, &mut By(|_: &[u32]| vec![0.0, MASKED, 0.0]));
        assert_eq!((vote.winner(), vote.answer()), (None, None));
        for concept in 0..3 {
            assert_eq!((vote.mass(concept), vote.ln_mass(concept)), (0.0, NOTHING));
            assert_eq!(vote.phrase(concept), None);
        }
        assert_eq!(vote.ln_probabilities(), [NOTHING; 3]);
    }
}

#[test]
fn a_concept_that_is_masked_is_not_answered_in_the_place_of_another() {
    let trie = trie(4, &[("masked", &[1]), ("masked", &[1, 2]), ("far down", &[3])], &[]);
    let vote = vote(&trie, &mut By(|_: &[u32]| vec![0.0, MASKED, 0.0, -1e4]));
    assert_eq!((vote.winner(), vote.answer()), (Some(1), Some(&[3][..])));
    assert_eq!(vote.phrase(0), None);
}

#[test]
fn what_the_longer_phrase_takes_leaves_nothing_or_what_there_is() {
    let phrases: &[(&str, &[u32])] = &[("short", &[1]), ("long", &[1, 2])];
    let after = |logits: [f32; 3]| {
        move |sequence: &[u32]| if sequence.len() == 1 { vec![0.0; 3] } else { logits.to_vec() }
    };
    // All of it.
    let all = vote(&trie(3, phrases, &[]), &mut By(after([MASKED, MASKED, 0.0])));
    assert_eq!((all.ln_mass(0), all.winner()), (NOTHING, Some(1)));
    assert!((all.mass(1) - 1.0 / 3.0).abs() < 1e-7);
    // Next to nothing, and none.
    for (logit, ln) in [(-200.0, -200.0), (MASKED, NOTHING)] {
        let vote = vote(&trie(3, phrases, &[]), &mut By(after([0.0, MASKED, logit])));
        assert!((vote.mass(0) - 1.0 / 3.0).abs() < 1e-7);
        assert!(vote.ln_mass(1) == ln || (vote.ln_mass(1) - ln + 3f64.ln()).abs() < 1e-5);
    }
}

#[test]
fn logits_after_what_cannot_be_said_do_not_matter() {
    let trie = trie(3, &[("a", &[1, 2]), ("b", &[0, 2])], &[]);
    let mut model = By(|sequence: &[u32]| match sequence {
        [_, 1] => vec![f32::NAN; 3],
        [_, 0] => vec![0.0; 3],
        _ => vec![0.0, MASKED, 0.0],
    });
    let vote = vote(&trie, &mut model);
    assert_eq!((vote.ln_mass(0), vote.winner()), (NOTHING, Some(1)));
    let mut model = By(|sequence: &[u32]| vec![if sequence == [0, 1] { MASKED } else { 0.0 }; 3]);
    let error = trie.to_device(&device()).unwrap().vote(&mut model, &[0]).unwrap_err();
    assert!(matches!(&error, PhraseError::Logits { after, .. } if after == &[1]), "{error}");
    assert_eq!(
        error.to_string(),
        "the model's row of logits after the prompt and the tokens [1] is all -inf: check the model, \
         and what masks its logits"
    );
}

#[test]
fn equal_logits_have_equal_shares_at_any_offset() {
    for offset in [0.0f32, 3e7, -3e7, 1e30, -1e30, 3e38, f32::MIN, f32::MAX] {
        let mut model = By(|_: &[u32]| vec![offset; 4]);
        let phrases: &[(&str, &[u32])] = &[("three", &[0]), ("three", &[1]), ("three", &[2, 3])];
        for (ends, want) in [(&[][..], 0.5 + 0.0625), (&[3], 2.0 / 16.0)] {
            let phrases = if ends.is_empty() { phrases } else { &phrases[..2] };
            let vote = vote(&trie(4, phrases, ends), &mut model);
            assert!((vote.mass(0) - want).abs() < 1e-6, "{offset}: {vote:?}");
        }
    }
}

#[test]
fn ties_go_to_the_lowest_concept_and_then_to_the_lowest_tokens() {
    let phrases: &[(&str, &[u32])] = &[
        ("one", &[5]),
        ("two", &[4, 2]),
        ("two", &[4]),
        ("two", &[3]),
        ("first", &[6]),
        ("first", &[2]),
    ];
    // "two" and "first" hold two eighths each; of "two", [4, 2] is a part of [4].
    let vote = vote(&trie(8, phrases, &[]), &mut By(|_: &[u32]| vec![1.0; 8]));
    assert_eq!((vote.ln_mass(1), vote.winner()), (vote.ln_mass(2), Some(1)));
    assert_eq!(vote.answer(), Some(&[3][..]));
    assert_eq!(vote.phrase(2).unwrap().tokens, [2]);
}

/// Logits in tiers, of which many are equal, many are far below others, and some are masked.
fn steep(sequence: &[u32], seed: u64, spread: f32, offset: f32) -> Vec<f32> {
    let mut logits: Vec<f32> = (0..5u32)
        .map(|token| {
            let mut hasher = DefaultHasher::new();
            (sequence, token, seed).hash(&mut hasher);
            let hash = hasher.finish();
            if hash.is_multiple_of(7) {
                MASKED
            } else {
                offset - (hash % 1024) as f32 / 1024.0 * spread
            }
        })
        .collect();
    if logits.iter().all(|logit| *logit == MASKED) {
        logits[0] = offset;
    }
    logits
}

/// A model whose logits have a layout and a dtype.
struct Laid<F>(By<F>, Layout, DType);

#[derive(Debug, Clone, Copy)]
enum Layout {
    Contiguous,
    Transposed,
    LastPosition,
    Columns,
}

impl<F: FnMut(&[u32]) -> Vec<f32>> NextLogits for Laid<F> {
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        let logits = self.0.next_logits(sequences)?.to_dtype(self.2)?;
        let (rows, columns) = logits.dims2()?;
        match self.1 {
            Layout::Contiguous => Ok(logits),
            Layout::Transposed => logits.t()?.contiguous()?.t(),
            Layout::LastPosition => {
                let others = logits.zeros_like()?;
                let positions = Tensor::stack(&[&others, &others, &logits], 1)?;
                positions.narrow(1, 2, 1)?.squeeze(1)
            }
            Layout::Columns => {
                let padding = Tensor::zeros((rows, 3), self.2, logits.device())?;
                Tensor::cat(&[&padding, &logits, &padding], 1)?.narrow(1, 3, columns)
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(feature = "cuda") { 8 } else { 120 }))]

    #[test]
    fn logs_are_those_of_the_definition(
        phrases in proptest::collection::btree_map(
            proptest::collection::vec(0u32..4, 1..30), 0u32..3, 1..8),
        seed in 0u64..1000,
        spread in prop_oneof![Just(0.0f32), 1f32..10.0, 100f32..300.0, Just(1e6f32)],
        offset in prop_oneof![Just(0.0f32), Just(-50.0f32), Just(3e7f32), Just(-1e30f32)],
        with_ends in any::<bool>(),
        layout in prop_oneof![
            Just(Layout::Contiguous), Just(Layout::Transposed), Just(Layout::LastPosition),
            Just(Layout::Columns),
        ],
        dtype in prop_oneof![Just(DType::F32), Just(DType::BF16), Just(DType::F64)],
    ) {
        let phrases: Vec<(String, Vec<u32>)> =
            phrases.into_iter().map(|(tokens, concept)| (concept.to_string(), tokens)).collect();
        let named: Vec<(&str, &[u32])> = phrases.iter().map(|(c, t)| (&c[..], &t[..])).collect();
        let ends: &[u32] = if with_ends { &[4] } else { &[] };
        let trie = trie(5, &named, ends);
        let logits = |sequence: &[u32]| -> Vec<f32> {
            let logits = steep(sequence, seed, spread, offset).into_iter();
            match dtype {
                DType::BF16 => logits.map(|l| half::bf16::from_f32(l).to_f32()).collect(),
                _ => logits.collect(),
            }
        };
        let vote = vote(&trie, &mut Laid(By(logits), layout, dtype));

        let mut masses = vec![Vec::new(); trie.num_concepts()];
        for (phrase, &got) in trie.phrases().iter().zip(vote.ln_probabilities()) {
            let tokens = [&phrase.tokens[..], ends].concat();
            let token = |i: usize| ln_softmax(&logits(&[&[0], &tokens[..i]].concat()))[tokens[i] as usize];
            let want: f64 = (0..tokens.len()).map(token).sum();
            let tolerance = 1e-5 * tokens.len() as f64 + want.abs() * 1e-12;
            prop_assert!(got == want || (got - want).abs() < tolerance, "{phrase:?}: {got} {want}");
            masses[phrase.concept as usize].push(got);
        }
        if with_ends {
            let by_definition = |lns: &Vec<f64>| {
                let max = lns.iter().copied().fold(NOTHING, f64::max);
                let sum: f64 = lns.iter().map(|ln| (ln - max).exp()).sum();
                if max == NOTHING { NOTHING } else { max + sum.ln() }
            };
            for (concept, want) in (0..).zip(masses.iter().map(by_definition)) {
                let got = vote.ln_mass(concept);
                prop_assert!(got == want || (got - want).abs() < 1e-9, "{concept}: {got} {want}");
            }
        }
        // The winner is the first of the heaviest; its answer is among its likeliest phrases.
        let heaviest = vote.ln_masses().iter().copied().fold(NOTHING, f64::max);
        let first = vote.ln_masses().iter().position(|&ln| ln == heaviest && ln > NOTHING);
        prop_assert_eq!(vote.winner(), first.map(|concept| concept as u32));
        prop_assert_eq!(vote.answer().is_some(), vote.winner().is_some());
        for concept in 0..trie.num_concepts() as u32 {
            let own = || trie.phrases().iter().zip(vote.ln_probabilities())
                .filter(|(phrase, ln)| phrase.concept == concept && **ln > NOTHING);
            let likeliest = own().map(|(_, ln)| *ln).fold(NOTHING, f64::max);
            let lowest = own().filter(|(_, ln)| **ln == likeliest).map(|(phrase, _)| phrase).min();
            prop_assert_eq!(vote.phrase(concept), lowest);
        }
    }

    #[test]
    fn the_order_of_phrases_decides_nothing_but_ids(
        phrases in proptest::collection::btree_set(proptest::collection::vec(0u32..4, 1..5), 2..9)
            .prop_map(|phrases| phrases.into_iter().collect::<Vec<_>>()).prop_shuffle(),
        seed in 0u64..1000,
        spread in prop_oneof![Just(0.0f32), 1f32..300.0],
    ) {
        let name = |phrase: &Vec<u32>| (phrase.iter().sum::<u32>() % 2).to_string();
        let vote = |phrases: &[Vec<u32>]| {
            let builder = phrases.iter().fold(PhraseTrie::builder(5), |builder, phrase| {
                builder.phrase(name(phrase), phrase.iter().copied()).unwrap()
            });
            let trie = builder.build().unwrap();
            let vote = vote(&trie, &mut By(|s: &[u32]| steep(s, seed, spread, 0.0)));
            let concept = |name| trie.find(name).map(|c| (vote.ln_mass(c), vote.phrase(c).cloned()));
            let of = |name| concept(name).map(|(ln, phrase)| (ln.to_bits(), phrase.map(|p| p.tokens)));
            [of("0"), of("1")]
        };
        let reversed: Vec<Vec<u32>> = phrases.iter().rev().cloned().collect();
        prop_assert_eq!(vote(&phrases), vote(&reversed));
    }
}
