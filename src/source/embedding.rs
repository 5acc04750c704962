use candle_core::{DType, Tensor};

use super::linkage::{self, Pair};
use crate::ConceptMap;
use crate::map::check_tokens;
use crate::source::SourceError;

/// The most cosines that are computed at a time: 4 bytes each, here 64 MB.
const MOST_AT_ONCE: usize = 1 << 24;

/// The most pairs within the threshold: 12 bytes each, here 800 MB.
const MOST_PAIRS: usize = 1 << 26;

/// A model's own embedding, or unembedding, matrix: tokens whose rows point the same way are one
/// concept.
///
/// Candidates are grouped by complete linkage: two tokens are in one group only if the cosine of
/// their rows is the threshold or more, and so it is for every pair of the group. A chain of near
/// neighbours is not one meaning.
///
/// Rows of all zeros, and rows that hold a NaN or an infinity, stand alone.
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
    /// Takes a matrix `[V, D]` of any floating-point dtype, on any device, a row for each token. It
    /// is not copied.
    ///
    /// # Errors
    ///
    /// [`SourceError::EmbeddingShape`], [`SourceError::EmbeddingDType`].
    pub fn new(matrix: &Tensor) -> Result<Self, SourceError> {
        match matrix.dims() {
            &[rows, columns] if rows > 0 && columns > 0 => {}
            _ => return Err(SourceError::EmbeddingShape { shape: matrix.shape().clone() }),
        }
        if !matrix.dtype().is_float() {
            return Err(SourceError::EmbeddingDType { got: matrix.dtype() });
        }
        Ok(Self { matrix: matrix.clone() })
    }

    /// `V`: the rows of the matrix.
    pub fn vocab_size(&self) -> usize {
        self.matrix.dims()[0]
    }

    /// Checks that every token of `map` has a row.
    ///
    /// # Errors
    ///
    /// [`SourceError::EmbeddingRows`] with both numbers.
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

    /// The groups of two or more among `tokens`: places in `tokens`, ascending.
    ///
    /// `threshold` is a cosine, in -1 to 1. The rows are gathered and multiplied on the matrix's
    /// device, in `f32`, and the products are copied to the host: `O(n² D)` for `n` tokens, with
    /// memory for the rows and for the pairs within the threshold, so that `tokens` may be many.
    ///
    /// # Errors
    ///
    /// [`MapError::TokenOutOfRange`](crate::map::MapError::TokenOutOfRange); [`SourceError::Threshold`] for a threshold out of range;
    /// [`SourceError::TooManyNeighbours`]; those of candle.
    pub fn groups(&self, tokens: &[u32], threshold: f32) -> Result<Vec<Vec<usize>>, SourceError> {
        check_threshold(threshold)?;
        self.check_tokens(tokens)?;
        match tokens.len() {
            0 | 1 => Ok(Vec::new()),
            _ => group(&directions(&self.rows(tokens)?)?, threshold),
        }
    }

    /// As [`groups`](Self::groups), of phrases of one token or more, each in the mean direction of
    /// its tokens.
    pub(crate) fn phrase_groups(
        &self,
        phrases: &[Vec<u32>],
        threshold: f32,
    ) -> Result<Vec<Vec<usize>>, SourceError> {
        let means = phrases.iter().map(|phrase| {
            self.check_tokens(phrase)?;
            Ok(directions(&self.rows(phrase)?)?.mean_keepdim(0)?)
        });
        let means = means.collect::<Result<Vec<Tensor>, SourceError>>()?;
        match means.len() {
            0 | 1 => Ok(Vec::new()),
            _ => group(&directions(&Tensor::cat(&means, 0)?)?, threshold),
        }
    }

    fn check_tokens(&self, tokens: &[u32]) -> Result<(), SourceError> {
        Ok(check_tokens(tokens, self.vocab_size(), || "the candidates".to_owned())?)
    }

    /// The map of the groups among `tokens`, such as the likeliest of a step, or the pooled tokens
    /// of another map. All other tokens are concepts of one, and none has a name.
    ///
    /// # Errors
    ///
    /// As for [`groups`](Self::groups).
    ///
    /// ```
    /// # use candle_core::{Device, Tensor};
    /// # use concept_mass::{ConceptMap, map::OnConflict, source::Embedding};
    /// # let rows = [[1f32, 0.], [0., 1.], [0.9, 0.1], [0.1, 0.9], [1., 0.1]];
    /// # let embedding = Embedding::new(&Tensor::new(&rows, &Device::Cpu)?)?;
    /// // Among what another map pools; and what it pools joins the groups.
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

    /// The rows of `tokens`, `f32` `[n, D]`.
    fn rows(&self, tokens: &[u32]) -> Result<Tensor, SourceError> {
        let places = Tensor::new(tokens, self.matrix.device())?;
        Ok(self.matrix.index_select(&places, 0)?.to_dtype(DType::F32)?)
    }
}

/// `rows` `[n, D]` of length 1; NaN for those without a direction.
fn directions(rows: &Tensor) -> Result<Tensor, SourceError> {
    // Of length 1 at most before they are squared, so that nothing overflows.
    let rows = rows.broadcast_div(&rows.abs()?.max_keepdim(1)?)?;
    Ok(rows.broadcast_div(&rows.sqr()?.sum_keepdim(1)?.sqrt()?)?)
}

/// The clusters of two or more of `directions` `[n, D]`.
fn group(directions: &Tensor, threshold: f32) -> Result<Vec<Vec<usize>>, SourceError> {
    let n = directions.dims()[0];
    let crowded = |tokens| SourceError::TooManyNeighbours { tokens, threshold };
    linkage::complete(n, &close_pairs(directions, threshold)?).map_err(crowded)
}

fn close_pairs(directions: &Tensor, threshold: f32) -> Result<Vec<Pair>, SourceError> {
    let n = directions.dims()[0];
    let at_once = (MOST_AT_ONCE / n).max(1);
    let mut pairs = Vec::new();
    for start in (0..n).step_by(at_once) {
        // Those before the block have met it already.
        let block = directions.narrow(0, start, at_once.min(n - start))?;
        let rest = directions.narrow(0, start, n - start)?;
        let cosines = block.matmul(&rest.t()?)?.to_vec2::<f32>()?;
        for (i, cosines) in cosines.iter().enumerate() {
            for (j, &cosine) in cosines.iter().enumerate().skip(i + 1) {
                if cosine >= threshold {
                    pairs.push(((start + i) as u32, (start + j) as u32, 1.0 - cosine));
                }
            }
            if pairs.len() > MOST_PAIRS {
                return Err(SourceError::TooManyNeighbours { tokens: n, threshold });
            }
        }
    }
    Ok(pairs)
}

/// `threshold`, if it can be a cosine.
pub(crate) fn check_threshold(threshold: f32) -> Result<f32, SourceError> {
    if (-1.0..=1.0).contains(&threshold) {
        return Ok(threshold);
    }
    Err(SourceError::Threshold { value: threshold })
}
