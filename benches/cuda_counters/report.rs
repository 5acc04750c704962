//! What the emulator counted: a line of JSON per launch, in the file that `CUDA_EMU_REPORT` names.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Result;

/// Sums over one or more launches, by the emulator's names.
#[derive(Clone, Default)]
pub struct Counters(BTreeMap<String, u64>);

impl Counters {
    /// 0 if nothing was launched.
    pub fn get(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0) as f64
    }

    fn add(&mut self, launch: &serde_json::Value) {
        for (name, value) in launch.as_object().into_iter().flatten() {
            // What is not a number does not add up: the kernel's name, the size of its grid.
            if let Some(value) = value.as_u64() {
                *self.0.entry(name.clone()).or_default() += value;
            }
        }
    }
}

/// The file, which grows with every launch.
pub struct Report(pub PathBuf);

impl Report {
    /// What `operation` gives, and the counters of its launches. They run to their end within it.
    pub fn of<T>(&self, operation: impl FnOnce() -> Result<T>) -> Result<(T, Counters)> {
        let before = self.text().len();
        let result = operation()?;
        let mut counters = Counters::default();
        for line in self.text()[before..].lines() {
            counters.add(&serde_json::from_str(line)?);
        }
        Ok((result, counters))
    }

    /// Nothing if nothing was launched yet, or not on the emulator.
    fn text(&self) -> String {
        fs::read_to_string(&self.0).unwrap_or_default()
    }
}
