//! Samples with noise.

use super::*;

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

/// Many pairs of one mass, among others that are seldom drawn or never, and the pairs of each have other
/// neighbours: a draw so cold that it sees the last bit of a mass sees none.
#[test]
fn equal_masses_are_equal_wherever_they_are() {
    let pairs: Vec<[u32; 2]> = (0..200).map(|pair| [2 * pair, 2 * pair + 1]).collect();
    let map = pooling(500, &pairs.iter().map(|pair| &pair[..]).collect::<Vec<_>>());
    let map = on_device(&map);
    let mut row = [-20f32; 500];
    row[400] = 0.25; // alone, with a mass of 1.28
    for (i, pair) in pairs.iter().enumerate() {
        let [a, b] = pair.map(|token| token as usize);
        (row[a], row[b]) = match i {
            _ if i % 40 == 7 => (0.0, 0.0), // five of the largest mass
            _ if i % 3 == 0 => (0.01 * (i / 40 + 1) as f32, -30.0),
            _ => (-5.0, -5.0),
        };
    }
    let logits = Tensor::new(&row, &device()).unwrap().broadcast_as((1000, 500)).unwrap();
    for temperature in [5e-324, 1e-300, 1e-9, 1e-7, 1e-3] {
        let mut noise = Noise::new(8, &device()).unwrap();
        let drawn = map.sample(&logits, temperature, &mut noise).unwrap().to_vec1::<u32>().unwrap();
        for pair in (7..200).step_by(40) {
            let count = drawn.iter().filter(|&&token| token == 2 * pair).count();
            // Five standard deviations.
            assert!((137..=263).contains(&count), "{count} of 1000 for {pair} at {temperature}");
        }
    }
}

#[test]
fn the_uniform_number_decides_between_equal_masses_however_cold_it_is() {
    let map = on_device(&pooling(4, &[&[0, 1], &[2, 3]]));
    let logits = Tensor::zeros((1000, 4), DType::F32, &device()).unwrap();
    for temperature in [5e-324, 1e-300, 1e-30, 1e-9, 1e-6, 1.0] {
        let mut noise = Noise::new(5, &device()).unwrap();
        let drawn = map.sample(&logits, temperature, &mut noise).unwrap().to_vec1::<u32>().unwrap();
        assert!(drawn.iter().all(|token| [0, 2].contains(token)));
        let first = drawn.iter().filter(|&&token| token == 0).count();
        // Five standard deviations.
        assert!((421..=579).contains(&first), "{first} of 1000 at {temperature}");
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
fn a_row_without_a_winner_draws_nothing_and_its_neighbours_go_on() {
    let map = on_device(&ConceptMap::singletons(1000).unwrap());
    let ordinary = vec![0f32; 1000];
    let bad = vec![f32::NAN; 1000];
    let draw = |noise: &mut Noise, rows: [&Vec<f32>; 3]| {
        let logits =
            Tensor::from_vec(rows.map(|row| row.clone()).concat(), (3, 1000), &device()).unwrap();
        map.sample(&logits, 1.0, noise).unwrap().to_vec1::<u32>().unwrap()
    };
    let [mut noise, mut failing] = [(); 2].map(|()| Noise::new(7, &device()).unwrap());
    let steps: Vec<_> = (0..3).map(|_| draw(&mut noise, [&ordinary; 3])).collect();

    let mixed = draw(&mut failing, [&ordinary, &bad, &ordinary]);
    assert_eq!(mixed, [steps[0][0], NO_TOKEN, steps[0][2]]);
    let next = draw(&mut failing, [&ordinary, &ordinary, &bad]);
    assert_eq!(next, [steps[1][0], steps[0][1], NO_TOKEN]);
    assert_eq!(draw(&mut failing, [&ordinary; 3]), [steps[2][0], steps[1][1], steps[1][2]]);
}

#[test]
fn a_batch_may_grow_and_shrink_between_draws() {
    let map = on_device(&ConceptMap::singletons(1000).unwrap());
    let draw = |noise: &mut Noise, rows: usize| {
        let logits = Tensor::zeros((rows, 1000), DType::F32, &device()).unwrap();
        map.sample(&logits, 1.0, noise).unwrap().to_vec1::<u32>().unwrap()
    };
    let [mut noise, mut steady] = [(); 2].map(|()| Noise::new(7, &device()).unwrap());
    let (first, second) = (draw(&mut steady, 300), draw(&mut steady, 300));
    assert_eq!(draw(&mut noise, 2), first[..2]);
    let grown = draw(&mut noise, 300);
    assert_eq!(grown, [&second[..2], &first[2..]].concat());
    assert_eq!(draw(&mut noise, 299)[2..], second[2..299]);
}
