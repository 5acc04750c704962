//! Every operation against the oracle, over generated rows.

mod common;

use std::ops::Range;

use candle_core::{DType, Tensor};
use common::*;
use concept_mass::reduce::{BadRow, Decision, NO_TOKEN, SetMass};
use concept_mass::{ConceptMap, Noise, Row, TokenSets, reference};
use proptest::prelude::*;
use rand::Rng;

/// A point of the test space; rows and map follow from it.
#[derive(Clone, Debug)]
struct Case {
    vocab_size: usize,
    batch: usize,
    dtype: DType,
    layout: Layout,
    profile: Profile,
    partition: Partition,
    seed: u64,
}

/// Reduces the rows of a case in every way, and compares with the oracle; the number of rows.
fn check(case: Case) -> Result<usize, TestCaseError> {
    let Case { vocab_size, batch, dtype, layout, profile, partition, seed } = case;
    let mut rng = rng(seed);
    let map = partition.map(vocab_size, &mut rng);
    let rows: Vec<_> = (0..batch).map(|_| profile.row(vocab_size, &mut rng)).collect();
    let logits = layout.tensor(&rows, vocab_size, dtype).unwrap();
    let on_device = map.to_device(&device()).unwrap();
    let sets = random_sets(vocab_size, &mut rng);

    let rows = on_device.reduce(&logits).unwrap().rows().unwrap();
    let decided = on_device.decide(&logits).unwrap();
    let masses = on_device.masses(&logits).unwrap().to_vec2::<f32>().unwrap();
    let pooled = on_device.pool(&logits).unwrap().to_vec2::<f32>().unwrap();
    let measured = sets.to_device(&device()).unwrap().measure(&logits).unwrap();
    let set_masses = measured.masses.to_vec2::<f32>().unwrap();
    let concentrations = measured.concentrations.to_vec2::<f32>().unwrap();
    let measured = measured.rows().unwrap();

    let exact = in_f64(&logits);
    prop_assert_eq!(rows.len(), exact.len());
    prop_assert_eq!(decided.tokens().unwrap().to_vec1::<u32>().unwrap(), tokens(&rows));
    for (i, decided) in decided.rows().unwrap().into_iter().enumerate() {
        let wrong = decision_differences(&map, &decided, &exact[i]);
        prop_assert!(wrong.is_empty(), "row {}: {}", i, wrong.join("\n"));
        prop_assert!(is_the_same(&decided, &rows[i]), "{:?} is not {:?}", decided, rows[i]);
    }
    for (i, logits) in exact.iter().enumerate() {
        let wrong = differences(&map, &rows[i], logits);
        prop_assert!(wrong.is_empty(), "row {}: {}", i, wrong.join("\n"));
        let Ok(want_masses) = reference::masses(&map, logits) else {
            let tensors = [&masses[i], &pooled[i], &set_masses[i], &concentrations[i]];
            prop_assert!(tensors.iter().all(|row| row.iter().all(|x| x.is_nan())), "row {}", i);
            prop_assert_eq!(measured[i].as_ref().err(), rows[i].as_ref().err());
            continue;
        };
        for (c, (&got, &want)) in masses[i].iter().zip(&want_masses).enumerate() {
            prop_assert!(probability_is(got, want), "mass of {} is {}, not {}", c, got, want);
        }
        let want_pooled = reference::pool(&map, logits).unwrap();
        for (t, (&got, want)) in pooled[i].iter().zip(want_pooled).enumerate() {
            let same = got == want as f32 || log_z_is(got, want);
            prop_assert!(same, "pooled logit of {} is {}, not {}", t, got, want);
        }
        for (s, want) in reference::measure(&sets, logits).unwrap().iter().enumerate() {
            let (mass, concentration) = (set_masses[i][s], concentrations[i][s]);
            prop_assert!(probability_is(mass, want.mass), "set {}: {} {:?}", s, mass, want);
            prop_assert_eq!(mass > 0.0, !concentration.is_nan(), "set {}: {:?}", s, want);
            let on_host: SetMass = measured[i].as_ref().unwrap()[s];
            let share = (mass > 0.0).then_some(concentration);
            prop_assert_eq!((on_host.mass, on_host.concentration), (mass, share));
            match want.concentration {
                None => prop_assert_eq!(mass, 0.0, "set {} has no mass", s),
                // f32 has few digits, or none, for what is smaller.
                Some(want) if mass > 0.0 => {
                    prop_assert!(probability_is(concentration, want), "set {}", s);
                }
                Some(_) => {}
            }
        }
    }
    Ok(exact.len())
}

