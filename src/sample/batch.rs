//! A batch of requests, each with its own parameters, map, seed and past.

use candle_core::Tensor;

use super::settings::{request, words};
use super::{RowState, Sampled, SamplingParams, TokenMask};
use crate::reduce::ReduceError;
use crate::reduce::cpu::sample::{Concepts, Drawn, Request, Undrawn, sample_rows};
use crate::reduce::logits::{Logits, readable};
use crate::sample::SampleError;
use crate::{ConceptMap, DeviceMap};

/// One request of a batch: its parameters, its map, and what it has seen.
///
/// A request's tokens follow from its own logits, parameters, seed and step; never from its place,
/// its neighbours, or the size of the batch. So rows may be kept in any order, taken out, and put
/// back later: a `RowSampler` is all there is of a request, and a new one starts clean. Rows of one
/// seed draw by the same numbers, so give each its own.
///
/// Its random numbers are those of Philox-4x32-10 with the seed as its key and the step as its
/// counter, the step being the number of tokens that it has drawn before: one number of 53 bits a
/// token. Which token a seed draws may change between versions of the crate that differ in the
/// first number of the version that is not 0, and is then said in the changelog; not otherwise.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::ConceptMap;
/// use concept_mass::sample::{RowSampler, SamplingParams, sample_batch};
///
/// let map = ConceptMap::builder(4).concept("right", [1, 3])?.build()?.to_device(&Device::Cpu)?;
/// let mut rows = vec![
///     RowSampler::new(SamplingParams::greedy(), map)?,
///     RowSampler::by_token(SamplingParams::at(0.8)?.with_top_k(2)?.with_seed(7), 4)?,
/// ];
/// let logits = Tensor::new(&[[0.4f32, 0.3, 0.05, 0.25], [0.4, 0.3, 0.05, 0.25]], &Device::Cpu)?;
/// for row in sample_batch(&logits.log()?, &mut rows)? {
///     println!("{}", row?.token);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct RowSampler {
    params: SamplingParams,
    vocab_size: usize,
    map: Option<DeviceMap>,
    state: RowState,
}

impl RowSampler {
    /// A request whose concepts are those of a map.
    ///
    /// # Errors
    ///
    /// [`SampleError::Map`] for a bias of a token that the map's vocabulary does not have.
    pub fn new(params: SamplingParams, map: DeviceMap) -> Result<Self, SampleError> {
        Self::with(params, map.map().vocab_size(), Some(map))
    }

    /// A request that pools nothing: each of its `vocab_size` tokens is a concept of its own.
    ///
    /// # Errors
    ///
    /// [`SampleError::Map`] for a vocabulary of no tokens or of too many, and for a bias of a token
    /// that it does not have.
    pub fn by_token(params: SamplingParams, vocab_size: usize) -> Result<Self, SampleError> {
        crate::map::check_vocab_size(vocab_size)?;
        Self::with(params, vocab_size, None)
    }

    fn with(
        params: SamplingParams,
        vocab_size: usize,
        map: Option<DeviceMap>,
    ) -> Result<Self, SampleError> {
        params.check_bias(vocab_size)?;
        Ok(Self { params, vocab_size, map, state: RowState::default() })
    }

    /// Counts tokens as seen, such as those of the prompt; what is sampled is counted by itself.
    ///
    /// # Errors
    ///
    /// [`SampleError::Map`] for a token that the vocabulary does not have; nothing is counted then.
    pub fn see(&mut self, tokens: &[u32]) -> Result<(), SampleError> {
        self.state.see_all(tokens, self.vocab_size)
    }

    /// The parameters.
    pub fn params(&self) -> &SamplingParams {
        &self.params
    }

    /// Changes the parameters from the next step on; the step and what was seen stay.
    ///
    /// # Errors
    ///
    /// As for [`new`](Self::new); the row is then as it was.
    pub fn set_params(&mut self, params: SamplingParams) -> Result<(), SampleError> {
        params.check_bias(self.vocab_size)?;
        self.params = params;
        Ok(())
    }

    /// The map, if the row has one.
    pub fn map(&self) -> Option<&ConceptMap> {
        self.map.as_ref().map(DeviceMap::map)
    }

    /// What the row remembers.
    pub fn state(&self) -> &RowState {
        &self.state
    }

    /// Puts back what a row remembered.
    ///
    /// # Errors
    ///
    /// [`SampleError::Map`] or [`SampleError::StateOrder`] for a state that no row of this
    /// vocabulary can have; the row is then as it was.
    pub fn restore(&mut self, state: RowState) -> Result<(), SampleError> {
        state.check(self.vocab_size)?;
        self.state = state;
        Ok(())
    }
}

