//! Where a model or the questions are: on this machine or, with the feature `hub`, on the Hugging
//! Face Hub.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// What `--model` or `--questions` names.
pub enum Source {
    /// A file or folder.
    Path(PathBuf),
    /// What the Hub has, and perhaps its cache.
    #[cfg(feature = "hub")]
    Hub { found: Box<concept_mass_models::hub::Found>, name: String },
}

impl Source {
    /// A model; `needs_tokenizer` says that none was given.
    pub fn model(name: &Path, needs_tokenizer: bool) -> Result<Self> {
        if name.exists() {
            return Ok(Self::Path(name.to_owned()));
        }
        check_may_be_elsewhere(name)?;
        hub::model(name, needs_tokenizer).with_context(|| elsewhere(name))
    }

    /// Questions.
    pub fn questions(name: &Path) -> Result<Self> {
        if name.exists() {
            return Ok(Self::Path(name.to_owned()));
        }
        check_may_be_elsewhere(name)?;
        hub::questions(name).with_context(|| elsewhere(name))
    }

    /// What it is called, without the revision, and the hash of the commit, if it is the Hub's.
    pub fn commit(&self) -> Option<(&str, &str)> {
        match self {
            Self::Path(_) => None,
            #[cfg(feature = "hub")]
            Self::Hub { found, name } => Some((name, found.commit())),
        }
    }

    /// The file or folder, which is fetched if need be.
    pub fn fetch(&self) -> Result<PathBuf> {
        match self {
            Self::Path(path) => Ok(path.clone()),
            #[cfg(feature = "hub")]
            Self::Hub { found, name } => {
                Ok(found.fetch(&mut crate::transfer::Transfer::new(name))?)
            }
        }
    }
}

/// Fails for what can be nothing but a path: the Hub has nothing to do with a file that is missed.
fn check_may_be_elsewhere(name: &Path) -> Result<()> {
    let is_file = ["csv", "gguf", "json", "jsonl", "parquet", "safetensors", "tsv"]
        .map(|ending| name.extension() == Some(ending.as_ref()));
    let names_a_file_of_the_hub = name.to_string_lossy().contains(':');
    let is_path = name.is_absolute() || name.starts_with(".") || name.starts_with("..");
    ensure!(
        !is_path && (names_a_file_of_the_hub || !is_file.contains(&true)),
        "there is no file or folder {}",
        name.display()
    );
    Ok(())
}

fn elsewhere(name: &Path) -> String {
    format!("there is no file or folder {} here, and from the Hub it cannot be had", name.display())
}

#[cfg(feature = "hub")]
mod hub {
    use super::*;
    use concept_mass_models::hub::{Found, Hub, Repository};

    /// The ends of the names of files that `Questions::load` may be able to read.
    const QUESTIONS: [&str; 5] = ["json", "jsonl", "csv", "tsv", "parquet"];

    pub fn model(name: &Path, needs_tokenizer: bool) -> Result<Source> {
        let repository = Repository::model(&name.to_string_lossy())?;
        source(&repository, Hub::from_env().find_model(&repository, needs_tokenizer)?)
    }

    pub fn questions(name: &Path) -> Result<Source> {
        let repository = Repository::dataset(&name.to_string_lossy())?;
        source(&repository, Hub::from_env().find_file(&repository, &QUESTIONS)?)
    }

    fn source(repository: &Repository, found: Found) -> Result<Source> {
        let name = match repository.file() {
            Some(file) => format!("{}:{file}", repository.id()),
            None => repository.id().to_owned(),
        };
        if let Some(error) = found.unreachable() {
            let commit = found.commit();
            eprintln!("note: {error}; what the cache has of {name} is used, commit {commit}");
        }
        Ok(Source::Hub { found: found.into(), name })
    }
}

#[cfg(not(feature = "hub"))]
mod hub {
    use super::*;

    pub fn model(_: &Path, _: bool) -> Result<Source> {
        anyhow::bail!("this program was built without --features hub")
    }

    pub fn questions(_: &Path) -> Result<Source> {
        anyhow::bail!("this program was built without --features hub")
    }
}
