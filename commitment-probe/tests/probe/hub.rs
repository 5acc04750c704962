//! Models and questions by their names on a Hub, which is a server on this machine.

use std::{
    env, fs,
    path::Path,
    process::{Command, Output},
};

use concept_mass_tiny::hub::{HubServer, Served};
use serde_json::Value;

use super::program::{QUESTIONS, TINY, folder, lines, program};

/// Few questions, few tokens.
const SHORT: [&str; 6] = ["--limit", "3", "--samples", "0", "--max-tokens", "4"];

/// The tiny model, and its questions.
fn served(commit: char) -> [Served; 2] {
    let mut model = Served::empty("owner/tiny", commit);
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        model = model.with(file, fs::read(Path::new(TINY.as_str()).join(file)).unwrap());
    }
    let questions = Served::empty("datasets/owner/questions", 'd')
        .with("README.md", "questions")
        .with("data/untaught.jsonl", fs::read(QUESTIONS.as_str()).unwrap());
    [model, questions]
}

/// A machine with a Hub and with nothing else that is the user's own.
struct Machine<'a> {
    endpoint: String,
    home: &'a Path,
}

impl Machine<'_> {
    fn command(&self, model: &str, questions: &str, out: &Path) -> Command {
        let args = ["run", "--num-shots=0", "--model", model, "--questions", questions, "--out"];
        let mut program = program(args);
        program.arg(out).args(SHORT);
        for (name, _) in env::vars_os() {
            let lower = name.to_string_lossy().to_lowercase();
            let users = ["hf_", "hugging", "transformers_", "xdg_"];
            if lower.ends_with("_proxy") || users.iter().any(|start| lower.starts_with(start)) {
                program.env_remove(name);
            }
        }
        program.env("HF_ENDPOINT", &self.endpoint).env("HF_HOME", self.home);
        program
    }

    #[track_caller]
    fn run(&self, model: &str, questions: &str, out: &Path) -> String {
        says(self.command(model, questions, out).output().unwrap(), true)
    }

    #[track_caller]
    fn complaint(&self, model: &str, questions: &str, out: &Path) -> String {
        says(self.command(model, questions, out).output().unwrap(), false)
    }
}

