//! Maps that come and go, of which each row of a batch has its own: to the bit what a map alone gives.

mod common;

use candle_core::{DType, Device, Tensor};
use common::*;
use concept_mass::map::MapError;
use concept_mass::reduce::{BadRow, BadRowReason, NO_MAP, NO_TOKEN, ReduceError};
use concept_mass::{ConceptMap, Decision, DeviceMap, MapId, MapSet, Noise};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use rand::{Rng, rngs::StdRng};

/// A vocabulary that has several blocks, and no round number of them.
const V: usize = 4001;

/// A set of maps of every kind, some of which were removed and replaced; with what each is alone, and
/// with a map that pools nothing at the end.
struct Maps {
    set: MapSet,
    ids: Vec<Option<MapId>>,
    alone: Vec<DeviceMap>,
}

impl Maps {
    fn new(vocab_size: usize, rng: &mut StdRng) -> Self {
        let mut set = MapSet::new(vocab_size, 20, &device()).unwrap();
        let mut maps: Vec<ConceptMap> =
            PARTITIONS.iter().map(|partition| partition.map(vocab_size, rng)).collect();
        let mut ids: Vec<MapId> = maps.iter().map(|map| set.insert(map).unwrap()).collect();
        for i in [1, 4] {
            set.remove(ids[i]).unwrap();
            maps[i] = PARTITIONS[rng.random_range(1..PARTITIONS.len())].map(vocab_size, rng);
        }
        // In the lowest place first.
        for i in [1, 4] {
            ids[i] = set.insert(&maps[i]).unwrap();
        }
        maps.push(ConceptMap::singletons(vocab_size).unwrap());
        let ids = ids.into_iter().map(Some).chain([None]).collect();
        let alone = maps.iter().map(|map| map.to_device(&device()).unwrap()).collect();
        Self { set, ids, alone }
    }

    fn map_of_row(&self, maps: &[usize]) -> Tensor {
        let ids: Vec<_> = maps.iter().map(|&map| self.ids[map]).collect();
        self.set.rows(&ids).unwrap()
    }
}

fn decision_bits(decision: &Result<Decision, BadRow>) -> Vec<u32> {
    match decision {
        Ok(found) => {
            let numbers = [found.mass, found.representative_prob, found.greedy_prob, found.log_z];
            let ids = [found.winner, found.representative, found.greedy];
            [&ids[..], &numbers.map(f32::to_bits)].concat()
        }
        Err(bad) => vec![bad.reason as u32],
    }
}

