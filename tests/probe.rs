//! The commitment probe: its statistics, and its measurements.

mod common;

mod probe {
    mod measures;
    mod questions;
    mod statistics;
    mod taught;
}
