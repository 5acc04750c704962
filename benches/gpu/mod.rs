//! What `gpu_reduction` measures, how it knows that the answers are right, and how it times them.

pub mod case;
mod check;
mod kernels;
pub mod report;
pub mod timer;
