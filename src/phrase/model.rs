use std::ops::AddAssign;

use crate::phrase::PhraseError;
use candle_core::{DType, Device, Result, Tensor};

/// All that a language model must offer to have whole phrases scored.
///
/// For a model of candle's that keeps a cache of keys and values, [`CachedModel`] and
/// [`SharedPrompt`](crate::phrase::SharedPrompt) do it.
///
/// ```
/// use candle_core::{Device, Result, Tensor};
/// use concept_mass::phrase::NextLogits;
///
/// /// Knows how to count.
/// struct Counter;
///
/// impl NextLogits for Counter {
///     fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
///         let next = sequences.iter().map(|sequence| sequence[sequence.len() - 1] + 1);
///         let rows = next.map(|next| (0..10).map(move |t| if t == next { 5f32 } else { 0. }));
///         Tensor::from_iter(rows.flatten(), &Device::Cpu)?.reshape((sequences.len(), 10))
///     }
/// }
/// # let logits = Counter.next_logits(&[vec![1, 2], vec![3, 4]])?;
/// # assert_eq!(logits.argmax(1)?.to_vec1::<u32>()?, [3, 5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub trait NextLogits {
    /// The logits `[N, V]` of what follows each of `N` sequences, prompt included.
    ///
    /// There is at least one, and they are equally long. From one call to the next, each is often
    /// the one of before and a token more, for which a model does well to keep what it knows of it.
    ///
    /// # Errors
    ///
    /// Those of the model.
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor>;

    /// The most tokens that a sequence may have, if there is a limit.
    fn context(&self) -> Option<usize> {
        None
    }
}

/// A model of candle's: a transformer with a cache of keys and values of its own.
///
/// Llama, Qwen2 and Qwen3 of candle-transformers have just these two: `forward` and a way to
/// clear the cache.
pub trait CachedForward {
    /// Reads `tokens`, `u32` `[N, T]`, which follow the `offset` tokens of each row that were read
    /// before, and gives the logits of what comes next: `[N, V]`, or `[N, 1, V]`.
    ///
    /// # Errors
    ///
    /// Those of the model.
    fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor>;

    /// Forgets all tokens.
    fn reset(&mut self);
}

/// Makes a [`CachedForward`] a [`NextLogits`]: what the sequences of two calls have in common is
/// read once.
///
/// If every sequence is the one of the call before and something more, only that is read, in one
/// batch. Else all of them are, anew: candle-transformers' caches can be cleared, but one row's
/// cannot be given to many. [`SharedPrompt`](crate::phrase::SharedPrompt) reads a prompt once, and has no
/// batches.
///
/// ```
/// use candle_core::{Device, Result, Tensor};
/// use concept_mass::phrase::{CachedForward, CachedModel, NextLogits};
///
/// # struct Model(Vec<usize>);
/// impl CachedForward for Model {
///     fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor> {
///         # self.0.push(tokens.dims()[1]);
///         // self.0.forward(tokens, offset, &mut self.1)
///         # Tensor::zeros((tokens.dims()[0], 1, 9), candle_core::DType::F32, &Device::Cpu)
///     }
///
///     fn reset(&mut self) {
///         // self.1 = self.2.clone();
///         # self.0.clear();
///     }
/// }
///
/// # let model = Model(vec![]);
/// let mut model = CachedModel::new(model, Device::Cpu, Some(2048));
/// model.next_logits(&[vec![1, 2, 3], vec![1, 2, 4]])?;
/// model.next_logits(&[vec![1, 2, 3, 5], vec![1, 2, 4, 6]])?; // reads 5 and 6
/// # assert_eq!(model.model().0, [3, 1]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub struct CachedModel<M> {
    model: M,
    device: Device,
    context: Option<usize>,
    /// What the model's cache holds.
    read: Vec<Vec<u32>>,
}

impl<M: CachedForward> CachedModel<M> {
    /// Takes a model on `device`, which reads at most `context` tokens, if that is limited.
    pub fn new(model: M, device: Device, context: Option<usize>) -> Self {
        Self { model, device, context, read: Vec::new() }
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The model, to be used otherwise: what it has read counts for nothing after that.
    pub fn model_mut(&mut self) -> &mut M {
        self.read.clear();
        &mut self.model
    }

    /// The tokens that every sequence has been read of already.
    fn known(&self, sequences: &[Vec<u32>]) -> usize {
        let goes_on =
            |(new, old): (&Vec<u32>, &Vec<u32>)| new.len() > old.len() && new.starts_with(old);
        let same = self.read.len() == sequences.len();
        let all = same && sequences.iter().zip(&self.read).all(goes_on);
        if all { self.read[0].len() } else { 0 }
    }
}

impl<M: CachedForward> NextLogits for CachedModel<M> {
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        let known = self.known(sequences);
        // Should the model fail, nobody knows what is in its cache.
        self.read.clear();
        if known == 0 {
            self.model.reset();
        }
        let new = sequences.iter().map(|sequence| &sequence[known..]).collect::<Vec<_>>();
        let (rows, columns) = (new.len(), new[0].len());
        let tokens = Tensor::from_vec(new.concat(), (rows, columns), &self.device)?;
        let logits = self.model.forward(&tokens, known)?;
        self.read = sequences.to_vec();
        logits.reshape((rows, ()))
    }

    fn context(&self) -> Option<usize> {
        self.context
    }
}

/// What a vote on phrases took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PhraseCost {
    /// The forward passes: calls of [`NextLogits::next_logits`].
    pub passes: usize,
    /// The largest batch of one.
    pub batch: usize,
    /// The rows of all passes: the sequences whose next token was asked for.
    pub rows: usize,
}

impl AddAssign for PhraseCost {
    fn add_assign(&mut self, other: Self) {
        self.passes += other.passes;
        self.batch = self.batch.max(other.batch);
        self.rows += other.rows;
    }
}

/// The logits `[N, V]` of what follows `sequences`, in a dtype that is reduced; counted in `cost`.
pub(crate) fn ask(
    model: &mut impl NextLogits,
    sequences: &[Vec<u32>],
    vocab_size: usize,
    cost: &mut PhraseCost,
) -> std::result::Result<Tensor, PhraseError> {
    *cost += PhraseCost { passes: 1, batch: sequences.len(), rows: sequences.len() };
    let logits = model.next_logits(sequences)?;
    if logits.dims() != [sequences.len(), vocab_size] {
        let expected = (sequences.len(), vocab_size);
        return Err(PhraseError::ModelOutput { expected, got: logits.shape().clone() });
    }
    match logits.dtype() {
        DType::F64 => Ok(logits.to_dtype(DType::F32)?),
        _ => Ok(logits),
    }
}

/// A sequence that is done waits for longer ones, with anything at its end: as long as they.
pub(super) fn padded(mut sequence: Vec<u32>, length: usize) -> Vec<u32> {
    let filler = sequence.last().copied().unwrap_or_default();
    sequence.resize(length, filler);
    sequence
}
