//! Pooling at each step of a decode loop: by the embedding, and by a judge.

use candle_core::{DType, Device, Tensor};
use concept_mass::map::MapError;
use concept_mass::sample::SampleError;
use concept_mass::source::SourceError;
use concept_mass::{
    ConceptMap, ConceptSampler, Sampling,
    sample::TopKPooling,
    source::{Embedding, JudgeError},
};
use proptest::prelude::*;
use rand::Rng;

use super::kinds::kinds;
use crate::common::{DTYPES, device, in_f64, rng};

const ARGMAX: Sampling = Sampling::ArgMax;

fn embedding(rows: &[Vec<f32>], dtype: DType) -> Embedding {
    let matrix = Tensor::new(rows.to_vec(), &device()).unwrap().to_dtype(dtype).unwrap();
    Embedding::new(&matrix).unwrap()
}

fn singletons(vocab_size: usize) -> concept_mass::DeviceMap {
    ConceptMap::singletons(vocab_size).unwrap().to_device(&device()).unwrap()
}

/// By definition, in f64: the likeliest token of the group with the most mass, where `groups` are
/// of places in `top`, and the mass; of equals, the lowest.
fn by_definition(logits: &[f64], top: &[u32], groups: &[Vec<usize>]) -> (u32, f64, f64) {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mass = |token: u32| (logits[token as usize] - max).exp();
    let grouped: Vec<u32> = groups.iter().flatten().map(|&i| top[i]).collect();
    let alone = (0..logits.len() as u32).filter(|token| !grouped.contains(token));
    let mut sets: Vec<Vec<u32>> = alone.map(|token| vec![token]).collect();
    sets.extend(groups.iter().map(|group| group.iter().map(|&i| top[i]).collect()));
    let mut found: Vec<(u32, f64)> = sets
        .iter()
        .map(|set| {
            let best = set.iter().copied().fold(set[0], |best, token| {
                let (a, b) = (mass(token), mass(best));
                if a > b || a == b && token < best { token } else { best }
            });
            (best, set.iter().map(|&token| mass(token)).sum())
        })
        .collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    (found[0].0, found[0].1, found.get(1).map_or(0.0, |second| second.1))
}

#[test]
fn the_group_with_the_most_mass_wins_in_every_dtype() {
    let mut rng = rng(11);
    for round in 0..60 {
        let (vocab_size, k) = (rng.random_range(1..200), rng.random_range(1..40));
        let rows: Vec<Vec<f32>> = (0..vocab_size)
            .map(|_| (0..3).map(|_| rng.random_range(-1.0f32..1.0)).collect())
            .collect();
        let embedding = embedding(&rows, DTYPES[round % 3]);
        let logits: Vec<f32> = (0..vocab_size).map(|_| rng.random_range(-2.0..2.0)).collect();
        let logits = Tensor::new(logits, &device()).unwrap().to_dtype(DTYPES[round / 3 % 3]);
        let logits = logits.unwrap();
        let exact = &in_f64(&logits.unsqueeze(0).unwrap())[0];
        let mut top: Vec<u32> = (0..vocab_size as u32).collect();
        let logit = |token: u32| exact[token as usize];
        top.sort_by(|&a, &b| logit(b).total_cmp(&logit(a)).then(a.cmp(&b)));
        top.truncate(k);
        let groups = embedding.groups(&top, 0.7).unwrap();
        let (token, mass, second) = by_definition(exact, &top, &groups);

        let pooling = TopKPooling { k, threshold: 0.7 };
        let map = singletons(vocab_size);
        let mut sampler = ConceptSampler::from_sampling(1, ARGMAX, map.clone())
            .unwrap()
            .with_top_k_pooling(pooling, embedding.clone())
            .unwrap();
        let got = sampler.sample(&logits).unwrap();
        if mass - second > 1e-5 * mass {
            assert_eq!(got, token, "{groups:?}");
        }
        // Cold, every other way to choose comes to the same.
        for sampling in [
            Sampling::All { temperature: 1e-3 },
            Sampling::TopK { k: 1, temperature: 1.0 },
            Sampling::GumbelSoftmax { temperature: 1e-3 },
            Sampling::GumbelSoftmax { temperature: 0.0 },
        ] {
            let mut sampler = ConceptSampler::from_sampling(1, sampling.clone(), map.clone())
                .unwrap()
                .with_top_k_pooling(pooling, embedding.clone())
                .unwrap();
            let got = sampler.sample(&logits).unwrap();
            assert!(got == token || mass / second < 1.05, "{sampling:?}: {got} {token}");
        }
    }
}

