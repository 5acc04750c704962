//! The states of a run's prompts, as files.
//!
//! While a run is going on, each question's states are appended to `hidden.part` before its sample is
//! to `samples.jsonl`: whatever kills the run, a sample that is there has its states. At its end all
//! are put into `hidden.safetensors`, by question id:
//!
//! | tensor | shape, type | what |
//! | --- | --- | --- |
//! | `states/ID` | `[B, D]`, f16 | after the blocks, at the last token of the prompt |
//! | `embedding/ID` | `[D]`, f16 | the mean of the prompt's token embeddings |
//! | `scale/ID` | `[B + 1]`, f32 | by what the rows, and the embedding, were divided to fit into f16: powers of two. Only where one is not 1 |
//!
//! Its metadata say which blocks. `hidden.part` has them in its first line, and then for each question a
//! line with its id and scales, its numbers, and a line break.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use half::f16;
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use super::error::HiddenError;
use crate::Schema;

/// The name of the file of a finished run.
pub(super) const WHOLE: &str = "hidden.safetensors";

/// And of a run that is going on.
pub(super) const PART: &str = "hidden.part";

/// The key of the metadata.
pub(super) const ABOUT: &str = "commitment_probe";

/// What is wrong with a file whose states no model has.
const IMPOSSIBLE: &str = "it is of blocks or of a width that no model has";

/// Which blocks states are of.
///
/// ```
/// use commitment_probe::Blocks;
///
/// assert_eq!(Blocks::quarters(30).numbers(), [8, 15, 23, 30]);
/// assert_eq!(Blocks::quarters(2).numbers(), [1, 2]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocks {
    numbers: Vec<usize>,
    of: usize,
}

impl Blocks {
    /// A quarter, half, three quarters and all of `of` blocks, rounded up: each once.
    pub fn quarters(of: usize) -> Self {
        let mut numbers: Vec<usize> =
            (1..=4).map(|k| of / 4 * k + (of % 4 * k).div_ceil(4)).collect();
        numbers.dedup();
        numbers.retain(|&number| number > 0);
        Self { numbers, of }
    }

    /// Their numbers, the first block being 1, in ascending order.
    pub fn numbers(&self) -> &[usize] {
        &self.numbers
    }

    /// The same from 0, as [`LanguageModel::states`](crate::LanguageModel::states) takes them.
    pub fn places(&self) -> Vec<usize> {
        self.numbers.iter().map(|number| number - 1).collect()
    }

    /// How many blocks the model has.
    pub fn of(&self) -> usize {
        self.of
    }
}

/// What is the same for all questions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub schema: Schema,
    #[serde(flatten)]
    pub blocks: Blocks,
    pub width: usize,
}

impl About {
    /// The bytes of one question's numbers; `None` if it is not about states that a model can have.
    pub fn bytes(&self) -> Option<usize> {
        let Blocks { numbers, of } = &self.blocks;
        let is_possible = self.width > 0 && *of > 0 && self.blocks == Blocks::quarters(*of);
        let rows = is_possible.then_some(numbers.len() + 1)?;
        rows.checked_mul(self.width)?.checked_mul(size_of::<f16>())
    }
}

/// The line before a question's numbers.
#[derive(Serialize, Deserialize)]
pub(super) struct Head<'a> {
    pub id: Cow<'a, str>,
    pub scale: Vec<f32>,
}

/// The hidden states of one question.
#[derive(Debug, Clone, PartialEq)]
pub struct HiddenState {
    /// Of each block, the state at the last token of the prompt, `[D]`.
    pub states: Vec<Vec<f32>>,
    /// The mean of the embeddings of the prompt's tokens, `[D]`.
    pub embedding: Vec<f32>,
}

/// The hidden states of a run so far, in memory: as f16, and by question id.
///
/// ```
/// use commitment_probe::{Blocks, HiddenState, HiddenStates, HiddenWriter};
///
/// # let dir = std::env::temp_dir().join(format!("hidden-states-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// let mut writer = HiddenWriter::open(&dir, Blocks::quarters(2))?;
/// let states = vec![vec![1.0, 2.0], vec![3.0, 1e6]];
/// let one = HiddenState { states, embedding: vec![0.5, 0.25] };
/// writer.append("a question", &one)?;
/// drop(writer); // killed, and resumed
/// let mut writer = HiddenWriter::open(&dir, Blocks::quarters(2))?;
/// assert!(writer.has("a question") && !writer.has("another"));
/// writer.finish()?; // hidden.safetensors
///
/// let states = HiddenStates::load(&dir)?.unwrap();
/// let read = states.get("a question").unwrap();
/// assert_eq!(read.states[0], one.states[0]);
/// assert!((read.states[1][1] / 1e6 - 1.0).abs() < 1e-3);
/// # std::fs::remove_dir_all(dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct HiddenStates {
    pub(super) about: About,
    pub(super) bytes: Vec<u8>,
    /// Of each question, where its states and its embedding are in `bytes`, and the scales of all.
    pub(super) found: BTreeMap<String, Found>,
}

#[derive(Debug, Clone)]
pub(super) struct Found {
    pub states: usize,
    pub embedding: usize,
    pub scale: Vec<f32>,
}

impl HiddenStates {
    /// Reads the states in the folder of a run, finished or not; `None` if it has none.
    ///
    /// # Errors
    ///
    /// [`HiddenError::File`] and [`HiddenError::Format`].
    pub fn load(dir: &Path) -> Result<Option<Self>, HiddenError> {
        let (whole, part) = (dir.join(WHOLE), dir.join(PART));
        if whole.exists() {
            return Self::of_whole(&whole).map(Some);
        }
        if part.exists() {
            return Ok(Self::of_part(&part)?.map(|(states, _)| states));
        }
        Ok(None)
    }

