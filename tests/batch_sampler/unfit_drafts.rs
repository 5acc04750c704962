//! Drafts that are refused, and rows that fail.

use candle_core::{DType, Tensor};
use concept_mass::MapSet;
use concept_mass::reduce::ReduceError;
use concept_mass::sample::{AcceptSpelling, BatchSampler, Draft, RowState, SampleError, Verified};

use super::drafts::after;
use crate::common::chain::Request;
use crate::common::device;

/// Rows of 4 tokens, whose likeliest is 1 at every position, and drafts for them.
struct Small {
    sampler: BatchSampler,
    target: Vec<Vec<Vec<f32>>>,
    draft: Vec<Vec<u32>>,
    draft_logits: Vec<Vec<Vec<f32>>>,
    slots: Vec<u32>,
}

impl Small {
    fn new(rows: usize) -> Self {
        let maps = MapSet::new(4, 2, &device()).unwrap();
        let mut sampler = BatchSampler::new(maps, rows).unwrap();
        for slot in 0..rows {
            // As good as greedy; but in a greedy row, the draft's logits would not matter.
            let request = Request { seed: slot as u64, ..Request::at(0.1) };
            sampler.start(slot, request.params(), None, RowState::new(0, [(0, 3)])).unwrap();
        }
        let row = vec![0.0, 9.0, 0.0, 0.0];
        Self {
            sampler,
            target: vec![vec![row.clone(); 3]; rows],
            draft: vec![vec![1, 1]; rows],
            draft_logits: vec![vec![row; 2]; rows],
            slots: (0..rows as u32).collect(),
        }
    }

    fn verify(&mut self) -> Vec<Result<Verified, SampleError>> {
        let tensor = |rows: &Vec<Vec<Vec<f32>>>| Tensor::new(rows.clone(), &device()).unwrap();
        let tokens = Tensor::new(self.draft.clone(), &device()).unwrap();
        let draft = Draft { tokens, logits: Some(tensor(&self.draft_logits)) };
        let slots = Tensor::new(&self.slots[..], &device()).unwrap();
        let target = tensor(&self.target);
        let verified = self.sampler.verify(&draft, &target, &slots, None, AcceptSpelling::No);
        verified.unwrap().rows().unwrap()
    }
}

#[test]
fn rows_fail_by_themselves() {
    let mut small = Small::new(9);
    small.target[1][2][0] = f32::NAN; // reached: all of the draft stands
    (small.draft[2][0], small.target[2][2][0]) = (0, f32::NAN); // never reached
    small.target[2][0][0] = f32::NEG_INFINITY;
    (small.draft[3][1], small.draft[4][1]) = (4, u32::MAX - 1);
    small.draft_logits[5][1][3] = f32::INFINITY;
    small.draft_logits[6][0] = vec![f32::NEG_INFINITY; 4];
    (small.slots[7], small.slots[8]) = (0, 9);
    let rows = small.verify();
    let tokens = |row: usize| rows[row].as_ref().unwrap().tokens.clone();
    assert_eq!((tokens(0), tokens(2)), (vec![1, 1, 1], vec![1]));
    let error = |row: usize| rows[row].as_ref().unwrap_err();
    let is_bad = matches!(error(1), SampleError::Reduce(ReduceError::BadRow(bad)) if bad.row == 1);
    assert!(is_bad, "{}", error(1));
    for (row, token) in [(3, 4), (4, u32::MAX - 1)] {
        let names = matches!(error(row), SampleError::DraftToken { row: got, position: 1, token: t }
            if *got == row && *t == token);
        assert!(names, "{}", error(row));
    }
    assert!(
        matches!(error(5), SampleError::DraftLogits { row: 5, position: 1, .. }),
        "{}",
        error(5)
    );
    assert!(
        matches!(error(6), SampleError::DraftLogits { row: 6, position: 0, .. }),
        "{}",
        error(6)
    );
    assert!(
        matches!(error(7), SampleError::SlotTwice { row: 7, slot: 0, first: 0 }),
        "{}",
        error(7)
    );
    assert!(matches!(error(8), SampleError::SlotOutOfRange { slot: 9, slots: 9 }), "{}", error(8));
    for (slot, emitted) in [(0, &[1, 1, 1][..]), (2, &[1]), (1, &[]), (3, &[]), (5, &[]), (7, &[])]
    {
        let want = after(&RowState::new(0, [(0, 3)]), emitted);
        assert_eq!(small.sampler.state(slot).unwrap(), want, "slot {slot}");
    }
}

#[test]
fn tensors_that_fit_no_batch() {
    let zeros = |dims: &[usize], dtype| Tensor::zeros(dims, dtype, &device()).unwrap();
    let mut sampler = Small::new(2).sampler;
    let slots = zeros(&[2], DType::U32);
    let tokens = zeros(&[2, 3], DType::U32);
    let draft = || Draft { tokens: tokens.clone(), logits: None };
    let target = zeros(&[2, 4, 4], DType::F32);
    let shape_of = |error: SampleError| match error {
        SampleError::Reduce(ReduceError::RowsShape { tensor, .. }) => tensor,
        error => panic!("{error}"),
    };
    let mut refused = |draft: Draft, target: &Tensor, slots: &Tensor, mask: Option<&Tensor>| {
        sampler.verify(&draft, target, slots, mask, AcceptSpelling::No).unwrap_err()
    };
    for dims in [&[2, 3, 4][..], &[2, 4, 5], &[8, 4], &[1, 4, 4]] {
        let error = refused(draft(), &zeros(dims, DType::F32), &slots, None);
        assert_eq!(shape_of(error), "the target's logits");
        let logits = Some(zeros(&[&[1], dims].concat(), DType::F32));
        let error = refused(Draft { logits, ..draft() }, &target, &slots, None);
        assert_eq!(shape_of(error), "draft.logits");
    }
    let one = zeros(&[3], DType::U32);
    let error = refused(Draft { tokens: one.clone(), logits: None }, &target, &slots, None);
    assert_eq!(shape_of(error), "draft.tokens");
    assert_eq!(shape_of(refused(draft(), &target, &one, None)), "slot_of_row");
    for dims in [&[2, 1][..], &[2, 3, 1], &[4, 1]] {
        let mask = zeros(dims, DType::U32);
        assert_eq!(shape_of(refused(draft(), &target, &slots, Some(&mask))), "the mask");
    }
    let error = refused(draft(), &target, &slots, Some(&zeros(&[2, 4, 0], DType::U32)));
    assert!(matches!(error, SampleError::MaskShape { words_per_row: 0, .. }), "{error}");
    let integers = zeros(&[2, 4, 4], DType::U32);
    let error = refused(draft(), &integers, &slots, None);
    assert!(matches!(error, SampleError::Reduce(ReduceError::LogitsDType { .. })), "{error}");
    let before = RowState::new(0, [(0, 3)]);
    assert!((0..2).all(|slot| sampler.state(slot).unwrap() == before));
    // Of any layout.
    let turned = target.transpose(0, 1).unwrap().contiguous().unwrap().transpose(0, 1).unwrap();
    let verified = sampler.verify(&draft(), &turned, &slots, None, AcceptSpelling::No);
    assert!(matches!(verified.unwrap().rows().unwrap()[1], Err(SampleError::SlotTwice { .. })));
}
