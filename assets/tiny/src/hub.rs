//! A server on this machine that serves files as the Hugging Face Hub does, for tests of what
//! fetches them: its listings, headers, redirects, ranges and refusals.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use serde_json::json;

/// One commit of a repository.
#[derive(Debug, Clone, Default)]
pub struct Served {
    /// As in addresses: `owner/name` for a model, `datasets/owner/name` for a dataset.
    pub id: String,
    /// The commit hash, of 40 digits.
    pub commit: String,
    /// The branches and tags that are at this commit.
    pub revisions: Vec<String>,
    /// The files by their paths.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The token that the files are given to, of those that are gated.
    pub token: Option<String>,
    /// Whether files are at an address on another host, as large ones are.
    pub elsewhere: bool,
    /// How often a file is cut in half before it comes whole.
    pub cuts: usize,
    /// Whether a file that is cut seems whole, as its length is not said.
    pub unnoticed: bool,
}

impl Served {
    /// The branch `main` of a repository that holds the files of `dir`.
    ///
    /// # Panics
    ///
    /// Like all that is here, where the file system or the network fails: this is for tests.
    pub fn folder(id: &str, commit: char, dir: &Path) -> Self {
        let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
        let file = |entry: fs::DirEntry| {
            (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())
        };
        Self { files: entries.map(file).collect(), ..Self::empty(id, commit) }
    }

    /// The branch `main` of a repository without files; the commit hash is one digit, 40 times.
    pub fn empty(id: &str, commit: char) -> Self {
        Self {
            id: id.to_owned(),
            commit: commit.to_string().repeat(40),
            revisions: vec!["main".to_owned()],
            ..Self::default()
        }
    }

    /// With another file.
    #[must_use]
    pub fn with(mut self, file: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.insert(file.to_owned(), bytes.into());
        self
    }
}

/// A request that was made.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET` or `HEAD`.
    pub method: String,
    /// The address on this host.
    pub path: String,
    /// The names in lower case.
    headers: BTreeMap<String, String>,
}

impl Request {
    /// The value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// Whether it asks for a file, or for where it is.
    pub fn is_for_file(&self) -> bool {
        self.path.contains("/resolve/") || self.path.starts_with(ELSEWHERE)
    }

    fn read(stream: &TcpStream) -> Option<Self> {
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let first = lines.next()?;
        let mut words = first.split(' ');
        let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
        let headers = lines.take_while(|line| !line.is_empty());
        let headers = headers.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        });
        Some(Self { method, path, headers: headers.collect() })
    }
}

/// What all connections share.
#[derive(Default)]
struct Shared {
    repositories: Mutex<Vec<Served>>,
    /// The old names of repositories, and the new ones.
    renamed: Mutex<BTreeMap<String, String>>,
    requests: Mutex<Vec<Request>>,
    stopped: AtomicBool,
}

/// A server at a free port, until it is dropped.
pub struct HubServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Where files are that are elsewhere.
const ELSEWHERE: &str = "/elsewhere/";

impl HubServer {
    /// Starts a server that has these repositories.
    pub fn start(repositories: impl IntoIterator<Item = Served>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        shared.repositories.lock().unwrap().extend(repositories);
        let serving = Arc::clone(&shared);
        let serve = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if serving.stopped.load(Ordering::SeqCst) {
                    break;
                }
                // One after the other: what a client did is in the order in which it did it.
                serving.answer(&stream, address.port());
            }
        };
        Self { address, shared, thread: Some(thread::spawn(serve)) }
    }

    /// What `HF_ENDPOINT` is to be.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Replaces what it serves.
    pub fn serve(&self, repositories: impl IntoIterator<Item = Served>) {
        *self.shared.repositories.lock().unwrap() = repositories.into_iter().collect();
    }

    /// Gives a repository another name; the old one is redirected to it.
    pub fn rename(&self, old: &str, new: &str) {
        self.shared.renamed.lock().unwrap().insert(old.to_owned(), new.to_owned());
        for served in self.shared.repositories.lock().unwrap().iter_mut() {
            if served.id == old {
                served.id = new.to_owned();
            }
        }
    }

    /// The requests since the last time that this was asked.
    pub fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.shared.requests.lock().unwrap())
    }
}

