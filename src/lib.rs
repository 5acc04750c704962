//! Count meanings, not tokens.
mod concept;
mod decode;
mod error;
mod reduce;

pub use concept::{Builder, ConceptMap, MAX_VOCAB_SIZE, MapStats, ProbeSet, ProbeSetBuilder};
pub use decode::{ConceptSampler, Sampling};
pub use error::{Error, MapFileProblem, Result};
pub use reduce::{DeviceMap, DeviceProbes, Probed, Reduction, Row, Status, reference};
