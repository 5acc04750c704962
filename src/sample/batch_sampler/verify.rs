//! Several tokens of a request at a step: a draft that is held against the model.

use candle_core::Tensor;

use super::backend::VerifiedRows;
use super::{BatchSampler, Step, check_words};
use crate::reduce::ReduceError;
use crate::reduce::logits::{Logits, readable};
use crate::reduce::numbers::check_numbers;
use crate::sample::SampleError;

/// Tokens that something cheaper than the model proposes for each row of a batch.
///
/// For an example, see [`BatchSampler::verify`].
#[derive(Debug, Clone)]
pub struct Draft {
    /// The proposed tokens, `u32` `[B, K]`, on the device of the maps. A row's draft ends before its
    /// first [`NO_TOKEN`](crate::reduce::NO_TOKEN), if it has one.
    pub tokens: Tensor,
    /// The logits `[B, K, V]` that the tokens were drawn from, each by the request's own temperature,
    /// filters, penalties, bias, mask and map, **but with another seed** (or another generator): by
    /// the same seed and step, the draft would be drawn by the random number that also draws what
    /// replaces it, and what is emitted would not have the model's distribution. `None` for tokens that
    /// were not drawn, such as those of a look-up in the prompt.
    pub logits: Option<Tensor>,
}

/// Whether a drafted token stands that begins the right concept, and is not the token that the request
/// would have emitted for it.
///
/// ```
/// # use candle_core::{Device, Tensor};
/// # use concept_mass::{ConceptMap, MapSet};
/// use concept_mass::sample::{AcceptSpelling, BatchSampler, Draft, RowState, SamplingParams};
///
/// let mut sampler = BatchSampler::new(MapSet::new(3, 1, &Device::Cpu)?, 2)?;
/// let yes = sampler.maps_mut().insert(&ConceptMap::builder(3).concept("yes", [0, 1])?.build()?)?;
/// sampler.start(0, SamplingParams::greedy(), Some(yes), RowState::default())?;
/// sampler.start(1, SamplingParams::greedy(), Some(yes), RowState::default())?;
/// let target = Tensor::new(&[[[0.35f32, 0.25, 0.4], [0.1, 0.1, 0.8]]], &Device::Cpu)?.log()?;
/// let draft = Draft { tokens: Tensor::new(&[[1u32]], &Device::Cpu)?, logits: None };
/// let mut tokens = |slot: usize, accept_spelling| -> Result<Vec<u32>, Box<dyn std::error::Error>> {
///     let slots = sampler.slots(&[slot])?;
///     let verified = sampler.verify(&draft, &target, &slots, None, accept_spelling)?;
///     Ok(verified.rows()?.remove(0)?.tokens)
/// };
/// assert_eq!(tokens(0, AcceptSpelling::No)?, [0]); // "yes" in its likeliest spelling, in its place
/// assert_eq!(tokens(1, AcceptSpelling::Yes)?, [1, 2]); // as drafted, and the next token
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AcceptSpelling {
    /// Only the token that the request's [`Emission`](crate::sample::Emission) would have given stands.
    #[default]
    No,
    /// Any token of the concept stands as it was drafted, unless bias or mask ban it.
    Yes,
}

/// What was emitted for a row: the drafted tokens that stand, and one of our own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verified {
    /// How many of the drafted tokens stand.
    pub accepted: usize,
    /// These, as they were drafted, and then one of our own; so there is one more.
    pub tokens: Vec<u32>,
}

impl Verified {
    pub(super) fn new(accepted: usize, tokens: Vec<u32>) -> Self {
        Self { accepted, tokens }
    }
}

/// What [`BatchSampler::verify`] gives for the rows of a batch, still on the device.
#[derive(Debug, Clone)]
pub struct VerifiedBatch(pub(super) VerifiedRows);

impl VerifiedBatch {
    /// `B`: the number of rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The tokens to emit, `u32` `[B, K + 1]`, on the device of the logits. After a row's last, and
    /// throughout a row that failed, it holds [`NO_TOKEN`](crate::reduce::NO_TOKEN).
    ///
    /// # Errors
    ///
    /// [`SampleError::Reduce`] and [`SampleError::Candle`], of the device.
    pub fn tokens(&self) -> Result<Tensor, SampleError> {
        self.0.tokens()
    }

    /// How many drafted tokens of each row stand, `u32` `[B]`, on the device of the logits: how many of
    /// them to keep in the model's cache. 0 for a row that failed.
    ///
    /// # Errors
    ///
    /// As for [`tokens`](Self::tokens).
    pub fn accepted(&self) -> Result<Tensor, SampleError> {
        self.0.accepted()
    }

    /// What was emitted, copied to the host, which waits for it; an error for each row that failed.
    ///
    /// # Errors
    ///
    /// As for [`tokens`](Self::tokens).
    pub fn rows(&self) -> Result<Vec<Result<Verified, SampleError>>, SampleError> {
        let rows = self.0.rows()?.into_iter().enumerate();
        Ok(rows.map(|(i, row)| row.map_err(|failure| SampleError::of_row(i, failure))).collect())
    }
}

/// What a step has of a draft, checked.
pub(super) struct Drafted<'a> {
    /// `[B, K]`
    pub(super) tokens: &'a Tensor,
    /// `K`
    pub(super) len: usize,
    /// `[B · K, V]`
    pub(super) logits: Option<Logits>,
    pub(super) accept_spelling: AcceptSpelling,
}