impl Drop for HubServer {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes it from waiting.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// An answer without its body.
struct Head {
    status: u16,
    headers: Vec<(&'static str, String)>,
}

impl Head {
    fn new(status: u16) -> Self {
        Self { status, headers: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// A refusal in the way of the Hub: its reason is in a header.
    fn refusal(status: u16, code: &str, message: &str) -> (Self, Vec<u8>) {
        let head = Self::new(status).with("X-Error-Code", code).with("X-Error-Message", message);
        (head, json!({ "error": message }).to_string().into_bytes())
    }
}

impl Shared {
    fn answer(&self, stream: &TcpStream, port: u16) {
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let Some(request) = Request::read(stream) else { return };
        self.requests.lock().unwrap().push(request.clone());
        let (head, body, cut) = self.respond(&request, port);
        let mut text = format!("HTTP/1.1 {} As said\r\nConnection: close\r\n", head.status);
        // An answer without a length ends where the connection does.
        if cut != Some(Cut::Unnoticed) {
            text += &format!("Content-Length: {}\r\n", body.len());
        }
        for (name, value) in &head.headers {
            text += &format!("{name}: {value}\r\n");
        }
        let sent = if cut.is_some() { &body[..body.len() / 2] } else { &body[..] };
        let mut stream = stream;
        // A client may have gone away.
        let _ = stream.write_all(format!("{text}\r\n").as_bytes());
        if request.method != "HEAD" {
            let _ = stream.write_all(sent);
        }
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read(&mut [0]);
    }

    fn respond(&self, request: &Request, port: u16) -> (Head, Vec<u8>, Option<Cut>) {
        let path = request.path.split('?').next().unwrap_or_default();
        let whole = |(head, body)| (head, body, None);
        for (old, new) in self.renamed.lock().unwrap().iter() {
            if let Some((before, after)) = request.path.split_once(&format!("/{old}/")) {
                let location = format!("{before}/{new}/{after}");
                return whole((Head::new(307).with("Location", location), Vec::new()));
            }
        }
        if let Some(place) = path.strip_prefix(ELSEWHERE) {
            return self.file(request, place, None);
        }
        if let Some((repository, revision)) =
            path.strip_prefix("/api/").and_then(|path| path.split_once("/revision/"))
        {
            let repository = repository.strip_prefix("models/").unwrap_or(repository);
            return whole(self.listing(repository, revision, request.path.contains("blobs=true")));
        }
        if path.contains("/resolve/") {
            return self.file(request, &path[1..], Some(port));
        }
        whole(Head::refusal(404, "", "Sorry, we can't find the page you are looking for."))
    }

    fn listing(&self, repository: &str, revision: &str, blobs: bool) -> (Head, Vec<u8>) {
        let repositories = self.repositories.lock().unwrap();
        let served = match find(&repositories, repository, revision) {
            Ok(place) => &repositories[place],
            Err(refusal) => return refusal,
        };
        let file = |(name, bytes): (&String, &Vec<u8>)| match blobs {
            true => json!({ "rfilename": name, "blobId": etag(bytes), "size": bytes.len() }),
            false => json!({ "rfilename": name }),
        };
        let siblings: Vec<_> = served.files.iter().map(file).collect();
        let gated = if served.token.is_some() { json!("manual") } else { json!(false) };
        let info = json!({
            "id": repository, "sha": served.commit, "gated": gated, "siblings": siblings,
        });
        (Head::new(200).with("Content-Type", "application/json"), info.to_string().into_bytes())
    }

    /// A file at `owner/name/resolve/revision/path`; `port` is that of the Hub itself, which may
    /// say that the file is elsewhere.
    fn file(
        &self,
        request: &Request,
        place: &str,
        port: Option<u16>,
    ) -> (Head, Vec<u8>, Option<Cut>) {
        let mut repositories = self.repositories.lock().unwrap();
        let (repository, rest) = place.split_once("/resolve/").unwrap_or_default();
        let (revision, name) = rest.split_once('/').unwrap_or_default();
        let served = match find(&repositories, repository, revision) {
            Ok(place) => &mut repositories[place],
            Err((head, body)) => return (head, body, None),
        };
        if let (Some(token), Some(_)) = (&served.token, port) {
            let sent = request.header("authorization");
            if sent != Some(&format!("Bearer {token}")) {
                let status = if sent.is_some() { 403 } else { 401 };
                let message = format!("Access to {repository} is restricted.");
                let (head, body) = Head::refusal(status, "GatedRepo", &message);
                return (head, body, None);
            }
        }
        let Some(bytes) = served.files.get(name) else {
            let (head, body) = Head::refusal(404, "EntryNotFound", "Entry not found");
            return (head, body, None);
        };
        let tagged = |head: Head| {
            head.with("X-Repo-Commit", served.commit.clone())
                .with("Accept-Ranges", "bytes")
                .with("ETag", format!("\"{}\"", etag(bytes)))
        };
        if let (true, Some(port)) = (served.elsewhere, port) {
            let location = format!("http://localhost:{port}{ELSEWHERE}{place}");
            let head = tagged(Head::new(302))
                .with("Location", location)
                .with("X-Linked-Size", bytes.len().to_string())
                .with("X-Linked-Etag", format!("\"{}\"", etag(bytes)));
            return (head, Vec::new(), None);
        }
        let Some((start, end)) = range(request.header("range"), bytes.len()) else {
            let length = format!("bytes */{}", bytes.len());
            return (Head::new(416).with("Content-Range", length), Vec::new(), None);
        };
        let head = match request.header("range") {
            Some(_) => {
                let range = format!("bytes {start}-{}/{}", end.saturating_sub(1), bytes.len());
                Head::new(206).with("Content-Range", range)
            }
            None => Head::new(200),
        };
        let (head, body) = (tagged(head), bytes[start..end].to_vec());
        // Not where it is only asked how long the file is.
        let cut = (body.len() > 1 && served.cuts > 0).then(|| {
            served.cuts -= 1;
            if served.unnoticed { Cut::Unnoticed } else { Cut::Short }
        });
        (head, body, cut)
    }
}

/// How a file is cut in half.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    /// It is shorter than the answer says.
    Short,
    /// The answer does not say how long it is.
    Unnoticed,
}

/// The place of the commit that a revision is, or a refusal.
fn find(
    repositories: &[Served],
    repository: &str,
    revision: &str,
) -> Result<usize, (Head, Vec<u8>)> {
    let revision = revision.replace("%2F", "/");
    if repositories.iter().all(|served| served.id != repository) {
        // What does not exist is what nobody may see.
        return Err(Head::refusal(401, "RepoNotFound", "Invalid username or password."));
    }
    let is_it = |served: &Served| {
        served.id == repository
            && (served.commit == revision || served.revisions.contains(&revision))
    };
    repositories.iter().position(is_it).ok_or_else(|| {
        Head::refusal(404, "RevisionNotFound", &format!("Invalid rev id: {revision}"))
    })
}

/// From where to where a `Range` asks for; `None` if the file has no such part.
fn range(header: Option<&str>, length: usize) -> Option<(usize, usize)> {
    let Some(range) = header.and_then(|header| header.strip_prefix("bytes=")) else {
        return Some((0, length));
    };
    let (start, end) = range.split_once('-')?;
    let start = start.parse().ok()?;
    let end = end.parse::<usize>().map_or(length, |last| length.min(last + 1));
    (start < end).then_some((start, end))
}

/// A name for these bytes (FNV-1a, as long as the Hub's).
fn etag(bytes: &[u8]) -> String {
    let mix = |hash: u64, &byte: &u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    format!("{:016x}", bytes.iter().fold(0xCBF2_9CE4_8422_2325, mix)).repeat(4)
}
