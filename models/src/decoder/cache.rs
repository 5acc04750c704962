//! The keys and values of what was read.

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};

/// By how many columns a buffer grows at least.
const GROWTH: usize = 64;

/// What a model has read: keys and values of every block, and where each token stands.
///
/// Each clone is continued by itself. What it has in common with others is copied when it is.
///
/// ```
/// use candle_core::{Device, Tensor};
///
/// let folder = concept_mass_tiny::folder();
/// let mut model = concept_mass_models::load(&folder, None, &Device::Cpu, None)?.model;
/// model.forward(&Tensor::new(&[[5u32, 7, 9]], &Device::Cpu)?, 0)?;
///
/// // One prompt, two continuations at once.
/// let prompt = model.cache().clone();
/// model.set_cache(prompt.spread(2)?)?;
/// let next = model.forward(&Tensor::new(&[[1u32], [2]], &Device::Cpu)?, 3)?;
/// assert_eq!(next.dim(0)?, 2);
///
/// // And the first two tokens of the prompt alone.
/// model.set_cache(prompt)?;
/// model.cache_mut().truncate(2);
/// assert_eq!(model.cache().len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A row may hold several texts, as branches of a tree: see [`Pass::follow`](crate::Pass::follow).
#[derive(Debug, Clone, Default)]
pub struct Cache {
    /// None before the first token.
    pub(crate) blocks: Vec<KeysValues>,
    /// Of every row, where the token in each column stands; none where there is padding.
    pub(super) places: Vec<Vec<Option<Place>>>,
    /// Of every row, the most tokens that it has had since it was empty.
    pub(super) longest: Vec<usize>,
}

/// Where a token stands in its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// How many tokens are before it.
    pub position: u32,
    /// The column of the token before it.
    pub after: Option<usize>,
}

impl Cache {
    /// The number of columns: of tokens that were read of each row, padding included.
    pub fn len(&self) -> usize {
        self.places.first().map_or(0, Vec::len)
    }

    /// Whether nothing was read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of rows; 0 before anything was read.
    pub fn num_rows(&self) -> usize {
        self.places.len()
    }

