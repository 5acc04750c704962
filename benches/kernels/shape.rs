//! The constants that rivals.cu and the bench share; build.rs hands them to nvcc.

/// Threads of a block.
pub const THREADS: usize = 128;
/// Sixteen-byte loads that each thread of `argmax` has in flight.
pub const PER_THREAD: usize = 4;
