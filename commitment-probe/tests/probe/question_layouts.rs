//! Every layout in which data sets of questions are published: a file of a few made-up rows each.

use std::path::{Path, PathBuf};

use commitment_probe::{Layout, Question, Questions};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probe/question_layouts").join(name)
}

/// The questions of a file, which are the same if it is in memory.
#[track_caller]
fn load(name: &str) -> Questions {
    let loaded = Questions::load(path(name)).unwrap();
    let bytes = std::fs::read(path(name)).unwrap();
    assert_eq!(Questions::parse(&bytes).unwrap(), loaded);
    loaded
}

/// A file has these questions, each `(id, text, answers)`, in a layout.
#[track_caller]
fn has(name: &str, layout: Layout, expected: &[(&str, &str, &[&str])]) -> Questions {
    let loaded = load(name);
    assert_eq!(loaded.layout, Some(layout), "{name}");
    let read = |question: &Question| {
        let answers = question.answers().to_vec();
        (question.id().to_owned(), question.text().to_owned(), answers)
    };
    let expected: Vec<_> = expected
        .iter()
        .map(|(id, text, answers)| {
            let answers = answers.iter().map(|form| (*form).to_owned()).collect();
            ((*id).to_owned(), (*text).to_owned(), answers)
        })
        .collect();
    assert_eq!(loaded.questions.iter().map(read).collect::<Vec<_>>(), expected, "{name}");
    loaded
}

/// Of layouts without ids.
const DUCK: (&str, &str, &[&str]) = ("1", "who is the duck", &["Ada", "Ada Duck"]);
const OZ: (&str, &str, &[&str]) = ("2", "when was oz", &["1969"]);

#[test]
fn our_own() {
    let read = has(
        "own.jsonl",
        Layout::Own,
        &[
            ("a", "Who founded Oz?", &["Ada", "Ada Duck"]),
            ("b", "Capital of Oz?", &["Emerald City"]),
        ],
    );
    let [a, b] = read.questions.as_slice() else { panic!("{read:?}") };
    assert_eq!((a.group(), b.group()), (Some("Oz"), None));
    assert_eq!(
        (&a.others()["Bob"][..], a.normalised().len()),
        (&["Bob", "Bobby"].map(str::to_owned)[..], 0)
    );
    assert_eq!(b.normalised(), ["emerald city"]);
    let written: Vec<_> =
        read.questions.iter().map(|q| serde_json::to_string(q).unwrap()).collect();
    assert_eq!(Question::parse(&written.join("\n")).unwrap(), read.questions);
}

#[test]
fn trivia_qa() {
    let published = has(
        "trivia_qa.json",
        Layout::TriviaQa,
        &[
            ("mu_1", "Which duck founded Oz?", &["Ada Duck", "A. Duck", "Mrs Duck"]),
            ("mu_2", "When?", &["1969"]),
        ],
    );
    assert_eq!(published.questions[0].normalised(), ["ada duck", "a duck"]);
    let duck = ("mu_1", "Which duck founded Oz?", &["Ada Duck", "A. Duck"][..]);
    let lines = has("trivia_qa.jsonl", Layout::TriviaQa, &[duck]);
    assert_eq!(lines.questions[0].normalised(), ["ada duck", "a duck"]);
    let cat = ("mu_2", "Which cat?", &["Tom"][..]);
    let parquet = has("trivia_qa.parquet", Layout::TriviaQa, &[duck, cat]);
    assert_eq!(parquet.questions[1].normalised(), ["tom"]);
}

#[test]
fn natural_questions() {
    let lines = has(
        "natural_questions.jsonl",
        Layout::NaturalQuestions,
        &[("-1234567890123456789", "who founded oz", &["Ada Duck"])],
    );
    assert_eq!(lines.unanswered, 1);
    has(
        "natural_questions.parquet",
        Layout::NaturalQuestions,
        &[("-5", "who founded oz", &["Ada Duck"])],
    );
}

#[test]
fn nq_open() {
    for name in ["nq_open.jsonl", "nq_open.parquet", "viewer_rows.json", "columns.json"] {
        has(name, Layout::NqOpen, &[DUCK, OZ]);
    }
}

#[test]
fn pop_qa() {
    for name in ["pop_qa.tsv", "pop_qa.json"] {
        has(
            name,
            Layout::PopQa,
            &[
                (
                    "4000000001",
                    "What is Ada \"Duck\" Duck's job?",
                    &["founder", "boss", "the \"boss\""],
                ),
                ("4000000002", "What is the capital of Oz?", &["Emerald City", "Émeraude"]),
            ],
        );
    }
    has(
        "pop_qa.parquet",
        Layout::PopQa,
        &[
            ("4000000001", "What is Ada Duck's job?", &["founder", "boss"]),
            ("4000000002", "What is the capital of Oz?", &["Emerald City"]),
        ],
    );
}

#[test]
fn simple_qa() {
    has(
        "simple_qa.csv",
        Layout::SimpleQa,
        &[
            ("1", "Who, in\nOz, won the \"Duck\" prize?", &["Ada Duck"]),
            ("2", "In what year?", &["1969"]),
        ],
    );
}

#[test]
fn web_questions() {
    has(
        "web_questions.json",
        Layout::WebQuestions,
        &[
            ("1", "who founded oz?", &["Ada Duck", "Bob"]),
            ("2", "what is the capital of oz?", &["Emerald \"E\" City"]),
        ],
    );
    let first = ("1", "who founded oz?", &["Ada Duck", "Bob"][..]);
    has("web_questions.jsonl", Layout::WebQuestions, &[first]);
}

#[test]
fn squad() {
    for name in ["squad.json", "squad.parquet"] {
        let read = has(name, Layout::Squad, &[("s1", "Who founded Oz?", &["Ada"])]);
        assert_eq!((read.unanswered, read.duplicates), (1, 0), "{name}");
    }
    has("mrqa.jsonl", Layout::Squad, &[("q1", "who founded oz", &["Ada"])]);
}

#[test]
fn kilt() {
    has(
        "kilt.jsonl",
        Layout::Kilt,
        &[("k1", "Who founded Oz?", &["Ada", "Ada Duck"]), ("k2", "When?", &["1969"])],
    );
    has("kilt.parquet", Layout::Kilt, &[("k1", "Who founded Oz?", &["Ada"])]);
}

#[test]
fn others() {
    has(
        "entity_questions.json",
        Layout::EntityQuestions,
        &[
            ("1", "Who founded Oz?", &["Ada", "Ada Duck"]),
            ("2", "Capital of Oz?", &["Emerald City"]),
        ],
    );
    has("hotpot_qa.json", Layout::NqOpen, &[("5ab", "Who founded Oz?", &["Ada"])]);
    has("dpr.csv", Layout::Dpr, &[("1", "who founded oz, and when", &["Ada", "Ada's duck"]), OZ]);
}

#[test]
fn samples_of_lm_evaluation_harness() {
    // A line for each filter.
    let read = has(
        "samples_trivia_qa.jsonl",
        Layout::TriviaQa,
        &[("mu_0", "Which duck founded Oz?", &["Ada Duck"]), ("mu_1", "Which cat?", &["Tom"])],
    );
    assert_eq!(read.duplicates, 2);
    let (_, duck, forms) = DUCK;
    let (_, oz, year) = OZ;
    has("samples_nq_open.jsonl", Layout::NqOpen, &[("0", duck, forms), ("1", oz, year)]);
}