#[test]
fn pooling_by_step_comes_over_the_maps() {
    // The map pools 0 and 1, .35; the step adds 2, .25; alone, 3 has .4.
    let map = ConceptMap::builder(4).concept("a", [0, 1]).unwrap().build().unwrap();
    let map = map.to_device(&device()).unwrap();
    let rows: [&[f32]; 4] = [&[1., 0.], &[0., -1.], &[0.9, 0.1], &[0., 1.]];
    let embedding = embedding(&rows.map(<[f32]>::to_vec), DType::F32);
    let pooling = TopKPooling { k: 3, threshold: 0.9 };
    let logits = |p: [f32; 4]| Tensor::new(&p, &Device::Cpu).unwrap().log().unwrap();
    let rows = [logits([0.2, 0.15, 0.25, 0.4]), logits([0.1, 0.1, 0.2, 0.6])];
    let logits = Tensor::stack(&rows, 0).unwrap().to_device(&device()).unwrap();

    let mut sampler = ConceptSampler::from_sampling(1, ARGMAX, map.clone())
        .unwrap()
        .with_top_k_pooling(pooling, embedding)
        .unwrap()
        .with_trace();
    // The group's likeliest token is not that of its likeliest concept.
    let tokens = [0, 1].map(|row| sampler.sample(&logits.get(row).unwrap()).unwrap());
    assert_eq!(tokens, [2, 3]);
    // The trace is of the map's own vote.
    let trace = sampler.take_trace();
    let rows = map.reduce(&logits).unwrap().rows().unwrap();
    assert_eq!(trace, rows.into_iter().map(Result::unwrap).collect::<Vec<_>>());
}

/// As in candle; whether the step is pooled makes no difference.
#[test]
fn the_callers_change_of_weights_is_called_where_there_are_weights_to_choose_by() {
    let embedding = embedding(&[vec![1., 0.], vec![1., 0.], vec![0., 1.]], DType::F32);
    let logits = Tensor::new(&[0f32, 0.1, 0.2], &device()).unwrap();
    let temperature = 1.0;
    for (sampling, is_called) in [
        (Sampling::ArgMax, false),
        (Sampling::GumbelSoftmax { temperature: 0.0 }, false),
        (Sampling::GumbelSoftmax { temperature }, false),
        (Sampling::All { temperature }, true),
        (Sampling::TopK { k: 2, temperature }, true),
        (Sampling::TopP { p: 0.5, temperature }, true),
        (Sampling::TopKThenTopP { k: 2, p: 0.5, temperature }, true),
    ] {
        let plain = || ConceptSampler::from_sampling(1, sampling.clone(), singletons(3)).unwrap();
        let pooling = TopKPooling { k: 3, threshold: 0.9 };
        let pooled = plain().with_top_k_pooling(pooling, embedding.clone()).unwrap();
        for (mut sampler, by_step) in [(plain(), false), (pooled, true)] {
            let mut called = 0;
            sampler.sample_f(&logits, |_| called += 1).unwrap();
            assert_eq!(called, usize::from(is_called), "{sampling:?}, pooled by step: {by_step}");
        }
    }
}

#[test]
fn a_judge_is_asked_about_words_only_where_the_vote_is_open() {
    let vocabulary = kinds()[0].vocabulary.clone();
    let first = |text: &str| vocabulary.encode(text).unwrap()[0];
    let [saint, red, end] = [" Saint", " Red", "<|end|>"].map(first);
    let size = vocabulary.vocab_size();
    let vote = |shares: &[(u32, f32)]| {
        let mut logits = vec![-20f32; size];
        shares.iter().for_each(|&(token, share)| logits[token as usize] = share.ln());
        Tensor::new(logits, &device()).unwrap()
    };
    let (asked, heard) = std::sync::mpsc::channel();
    let judge = move |texts: &[&str]| -> Result<Vec<Vec<usize>>, JudgeError> {
        asked.send(texts.iter().map(|text| text.to_string()).collect::<Vec<_>>()).unwrap();
        Ok(vec![vec![0, 1]])
    };
    let mut sampler = ConceptSampler::from_sampling(1, ARGMAX, singletons(size))
        .unwrap()
        .with_top_k_judge(3, vocabulary.clone(), judge)
        .unwrap();
    let open = vote(&[(end, 0.4), (saint, 0.3), (red, 0.25)]);
    assert_eq!(sampler.sample(&open).unwrap(), saint);
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), [[" Saint", " Red"]]);
    let settled = vote(&[(end, 0.6), (saint, 0.3), (red, 0.1)]);
    assert_eq!(sampler.sample(&settled).unwrap(), end);
    assert_eq!(heard.try_iter().count(), 0);
}

