//! What was found in the rows of a batch, on the device, and what orders its readers.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytemuck::Pod;
use candle_core::Tensor;

use super::capture;
use super::gpu::{Gpu, Output};
use super::memory::{Used, lock};
use super::workspace::{Lane, Turn};
use crate::reduce::packed::{PackedDecision, PackedRow, PackedSampled};
use crate::reduce::requests::SlotRow;
use crate::reduce::{BadRow, Decision, ReduceError, Row};

/// How a result lies in its one allocation: the tokens first, so that they are a tensor without an
/// offset, and after them the rows, which kernels write 16 bytes at a time.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub(super) len: usize,
    pub(super) row_words: usize,
}

impl Layout {
    /// Where the rows begin, in words.
    pub(super) fn rows_at(self) -> usize {
        self.len.next_multiple_of(4)
    }

    fn words(self) -> usize {
        self.rows_at() + self.len * self.row_words
    }
}

/// Memory for what kernels find in a batch: a token for each row, and the rows.
pub(super) struct Found {
    pub(super) layout: Layout,
    pub(super) memory: Words,
}

/// The words of a result.
pub(super) struct Words {
    pub(super) output: Output<u32>,
    /// Whether cudarc has given it events, by which its tensors are ordered between streams.
    pub(super) is_tracked: bool,
}

impl Found {
    /// For so many rows of `row_words` each.
    pub(super) fn new(turn: &Turn<'_>, len: usize, row_words: usize) -> Result<Self, ReduceError> {
        let layout = Layout { len, row_words };
        Ok(Self { layout, memory: turn.result(layout.words())? })
    }
}

/// The rows of a batch, and their tokens, which are what most callers want. Any thread may read and
/// drop them.
#[derive(Debug, Clone)]
pub(crate) struct DeviceRows(Arc<Rows>);

struct Rows {
    gpu: Arc<Gpu>,
    made: Made,
    layout: Layout,
    /// There until it is dropped.
    memory: Mutex<Option<Memory>>,
}

/// Which work has made the rows.
#[derive(Clone)]
enum Made {
    /// What `used` stands for, given to the stream of `lane`.
    Given { used: Arc<Used>, lane: Weak<Lane> },
    /// The launches of a graph, from the capture with this id. The caller orders them.
    Captured(u64),
}

enum Memory {
    /// Nobody else has it.
    Own(Words),
    /// The caller may have it in tensors of tokens.
    Shared(Tensor),
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows").field("len", &self.layout.len).finish()
    }
}

impl DeviceRows {
    /// The results of `turn`, an operation on `gpu`.
    pub(super) fn new(gpu: &Arc<Gpu>, turn: &Turn<'_>, found: Found) -> Self {
        let made = match turn.capture() {
            Some(capture) => Made::Captured(capture.id),
            None => {
                let (used, lane) = (turn.used().clone(), Arc::downgrade(turn.lane()));
                Made::Given { used, lane }
            }
        };
        let Found { layout, memory } = found;
        let memory = Mutex::new(Some(Memory::Own(memory)));
        Self(Arc::new(Rows { gpu: gpu.clone(), made, layout, memory }))
    }

    pub(crate) fn len(&self) -> usize {
        self.0.layout.len
    }

    /// Their place in the order of the streams is then that of the thread that asks.
    pub(crate) fn tokens(&self) -> Result<Tensor, ReduceError> {
        self.0.follow()?;
        Ok(self.0.shared().narrow(0, 0, self.len())?)
    }

    /// The rows; `reduce` must have found them, not `decide`.
    pub(crate) fn rows(&self) -> Result<Vec<Result<Row, BadRow>>, ReduceError> {
        self.unpacked(PackedRow::row)
    }

    pub(crate) fn decisions(&self) -> Result<Vec<Result<Decision, BadRow>>, ReduceError> {
        self.unpacked(PackedDecision::decision)
    }

    /// What [`step`](super::step()) sampled.
    pub(crate) fn sampled(&self) -> Result<Vec<SlotRow>, ReduceError> {
        self.unpacked(|row: &PackedSampled, _| row.sampled())
    }

