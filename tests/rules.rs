//! The rules of the result, each a named test.

mod common;

use candle_core::{DType, DeviceLocation, IndexOp, Tensor};
use common::*;
use concept_mass::reduce::{BadRowReason, NO_TOKEN, ReduceError};
use concept_mass::{ConceptMap, DeviceMap, Noise, Row, TokenSets, reference};
use rand::Rng;

fn on_device(map: &ConceptMap) -> DeviceMap {
    map.to_device(&device()).unwrap()
}

fn row_of(map: &ConceptMap, logits: &[f32]) -> Row {
    let logits = Tensor::new(logits, &device()).unwrap();
    on_device(map).reduce(&logits).unwrap().rows().unwrap()[0].unwrap()
}

fn runner_up(row: &Row) -> Option<u32> {
    row.runner_up.map(|runner_up| runner_up.concept)
}

fn pooling(vocab_size: usize, concepts: &[&[u32]]) -> ConceptMap {
    let builder = ConceptMap::builder(vocab_size);
    let add = |b: concept_mass::map::ConceptMapBuilder, tokens: &&[u32]| {
        b.unnamed(tokens.iter().copied())
    };
    concepts.iter().try_fold(builder, add).unwrap().build().unwrap()
}

// Decisions.

#[test]
fn the_papers_example_flips() {
    let probabilities = [0.24f32, 0.13, 0.12, 0.31, 0.20];
    let row = row_of(&pooling(5, &[&[0, 1, 2]]), &probabilities.map(f32::ln));
    assert_eq!((row.greedy, row.winner, row.representative), (3, 0, 0));
    assert!(row.is_flip());
    assert!(probability_is(row.mass, 0.49));
    assert!(probability_is(row.concentration(), 0.24 / 0.49));
    assert!(probability_is(row.margin(), 0.18));
    assert_eq!(runner_up(&row), Some(1), "the concept of token 3");
    assert!(row.concept_entropy < row.token_entropy);
}

#[test]
fn a_map_of_singletons_is_plain_argmax() {
    let mut rng = rng(1);
    let map = ConceptMap::singletons(5000).unwrap();
    for profile in PROFILES {
        let logits = profile.row(5000, &mut rng);
        let row = row_of(&map, &logits);
        assert_eq!(row.representative, row.greedy, "{profile:?}");
        assert_eq!(row.concept_entropy, row.token_entropy, "{profile:?}");
        assert!(!row.is_flip());
    }
}

#[test]
fn singletons_closer_than_probabilities_can_tell_are_still_in_order() {
    let map = ConceptMap::singletons(4).unwrap();
    for logits in [[1e-10, 3e-10, 2e-10, -1.0], [0.0, 1e-40, 0.0, -9.0]] {
        let row = row_of(&map, &logits);
        assert_eq!((row.greedy, row.winner, row.is_flip()), (1, 1, false), "{logits:?}");
    }
    assert_eq!(runner_up(&row_of(&map, &[1e-10, 3e-10, 2e-10, -1.0])), Some(2));
}

#[test]
fn one_concept_of_everything_is_certain() {
    let map = pooling(3, &[&[0, 1, 2]]);
    let row = row_of(&map, &[1.0, 5.0, 2.0]);
    assert_eq!((row.winner, row.representative, row.mass), (0, 1, 1.0));
    assert_eq!((row.runner_up, row.margin(), row.concept_entropy), (None, 1.0, 0.0));
}

#[test]
fn a_vocabulary_of_one_token() {
    let row = row_of(&ConceptMap::singletons(1).unwrap(), &[-7.5]);
    assert_eq!((row.winner, row.greedy, row.mass, row.log_z), (0, 0, 1.0, -7.5));
    assert_eq!((row.runner_up, row.token_entropy), (None, 0.0));
}

// Ties.

