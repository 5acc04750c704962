use std::collections::BTreeMap;

use candle_core::{DType, Tensor};

use super::SourceError;
use super::linkage::{self, Pair};
use crate::ConceptMap;
use crate::map::{MAX_VOCAB_SIZE, check_tokens};

/// The largest number of columns of an embedding.
pub(super) const MAX_COLUMNS: usize = 1 << 20;

/// The largest number of cosines computed at a time: 4 bytes each, here 64 MB.
const MAX_AT_ONCE: usize = 1 << 24;

/// The largest number of pairs within the threshold: 12 bytes each, here 800 MB.
const MAX_PAIRS: usize = 1 << 26;

/// The largest number of components that are gathered: 34 GB in `f32`. A matrix of all the tokens of
/// the largest models has fewer.
const MAX_GATHERED: usize = 1 << 33;

/// By how much a cosine may miss the threshold: what rounding to `f32` takes from the cosine of a
/// row of thousands of columns with itself.
const ROUNDING: f32 = 2e-6;

/// A model's own embedding or unembedding matrix: tokens whose rows have nearly the same direction
/// are one concept.
///
/// Tokens are grouped by complete linkage: the cosine of every two rows of a group is at least the
/// threshold, so a chain of near neighbours is not one group. Cosines are computed in `f32`, and
/// one that misses the threshold by less than 2e-6 reaches it: equal rows are in one group at
/// threshold 1.
///
/// A row of zeros, or with a NaN or an infinity, has no direction and stays alone.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::source::Embedding;
///
/// let rows = [[1f32, 0.], [0.9, 0.1], [0.6, 0.4], [-1., 0.]];
/// let embedding = Embedding::new(&Tensor::new(&rows, &Device::Cpu)?)?;
/// // 2 is near enough to 1, but not to 0.
/// assert_eq!(embedding.groups(&[0, 1, 2, 3], 0.85)?, [[0, 1]]);
///
/// let map = embedding.map(&[0, 1, 2, 3], 0.85)?;
/// assert_eq!(map.concept_of(0), map.concept_of(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Embedding {
    matrix: Tensor,
}

impl Embedding {
    /// Takes a matrix `[V, D]`, a row for each token, in `f32`, `f16`, `bf16` or `f64`, on any
    /// device and in any layout. It is not copied.
    ///
    /// Rows are read fastest if the matrix or its transpose is contiguous.
    ///
    /// # Errors
    ///
    /// [`SourceError::EmbeddingShape`] if it is not a matrix, if `V` is not from 1 to
    /// [`MAX_VOCAB_SIZE`], or `D` not from 1 to 2²⁰; [`SourceError::EmbeddingDType`] for any other
    /// dtype.
    pub fn new(matrix: &Tensor) -> Result<Self, SourceError> {
        // A broadcast matrix may be of any size and take no memory, until its rows are gathered.
        match matrix.dims() {
            &[1..=MAX_VOCAB_SIZE, 1..=MAX_COLUMNS] => {}
            _ => return Err(SourceError::EmbeddingShape { shape: matrix.shape().clone() }),
        }
        match matrix.dtype() {
            DType::F32 | DType::F16 | DType::BF16 | DType::F64 => {}
            got => return Err(SourceError::EmbeddingDType { got }),
        }
        Ok(Self { matrix: matrix.detach() })
    }

    /// `V`: the number of rows of the matrix.
    pub fn vocab_size(&self) -> usize {
        self.matrix.dims()[0]
    }

