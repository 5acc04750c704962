//! Opening GGUF files: one, or the parts of a model that is split.

use std::{fs::File, io::BufReader, path::Path};

use anyhow::{Context, Result, anyhow, ensure};
use candle_core::quantized::gguf_file::Content;

use super::{Gguf, alignment};

/// The types of tensors that candle does not read, by the numbers that ggml gives them.
const UNREAD: [(u32, &str); 20] = [
    (4, "Q4_2"),
    (5, "Q4_3"),
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (24, "I8"),
    (25, "I16"),
    (26, "I32"),
    (27, "I64"),
    (28, "F64"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (35, "TQ2_0"),
    (39, "MXFP4"),
    (40, "NVFP4"),
];

/// How candle begins to say that it does not know a type; its number follows.
const UNKNOWN: &str = "unknown dtype for tensor ";

impl Gguf {
    /// Opens the file, and the others where it is the first of several.
    pub fn open(path: &Path) -> Result<Self> {
        let (content, reader) = open(path)?;
        let mut file = Self { content, reader, more: Vec::new() };
        let unfit = || format!("cannot use {}", path.display());
        let (count, place) = (file.integer("split.count"), file.integer("split.no"));
        let count = count.with_context(unfit)?.unwrap_or(1);
        if count <= 1 {
            return Ok(file);
        }
        let place = place.with_context(unfit)?.unwrap_or(0);
        let first = split(path, count).filter(|&(_, number)| number == place.saturating_add(1));
        let (stem, number) = first.with_context(|| {
            format!(
                "cannot use {}, which is part {} of {count}; its name must end in \
                 -{:05}-of-{count:05}.gguf, as llama.cpp's gguf-split has it",
                path.display(),
                place.saturating_add(1),
                place.saturating_add(1)
            )
        })?;
        let part = |number: u64| path.with_file_name(part_name(&stem, number, count));
        ensure!(
            number == 1,
            "{} is part {number} of {count}; give the first, {}",
            path.display(),
            part(1).display()
        );
        for number in 2..=count {
            let path = part(number);
            ensure!(path.exists(), "part {number} of {count} is missing: {}", path.display());
            let (content, reader) = open(&path)?;
            let other = Self { content, reader, more: Vec::new() };
            let place = other.integer("split.no");
            let place = place.with_context(|| format!("cannot use {}", path.display()))?;
            ensure!(
                place.is_none_or(|place| place == number - 1),
                "{} is part {} of the model, whatever its name; fetch it again",
                path.display(),
                place.unwrap_or(0).saturating_add(1)
            );
            file.more.push((other.content, other.reader));
        }
        Ok(file)
    }
}

/// Whether the name is that of a part of a model, and not the first.
pub fn is_later_part(path: &Path) -> bool {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let Some((_, count)) = name.rsplit_once("-of-") else { return false };
    let Ok(count) = count.parse() else { return false };
    split(path, count).is_some_and(|(_, number)| number > 1)
}

/// What stands before `-00001-of-00003.gguf` in the name of one of `count` parts, and its number.
fn split(path: &Path, count: u64) -> Option<(String, u64)> {
    let name = path.file_name()?.to_str()?;
    let (stem, number) = name.strip_suffix(&format!("-of-{count:05}.gguf"))?.rsplit_once('-')?;
    let number = number.parse().ok()?;
    (part_name(stem, number, count) == name).then(|| (stem.to_owned(), number))
}

fn part_name(stem: &str, number: u64, count: u64) -> String {
    format!("{stem}-{number:05}-of-{count:05}.gguf")
}

fn open(path: &Path) -> Result<(Content, BufReader<File>)> {
    let open = || -> Result<_> {
        let mut reader = BufReader::new(File::open(path)?);
        // candle divides by it.
        ensure!(
            alignment::find(&mut reader)? != Some(0),
            "its {} is 0; it must be 1 or more",
            alignment::KEY
        );
        Ok((Content::read(&mut reader).map_err(named)?, reader))
    };
    open().with_context(|| {
        format!("cannot use {}, which must be a whole GGUF file of known types", path.display())
    })
}

/// candle's error, with the name of the type that it does not know.
fn named(error: candle_core::Error) -> anyhow::Error {
    let text = error.to_string();
    let number = text
        .split(UNKNOWN)
        .nth(1)
        .map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    let Some(number) = number.and_then(|number| number.parse::<u32>().ok()) else {
        return error.into();
    };
    let name =
        UNREAD.iter().find(|(of, _)| *of == number).map_or("of no known name", |(_, name)| name);
    anyhow!(
        "it has tensors of type {number} ({name}), which are not read; choose a file of another \
         quantisation (Q4_K_M, Q8_0), or run it in llama.cpp"
    )
}
