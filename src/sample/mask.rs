use crate::sample::SampleError;

/// Which tokens the rows of a batch may emit: the bitmask of grammar engines.
///
/// A mask is `⌈V / 32⌉` words, lowest bit first: bit `t mod 32` of word `t / 32` is 1 if token `t` is
/// allowed. Those of several rows follow each other, `[B, ⌈V / 32⌉]`, as xgrammar and llguidance
/// make them. A shorter mask is allowed: the tokens beyond its end are banned, which suits logits
/// that are padded beyond the tokenizer's vocabulary. Bits beyond the vocabulary are ignored.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::sample::{RowSampler, SamplingParams, TokenMask, sample_batch_masked};
///
/// let mut rows = vec![RowSampler::by_token(SamplingParams::greedy(), 40)?; 2];
/// let logits = Tensor::zeros((2, 40), candle_core::DType::F32, &Device::Cpu)?;
/// let words = [0b100_0000, 0];                          // token 6 alone
/// let mask = TokenMask::new(&words, 2)?.of_rows(&[None, Some(0)]); // and anything for row 0
/// let sampled = sample_batch_masked(&logits, &mut rows, mask)?;
/// let tokens: Vec<u32> = sampled.into_iter().map(|row| row.unwrap().token).collect();
/// assert_eq!(tokens, [0, 6]);
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TokenMask<'a> {
    words: &'a [u32],
    words_per_row: usize,
    /// The mask of each row; row by row, unless given.
    of_rows: Option<&'a [Option<usize>]>,
}

impl<'a> TokenMask<'a> {
    /// Masks of so many words each, one for every row of the batch in turn.
    ///
    /// # Errors
    ///
    /// [`SampleError::MaskShape`] if the words are no multiple of `words_per_row`, or that is 0.
    pub fn new(words: &'a [u32], words_per_row: usize) -> Result<Self, SampleError> {
        if words_per_row == 0 || !words.len().is_multiple_of(words_per_row) {
            return Err(SampleError::MaskShape { words: words.len(), words_per_row });
        }
        Ok(Self { words, words_per_row, of_rows: None })
    }

    /// The same masks, with the index of each row's: several rows may share one, and a row with
    /// `None` may emit anything.
    #[must_use]
    pub fn of_rows(self, masks: &'a [Option<usize>]) -> Self {
        Self { of_rows: Some(masks), ..self }
    }

    /// How many masks there are.
    pub fn len(&self) -> usize {
        self.words.len() / self.words_per_row
    }

    /// Whether there are no masks.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Fails unless each of so many rows has a mask, or `None`.
    pub(super) fn check(&self, rows: usize) -> Result<(), SampleError> {
        let masks = self.len();
        let Some(of_rows) = self.of_rows else {
            return if masks == rows { Ok(()) } else { Err(SampleError::MaskRows { rows, masks }) };
        };
        if of_rows.len() != rows {
            return Err(SampleError::MaskRows { rows, masks: of_rows.len() });
        }
        let beyond = of_rows.iter().position(|mask| mask.is_some_and(|mask| mask >= masks));
        match beyond {
            Some(row) => {
                Err(SampleError::MaskIndex { row, index: of_rows[row].unwrap_or(masks), masks })
            }
            None => Ok(()),
        }
    }

    /// The words of a row, which has been [checked](Self::check).
    pub(super) fn of_row(&self, row: usize) -> Option<&'a [u32]> {
        let mask = match self.of_rows {
            Some(of_rows) => of_rows[row]?,
            None => row,
        };
        let start = mask * self.words_per_row;
        Some(&self.words[start..start + self.words_per_row])
    }
}