    /// Checks that every token of `map` has a row.
    ///
    /// # Errors
    ///
    /// [`SourceError::EmbeddingRows`] with both sizes if the map is larger.
    ///
    /// ```
    /// # use candle_core::{DType, Device, Tensor};
    /// # use concept_mass::{ConceptMap, source::Embedding};
    /// let embedding = Embedding::new(&Tensor::eye(3, DType::F32, &Device::Cpu)?)?;
    /// assert!(embedding.check_covers(&ConceptMap::singletons(3)?).is_ok());
    /// assert!(embedding.check_covers(&ConceptMap::singletons(4)?).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_covers(&self, map: &ConceptMap) -> Result<(), SourceError> {
        let (rows, vocab_size) = (self.vocab_size(), map.vocab_size());
        if rows < vocab_size {
            Err(SourceError::EmbeddingRows { rows, vocab_size })
        } else {
            Ok(())
        }
    }

    /// Returns the groups of two tokens or more among `tokens`, as ascending places in `tokens`.
    ///
    /// `threshold` is a cosine, from -1 to 1. The order of `tokens` has no influence on which
    /// tokens are grouped; a token that is listed twice counts at its first place.
    ///
    /// The rows are gathered and multiplied on the matrix's device, and the products copied to the
    /// host. This takes `O(n² D)` time for `n` tokens, and memory for their rows, of at most 2³³
    /// components together, and for the pairs within the threshold, not for all pairs: there may be
    /// many tokens.
    ///
    /// # Errors
    ///
    /// [`MapError::TokenOutOfRange`](crate::map::MapError::TokenOutOfRange) if a token has no row;
    /// [`SourceError::Threshold`] if `threshold` is not a cosine;
    /// [`SourceError::TooManyNeighbours`] if 67 million pairs, or more than 8,192 tokens that are
    /// linked to one another, are within the threshold; [`SourceError::EmbeddingMemory`] if the rows
    /// do not fit into memory; [`SourceError::Candle`].
    pub fn groups(&self, tokens: &[u32], threshold: f32) -> Result<Vec<Vec<usize>>, SourceError> {
        check_threshold(threshold)?;
        self.check_tokens(tokens)?;
        let mut first_places = BTreeMap::new();
        for (place, &token) in tokens.iter().enumerate() {
            first_places.entry(token).or_insert(place);
        }
        let (tokens, places): (Vec<u32>, Vec<usize>) = first_places.into_iter().unzip();
        let mut groups = match tokens.len() {
            0 | 1 => Vec::new(),
            _ => group(&directions(&self.rows(&tokens)?)?, threshold)?,
        };
        for group in &mut groups {
            group.iter_mut().for_each(|i| *i = places[*i]);
            group.sort_unstable();
        }
        groups.sort_unstable();
        Ok(groups)
    }

    /// As [`groups`](Self::groups), of phrases, each in the mean direction of its tokens. A phrase
    /// without tokens stays alone.
    pub(crate) fn phrase_groups(
        &self,
        phrases: &[Vec<u32>],
        threshold: f32,
    ) -> Result<Vec<Vec<usize>>, SourceError> {
        self.check_memory(phrases.len())?;
        let means = phrases.iter().map(|phrase| {
            self.check_tokens(phrase)?;
            if phrase.is_empty() {
                // Zeros have no direction.
                let columns = self.matrix.dims()[1];
                return Ok(Tensor::zeros((1, columns), DType::F32, self.matrix.device())?);
            }
            Ok(directions(&self.rows(phrase)?)?.mean_keepdim(0)?)
        });
        let means = means.collect::<Result<Vec<Tensor>, SourceError>>()?;
        check_threshold(threshold)?;
        match means.len() {
            0 | 1 => Ok(Vec::new()),
            _ => group(&directions(&Tensor::cat(&means, 0)?)?, threshold),
        }
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<(), SourceError> {
        Ok(check_tokens(tokens, self.vocab_size(), || "the candidates".to_owned())?)
    }

    /// Makes a map of the groups among `tokens`, such as the likeliest ones of a step or the pooled
    /// tokens of another map. All other tokens are concepts of one, and no concept has a name.
    ///
    /// # Errors
    ///
    /// The errors of [`groups`](Self::groups).
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, map::OnConflict, source::Embedding};
    /// # let rows = [[1f32, 0.], [0., 1.], [0.9, 0.1], [0.1, 0.9], [1., 0.1]];
    /// # let embedding = Embedding::new(&Tensor::new(&rows, &Device::Cpu)?)?;
    /// // Groups what another map pools; its concepts then join the groups.
    /// let spelling = ConceptMap::builder(5).unnamed([0, 1])?.unnamed([2, 3])?.build()?;
    /// let pooled = spelling.iter().filter(|tokens| tokens.len() > 1);
    /// let tokens: Vec<u32> = pooled.flatten().copied().collect();
    /// let map = embedding.map(&tokens, 0.9)?;
    /// assert_eq!(map.tokens(0), Some(&[0, 2][..]));
    /// let map = map.over(&spelling, OnConflict::First)?;
    /// # assert_eq!(map.stats().pooled_tokens, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn map(&self, tokens: &[u32], threshold: f32) -> Result<ConceptMap, SourceError> {
        let groups = self.groups(tokens, threshold)?;
        Ok(ConceptMap::of_groups(self.vocab_size(), tokens, &groups)?)
    }

    /// The rows of `tokens`, at least one, `[n, D]`.
    fn rows(&self, tokens: &[u32]) -> Result<Tensor, SourceError> {
        self.check_memory(tokens.len())?;
        let matrix = &self.matrix;
        // candle gathers from contiguous tensors only.
        let ids = Tensor::new(tokens, matrix.device())?;
        if matrix.is_contiguous() {
            return Ok(matrix.index_select(&ids, 0)?);
        }
        let transposed = matrix.t()?;
        if transposed.is_contiguous() {
            return Ok(transposed.index_select(&ids, 1)?.t()?.contiguous()?);
        }
        let row = |&token: &u32| matrix.narrow(0, token as usize, 1)?.contiguous();
        let rows = tokens.iter().map(row).collect::<candle_core::Result<Vec<Tensor>>>()?;
        Ok(Tensor::cat(&rows, 0)?)
    }

    /// Fails if `tokens` rows are more than can be gathered and scaled: of a matrix that is a
    /// broadcast view they may be any number, and where the host lacks memory, candle aborts.
    fn check_memory(&self, tokens: usize) -> Result<(), SourceError> {
        /// The rows, and what scaling them makes beside them at any one time.
        const COPIES: usize = 4;
        let columns = self.matrix.dims()[1];
        let too_many = || SourceError::EmbeddingMemory { tokens, columns };
        let components = tokens.checked_mul(columns).filter(|&n| n <= MAX_GATHERED);
        let components = components.ok_or_else(too_many)?;
        // A device's own memory is candle's to refuse, which it does with an error.
        if self.matrix.device().is_cpu() {
            let wide = if self.matrix.dtype() == DType::F64 { 8 } else { 4 };
            let bytes = components.saturating_mul(COPIES * wide);
            Vec::<u8>::new().try_reserve_exact(bytes).map_err(|_| too_many())?;
        }
        Ok(())
    }
}