fn tokens(rows: &[Result<Row, BadRow>]) -> Vec<u32> {
    rows.iter().map(|row| row.map_or(NO_TOKEN, |row| row.representative)).collect()
}

/// Whether a decision is that of a row: its ids, and its numbers up to the order of their sums.
fn is_the_same(decision: &Result<Decision, BadRow>, row: &Result<Row, BadRow>) -> bool {
    let (Ok(decision), Ok(row)) = (decision, row) else {
        return decision.as_ref().err() == row.as_ref().err();
    };
    let of_row = row.decision();
    let ids = |d: &Decision| (d.winner, d.representative, d.greedy);
    let numbers = |d: &Decision| [d.mass, d.representative_prob, d.greedy_prob, d.log_z];
    let pairs = numbers(decision).into_iter().zip(numbers(&of_row));
    let near = |(a, b): (f32, f32)| (a - b).abs() <= 1e-6 * b.abs().max(1.0);
    ids(decision) == ids(&of_row) && pairs.into_iter().all(near)
}

/// Three sets that overlap.
fn random_sets(vocab_size: usize, rng: &mut impl Rng) -> TokenSets {
    let mut token = || rng.random_range(0..vocab_size as u32);
    let shared = token();
    let many: Vec<u32> = (0..40).map(|_| token()).chain([shared]).collect();
    TokenSets::builder(vocab_size)
        .set("one", [shared])
        .and_then(|b| b.set("two", [shared, token()]))
        .and_then(|b| b.set("many", many))
        .and_then(|b| b.build())
        .unwrap()
}

fn any_of<T: Copy + std::fmt::Debug + 'static>(values: &'static [T]) -> impl Strategy<Value = T> {
    proptest::sample::select(values)
}

prop_compose! {
    fn case(vocab_size: Range<usize>, batch: Range<usize>)(
        vocab_size in vocab_size,
        batch in batch,
        dtype in any_of(&DTYPES),
        layout in any_of(&LAYOUTS),
        profile in any_of(&PROFILES),
        partition in any_of(&PARTITIONS),
        seed: u64,
    ) -> Case {
        Case { vocab_size, batch, dtype, layout, profile, partition, seed }
    }
}

/// An emulated CUDA device is a thousand times slower than any real one.
const CASES: u32 = if cfg!(feature = "cuda") { 300 } else { 1500 };
const ROWS: usize = if cfg!(feature = "cuda") { 10_000 } else { 100_000 };

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..Default::default() })]

    #[test]
    fn small_vocabularies(case in case(1..200, 0..20)) {
        check(case)?;
    }

    #[test]
    fn vocabularies_of_several_blocks(case in case(1000..9000, 1..3)) {
        check(case)?;
    }
}

