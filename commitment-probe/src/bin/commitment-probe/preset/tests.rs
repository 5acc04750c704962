use super::*;
use crate::prompt::Prompt;

const PRESETS: [Preset; 2] = [Preset::LmEvalTriviaQa, Preset::LmEvalNqOpen];

#[test]
fn known_by_name() {
    for (preset, name) in PRESETS.into_iter().zip(["lm-eval:triviaqa", "lm-eval:nq_open"]) {
        assert_eq!(Preset::from_str(name, false).unwrap(), preset);
        assert_eq!(serde_json::to_value(preset).unwrap(), name);
        assert_eq!(serde_json::from_value::<Preset>(name.into()).unwrap(), preset);
    }
    Preset::from_str("triviaqa", false).unwrap_err();
}

#[test]
fn prompts() {
    let shot = Shot::new("Who sang", "Ilse");
    for (preset, none, one) in [
        (
            Preset::LmEvalTriviaQa,
            "Question: Who built it??\nAnswer:",
            "Question: Who sang?\nAnswer: Ilse\n\nQuestion: Who built it??\nAnswer:",
        ),
        (
            Preset::LmEvalNqOpen,
            "Answer these questions:\n\nQ: Who built it??\nA:",
            "Answer these questions:\n\nQ: Who sang?\nA: Ilse\nQ: Who built it??\nA:",
        ),
    ] {
        let prompt = Prompt::plain(preset.format().unwrap());
        assert_eq!(prompt.text("Who built it?", &[]).unwrap(), none);
        assert_eq!(prompt.text("Who built it?", &[&shot]).unwrap(), one);
    }
}

#[test]
fn answers() {
    for preset in PRESETS {
        for (said, answer) in [
            (" Paris, the capital", "Paris"),
            (" St. Petersburg", "St"),
            ("\nParis", ""),
            ("\u{A0}\x1CParis\x1F\u{2028}", "Paris"),
            ("\u{200B}Paris", "\u{200B}Paris"), // no white space in Unicode
            ("", ""),
        ] {
            assert_eq!(preset.stops().answer(said), answer, "{said:?}");
        }
    }
}

#[test]
fn rows_are_verbatim() {
    let trivia = r#"
{"question": " Who? ", "question_id": "q", "answer": {"value": "I", "aliases": ["  Me", "", "Me"]}}
{"question": "None", "answer": {"aliases": []}}
"#;
    let rows = Preset::LmEvalTriviaQa.rows(trivia).unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[0].id.as_deref(), Some("q"));
    assert_eq!(rows[0].shot().unwrap(), Shot::new(" Who? ", "  Me"));
    assert_eq!(rows[0].answers, ["  Me", "", "Me"]);
    let error = rows[1].shot().unwrap_err().to_string();
    assert!(error.contains("\"None\" has no answer"), "{error}");

    let natural = r#"{"question": "who", "answer": ["Me", "I"]}"#;
    let row = Preset::LmEvalNqOpen.rows(natural).unwrap().remove(0);
    assert_eq!((row.id, row.question, row.answers.len()), (None, "who".to_owned(), 2));
}

#[test]
fn a_row_of_the_other_task_is_named() {
    for (preset, line, dataset) in [
        (Preset::LmEvalTriviaQa, r#"{"question": "who", "answer": ["Me"]}"#, "trivia_qa"),
        (Preset::LmEvalNqOpen, r#"{"question": "who", "answer": {"aliases": []}}"#, "nq_open"),
        (Preset::LmEvalNqOpen, "who", "nq_open"),
    ] {
        let error = preset.rows(&format!("\n{line}")).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains(dataset), "{error}");
    }
}
