use std::fmt;

use candle_core::{Device, Result, Tensor};

use super::model::{CachedForward, NextLogits, batch_length};

/// Makes a [`CachedForward`] that can be cloned a [`NextLogits`] that reads what sequences have in
/// common once.
///
/// The model itself reads what all sequences begin with. A clone of it, dropped afterwards, reads the
/// rest of each sequence, one after the other. Clones of candle-transformers' models share the
/// weights, and the keys and values of what has been read. So a vote on phrases reads the prompt
/// once, and [`generate`](crate::phrase::OpenVocabulary::generate) reads its text once, however many
/// of its steps are split.
///
/// [`CachedModel`](crate::phrase::CachedModel) reads all rows in one batch, and the prompt in each of
/// them. Prefer it for short prompts, and this one for long prompts and for texts; on one thread of a
/// CPU, both take the same time for ten forms after a prompt of about 150 tokens.
///
/// ```
/// use candle_core::{Device, Result, Tensor};
/// use concept_mass::phrase::{CachedForward, NextLogits, SharedPrompt};
///
/// # use std::{cell::RefCell, rc::Rc};
/// # #[derive(Clone)]
/// # struct Model(Rc<RefCell<Vec<usize>>>);
/// impl CachedForward for Model {
///     // …
///     # fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor> {
///     #     self.0.borrow_mut().push(tokens.dims()[1]);
///     #     Tensor::zeros((1, 9), candle_core::DType::F32, &Device::Cpu)
///     # }
///     # fn reset(&mut self) {}
/// }
///
/// # let read = Rc::new(RefCell::new(vec![]));
/// # let model = Model(read.clone());
/// let mut model = SharedPrompt::new(model, Device::Cpu, Some(2048));
/// model.next_logits(&[vec![1, 2, 3], vec![1, 2, 3]])?; // reads 1 2 3
/// model.next_logits(&[vec![1, 2, 3, 4], vec![1, 2, 3, 5]])?; // reads 4, and 5
/// # assert_eq!(*read.borrow(), [3, 1, 1]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub struct SharedPrompt<M> {
    model: M,
    device: Device,
    context: Option<usize>,
    /// What the model has read.
    read: Vec<u32>,
}

/// Without the model, which need not implement [`fmt::Debug`].
impl<M> fmt::Debug for SharedPrompt<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, context, read, .. } = self;
        let mut debug = f.debug_struct("SharedPrompt");
        debug.field("device", device).field("context", context).field("read", read);
        debug.finish_non_exhaustive()
    }
}

impl<M: CachedForward + Clone> SharedPrompt<M> {
    /// Takes a model on `device` that reads at most `context` tokens; `None` if it has no limit.
    pub fn new(model: M, device: Device, context: Option<usize>) -> Self {
        Self { model, device, context, read: Vec::new() }
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The logits `[1, V]` after `sequence`, which the model itself has read then.
    fn advance(&mut self, sequence: &[u32]) -> Result<Tensor> {
        let goes_on = sequence.len() > self.read.len() && sequence.starts_with(&self.read);
        let known = if goes_on { self.read.len() } else { 0 };
        // Should the model fail, nobody knows what is in its cache.
        self.read.clear();
        if known == 0 {
            self.model.reset();
        }
        let logits = forward(&mut self.model, &sequence[known..], known, &self.device)?;
        self.read = sequence.to_vec();
        Ok(logits)
    }
}

impl<M: CachedForward + Clone> NextLogits for SharedPrompt<M> {
    /// # Errors
    ///
    /// Those of the model; and, before it is called, an error if there are no sequences, if one is
    /// empty, longer than the context, or not as long as the others. An error changes nothing that
    /// later calls give.
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        batch_length(sequences, self.context)?;
        let first = &sequences[0];
        if sequences.iter().all(|sequence| sequence == first) {
            let logits = self.advance(first)?;
            return logits.repeat((sequences.len(), 1));
        }
        let common = |other: &Vec<u32>| first.iter().zip(other).take_while(|(a, b)| a == b).count();
        let shared = sequences.iter().map(common).min().unwrap_or(0);
        match shared {
            0 => {
                self.read.clear();
                self.model.reset();
            }
            _ if self.read != first[..shared] => drop(self.advance(&first[..shared])?),
            _ => {}
        }
        let row = |sequence: &Vec<u32>| {
            forward(&mut self.model.clone(), &sequence[shared..], shared, &self.device)
        };
        Tensor::cat(&sequences.iter().map(row).collect::<Result<Vec<_>>>()?, 0)
    }

    fn context(&self) -> Option<usize> {
        self.context
    }
}

/// The logits `[1, V]` after `tokens`, which follow `offset` others.
fn forward(
    model: &mut impl CachedForward,
    tokens: &[u32],
    offset: usize,
    device: &Device,
) -> Result<Tensor> {
    let tokens = Tensor::new(tokens, device)?.unsqueeze(0)?;
    model.forward(&tokens, offset)?.reshape((1, ()))
}
