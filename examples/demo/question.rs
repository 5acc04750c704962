//! A prompt, and what its answers may mean.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Error, Result, ensure};
use concept_mass::{ConceptMap, DeviceMap};

use super::{Decoder, read_json, text::Text};
use crate::corpus;

/// Concepts by name, each with the forms in which it may be spelt.
pub struct Concepts(BTreeMap<String, Vec<String>>);

impl Concepts {
    /// Reads `{"Concept": ["form", "another form"], ...}`.
    pub fn load(path: &Path) -> Result<Self> {
        let ought = r#"a JSON object like {"Concept": ["form", "another form"], ...}"#;
        Ok(Self(read_json(path, ought)?))
    }

    /// The concepts of a question of the corpus.
    pub fn of(question: &corpus::Question) -> Self {
        let mut concepts = BTreeMap::<_, Vec<_>>::new();
        for (concept, form, _) in question.forms() {
            concepts.entry(concept.to_owned()).or_default().push(form.to_owned());
        }
        Self(concepts)
    }

    /// Which tokens begin which concept, when an answer follows `prompt`.
    fn map(&self, prompt: &str, text: &Text, vocab_size: usize) -> Result<ConceptMap> {
        ensure!(!self.0.is_empty(), "it names no concepts; name at least one");
        let mut builder = ConceptMap::builder(vocab_size);
        for (name, forms) in &self.0 {
            let mut tokens = Vec::new();
            for form in forms {
                let token = text.first_token(prompt, form);
                tokens.push(token.with_context(|| format!("form {form:?} of concept {name:?}"))?);
            }
            builder = builder.concept(name, tokens).map_err(|error| explain(error, text))?;
        }
        Ok(builder.build()?)
    }
}

/// Adds what the crate cannot know: how a token is spelt.
fn explain(error: concept_mass::Error, text: &Text) -> Error {
    match error {
        concept_mass::Error::TokenInTwoConcepts { token, .. } => {
            let spelling = text.token(token).unwrap_or_default();
            Error::new(error).context(format!("{spelling:?} begins forms of two concepts"))
        }
        error => error.into(),
    }
}

/// A prompt and its map, ready to be decoded.
pub struct Question {
    pub prompt: String,
    pub tokens: Vec<u32>,
    pub map: DeviceMap,
}

impl Question {
    pub fn new(decoder: &Decoder, prompt: &str, concepts: &Concepts) -> Result<Self> {
        let map = concepts.map(prompt, &decoder.text, decoder.vocab_size)?;
        Ok(Self {
            prompt: prompt.to_owned(),
            tokens: decoder.text.encode(prompt)?,
            map: map.to_device(&decoder.device)?,
        })
    }
}