#[test]
fn ties_of_tokens_go_to_the_lowest_token() {
    for at in [0, 15, 16, 2047, 2048, 3000] {
        let mut logits = vec![0.0; 6000];
        for t in [at, at + 1, at + 17, 5999] {
            logits[t] = 2.0;
        }
        let row = row_of(&ConceptMap::singletons(6000).unwrap(), &logits);
        assert_eq!((row.greedy, row.winner), (at as u32, at as u32));
        assert_eq!(runner_up(&row), Some(at as u32 + 1));
    }
}

#[test]
fn ties_of_concepts_go_to_the_lowest_concept() {
    // Concepts 0 and 1 hold two tokens each; concept 1 has the lower token ids.
    let row = row_of(&pooling(6, &[&[4, 5], &[0, 1]]), &[0.0; 6]);
    assert_eq!((row.winner, runner_up(&row)), (0, Some(1)));
    assert_eq!((row.representative, row.greedy), (4, 0));
}

#[test]
fn ties_of_singletons_go_to_the_lowest_concept_whatever_the_tokens() {
    let ids = (0..100u32).rev().collect();
    let row = row_of(&ConceptMap::from_concept_ids(ids).unwrap(), &[1.0; 100]);
    assert_eq!((row.winner, runner_up(&row)), (0, Some(1)));
    assert_eq!((row.representative, row.greedy), (99, 0));
}

#[test]
fn ties_between_a_pooled_concept_and_a_singleton() {
    // ln 2 beside 0 + 0, in f32 to the bit: both have weight 2 of 4 with the maximum at ln 2.
    let half = 0.5f32;
    let row = row_of(&pooling(3, &[&[1, 2]]), &[half.ln() + 2f32.ln(), half.ln(), half.ln()]);
    assert!((row.mass - 0.5).abs() < 1e-6 && (row.margin()).abs() < 1e-6);
}

#[test]
fn ties_within_a_concept_go_to_the_lowest_token() {
    let row = row_of(&pooling(5, &[&[4, 3, 2]]), &[0.5, 0.0, 0.0, 0.3, 0.3]);
    assert_eq!((row.winner, row.representative), (0, 3));
}

#[test]
fn negative_zero_ties_with_zero() {
    assert_eq!(row_of(&ConceptMap::singletons(2).unwrap(), &[-0.0, 0.0]).greedy, 0);
}

// Determinism.

/// Every operation's result as bits.
fn all_bits(map: &DeviceMap, probes: &TokenSets, logits: &Tensor) -> Vec<u32> {
    let rows = map.reduce(logits).unwrap().rows().unwrap();
    let probed = probes.to_device(&device()).unwrap().measure(logits).unwrap();
    let tensors = [
        map.masses(logits).unwrap(),
        map.pool(logits).unwrap(),
        probed.masses,
        probed.concentrations,
    ];
    let floats = tensors.iter().flat_map(|t| t.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    all_bits_of(&rows).into_iter().chain(floats.map(f32::to_bits)).collect()
}

#[test]
fn the_same_bits_on_any_number_of_threads() {
    if device().is_cuda() {
        return; // whose threads are others, see tests/cuda.rs
    }
    for partition in PARTITIONS {
        // A long row that threads share, a batch that they share, and what is worth no thread.
        for (batch, vocab_size) in [(1, 600_001), (7, 80_001), (7, 500)] {
            let mut rng = rng(batch);
            let map = on_device(&partition.map(vocab_size, &mut rng));
            let probes = TokenSets::builder(vocab_size).set("p", 0..99).unwrap().build().unwrap();
            let rows: Vec<_> =
                (0..batch).map(|_| Profile::Peaked.row(vocab_size, &mut rng)).collect();
            let logits = Layout::Contiguous.tensor(&rows, vocab_size, DType::F32).unwrap();
            let on = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| all_bits(&map, &probes, &logits))
            };
            let one = on(1);
            for threads in [1, 2, 3, 8] {
                assert!(on(threads) == one, "{partition:?}, {batch} rows, {threads} threads");
            }
        }
    }
}