impl BatchSampler {
    /// Holds the draft of each row against the model's logits, and emits the part of it that stands
    /// and one token more: several tokens for one pass of the model, distributed as by
    /// [`sample`](Self::sample) (speculative decoding).
    ///
    /// `target`, `[B, K + 1, V]`, holds the model's logits for what follows each row's text, and for
    /// what follows it and 1, 2, … K of the drafted tokens. `slot_of_row` and `mask`, `u32`
    /// `[B, K + 1, W]`, are as for [`sample`](Self::sample).
    ///
    /// A position is decided by its concept. With p and q the distributions over concepts that the
    /// request's parameters, and what has been emitted up to there, make of the target's and of the
    /// draft's logits:
    ///
    /// - A drafted token's concept c is accepted with probability min(1, p(c) / q(c)), where q(c) is 1
    ///   for a token that was not drawn. In a greedy row, it is accepted if it wins.
    /// - The token of an accepted concept stands, if it is the one that the request would emit for the
    ///   concept, or if any may ([`AcceptSpelling::Yes`]) and it is not banned. Then the next position
    ///   is looked at. Otherwise the concept is emitted in a spelling of our own, and the rest of the
    ///   draft is dropped, since it followed another token.
    /// - If c is not accepted, a concept is drawn by max(0, p − q) and emitted, and the rest of the
    ///   draft is dropped.
    /// - After a draft that stands whole, a token is sampled as by [`sample`](Self::sample).
    ///
    /// So the concept at each position, given what was emitted before, has the distribution p, if the
    /// draft was drawn from q or not drawn at all. What a slot remembers moves on by the tokens that
    /// were emitted, and by no others. docs/SAMPLING.md has the details. Log-probabilities are not
    /// given.
    ///
    /// # Errors
    ///
    /// As for [`sample`](Self::sample), of the draft's tensors as well. Of a row also
    /// [`SampleError::DraftToken`], and [`SampleError::DraftLogits`] for a NaN, a `+inf`, or nothing
    /// but `-inf` in the draft's logits. A row looks at no position after the first of its own tokens.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use concept_mass::MapSet;
    /// use concept_mass::sample::{AcceptSpelling, BatchSampler, Draft, RowState, SamplingParams};
    ///
    /// let mut sampler = BatchSampler::new(MapSet::new(3, 1, &Device::Cpu)?, 1)?;
    /// sampler.start(0, SamplingParams::greedy(), None, RowState::default())?;
    /// let target = Tensor::new(&[[[9f32, 0., 0.], [0., 9., 0.], [0., 0., 9.]]], &Device::Cpu)?;
    /// let draft = Draft { tokens: Tensor::new(&[[0u32, 2]], &Device::Cpu)?, logits: None };
    /// let slots = sampler.slots(&[0])?;
    /// let verified = sampler.verify(&draft, &target, &slots, None, AcceptSpelling::No)?;
    /// let row = verified.rows()?.remove(0)?;
    /// assert_eq!((row.accepted, &row.tokens[..]), (1, &[0, 1][..]));
    /// assert_eq!(sampler.state(0)?, RowState::new(2, [(0, 1), (1, 1)])); // 2 was never seen
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(
        &mut self,
        draft: &Draft,
        target: &Tensor,
        slot_of_row: &Tensor,
        mask: Option<&Tensor>,
        accept_spelling: AcceptSpelling,
    ) -> Result<VerifiedBatch, SampleError> {
        self.check_maps()?;
        check_numbers(&draft.tokens, "draft.tokens", &[None, None], &self.device)?;
        let (rows, len) = draft.tokens.dims2()?;
        check_numbers(slot_of_row, "slot_of_row", &[Some(rows)], &self.device)?;
        let logits = &self.flat(target, "the target's logits", rows, len + 1)?;
        let of_draft = draft.logits.as_ref();
        let of_draft = of_draft.map(|logits| self.flat(logits, "draft.logits", rows, len));
        if let Some(mask) = mask {
            check_numbers(mask, "the mask", &[Some(rows), Some(len + 1), None], &self.device)?;
            check_words(mask)?;
        }
        let Draft { tokens, .. } = draft;
        let drafted = Drafted { tokens, len, logits: of_draft.transpose()?, accept_spelling };
        let Self { maps, num_slots, slots, backend, .. } = self;
        let step = Step { maps, num_slots: *num_slots, slots, logits, slot_of_row, mask };
        Ok(VerifiedBatch(backend.verify(&step, &drafted)?))
    }

    /// Logits `[rows, positions, V]` as `[rows · positions, V]`.
    fn flat(
        &self,
        logits: &Tensor,
        name: &'static str,
        rows: usize,
        positions: usize,
    ) -> Result<Logits, ReduceError> {
        let width = self.vocab_size;
        if logits.dims() != [rows, positions, width] {
            let expected = format!("[{rows}, {positions}, {width}]");
            let got = logits.shape().clone();
            return Err(ReduceError::RowsShape { tensor: name, expected, got });
        }
        let all = rows.saturating_mul(positions);
        if !logits.is_contiguous() {
            Logits::check_room(all, width, logits.device())?;
        }
        let flat = readable(&logits.reshape((all, width))?, width)?;
        Logits::check(&flat, width, &self.device)
    }
}
