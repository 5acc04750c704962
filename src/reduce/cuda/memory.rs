//! Memory that lives on a device for as long as something uses it: that of maps, sets of tokens,
//! noise, and scratch.
//!
//! Freeing it waits for nothing, on any thread, whatever is being captured anywhere. Each stream
//! that is given work has one event, recorded after every operation ([`Used`]). Memory keeps the
//! events of the streams that have used it. When it is dropped, a stream of the crate's own, which
//! is never captured, waits for these events, and then frees it ([`Aside`]).

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use cudarc::driver::sys::{CUdeviceptr, CUevent_wait_flags, CUstream};
use cudarc::driver::{CudaContext, CudaEvent, CudaStream, DriverError, result};

use super::capture;
use super::found::Words;

/// Locks what stays whole even if a thread panics while it holds the lock.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the device that of this thread's next calls. (Unlike `bind_to_thread`, whatever error has
/// been noted before.)
pub(super) fn bind(context: &CudaContext) -> Result<(), DriverError> {
    // SAFETY: the context is alive.
    unsafe { result::ctx::set_current(context.cu_ctx()) }
}

/// The point up to which a stream has been given operations of this crate.
#[derive(Debug)]
pub(super) struct Used {
    event: CudaEvent,
    /// Whose stream it is, where each thread has one.
    thread: Option<ThreadId>,
    /// Nothing more will be recorded, and [`Aside`] waits for all that was.
    settled: AtomicBool,
}

impl Used {
    pub(super) fn new(
        context: &Arc<CudaContext>,
        thread: Option<ThreadId>,
    ) -> Result<Self, DriverError> {
        Ok(Self { event: context.new_event(None)?, thread, settled: AtomicBool::new(false) })
    }

    /// Whether what this thread gives to the device's stream follows anyway.
    pub(super) fn is_here(&self) -> bool {
        self.thread.is_none_or(|thread| thread == thread::current().id())
    }

    /// Moves the point on to the end of what the stream has been given. The stream must always be
    /// the same, and not be captured.
    pub(super) fn record(&self, stream: &CudaStream) -> Result<(), DriverError> {
        // SAFETY: the event and the stream are alive, and of one context.
        unsafe { result::event::record(self.event.cu_event(), stream.cu_stream()) }
    }

    /// Lets what `stream` is given next follow.
    pub(super) fn before(&self, stream: CUstream) -> Result<(), DriverError> {
        let flags = CUevent_wait_flags::CU_EVENT_WAIT_DEFAULT;
        // SAFETY: the caller's stream and the event are alive.
        unsafe { result::stream::wait_event(stream, self.event.cu_event(), flags) }
    }

    /// Waits.
    pub(super) fn wait(&self) -> Result<(), DriverError> {
        // SAFETY: the event is alive.
        capture::relaxed(|| unsafe { result::event::synchronize(self.event.cu_event()) })
    }
}

/// A stream that nobody captures. It frees memory, and fills what must be there at once.
pub(super) struct Aside {
    context: Arc<CudaContext>,
    stream: CUstream,
}

// SAFETY: a stream may be used by all threads.
unsafe impl Send for Aside {}
// SAFETY: as above.
unsafe impl Sync for Aside {}

impl Aside {
    pub(super) fn new(context: &Arc<CudaContext>) -> Result<Self, DriverError> {
        bind(context)?;
        // cudarc is not told of it: it would begin to order the streams that it knows by events.
        let stream = result::stream::create(result::stream::StreamKind::NonBlocking)?;
        Ok(Self { context: context.clone(), stream })
    }

    pub(super) fn context(&self) -> &Arc<CudaContext> {
        &self.context
    }

    pub(super) fn stream(&self) -> CUstream {
        self.stream
    }

    /// Waits until all is done that the stream has been given.
    pub(super) fn wait(&self) -> Result<(), DriverError> {
        // SAFETY: the stream is alive.
        capture::relaxed(|| unsafe { result::stream::synchronize(self.stream) })
    }

    /// Records that no more follows what `used` stands for.
    pub(super) fn settle(&self, used: &Used) {
        let done = bind(&self.context).and_then(|()| used.before(self.stream));
        used.settled.store(done.is_ok(), Ordering::Release);
        self.context.record_err(done);
    }