#[test]
fn the_same_bits_alone_and_anywhere_in_a_batch_in_any_layout() {
    let vocab_size = 3001;
    for dtype in DTYPES {
        let mut rng = rng(3);
        let map = on_device(&Partition::Dense.map(vocab_size, &mut rng));
        let probes = TokenSets::builder(vocab_size).set("p", 5..60).unwrap().build().unwrap();
        let rows: Vec<_> = PROFILES.iter().map(|p| p.row(vocab_size, &mut rng)).collect();
        for layout in LAYOUTS {
            let logits = layout.tensor(&rows, vocab_size, dtype).unwrap();
            let batch = map.reduce(&logits).unwrap().rows().unwrap();
            let masses = map.masses(&logits).unwrap();
            for (i, row) in rows.iter().enumerate() {
                let alone =
                    Tensor::new(row.as_slice(), &device()).unwrap().to_dtype(dtype).unwrap();
                let in_batch = logits.i(i).unwrap();
                let bits = all_bits(&map, &probes, &alone);
                assert!(bits == all_bits(&map, &probes, &in_batch), "{dtype:?} {layout:?} {i}");
                let of_row = common::bits(&batch[i]);
                assert_eq!(bits[..of_row.len()], of_row);
                let masses = masses.i(i).unwrap().to_vec1::<f32>().unwrap();
                let alone = map.masses(&alone).unwrap().to_vec1::<f32>().unwrap();
                assert!(masses == alone, "{dtype:?} {layout:?} {i}: masses");
            }
        }
    }
}

#[test]
fn masses_add_up_to_one() {
    let mut rng = rng(4);
    for partition in PARTITIONS {
        let map = on_device(&partition.map(30_000, &mut rng));
        let logits =
            Tensor::new(Profile::NoiseWithinATenth.row(30_000, &mut rng), &device()).unwrap();
        let masses = map.masses(&logits).unwrap().to_vec1::<f32>().unwrap();
        let sum: f64 = masses.into_iter().map(f64::from).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{partition:?}: {sum}");
    }
}

// Rows that are not ordinary.

#[test]
fn neg_inf_is_probability_zero() {
    let inf = f32::NEG_INFINITY;
    let row = row_of(&pooling(5, &[&[0, 4], &[1, 2]]), &[inf, 0.0, inf, 1.0, inf]);
    assert_eq!((row.winner, row.representative), (2, 3));
    assert_eq!(runner_up(&row), Some(1), "concept 1; concept 0 is masked altogether");
}

#[test]
fn all_but_one_masked_leaves_no_runner_up() {
    for vocab_size in [40, 5000] {
        let mut logits = vec![f32::NEG_INFINITY; vocab_size];
        logits[33] = -4.0;
        for partition in PARTITIONS {
            let row = row_of(&partition.map(vocab_size, &mut rng(5)), &logits);
            assert_eq!((row.representative, row.runner_up), (33, None), "{partition:?}");
            assert_eq!((row.mass, row.log_z, row.token_entropy), (1.0, -4.0, 0.0));
        }
    }
}

#[test]
fn masks_of_the_lowest_finite_number_are_masks_too() {
    let row = row_of(&pooling(4, &[&[0, 1]]), &[f32::MIN, f32::MIN, 1.0, 1.5]);
    assert_eq!((row.winner, runner_up(&row)), (2, Some(1)));
    let all = row_of(&pooling(4, &[&[0, 1]]), &[f32::MIN; 4]);
    assert!(probability_is(all.mass, 0.5), "no logit stands out: {all:?}");
    let top = row_of(&ConceptMap::singletons(2).unwrap(), &[f32::MIN, f32::MAX]);
    assert_eq!((top.representative, top.mass), (1, 1.0));
}

