//! The commitment probe: its statistics, its measurements, and the program.

mod common;

mod probe {
    mod killed;
    mod measures;
    mod program;
    mod questions;
    mod statistics;
    mod summary;
    mod taught;
}
