//! Fetches models, and single files of datasets, from the Hugging Face Hub into its cache, which
//! is the one that Python's `huggingface_hub` keeps.
//!
//! A repository is found first, which costs one request and gives its commit; then the files that
//! are needed are fetched, as far as the cache does not have them.
//!
//! ```no_run
//! use candle_core::Device;
//! use concept_mass_models::hub::{Hub, Repository};
//!
//! let repository = Repository::model("Qwen/Qwen3-0.6B")?;
//! let found = Hub::from_env().find_model(&repository, true)?;
//! println!("at commit {}", found.commit());
//! let folder = found.fetch(&mut ())?; // without a report of the progress
//! let loaded = concept_mass_models::load(&folder, None, &Device::Cpu, None)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | what it does |
//! | --- | --- |
//! | `repository` | what is asked for: `owner/name@revision:file` |
//! | `listing` | the files of a commit, as the Hub lists them or the cache has them |
//! | `choice` | which of them are needed |
//! | `fetch` | the transfer of each |

mod choice;
mod error;
mod fetch;
mod listing;
mod repository;

use std::{collections::BTreeSet, env, ffi::OsString, fmt, fs, path::PathBuf};

use hf_hub::{
    Cache,
    api::sync::{Api, ApiBuilder},
};

use crate::weights;
use choice::Choice;
pub use error::HubError;
pub use fetch::Progress;
use listing::Listing;
pub use repository::Repository;

/// A Hub, and the folder in which its files are kept.
#[derive(Clone)]
pub struct Hub {
    /// The cache: a folder with one for each repository.
    pub cache: PathBuf,
    /// The address, without a slash at its end.
    pub endpoint: String,
    /// The access token that is sent with each request.
    pub token: Option<String>,
    /// Whether only what is in the cache is used.
    pub offline: bool,
}

/// Without the token.
impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hub")
            .field("cache", &self.cache)
            .field("endpoint", &self.endpoint)
            .field("offline", &self.offline)
            .finish_non_exhaustive()
    }
}

impl Hub {
    /// The Hub that the environment describes, as `huggingface_hub` reads it; see
    /// [`from_variables`](Self::from_variables).
    pub fn from_env() -> Self {
        Self::from_variables(|name| env::var_os(name))
    }

    /// The Hub that these variables describe; an empty one is as good as none.
    ///
    /// | variable | meaning |
    /// | --- | --- |
    /// | `HF_ENDPOINT` | the address; by default <https://huggingface.co> |
    /// | `HF_HOME` | the folder of the cache and the token; by default `huggingface` in `XDG_CACHE_HOME` or in `~/.cache` |
    /// | `HF_HUB_CACHE` | the cache; by default `hub` in `HF_HOME` |
    /// | `HF_TOKEN`, `HF_TOKEN_PATH` | the token, or the file that it is in; by default `token` in `HF_HOME`, which is not read if `HF_HUB_DISABLE_IMPLICIT_TOKEN` is `1` |
    /// | `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` | `1`, `true`, `yes` or `on`: use only what is in the cache |
    ///
    /// ```
    /// use concept_mass_models::hub::Hub;
    ///
    /// let variables = [("HF_HOME", "/data/hf"), ("HF_HUB_OFFLINE", "1")];
    /// let hub = Hub::from_variables(|name| {
    ///     variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    /// });
    /// assert_eq!(hub.cache, std::path::Path::new("/data/hf/hub"));
    /// assert!(hub.offline);
    /// ```
    pub fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let path = |name: &str| variable(name).map(PathBuf::from);
        let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
        let is_set = |name: &str| {
            let yes = ["1", "true", "yes", "on"];
            text(name).is_some_and(|value| yes.contains(&value.to_lowercase().as_str()))
        };

