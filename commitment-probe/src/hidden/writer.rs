//! The states of a run's prompts, as they are written.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process;

use half::f16;
use safetensors::{Dtype, View, serialize_to_file};

use super::error::HiddenError;
use super::store::{ABOUT, About, Blocks, Head, HiddenState, HiddenStates, PART, WHOLE};
use crate::Schema;

/// Stores the hidden states of a run, one question after the other; [`HiddenStates`] has an example.
///
/// What [`append`](Self::append) has written stays, whatever kills the process. One process alone may
/// write into a folder.
#[derive(Debug)]
pub struct HiddenWriter {
    dir: PathBuf,
    blocks: Blocks,
    known: BTreeSet<String>,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Nothing is stored yet.
    Empty,
    Part {
        file: File,
        width: usize,
    },
    Whole,
}

impl HiddenWriter {
    /// Goes on in the folder of a run, which must be there; or begins.
    ///
    /// # Errors
    ///
    /// [`HiddenError::File`]; [`HiddenError::Format`] if there are states of other blocks, or what is
    /// no file of states.
    pub fn open(dir: &Path, blocks: Blocks) -> Result<Self, HiddenError> {
        let (whole, part) = (dir.join(WHOLE), dir.join(PART));
        remove(&unfinished(dir)?)?;
        let mut writer =
            Self { dir: dir.to_owned(), blocks, known: BTreeSet::new(), stage: Stage::Empty };
        if whole.exists() {
            writer.knows(&HiddenStates::of_whole(&whole)?, &whole)?;
            writer.stage = Stage::Whole;
            // Killed before it was deleted.
            remove(std::slice::from_ref(&part))?;
        } else if part.exists()
            && let Some((states, complete)) = HiddenStates::of_part(&part)?
        {
            writer.knows(&states, &part)?;
            let file = OpenOptions::new().write(true).open(&part).and_then(|mut file| {
                file.set_len(complete as u64)?;
                file.seek(SeekFrom::End(0))?;
                Ok(file)
            });
            let file = file.map_err(of_file(&part))?;
            writer.stage = Stage::Part { file, width: states.width() };
        }
        Ok(writer)
    }

    /// Whether the run in `dir` was finished: `hidden.safetensors` is there, and nothing of what it was
    /// made from.
    pub fn is_finished(dir: &Path) -> bool {
        dir.join(WHOLE).exists() && !dir.join(PART).exists()
    }

    /// Removes all states from a folder, which may be those of another model or of other prompts.
    ///
    /// # Errors
    ///
    /// [`HiddenError::File`].
    ///
    /// ```
    /// use commitment_probe::{Blocks, HiddenState, HiddenStates, HiddenWriter};
    ///
    /// # let dir = std::env::temp_dir().join(format!("hidden-remove-{}", std::process::id()));
    /// # std::fs::create_dir_all(&dir)?;
    /// let mut writer = HiddenWriter::open(&dir, Blocks::quarters(1))?;
    /// writer.append("a", &HiddenState { states: vec![vec![1.0]], embedding: vec![0.5] })?;
    /// HiddenWriter::remove(&dir)?;
    /// assert!(HiddenStates::load(&dir)?.is_none());
    /// # std::fs::remove_dir_all(dir)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn remove(dir: &Path) -> Result<(), HiddenError> {
        remove(&unfinished(dir)?)?;
        remove(&[PART, WHOLE].map(|name| dir.join(name)))
    }

    fn knows(&mut self, states: &HiddenStates, path: &Path) -> Result<(), HiddenError> {
        if *states.blocks() != self.blocks {
            let (found, wanted) = (states.blocks().numbers(), self.blocks.numbers());
            let what = format!("it is of the blocks {found:?}, not {wanted:?}");
            return Err(HiddenError::Format { path: path.to_owned(), what });
        }
        self.known = states.ids().map(str::to_owned).collect();
        Ok(())
    }

    /// Whether the states of a question are stored.
    pub fn has(&self, id: &str) -> bool {
        self.known.contains(id)
    }

    /// Adds the states of a question; nothing, if they are there.
    ///
    /// # Errors
    ///
    /// [`HiddenError::NotFinite`]; [`HiddenError::Shape`] for states of another number or width than
    /// the others'; [`HiddenError::Format`] if the run is finished and has no such question;
    /// [`HiddenError::File`].
    pub fn append(&mut self, id: &str, state: &HiddenState) -> Result<(), HiddenError> {
        if self.has(id) {
            return Ok(());
        }
        let rows = || state.states.iter().chain([&state.embedding]);
        if rows().flatten().any(|x| !x.is_finite()) {
            return Err(HiddenError::NotFinite { id: id.to_owned() });
        }
        let expected = match self.stage {
            Stage::Part { width, .. } => width,
            _ => state.embedding.len(),
        };
        let is_whole = state.states.len() == self.blocks.numbers().len();
        if !is_whole || expected == 0 || rows().any(|row| row.len() != expected) {
            let widths: Vec<usize> = rows().map(Vec::len).collect();
            let what = format!("question {id} has {widths:?} numbers, and others {expected} each");
            return Err(HiddenError::Shape { what });
        }
        let scale: Vec<f32> = rows().map(|row| scale(row)).collect();
        let mut record = line(&Head { id: Cow::Borrowed(id), scale: scale.clone() });
        for (row, scale) in rows().zip(scale) {
            record.extend(row.iter().flat_map(|x| f16::from_f32(x / scale).to_le_bytes()));
        }
        record.push(b'\n');
        let path = self.dir.join(PART);
        let file = self.file(expected)?;
        let end = file.stream_position().map_err(of_file(&path))?;
        if let Err(error) = file.write_all(&record) {
            // What is there of it would be taken for what the next one begins with.
            file.set_len(end)
                .and_then(|()| file.seek(SeekFrom::Start(end)))
                .map_err(of_file(&path))?;
            return Err(of_file(&path)(error));
        }
        self.known.insert(id.to_owned());
        Ok(())
    }

    /// The file that is added to; begins it, for states of a width.
    fn file(&mut self, width: usize) -> Result<&mut File, HiddenError> {
        if let Stage::Empty = self.stage {
            let path = self.dir.join(PART);
            let about = About { schema: Schema, blocks: self.blocks.clone(), width };
            let file = File::create(&path).and_then(|mut file| {
                file.write_all(&line(&about))?;
                Ok(file)
            });
            self.stage = Stage::Part { file: file.map_err(of_file(&path))?, width };
        }
        match &mut self.stage {
            Stage::Part { file, .. } => Ok(file),
            _ => {
                let what = "it is that of a finished run, and lacks a question".to_owned();
                Err(HiddenError::Format { path: self.dir.join(WHOLE), what })
            }
        }
    }

    /// Puts all into `hidden.safetensors`; nothing, if that was done or if there are none. Takes as much
    /// memory as the file.
    ///
    /// # Errors
    ///
    /// [`HiddenError::File`] and [`HiddenError::Format`].
    pub fn finish(self) -> Result<(), HiddenError> {
        let Stage::Part { file, .. } = self.stage else { return Ok(()) };
        drop(file);
        let part = self.dir.join(PART);
        let Some((states, _)) = HiddenStates::of_part(&part)? else { return Ok(()) };
        let about = String::from_utf8_lossy(&line(&states.about)).trim_end().to_owned();
        let whole = self.dir.join(WHOLE);
        // Under another name until it is complete, and open to whoever may read the rest.
        let written = self.dir.join(format!("{WHOLE}.{}.part", process::id()));
        let metadata = HashMap::from([(ABOUT.to_owned(), about)]);
        let saved = serialize_to_file(tensors(&states), Some(metadata), &written);
        let saved =
            saved.map_err(|error| std::io::Error::other(error.to_string())).and_then(|()| {
                fs::set_permissions(&written, fs::metadata(&part)?.permissions())?;
                // It must have reached the disk before the only other copy is deleted.
                OpenOptions::new().write(true).open(&written)?.sync_all()?;
                fs::rename(&written, &whole)
            });
        if saved.is_err() {
            // It may not be there; and what is told is why it could not be written.
            let _ = fs::remove_file(&written);
        }
        saved.map_err(of_file(&whole))?;
        fs::remove_file(&part).map_err(of_file(&part))
    }
}

