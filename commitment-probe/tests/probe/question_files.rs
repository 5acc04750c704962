//! Files of questions as people have them: encodings, odd types, rows twice, and what is refused.

use std::{error::Error, fs, path::Path};

use commitment_probe::{Layout, Question, QuestionProblem, Questions, UnfitQuestion};
use proptest::prelude::*;

/// An error and its causes.
fn chain(error: &dyn Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", chain(cause)));
    format!("{error}{}", cause.unwrap_or_default())
}

#[track_caller]
fn parse(bytes: impl AsRef<[u8]>) -> Questions {
    Questions::parse(bytes.as_ref()).unwrap_or_else(|error| panic!("{}", chain(&error)))
}

#[track_caller]
fn refused(bytes: impl AsRef<[u8]>, parts: &[&str]) {
    let error = chain(&Questions::parse(bytes.as_ref()).unwrap_err());
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

/// The ids and the usual forms of the answers.
fn ids(read: &Questions) -> Vec<(&str, &str)> {
    read.questions.iter().map(|question| (question.id(), question.right())).collect()
}

fn utf16(text: &str, mark: bool, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let mark = mark.then_some(0xFEFF);
    mark.into_iter().chain(text.encode_utf16()).flat_map(bytes).collect()
}

const LINE: &str = r#"{"id": "1", "question": "Wer? 🎈", "answers": ["Łódź"]}"#;

#[test]
fn encodings() {
    let table = "id\tquestion\tanswers\n1\tWer? 🎈\tŁódź\n";
    for text in [LINE, table] {
        let plain = parse(text).questions;
        assert_eq!((plain[0].text(), plain[0].right()), ("Wer? 🎈", "Łódź"));
        assert_eq!(parse(format!("\u{FEFF}{text}")).questions, plain);
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            for mark in [true, false] {
                assert_eq!(parse(utf16(text, mark, bytes)).questions, plain, "{mark}");
            }
        }
    }
    // Pairs of halves at the ends of what is read at once.
    for before in 0..4 {
        let long = format!("{}{}", " ".repeat(before), LINE.replace("Wer?", &"🎈".repeat(70_000)));
        assert_eq!(parse(utf16(&long, true, u16::to_be_bytes)).questions, parse(&long).questions);
    }
}

#[test]
fn wrong_bytes_have_a_place() {
    let mut latin = format!("{LINE}\n{LINE}").into_bytes();
    let place = latin.len() - 8;
    latin[place] = 0xE9;
    refused(&latin, &["not text in UTF-8", &format!("byte {place} (line 2)"), "0xE9"]);
    latin.splice(0..0, *b"\xEF\xBB\xBF");
    refused(&latin, &[&format!("byte {} (line 2)", place + 3)]);
    refused(b"id,question,answers\n1,Who?,\xFF\n", &["byte 27 (line 2)", "0xFF"]);
    let cut = utf16(LINE, true, u16::to_le_bytes);
    refused(&cut[..cut.len() - 1], &["UTF-16 (little endian)", "half a code unit"]);
    let halves = [utf16("{\"id\": \"", true, u16::to_be_bytes), vec![0xD8, 0, 0, 0x41]].concat();
    refused(halves, &["UTF-16 (big endian)", "half a character, 0xD800 at byte 18 (line 1)"]);
    refused(b"\xFF\xFE\0\0{\0\0\0", &["UTF-32"]);
}

#[test]
fn compressed_files_say_with_what() {
    refused([0x1F, 0x8B, 8, 0], &["it is compressed", "gunzip"]);
    refused(b"PK\x03\x04", &["it is compressed", "unzip"]);
    refused([0x28, 0xB5, 0x2F, 0xFD], &["unzstd"]);
    refused(b"ARROW1\0\0", &["an Arrow file", "Parquet"]);
}

#[test]
fn numbers_are_read_as_they_are_written() {
    let read = parse(
        r#"[{"id": 7, "question": "a?", "answer": 1969},
            {"id": -12345678901234567890123, "question": "b?", "answer": [3.0, 1e3]},
            {"id": 3.0, "question": "c?", "answers": 3.140}]"#,
    );
    assert_eq!(ids(&read), [("7", "1969"), ("-12345678901234567890123", "3.0"), ("3.0", "3.140")]);
    assert_eq!(read.questions[1].answers(), ["3.0", "1e3"]);
}