/// A batch whose middle row is `bad`; checks that it alone is marked.
fn expect_bad(bad: &[f32], reason: BadRowReason) {
    let vocab_size = bad.len();
    let good = vec![0.5; vocab_size];
    for partition in PARTITIONS {
        let map = on_device(&partition.map(vocab_size, &mut rng(6)));
        for dtype in DTYPES {
            let rows = [good.clone(), bad.to_vec(), good.clone()];
            let logits = Layout::Contiguous.tensor(&rows, vocab_size, dtype).unwrap();
            let reduction = map.reduce(&logits).unwrap();
            let rows = reduction.rows().unwrap();
            let error = rows[1].unwrap_err();
            assert_eq!((error.row, error.reason), (1, reason), "{partition:?} {dtype:?}");
            assert_eq!(
                error.to_string(),
                format!("row 1 of the logits has no winner: it {reason}")
            );
            assert!(rows[0].is_ok());
            assert_eq!(rows[0], rows[2]);
            assert_eq!(reduction.tokens().unwrap().to_vec1::<u32>().unwrap()[1], NO_TOKEN);
            let decisions = map.decide(&logits).unwrap();
            let decided = rows.iter().map(|row| row.map(|row| row.decision()));
            assert_eq!(decisions.rows().unwrap(), decided.collect::<Vec<_>>());
            assert_eq!(decisions.tokens().unwrap().to_vec1::<u32>().unwrap()[1], NO_TOKEN);
            for tensor in [map.masses(&logits).unwrap(), map.pool(&logits).unwrap()] {
                let rows = tensor.to_vec2::<f32>().unwrap();
                assert!(rows[1].iter().all(|x| x.is_nan()), "{partition:?} {dtype:?}");
                assert!(rows[0].iter().all(|x| !x.is_nan()) && rows[0] == rows[2]);
            }
        }
    }
}

#[test]
fn a_nan_anywhere_marks_its_row_alone() {
    for vocab_size in [1, 17, 5000] {
        for at in [0, vocab_size / 2, vocab_size - 1] {
            let mut bad = vec![0.0; vocab_size];
            bad[at] = f32::NAN;
            expect_bad(&bad, BadRowReason::Nan);
            let mut masked = vec![f32::NEG_INFINITY; vocab_size];
            masked[at] = f32::NAN;
            expect_bad(&masked, BadRowReason::Nan);
        }
    }
}

#[test]
fn a_positive_infinity_marks_its_row_alone() {
    for at in [0, 16, 2999] {
        let mut bad = vec![0.0; 3000];
        bad[at] = f32::INFINITY;
        expect_bad(&bad, BadRowReason::PosInf);
    }
}

#[test]
fn a_row_of_nothing_but_neg_inf_is_marked_alone() {
    expect_bad(&[f32::NEG_INFINITY; 20], BadRowReason::AllNegInf);
    expect_bad(&[f32::NEG_INFINITY; 4100], BadRowReason::AllNegInf);
}

#[test]
fn nan_and_infinity_together_are_both_told() {
    expect_bad(&[f32::INFINITY, f32::NAN, 0.0], BadRowReason::NanAndPosInf);
}

#[test]
fn what_has_no_mass_has_no_concentration() {
    let sets = TokenSets::builder(3).set("masked", [1, 2]).unwrap().set("all", [0, 1, 2]).unwrap();
    let sets = sets.build().unwrap().to_device(&device()).unwrap();
    let inf = f32::NEG_INFINITY;
    let rows = [[0.0, inf, inf], [0.0, -1e6, -1e6], [f32::NAN, 0.0, 0.0], [inf; 3]];
    for dtype in DTYPES {
        let logits = Layout::Contiguous.tensor(&rows.map(Vec::from), 3, dtype).unwrap();
        let measured = sets.measure(&logits).unwrap();
        let concentrations = measured.concentrations.to_vec2::<f32>().unwrap();
        assert!(concentrations.iter().all(|row| row[0].is_nan()), "{concentrations:?}");
        assert_eq!([concentrations[0][1], concentrations[1][1]], [1.0; 2]);
        assert!(concentrations[2..].iter().all(|row| row[1].is_nan()), "{concentrations:?}");
        let masses = measured.masses.to_vec2::<f32>().unwrap();
        assert_eq!(masses[..2], [[0.0, 1.0]; 2]);
        assert!(masses[2..].iter().flatten().all(|mass| mass.is_nan()), "{masses:?}");
        let rows = measured.rows().unwrap();
        for row in &rows[..2] {
            let sets = row.as_ref().unwrap();
            assert_eq!((sets[0].mass, sets[0].concentration), (0.0, None));
            assert_eq!((sets[1].mass, sets[1].concentration), (1.0, Some(1.0)));
        }
        assert_eq!(rows[2..], [None, None]);
    }
}

