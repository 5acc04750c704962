//! Real models, which `scripts/fetch-models.sh` fetches into the folder that `CONCEPT_MASS_MODELS`
//! names.

use std::{fs, path::PathBuf};

use super::program::{folder, lines, succeed};

const QUESTIONS: &str = r#"
{"id": "france", "question": "What is the capital of France?", "answers": ["Paris"]}
{"id": "iran", "question": "What is the capital of Iran?", "answers": ["Tehran", "Teheran"]}
{"id": "spain", "question": "What is the capital of Spain?", "answers": ["Madrid"]}
{"id": "mali", "question": "What is the capital of Mali?", "answers": ["Bamako"]}
{"id": "sea", "question": "Which is the largest ocean?", "answers": ["Pacific", "Pacific Ocean"]}
"#;

const SHOTS: &str = "Q: What is the capital of Italy?\nA: Rome\nQ: What is the capital of Kenya?\n\
                     A: Nairobi\nQ: {question}\nA:";

#[test]
#[ignore = "wants the folder that scripts/fetch-models.sh fills, in CONCEPT_MASS_MODELS"]
fn real_models_answer_and_a_resumed_run_is_an_unbroken_one() {
    let models = std::env::var_os("CONCEPT_MASS_MODELS").expect("CONCEPT_MASS_MODELS is a folder");
    for name in ["smollm2", "gemma3"] {
        let dir = folder(name);
        let (questions, whole, broken) =
            (dir.join("q.jsonl"), dir.join("whole"), dir.join("broken"));
        fs::write(&questions, QUESTIONS).unwrap();
        let model = PathBuf::from(&models).join(format!("{name}.gguf"));
        let run = |out: &PathBuf| {
            let paths = [&model, &questions, out].map(|path| path.to_str().unwrap());
            let [model, questions, out] = paths;
            let inputs =
                ["run", "--num-shots=0", "--model", model, "--questions", questions, "--out", out];
            let short = ["--template", SHOTS, "--samples", "2", "--max-tokens", "8"];
            succeed(inputs.into_iter().chain(short));
        };
        run(&whole);
        fs::create_dir(&broken).unwrap();
        for file in ["run.json", "questions.jsonl"] {
            fs::copy(whole.join(file), broken.join(file)).unwrap();
        }
        let samples = fs::read(whole.join("samples.jsonl")).unwrap();
        // Killed in the middle of the third line.
        let ends = samples.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        let second = ends.map(|(i, _)| i).nth(1).unwrap();
        fs::write(broken.join("samples.jsonl"), &samples[..second + 40]).unwrap();
        run(&broken);
        assert!(fs::read(broken.join("samples.jsonl")).unwrap() == samples, "{name}");

        let samples = lines(&whole.join("samples.jsonl"));
        for sample in &samples {
            println!("{name}: {} {}", sample["question"], sample["answer"]);
        }
        let france = samples.iter().find(|sample| sample["id"] == "france").unwrap();
        assert_eq!(
            (&france["answer"], &france["verdict"]),
            (&"Paris".into(), &"right".into()),
            "{name}"
        );
        succeed(["report", whole.to_str().unwrap()]);
    }
}
