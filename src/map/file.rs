//! The map's file format, version 1: one JSON object.
//!
//! ```json
//! {
//!   "format": "concept-mass map",
//!   "version": 1,
//!   "vocab_size": 128256,
//!   "concepts": [
//!     { "name": "Saint Basil's Cathedral", "tokens": [45473, 800, 356] },
//!     { "tokens": [17, 99] }
//!   ]
//! }
//! ```
//!
//! The concepts have the ids 0, 1, 2, … in the order in which they are listed. The tokens that no
//! concept lists follow as concepts of one, in the order of their ids. Only `name` may be left out.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::map::check_vocab_size;
use super::{ConceptMap, FileProblem, MapError};

/// The value of the field `format`.
pub(crate) const FORMAT: &str = "concept-mass map";
/// The value of the field `version`.
pub(crate) const VERSION: u64 = 1;

/// Read first, so that a document of another kind or version is reported as such.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u64,
    vocab_size: usize,
    concepts: Vec<Concept>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Concept {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    tokens: Vec<u32>,
}

impl ConceptMap {
    /// Writes the map to a file, in the format of [`to_json`](Self::to_json).
    ///
    /// # Errors
    ///
    /// [`MapError::Save`] if the file cannot be written.
    ///
    /// ```
    /// # use concept_mass::ConceptMap;
    /// # let path = std::env::temp_dir().join(format!("map-{}.json", std::process::id()));
    /// let map = ConceptMap::builder(9).concept("a", [1, 2])?.build()?;
    /// map.save(&path)?;
    /// assert_eq!(ConceptMap::load(&path)?, map);
    /// # std::fs::remove_file(path).unwrap();
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), MapError> {
        let path = path.as_ref();
        let failed = |source| MapError::Save { path: path.to_owned(), source };
        fs::write(path, self.to_json()).map_err(failed)
    }

    /// Reads a map from a file, in the format of [`to_json`](Self::to_json).
    ///
    /// # Errors
    ///
    /// [`MapError::File`] with the path if the file cannot be read or is not a valid map; its
    /// [`FileProblem`] names the offending field.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, MapError> {
        let path = path.as_ref();
        let text = fs::read(path).map_err(|e| in_file(e.into(), Some(path)))?;
        parse(&text).map_err(|problem| in_file(problem, Some(path)))
    }

    /// Returns the map as JSON: an object with these fields, in `O(V)`.
    ///
    /// | field | value |
    /// | --- | --- |
    /// | `format` | `"concept-mass map"` |
    /// | `version` | `1` |
    /// | `vocab_size` | `V`, from 1 to [`MAX_VOCAB_SIZE`](crate::map::MAX_VOCAB_SIZE) |
    /// | `concepts` | an array of `{"name": "…", "tokens": [1, 2]}`; `name` may be left out |
    ///
    /// The concepts have the ids 0, 1, 2, … in that order. The tokens that no concept lists follow
    /// as concepts of one, in the order of their ids.
    ///
    /// ```
    /// # use concept_mass::ConceptMap;
    /// let map = ConceptMap::builder(9).concept("a", [1, 2])?.build()?;
    /// assert_eq!(
    ///     map.to_json(),
    ///     r#"{"format":"concept-mass map","version":1,"vocab_size":9,"concepts":[{"name":"a","tokens":[1,2]}]}"#
    /// );
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn to_json(&self) -> String {
        let concepts = (0..self.listed_concepts())
            .map(|c| Concept {
                name: self.name(c).map(str::to_owned),
                tokens: self.tokens(c).unwrap_or_default().to_vec(),
            })
            .collect();
        let document = Document {
            format: FORMAT.to_owned(),
            version: VERSION,
            vocab_size: self.vocab_size(),
            concepts,
        };
        // serde_json fails over keys that are no strings and over types whose own serialisation
        // fails: here are structs of strings, integers and lists of them.
        serde_json::to_string(&document).expect("strings and integers always serialise")
    }

    /// Reads a map from JSON; see [`to_json`](Self::to_json) for the format.
    ///
    /// # Errors
    ///
    /// [`MapError::File`] without a path; its [`FileProblem`] names the offending field. Never
    /// panics, and takes no more memory than a text of this length can need.
    ///
    /// ```
    /// use concept_mass::{ConceptMap, map::{FileProblem, MapError}};
    ///
    /// let text = r#"{"format":"concept-mass map","version":1,"vocab_size":9,
    ///                "concepts":[{"tokens":[3,"x"]}]}"#;
    /// let Err(MapError::File { problem: FileProblem::Field { field, .. }, .. }) =
    ///     ConceptMap::from_json(text)
    /// else {
    ///     unreachable!("\"x\" is not a token id")
    /// };
    /// assert_eq!(field, "concepts[0].tokens[1]");
    /// ```
    pub fn from_json(text: impl AsRef<[u8]>) -> Result<Self, MapError> {
        parse(text.as_ref()).map_err(|problem| in_file(problem, None))
    }

    /// The number of concepts up to and including the last that a reader could not infer: those
    /// after it are unnamed singletons in the order of their tokens.
    fn listed_concepts(&self) -> u32 {
        let mut next_token = u32::MAX;
        let mut listed = self.num_concepts() as u32;
        while listed > 0 {
            match self.tokens(listed - 1) {
                Some(&[token]) if token < next_token && self.name(listed - 1).is_none() => {
                    next_token = token;
                    listed -= 1;
                }
                _ => break,
            }
        }
        listed
    }
}

fn in_file(problem: FileProblem, path: Option<&Path>) -> MapError {
    MapError::File { path: path.map(Path::to_path_buf), problem }
}

fn parse(text: &[u8]) -> Result<ConceptMap, FileProblem> {
    let Header { format, version } = fields(text)?;
    if format != FORMAT {
        return Err(FileProblem::Format { got: format });
    }
    if version != VERSION {
        return Err(FileProblem::Version { got: version });
    }
    let document: Document = fields(text)?;
    let content =
        |field: String| |error: MapError| FileProblem::Content { field, source: Box::new(error) };
    check_vocab_size(document.vocab_size).map_err(content("vocab_size".to_owned()))?;
    let builder = ConceptMap::builder(document.vocab_size);
    let builder = document.concepts.into_iter().enumerate().try_fold(builder, |b, (i, c)| {
        b.add(c.name, c.tokens).map_err(content(format!("concepts[{i}]")))
    })?;
    builder.build().map_err(content("vocab_size".to_owned()))
}

/// Deserialises, and names the field where that fails.
pub(crate) fn fields<T: DeserializeOwned>(text: &[u8]) -> Result<T, FileProblem> {
    let at = |field: String, source| FileProblem::Field { field, source };
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|e| at(e.path().to_string(), e.into_inner()))?;
    deserializer.end().map_err(|e| at(".".to_owned(), e))?;
    Ok(value)
}