        let home = path("HF_HOME").unwrap_or_else(|| {
            let caches = path("XDG_CACHE_HOME").unwrap_or_else(|| {
                path("HOME").or_else(|| path("USERPROFILE")).unwrap_or_default().join(".cache")
            });
            caches.join("huggingface")
        });
        let cache = path("HF_HUB_CACHE").or_else(|| path("HUGGINGFACE_HUB_CACHE"));
        let token = text("HF_TOKEN").or_else(|| {
            let file = path("HF_TOKEN_PATH").unwrap_or_else(|| home.join("token"));
            let implicit = !is_set("HF_HUB_DISABLE_IMPLICIT_TOKEN");
            implicit.then(|| fs::read_to_string(file).ok()).flatten()
        });
        let token = token.map(|token| token.trim().to_owned()).filter(|token| !token.is_empty());
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        Self {
            cache: cache.unwrap_or_else(|| home.join("hub")),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
            offline: is_set("HF_HUB_OFFLINE") || is_set("TRANSFORMERS_OFFLINE"),
        }
    }

    /// Finds a model: a repository with `config.json` and safetensors, or a GGUF file, which must be
    /// named if there are several. `needs_tokenizer` says that a folder without a `tokenizer.json`
    /// is of no use.
    ///
    /// # Errors
    ///
    /// A [`HubError`] if there is no such repository, revision or file, if it is not a model of that
    /// kind, or if the Hub cannot be reached and the cache does not have it.
    pub fn find_model(
        &self,
        repository: &Repository,
        needs_tokenizer: bool,
    ) -> Result<Found, HubError> {
        self.find(repository, |listing| choice::model(repository, listing, needs_tokenizer))
    }

    /// Finds one file: the one that `repository` names, or else the only one whose name ends in one
    /// of `extensions`, such as `"jsonl"`.
    ///
    /// # Errors
    ///
    /// As for [`find_model`](Self::find_model); and [`HubError::Several`] if there is more than one
    /// such file.
    pub fn find_file(
        &self,
        repository: &Repository,
        extensions: &[&str],
    ) -> Result<Found, HubError> {
        self.find(repository, |listing| choice::file(repository, listing, extensions))
    }

    fn find(
        &self,
        repository: &Repository,
        choose: impl Fn(&Listing) -> Result<Choice, HubError>,
    ) -> Result<Found, HubError> {
        let cached = || {
            let listing = Listing::of_cache(self, repository)?;
            let choice = choose(&listing).map_err(|error| error.in_cache(self, repository))?;
            let shards = self.shards(repository, &listing, &choice)?;
            match shards.into_iter().find(|shard| !listing.files.contains_key(shard)) {
                Some(shard) => Err(HubError::not_cached(self, repository, Some(&shard))),
                None => Ok((listing, choice)),
            }
        };
        let mut unreachable = None;
        let (listing, choice) = if self.offline {
            cached()?
        } else {
            match Listing::of_hub(self, repository) {
                Ok(listing) => {
                    let choice = choose(&listing)?;
                    (listing, choice)
                }
                Err(error) if error.is_of_network() => match cached() {
                    Ok(found) => {
                        unreachable = Some(error);
                        found
                    }
                    Err(HubError::NotCached { .. }) => return Err(error),
                    Err(other) => return Err(other),
                },
                Err(error) => return Err(error),
            }
        };
        let is_cached = self.offline || unreachable.is_some();
        let repository = repository.clone();
        Ok(Found { hub: self.clone(), repository, listing, choice, is_cached, unreachable })
    }

    /// The files that an index in the cache names, if an index is among those that were chosen.
    fn shards(
        &self,
        repository: &Repository,
        listing: &Listing,
        choice: &Choice,
    ) -> Result<BTreeSet<String>, HubError> {
        if !choice.files.iter().any(|file| file == choice::INDEX) {
            return Ok(BTreeSet::new());
        }
        let index = self.snapshot(repository, &listing.commit).join(choice::INDEX);
        weights::shards(&index).map_err(|error| HubError::Unfit {
            repository: repository.to_string(),
            why: format!("{:#}", anyhow::Error::from(error)),
        })
    }

    /// The folder of a commit in the cache.
    fn snapshot(&self, repository: &Repository, commit: &str) -> PathBuf {
        Cache::new(self.cache.clone()).repo(repository.at(commit)).pointer_path(commit)
    }

    fn api(&self) -> Result<Api, HubError> {
        ApiBuilder::from_cache(Cache::new(self.cache.clone()))
            .with_endpoint(self.endpoint.clone())
            .with_token(self.token.clone())
            .with_progress(false)
            .with_user_agent(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
            .build()
            .map_err(|error| HubError::Unreachable {
                endpoint: self.endpoint.clone(),
                source: error.into(),
            })
    }
}

/// What was found of a repository: a commit, and the files of it that are needed.
#[derive(Debug)]
pub struct Found {
    hub: Hub,
    repository: Repository,
    listing: Listing,
    choice: Choice,
    /// Whether the files are to be those of the cache.
    is_cached: bool,
    unreachable: Option<HubError>,
}

impl Found {
    /// The hash of the commit that the revision is.
    pub fn commit(&self) -> &str {
        &self.listing.commit
    }

    /// Why the Hub could not be asked, if it could not, and what the cache has is used in its place;
    /// a branch may have moved since.
    pub fn unreachable(&self) -> Option<&HubError> {
        self.unreachable.as_ref()
    }

    /// Fetches what the cache does not have. What is returned is what was asked for: the folder of
    /// the commit, which [`load`](crate::load) takes, or a file in it, the first part of a GGUF file
    /// that is split.
    ///
    /// A transfer that breaks off is resumed a few times, and by the next call if that does not
    /// help.
    ///
    /// # Errors
    ///
    /// A [`HubError`] that names the repository, and the file that could not be had.
    pub fn fetch(&self, progress: &mut dyn Progress) -> Result<PathBuf, HubError> {
        fetch::fetch(self, progress)
    }
}
