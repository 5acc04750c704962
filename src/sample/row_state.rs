use serde::{Deserialize, Serialize};

use crate::map::check_tokens;
use crate::sample::SampleError;

/// What a row remembers from step to step: how many tokens it has drawn, and what it has seen.
///
/// A request that is [restored](super::RowSampler::restore) continues with the same tokens, in any
/// place of any batch. The state implements serde's `Serialize` and `Deserialize`.
///
/// ```
/// # use candle_core::{Device, Tensor};
/// use concept_mass::sample::{RowSampler, RowState, SamplingParams, sample_batch};
///
/// let params = SamplingParams::at(1.0)?.with_seed(7);
/// let logits = Tensor::zeros((1, 50), candle_core::DType::F32, &Device::Cpu)?;
/// let mut unbroken = [RowSampler::by_token(params.clone(), 50)?];
/// sample_batch(&logits, &mut unbroken)?;
///
/// let saved = serde_json::to_string(unbroken[0].state())?;
/// let state: RowState = serde_json::from_str(&saved)?;
/// let mut restored = [RowSampler::by_token(params, 50)?];
/// restored[0].restore(state)?;
/// let next = |rows: &mut [RowSampler]| sample_batch(&logits, rows).unwrap().remove(0).unwrap();
/// assert_eq!(next(&mut unbroken), next(&mut restored));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowState {
    step: u64,
    /// Tokens in ascending order, and how often each was seen.
    seen: Vec<(u32, u32)>,
}

impl RowState {
    /// The state of a row that has drawn `step` tokens, and seen each token the given number of times,
    /// in any order: for a server that keeps count itself, or for penalties on the latest tokens alone.
    ///
    /// ```
    /// use concept_mass::sample::RowState;
    ///
    /// let state = RowState::new(3, [(7, 1), (5, 1), (7, 1)]);
    /// assert_eq!((state.step(), state.seen()), (3, &[(5, 1), (7, 2)][..]));
    /// ```
    pub fn new(step: u64, seen: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let mut counts = std::collections::BTreeMap::new();
        for (token, count) in seen.into_iter().filter(|&(_, count)| count > 0) {
            let sum: &mut u32 = counts.entry(token).or_default();
            *sum = sum.saturating_add(count);
        }
        Self { step, seen: counts.into_iter().collect() }
    }

    /// How many tokens the row has drawn.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The tokens that the row has seen, in ascending order, and how often.
    pub fn seen(&self) -> &[(u32, u32)] {
        &self.seen
    }

    /// Counts a token.
    fn see(&mut self, token: u32) {
        match self.seen.binary_search_by_key(&token, |&(token, _)| token) {
            Ok(i) => self.seen[i].1 = self.seen[i].1.saturating_add(1),
            Err(i) => self.seen.insert(i, (token, 1)),
        }
    }

    /// Counts tokens of a vocabulary; none if it does not have one of them.
    pub(super) fn see_all(&mut self, tokens: &[u32], vocab_size: usize) -> Result<(), SampleError> {
        check_seen(tokens, vocab_size)?;
        self.count_all(tokens);
        Ok(())
    }

    /// Counts tokens that the vocabulary is known to have.
    pub(super) fn count_all(&mut self, tokens: &[u32]) {
        let seen = self.seen.iter().copied().chain(tokens.iter().map(|&token| (token, 1)));
        *self = Self::new(self.step, seen);
    }

    /// Counts a token that the row has drawn.
    pub(super) fn advance(&mut self, token: u32) {
        self.step = self.step.wrapping_add(1);
        self.see(token);
    }

    /// Fails for a state that no row of this vocabulary can have.
    pub(super) fn check(&self, vocab_size: usize) -> Result<(), SampleError> {
        let tokens: Vec<u32> = self.seen.iter().map(|&(token, _)| token).collect();
        check_seen(&tokens, vocab_size)?;
        let mut last = None;
        for &(token, count) in &self.seen {
            if count == 0 || last >= Some(token) {
                return Err(SampleError::StateOrder { token });
            }
            last = Some(token);
        }
        Ok(())
    }
}

/// Fails for tokens that the vocabulary does not have.
pub(super) fn check_seen(tokens: &[u32], vocab_size: usize) -> Result<(), SampleError> {
    Ok(check_tokens(tokens, vocab_size, || "the tokens that the row has seen".to_owned())?)
}
