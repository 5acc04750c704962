//! Which files of a repository are needed.

use super::{HubError, Listing, Repository};

/// Its tensors are in several files, which it names.
pub const INDEX: &str = "model.safetensors.index.json";

const WEIGHTS: &str = "model.safetensors";
const TOKENIZER: &str = "tokenizer.json";

/// What a folder has beside its weights.
const BESIDE: [&str; 5] = [
    "config.json",
    "generation_config.json",
    TOKENIZER,
    "tokenizer_config.json",
    "chat_template.jinja",
];

/// The files that are needed.
#[derive(Debug, PartialEq, Eq)]
pub struct Choice {
    /// In the order in which they are fetched; if an index is among them, the files that it names
    /// follow.
    pub files: Vec<String>,
    /// The one that was asked for, if it is not the folder.
    pub file: Option<String>,
}

/// The files of a model.
pub fn model(
    repository: &Repository,
    listing: &Listing,
    needs_tokenizer: bool,
) -> Result<Choice, HubError> {
    let has = |file: &str| listing.files.contains_key(file);
    let unfit = |why: &str| HubError::Unfit { repository: repository.to_string(), why: why.into() };
    if let Some(file) = repository.file() {
        if !is_gguf(file) {
            return Err(unfit("after the colon comes the name of a GGUF file"));
        }
        return gguf(repository, listing, file);
    }
    let weights = [INDEX, WEIGHTS].into_iter().find(|file| has(file));
    if let (true, Some(weights)) = (has("config.json"), weights) {
        if needs_tokenizer && !has(TOKENIZER) {
            return Err(unfit("it has no tokenizer.json; give another model's with --tokenizer"));
        }
        let files = BESIDE.into_iter().filter(|file| has(file)).chain([weights]);
        return Ok(Choice { files: files.map(str::to_owned).collect(), file: None });
    }
    // A file for images beside the model is not one.
    let files = listing.files.keys().filter(|file| is_gguf(file) && !file.contains("mmproj"));
    let firsts = files.filter(|file| split(file).is_none_or(|split| split.part == "00001"));
    let firsts: Vec<_> = firsts.cloned().collect();
    match &firsts[..] {
        [file] => gguf(repository, listing, file),
        [] => Err(unfit(
            "it has neither config.json with model.safetensors, whole or in several files, nor a \
             GGUF file; other formats are not read",
        )),
        _ => Err(HubError::Several { repository: repository.to_string(), files: firsts }),
    }
}

/// The only file of these kinds, or the one that was asked for.
pub fn file(
    repository: &Repository,
    listing: &Listing,
    extensions: &[&str],
) -> Result<Choice, HubError> {
    let is_known = |file: &&String| {
        let extension = file.rsplit_once('.').map(|(_, extension)| extension);
        // That one describes the dataset.
        !file.ends_with("dataset_infos.json")
            && extension.is_some_and(|extension| extensions.contains(&extension))
    };
    let known: Vec<String> = listing.files.keys().filter(is_known).cloned().collect();
    let file = match (repository.file(), &known[..]) {
        (Some(file), _) if listing.files.contains_key(file) => file.to_owned(),
        (Some(file), _) => return Err(no_file(repository, file, known)),
        (None, [file]) => file.clone(),
        (None, []) => {
            let why = format!("it has no file that ends in .{}", extensions.join(" or ."));
            return Err(HubError::Unfit { repository: repository.to_string(), why });
        }
        (None, _) => {
            return Err(HubError::Several { repository: repository.to_string(), files: known });
        }
    };
    Ok(Choice { files: vec![file.clone()], file: Some(file) })
}

/// A GGUF file with all its parts, and the tokenizer beside it, if there is one: the loader prefers
/// it to that in the file.
fn gguf(repository: &Repository, listing: &Listing, file: &str) -> Result<Choice, HubError> {
    if !listing.files.contains_key(file) {
        let others = listing.files.keys().filter(|file| is_gguf(file)).cloned().collect();
        return Err(no_file(repository, file, others));
    }
    let mut parts = vec![file.to_owned()];
    if let Some(Split { base, parts: count, .. }) = split(file) {
        let is_part = |other: &&String| {
            split(other).is_some_and(|other| (other.base, other.parts) == (base, count))
        };
        parts = listing.files.keys().filter(is_part).cloned().collect();
        if count.parse() != Ok(parts.len()) {
            let why = format!("it has {} of the {count} parts of {file}", parts.len());
            return Err(HubError::Unfit { repository: repository.to_string(), why });
        }
    }
    let first = parts[0].clone(); // `file` is one of them
    let tokenizer = match first.rsplit_once('/') {
        Some((folder, _)) => format!("{folder}/{TOKENIZER}"),
        None => TOKENIZER.to_owned(),
    };
    if listing.files.contains_key(&tokenizer) {
        parts.insert(0, tokenizer);
    }
    Ok(Choice { files: parts, file: Some(first) })
}

/// A part of a file that is split, `base-00001-of-00003.gguf`.
struct Split<'a> {
    base: &'a str,
    part: &'a str,
    parts: &'a str,
}

fn split(file: &str) -> Option<Split<'_>> {
    let (rest, parts) = file.strip_suffix(".gguf")?.rsplit_once("-of-")?;
    let (base, part) = rest.rsplit_once('-')?;
    let is_number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(part) && is_number(parts)).then_some(Split { base, part, parts })
}

fn is_gguf(file: &str) -> bool {
    file.ends_with(".gguf")
}

fn no_file(repository: &Repository, file: &str, others: Vec<String>) -> HubError {
    HubError::NoFile { repository: repository.to_string(), file: file.to_owned(), others }
}