/// Samples a token for every row of logits `[B, V]` (`[V]` for a batch of one), each by the
/// parameters, the map and the seed of its own [`RowSampler`].
///
/// A row that cannot be sampled says why, does not affect its neighbours, and keeps its step. Rows are
/// shared among rayon's threads if they are worth it. On the CPU, logits in `f32`, `f16` and `bf16` are
/// read where they are; elsewhere they are copied to the host.
///
/// Takes `O(V)` a row, as a rule. A thread keeps the memory that it has needed, a few numbers for each
/// token and concept: after its first rows it allocates nothing whose size grows with `V` or `C`,
/// unless the logits have to be copied or converted.
///
/// # Errors
///
/// [`SampleError::Rows`] if there are not as many samplers as rows, and those of
/// [`DeviceMap::reduce`] for logits that fit no map; nothing has changed then. Of a row:
/// [`ReduceError::BadRow`](crate::reduce::ReduceError::BadRow) for a NaN or `+inf`, or nothing but
/// `-inf`, and [`SampleError::NothingAllowed`] if bias and mask leave nothing.
///
/// For an example, see [`RowSampler`].
pub fn sample_batch(
    logits: &Tensor,
    rows: &mut [RowSampler],
) -> Result<Vec<Result<Sampled, SampleError>>, SampleError> {
    run(logits, rows, None)
}

/// [`sample_batch`], where a [`TokenMask`] says which tokens each row may emit.
///
/// # Errors
///
/// As for [`sample_batch`]; [`SampleError::MaskRows`] and [`SampleError::MaskIndex`] for a mask of
/// another batch.
///
/// For an example, see [`TokenMask`].
pub fn sample_batch_masked(
    logits: &Tensor,
    rows: &mut [RowSampler],
    mask: TokenMask<'_>,
) -> Result<Vec<Result<Sampled, SampleError>>, SampleError> {
    run(logits, rows, Some(mask))
}

fn run(
    logits: &Tensor,
    rows: &mut [RowSampler],
    mask: Option<TokenMask<'_>>,
) -> Result<Vec<Result<Sampled, SampleError>>, SampleError> {
    let count = match *logits.dims() {
        [_] => 1,
        [rows, _] => rows,
        _ => return Err(ReduceError::LogitsRank { shape: logits.shape().clone() }.into()),
    };
    if count != rows.len() {
        return Err(SampleError::Rows { rows: count, samplers: rows.len() });
    }
    let Some(vocab_size) = rows.first().map(|row| row.vocab_size) else { return Ok(Vec::new()) };
    let logits = &readable(logits, vocab_size)?;
    let (_, width) = Logits::check_shape(logits, vocab_size)?;
    for row in rows.iter() {
        row.check(logits, width)?;
    }
    if let Some(mask) = &mask {
        mask.check(count)?;
    }
    let logits = Logits::check(logits, vocab_size, logits.device())?.on_host()?;
    let requests: Vec<Request<'_>> =
        rows.iter().enumerate().map(|(i, row)| row.request(i, words(mask.as_ref(), i))).collect();
    let drawn = sample_rows(&requests, &logits)?;
    drop(requests);
    let results = drawn.into_iter().zip(rows).enumerate();
    Ok(results.map(|(i, (drawn, row))| row.take(i, drawn)).collect())
}

impl RowSampler {
    /// Fails for logits that are not of the row's vocabulary, or not where its map is.
    fn check(&self, logits: &Tensor, width: usize) -> Result<(), ReduceError> {
        if self.vocab_size != width {
            return Err(ReduceError::LogitsWidth { expected: self.vocab_size, got: width });
        }
        self.map.as_ref().map_or(Ok(()), |map| Logits::check_device(logits, map.device()))
    }

    /// What is asked of row `i` of the logits.
    fn request<'a>(&'a self, i: usize, mask: Option<&'a [u32]>) -> Request<'a> {
        let map = self.map.as_ref().filter(|_| self.params.pooling);
        let concepts = map.map_or(Concepts::Tokens(None), DeviceMap::concepts_on_host);
        request(i, &self.params, concepts, &self.state, mask)
    }

    /// What was sampled from row `i`, which the state counts.
    fn take(&mut self, i: usize, drawn: Result<Drawn, Undrawn>) -> Result<Sampled, SampleError> {
        let sampled: Sampled = drawn.map_err(|why| SampleError::undrawn(i, why))?.into();
        self.state.advance(sampled.token);
        Ok(sampled)
    }
}