#[test]
fn every_profile_partition_and_dtype_at_awkward_sizes() {
    for (i, vocab_size) in AWKWARD_SIZES.into_iter().chain([262_144]).enumerate() {
        for (j, profile) in PROFILES.into_iter().enumerate() {
            for (k, partition) in PARTITIONS.into_iter().enumerate() {
                if cfg!(feature = "cuda") && vocab_size > 10_000 && (i + j + k) % 3 != 0 {
                    continue;
                }
                // At the largest sizes every pair is met with one dtype and layout, in turn.
                let dtypes =
                    if vocab_size < 10_000 { &DTYPES[..] } else { &DTYPES[(i + j + k) % 3..][..1] };
                for &dtype in dtypes {
                    let layout = LAYOUTS[(i + j + k) % 4];
                    let seed = (i * 100 + j * 10 + k) as u64;
                    let batch = 1;
                    check(Case { vocab_size, batch, dtype, layout, profile, partition, seed })
                        .unwrap();
                }
            }
        }
    }
}

#[test]
fn many_rows() {
    let mut rows = 0;
    let mut seed = 0;
    while rows < ROWS {
        let mut rng = rng(seed);
        let mut pick = |n: usize| rng.random_range(0..n);
        rows += check(Case {
            vocab_size: 1 + pick(300),
            batch: 64 + pick(64),
            dtype: DTYPES[pick(3)],
            layout: LAYOUTS[pick(4)],
            profile: PROFILES[pick(8)],
            partition: PARTITIONS[pick(7)],
            seed,
        })
        .unwrap();
        seed += 1;
    }
}

// Logits of any offset: f32 has no digits to spare beside them.

const OFFSETS: [f32; 9] = [0.0, 3e7, -3e7, 1e30, -1e30, 3e38, -3e38, f32::MAX, f32::MIN];

/// Three of four tokens are one concept.
fn three_of_four() -> ConceptMap {
    ConceptMap::builder(4).concept("three", [0, 1, 3]).unwrap().build().unwrap()
}

/// Rows around an offset: all equal; with a mask; a little apart, or as little as f32 can be; and
/// with everything that f32 holds between them.
fn rows_at(offset: f32) -> Vec<[f32; 4]> {
    let below = offset - 1.0;
    let next = offset.next_down().max(f32::MIN);
    vec![
        [offset; 4],
        [offset, f32::NEG_INFINITY, offset, offset],
        [below, offset, offset, below],
        [next, next, offset, next],
        [f32::MIN, offset, f32::MIN, f32::MIN],
        [f32::MIN, f32::MIN, offset, f32::NEG_INFINITY],
    ]
}

#[test]
fn pooling_keeps_masses_at_any_offset() {
    let map = three_of_four();
    let on_device = map.to_device(&device()).unwrap();
    for row in OFFSETS.into_iter().flat_map(rows_at) {
        let logits = Tensor::new(&[row], &device()).unwrap();
        let exact = row.map(f64::from);
        let pooled = on_device.pool(&logits).unwrap().to_vec2::<f32>().unwrap().remove(0);
        let want = reference::pool(&map, &exact).unwrap();
        for (token, (&got, want)) in pooled.iter().zip(want).enumerate() {
            let same = got == want as f32 || log_z_is(got, want);
            assert!(same, "{row:?}: pooled logit of {token} is {got}, not {want}");
        }
        // What a sampler makes of it.
        let masses = reference::masses(&map, &exact).unwrap();
        let sum: f64 = pooled.iter().map(|&logit| f64::from(logit).exp()).sum();
        for (token, &logit) in (0..).zip(&pooled).filter(|(_, l)| **l > f32::NEG_INFINITY) {
            let mass = masses[map.concept_of(token).unwrap() as usize];
            let got = (f64::from(logit).exp() / sum) as f32;
            assert!(probability_is(got, mass), "{row:?}: {token} has {got}, not {mass}");
        }
    }
    let four = Tensor::new(&[3e7f32; 4], &device()).unwrap();
    let pooled = on_device.pool(&four).unwrap().to_vec1::<f32>().unwrap();
    assert!((pooled[0] - 3f32.ln()).abs() < 1e-6 && pooled[2] == 0.0, "{pooled:?}");
}

