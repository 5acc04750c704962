//! The transfer of files into the cache.

use std::{error::Error, fs, io, path::PathBuf, thread::sleep, time::Duration};

use hf_hub::{
    Cache, Repo,
    api::sync::{ApiError, ApiRepo},
};

use super::{Found, HubError};

/// Sees how transfers go on.
///
/// ```
/// use concept_mass_models::hub::Progress;
///
/// struct Lines;
///
/// impl Progress for Lines {
///     fn start(&mut self, file: &str, bytes: u64) {
///         eprintln!("{file}: {bytes} bytes");
///     }
///     fn advance(&mut self, _: u64) {}
///     fn finish(&mut self) {}
/// }
/// ```
pub trait Progress {
    /// The transfer of a file of so many bytes begins, or begins again.
    fn start(&mut self, file: &str, bytes: u64);
    /// So many more bytes are there.
    fn advance(&mut self, bytes: u64);
    /// The file is there.
    fn finish(&mut self);
}

/// Nobody looks.
impl Progress for () {
    fn start(&mut self, _: &str, _: u64) {}
    fn advance(&mut self, _: u64) {}
    fn finish(&mut self) {}
}

/// In the words of the crate.
struct Relay<'a>(&'a mut dyn Progress);

impl hf_hub::api::Progress for Relay<'_> {
    fn init(&mut self, size: usize, file: &str) {
        self.0.start(file, size as u64);
    }

    fn update(&mut self, size: usize) {
        self.0.advance(size as u64);
    }

    fn finish(&mut self) {
        self.0.finish();
    }
}

/// How often a transfer is begun.
const ATTEMPTS: u32 = 4;

/// The pause after the first one; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(200);

/// The files of one commit, on their way into the cache.
struct Fetch<'a> {
    found: &'a Found,
    /// At the commit, which does not move while files are fetched.
    repo: Repo,
    snapshot: PathBuf,
}

pub fn fetch(found: &Found, progress: &mut dyn Progress) -> Result<PathBuf, HubError> {
    let Found { hub, repository, listing, choice, is_cached, .. } = found;
    let repo = repository.at(&listing.commit);
    let fetch = Fetch { found, repo, snapshot: hub.snapshot(repository, &listing.commit) };
    // The cache has them all, or they would not have been found.
    if !is_cached {
        for file in &choice.files {
            fetch.file(file, progress)?;
        }
        for shard in hub.shards(repository, listing, choice)? {
            if !listing.files.contains_key(&shard) {
                let why = format!("its index names {shard}, which it does not have");
                return Err(HubError::Unfit { repository: repository.to_string(), why });
            }
            fetch.file(&shard, progress)?;
        }
        fetch.refer()?;
    }
    Ok(match &found.choice.file {
        Some(file) => fetch.snapshot.join(file),
        None => fetch.snapshot,
    })
}

