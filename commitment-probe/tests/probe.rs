//! The commitment probe: its statistics, its measurements, and the program.

mod probe {
    mod bytes;
    mod coverage;
    mod device;
    mod extremes;
    mod faults;
    #[cfg(feature = "hub")]
    mod hub;
    mod killed;
    mod layouts;
    mod measures;
    mod program;
    mod prompts;
    mod properties;
    mod question_files;
    mod question_layouts;
    mod questions;
    mod real;
    mod scorers;
    mod simulated;
    mod statistics;
    mod summary;
    mod taught;
}
