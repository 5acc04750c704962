//! The commitment probe: measurements of how often a model knows the answer, and says another.

pub mod stats;