/// Masses too small for f32, on either side of where they vanish: a mass above 0 has a
/// concentration from 0 to 1, a mass of 0 has none.
#[test]
fn a_mass_that_is_about_to_vanish_has_a_concentration_until_it_has() {
    let sets = TokenSets::builder(4).set("one", [1]).unwrap().set("two", [1, 2]).unwrap();
    let sets = sets.build().unwrap().to_device(&device()).unwrap();
    for step in 0..4000 {
        let low = -80.0 - step as f32 / 100.0;
        let logits = Tensor::new(&[0.0, low, low - 1.0, 0.0], &device()).unwrap();
        let measured = sets.measure(&logits).unwrap();
        let masses = measured.masses.to_vec1::<f32>().unwrap();
        let concentrations = measured.concentrations.to_vec1::<f32>().unwrap();
        for (mass, concentration) in masses.into_iter().zip(concentrations) {
            assert_eq!(mass == 0.0, concentration.is_nan(), "{low}: {mass} {concentration}");
            let is_share = (0.0..=1.0).contains(&concentration);
            assert!(is_share || mass == 0.0, "{low}: {concentration}");
        }
    }
}

// Draws.

/// Rows with one clear winner each: a concept of two, a token alone, and ones that f32 can hardly
/// tell from the next.
fn clear_rows() -> Vec<[f32; 4]> {
    let inf = f32::NEG_INFINITY;
    vec![
        [0.0, 0.5, 0.0, -1.0],
        [0.0, 0.8, 0.0, -1.0],
        [3e7, 3e7, 3e7, 3e7],
        [1e30, 1e30, 1e30, inf],
        [f32::MIN, f32::MIN, inf, inf],
        [f32::MAX, f32::MIN, inf, 0.0],
        [inf, -1e-10, inf, -2e-10],
    ]
}

#[test]
fn a_draw_at_any_temperature_is_of_a_token_that_may_be_drawn() {
    let map = pooling(4, &[&[0, 2]]);
    let map = on_device(&map);
    for row in clear_rows() {
        let logits = Tensor::new(&row, &device()).unwrap();
        for temperature in [5e-324, 1e-310, 1e-300, 1e-39, 1e-7, 1.0, 1e39, 1e46, 1e300, f64::MAX] {
            for seed in 0..20 {
                let mut noise = Noise::new(seed, &device()).unwrap();
                let drawn = map.sample(&logits, temperature, &mut noise).unwrap();
                let token = drawn.to_vec1::<u32>().unwrap()[0];
                assert!(token != NO_TOKEN, "{row:?} at {temperature}");
                assert!(row[token as usize] > f32::NEG_INFINITY, "{row:?} at {temperature}");
            }
        }
    }
}

#[test]
fn the_coldest_draw_is_the_decision() {
    let map = pooling(4, &[&[0, 2]]);
    let on_device = on_device(&map);
    for row in clear_rows() {
        let exact = row.map(f64::from);
        let want = reference::reduce(&map, &exact).unwrap();
        if want.runner_up.is_some_and(|second| second.mass == want.mass) {
            continue; // where no temperature decides
        }
        let logits = Tensor::new(&row, &device()).unwrap();
        for temperature in [5e-324, 1e-310, 1e-300, 1e-46, 1e-39, 1e-20] {
            for seed in 0..20 {
                let mut noise = Noise::new(seed, &device()).unwrap();
                let drawn = on_device.sample(&logits, temperature, &mut noise).unwrap();
                let token = drawn.to_vec1::<u32>().unwrap()[0];
                assert_eq!(token, want.representative, "{row:?} at {temperature}");
            }
        }
    }
}