impl Fetch<'_> {
    /// Fetches a file, if it is not there already.
    fn file(&self, file: &str, progress: &mut dyn Progress) -> Result<(), HubError> {
        if self.length(file).is_ok_and(|bytes| self.is_whole(file, bytes)) {
            return Ok(());
        }
        let repo = self.found.hub.api()?.repo(self.repo.clone());
        let mut pause = PAUSE;
        for _ in 1..ATTEMPTS {
            match self.transfer(&repo, file, progress) {
                Err(HubError::BrokenOff { .. } | HubError::WrongLength { .. }) => sleep(pause),
                done => return done,
            }
            pause *= 2;
        }
        self.transfer(&repo, file, progress)
    }

    /// The bytes of a file in the cache.
    fn length(&self, file: &str) -> io::Result<u64> {
        Ok(fs::metadata(self.snapshot.join(file))?.len())
    }

    fn is_whole(&self, file: &str, bytes: u64) -> bool {
        let expected = self.found.listing.files.get(file).copied().flatten();
        expected.is_none_or(|expected| bytes == expected)
    }

    /// Fetches a file, or the rest of it.
    fn transfer(
        &self,
        repo: &ApiRepo,
        file: &str,
        progress: &mut dyn Progress,
    ) -> Result<(), HubError> {
        let Found { hub, repository, listing, .. } = self.found;
        let (repository, file_name) = (repository.to_string(), file.to_owned());
        repo.download_with_progress(file, Relay(progress))
            .map_err(|error| self.failed(repo, file, error))?;
        let bytes = match self.length(file) {
            Ok(bytes) if self.is_whole(file, bytes) => return Ok(()),
            Ok(bytes) => bytes,
            Err(source) => {
                let cache = hub.cache.clone();
                return Err(HubError::Cache { repository, file: file_name, cache, source });
            }
        };
        // What is kept by this name is wrong, and not a part of what is right.
        let pointer = self.snapshot.join(file);
        if let Ok(blob) = fs::canonicalize(&pointer) {
            let _ = fs::remove_file(blob);
        }
        let _ = fs::remove_file(pointer);
        let expected = listing.files.get(file).copied().flatten().unwrap_or(bytes);
        Err(HubError::WrongLength { repository, file: file_name, bytes, expected })
    }

    fn failed(&self, repo: &ApiRepo, file: &str, error: ApiError) -> HubError {
        let Found { hub, repository, .. } = self.found;
        let (name, file) = (repository.to_string(), file.to_owned());
        let broken_off = |file: String, source: Box<dyn Error + Send + Sync>| HubError::BrokenOff {
            repository: name.clone(),
            file,
            source,
        };
        match error {
            ApiError::RequestError(error) => match *error {
                ureq::Error::StatusCode(status @ (401 | 403)) => {
                    HubError::refused(hub, repository, status)
                }
                ureq::Error::StatusCode(404) => {
                    HubError::NoFile { repository: name, file, others: Vec::new() }
                }
                // What is there of the file is all of it, or too much.
                ureq::Error::StatusCode(416) => {
                    self.forget(repo, &file);
                    broken_off(file, error)
                }
                ureq::Error::StatusCode(status) => HubError::answered(hub, repository, status),
                _ => broken_off(file, error),
            },
            ApiError::InvalidResume => {
                self.forget(repo, &file);
                broken_off(file, error.into())
            }
            ApiError::LockAcquisition(_) => HubError::Locked { repository: name, file },
            ApiError::IoError(source) if is_of_disk(&source) => {
                HubError::Cache { repository: name, file, cache: hub.cache.clone(), source }
            }
            ApiError::IoError(source) => broken_off(file, source.into()),
            other => HubError::NoHub { endpoint: hub.endpoint.clone(), why: other.to_string() },
        }
    }

    /// Removes what is there of a file that is not whole.
    fn forget(&self, repo: &ApiRepo, file: &str) {
        let Ok(api) = self.found.hub.api() else { return };
        if let Ok(metadata) = api.metadata(&repo.url(file)) {
            let cache = Cache::new(self.found.hub.cache.clone()).repo(self.repo.clone());
            // As the crate calls it.
            let part = cache.blob_path(metadata.etag()).with_extension("part");
            let _ = fs::remove_file(part);
        }
    }

    /// Notes which commit the branch or tag is, now that its files are there.
    fn refer(&self) -> Result<(), HubError> {
        let Found { hub, repository, .. } = self.found;
        let known = hub.commit(repository);
        // A cache that nothing is added to may be read-only.
        if known.as_deref() == Some(self.found.commit()) {
            return Ok(());
        }
        let repo = repository.at(repository.revision());
        let cache = Cache::new(hub.cache.clone()).repo(repo);
        cache.create_ref(self.found.commit()).map_err(|source| HubError::Cache {
            repository: repository.to_string(),
            file: format!("the commit of {}", repository.revision()),
            cache: hub.cache.clone(),
            source,
        })
    }
}

/// Whether a file could not be written, rather than not be received.
fn is_of_disk(error: &io::Error) -> bool {
    use io::ErrorKind::*;
    matches!(
        error.kind(),
        PermissionDenied
            | NotFound
            | StorageFull
            | ReadOnlyFilesystem
            | QuotaExceeded
            | FileTooLarge
            | AlreadyExists
            | NotADirectory
            | IsADirectory
    )
}