/// A part of the file of a run that is going on, as a tensor.
struct Part<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Cow<'a, [u8]>,
}

impl View for Part<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

fn tensors(states: &HiddenStates) -> Vec<(String, Part<'_>)> {
    let (width, rows) = (states.width(), states.blocks().numbers().len());
    let mut tensors = Vec::new();
    for (id, found) in &states.found {
        let half = |at: usize, shape: Vec<usize>| {
            let bytes = &states.bytes[at..][..shape.iter().product::<usize>() * size_of::<f16>()];
            Part { dtype: Dtype::F16, shape, bytes: Cow::Borrowed(bytes) }
        };
        tensors.push((format!("states/{id}"), half(found.states, vec![rows, width])));
        tensors.push((format!("embedding/{id}"), half(found.embedding, vec![width])));
        if found.scale.iter().any(|&scale| scale != 1.0) {
            let bytes = found.scale.iter().flat_map(|scale| scale.to_le_bytes()).collect();
            let scale = Part { dtype: Dtype::F32, shape: vec![rows + 1], bytes: Cow::Owned(bytes) };
            tensors.push((format!("scale/{id}"), scale));
        }
    }
    tensors
}

/// The least power of two, 1 at least, by which all numbers of a row fit into f16.
fn scale(row: &[f32]) -> f32 {
    let most = row.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
    let mut scale = 1.0;
    while most / scale > f16::MAX.to_f32() {
        scale *= 2.0;
    }
    scale
}

/// What a killed process has left of `hidden.safetensors`.
fn unfinished(dir: &Path) -> Result<Vec<PathBuf>, HiddenError> {
    let entries = fs::read_dir(dir).map_err(of_file(dir))?;
    let paths = entries.map(|entry| Ok(entry.map_err(of_file(dir))?.path()));
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_prefix(WHOLE).and_then(|rest| rest.strip_suffix(".part"));
        number.and_then(|number| number.strip_prefix('.')).is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    };
    paths.filter(|path| path.as_ref().map_or(true, is_one)).collect()
}

/// Removes those of these files that are there.
fn remove(paths: &[PathBuf]) -> Result<(), HiddenError> {
    let there = paths.iter().filter(|path| path.exists());
    there.into_iter().try_for_each(|path| fs::remove_file(path).map_err(of_file(path)))
}

fn line<T: serde::Serialize>(value: &T) -> Vec<u8> {
    // Numbers and strings always serialise.
    let mut line = serde_json::to_vec(value).unwrap_or_default();
    line.push(b'\n');
    line
}

fn of_file(path: &Path) -> impl FnOnce(std::io::Error) -> HiddenError {
    let path = path.to_owned();
    |source| HiddenError::File { path, source }
}

#[cfg(test)]
mod tests;
