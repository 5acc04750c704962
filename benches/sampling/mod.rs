//! The parts of the bench `cpu_sampling`.

pub mod line;
pub mod mode;
pub mod oracle;
pub mod past;
pub mod promises;
pub mod report;
pub mod rivals;
pub mod row;
pub mod torch;
