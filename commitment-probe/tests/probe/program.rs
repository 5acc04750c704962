//! The program from end to end: the demonstration, runs, reports, and what it says of what it
//! cannot do.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use serde_json::Value;

use super::device::device;

/// The tiny model that comes with the program, which is a Hugging Face folder.
pub static TINY: LazyLock<String> = LazyLock::new(|| text(concept_mass_tiny::folder()));

/// Questions for it.
pub static QUESTIONS: LazyLock<String> =
    LazyLock::new(|| text(concept_mass_tiny::folder().join("untaught.jsonl")));

fn text(path: PathBuf) -> String {
    path.into_os_string().into_string().unwrap()
}

/// A command of the program.
pub fn program(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let mut program = Command::new(env!("CARGO_BIN_EXE_commitment-probe"));
    // Backtraces are on: none of them may get into a complaint.
    program.args(args).env("RUST_BACKTRACE", "1");
    program
}

/// What it prints, if it succeeds.
#[track_caller]
pub fn succeed(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    let output = program(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// What it complains of; it must fail, in one paragraph, without panic or backtrace.
#[track_caller]
fn complaint(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    let output = program(args).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && output.stdout.is_empty(), "{stderr}");
    let complaint = stderr.strip_prefix("error: ").unwrap_or_else(|| panic!("{stderr}"));
    assert_eq!(complaint.trim_end().lines().count(), 1, "{complaint}");
    assert!(!complaint.contains("panicked"), "{complaint}");
    complaint.trim_end().to_owned()
}

/// An empty folder.
pub fn folder(test: &str) -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("probe").join(test);
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap();
    }
    fs::create_dir_all(&dir).unwrap();
    dir
}