    /// Frees the memory of a result, after what `used` stands for.
    pub(super) fn free_result(&self, memory: Words, used: &Arc<Used>) {
        let freed = self.free(memory.output.leak(), std::slice::from_ref(used));
        self.context.record_err(freed);
    }

    fn free(&self, address: CUdeviceptr, users: &[Arc<Used>]) -> Result<(), DriverError> {
        bind(&self.context)?;
        for user in users.iter().filter(|user| !user.settled.load(Ordering::Acquire)) {
            user.before(self.stream)?;
        }
        if self.context.has_async_alloc() {
            // SAFETY: the memory is from `allocate`; all that uses it comes before.
            return unsafe { result::free_async(address, self.stream) };
        }
        self.wait()?;
        // SAFETY: as above, and it has been waited for.
        capture::relaxed(|| unsafe { result::free_sync(address) })
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // SAFETY: nothing else has the stream. What it has been given is still done.
        let destroyed =
            bind(&self.context).and_then(|()| unsafe { result::stream::destroy(self.stream) });
        self.context.record_err(destroyed);
    }
}

/// Unset memory, there for what `stream` is given next.
pub(super) fn allocate(
    context: &CudaContext,
    bytes: usize,
    stream: CUstream,
) -> Result<CUdeviceptr, DriverError> {
    // SAFETY: whoever asks has the memory written before it is read.
    unsafe {
        if context.has_async_alloc() {
            result::malloc_async(stream, bytes)
        } else {
            capture::relaxed(|| result::malloc_sync(bytes))
        }
    }
}

/// Memory that a graph which reads it keeps.
pub(super) struct Allocation {
    address: CUdeviceptr,
    aside: Arc<Aside>,
    users: Mutex<Vec<Arc<Used>>>,
    /// What it points to, which must be there as long as it is.
    held: Mutex<Vec<Arc<Allocation>>>,
}

impl Allocation {
    /// Before it is freed, what `used` stands for then has been done.
    pub(super) fn used_by(&self, used: &Arc<Used>) {
        let mut users = lock(&self.users);
        if users.iter().any(|user| Arc::ptr_eq(user, used)) {
            return;
        }
        users.retain(|user| !user.settled.load(Ordering::Acquire));
        users.push(used.clone());
    }

    /// The streams that have used it.
    pub(super) fn users(&self) -> Vec<Arc<Used>> {
        lock(&self.users).clone()
    }

    /// Keeps what it points to from now on.
    pub(super) fn hold(&self, memory: &Arc<Allocation>) {
        lock(&self.held).push(memory.clone());
    }

    /// It points to `memory` no more. Whoever has used this may have used that.
    pub(super) fn release(&self, memory: &Arc<Allocation>) {
        for user in self.users() {
            memory.used_by(&user);
        }
        lock(&self.held).retain(|held| !Arc::ptr_eq(held, memory));
    }
}

impl Drop for Allocation {
    fn drop(&mut self) {
        // It is kept rather than freed too early if a stream cannot be waited for; the device is
        // lost then, as its next call says.
        let users = self.users();
        let freed = self.aside.free(self.address, &users);
        self.aside.context.record_err(freed);
        for held in self.held.get_mut().unwrap_or_else(PoisonError::into_inner) {
            users.iter().for_each(|user| held.used_by(user));
        }
    }
}

/// Values on the device.
pub(super) struct Buffer<T> {
    memory: Arc<Allocation>,
    len: usize,
    values: PhantomData<fn() -> T>,
}

impl<T> Buffer<T> {
    /// Room for `len` values (or one if that is none), which hold anything, for what `stream` is
    /// given next.
    pub(super) fn new(
        aside: &Arc<Aside>,
        len: usize,
        stream: CUstream,
    ) -> Result<Self, DriverError> {
        let address = allocate(&aside.context, len.max(1) * size_of::<T>(), stream)?;
        let (users, held) = Default::default();
        let memory = Allocation { address, aside: aside.clone(), users, held };
        Ok(Self { memory: Arc::new(memory), len, values: PhantomData })
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn bytes(&self) -> usize {
        self.len * size_of::<T>()
    }

    pub(super) fn address(&self) -> CUdeviceptr {
        self.memory.address
    }

    pub(super) fn memory(&self) -> &Arc<Allocation> {
        &self.memory
    }
}
