//! The files of a commit.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use serde::Deserialize;

use super::{Hub, HubError, Repository, repository::is_inside};

/// The files of a commit, as far as they are known.
#[derive(Debug)]
pub struct Listing {
    /// The hash.
    pub commit: String,
    /// The bytes of each, if they are known.
    pub files: BTreeMap<String, Option<u64>>,
}

/// What the Hub says of a repository, of which this is a part.
#[derive(Deserialize)]
struct Info {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
}

/// The longest listing that is read, in bytes: that of some hundred thousand files.
const MAX_LISTING: u64 = 64 << 20;

/// How long the Hub may take to answer.
const TIMEOUT: Duration = Duration::from_secs(60);

impl Listing {
    /// Asks the Hub.
    pub fn of_hub(hub: &Hub, repository: &Repository) -> Result<Self, HubError> {
        let unreachable = |source: ureq::Error| HubError::Unreachable {
            endpoint: hub.endpoint.clone(),
            source: source.into(),
        };
        let request = hub.api()?.repo(repository.at(repository.revision())).info_request();
        // The reason of a refusal is in a header.
        let config = request.query("blobs", "true").config().http_status_as_error(false);
        let request = config.timeout_global(Some(TIMEOUT)).build();
        let mut response = request.call().map_err(unreachable)?;

        let status = response.status().as_u16();
        let code = response.headers().get("x-error-code").and_then(|code| code.to_str().ok());
        match (status, code) {
            (200, _) => {}
            (404, Some("RevisionNotFound")) => {
                return Err(HubError::NoRevision {
                    repository: repository.to_string(),
                    revision: repository.revision().to_owned(),
                });
            }
            (404, _) | (401, Some("RepoNotFound")) => {
                return Err(HubError::NoRepository {
                    kind: repository.kind(),
                    repository: repository.to_string(),
                    endpoint: hub.endpoint.clone(),
                });
            }
            (401 | 403, _) => return Err(HubError::refused(hub, repository, status)),
            _ => return Err(HubError::answered(hub, repository, status)),
        }

        let strange = |why: String| HubError::NoHub { endpoint: hub.endpoint.clone(), why };
        let body = response.body_mut().with_config().limit(MAX_LISTING);
        let info: Info = match body.read_json() {
            Ok(info) => info,
            Err(error @ (ureq::Error::Io(_) | ureq::Error::Timeout(_))) => {
                return Err(unreachable(error));
            }
            Err(error) => return Err(strange(format!("its listing cannot be read: {error}"))),
        };
        if !is_commit(&info.sha) {
            return Err(strange(format!("it gives {:?} as a commit hash", info.sha)));
        }
        let files = info.siblings.into_iter().map(|file| (file.rfilename, file.size)).collect();
        let listing = Self { commit: info.sha, files };
        // They become paths in the cache.
        match listing.files.keys().find(|file| !is_inside(file)) {
            Some(file) => Err(strange(format!("it lists a file with the name {file:?}"))),
            None => Ok(listing),
        }
    }

    /// Looks into the cache: there may be more files in the commit.
    pub fn of_cache(hub: &Hub, repository: &Repository) -> Result<Self, HubError> {
        let nothing = || HubError::not_cached(hub, repository, None);
        let commit = hub.commit(repository).ok_or_else(nothing)?;
        let mut files = BTreeMap::new();
        list(&hub.snapshot(repository, &commit), "", &mut files);
        if files.is_empty() {
            return Err(nothing());
        }
        Ok(Self { commit, files })
    }
}

impl Hub {
    /// The commit that the revision is, or was when it was fetched, as far as the cache knows.
    pub(super) fn commit(&self, repository: &Repository) -> Option<String> {
        let revision = repository.revision();
        let folder = self.cache.join(repository.at(revision).folder_name());
        let commit = match fs::read_to_string(folder.join("refs").join(revision)) {
            Ok(commit) => commit.trim().to_owned(),
            Err(_) => revision.to_owned(),
        };
        is_commit(&commit).then_some(commit)
    }
}

/// Adds the files in `dir` that can be read; a link without its file cannot.
fn list(dir: &Path, prefix: &str, files: &mut BTreeMap<String, Option<u64>>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let (Some(name), Ok(metadata)) = (name.to_str(), fs::metadata(&path)) else { continue };
        let name = format!("{prefix}{name}");
        if metadata.is_dir() {
            list(&path, &format!("{name}/"), files);
        } else {
            files.insert(name, None);
        }
    }
}

/// Whether it looks like a commit hash.
fn is_commit(text: &str) -> bool {
    text.len() >= 40 && text.chars().all(|c| c.is_ascii_hexdigit())
}