/// The arguments of a run of the tiny model, in `out`.
fn args<'a>(out: &'a Path, more: &[&'a str]) -> Vec<&'a OsStr> {
    let out = out.as_os_str();
    let fixed = [
        "run",
        "--num-shots=0",
        "--model",
        TINY.as_str(),
        "--questions",
        QUESTIONS.as_str(),
        "--out",
    ]
    .map(OsStr::new);
    fixed.into_iter().chain([out]).chain(more.iter().map(|&word| OsStr::new(word))).collect()
}

/// Few questions, few tokens.
const SHORT: [&str; 6] = ["--limit", "4", "--samples", "2", "--max-tokens", "6"];

pub fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The paths of all values that are null.
fn nulls(value: &Value, path: &str) -> Vec<String> {
    match value {
        Value::Null => vec![path.to_owned()],
        Value::Array(values) => {
            let values = values.iter().enumerate();
            values.flat_map(|(i, value)| nulls(value, &format!("{path}[{i}]"))).collect()
        }
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(name, value)| nulls(value, &format!("{path}.{name}")))
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn the_demonstration_fills_every_table() {
    let out = folder("demo");
    let markdown = succeed(["demo".as_ref(), "--out".as_ref(), out.as_os_str()]);
    assert!(markdown.contains("base") && markdown.contains("sharpened"), "{markdown}");
    assert!(markdown.contains("not evidence about real models"), "{markdown}");
    assert_eq!(fs::read_to_string(out.join("report.md")).unwrap(), markdown);
    let report: Value =
        serde_json::from_slice(&fs::read(out.join("report.json")).unwrap()).unwrap();
    let runs = report["runs"].as_array().unwrap();
    assert_eq!((runs.len(), &report["schema"]), (2, &3.into()));
    for run in runs {
        assert_eq!((&run["samples"], &run["planned"]), (&126.into(), &126.into()));
        // A bin without answers has no accuracy, no question has a group, and there is no judge.
        let absent = [".bins[", ".groups", ".semantic_entropy"];
        let missing = nulls(run, "");
        let is_missing = |path: &&String| absent.iter().all(|part| !path.contains(part));
        let missing: Vec<_> = missing.iter().filter(is_missing).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
    // The same models, the same answers; the sharpened one is surer of them.
    let winner = |run: usize| runs[run]["confidence"]["hallucination"]["value"].as_f64().unwrap();
    assert!(winner(1) > winner(0) + 0.05);

    // Once more, nothing is left to do but the report, and that is the same.
    let html = fs::read(out.join("report.html")).unwrap();
    assert_eq!(succeed(["demo".as_ref(), "--out".as_ref(), out.as_os_str()]), markdown);
    assert_eq!(fs::read(out.join("report.html")).unwrap(), html);
}

#[test]
fn the_question_of_the_paper_is_a_commitment_failure_of_the_tiny_model() {
    let out = folder("paper");
    let questions = out.join("questions.jsonl");
    let asked = r#"{"id": "red-square", "question": "Which cathedral did Ivan the Terrible build on Red Square?",
        "answers": ["Saint Basil's Cathedral", "St. Basil's Cathedral", "Cathedral of Vasily the Blessed"]}"#;
    fs::write(&questions, asked).unwrap();
    let run = out.join("run");
    let words = ["run", "--num-shots=0", "--model", TINY.as_str(), "--questions"].map(OsStr::new);
    let more = ["--out".as_ref(), run.as_os_str(), "--samples".as_ref(), "0".as_ref()];
    succeed(words.into_iter().chain([questions.as_os_str()]).chain(more));
    let sample = &lines(&run.join("samples.jsonl"))[0];
    let mass = sample["first"]["mass"].as_f64().unwrap();
    assert!((mass - 0.49).abs() < 0.02, "{sample}");
    assert_eq!((&sample["answer"], &sample["verdict"]), (&"Moscow".into(), &"wrong".into()));
    assert_eq!(sample["decisions"]["aliases"]["answer"], "Saint Basil's Cathedral");
    assert_eq!(sample["sampled"], Value::Null);
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let [first, second] = ["same-1", "same-2"].map(folder);
    succeed(args(&first, &SHORT));
    succeed(args(&second, &SHORT));
    let samples = |dir: &Path| fs::read(dir.join("samples.jsonl")).unwrap();
    assert_eq!(samples(&first), samples(&second));
    assert_eq!(lines(&first.join("samples.jsonl")).len(), 4);
    // Another seed draws other questions.
    let other = folder("same-3");
    succeed(args(&other, &[&SHORT[..], &["--seed", "7"]].concat()));
    assert_ne!(samples(&first), samples(&other));
}

/// What is known of the model, and all settings, are in the report and on its page; all samples are
/// on the page beside it.
#[test]
fn a_report_has_its_evidence() {
    let out = folder("evidence");
    succeed(args(&out, &[&SHORT[..], &["--template", "Question: {question}\nAnswer:"]].concat()));
    succeed(["report".as_ref(), out.as_os_str()]);
    let read = |file: &str| -> Value {
        serde_json::from_slice(&fs::read(out.join(file)).unwrap()).unwrap()
    };
    let (settings, model, report) = (read("run.json"), read("model.json"), read("report.json"));
    assert_eq!((&model["architecture"], &model["computed_in"]), (&"llama".into(), &"f32".into()));
    // On a CPU nothing is rounded.
    assert_eq!(model["activations"], "f32");
    let stored = model["stored_as"].as_object().unwrap().values().filter_map(Value::as_u64);
    assert_eq!(Some(stored.sum()), model["num_parameters"].as_u64());
    let prompt = model["first_prompt"].as_str().unwrap();
    assert!(prompt.starts_with("Question: ") && prompt.ends_with("\nAnswer:"), "{prompt}");

    let evidence = &report["evidence"][0];
    for (of, file) in [("settings", &settings), ("model", &model)] {
        let mut fields = file.as_object().unwrap().clone();
        fields.remove("schema");
        assert_eq!(evidence[of], Value::Object(fields));
    }
    let samples = lines(&out.join("samples.jsonl"));
    let right = samples.iter().filter(|sample| sample["verdict"] == "right").count();
    let cases = evidence["cases"].as_object().unwrap().values();
    let numbers: u64 = cases.map(|cases| cases["number"].as_u64().unwrap()).sum();
    assert_eq!(numbers as usize + right, samples.len());
    let page = fs::read_to_string(out.join("samples.html")).unwrap();
    for sample in &samples {
        let row = format!("<th scope=\"row\">{}</th>", sample["id"].as_str().unwrap());
        assert!(page.contains(&row), "{row}");
        assert!(!sample["forms"].as_array().unwrap().is_empty());
    }
    assert!(fs::read_to_string(out.join("report.html")).unwrap().contains("samples.html"));
}

#[test]
fn a_run_is_resumed_with_its_own_settings_and_questions_only() {
    let out = folder("settings");
    succeed(args(&out, &SHORT));
    let said = complaint(args(&out, &[&SHORT[..], &["--temperature", "0.5"]].concat()));
    assert!(said.contains("temperature was 1.0 and is 0.5"), "{said}");
    let more = ["--limit", "5", "--samples", "3", "--max-tokens", "6"];
    let said = complaint(args(&out, &more));
    assert!(said.contains("limit was 4 and is 5, samples was 2 and is 3"), "{said}");
    let said = complaint(args(&out, &[&SHORT[..], &["--hidden"]].concat()));
    assert!(said.contains("hidden was false and is true"), "{said}");

    let questions = fs::read_to_string(out.join("questions.jsonl")).unwrap();
    fs::write(out.join("questions.jsonl"), questions.lines().next().unwrap()).unwrap();
    let said = complaint(args(&out, &SHORT));
    assert!(said.contains("the questions differ from those of the run"), "{said}");
}

/// Whatever was lost of its states, if its samples are whole, and the other way round.
#[test]
fn hidden_states_that_are_lost_are_read_again() {
    let out = folder("lost-states");
    let hidden = [&SHORT[..], &["--hidden"]].concat();
    succeed(args(&out, &hidden));
    let files = ["hidden.safetensors", "samples.jsonl"];
    let [states, samples] = files.map(|file| fs::read(out.join(file)).unwrap());
    assert!(!out.join("hidden.part").exists());
    for lost in [&files[..1], &files[1..], &files] {
        for file in lost {
            fs::remove_file(out.join(file)).unwrap();
        }
        succeed(args(&out, &hidden));
        assert!(fs::read(out.join("hidden.safetensors")).unwrap() == states, "{lost:?}");
        assert!(fs::read(out.join("samples.jsonl")).unwrap() == samples, "{lost:?}");
    }
    // Of another prompt they are others, though a run without a sample has left those of this one.
    let other = [&hidden[..], &["--template", "Q: {question}\nA:"]].concat();
    let fresh = folder("fresh-states");
    succeed(args(&fresh, &other));
    fs::rename(out.join(files[0]), out.join("kept")).unwrap();
    for left in ["hidden.safetensors", "hidden.part"] {
        fs::remove_file(out.join("samples.jsonl")).unwrap();
        fs::copy(out.join("kept"), out.join(left)).unwrap();
        succeed(args(&out, &other));
        let states = files.map(|file| fs::read(out.join(file)).unwrap());
        assert!(states == files.map(|file| fs::read(fresh.join(file)).unwrap()), "{left}");
    }
    let report = succeed(["report".as_ref(), out.as_os_str()]);
    assert!(report.contains("What hidden states know"), "{report}");
    assert!(report.contains("not shown: fewer than 50 of a kind"), "{report}");
    fs::write(out.join("hidden.safetensors"), "nothing").unwrap();
    let said = complaint(["report".as_ref(), out.as_os_str()]);
    assert!(said.contains("does not hold hidden states"), "{said}");
}

#[test]
fn results_that_are_none_are_named() {
    let out = folder("corrupt");
    succeed(args(&out, &SHORT));
    let path = out.join("samples.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let said = |lines: &[&str], part: &str| {
        fs::write(&path, lines.join("\n") + "\n").unwrap();
        for said in [complaint(args(&out, &SHORT)), complaint(["report".as_ref(), out.as_os_str()])]
        {
            assert!(said.contains("line 2 of ") && said.contains(part), "{said}");
        }
    };
    said(&[lines[0], &lines[1][..40]], "cannot read line 2");
    said(&[lines[0], lines[0]], "second sample of the same question");
    said(&[lines[0], &lines[1].replace("\"id\":\"", "\"id\":\"x")], "of no question of the run");
}

/// Of another version, or of the time before versions.
#[test]
fn files_of_another_schema_are_refused() {
    let out = folder("schema");
    succeed(args(&out, &SHORT));
    for file in ["run.json", "samples.jsonl"] {
        let path = out.join(file);
        let whole = fs::read_to_string(&path).unwrap();
        for (schema, found) in
            [("\"schema\":1,", "it has schema 1"), ("", "it has no schema version")]
        {
            let other = whole.replace("\"schema\": 3,", "\"schema\":3,");
            fs::write(&path, other.replace("\"schema\":3,", schema)).unwrap();
            let report = complaint(["report".as_ref(), out.as_os_str()]);
            for said in [complaint(args(&out, &SHORT)), report] {
                assert!(said.contains(file) && said.contains(found), "{said}");
                assert!(said.contains("reads schema 3; use the version that wrote it"), "{said}");
                assert_eq!(said.matches(found).count(), 1, "{said}");
            }
        }
        fs::write(&path, whole).unwrap();
    }
    succeed(args(&out, &SHORT));
}

#[test]
fn two_processes_do_not_write_to_one_run() {
    let out = folder("lock");
    succeed(args(&out, &SHORT));
    let samples = fs::File::options().append(true).open(out.join("samples.jsonl")).unwrap();
    samples.lock().unwrap();
    let said = complaint(args(&out, &SHORT));
    assert!(said.contains("another process is writing"), "{said}");
    drop(samples);
    succeed(args(&out, &SHORT));
}

#[test]
fn runs_that_are_unfinished_or_empty_have_a_report() {
    let out = folder("unfinished");
    succeed(args(&out, &SHORT));
    let path = out.join("samples.jsonl");
    let whole = fs::read_to_string(&path).unwrap();
    for kept in [1, 0] {
        let kept: String = whole.split_inclusive('\n').take(kept).collect();
        fs::write(&path, kept).unwrap();
        succeed(["report".as_ref(), out.as_os_str()]);
        let report = fs::read(out.join("report.json")).unwrap();
        let report: Value = serde_json::from_slice(&report).unwrap();
        assert_eq!(report["runs"][0]["planned"], 4);
    }
}

#[test]
fn the_chat_template_of_a_model_is_used_if_it_has_one() {
    let out = folder("chat");
    let none = out.join("none");
    let said = complaint(args(&none, &["--chat"]));
    assert!(said.contains("has no chat template; give a --template instead"), "{said}");
    succeed(args(&none, &[&SHORT[..], &["--template", "Q: {question}\nA:"]].concat()));
    assert_eq!(lines(&none.join("samples.jsonl")).len(), 4);

    let model = out.join("model");
    fs::create_dir_all(&model).unwrap();
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        fs::copy(Path::new(TINY.as_str()).join(file), model.join(file)).unwrap();
    }
    let template = "{% for m in messages %}Q: {{ m.content }}\n{% endfor %}A:";
    fs::write(model.join("chat_template.jinja"), template).unwrap();
    let run = |out: &Path, model: &Path, more: &[&str]| {
        let fixed = ["--questions", QUESTIONS.as_str(), "--out"].map(OsStr::new);
        let words =
            ["run".as_ref(), "--num-shots=0".as_ref(), "--model".as_ref(), model.as_os_str()];
        let words = words.into_iter().chain(fixed).chain([out.as_os_str()]);
        succeed(words.chain(SHORT.iter().chain(more).map(OsStr::new)));
        fs::read_to_string(out.join("samples.jsonl")).unwrap()
    };
    // It makes the very prompt of the plain template.
    let exact = ["--match", "exact", "--no-p-true"];
    let chat = [&exact[..], &["--chat", "--template", "{question}"]].concat();
    let chatted = run(&out.join("chatted"), &model, &chat);
    assert_eq!(chatted, run(&out.join("plain"), &model, &exact));
}

#[cfg(unix)]
#[test]
fn a_judge_is_asked_which_answers_mean_the_same() {
    let out = folder("judge");
    let all = r#"while read -r line; do printf '[[%s]]\n' "$(python3 -c 'import json, sys
print(",".join(map(str, range(len(json.loads(sys.argv[1]))))))' "$line")"; done"#;
    let drawn = ["--limit", "4", "--samples", "8", "--max-tokens", "6", "--judge"];
    succeed(args(&out.join("all"), &[&drawn[..], &[all]].concat()));
    for sample in lines(&out.join("all").join("samples.jsonl")) {
        assert_eq!(sample["sampled"]["entropy"], 0.0);
    }
    let said = complaint(args(
        &out.join("bad"),
        &[&drawn[..], &["while read -r x; do echo no; done"]].concat(),
    ));
    assert!(said.contains("the judge failed") && said.contains("\"no\""), "{said}");
    let said =
        |judge: &str, run: &str| complaint(args(&out.join(run), &[&drawn[..], &[judge]].concat()));
    for (run, judge) in [("gone", "exit 3"), ("silent", "read -r x; exit 3")] {
        let said = said(judge, run);
        assert!(said.contains("the judge failed") && said.contains("it has ended"), "{said}");
        assert!(said.contains("status: 3"), "{said}");
    }
    let said = said("yes | tr -d '\\n'", "endless");
    assert!(said.contains("the judge failed") && said.contains("has more than"), "{said}");
}

#[test]
fn what_cannot_be_run_is_named() {
    let out = folder("complaints");
    let nowhere = out.join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    let run = |model: &str, questions: &str, more: &[&str]| {
        let run = out.join("run");
        let fixed = ["run", "--num-shots=0", "--model", model, "--questions", questions, "--out"];
        complaint(fixed.iter().copied().chain([run.to_str().unwrap()]).chain(more.iter().copied()))
    };
    assert!(run(nowhere, QUESTIONS.as_str(), &[]).contains(nowhere));
    assert!(run(TINY.as_str(), nowhere, &[]).contains(nowhere));
    let empty = out.join("empty.jsonl");
    fs::write(&empty, "").unwrap();
    assert!(run(TINY.as_str(), empty.to_str().unwrap(), &[]).contains("has no questions"));
    assert!(
        run(TINY.as_str(), QUESTIONS.as_str(), &["--limit", "0"])
            .contains("--limit 0 asks nothing")
    );
    let template = ["--template", "Q:"];
    assert!(run(TINY.as_str(), QUESTIONS.as_str(), &template).contains("{question}"));
    let said = run(TINY.as_str(), QUESTIONS.as_str(), &["--max-tokens", "500"]);
    assert!(said.contains("cannot ask question ") && said.contains("reads no more than 128"));
    assert!(complaint(["report", nowhere]).contains("is not the folder of a run"));
    for tau in ["0", "NaN", "inf", "1.5"] {
        assert!(complaint(["report", nowhere, "--tau", tau]).contains(&format!("--tau {tau}")));
    }
    for option in ["--batch", "--samples", "--max-tokens"] {
        let said = run(TINY.as_str(), QUESTIONS.as_str(), &[option, "100000000000"]);
        assert!(said.contains("= 100000000000 cannot be used"), "{said}");
    }
    if !cfg!(feature = "cuda") {
        assert!(run(TINY.as_str(), QUESTIONS.as_str(), &["--cuda"]).contains("--features cuda"));
    }
}

/// Batches go by length, so the longest prompt would be met last.
#[test]
fn a_prompt_that_is_too_long_is_named_before_any_is_asked() {
    let out = folder("long");
    let questions = out.join("questions.jsonl");
    let question = |id: &str, words: usize| {
        format!(
            "{{\"id\": \"{id}\", \"question\": \"{}\", \"answers\": [\"a\"]}}\n",
            "Who ".repeat(words)
        )
    };
    fs::write(&questions, question("short", 2) + &question("long", 300)).unwrap();
    let run = out.join("run");
    let words = [
        "run",
        "--num-shots=0",
        "--model",
        TINY.as_str(),
        "--samples",
        "0",
        "--max-tokens",
        "2",
        "--questions",
    ];
    let words = words.map(OsStr::new).into_iter().chain([questions.as_os_str()]);
    let said = complaint(words.chain(["--out".as_ref(), run.as_os_str()]));
    assert!(said.contains("cannot ask question long: the prompt has "), "{said}");
    assert!(lines(&run.join("samples.jsonl")).is_empty());
}

#[cfg(not(feature = "hub"))]
#[test]
fn names_of_the_hub_need_a_feature() {
    let out = folder("no-hub");
    for (model, questions) in [("owner/name", QUESTIONS.as_str()), (TINY.as_str(), "owner/name")] {
        let words = ["run", "--num-shots=0", "--model", model, "--questions", questions, "--out"]
            .map(OsStr::new);
        let said = complaint(words.into_iter().chain([out.as_os_str()]));
        assert!(said.contains("no file or folder owner/name"), "{said}");
        assert!(said.contains("--features hub"), "{said}");
    }
}

/// On the device that is tested; the CPU needs no comparison with itself.
#[test]
fn a_run_on_cuda_measures_what_one_on_the_cpu_does() {
    if device().is_cpu() {
        return;
    }
    let [cpu, cuda] = ["on-cpu", "on-cuda"].map(folder);
    let short = ["--limit", "2", "--samples", "0", "--max-tokens", "3"];
    succeed(args(&cpu, &short));
    succeed(args(&cuda, &[&short[..], &["--cuda", "--dtype", "f32"]].concat()));
    let [cpu, cuda] = [cpu, cuda].map(|dir| lines(&dir.join("samples.jsonl")));
    assert_eq!(cpu.len(), 2);
    for (cpu, cuda) in cpu.iter().zip(&cuda) {
        for field in ["id", "answer", "verdict", "note"] {
            assert_eq!(cpu[field], cuda[field]);
        }
        for field in ["probability", "mass", "token_entropy"] {
            let [cpu, cuda] = [cpu, cuda].map(|sample| sample["first"][field].as_f64().unwrap());
            assert!((cpu - cuda).abs() < 1e-3, "{field}: {cpu} {cuda}");
        }
    }
}