#[test]
fn json_in_every_arrangement() {
    let row = |i: usize| format!(r#"{{"id": {i}, "question": "Who?", "answers": ["{i}"]}}"#);
    let (a, b, c) = (row(1), row(2), row(3));
    let expected = parse(format!("{a}\n{b}\n{c}")).questions;
    assert_eq!(expected.len(), 3);
    for text in [
        format!("{a}\r\n\r\n{b}\r\n \n{c}\r\n"),
        format!("[{a}, {b},\n{c}]"),
        format!("{a}{b} {c}"),
        format!("[{a}]\n[{b}, {c}]"),
        format!("\n\n [{}]", [&a, &b, &c].map(|row| row.replace(", \"", ",\n  \"")).join(",\n")),
        format!(r#"{{"rows": [{a}, {b}, {{"row_idx": 0, "row": {c}, "truncated_cells": []}}]}}"#),
        r#"{"id": [1, 2, 3], "question": ["Who?", "Who?", "Who?"], "answers": [["1"], "2", 3]}"#
            .into(),
    ] {
        assert_eq!(parse(&text).questions, expected, "{text}");
    }
    refused(format!("[{a},]"), &["record 2", "trailing comma"]);
    refused(format!("{a},\n{b}"), &["record 2", "line 1"]);
    refused(format!("[{a}, {b}"), &["record 3", "EOF"]);
    refused(format!("{a}\n{b}\n{{\"id\": nul}}"), &["record 3", "line 3"]);
    refused(format!("[{a}, [{b}]]"), &["record 2", "invalid type", "an object"]);
    refused(r#"{"question": ["a?", "b?"], "answer": ["1"]}"#, &["it has 1 rows"]);
}

#[test]
fn answers_of_every_type() {
    for answers in [
        r#""answer": "A""#,
        r#""answer": ["A", null]"#,
        r#""answer": {"value": "A", "aliases": null}"#,
        r#""answers": "A""#,
        r#""answers": {"text": ["A"], "answer_start": [0]}"#,
        r#""answers": {"text": "A"}"#,
        r#""answers": [{"text": "A"}]"#,
        r#""answers": [{"answer": "A"}]"#,
        r#""answers": "['A']""#,
        r#""possible_answers": ["A"]"#,
        r#""possible_answers": "[\"A\"]""#,
        r#""prop": "capital", "obj": "A", "o_aliases": "[]""#,
    ] {
        let read = parse(format!(r#"{{"id": "x", "question": "Who?", {answers}}}"#));
        assert_eq!(ids(&read), [("x", "A")], "{answers}");
    }
    // A single answer may be in brackets.
    assert_eq!(ids(&parse(r#"{"problem": "Sum?", "answer": "[1, 2]"}"#)), [("1", "[1, 2]")]);
    for (answers, problem) in [
        ("true", "its answers cannot be read: it is true or false"),
        (r#"[["A"]]"#, "a list"),
        (r#"{"text": [{"text": "A"}]}"#, "object"),
    ] {
        refused(format!(r#"{{"id": 1, "question": "Who?", "answers": {answers}}}"#), &[problem]);
    }
    refused(r#"{"id": {}, "question": "Who?", "answer": "A"}"#, &["its id cannot be read"]);
    refused(
        r#"{"utterance": "who?", "targetValue": "Ada"}"#,
        &["its targetValue cannot be read: it is not like (list"],
    );
}

#[test]
fn tables_of_every_kind() {
    let expected = [("1", "A"), ("2", "B, C")];
    for table in [
        "question,answers\nWho?,A\nWhom?,\"B, C\"\n",
        "question;answers\r\nWho?;A\r\n\r\nWhom?;B, C",
        "answers\t\" Question \"\nA\tWho?\nB, C\tWhom?",
        "\u{FEFF}Question,Answer\n\"Who\n?\",A\nWhom?,\"B, C\"",
    ] {
        assert_eq!(ids(&parse(table)), expected, "{table}");
    }
    let objects = "question_id,question,answer\n\
        t1,Who?,\"{'value': 'A', 'aliases': array(['a', 'b'], dtype=object), 'normalized_value': 'a'}\"\n";
    let read = parse(objects);
    assert_eq!(read.questions[0].answers(), ["A", "a", "b"]);
    assert_eq!(read.questions[0].normalised(), ["a"]);
    let flat = parse("question_id,question,answer.value,answer.aliases\nt1,Who?,A,\"['a' 'b']\"\n");
    assert_eq!(
        (flat.layout, &flat.questions[0].answers()[1..]),
        (Some(Layout::TriviaQa), &read.questions[0].answers()[1..])
    );
    refused("question,answer\nWho?,A\nWho?,A,B\n", &["row 2 is not a question", "3 fields"]);
}

#[test]
fn rows_that_are_there_twice_are_dropped() {
    let twice = parse(format!("{LINE}\n{LINE}\n{LINE}"));
    assert_eq!((twice.questions.len(), twice.duplicates), (1, 2));
    let numbered = r#"{"question": "Who?", "answer": ["A"]}"#;
    let read = parse(format!("{numbered}\n{}\n{numbered}", numbered.replace("\"A\"", "\"B\"")));
    assert_eq!((ids(&read), read.duplicates), (vec![("1", "A"), ("2", "B")], 1));
    // Under other ids they are other questions.
    let read = parse(format!("{LINE}\n{}", LINE.replace("\"1\"", "\"2\"")));
    assert_eq!((read.questions.len(), read.duplicates), (2, 0));
    for other in [LINE.replace("Wer?", "Was?"), LINE.replace("Łódź", "Lodz")] {
        refused(format!("{LINE}\n{other}"), &["question 2", "its id \"1\" is taken"]);
    }
}

#[test]
fn splits_without_labels_are_refused() {
    let split = "take the train or the validation (dev) split";
    refused(
        r#"{"question": "Who?", "question_id": "t1", "answer": {"value": "<unk>", "aliases": []}}"#,
        &["question 1 cannot be asked", "only \"<unk>\" (its id is \"t1\")", split],
    );
    refused(
        r#"{"Data": [{"Question": "Who?", "QuestionId": "t1"}, {"Question": "Whom?", "QuestionId": "t2"}]}"#,
        &["question 1 of Data", "\"t1\"", split],
    );
    for row in [
        r#"{"question": "Who?", "answer": []}"#,
        r#"{"question": "Who?", "answer": ""}"#,
        r#"{"question": "Who?", "answer": null}"#,
        r#"{"question": "Who?", "answers": [""]}"#,
        r#"{"id": "t1", "input": "Who?"}"#,
        r#"{"id": "t1", "input": "Who?", "output": []}"#,
        r#"{"data": [{"paragraphs": [{"qas": [{"id": "t1", "question": "Who?"}]}]}]}"#,
        r#"{"id": "t1", "question": "Who?", "possible_answers": "[]"}"#,
        r#"{"utterance": "who?", "targetValue": "(list)"}"#,
        "problem,answer\nWho?,\n",
        "problem,answer\nWho?,<unk>\n",
    ] {
        let error = Questions::parse(row.as_bytes()).expect_err(row);
        let commitment_probe::Error::QuestionFile { problem, .. } = &error else {
            panic!("{row}: {error:?}")
        };
        let QuestionProblem::Question { problem, .. } = problem else { panic!("{row}: {error:?}") };
        assert!(matches!(problem, UnfitQuestion::Unlabelled { .. }), "{row}: {error:?}");
    }
}

#[test]
fn what_cannot_be_answered_is_counted() {
    let squad = r#"{"id": "1", "question": "Who?", "answers": {"text": [], "answer_start": []}}"#;
    let read = parse(format!(
        "{squad}\n{}",
        r#"{"id": "2", "question": "Who?", "answers": {"text": ["A"]}}"#
    ));
    assert_eq!((read.questions.len(), read.unanswered), (1, 1));
    let read = parse(r#"{"question": "Who?", "answer": "A", "answerable": false}"#);
    assert_eq!((read.questions.len(), read.unanswered), (0, 1));
}

#[test]
fn other_layouts_are_refused_with_those_that_are_known() {
    for text in [
        r#"{"prompt": "Who?", "label": 1}"#,
        "prompt,label\nWho?,1\n",
        "prompt\tlabel\n",
        r#"{"doc_id": 1, "doc": {"prompt": "Who?", "label": 1}}"#,
        r#"{"rows": [{"row_idx": 0, "row": {"prompt": "Who?", "label": 1}}]}"#,
    ] {
        refused(text, &["its layout is not known: its fields are \"prompt\", \"label\""]);
        for layout in Layout::ALL {
            refused(text, &[layout.name()]);
        }
    }
    let many: Vec<_> = (0..50).map(|i| format!("\"field{i}\": {i}")).collect();
    let error = Questions::parse(format!("{{{}}}", many.join(", ")).as_bytes()).unwrap_err();
    let error = chain(&error);
    assert!(error.contains("\"field11\"") && !error.contains("field12"), "{error}");
    // The answer is a place among the choices, which says nothing by itself.
    refused(
        r#"{"question": "Who?", "choices": ["A", "B"], "answer": 1}"#,
        &["its layout is not known"],
    );
}

#[test]
fn what_the_viewer_cut_short_is_refused() {
    let row = |cut| {
        format!(
            r#"{{"rows": [{{"row_idx": 0, "row": {{"question": "Who?", "answer": "A", "context": "x"}},
                "truncated_cells": [{cut}]}}]}}"#
        )
    };
    refused(row("\"answer\""), &["question 1 of rows", "its answer was cut short"]);
    assert_eq!(parse(row("\"context\"")).questions.len(), 1);
}

/// Whatever is in a file, it is read or refused; quickly, and without a stack that overflows.
#[test]
fn hostile_files() {
    let deep = 1_000_000;
    for text in [
        "[".repeat(deep),
        format!("{}{}", "[".repeat(deep), "]".repeat(deep)),
        r#"{"data":"#.repeat(deep),
        format!("{}1{}", r#"{"data":["#.repeat(deep), "]}".repeat(deep)),
        format!(r#"{{"question": "Who?", "answer": {}{}}}"#, "[".repeat(deep), "]".repeat(deep)),
        format!("question,answers\nWho?,\"{}", "x\n".repeat(deep)),
        "problem,answer\nWho?,\"A\nWhom?,B\nWhose?,C\n".into(),
        format!(r#"{{"id": 1e{}, "question": "\ud800", "answer": 1}}"#, "9".repeat(deep)),
        r#"{"id": 1, "question": "Who?", "answer": "A", "id": [}"#.into(),
        "\0".repeat(deep),
        "id\0,question\0,answers\0\n\0,\0,\0".into(),
    ] {
        assert!(Questions::parse(text.as_bytes()).is_err(), "{:.60}", text);
    }
    let nest =
        |depth: usize| format!("{}{LINE}{}", r#"{"data": ["#.repeat(depth), "]}".repeat(depth));
    assert_eq!(parse(nest(5)).questions.len(), 1);
    refused(nest(100), &["its layout is not known"]);
    let huge = format!(r#"{{"id": {}, "question": "Who?", "answer": 1}}"#, "9".repeat(deep));
    assert_eq!(parse(huge).questions[0].id().len(), deep);
    let long =
        format!("problem,answer\n\"{}\",\"{}\"\n", "q".repeat(deep), "a b ".repeat(deep / 4));
    assert_eq!(parse(long).questions[0].right().len(), deep - 1);
    // Text in brackets that is no list.
    let deep = format!("question,answers\nWho?,{}", "[".repeat(deep));
    assert!(parse(deep).questions[0].right().starts_with("[["));
    let nul = parse("question,answers\nWho\0?,A\0\n");
    assert_eq!((nul.questions[0].text(), nul.questions[0].right()), ("Who\0?", "A\0"));
}

/// Assertions of the reader that fail are errors, too, wherever a file is cut or a byte is wrong.
#[test]
fn damaged_parquet_files() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/probe/question_layouts");
    for name in ["nq_open.parquet", "squad.parquet", "trivia_qa.parquet"] {
        let whole = fs::read(dir.join(name)).unwrap();
        for cut in (0..whole.len()).step_by(37) {
            let read = Questions::parse(&whole[..cut]);
            assert!(cut == 0 || read.is_err(), "{name}, {cut}");
        }
        for place in (4..whole.len()).step_by(11) {
            let mut wrong = whole.clone();
            wrong[place] ^= 0xFF;
            // It may be a byte of a text.
            let _ = Questions::parse(&wrong);
        }
    }
    refused(b"PAR1 and no more", &["a Parquet file that cannot be read"]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Whatever the bytes.
    #[test]
    fn nothing_panics(
        start in "(|\u{FEFF}|\\{|\\[|question,answers\n|question\tanswer\n)",
        bytes in proptest::collection::vec(any::<u8>(), 0..64),
        text in r#"[\[\]{}(),:"'\\ nu01a\t\n;]{0,48}"#,
    ) {
        let _ = Questions::parse(&[start.as_bytes(), &bytes].concat());
        let _ = Questions::parse(&[start.as_bytes(), text.as_bytes()].concat());
        let cell = serde_json::json!({"question": "Who?", "answers": text, "others": text});
        let _ = Questions::parse(cell.to_string().as_bytes());
        let lisp = serde_json::json!({"utterance": "Who?", "targetValue": text});
        let _ = Questions::parse(lisp.to_string().as_bytes());
    }

    /// A list of forms is read the same from a JSON list in a text, a table, and UTF-16.
    #[test]
    fn a_list_is_the_same_in_every_format(
        forms in proptest::collection::vec("[a-z'\"\\\\,;\t 🎈é\\[\\]]{1,8}", 1..4),
    ) {
        let row = serde_json::json!({"id": "1", "question": "Who?", "possible_answers": forms});
        let Ok(plain) = Questions::parse(row.to_string().as_bytes()) else { return Ok(()) };
        let listed = serde_json::to_string(&forms).unwrap();
        let in_text =
            serde_json::json!({"id": "1", "question": "Who?", "possible_answers": listed});
        let table = format!(
            "id,question,possible_answers\n1,Who?,\"{}\"\n",
            listed.replace('"', "\"\"")
        );
        let wide = utf16(&table, true, u16::to_le_bytes);
        for bytes in [in_text.to_string().into_bytes(), table.into_bytes(), wide] {
            prop_assert_eq!(&Questions::parse(&bytes).unwrap(), &plain);
        }
        let questions: Vec<Question> = Question::parse(&row.to_string()).unwrap();
        prop_assert_eq!(questions, plain.questions);
    }
}