    pub(super) fn of_whole(path: &Path) -> Result<Self, HiddenError> {
        let format = |what: String| HiddenError::Format { path: path.to_owned(), what };
        let bytes = read(path)?;
        let (header, metadata) =
            SafeTensors::read_metadata(&bytes).map_err(|error| format(error.to_string()))?;
        let about = metadata.metadata().as_ref().and_then(|all| all.get(ABOUT));
        let about = about.ok_or_else(|| format("it does not say which blocks".into()))?;
        let about: About =
            serde_json::from_str(about).map_err(|error| format(error.to_string()))?;
        about.bytes().ok_or_else(|| format(IMPOSSIBLE.into()))?;
        let first = header + 8;
        let rows = about.blocks.numbers.len();
        let tensors = metadata.tensors();
        let place = |name: String, dtype: Dtype, shape: &[usize]| {
            let of = tensors.get(&name)?;
            let fits = of.dtype == dtype && of.shape == shape;
            fits.then_some(first + of.data_offsets.0)
        };
        let mut found = BTreeMap::new();
        for id in tensors.keys().filter_map(|name| name.strip_prefix("states/")) {
            let states = place(format!("states/{id}"), Dtype::F16, &[rows, about.width]);
            let embedding = place(format!("embedding/{id}"), Dtype::F16, &[about.width]);
            let (Some(states), Some(embedding)) = (states, embedding) else {
                return Err(format(format!("the tensors of {id} have another shape or type")));
            };
            let scale = match place(format!("scale/{id}"), Dtype::F32, &[rows + 1]) {
                Some(at) => floats(&bytes[at..][..4 * (rows + 1)]),
                None => vec![1.0; rows + 1],
            };
            let of = Found { states, embedding, scale };
            if !of.is_finite(&bytes, &about) {
                return Err(format(format!("the states of {id} hold a NaN or an infinity")));
            }
            found.insert(id.to_owned(), of);
        }
        Ok(Self { about, bytes, found })
    }

    /// The states of a run that is going on, and how many bytes of the file are complete; `None` if not
    /// even its first line is.
    pub(super) fn of_part(path: &Path) -> Result<Option<(Self, usize)>, HiddenError> {
        let format = |what: String| HiddenError::Format { path: path.to_owned(), what };
        let bytes = read(path)?;
        let line = |from: usize| {
            let end = bytes[from..].iter().position(|&byte| byte == b'\n')?;
            Some((&bytes[from..from + end], from + end + 1))
        };
        let Some((first, mut at)) = line(0) else { return Ok(None) };
        let about: About =
            serde_json::from_slice(first).map_err(|error| format(error.to_string()))?;
        let length = about.bytes().ok_or_else(|| format(IMPOSSIBLE.into()))?;
        let rows = about.blocks.numbers.len();
        let mut found = BTreeMap::new();
        while let Some((head, states)) = line(at) {
            let next = states.saturating_add(length).saturating_add(1);
            if next > bytes.len() {
                break;
            }
            let head: Head =
                serde_json::from_slice(head).map_err(|error| format(error.to_string()))?;
            if head.scale.len() != rows + 1 || bytes[next - 1] != b'\n' {
                return Err(format(format!("what it has of {} is damaged", head.id)));
            }
            let embedding = states + rows * about.width * size_of::<f16>();
            let of = Found { states, embedding, scale: head.scale };
            if !of.is_finite(&bytes, &about) {
                return Err(format(format!("the states of {} hold a NaN or an infinity", head.id)));
            }
            found.insert(head.id.into_owned(), of);
            at = next;
        }
        Ok(Some((Self { about, bytes, found }, at)))
    }

    /// Which blocks they are of.
    pub fn blocks(&self) -> &Blocks {
        &self.about.blocks
    }

    /// The numbers of a state, D.
    pub fn width(&self) -> usize {
        self.about.width
    }

    /// The ids of the questions.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.found.keys().map(String::as_str)
    }

    /// Whether there are those of a question.
    pub fn has(&self, id: &str) -> bool {
        self.found.contains_key(id)
    }

    /// The states of a question.
    pub fn get(&self, id: &str) -> Option<HiddenState> {
        let Found { states, embedding, scale } = self.found.get(id)?;
        let width = self.about.width;
        let row = |at: usize, scale: f32| -> Vec<f32> {
            let bytes = self.bytes[at..][..width * size_of::<f16>()].chunks_exact(2);
            bytes.map(|pair| f16::from_le_bytes([pair[0], pair[1]]).to_f32() * scale).collect()
        };
        let (of_embedding, of_states) = scale.split_last()?;
        let of_block = |(i, &scale): (usize, &f32)| row(states + i * width * 2, scale);
        let states = of_states.iter().enumerate().map(of_block).collect();
        Some(HiddenState { states, embedding: row(*embedding, *of_embedding) })
    }
}

impl Found {
    /// Whether all numbers are; what is written has no others.
    fn is_finite(&self, bytes: &[u8], about: &About) -> bool {
        let row = about.width * size_of::<f16>();
        let rows = [(self.states, row * about.blocks.numbers.len()), (self.embedding, row)];
        let is_finite = |pair: &[u8]| f16::from_le_bytes([pair[0], pair[1]]).is_finite();
        self.scale.iter().all(|scale| scale.is_finite() && *scale >= 1.0)
            && rows.iter().all(|&(at, len)| bytes[at..][..len].chunks_exact(2).all(is_finite))
    }
}

/// All of a file.
fn read(path: &Path) -> Result<Vec<u8>, HiddenError> {
    fs::read(path).map_err(|source| HiddenError::File { path: path.to_owned(), source })
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let number = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    bytes.chunks_exact(4).map(number).collect()
}