#[test]
fn every_operation_is_right_at_any_offset() {
    let map = three_of_four();
    let on_device = map.to_device(&device()).unwrap();
    let sets = TokenSets::builder(4).set("some", [1, 2]).unwrap();
    let sets = sets.set("one", [0]).unwrap().build().unwrap();
    let sets_there = sets.to_device(&device()).unwrap();
    for row in OFFSETS.into_iter().flat_map(rows_at) {
        let logits = Tensor::new(&[row], &device()).unwrap();
        let exact = row.map(f64::from);
        let want_masses = reference::masses(&map, &exact).unwrap();
        let found = on_device.reduce(&logits).unwrap().rows().unwrap()[0];
        let wrong = differences(&map, &found, &exact);
        assert!(wrong.is_empty(), "{row:?}: {}", wrong.join("\n"));

        let masses = on_device.masses(&logits).unwrap().to_vec2::<f32>().unwrap().remove(0);
        for (&got, &want) in masses.iter().zip(&want_masses) {
            assert!(probability_is(got, want), "{row:?}: mass {got}, not {want}");
        }
        let measured = sets_there.measure(&logits).unwrap();
        let masses = measured.masses.to_vec2::<f32>().unwrap().remove(0);
        let concentrations = measured.concentrations.to_vec2::<f32>().unwrap().remove(0);
        for i in 0..sets.len() {
            let want = &reference::measure(&sets, &exact).unwrap()[i];
            assert!(probability_is(masses[i], want.mass), "{row:?}: set {i}: {}", masses[i]);
            let same = match want.concentration {
                None => concentrations[i].is_nan(),
                Some(want) => probability_is(concentrations[i], want),
            };
            assert!(same, "{row:?}: set {i}: {}, not {want:?}", concentrations[i]);
        }
    }
}

#[test]
fn draws_do_not_depend_on_the_offset() {
    let map = three_of_four().to_device(&device()).unwrap();
    let drawn = |offset: f32, temperature: f64| {
        let mut noise = Noise::new(3, &device()).unwrap();
        let row = Tensor::new(&[offset; 4], &device()).unwrap();
        let logits = row.broadcast_as((1000, 4)).unwrap();
        map.sample(&logits, temperature, &mut noise).unwrap().to_vec1::<u32>().unwrap()
    };
    let want = drawn(0.0, 1.0);
    let share = want.iter().filter(|&&token| token == 0).count();
    assert!((700..800).contains(&share), "{share}");
    for offset in OFFSETS {
        assert_eq!(drawn(offset, 1.0), want, "{offset}");
        // So cold that the inverse is beyond f32.
        assert_eq!(drawn(offset, 1e-300), vec![0; 1000], "{offset}");
    }
}

/// With sets and without, for logits of either rank.
#[test]
fn measured_rows_say_why_they_are_bad() {
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    let rows = [[0.0, 1.0, 2.0], [nan, 0.0, 0.0], [inf, 0.0, 0.0], [nan, inf, 0.0], [-inf; 3]];
    let none = TokenSets::builder(3).build().unwrap();
    let some = TokenSets::builder(3).set("a", [1]).unwrap().set("b", [0, 1]).unwrap();
    let map = ConceptMap::singletons(3).unwrap().to_device(&device()).unwrap();
    for sets in [none, some.build().unwrap()] {
        let there = sets.to_device(&device()).unwrap();
        let batch = Tensor::new(&rows, &device()).unwrap();
        let alone = rows.map(|row| Tensor::new(&row, &device()).unwrap());
        for logits in alone.iter().chain([&batch, &batch.narrow(0, 0, 0).unwrap()]) {
            let measured = there.measure(logits).unwrap().rows().unwrap();
            let decided = map.decide(logits).unwrap().rows().unwrap();
            assert_eq!(measured.len(), decided.len());
            for (measured, decided) in measured.iter().zip(&decided) {
                assert_eq!(measured.as_ref().err(), decided.as_ref().err());
                assert!(measured.as_ref().map_or(true, |row| row.len() == sets.len()));
            }
        }
    }
}