fn to_bits(numbers: &Tensor) -> Vec<u32> {
    let numbers = numbers.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// Checks every operation of a batch against that of each row's map.
fn check(maps: &Maps, of_rows: &[usize], logits: &Tensor, rng: &mut StdRng) {
    let Maps { set, alone, .. } = maps;
    let map_of_row = maps.map_of_row(of_rows);
    let decisions = set.decide(logits, &map_of_row).unwrap();
    let (rows, tokens) = (decisions.rows().unwrap(), decisions.tokens().unwrap());
    let tokens = tokens.to_vec1::<u32>().unwrap();
    let reductions = set.reduce(logits, &map_of_row).unwrap().rows().unwrap();
    // The last concept, some others, and one that is not there.
    let concepts: Vec<u32> = of_rows
        .iter()
        .flat_map(|&map| {
            let len = alone[map].map().num_concepts() as u32;
            [len - 1, rng.random_range(0..len), 0, len, u32::MAX]
        })
        .collect();
    let concepts = Tensor::from_vec(concepts, (of_rows.len(), 5), &device()).unwrap();
    let masses = set.masses(logits, &map_of_row, &concepts).unwrap().to_vec2::<f32>().unwrap();
    let concepts = concepts.to_vec2::<u32>().unwrap();
    for (i, &map) in of_rows.iter().enumerate() {
        // Decisions, rows and masses of a set are made on the host.
        let row = logits.narrow(0, i, 1).unwrap().to_device(&Device::Cpu).unwrap();
        let alone = alone[map].map().to_device(&Device::Cpu).unwrap();
        let want = alone.decide(&row).unwrap().rows().unwrap().remove(0);
        assert_eq!(decision_bits(&rows[i]), decision_bits(&want), "row {i}");
        assert_eq!(tokens[i], want.map_or(NO_TOKEN, |want| want.representative));
        assert!(rows[i].map_or_else(|bad| bad.row == i, |_| true));
        let want = alone.reduce(&row).unwrap().rows().unwrap().remove(0);
        assert_eq!(bits(&reductions[i]), bits(&want), "row {i}");
        let all = alone.masses(&row).unwrap().to_vec2::<f32>().unwrap().remove(0);
        for (mass, &concept) in masses[i].iter().zip(&concepts[i]) {
            let want = all.get(concept as usize).copied().unwrap_or(f32::NAN);
            let is_nan = mass.is_nan() && want.is_nan();
            assert!(mass.to_bits() == want.to_bits() || is_nan, "row {i}: {mass}, not {want}");
        }
    }
    // Random numbers are those of places, so that the whole batch has to be drawn.
    for temperature in [0.7, 1.0] {
        let mut noises = vec![Noise::new(5, &device()).unwrap()];
        noises.extend(alone.iter().map(|_| Noise::new(5, &device()).unwrap()));
        for _ in 0..2 {
            let drawn = set.sample(logits, &map_of_row, temperature, &mut noises[0]).unwrap();
            let drawn = drawn.to_vec1::<u32>().unwrap();
            for (map, noise) in alone.iter().zip(&mut noises[1..]) {
                let want =
                    map.sample(logits, temperature, noise).unwrap().to_vec1::<u32>().unwrap();
                for (i, (drawn, want)) in drawn.iter().zip(want).enumerate() {
                    let is_its = alone[of_rows[i]].map() == map.map();
                    assert!(!is_its || *drawn == want, "row {i}");
                }
            }
        }
    }
}

#[test]
fn every_row_is_that_of_its_own_map() {
    let config = Config {
        cases: if cfg!(feature = "cuda") { 12 } else { 150 },
        failure_persistence: None,
        ..Config::default()
    };
    let sizes = if cfg!(feature = "cuda") { vec![1, 17, 1025] } else { vec![1, 2, 17, 111, V] };
    let cases = (
        select(sizes),
        select(&DTYPES[..]),
        select(&LAYOUTS[..]),
        proptest::collection::vec((select(&PROFILES[..]), 0..=PARTITIONS.len()), 0..9),
        any::<u64>(),
    );
    let runner = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let run = TestRunner::new_with_rng(config, runner).run(&cases, |case| {
        let (vocab_size, dtype, layout, rows, seed) = case;
        let mut rng = rng(seed);
        let maps = Maps::new(vocab_size, &mut rng);
        let of_rows: Vec<usize> = rows.iter().map(|&(_, map)| map).collect();
        let mut logits: Vec<_> =
            rows.iter().map(|(profile, _)| profile.row(vocab_size, &mut rng)).collect();
        if let Some(last) = logits.last_mut().filter(|_| seed % 3 == 0) {
            last[vocab_size / 2] = [f32::NAN, f32::INFINITY][(seed / 3 % 2) as usize];
        }
        let logits = layout.tensor(&logits, vocab_size, dtype).unwrap();
        check(&maps, &of_rows, &logits, &mut rng);
        Ok(())
    });
    run.unwrap_or_else(|wrong| panic!("{wrong}"));
}

#[test]
fn other_rows_do_not_notice_a_map_that_comes_or_goes() {
    let mut rng = rng(3);
    let mut maps = Maps::new(V, &mut rng);
    let of_rows = [0, 2, 3, 5, 6, 7];
    let map_of_row = maps.map_of_row(&of_rows);
    let rows: Vec<_> = of_rows.iter().map(|_| Profile::Peaked.row(V, &mut rng)).collect();
    let logits = Layout::Contiguous.tensor(&rows, V, DType::F32).unwrap();
    let found =
        |set: &MapSet| all_bits_of(&set.reduce(&logits, &map_of_row).unwrap().rows().unwrap());
    let want = found(&maps.set);
    let [removed, replaced] = [1, 4].map(|i| maps.ids[i].unwrap());
    maps.set.remove(removed).unwrap();
    assert_eq!(found(&maps.set), want);
    maps.set.remove(replaced).unwrap();
    maps.set.insert(&Partition::Dense.map(V, &mut rng)).unwrap();
    assert_eq!(found(&maps.set), want);
    for _ in maps.set.len()..maps.set.capacity() {
        maps.set.insert(&Partition::Sparse.map(V, &mut rng)).unwrap();
    }
    assert_eq!(found(&maps.set), want);
}

#[test]
fn a_place_without_a_map_is_a_bad_row_of_its_own() {
    let mut set = MapSet::new(3, 4, &device()).unwrap();
    let [gone, ends] = [[0, 1], [0, 2]].map(|tokens| {
        set.insert(&ConceptMap::builder(3).unnamed(tokens).unwrap().build().unwrap()).unwrap()
    });
    set.remove(gone).unwrap();
    let places = [ends.place(), gone.place(), 2, 3, 4, NO_MAP - 1, NO_MAP];
    let map_of_row = Tensor::new(&places[..], &device()).unwrap();
    // What the logits hold does not matter then.
    let mut rows = vec![vec![0f32, 0.5, 0.0]; places.len()];
    rows[2][0] = f32::NAN;
    let logits = Tensor::new(rows, &device()).unwrap();
    let tokens = [0, NO_TOKEN, NO_TOKEN, NO_TOKEN, NO_TOKEN, NO_TOKEN, 1];
    let decisions = set.decide(&logits, &map_of_row).unwrap();
    assert_eq!(decisions.tokens().unwrap().to_vec1::<u32>().unwrap(), tokens);
    let reduction = set.reduce(&logits, &map_of_row).unwrap();
    assert_eq!(reduction.tokens().unwrap().to_vec1::<u32>().unwrap(), tokens);
    for (i, row) in decisions.rows().unwrap().into_iter().enumerate() {
        assert_eq!(row.is_ok(), tokens[i] != NO_TOKEN);
        assert!(row.map_or_else(|bad| (bad.row, bad.reason) == (i, BadRowReason::NoMap), |_| true));
    }
    let bad = reduction.rows().unwrap()[1].unwrap_err();
    assert_eq!(
        bad.to_string(),
        "row 1 of the logits has no winner: it names a place of the set that holds no map"
    );
    let mut noise = Noise::new(1, &device()).unwrap();
    let drawn = set.sample(&logits, &map_of_row, 1.0, &mut noise).unwrap();
    let drawn = drawn.to_vec1::<u32>().unwrap();
    let is_none = |tokens: &[u32]| tokens.iter().map(|&t| t == NO_TOKEN).collect::<Vec<_>>();
    assert_eq!(is_none(&drawn), is_none(&tokens));
    let concepts = Tensor::zeros((places.len(), 2), DType::U32, &device()).unwrap();
    let masses = set.masses(&logits, &map_of_row, &concepts).unwrap().to_vec2::<f32>().unwrap();
    for (masses, token) in masses.iter().zip(tokens) {
        assert!(masses.iter().all(|mass| mass.is_nan() == (token == NO_TOKEN)));
    }
}

#[test]
fn an_id_is_of_one_map_for_good() {
    let map = ConceptMap::singletons(5).unwrap();
    let mut set = MapSet::new(5, 2, &device()).unwrap();
    let (first, second) = (set.insert(&map).unwrap(), set.insert(&map).unwrap());
    assert_eq!((first.place(), second.place(), set.len()), (0, 1, 2));
    let error = set.insert(&map).unwrap_err();
    assert!(matches!(error, ReduceError::MapSetFull { capacity: 2 }), "{error}");
    set.remove(first).unwrap();
    let gone = |error: ReduceError| matches!(error, ReduceError::NoSuchMap { place: 0 });
    assert!(gone(set.remove(first).unwrap_err()) && set.get(first).is_none());
    let third = set.insert(&map).unwrap();
    assert_eq!(third.place(), 0);
    assert_ne!(third, first);
    assert!(gone(set.remove(first).unwrap_err()) && gone(set.rows(&[Some(first)]).unwrap_err()));
    assert_eq!(set.get(third), Some(&map));
    assert_eq!(
        set.rows(&[Some(third), None, Some(second)]).unwrap().to_vec1::<u32>().unwrap(),
        [0, NO_MAP, 1]
    );
    // Of another set, with a map in that place.
    let mut other = MapSet::new(5, 2, &device()).unwrap();
    other.insert(&map).unwrap();
    assert!(
        gone(other.remove(first).unwrap_err()) && gone(other.rows(&[Some(third)]).unwrap_err())
    );
}

#[test]
fn what_fits_no_set_is_refused() {
    for vocab_size in [0, usize::MAX] {
        let error = MapSet::new(vocab_size, 2, &device()).unwrap_err();
        assert!(matches!(error, ReduceError::Map(MapError::VocabularySize { .. })), "{error}");
    }
    for capacity in [MapSet::MAX_CAPACITY + 1, usize::MAX] {
        let error = MapSet::new(5, capacity, &device()).unwrap_err();
        assert!(
            matches!(error, ReduceError::MapSetCapacity { capacity: got, .. } if got == capacity)
        );
    }
    let mut none = MapSet::new(5, 0, &device()).unwrap();
    let error = none.insert(&ConceptMap::singletons(5).unwrap()).unwrap_err();
    assert!(matches!(error, ReduceError::MapSetFull { capacity: 0 }), "{error}");
    let mut set = MapSet::new(5, MapSet::MAX_CAPACITY, &device()).unwrap();
    let error = set.insert(&ConceptMap::singletons(6).unwrap()).unwrap_err();
    assert!(matches!(error, ReduceError::MapSetVocabulary { expected: 5, got: 6 }), "{error}");
    assert!(set.is_empty());
}

#[test]
fn tensors_that_do_not_fit_the_rows_are_refused() {
    let set = MapSet::new(5, 2, &device()).unwrap();
    let logits = Tensor::zeros((3, 5), DType::F32, &device()).unwrap();
    let numbers = |dims: &[usize]| Tensor::zeros(dims, DType::U32, &device()).unwrap();
    for dims in [&[][..], &[2], &[4], &[3, 1]] {
        let error = set.decide(&logits, &numbers(dims)).unwrap_err();
        let names = matches!(&error, ReduceError::RowsShape { tensor: "map_of_row", expected, got }
            if expected == "[3]" && got.dims() == dims);
        assert!(names, "{error}");
    }
    let rows = set.rows(&[None; 3]).unwrap();
    for dims in [&[][..], &[3], &[2, 3], &[3, 1, 1]] {
        let error = set.masses(&logits, &rows, &numbers(dims)).unwrap_err();
        let names = matches!(&error, ReduceError::RowsShape { tensor: "concepts", expected, .. }
            if expected == "[3, *]");
        assert!(names, "{error}");
    }
    assert_eq!(set.masses(&logits, &rows, &numbers(&[3, 0])).unwrap().dims(), [3, 0]);
    let floats = rows.to_dtype(DType::F32).unwrap();
    let error = set.reduce(&logits, &floats).unwrap_err();
    assert!(matches!(error, ReduceError::RowsDType { got: DType::F32, .. }), "{error}");
    if device().is_cuda() {
        let elsewhere = rows.to_device(&Device::Cpu).unwrap();
        let error = set.reduce(&logits, &elsewhere).unwrap_err();
        assert!(matches!(error, ReduceError::RowsDevice { tensor: "map_of_row", .. }), "{error}");
    }
    let wide = Tensor::zeros((3, 6), DType::F32, &device()).unwrap();
    let error = set.decide(&wide, &rows).unwrap_err();
    assert!(matches!(error, ReduceError::LogitsWidth { expected: 5, got: 6 }), "{error}");
    let mut noise = Noise::new(1, &device()).unwrap();
    for temperature in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        let error = set.sample(&logits, &rows, temperature, &mut noise).unwrap_err();
        assert!(matches!(error, ReduceError::Temperature { .. }), "{error}");
    }
    // A batch of one without a batch dimension, and one of none.
    let one = logits.get(0).unwrap();
    assert_eq!(set.decide(&one, &set.rows(&[None]).unwrap()).unwrap().len(), 1);
    let none = logits.narrow(0, 0, 0).unwrap();
    assert!(set.decide(&none, &set.rows(&[]).unwrap()).unwrap().is_empty());
}