#[test]
fn a_judge_that_fails_changes_nothing() {
    let vocabulary = kinds()[0].vocabulary.clone();
    let size = vocabulary.vocab_size();
    let first = |text: &str| vocabulary.encode(text).unwrap()[0] as usize;
    let (saint, red) = (first(" Saint"), first(" Red"));
    let row = |likeliest: usize| {
        let mut logits = vec![0f32; size];
        (logits[saint], logits[red], logits[likeliest]) = (0.5, 0.5, 0.6);
        Tensor::new(logits, &device()).unwrap()
    };
    let [good, bad] = [row(saint), row(red)];
    let temperature = 1.0;
    for sampling in [
        Sampling::ArgMax,
        Sampling::All { temperature },
        Sampling::TopK { k: size / 2, temperature },
        Sampling::TopP { p: 0.9, temperature },
        Sampling::TopKThenTopP { k: size / 2, p: 0.3, temperature },
        Sampling::GumbelSoftmax { temperature },
    ] {
        let new = || {
            let judge = |texts: &[&str]| match texts[0] {
                " Red" => Err(JudgeError::from("red")),
                _ => Ok(vec![vec![0, 1]]),
            };
            let sampler = ConceptSampler::from_sampling(1, sampling.clone(), singletons(size));
            sampler.unwrap().with_top_k_judge(2, vocabulary.clone(), judge).unwrap().with_trace()
        };
        let (mut disturbed, mut alone) = (new(), new());
        for _ in 0..3 {
            let error = disturbed.sample(&bad).unwrap_err();
            assert!(matches!(error, SampleError::Source(SourceError::Judge { .. })), "{error}");
            let token = disturbed.sample(&good).unwrap();
            assert_eq!(token, alone.sample(&good).unwrap(), "{sampling:?}");
        }
        assert_eq!(disturbed.take_trace(), alone.take_trace());
    }
}

#[test]
fn what_a_judge_cannot_say_is_an_error() {
    let vocabulary = &kinds()[0].vocabulary;
    let tokens: Vec<u32> = [" Saint", " Red"].map(|t| vocabulary.encode(t).unwrap()[0]).to_vec();
    let complaint = |groups: Result<Vec<Vec<usize>>, &'static str>| {
        let mut judge = |_: &[&str]| Ok(groups.clone()?);
        let judged = vocabulary.judge(&tokens, &mut judge);
        judged.map(|map| map.stats().pooled_tokens).map_err(|error| {
            let cause = std::error::Error::source(&error).expect("what the judge says");
            format!("{error}: {cause}")
        })
    };
    assert_eq!(complaint(Ok(vec![vec![1, 0], vec![]])), Ok(2));
    assert_eq!(complaint(Ok(vec![vec![1]])), Ok(0));
    for (groups, problem) in [
        (Err("no connection"), "no connection"),
        (Ok(vec![vec![0, 2]]), "there is no text 2 among 2; groups hold places from 0 to 1"),
        (Ok(vec![vec![0], vec![1, 0]]), "text 0 is in two groups; put it into one at most"),
    ] {
        let said = complaint(groups).unwrap_err();
        assert!(said.starts_with("the judge failed; put right "), "{said}");
        assert!(said.ends_with(&format!(": {problem}")), "{said}");
    }
}

