//! What is refused, and that it changes nothing.

use candle_core::{DType, Tensor};
use concept_mass::ConceptMap;
use concept_mass::map::MapError;
use concept_mass::reduce::ReduceError;
use concept_mass::sample::{
    Penalties, RowSampler, RowState, SampleError, SamplingParams, TokenMask, sample_batch,
    sample_batch_masked,
};

use crate::common::chain::Request;
use crate::common::device;

const V: usize = 40;

fn rows(n: u64) -> Vec<RowSampler> {
    let row = |seed| RowSampler::by_token(Request { seed, ..Request::at(1.0) }.params(), V);
    (0..n).map(|seed| row(seed).unwrap()).collect()
}

fn logits(rows: usize) -> Tensor {
    Tensor::zeros((rows, V), DType::F32, &device()).unwrap()
}

#[test]
fn another_number_of_rows_is_refused() {
    for (n, samplers) in [(0, 1), (1, 0), (2, 1), (2, 3)] {
        let mut rows = rows(samplers);
        let error = sample_batch(&logits(n), &mut rows).unwrap_err();
        let names = matches!(error, SampleError::Rows { rows, samplers: got }
            if rows == n && got == samplers as usize);
        assert!(names, "{error}");
        assert!(rows.iter().all(|row| *row.state() == RowState::default()));
    }
    assert!(sample_batch(&logits(0), &mut []).unwrap().is_empty());
    let one = logits(1).squeeze(0).unwrap();
    assert_eq!(sample_batch(&one, &mut rows(1)).unwrap().len(), 1);
    assert!(matches!(sample_batch(&one, &mut rows(2)), Err(SampleError::Rows { rows: 1, .. })));
}

/// Checks that a call is refused, and that the rows go on as if it had not been.
#[track_caller]
fn refused(mut call: impl FnMut(&mut [RowSampler]) -> Result<(), SampleError>) -> SampleError {
    let (mut disturbed, mut alone) = (rows(2), rows(2));
    let error = call(&mut disturbed).unwrap_err();
    let (a, b) = (sample_batch(&logits(2), &mut disturbed), sample_batch(&logits(2), &mut alone));
    for (a, b) in a.unwrap().into_iter().zip(b.unwrap()) {
        assert_eq!(a.unwrap(), b.unwrap());
    }
    error
}

#[test]
fn logits_that_fit_no_row_are_refused() {
    for width in [0, V - 1, V + 1] {
        let narrow = Tensor::zeros((2, width), DType::F32, &device()).unwrap();
        let error = refused(|rows| sample_batch(&narrow, rows).map(|_| ()));
        let names = matches!(error, SampleError::Reduce(ReduceError::LogitsWidth { expected: V, got })
            if got == width);
        assert!(names, "{error}");
    }
    for dims in [vec![], vec![1, 1, V]] {
        let logits = Tensor::zeros(dims, DType::F32, &device()).unwrap();
        let error = refused(|rows| sample_batch(&logits, &mut rows[..1]).map(|_| ()));
        assert!(matches!(error, SampleError::Reduce(ReduceError::LogitsRank { .. })), "{error}");
    }
    let integers = logits(2).to_dtype(DType::U32).unwrap();
    let error = refused(|rows| sample_batch(&integers, rows).map(|_| ()));
    assert!(matches!(error, SampleError::Reduce(ReduceError::LogitsDType { .. })), "{error}");
    // Of one of several rows.
    let mut unlike = rows(2);
    unlike[1] = RowSampler::by_token(SamplingParams::greedy(), V + 1).unwrap();
    let error = sample_batch(&logits(2), &mut unlike).unwrap_err();
    assert!(matches!(error, SampleError::Reduce(ReduceError::LogitsWidth { .. })), "{error}");
    assert!(unlike.iter().all(|row| row.state().step() == 0));
}

#[test]
fn masks_of_another_batch_are_refused() {
    let words = [u32::MAX; 6];
    for (words, words_per_row) in [(&words[..], 0), (&words[..5], 2), (&words[..1], 2)] {
        let error = TokenMask::new(words, words_per_row).unwrap_err();
        let names = matches!(error, SampleError::MaskShape { words: n, words_per_row: per_row }
            if n == words.len() && per_row == words_per_row);
        assert!(names, "{error}");
    }
    let masked =
        |mask: TokenMask| refused(|rows| sample_batch_masked(&logits(2), rows, mask).map(|_| ()));
    let three = TokenMask::new(&words, 2).unwrap();
    assert_eq!((three.len(), three.is_empty()), (3, false));
    let error = masked(three);
    assert!(matches!(error, SampleError::MaskRows { rows: 2, masks: 3 }), "{error}");
    let error = masked(three.of_rows(&[Some(0)]));
    assert!(matches!(error, SampleError::MaskRows { rows: 2, masks: 1 }), "{error}");
    let error = masked(three.of_rows(&[Some(2), Some(3)]));
    assert!(matches!(error, SampleError::MaskIndex { row: 1, index: 3, masks: 3 }), "{error}");
    let none = TokenMask::new(&[], 2).unwrap();
    assert!(none.is_empty());
    let error = masked(none.of_rows(&[None, Some(0)]));
    assert!(matches!(error, SampleError::MaskIndex { row: 1, index: 0, masks: 0 }), "{error}");
    let allowed = sample_batch_masked(&logits(2), &mut rows(2), none.of_rows(&[None, None]));
    assert!(allowed.unwrap().iter().all(Result::is_ok));
}

