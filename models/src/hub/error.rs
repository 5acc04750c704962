use std::{error::Error, io, path::PathBuf};

use super::{Hub, Repository};

/// Why something cannot be had from a Hub.
///
/// The text names the repository and says what to do; what else is behind it is in
/// [`source`](Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// The words are not those of a repository.
    #[error(
        "{text:?} is no name on the Hub, which is owner/name, owner/name@revision or \
         owner/name:file, as in Qwen/Qwen3-0.6B"
    )]
    NoName {
        /// What was given.
        text: String,
    },
    /// There is no such repository, or it is private.
    #[error(
        "{endpoint} has no {kind} {repository}, or hides it: check the name, and if the {kind} is \
         private, set HF_TOKEN to a token that may read it"
    )]
    NoRepository {
        /// `model` or `dataset`.
        kind: &'static str,
        /// What was asked for.
        repository: String,
        /// The address of the Hub.
        endpoint: String,
    },
    /// The repository is gated or private.
    #[error(
        "{repository} is given only to those who may have it (status {status}, {token}): accept \
         its licence at {page}, and set HF_TOKEN to a token of that account"
    )]
    Refused {
        /// What was asked for.
        repository: String,
        /// The status of the answer, 401 or 403.
        status: u16,
        /// Whether a token was sent, in words.
        token: &'static str,
        /// The page of the repository.
        page: String,
    },
    /// There is no such branch, tag or commit.
    #[error(
        "{repository} has no revision {revision}; give a branch, a tag or a whole commit hash \
         after the @, or nothing for main"
    )]
    NoRevision {
        /// What was asked for.
        repository: String,
        /// The revision.
        revision: String,
    },
    /// There is no such file.
    #[error("{repository} has no file {file}; {}", these(others))]
    NoFile {
        /// What was asked for.
        repository: String,
        /// The file.
        file: String,
        /// Files that could have been meant.
        others: Vec<String>,
    },
    /// There are several files that could be meant.
    #[error("{repository} holds several files; name one of them after a colon: {}", files.join(", "))]
    Several {
        /// What was asked for.
        repository: String,
        /// The files.
        files: Vec<String>,
    },
    /// The repository does not hold what was asked for.
    #[error("{repository} cannot be used: {why}")]
    Unfit {
        /// What was asked for.
        repository: String,
        /// The reason.
        why: String,
    },
    /// The cache does not have it, and only the cache is to be used.
    #[error(
        "the cache, {}, has no {} of {repository}, and as HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE \
         is set nothing is fetched; unset it, or fetch it on a machine that has a network",
        cache.display(),
        file.as_deref().unwrap_or("files")
    )]
    NotCached {
        /// What was asked for.
        repository: String,
        /// The file that is missing, if it is one.
        file: Option<String>,
        /// The folder of the cache.
        cache: PathBuf,
    },
    /// The Hub could not be reached.
    #[error(
        "{endpoint} cannot be reached; check the network and HF_ENDPOINT, or set HF_HUB_OFFLINE=1 \
         to use only what is in the cache"
    )]
    Unreachable {
        /// The address of the Hub.
        endpoint: String,
        /// What went wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The Hub is in trouble, or asks for patience.
    #[error(
        "{endpoint} answered with status {status} when it was asked for {repository}; try again later"
    )]
    Answered {
        /// The address of the Hub.
        endpoint: String,
        /// What was asked for.
        repository: String,
        /// The status of the answer.
        status: u16,
    },
    /// What answers is no Hub.
    #[error("{endpoint} does not answer as a Hub does: {why}; check HF_ENDPOINT")]
    NoHub {
        /// The address.
        endpoint: String,
        /// What is wrong.
        why: String,
    },
    /// The transfer of a file broke off, several times.
    #[error("the transfer of {file} of {repository} broke off; the same command resumes it")]
    BrokenOff {
        /// What was asked for.
        repository: String,
        /// The file.
        file: String,
        /// What went wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A file is not as long as the Hub says, several times.
    #[error(
        "{file} of {repository} came with {bytes} bytes in the place of {expected} and was thrown \
         away; try again later"
    )]
    WrongLength {
        /// What was asked for.
        repository: String,
        /// The file.
        file: String,
        /// What came.
        bytes: u64,
        /// What should have come.
        expected: u64,
    },
    /// Another process is fetching the same file.
    #[error(
        "another process is fetching {file} of {repository}; wait for it, and give the same command"
    )]
    Locked {
        /// What was asked for.
        repository: String,
        /// The file.
        file: String,
    },
    /// The cache cannot be read or written.
    #[error(
        "cannot keep {file} of {repository} in {}; choose another folder with HF_HOME",
        cache.display()
    )]
    Cache {
        /// What was asked for.
        repository: String,
        /// The file.
        file: String,
        /// The folder of the cache.
        cache: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
}

/// What could have been meant.
fn these(files: &[String]) -> String {
    match files {
        [] => "nor another of its kind".to_owned(),
        _ => format!("it has {}", files.join(", ")),
    }
}

impl HubError {
    pub(super) fn refused(hub: &Hub, repository: &Repository, status: u16) -> Self {
        let token = match hub.token {
            Some(_) => "a token was sent",
            None => "no token was sent",
        };
        let page = repository.page(&hub.endpoint);
        Self::Refused { repository: repository.to_string(), status, token, page }
    }

    pub(super) fn answered(hub: &Hub, repository: &Repository, status: u16) -> Self {
        Self::Answered {
            endpoint: hub.endpoint.clone(),
            repository: repository.to_string(),
            status,
        }
    }

    pub(super) fn not_cached(hub: &Hub, repository: &Repository, file: Option<&str>) -> Self {
        Self::NotCached {
            repository: repository.to_string(),
            file: file.map(str::to_owned),
            cache: hub.cache.clone(),
        }
    }

    /// The same of the files in the cache, which need not be all there are.
    pub(super) fn in_cache(self, hub: &Hub, repository: &Repository) -> Self {
        match self {
            Self::NoFile { file, .. } => Self::not_cached(hub, repository, Some(&file)),
            Self::Unfit { .. } => Self::not_cached(hub, repository, None),
            other => other,
        }
    }

    /// Whether it is the way to the Hub that is at fault, or the Hub, and not what was asked for.
    pub(super) fn is_of_network(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Answered { status, .. } => *status >= 500,
            _ => false,
        }
    }
}
