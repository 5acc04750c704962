//! The commitment probe: its statistics, its measurements, and the program.

mod probe {
    mod bytes;
    mod device;
    mod extremes;
    #[cfg(feature = "hub")]
    mod hub;
    mod killed;
    mod layouts;
    mod measures;
    mod program;
    mod properties;
    mod questions;
    mod real;
    mod statistics;
    mod summary;
    mod taught;
}
