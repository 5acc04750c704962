//! Shapes, and what is refused.

use concept_mass::sample::{RowSampler, SampleError, SamplingParams, sample_batch};

use super::*;

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
fn no_sets_give_empty_results() {
    let sets = TokenSets::builder(4).build().unwrap().to_device(&device()).unwrap();
    let logits = Tensor::zeros((2, 4), DType::F32, &device()).unwrap();
    assert_eq!(sets.measure(&logits).unwrap().masses.dims(), [2, 0]);
}

/// What every operation says of unfit logits.
fn errors(logits: &Tensor) -> [ReduceError; 4] {
    let map = on_device(&ConceptMap::singletons(4).unwrap());
    let sets = TokenSets::builder(4).set("p", [1]).unwrap().build().unwrap();
    [
        map.reduce(logits).unwrap_err(),
        map.masses(logits).unwrap_err(),
        map.pool(logits).unwrap_err(),
        sets.to_device(&device()).unwrap().measure(logits).unwrap_err(),
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

#[test]
fn what_does_not_fit_into_memory_is_an_error() {
    // Views of a row, which take no memory themselves.
    let row = Tensor::zeros((1, 4096), DType::F32, &device()).unwrap();
    let map = on_device(&ConceptMap::singletons(4096).unwrap());
    let sets = TokenSets::builder(4096).set("all", 0..4096).unwrap().build().unwrap();
    let sets = sets.to_device(&device()).unwrap();
    let terabyte = row.broadcast_as((1 << 26, 4096)).unwrap();
    let error = map.pool(&terabyte).unwrap_err();
    let is_typed = match error {
        ReduceError::TooLarge { rows, width } => (rows, width) == (1 << 26, 4096),
        ReduceError::DeviceFailed { action, .. } => action == "allocate memory",
        _ => false,
    };
    assert!(is_typed, "{error}");
    let billions = row.broadcast_as((u32::MAX as usize, 4096)).unwrap();
    let mut noise = Noise::new(1, &device()).unwrap();
    let error = map.sample(&billions, 1.0, &mut noise).unwrap_err();
    let is_typed = match error {
        ReduceError::TooLarge { rows, .. } => rows == u32::MAX as usize,
        ReduceError::DeviceFailed { action, .. } => action == "allocate memory",
        _ => false,
    };
    assert!(is_typed, "{error}");
    for rows in [1 << 32, 1 << 40, 1 << 62] {
        let view = row.broadcast_as((rows, 4096)).unwrap();
        let mut noise = Noise::new(1, &device()).unwrap();
        let errors = [
            map.reduce(&view).unwrap_err(),
            map.decide(&view).unwrap_err(),
            map.masses(&view).unwrap_err(),
            map.pool(&view).unwrap_err(),
            map.sample(&view, 1.0, &mut noise).unwrap_err(),
            sets.measure(&view).unwrap_err(),
        ];
        for error in errors {
            let names = matches!(error, ReduceError::TooLarge { rows: got, .. } if got == rows);
            assert!(names, "{error}");
        }
        // Of which nobody has as many samplers.
        let doubles = Tensor::zeros((1, 4096), DType::F64, &device()).unwrap();
        for view in [view, doubles.broadcast_as((rows, 4096)).unwrap()] {
            let mut samplers = [RowSampler::by_token(SamplingParams::greedy(), 4096).unwrap()];
            let error = sample_batch(&view, &mut samplers).unwrap_err();
            let names = matches!(error, SampleError::Rows { rows: n, samplers: 1 } if n == rows);
            assert!(names, "{error}");
        }
    }
    let decisions = map.decide(&row).unwrap().rows().unwrap();
    assert_eq!(decisions[0].unwrap().greedy, 0, "all is well after it");
}
