//! What the program asks, and how: examples, beginnings, stops, presets and graders.

use std::{fs, path::Path};

use serde_json::Value;

use super::program::{TINY, folder, lines, program, succeed};

const QUESTIONS: &str = r#"
{"id": "wealth", "question": "Who wrote The Wealth of Nations?", "answers": ["Adam Smith"]}
{"id": "nations", "question": "Who wrote Nations?", "answers": ["Marx"]}
{"id": "twice", "question": "Who?", "answers": ["Paul"]}
{"id": "twice", "question": "Who?", "answers": ["Paul"]}
"#;

/// Short, so that they fit into what the tiny model reads.
const SHORT: [&str; 5] = ["--samples=0", "--max-tokens=4", "--exchanges=2", "--no-p-true", "--out"];

/// Runs the tiny model in `dir` on what `questions` holds; what it says beside its answers.
#[track_caller]
fn run(dir: &Path, name: &str, questions: &str, more: &[&str]) -> (Vec<Value>, Value, String) {
    let (file, out) = (dir.join("questions.jsonl"), dir.join(name));
    fs::write(&file, questions).unwrap();
    let paths = [&file, &out].map(|path| path.to_str().unwrap());
    let fixed = ["run", "--model", TINY.as_str(), "--questions", paths[0]];
    let all = fixed.iter().chain(more).chain(&SHORT).chain([&paths[1]]);
    let output = program(all).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    let settings = fs::read(out.join("run.json")).unwrap();
    let settings = serde_json::from_slice(&settings).unwrap();
    (lines(&out.join("samples.jsonl")), settings, said)
}

fn ids(samples: &[Value]) -> Vec<&str> {
    samples.iter().map(|sample| sample["id"].as_str().unwrap()).collect()
}

#[test]
fn a_question_that_an_example_gives_away_is_not_asked_and_counted() {
    let dir = folder("given-away");
    let shots = dir.join("shots.jsonl");
    let rows = r#"{"question": "who wrote nations", "answer": "I"}
        {"question": "Whom?", "answer": "adam smith"}"#;
    fs::write(&shots, rows).unwrap();
    let (samples, settings, said) =
        run(&dir, "run", QUESTIONS, &["--shots", shots.to_str().unwrap()]);
    assert_eq!(ids(&samples), ["twice"]);
    assert_eq!(settings["left_out"]["in_shots"], 2);
    assert_eq!(settings["left_out"]["duplicates"], 1);
    assert_eq!(settings["num_shots"], 2);
    assert!(
        said.contains("1 rows are there twice") && said.contains("2 are in an example"),
        "{said}"
    );
    let report = succeed(["report", dir.join("run").to_str().unwrap()]);
    assert!(report.contains("2 are in an example"), "{report}");

    // Of the first example alone.
    let one = ["--shots", shots.to_str().unwrap(), "--num-shots=1"];
    let (samples, settings, _) = run(&dir, "one", QUESTIONS, &one);
    assert_eq!((samples.len(), &settings["num_shots"]), (2, &1.into()));
}

#[test]
fn a_base_model_is_shown_general_examples() {
    let dir = folder("general");
    let (_, settings, _) = run(&dir, "none", QUESTIONS, &["--num-shots=0"]);
    assert_eq!((&settings["num_shots"], &settings["shots_hash"]), (&0.into(), &Value::Null));
    // A template of one's own may have examples of its own.
    let (_, settings, _) = run(&dir, "own", QUESTIONS, &["--template", "Q: {question}\nA:"]);
    assert_eq!(settings["num_shots"], 0);
    let (_, settings, _) = run(&dir, "first", QUESTIONS, &["--num-shots=1"]);
    assert_eq!(settings["num_shots"], 1);
    assert!(settings["shots_hash"].is_string() && settings["shots"].is_null());
    // Runs that differ in what they are shown are compared with a warning.
    let runs = ["none", "first"].map(|name| dir.join(name).to_str().unwrap().to_owned());
    let report = succeed(["report", &runs[0], &runs[1]]).replace('\n', " ");
    assert!(report.contains("the prompts differ: num_shots is 0 in the first and 1"), "{report}");
}

