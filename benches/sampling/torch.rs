//! PyTorch, in a process of its own: `benches/cpu_rivals.py`, which is spoken to by lines of JSON.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use candle_core::{DType, Tensor};
use concept_mass::ConceptMap;
use half::bf16;
use serde_json::{Value, json};

use super::mode::{K, MIN_P, Mode, P, PENALTIES, TEMPERATURE};
use super::past::Past;

/// Names a Python that has PyTorch.
const VARIABLE: &str = "CONCEPT_MASS_TORCH_PYTHON";

pub struct Torch {
    child: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    pub version: String,
    folder: PathBuf,
}

impl Torch {
    /// None unless the variable is set.
    pub fn start() -> anyhow::Result<Option<Self>> {
        let Some(python) = std::env::var_os(VARIABLE) else {
            return Ok(None);
        };
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cpu_sampling");
        fs::create_dir_all(&folder)?;
        let mut child = Command::new(&python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/cpu_rivals.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("{VARIABLE} names {}", python.display()))?;
        let requests = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("a pipe")?);
        let mut torch = Self { child, requests, answers, version: String::new(), folder };
        let constants = json!({
            "temperature": TEMPERATURE, "k": K, "p": P, "min_p": MIN_P,
            "repetition": PENALTIES.repetition, "presence": PENALTIES.presence,
            "frequency": PENALTIES.frequency,
        });
        let version = torch.ask(json!({ "constants": constants }))?;
        torch.version = version.as_str().context("a version")?.to_owned();
        Ok(Some(torch))
    }

    /// The row, the map (none if it pools nothing) and the past of the modes that follow.
    pub fn set_row(
        &mut self,
        logits: &Tensor,
        map: Option<&ConceptMap>,
        past: &Past,
    ) -> anyhow::Result<()> {
        let row = match logits.dtype() {
            DType::BF16 => self.write("row", logits.to_vec1::<bf16>()?, bf16::to_le_bytes)?,
            _ => self.write("row", logits.to_vec1::<f32>()?, f32::to_le_bytes)?,
        };
        let concept_ids = map
            .map(|map| self.write("map", map.concept_ids().to_vec(), u32::to_le_bytes))
            .transpose()?;
        let mask = self.write("mask", past.mask.clone(), u32::to_le_bytes)?;
        self.ask(json!({
            "row": row, "dtype": logits.dtype().as_str(), "map": concept_ids, "mask": mask,
            "seen": past.seen,
        }))?;
        Ok(())
    }

    fn write<T, const N: usize>(
        &self,
        name: &str,
        values: Vec<T>,
        bytes: fn(T) -> [u8; N],
    ) -> anyhow::Result<PathBuf> {
        let path = self.folder.join(name);
        fs::write(&path, values.into_iter().flat_map(bytes).collect::<Vec<u8>>())?;
        Ok(path)
    }

    /// Chooses the mode, and gives so many of its answers: concepts.
    pub fn set_mode(&mut self, mode: Mode, answers: usize) -> anyhow::Result<Vec<u32>> {
        let answers = self.ask(json!({ "mode": mode.name(), "answers": answers }))?;
        Ok(serde_json::from_value(answers)?)
    }

    /// Microseconds a call: the median over a burst, which is at least one call.
    pub fn burst(&mut self, length: Duration) -> anyhow::Result<f64> {
        self.ask(json!({ "burst": length.as_secs_f64() }))?.as_f64().context("a time")
    }

    fn ask(&mut self, request: Value) -> anyhow::Result<Value> {
        let requests = self.requests.as_mut().context("a pipe")?;
        writeln!(requests, "{request}")?;
        requests.flush()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        ensure!(!answer.is_empty(), "the Python of {VARIABLE} ended; it says why above");
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Drop for Torch {
    fn drop(&mut self) {
        // The end of the requests is the end of the process.
        self.requests = None;
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