    fn unpacked<P: Pod, T>(&self, unpack: impl Fn(&P, usize) -> T) -> Result<Vec<T>, ReduceError> {
        self.0.follow()?;
        let words = self.0.copied()?;
        let rows: &[P] = bytemuck::cast_slice(&words);
        Ok(rows.iter().enumerate().map(|(i, row)| unpack(row, i)).collect())
    }
}

impl Rows {
    /// All of the memory, as a tensor of candle's from now on.
    fn shared(&self) -> Tensor {
        let mut memory = lock(&self.memory);
        let tensor = match memory.take().expect(TAKEN) {
            Memory::Own(Words { output, .. }) => {
                let words = output.len();
                self.gpu.tensor(output, words)
            }
            Memory::Shared(tensor) => tensor,
        };
        *memory = Some(Memory::Shared(tensor.clone()));
        tensor
    }

    /// The words of the rows, on the host.
    fn copied(&self) -> Result<Vec<u32>, ReduceError> {
        let (start, end) = (self.layout.rows_at(), self.layout.words());
        if start == end {
            return Ok(Vec::new());
        }
        let memory = lock(&self.memory);
        let tensor = match memory.as_ref().expect(TAKEN) {
            Memory::Own(Words { output, .. }) => {
                let stream = &self.gpu.stream;
                let copied = stream.clone_dtoh(&output.slice(start..end));
                // Another stream's copy must be done when the memory goes back to its lane. (It is:
                // the host's memory is pageable. But nothing else would order the two.)
                let done = if self.is_here() { Ok(()) } else { stream.synchronize() };
                return self
                    .gpu
                    .try_to("copy from the device", copied.and_then(|c| done.map(|()| c)));
            }
            Memory::Shared(tensor) => tensor.clone(),
        };
        drop(memory);
        // candle copies all of it.
        Ok(tensor.to_vec1::<u32>()?[start..end].to_vec())
    }

    /// Whether this thread's stream is the one that has made the rows.
    fn is_here(&self) -> bool {
        matches!(&self.made, Made::Given { used, .. } if used.is_here())
    }

    /// Lets what this thread gives to the device next follow what has made the rows.
    fn follow(&self) -> Result<(), ReduceError> {
        let Made::Given { used, .. } = &self.made else {
            return Ok(());
        };
        if used.is_here() {
            return Ok(());
        }
        let followed = self.gpu.capture().and_then(|capture| self.gpu.follow(used, capture));
        self.gpu.try_to("wait for another thread's stream", followed)
    }
}

const TAKEN: &str = "only drop takes it for good";

/// What nobody else has goes back to its lane, mostly without a call of the driver: those who have
/// read it have waited for what they read.
///
/// cudarc frees what tensors have on the stream of the thread that drops them: here, after what has
/// made the rows.
impl Drop for Rows {
    fn drop(&mut self) {
        let memory = self.memory.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        let memory = match (memory, &self.made) {
            (None, _) => return,
            (Some(Memory::Own(words)), Made::Given { used, lane }) => {
                return match lane.upgrade() {
                    Some(lane) => lane.take_back(words),
                    None => self.gpu.aside.free_result(words, used),
                };
            }
            (Some(memory), _) => memory,
        };
        let context = self.gpu.stream.context();
        let capture = self.gpu.capture();
        let can_be_freed = match (&self.made, &capture) {
            (Made::Given { used, .. }, Ok(None)) => self.gpu.follow(used, None).is_ok(),
            (Made::Captured(id), Ok(Some(now))) => *id == now.id,
            (Made::Captured(_), Ok(None)) => {
                // There may be nothing to free: each launch makes the memory anew, and none may
                // have been made. That is no error of the next call.
                let noted = context.check_err();
                drop(memory);
                let _ = context.check_err();
                return context.record_err(noted);
            }
            // Another capture cannot free it.
            (_, Ok(Some(_))) | (_, Err(_)) => false,
        };
        if !can_be_freed {
            let (gpu, made, layout) = (self.gpu.clone(), self.made.clone(), self.layout);
            let memory = Mutex::new(Some(memory));
            capture::drop_later(Box::new(Self { gpu, made, layout, memory }));
        }
    }
}
