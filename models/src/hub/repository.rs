//! What is asked for.

use std::{
    fmt,
    path::{Component, Path},
};

use hf_hub::{Repo, RepoType};

use super::HubError;

/// A repository of a Hub, in the words `owner/name`, `owner/name@revision`,
/// `owner/name:path/of/file` or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    is_dataset: bool,
    /// `owner/name`.
    id: String,
    revision: Option<String>,
    file: Option<String>,
}

impl Repository {
    /// A model: `Qwen/Qwen3-0.6B`, `Qwen/Qwen3-0.6B@refs/pr/1`, `ggml-org/gemma-3-270m-GGUF:gemma-3-270m-Q8_0.gguf`.
    ///
    /// ```
    /// use concept_mass_models::hub::Repository;
    ///
    /// let repository = Repository::model("owner/name@v1.0:Q4_K_M/model-00001-of-00002.gguf")?;
    /// assert_eq!((repository.id(), repository.revision()), ("owner/name", "v1.0"));
    /// assert!(Repository::model("models/owner/name").is_err());
    /// # Ok::<(), concept_mass_models::hub::HubError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`HubError::NoName`] if `text` is not in these words.
    pub fn model(text: &str) -> Result<Self, HubError> {
        Self::parse(text, false)
    }

    /// A dataset: `owner/name:questions.jsonl`.
    ///
    /// # Errors
    ///
    /// As for [`model`](Self::model).
    pub fn dataset(text: &str) -> Result<Self, HubError> {
        Self::parse(text, true)
    }

    fn parse(text: &str, is_dataset: bool) -> Result<Self, HubError> {
        let (rest, file) = match text.split_once(':') {
            Some((rest, file)) => (rest, Some(file)),
            None => (text, None),
        };
        let (id, revision) = match rest.split_once('@') {
            Some((id, revision)) => (id, Some(revision)),
            None => (rest, None),
        };
        let is_part = |part: &str| {
            let is_fit = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !part.is_empty() && part.chars().all(is_fit) && !part.starts_with('.')
        };
        let is_id = id.split('/').count() == 2 && id.split('/').all(is_part);
        // The crate writes them into addresses as they are.
        let is_revision = |revision: &str| {
            let is_fit = |c: char| c.is_ascii_alphanumeric() || "-_./+".contains(c);
            is_inside(revision) && revision.chars().all(is_fit)
        };
        if !is_id || !revision.is_none_or(is_revision) || !file.is_none_or(is_inside) {
            return Err(HubError::NoName { text: text.to_owned() });
        }
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Ok(Self { is_dataset, id: id.to_owned(), revision: owned(revision), file: owned(file) })
    }

    /// `owner/name`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The branch, tag or commit that was asked for; by default `main`.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    /// The file that was asked for, by its path in the repository.
    pub fn file(&self) -> Option<&str> {
        self.file.as_deref()
    }

    /// `model` or `dataset`.
    pub(super) fn kind(&self) -> &'static str {
        if self.is_dataset { "dataset" } else { "model" }
    }

    /// The page of the repository, where its licence is accepted.
    pub(super) fn page(&self, endpoint: &str) -> String {
        let folder = if self.is_dataset { "datasets/" } else { "" };
        format!("{endpoint}/{folder}{}", self.id)
    }

    /// In the words of the crate.
    pub(super) fn at(&self, revision: &str) -> Repo {
        let kind = if self.is_dataset { RepoType::Dataset } else { RepoType::Model };
        Repo::with_revision(self.id.clone(), kind, revision.to_owned())
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{revision}")?;
        }
        if let Some(file) = &self.file {
            write!(f, ":{file}")?;
        }
        Ok(())
    }
}

/// Whether a path, joined to a folder, is in that folder.
pub(super) fn is_inside(path: &str) -> bool {
    let is_normal = |part: Component| matches!(part, Component::Normal(_));
    !path.is_empty() && Path::new(path).components().all(is_normal) && !path.contains('\\')
}
