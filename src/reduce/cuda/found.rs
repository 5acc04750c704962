//! What was found in the rows of a batch, on the device, and what orders its readers.

use std::sync::Arc;

use bytemuck::Pod;
use candle_core::Tensor;

use super::capture;
use super::gpu::Gpu;
use super::memory::Used;
use super::workspace::Turn;
use crate::reduce::packed::{PackedDecision, PackedRow};
use crate::reduce::{BadRow, Decision, ReduceError, Row};

/// The rows of a batch, and their tokens, which are what most callers want. Any thread may read and
/// drop them.
#[derive(Debug, Clone)]
pub(crate) struct DeviceRows(Arc<Rows>);

struct Rows {
    gpu: Arc<Gpu>,
    made: Made,
    /// There until it is dropped.
    found: Option<Found>,
}

/// Which work has made the rows.
#[derive(Clone)]
enum Made {
    /// What this stands for, given to a stream.
    Given(Arc<Used>),
    /// The launches of a graph, from the capture with this id. The caller orders them.
    Captured(u64),
}

struct Found {
    /// `u32`: a [`PackedRow`] or a [`PackedDecision`] for each row.
    rows: Tensor,
    /// `u32` `[B]`.
    tokens: Tensor,
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("len", &self.found().tokens.elem_count()).finish()
    }
}

impl DeviceRows {
    /// The results of `turn`, an operation on `gpu`.
    pub(super) fn new(gpu: &Arc<Gpu>, turn: &Turn<'_>, rows: Tensor, tokens: Tensor) -> Self {
        let made = match turn.capture() {
            Some(capture) => Made::Captured(capture.id),
            None => Made::Given(turn.used().clone()),
        };
        Self(Arc::new(Rows { gpu: gpu.clone(), made, found: Some(Found { rows, tokens }) }))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.found().tokens.elem_count()
    }

    /// Their place in the order of the streams is then that of the thread that asks.
    pub(crate) fn tokens(&self) -> Result<Tensor, ReduceError> {
        self.0.follow()?;
        Ok(self.0.found().tokens.clone())
    }

    /// The rows; `reduce` must have found them, not `decide`.
    pub(crate) fn rows(&self) -> Result<Vec<Result<Row, BadRow>>, ReduceError> {
        self.unpacked(PackedRow::row)
    }

    pub(crate) fn decisions(&self) -> Result<Vec<Result<Decision, BadRow>>, ReduceError> {
        self.unpacked(PackedDecision::decision)
    }

    fn unpacked<P: Pod, T>(&self, unpack: impl Fn(&P, usize) -> T) -> Result<Vec<T>, ReduceError> {
        self.0.follow()?;
        let words = self.0.found().rows.to_vec1::<u32>()?;
        let rows: &[P] = bytemuck::cast_slice(&words);
        Ok(rows.iter().enumerate().map(|(i, row)| unpack(row, i)).collect())
    }
}

impl Rows {
    fn found(&self) -> &Found {
        self.found.as_ref().expect("it is taken by drop alone")
    }

    /// Lets what this thread gives to the device next follow what has made the rows.
    fn follow(&self) -> Result<(), ReduceError> {
        let Made::Given(used) = &self.made else {
            return Ok(());
        };
        if used.is_here() {
            return Ok(());
        }
        let followed = self.gpu.capture().and_then(|capture| self.gpu.follow(used, capture));
        self.gpu.try_to("wait for another thread's stream", followed)
    }
}

/// cudarc frees what tensors have on the stream of the thread that drops them: here, after what has
/// made the rows. (Their readers have waited for what they have read.)
impl Drop for Rows {
    fn drop(&mut self) {
        let Some(found) = self.found.take() else {
            return;
        };
        let context = self.gpu.stream.context();
        let capture = self.gpu.capture();
        let can_be_freed = match (&self.made, &capture) {
            (Made::Given(used), Ok(None)) => self.gpu.follow(used, None).is_ok(),
            (Made::Captured(id), Ok(Some(now))) => *id == now.id,
            (Made::Captured(_), Ok(None)) => {
                // There may be nothing to free: each launch makes the memory anew, and none may
                // have been made. That is no error of the next call.
                let noted = context.check_err();
                drop(found);
                let _ = context.check_err();
                return context.record_err(noted);
            }
            // Another capture cannot free it.
            (_, Ok(Some(_))) | (_, Err(_)) => false,
        };
        if !can_be_freed {
            let (gpu, made) = (self.gpu.clone(), self.made.clone());
            capture::drop_later(Box::new(Self { gpu, made, found: Some(found) }));
        }
    }
}
