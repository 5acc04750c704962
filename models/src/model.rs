//! A model with what it has read.

use std::{fmt, sync::Arc};

use candle_core::{DType, Result, Tensor, bail};

use crate::decoder::{Cache, Decoder, Output, Pass};

/// A decoder-only transformer with its KV cache. A clone shares the weights and has a cache of its
/// own.
#[derive(Clone)]
pub struct Model {
    decoder: Arc<Decoder>,
    cache: Cache,
}

impl Model {
    pub(crate) fn new(decoder: Decoder) -> Self {
        Self { decoder: Arc::new(decoder), cache: Cache::default() }
    }

    /// Reads `tokens`, `u32` `[N, T]`, after the `offset` tokens that each row has read before, and
    /// returns the logits `[N, V]` of the next token.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    ///
    /// let folder = concept_mass_tiny::folder();
    /// let mut model = concept_mass_models::load(&folder, None, &Device::Cpu, None)?.model;
    /// let first = model.forward(&Tensor::new(&[[5u32, 7]], &Device::Cpu)?, 0)?;
    /// let next = model.forward(&Tensor::new(&[[9u32]], &Device::Cpu)?, 2)?;
    /// assert_eq!(first.dims(), next.dims());
    ///
    /// model.reset(); // for another text
    /// let again = model.forward(&Tensor::new(&[[5u32, 7, 9]], &Device::Cpu)?, 0)?;
    /// # assert_eq!(next.dims(), again.dims());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If `offset` is not the number of tokens that were read, or the text is longer than
    /// [`positions`](crate::Loaded::positions), or its positions are to be [scaled
    /// anew](Self::read); candle's, for tokens of another shape, dtype or device. After an error,
    /// what was read before is as it was.
    pub fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor> {
        if offset != self.cache.len() {
            let read = self.cache.len();
            bail!("the offset is {offset}, but {read} tokens were read; truncate or reset first");
        }
        Ok(self.read(&Pass::new(tokens))?.logits)
    }

    /// Reads tokens after those that were read before: rows of unequal length by padding, with
    /// the logits of all positions and the states of blocks if the [`Pass`] says so.
    ///
    /// ```
    /// use candle_core::{Device, Tensor};
    /// use concept_mass_models::Pass;
    ///
    /// let folder = concept_mass_tiny::folder();
    /// let mut model = concept_mass_models::load(&folder, None, &Device::Cpu, None)?.model;
    /// let last = model.num_blocks() - 1;
    /// let tokens = Tensor::new(&[[5u32, 7, 9]], &Device::Cpu)?;
    /// let output = model.read(&Pass::new(&tokens).states(&[0, last]))?;
    /// assert_eq!(output.logits.dims2()?.0, 1); // [N, V]
    /// assert_eq!(output.states.len(), 2); // [N, T, D] each
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// If the pass has another number of rows than what was read before, or the text is longer than
    /// [`positions`](crate::Loaded::positions); if a model with LongRoPE (Phi-3 of 128k) is to go on
    /// from below the number of tokens at which it scales all positions anew to above it, or from
    /// above it is cut back to below; candle's. After an error, what was read before is as it was.
    pub fn read(&mut self, pass: &Pass<'_>) -> Result<Output> {
        self.decoder.forward(pass, &mut self.cache)
    }

    /// Forgets all tokens that were read, as [`forward`](Self::forward)'s example does.
    pub fn reset(&mut self) {
        self.cache.clear();
    }

    /// What was read; [`Cache`] has an example.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// What was read, to be cut back.
    pub fn cache_mut(&mut self) -> &mut Cache {
        &mut self.cache
    }

    /// Has the model go on from what it, or a copy of it, has read.
    ///
    /// # Errors
    ///
    /// If it is of a model with another number of blocks.
    pub fn set_cache(&mut self, cache: Cache) -> Result<()> {
        let (got, blocks) = (cache.blocks.len(), self.num_blocks());
        if got != blocks && !cache.is_empty() {
            bail!("the cache is of {got} blocks, and the model has {blocks}");
        }
        self.cache = cache;
        Ok(())
    }

    /// The matrix `[V, D]` that turns tokens into vectors. A quantised one is dequantised, to
    /// `f32`: that may take several times the memory of the file's.
    ///
    /// ```
    /// # use candle_core::Device;
    /// let folder = concept_mass_tiny::folder();
    /// let loaded = concept_mass_models::load(&folder, None, &Device::Cpu, None)?;
    /// assert_eq!(loaded.model.embedding()?.dims()[0], loaded.vocab_size);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// candle's.
    pub fn embedding(&self) -> Result<Tensor> {
        self.decoder.embedding()
    }

    /// The number of blocks, whose states can be [read](Pass::states).
    pub fn num_blocks(&self) -> usize {
        self.decoder.num_blocks()
    }

    /// The most tokens that a text may have in a [tree](Pass::follow) of texts; none if any may.
    /// Some models scale all positions of a text by its length once it is longer (LongRoPE,
    /// dynamic NTK), and then have nothing in common with a shorter one.
    pub fn longest_branch(&self) -> Option<usize> {
        self.decoder.longest_branch()
    }

    /// The dtype that the model computes in, which is that of its logits.
    pub fn dtype(&self) -> DType {
        self.decoder.dtype()
    }
}

/// The architecture, without the weights.
impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Model").field(&self.decoder.model_type()).finish()
    }
}