#[test]
fn tokens_that_the_vocabulary_has_not_are_refused() {
    let is_beyond = |error: &SampleError, t: u32| matches!(error, SampleError::Map(MapError::TokenOutOfRange { token, .. }) if *token == t);
    let biased = |token| SamplingParams::greedy().with_bias([(0, 1.0), (token, 1.0)]).unwrap();
    let map = ConceptMap::singletons(V).unwrap().to_device(&device()).unwrap();
    for token in [V as u32, u32::MAX] {
        let error = RowSampler::by_token(biased(token), V).unwrap_err();
        assert!(is_beyond(&error, token), "{error}");
        let error = RowSampler::new(biased(token), map.clone()).unwrap_err();
        assert!(is_beyond(&error, token), "{error}");

        let [mut row] = <[RowSampler; 1]>::try_from(rows(1)).unwrap();
        row.see(&[3, 3]).unwrap();
        let (params, state) = (row.params().clone(), row.state().clone());
        let error = row.set_params(biased(token)).unwrap_err();
        assert!(is_beyond(&error, token), "{error}");
        let error = row.see(&[1, token, 2]).unwrap_err();
        assert!(is_beyond(&error, token), "{error}");
        let unfit = serde_json::json!({ "step": 1, "seen": [[token, 1]] });
        let error = row.restore(serde_json::from_value(unfit).unwrap()).unwrap_err();
        assert!(is_beyond(&error, token), "{error}");
        assert_eq!((row.params(), row.state()), (&params, &state));
        assert_eq!(state.seen(), [(3, 2)]);
    }
    for vocab_size in [0, usize::MAX] {
        let error = RowSampler::by_token(SamplingParams::greedy(), vocab_size).unwrap_err();
        assert!(matches!(error, SampleError::Map(MapError::VocabularySize { .. })), "{error}");
    }
}

#[test]
fn states_that_no_row_can_have_are_refused() {
    let [mut row] = <[RowSampler; 1]>::try_from(rows(1)).unwrap();
    for seen in [[[5, 1], [5, 1]], [[6, 1], [5, 1]], [[4, 1], [5, 0]]] {
        let unfit = serde_json::json!({ "step": 1, "seen": seen });
        let error = row.restore(serde_json::from_value(unfit).unwrap()).unwrap_err();
        assert!(matches!(error, SampleError::StateOrder { token: 5 }), "{error}");
        assert_eq!(*row.state(), RowState::default());
    }
    for unfit in [r#"{"step":1}"#, r#"{"step":-1,"seen":[]}"#, r#"{"step":1,"seen":[],"x":1}"#] {
        assert!(serde_json::from_str::<RowState>(unfit).is_err(), "{unfit}");
    }
}

#[test]
fn unfit_parameters_are_refused_where_they_are_given() {
    let params = || SamplingParams::at(1.0).unwrap();
    #[track_caller]
    fn refused<T: std::fmt::Debug>(name: &str, result: Result<T, SampleError>) {
        match result {
            Err(SampleError::Parameter { parameter, .. }) => assert_eq!(parameter, name),
            other => panic!("{name}: {other:?}"),
        }
    }
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    for temperature in [-1e-300, -1.0, nan, inf, -inf] {
        refused("temperature", SamplingParams::at(temperature));
    }
    refused("top_k", params().with_top_k(0));
    for p in [-1e-300, 1.0 + f64::EPSILON, nan, inf] {
        refused("top_p", params().with_top_p(p));
        refused("min_p", params().with_min_p(p));
    }
    let penalties = |repetition, presence, frequency| {
        params().with_penalties(Penalties { repetition, presence, frequency })
    };
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for repetition in [0.0, -0.0, -1.0, nan, inf] {
        refused("repetition penalty", penalties(repetition, 0.0, 0.0));
    }
    for penalty in [nan, inf, -inf] {
        refused("presence penalty", penalties(1.0, penalty, 0.0));
        refused("frequency penalty", penalties(1.0, 0.0, penalty));
    }
    for bias in [nan, inf] {
        refused("logit bias", params().with_bias([(0, 0.0), (1, bias)]));
    }
    // The last of several biases of one token counts.
    let twice = params().with_bias([(1, 5.0), (1, -1.0)]).unwrap();
    assert_eq!(twice, params().with_bias([(1, -1.0)]).unwrap());
    assert_eq!(SamplingParams::at(-0.0).unwrap().temperature(), 0.0);
}
