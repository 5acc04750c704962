//! Toy models with a concept file, and what the example says of them.

use std::{ffi::OsString, ops::Deref, path::PathBuf};

use serde_json::Value;

use concept_mass_tiny::toy;
pub use concept_mass_tiny::toy::{Tensors, config, tensors};

use super::program::{PROMPT, Run, run};

/// A toy model and a concept file in one folder.
pub struct Toy(toy::Toy);

impl Deref for Toy {
    type Target = toy::Toy;

    fn deref(&self) -> &toy::Toy {
        &self.0
    }
}

impl Toy {
    /// A Llama with tied embeddings, in one file; `test` names the folder.
    pub fn new(test: &str) -> Self {
        Self::with(test, config("llama", true), &tensors("llama", true))
    }

    pub fn with(test: &str, config: Value, tensors: &Tensors) -> Self {
        let dir: PathBuf = [env!("CARGO_TARGET_TMPDIR"), "example", test].iter().collect();
        let toy = Self(toy::Toy::make(dir, &config, tensors));
        toy.write("concepts.json", r#"{"Saint Basil's": ["Saint", "St."], "Moscow": ["Moscow"]}"#);
        toy
    }

    /// The arguments that ask the model `prompt`.
    pub fn args(&self, prompt: &str) -> Vec<OsString> {
        let [model, concepts] = [self.dir.clone(), self.path("concepts.json")];
        vec![
            "--model".into(),
            model.into(),
            "--prompt".into(),
            prompt.into(),
            "--map".into(),
            "aliases".into(),
            concepts.into(),
        ]
    }

    /// What the example complains of; it must fail, in one paragraph, without panic or backtrace.
    pub fn complaint(&self, prompt: &str) -> String {
        let Run { success, stdout, stderr } = run(self.args(prompt));
        assert!(!success && stdout.is_empty(), "{stdout}\n{stderr}");
        let complaint = stderr.strip_prefix("error: ").expect(&stderr);
        let complaint = complaint.strip_suffix('\n').expect(complaint);
        assert!(!complaint.contains('\n') && !complaint.contains("panicked"), "{complaint}");
        complaint.to_owned()
    }

    /// Asserts that the complaint names `file` of this folder, and says all of `parts`.
    pub fn complains_of(&self, file: &str, parts: &[&str]) {
        let complaint = self.complaint(PROMPT);
        let file = self.path(file).display().to_string();
        for part in parts.iter().copied().chain([file.as_str()]) {
            assert!(complaint.contains(part), "{part:?} is not in {complaint:?}");
        }
    }
}