/// `rows` `[n, D]` scaled to length 1, in `f32`; NaN for those without a direction.
fn directions(rows: &Tensor) -> Result<Tensor, SourceError> {
    // What f64 holds may be beyond f32 until it is scaled.
    let wide = if rows.dtype() == DType::F64 { DType::F64 } else { DType::F32 };
    let rows = rows.to_dtype(wide)?;
    // The largest component is 1 before they are squared, so that nothing overflows.
    let rows = rows.broadcast_div(&rows.abs()?.max_keepdim(1)?)?;
    let rows = rows.broadcast_div(&rows.sqr()?.sum_keepdim(1)?.sqrt()?)?;
    Ok(rows.to_dtype(DType::F32)?)
}

/// The clusters of two or more of `directions` `[n, D]`.
fn group(directions: &Tensor, threshold: f32) -> Result<Vec<Vec<usize>>, SourceError> {
    let n = directions.dims()[0];
    let crowded = |tokens| SourceError::TooManyNeighbours { tokens, threshold };
    linkage::complete(n, &close_pairs(directions, threshold)?).map_err(crowded)
}

fn close_pairs(directions: &Tensor, threshold: f32) -> Result<Vec<Pair>, SourceError> {
    let n = directions.dims()[0];
    let at_once = (MAX_AT_ONCE / n).max(1);
    let mut pairs = Vec::new();
    for start in (0..n).step_by(at_once) {
        // The rows before the block have been compared with it already.
        let block = directions.narrow(0, start, at_once.min(n - start))?;
        let rest = directions.narrow(0, start, n - start)?;
        let cosines = block.matmul(&rest.t()?)?.to_vec2::<f32>()?;
        for (i, cosines) in cosines.iter().enumerate() {
            for (j, &cosine) in cosines.iter().enumerate().skip(i + 1) {
                // A NaN reaches no threshold.
                if cosine >= threshold - ROUNDING {
                    pairs.push(((start + i) as u32, (start + j) as u32, 1.0 - cosine));
                }
            }
            if pairs.len() > MAX_PAIRS {
                return Err(SourceError::TooManyNeighbours { tokens: n, threshold });
            }
        }
    }
    Ok(pairs)
}

/// Returns `threshold` if it is a cosine.
pub(crate) fn check_threshold(threshold: f32) -> Result<f32, SourceError> {
    if (-1.0..=1.0).contains(&threshold) {
        return Ok(threshold);
    }
    Err(SourceError::Threshold { value: threshold })
}