#[test]
fn unfit_embeddings_and_settings_are_refused() {
    let matrix = |shape: &[usize], dtype| Tensor::zeros(shape, dtype, &Device::Cpu).unwrap();
    for shape in [&[3][..], &[2, 3, 4], &[0, 4], &[4, 0]] {
        let error = Embedding::new(&matrix(shape, DType::F32)).unwrap_err();
        assert!(matches!(error, SourceError::EmbeddingShape { .. }), "{error}");
    }
    let error = Embedding::new(&matrix(&[3, 4], DType::U32)).unwrap_err();
    assert!(matches!(error, SourceError::EmbeddingDType { got: DType::U32 }), "{error}");

    let embedding = Embedding::new(&matrix(&[3, 4], DType::BF16)).unwrap();
    let error = embedding.groups(&[0, 3], 0.5).unwrap_err();
    assert!(
        matches!(error, SourceError::Map(MapError::TokenOutOfRange { token: 3, .. })),
        "{error}"
    );
    for threshold in [1.01, -1.01, f32::NAN] {
        let error = embedding.map(&[0], threshold).unwrap_err();
        assert!(matches!(error, SourceError::Threshold { .. }), "{error}");
    }
    let sampler = |k, threshold, size| {
        ConceptSampler::from_sampling(1, ARGMAX, singletons(size))
            .unwrap()
            .with_top_k_pooling(TopKPooling { k, threshold }, embedding.clone())
            .err()
    };
    assert!(sampler(1, 0.0, 3).is_none());
    let error = sampler(0, 0.0, 3).unwrap();
    assert!(matches!(error, SampleError::Parameter { parameter: "k", .. }), "{error}");
    assert!(sampler(1, 2.0, 3).is_some());
    let error = sampler(1, 0.0, 4).unwrap();
    assert!(
        matches!(error, SampleError::Source(SourceError::EmbeddingRows { rows: 3, vocab_size: 4 })),
        "{error}"
    );
}

#[test]
fn rows_without_a_direction_stand_alone() {
    let rows =
        [[1., 1.], [0., 0.], [f32::NAN, 1.], [f32::INFINITY, 1.], [1e30, 1e30], [1e-30, 1e-30]];
    let embedding = embedding(&rows.map(|row| row.to_vec()), DType::F32);
    assert_eq!(embedding.groups(&[0, 1, 2, 3, 4, 5], -1.0).unwrap(), [[0, 4, 5]]);
}

#[test]
fn more_candidates_than_a_block_are_grouped_alike() {
    // Points around a circle, so that every group lies within an arc, and blocks are crossed.
    let n = 6_000; // 36 million pairs
    let angle = |i: usize| (i * 997 % n) as f32 / n as f32 * std::f32::consts::TAU;
    let rows: Vec<Vec<f32>> = (0..n).map(|i| vec![angle(i).cos(), angle(i).sin()]).collect();
    let embedding = embedding(&rows, DType::F32);
    let tokens: Vec<u32> = (0..n as u32).collect();
    let arc = 0.0005;
    let groups = embedding.groups(&tokens, f32::cos(arc * std::f32::consts::TAU)).unwrap();
    let mut grouped: Vec<usize> = groups.iter().flatten().copied().collect();
    grouped.sort();
    grouped.dedup();
    assert_eq!(grouped.len(), groups.iter().map(Vec::len).sum::<usize>());
    for group in &groups {
        let cosine = |&a: &usize, &b: &usize| (angle(a) - angle(b)).cos();
        let least = group.iter().flat_map(|a| group.iter().map(move |b| cosine(a, b)));
        let least = least.fold(1.0, f32::min);
        assert!(least > f32::cos(1.05 * arc * std::f32::consts::TAU), "{group:?}");
    }
    assert!(groups.len() > n / 5, "{}", groups.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Every pair of a group is within the threshold; and no two groups could be one, with all
    /// their pairs within it, or linkage would have gone on.
    #[test]
    fn groups_are_complete(seed: u64, n in 0usize..60, threshold in -0.2f32..0.99) {
        let mut rng = rng(seed);
        let rows: Vec<Vec<f32>> =
            (0..60).map(|_| (0..4).map(|_| rng.random_range(-1.0f32..1.0)).collect()).collect();
        let tokens: Vec<u32> = (0..n as u32).map(|i| i * 7 % 60).collect();
        let groups = embedding(&rows, DType::F32).groups(&tokens, threshold).unwrap();
        let row = |place: usize| &rows[tokens[place] as usize];
        let cosine = |a: usize, b: usize| {
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
            };
            dot(row(a), row(b)) / (dot(row(a), row(a)) * dot(row(b), row(b))).sqrt()
        };
        let least = |a: &[usize], b: &[usize]| {
            let pairs = a.iter().flat_map(|&a| b.iter().map(move |&b| cosine(a, b)));
            pairs.fold(1.0, f64::min)
        };
        let in_groups: Vec<usize> = groups.iter().flatten().copied().collect();
        let alone = (0..n).filter(|place| !in_groups.contains(place)).map(|place| vec![place]);
        let all: Vec<Vec<usize>> = groups.iter().cloned().chain(alone).collect();
        for (i, group) in all.iter().enumerate() {
            prop_assert!(least(group, group) > f64::from(threshold) - 1e-5);
            for other in &all[i + 1..] {
                prop_assert!(least(group, other) < f64::from(threshold) + 1e-5);
            }
        }
    }
}