#[test]
fn the_hottest_draw_is_uniform_over_concepts() {
    let map = on_device(&pooling(4, &[&[0, 2]]));
    let batch = 3000;
    for temperature in [1e30, 1e39, 1e300] {
        let logits = Tensor::new(&[5.0f32, -40.0, 5.0, 0.0], &device()).unwrap();
        let logits = logits.broadcast_as((batch, 4)).unwrap();
        let mut noise = Noise::new(3, &device()).unwrap();
        let drawn = map.sample(&logits, temperature, &mut noise).unwrap();
        let drawn = drawn.to_vec1::<u32>().unwrap();
        for token in [0, 1, 3] {
            let share = drawn.iter().filter(|&&t| t == token).count() as f64 / batch as f64;
            // Five standard deviations.
            assert!((share - 1.0 / 3.0).abs() < 0.044, "{token} at {temperature}: {share}");
        }
    }
}

#[test]
fn a_draw_that_fails_leaves_the_noise_as_it_was() {
    let map = on_device(&ConceptMap::singletons(1000).unwrap());
    let logits = Tensor::zeros(1000, DType::F32, &device()).unwrap();
    let draw =
        |noise: &mut Noise| map.sample(&logits, 1.0, noise).unwrap().to_vec1::<u32>().unwrap();
    let [mut noise, mut failing] = [(); 2].map(|()| Noise::new(7, &device()).unwrap());
    let first = draw(&mut noise);
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = map.sample(&logits, temperature, &mut failing).unwrap_err();
        assert!(matches!(error, ReduceError::Temperature { .. }), "{error}");
    }
    let unfit = Tensor::zeros(999, DType::F32, &device()).unwrap();
    map.sample(&unfit, 1.0, &mut failing).unwrap_err();
    assert_eq!(draw(&mut failing), first);
    assert_eq!(draw(&mut failing), draw(&mut noise));
}

#[test]
fn random_bits_never_panic() {
    let mut rng = rng(7);
    for partition in PARTITIONS {
        let map = on_device(&partition.map(3000, &mut rng));
        for _ in 0..50 {
            let logits: Vec<f32> = (0..3000).map(|_| f32::from_bits(rng.random())).collect();
            let logits = Tensor::new(logits, &device()).unwrap();
            for dtype in DTYPES {
                let logits = logits.to_dtype(dtype).unwrap();
                map.reduce(&logits).unwrap();
                map.masses(&logits).unwrap();
                map.pool(&logits).unwrap();
            }
        }
    }
}

// The oracle refuses what is unfit.

#[test]
fn the_oracle_does_not_panic() {
    let map = pooling(4, &[&[1, 3]]);
    let sets = TokenSets::builder(4).set("last", [3]).unwrap().build().unwrap();
    let errors = |logits: &[f64]| {
        [
            reference::reduce(&map, logits).unwrap_err(),
            reference::masses(&map, logits).unwrap_err(),
            reference::pool(&map, logits).unwrap_err(),
            reference::measure(&sets, logits).unwrap_err(),
        ]
    };
    for width in [0, 1, 3, 5, 1000] {
        for error in errors(&vec![0.0; width]) {
            let right =
                matches!(error, ReduceError::LogitsWidth { expected: 4, got } if got == width);
            assert!(right, "{error}");
        }
    }
    for (bad, reason) in [(f64::NAN, BadRowReason::Nan), (f64::INFINITY, BadRowReason::PosInf)] {
        for error in errors(&[0.0, bad, 0.0, 0.0]) {
            assert!(matches!(error, ReduceError::BadRow(bad) if bad.reason == reason), "{error}");
        }
    }
    for error in errors(&[f64::NEG_INFINITY; 4]) {
        assert_eq!(error.to_string(), "row 0 of the logits has no winner: it is all -inf");
    }
}

// Shapes and errors.

