//! The commitment probe: its statistics, its measurements, and what they come to.

mod common;

mod probe {
    mod measures;
    mod questions;
    mod statistics;
    mod summary;
    mod taught;
}
