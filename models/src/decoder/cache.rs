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
#[derive(Debug, Clone, Default)]
pub struct Cache {
    /// None before the first token.
    pub(crate) blocks: Vec<KeysValues>,
    /// Of every row, the position of the token in each column; none where there is padding.
    pub(super) places: Vec<Vec<Option<u32>>>,
    /// Of every row, the most tokens that it has had since it was empty.
    pub(super) longest: Vec<usize>,
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

    /// Takes note of `columns` more tokens in each of `rows` rows, of which the first ones of row
    /// i, `padding[i]`, are no tokens. No row is padded if `padding` is empty. After an error,
    /// nothing has changed.
    pub(super) fn extend(&mut self, rows: usize, columns: usize, padding: &[usize]) -> Result<()> {
        if !self.is_empty() && rows != self.num_rows() {
            bail!("{rows} rows are to follow {}; reset the model first", self.num_rows());
        }
        if !padding.is_empty() && padding.len() != rows {
            bail!("padding is given for {} rows of {rows}", padding.len());
        }
        if let Some(row) = padding.iter().position(|&padding| padding >= columns) {
            bail!("row {row} has {} columns of padding, of {columns}", padding[row]);
        }
        self.places.resize(rows, Vec::new());
        self.longest.resize(rows, 0);
        for (row, places) in self.places.iter_mut().enumerate() {
            let padding = padding.get(row).copied().unwrap_or(0);
            let next = places.iter().flatten().last().map_or(0, |last| last + 1);
            places.extend((0..padding).map(|_| None));
            places.extend((0..columns - padding).map(|i| Some(next + i as u32)));
            self.longest[row] = self.longest[row].max(next as usize + columns - padding);
        }
        Ok(())
    }
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