    /// Forgets all but the first `len` columns; nothing if there are no more.
    pub fn truncate(&mut self, len: usize) {
        if len == 0 {
            self.clear();
        } else if len < self.len() {
            self.places.iter_mut().for_each(|places| places.truncate(len));
            self.blocks.iter_mut().for_each(|block| block.len = len);
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// The rows `rows`, in that order; one may be there several times. Nothing, for no rows.
    ///
    /// # Errors
    ///
    /// If there is no such row; candle's.
    pub fn select(&self, rows: &[usize]) -> Result<Self> {
        if let Some(row) = rows.iter().find(|&&row| row >= self.num_rows()) {
            bail!("the cache has {} rows, and no row {row}", self.num_rows());
        }
        if rows.is_empty() {
            return Ok(Self::default());
        }
        let blocks = self.blocks.iter().map(|block| block.select(rows)).collect::<Result<_>>()?;
        let places = rows.iter().map(|&row| self.places[row].clone()).collect();
        let longest = rows.iter().map(|&row| self.longest[row]).collect();
        Ok(Self { blocks, places, longest })
    }

    /// One row `n` times.
    ///
    /// # Errors
    ///
    /// If there is not exactly one row; candle's.
    pub fn spread(&self, n: usize) -> Result<Self> {
        match self.num_rows() {
            1 => self.select(&vec![0; n]),
            rows => bail!("the cache has {rows} rows; only one can be spread"),
        }
    }

    /// Takes note of `columns` more tokens in each of `rows` rows. The first `padding[i]` of row i
    /// are no tokens; none of any, if `padding` is empty. The token in a column follows that in the
    /// column `follow[i]` says, or the last one before it, if `follow` is empty. After an error,
    /// nothing has changed.
    pub(super) fn extend(
        &mut self,
        rows: usize,
        columns: usize,
        padding: &[usize],
        follow: &[Vec<Option<usize>>],
    ) -> Result<()> {
        if !self.is_empty() && rows != self.num_rows() {
            bail!("{rows} rows are to follow {}; reset the model first", self.num_rows());
        }
        if !padding.is_empty() && padding.len() != rows {
            bail!("padding is given for {} rows of {rows}", padding.len());
        }
        if let Some(row) = padding.iter().position(|&padding| padding >= columns) {
            bail!("row {row} has {} columns of padding, of {columns}", padding[row]);
        }
        if !follow.is_empty() && follow.len() != rows {
            bail!("what tokens follow is given for {} rows of {rows}", follow.len());
        }
        if let Some(row) = follow.iter().position(|follow| follow.len() != columns) {
            bail!("row {row} says of {} tokens what they follow, not {columns}", follow[row].len());
        }
        let mut all = self.places.clone();
        all.resize(rows, Vec::new());
        for (row, places) in all.iter_mut().enumerate() {
            let padding = padding.get(row).copied().unwrap_or(0);
            let mut last = places.iter().rposition(Option::is_some);
            for column in 0..columns {
                if column < padding {
                    places.push(None);
                    continue;
                }
                let after = follow.get(row).map_or(last, |follow| follow[column]);
                let position = match after {
                    None => 0,
                    Some(after) => match places.get(after) {
                        Some(Some(before)) => before.position + 1,
                        _ => bail!("a token of row {row} follows column {after}: there is none"),
                    },
                };
                last = Some(places.len());
                places.push(Some(Place { position, after }));
            }
        }
        self.longest.resize(rows, 0);
        for (longest, places) in self.longest.iter_mut().zip(&all) {
            *longest = (*longest).max(text_length(places));
        }
        self.places = all;
        Ok(())
    }
}

/// The length of the longest text of a row.
pub(super) fn text_length(places: &[Option<Place>]) -> usize {
    places.iter().flatten().map(|place| place.position as usize + 1).max().unwrap_or(0)
}

/// The keys and values of one block, in buffers with room for more.
#[derive(Debug, Clone, Default)]
pub(crate) struct KeysValues {
    /// Both `[N, heads, room, D]`. They are written to, so clones that share them copy them first.
    buffers: Option<Arc<(Tensor, Tensor)>>,
    len: usize,
}

impl KeysValues {
    /// Adds keys and values `[N, heads, T, D]`, and returns all.
    pub fn append(&mut self, keys: &Tensor, values: &Tensor) -> Result<(Tensor, Tensor)> {
        let (from, len) = (self.len, self.len + keys.dim(2)?);
        let old = self.buffers.as_deref();
        let room = old.map_or(Ok(0), |(keys, _)| keys.dim(2))?;
        let shared = self.buffers.as_ref().is_some_and(|buffers| Arc::strong_count(buffers) > 1);
        if room < len || shared {
            let room = len + (len / 4).max(GROWTH);
            self.buffers = Some(Arc::new(match old {
                Some((keys, values)) => (grown(keys, from, room)?, grown(values, from, room)?),
                None => (blank(keys, room)?, blank(values, room)?),
            }));
        }
        let Some((all_keys, all_values)) = self.buffers.as_deref() else {
            bail!("there is no buffer")
        };
        all_keys.slice_set(&keys.contiguous()?, 2, from)?;
        all_values.slice_set(&values.contiguous()?, 2, from)?;
        self.len = len;
        Ok((all_keys.narrow(2, 0, len)?, all_values.narrow(2, 0, len)?))
    }

    fn select(&self, rows: &[usize]) -> Result<Self> {
        let Some((keys, values)) = self.buffers.as_deref() else { return Ok(Self::default()) };
        let rows = Tensor::from_iter(rows.iter().map(|&row| row as u32), keys.device())?;
        let select =
            |all: &Tensor| all.narrow(2, 0, self.len)?.contiguous()?.index_select(&rows, 0);
        let buffers = Arc::new((select(keys)?, select(values)?));
        Ok(Self { buffers: Some(buffers), len: self.len })
    }
}

/// A buffer for more of the same, with nothing in it.
fn blank(like: &Tensor, room: usize) -> Result<Tensor> {
    let (rows, heads, _, width) = like.dims4()?;
    Tensor::zeros((rows, heads, room, width), like.dtype(), like.device())
}

/// A larger buffer with the first `len` columns of `old`.
fn grown(old: &Tensor, len: usize, room: usize) -> Result<Tensor> {
    let new = blank(old, room)?;
    new.slice_set(&old.narrow(2, 0, len)?.contiguous()?, 2, 0)?;
    Ok(new)
}