#[test]
fn an_answer_ends_at_a_stop_of_ones_own() {
    let dir = folder("until");
    let whole = run(&dir, "whole", QUESTIONS, &["--num-shots=0"]).0;
    let answer = |samples: &[Value]| samples[0]["answer"].as_str().unwrap().to_owned();
    let all = answer(&whole);
    let stop: String = all.chars().skip(1).take(1).collect();
    let cut = run(&dir, "cut", QUESTIONS, &["--num-shots=0", "--until", &stop]).0;
    assert_eq!(answer(&cut), all.chars().take(1).collect::<String>());
}

#[test]
fn a_preset_asks_stops_and_scores_as_its_task_does() {
    let dir = folder("preset");
    let rows = r#"{"question": "Who wrote it", "answer": ["Adam Smith", "Smith"]}
{"question": "Who wrote The Wealth of Nations", "answer": ["Adam"]}
"#;
    let shots = dir.join("train.jsonl");
    fs::write(&shots, r#"{"question": "Who", "answer": ["I"]}"#.to_owned() + "\n" + rows).unwrap();
    let preset = ["--preset", "lm-eval:nq_open"];
    let (samples, settings, _) = run(&dir, "none", rows, &preset);
    assert_eq!(ids(&samples), ["1", "2"]);
    assert_eq!(samples[0]["scorer"], "lm_eval_nq_open");
    assert_eq!(settings["preset"], "lm-eval:nq_open");
    assert_eq!(settings["until"], serde_json::json!(["\n", ".", ","]));
    let drawn = [&preset[..], &["--num-shots=1", "--shots", shots.to_str().unwrap()]].concat();
    let (samples, settings, said) = run(&dir, "drawn", rows, &drawn);
    // What is given away is asked all the same, and counted.
    assert_eq!((samples.len(), &settings["num_shots"]), (2, &1.into()));
    let leaked = settings["left_out"]["in_shots"].as_u64().unwrap();
    assert_eq!(said.contains("were asked as the preset does"), leaked > 0, "{said}");
}

#[cfg(unix)]
#[test]
fn a_grader_decides_what_is_right() {
    let dir = folder("grader");
    let by = |name: &str, grade: &str| {
        let grader = format!("while read -r line; do echo '{grade}'; done");
        run(&dir, name, QUESTIONS, &["--num-shots=0", "--grader", &grader]).0
    };
    // Of wrong ones, some are cut at the limit.
    for (name, grade, verdicts) in [
        ("right", "right", ["right", "right"]),
        ("wrong", "\"INCORRECT\"", ["wrong", "cut"]),
        ("none", "NOT_ATTEMPTED", ["not_attempted", "not_attempted"]),
    ] {
        let samples = by(name, grade);
        assert_eq!(samples.len(), 3);
        let is = |sample: &Value| verdicts.iter().any(|verdict| sample["verdict"] == *verdict);
        assert!(samples.iter().all(is), "{samples:?}");
        assert!(samples.iter().all(|sample| sample["scorer"] == "grader"));
    }
    let (file, out) = (dir.join("questions.jsonl"), dir.join("bad"));
    let fails = |more: &[&str]| {
        let paths = [&file, &out].map(|path| path.to_str().unwrap());
        let fixed = ["run", "--model", TINY.as_str(), "--num-shots=0", "--questions", paths[0]];
        let output =
            program(fixed.iter().chain(more).chain(&["--out", paths[1]])).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let said = fails(&["--grader", "while read -r x; do echo perhaps; done"]);
    assert!(said.contains("the grader failed") && said.contains("\"perhaps\""), "{said}");
    assert!(fails(&["--grader", "exit 3"]).contains("it has ended"));
    assert!(fails(&["--match", "grader"]).contains("give --grader COMMAND"));
    assert!(fails(&["--grader", "cat", "--match", "exact"]).contains("leave one of them out"));
    assert!(fails(&["--prefill", "It is"]).contains("--chat"));
}
