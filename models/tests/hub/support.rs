//! To ask a server on this machine.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use candle_core::{Device, Tensor};
use concept_mass_models::{
    hub::{Found, Hub, HubError, Repository},
    load,
};
use concept_mass_tiny::{
    hub::{HubServer, Served},
    toy::{Toy, config, tensors},
};

pub const ID: &str = "owner/toy";

/// Runs a test without the proxies of the user, which would be asked for addresses on this machine,
/// too: if there are any, in a process of its own.
pub fn without_proxies(test: impl FnOnce()) {
    let is_proxy = |name: &String| name.to_lowercase().ends_with("_proxy");
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let proxies: Vec<String> = names.filter(is_proxy).collect();
    if proxies.is_empty() {
        return test();
    }
    let thread = thread::current();
    let mut program = Command::new(env::current_exe().unwrap());
    program.args(["--exact", thread.name().unwrap()]);
    for name in proxies {
        program.env_remove(name);
    }
    let output = program.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

/// An empty folder that no other test uses.
pub fn folder(name: &str) -> PathBuf {
    let test = thread::current().name().unwrap_or_default().replace("::", "-");
    let dir: PathBuf = [env!("CARGO_TARGET_TMPDIR"), "hub", &test, name].iter().collect();
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap();
    }
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// A toy Llama.
pub fn toy() -> Toy {
    Toy::make(folder("toy"), &config("llama", true), &tensors("llama", true))
}

/// The commit `aaaa…` of it.
pub fn served() -> Served {
    Served::folder(ID, 'a', &toy().dir)
}

/// A Hub that is `server`, with an empty cache.
pub fn hub(server: &HubServer) -> Hub {
    Hub { cache: folder("cache"), endpoint: server.endpoint(), token: None, offline: false }
}

pub fn find(hub: &Hub, model: &str) -> Result<Found, HubError> {
    hub.find_model(&Repository::model(model).unwrap(), true)
}

pub fn find_questions(hub: &Hub, dataset: &str) -> Result<Found, HubError> {
    hub.find_file(&Repository::dataset(dataset).unwrap(), &["jsonl", "json"])
}

/// Finds and fetches a model.
pub fn fetch(hub: &Hub, model: &str) -> Result<PathBuf, HubError> {
    find(hub, model)?.fetch(&mut ())
}

/// The names of the files in a folder.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Asserts that a model is there, and is that of `toy`.
#[track_caller]
pub fn is_toy(path: &Path, toy: &Toy) {
    let [got, want] = [path, &toy.dir].map(|path| {
        let mut loaded = load(path, None, &Device::Cpu, None).unwrap();
        let tokens = Tensor::new(&[[5u32, 700, 1151]], &Device::Cpu).unwrap();
        let logits = loaded.model.forward(&tokens, 0).unwrap();
        logits.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    });
    assert_eq!(got, want);
}

/// Asserts that it fails, and that the complaint names the repository and says all of `parts`.
#[track_caller]
pub fn complains<T>(result: Result<T, HubError>, parts: &[&str]) -> HubError {
    let Err(error) = result else { panic!("it can be had") };
    let complaint = error.to_string();
    for part in parts {
        assert!(complaint.contains(part), "{part:?} is not in {complaint:?}");
    }
    error
}