#[track_caller]
fn says(output: Output, success: bool) -> String {
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.success(), success, "{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

fn samples(run: &Path) -> Vec<u8> {
    fs::read(run.join("samples.jsonl")).unwrap()
}

#[test]
fn a_model_of_the_hub_is_probed() {
    let out = folder("hub");
    let server = HubServer::start(served('a'));
    let machine = Machine { endpoint: server.endpoint(), home: &out.join("home") };
    let model = "owner/tiny";

    let first = out.join("first");
    let said = machine.run(model, "owner/questions", &first);
    // Nobody watches: a line for each file.
    for file in ["untaught.jsonl of owner/questions", "model.safetensors of owner/tiny"] {
        assert!(
            said.lines().any(|line| line.contains("fetching") && line.contains(file)),
            "{said}"
        );
    }
    let settings: Value =
        serde_json::from_slice(&fs::read(first.join("run.json")).unwrap()).unwrap();
    assert_eq!((&settings["model"], &settings["commit"]), (&model.into(), &"a".repeat(40).into()));
    assert_eq!(lines(&first.join("samples.jsonl")).len(), 3);

    // It is the model that it is as a path.
    let path = out.join("path");
    machine.run(TINY.as_str(), QUESTIONS.as_str(), &path);
    assert_eq!(samples(&path), samples(&first));

    // Once more: nothing is fetched.
    server.requests();
    let second = out.join("second");
    let said = machine.run(model, "owner/questions:data/untaught.jsonl", &second);
    assert!(!said.contains("fetching"), "{said}");
    assert!(server.requests().iter().all(|request| !request.is_for_file()));
    assert_eq!(samples(&second), samples(&first));

    // Offline, nothing is asked.
    let offline = out.join("offline");
    let mut command = machine.command(model, "owner/questions", &offline);
    says(command.env("HF_HUB_OFFLINE", "1").output().unwrap(), true);
    assert!(server.requests().is_empty());
    assert_eq!(samples(&offline), samples(&first));
    let mut command = machine.command("owner/other", "owner/questions", &out.join("other"));
    let said = says(command.env("HF_HUB_OFFLINE", "1").output().unwrap(), false);
    assert!(said.contains("owner/other") && said.contains("HF_HUB_OFFLINE"), "{said}");

    // Without a network, the cache will do.
    drop(server);
    let said = machine.run(model, "owner/questions", &out.join("unplugged"));
    assert!(said.contains("note: ") && said.contains("cannot be reached"), "{said}");
    assert_eq!(samples(&out.join("unplugged")), samples(&first));
}

#[test]
fn a_run_is_resumed_with_its_own_commit_only() {
    let out = folder("hub-commit");
    let server = HubServer::start(served('a'));
    let machine = Machine { endpoint: server.endpoint(), home: &out.join("home") };
    let run = out.join("run");
    machine.run("owner/tiny", QUESTIONS.as_str(), &run);
    let whole = samples(&run);
    // Some are missing.
    let first = whole.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    fs::write(run.join("samples.jsonl"), &whole[..first]).unwrap();

    let [mut before, questions] = served('a');
    before.revisions.clear();
    server.serve([before, served('b')[0].clone(), questions]);
    let said = machine.complaint("owner/tiny", QUESTIONS.as_str(), &run);
    let [a, b] = ['a', 'b'].map(|digit| digit.to_string().repeat(40));
    assert!(said.contains(&format!("commit was \"{a}\" and is \"{b}\"")), "{said}");
    assert_eq!(samples(&run), &whole[..first]);

    // By its name it is still to be had.
    machine.run(&format!("owner/tiny@{a}"), QUESTIONS.as_str(), &run);
    assert_eq!(samples(&run), whole);
}

#[test]
fn a_path_stays_a_path() {
    let out = folder("hub-path");
    let server = HubServer::start(served('a'));
    let machine = Machine { endpoint: server.endpoint(), home: &out.join("home") };
    let run = out.join("run");
    concept_mass_tiny::write_to(&out.join("owner/tiny")).unwrap();
    fs::copy(QUESTIONS.as_str(), out.join("owner/questions")).unwrap();
    let mut command = machine.command("owner/tiny", "owner/questions", &run);
    says(command.current_dir(&out).output().unwrap(), true);
    assert!(server.requests().is_empty());
    let settings: Value = serde_json::from_slice(&fs::read(run.join("run.json")).unwrap()).unwrap();
    assert_eq!(settings["commit"], Value::Null);
}

#[test]
fn what_is_neither_a_path_nor_on_the_hub_is_named() {
    let out = folder("hub-complaints");
    let [mut gated, questions] = served('a');
    gated.token = Some("hf_right".to_owned());
    let server = HubServer::start([gated, questions]);
    let machine = Machine { endpoint: server.endpoint(), home: &out.join("home") };
    let run = out.join("run");
    let complaint = |model: &str, questions: &str, parts: &[&str]| {
        let said = machine.complaint(model, questions, &run);
        assert!(said.starts_with("error: ") || said.contains("\nerror: "), "{said}");
        for part in parts {
            assert!(said.contains(part), "{part:?} is not in {said:?}");
        }
    };
    // What can be nothing but a path: the Hub has nothing to do with it.
    for name in ["./no/such", "/no/such/model", "data/no-such.gguf", "no/such.jsonl"] {
        let only = format!("error: there is no file or folder {name}\n");
        assert_eq!(machine.complaint(name, QUESTIONS.as_str(), &run), only);
        assert_eq!(machine.complaint(TINY.as_str(), name, &run), only);
    }
    for name in ["no-such-folder", "a/b/c"] {
        let both = ["no file or folder", name, "is no name on the Hub", "owner/name"];
        complaint(name, QUESTIONS.as_str(), &both);
        complaint(TINY.as_str(), name, &both);
    }
    complaint(
        "owner/other",
        QUESTIONS.as_str(),
        &["no file or folder owner/other", "has no model owner/other"],
    );
    complaint(
        TINY.as_str(),
        "owner/other",
        &["no file or folder owner/other", "has no dataset owner/other"],
    );
    complaint(
        TINY.as_str(),
        "owner/questions:x.jsonl",
        &["no file x.jsonl", "data/untaught.jsonl"],
    );
    complaint(
        "owner/tiny",
        QUESTIONS.as_str(),
        &["accept its licence", "HF_TOKEN", "no token was sent"],
    );

    let mut command = machine.command("owner/tiny", QUESTIONS.as_str(), &run);
    says(command.env("HF_TOKEN", "hf_right").output().unwrap(), true);
}