/// A tensor of places may be strided, or one number for all rows.
#[test]
fn places_may_lie_anywhere() {
    let mut rng = rng(4);
    let maps = Maps::new(111, &mut rng);
    let rows: Vec<_> = (0..4).map(|_| Profile::Peaked.row(111, &mut rng)).collect();
    let logits = Layout::Contiguous.tensor(&rows, 111, DType::F32).unwrap();
    let masses = |map_of_row: &Tensor, concepts: &Tensor| {
        to_bits(&maps.set.masses(&logits, map_of_row, concepts).unwrap())
    };
    let concepts =
        Tensor::new(&[[0u32, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10, 11]], &device()).unwrap();
    let want = masses(&maps.map_of_row(&[2, 2, 2, 2]), &concepts);
    let one = maps.map_of_row(&[2]).broadcast_as(4).unwrap();
    assert_eq!(masses(&one, &concepts), want);
    let turned = concepts.t().unwrap().contiguous().unwrap().t().unwrap();
    let every_other = maps.map_of_row(&[2, 0, 2, 1, 2, 3, 2, 4]).reshape((4, 2)).unwrap();
    let every_other = every_other.narrow(1, 0, 1).unwrap().squeeze(1).unwrap();
    assert_eq!(masses(&every_other, &turned), want);
}