#[test]
fn rank_1_and_rank_2_agree() {
    let map = on_device(&pooling(4, &[&[1, 3]]));
    let one = Tensor::new(&[0f32, 1., 2., 3.], &device()).unwrap();
    let two = one.unsqueeze(0).unwrap();
    let row = |t: &Tensor| map.reduce(t).unwrap().rows().unwrap();
    assert_eq!(row(&one), row(&two));
    assert_eq!(map.masses(&one).unwrap().dims(), [3]);
    assert_eq!(map.masses(&two).unwrap().dims(), [1, 3]);
    assert_eq!(map.pool(&one).unwrap().dims(), [4]);
    assert_eq!(map.pool(&two).unwrap().dims(), [1, 4]);
    assert_eq!(map.reduce(&one).unwrap().tokens().unwrap().dims(), [1]);
}

#[test]
fn an_empty_batch_gives_empty_results() {
    let map = on_device(&pooling(4, &[&[1, 3]]));
    let logits = Tensor::zeros((0, 4), DType::F32, &device()).unwrap();
    let reduction = map.reduce(&logits).unwrap();
    assert!(reduction.is_empty() && reduction.rows().unwrap().is_empty());
    assert_eq!(reduction.tokens().unwrap().dims(), [0]);
    assert_eq!(map.masses(&logits).unwrap().dims(), [0, 3]);
    assert_eq!(map.pool(&logits).unwrap().dims(), [0, 4]);
}

#[test]
fn no_probes_give_empty_results() {
    let probes = TokenSets::builder(4).build().unwrap().to_device(&device()).unwrap();
    let logits = Tensor::zeros((2, 4), DType::F32, &device()).unwrap();
    assert_eq!(probes.measure(&logits).unwrap().masses.dims(), [2, 0]);
}

/// What every operation says of unfit logits.
fn errors(logits: &Tensor) -> [ReduceError; 4] {
    let map = on_device(&ConceptMap::singletons(4).unwrap());
    let probes = TokenSets::builder(4).set("p", [1]).unwrap().build().unwrap();
    [
        map.reduce(logits).unwrap_err(),
        map.masses(logits).unwrap_err(),
        map.pool(logits).unwrap_err(),
        probes.to_device(&device()).unwrap().measure(logits).unwrap_err(),
    ]
}

#[test]
fn ranks_0_and_3_are_refused() {
    for dims in [vec![], vec![1, 1, 4]] {
        let logits = Tensor::zeros(dims.as_slice(), DType::F32, &device()).unwrap();
        for error in errors(&logits) {
            let ReduceError::LogitsRank { shape } = error else { panic!("{error}") };
            assert_eq!(shape.dims(), dims);
        }
    }
}

#[test]
fn logits_for_another_vocabulary_are_refused() {
    for width in [0, 3, 5] {
        let logits = Tensor::zeros((2, width), DType::F32, &device()).unwrap();
        for error in errors(&logits) {
            assert!(
                matches!(error, ReduceError::LogitsWidth { expected: 4, got } if got == width),
                "{error}"
            );
        }
    }
}

#[test]
fn f64_and_integer_logits_are_refused() {
    for dtype in [DType::F64, DType::U32, DType::I64, DType::U8] {
        let logits = Tensor::zeros(4, dtype, &device()).unwrap();
        for error in errors(&logits) {
            assert!(matches!(error, ReduceError::LogitsDType { got } if got == dtype), "{error}");
        }
    }
}

#[test]
fn errors_become_candles() {
    let inner = || -> candle_core::Result<()> {
        let map = ConceptMap::singletons(4)?.to_device(&device())?;
        map.reduce(&Tensor::zeros(3, DType::F32, &device())?)?;
        Ok(())
    };
    let message = inner().unwrap_err().to_string();
    assert!(message.contains("logits have 3 columns"), "{message}");
    let error = ReduceError::LogitsDevice {
        expected: DeviceLocation::Cpu,
        got: DeviceLocation::Cuda { gpu_id: 1 },
    };
    let message = candle_core::Error::from(error).to_string();
    assert!(message.contains("call to_device"), "{message}");
}
