//! Rows that are not ordinary: masks, NaN, infinities.

use super::*;

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
        let reasons = [BadRowReason::Nan, BadRowReason::AllNegInf];
        for (row, reason) in rows[2..].iter().zip(reasons) {
            assert_eq!(row.as_ref().unwrap_err().reason, reason);
        }
    }
}

/// Masses too small for f32, on either side of where they vanish: a mass above 0 has the right
/// concentration, a mass of 0 has none.
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
        // By what f32 keeps of `low - 1.0`; the tolerance is that of all probabilities.
        let two = 1.0 / (1.0 + f64::from((low - 1.0) - low).exp());
        for ((mass, concentration), want) in masses.into_iter().zip(concentrations).zip([1.0, two])
        {
            let is_right = probability_is(concentration, want);
            assert!(is_right || mass == 0.0, "{low}: {concentration}, not {want}");
            assert_eq!(mass == 0.0, concentration.is_nan(), "{low}: {mass} {concentration}");
        }
    }
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
