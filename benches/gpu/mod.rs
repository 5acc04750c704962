//! What `gpu_reduction` measures, how it knows that the answers are right, and how it times them.

pub mod case;
mod check;
pub mod inputs;
mod kernels;
pub mod load;
pub mod report;
mod rival;
mod samplers;
pub mod timer;
