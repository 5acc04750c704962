use std::{fmt, ops::AddAssign};

use candle_core::{Device, Result, Tensor, bail};

/// What a language model must do for whole phrases to be scored.
///
/// [`CachedModel`] and [`SharedPrompt`](crate::phrase::SharedPrompt) implement it for models that
/// keep a cache of keys and values, as candle's do.
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
    /// This crate gives at least one sequence, none of them empty, and all equally long. Each often
    /// extends the one of the call before by a token, so that a cache saves most of the work.
    ///
    /// # Errors
    ///
    /// Those of the model. A failed call must not change what later calls give.
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor>;

    /// The most tokens that a sequence may have, if the model has a limit.
    fn context(&self) -> Option<usize> {
        None
    }
}

/// A transformer with a cache of keys and values of its own, as candle's models are.
///
/// With the feature `candle-transformers`, its Qwen2 and Qwen3 implement this, and so does its Llama
/// together with a cache (`CachedLlama`).
pub trait CachedForward {
    /// Reads `tokens`, `u32` `[N, T]`, which follow the `offset` tokens that were read of each row
    /// before, and returns the logits of what comes next: `[N, V]`, or `[N, 1, V]`.
    ///
    /// # Errors
    ///
    /// Those of the model.
    fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor>;

    /// Forgets all tokens.
    fn reset(&mut self);
}

/// Makes a [`CachedForward`] a [`NextLogits`] that reads all sequences in one batch.
///
/// If every sequence extends the one of the call before, only what is new is read. Otherwise the
/// cache is cleared and all of them are read from the start: the cache of one row cannot be given to
/// many. [`SharedPrompt`](crate::phrase::SharedPrompt) reads a prompt once, and row by row.
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

/// Without the model, which need not implement [`fmt::Debug`].
impl<M> fmt::Debug for CachedModel<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, context, read, .. } = self;
        let mut debug = f.debug_struct("CachedModel");
        debug.field("device", device).field("context", context).field("read", read);
        debug.finish_non_exhaustive()
    }
}

impl<M: CachedForward> CachedModel<M> {
    /// Takes a model on `device` that reads at most `context` tokens; `None` if it has no limit.
    pub fn new(model: M, device: Device, context: Option<usize>) -> Self {
        Self { model, device, context, read: Vec::new() }
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The model, for other use: the next call reads its sequences from the start.
    pub fn model_mut(&mut self) -> &mut M {
        self.read.clear();
        &mut self.model
    }

    /// How many tokens of every sequence have been read already.
    fn known(&self, sequences: &[Vec<u32>]) -> usize {
        let goes_on =
            |(new, old): (&Vec<u32>, &Vec<u32>)| new.len() > old.len() && new.starts_with(old);
        let same = self.read.len() == sequences.len();
        let all = same && sequences.iter().zip(&self.read).all(goes_on);
        if all { self.read[0].len() } else { 0 }
    }
}

impl<M: CachedForward> NextLogits for CachedModel<M> {
    /// # Errors
    ///
    /// Those of the model; and, before it is called, an error if there are no sequences, if one is
    /// empty, longer than the context, or not as long as the others. After an error, the next call
    /// reads its sequences from the start.
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        let length = batch_length(sequences, self.context)?;
        let known = self.known(sequences);
        // Should the model fail, nobody knows what is in its cache.
        self.read.clear();
        if known == 0 {
            self.model.reset();
        }
        let (rows, new) = (sequences.len(), sequences.iter().flat_map(|s| &s[known..]));
        let new: Vec<u32> = new.copied().collect();
        let tokens = Tensor::from_vec(new, (rows, length - known), &self.device)?;
        let logits = self.model.forward(&tokens, known)?.reshape((rows, ()))?;
        self.read = sequences.to_vec();
        Ok(logits)
    }

    fn context(&self) -> Option<usize> {
        self.context
    }
}

/// The length of all `sequences`, if a model that reads at most `context` tokens can read them in a
/// batch.
pub(super) fn batch_length(sequences: &[Vec<u32>], context: Option<usize>) -> Result<usize> {
    let Some(length) = sequences.first().map(Vec::len) else {
        bail!("no sequences were given; give at least one")
    };
    if length == 0 {
        bail!("sequence 0 is empty; a model must read at least one token, such as its `<s>`")
    }
    if let Some(i) = sequences.iter().position(|sequence| sequence.len() != length) {
        let other = sequences[i].len();
        bail!("sequence {i} has {other} tokens, and sequence 0 {length}; pad them to one length")
    }
    match context {
        Some(context) if length > context => {
            bail!("the sequences have {length} tokens, but the model reads at most {context}")
        }
        _ => Ok(length),
    }
}

/// The forward passes that something took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PhraseCost {
    /// The number of passes: calls of [`NextLogits::next_logits`].
    pub passes: usize,
    /// The most rows of one pass.
    pub batch: usize,
    /// The rows of all passes together.
    pub rows: usize,
}

impl AddAssign for PhraseCost {
    fn add_assign(&mut self, other: Self) {
        self.passes += other.passes;
        self.batch = self.batch.max(other.batch);
        self.rows += other.rows;
    }
}
