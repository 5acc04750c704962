//! Lists of questions in every layout, and the errors of those that cannot be read.

use std::{error::Error, fs, path::Path};

use commitment_probe::{Question, QuestionProblem, Questions, UnfitQuestion};
use concept_mass::source::{Aliases, SourceError, is_blank};
use proptest::prelude::*;
use serde_json::json;

fn parse(text: &str) -> Vec<Question> {
    Question::parse(text).unwrap()
}

/// An error and its causes.
fn chain(error: &dyn Error) -> String {
    let cause = error.source().map(|cause| format!(": {}", chain(cause)));
    format!("{error}{}", cause.unwrap_or_default())
}

#[track_caller]
fn refused(text: &str, parts: &[&str]) {
    let error = chain(&Question::parse(text).unwrap_err());
    for part in parts {
        assert!(error.contains(part), "{part:?} is not in {error:?}");
    }
}

#[test]
fn our_own_layout() {
    let questions = parse(concat!(
        r#"{"id": "1", "question": " Which\ncity? ", "answers": ["Paris", " City  of\nLight ", "Paris", ""]}"#,
        "\r\n\n",
        r#"{"id": "2", "question": "Who?", "answers": ["A"], "others": {"B": ["B", "b"]}, "more": 5}"#,
    ));
    assert_eq!(questions.len(), 2);
    assert_eq!(questions[0].answers(), ["Paris", "City of Light"]);
    assert_eq!((questions[0].right(), questions[0].text()), ("Paris", "Which\ncity?"));
    assert_eq!(questions[1].others()["B"], ["B", "b"]);
    // As it is written, it is read.
    let written: Vec<String> =
        questions.iter().map(|question| serde_json::to_string(question).unwrap()).collect();
    assert_eq!(parse(&written.join("\n")), questions);
}

#[test]
fn trivia_qa_as_published() {
    let questions = parse(
        r#"{
          "Data": [
            {
              "Answer": {
                "Aliases": ["Sunset Blvd", "West Sunset Boulevard", "Sunset Boulevard"],
                "MatchedWikiEntityName": "", "NormalizedAliases": ["sunset boulevard"],
                "NormalizedMatchedWikiEntityName": "", "NormalizedValue": "sunset boulevard",
                "Type": "WikipediaEntity", "Value": "Sunset Boulevard"
              },
              "EntityPages": [{"DocSource": "TagMe", "Filename": "x.txt", "Title": "x"}],
              "Question": "Which Lloyd Webber musical premiered in the US on 10th December 1993?",
              "QuestionId": "tc_33", "QuestionSource": "http://www.triviacountry.com/",
              "SearchResults": []
            },
            {"Question": "One to be tested on?", "QuestionId": "tc_34"}
          ],
          "Domain": "Web", "Split": "dev", "VerifiedEval": false, "Version": 1.0
        }"#,
    );
    assert_eq!(questions.len(), 1);
    assert_eq!(questions[0].id(), "tc_33");
    assert_eq!(
        questions[0].answers(),
        ["Sunset Boulevard", "Sunset Blvd", "West Sunset Boulevard"]
    );
}

#[test]
fn trivia_qa_by_lines() {
    let questions = parse(
        r#"{"question": "Who?", "question_id": "tc_1", "question_source": "x", "answer":
            {"aliases": ["Sinclair"], "normalized_aliases": ["sinclair"], "value": "Sinclair Lewis"}}"#,
    );
    assert_eq!((questions[0].id(), questions[0].answers().len()), ("tc_1", 2));
    assert_eq!(questions[0].right(), "Sinclair Lewis");
}

#[test]
fn natural_questions_open() {
    let questions = parse(concat!(
        r#"{"question": "when was the last time", "answer": ["2018", "14 December 1972 UTC"]}"#,
        "\n",
        r#"{"question": "who wrote it", "answer": ["Bobby Scott"]}"#,
    ));
    let ids: Vec<_> = questions.iter().map(Question::id).collect();
    assert_eq!(ids, ["1", "2"]);
    assert_eq!(questions[0].answers()[1], "14 December 1972 UTC");
}

#[test]
fn natural_questions_as_published() {
    let simplified = r#"{"example_id": -1234567890123456789, "question_text": "who founded it",
        "document_text": "<H1> It </H1> It was founded by <P> Jane Doe </P> in 1901 .",
        "annotations": [{"annotation_id": 1, "yes_no_answer": "NONE",
            "long_answer": {"start_token": 0, "end_token": 5},
            "short_answers": [{"start_token": 7, "end_token": 10}]},
            {"short_answers": [{"start_token": 9, "end_token": 10}]}]}"#;
    let tokens = r#"{"example_id": 5, "question_text": "when",
        "document_tokens": [{"token": "In", "html_token": false, "start_byte": 1}, {"token": "1901"}],
        "annotations": [{"short_answers": [{"start_token": 1, "end_token": 2}]}, {"short_answers": []}]}"#;
    let without = r#"{"example_id": 6, "question_text": "is it", "document_text": "It is .",
        "annotations": [{"yes_no_answer": "YES", "short_answers": []}]}"#;
    let questions = parse(&[simplified, tokens, without].join("\n"));
    assert_eq!(questions.len(), 2);
    assert_eq!(questions[0].id(), "-1234567890123456789");
    assert_eq!(questions[0].answers(), ["Jane Doe", "Doe"]);
    assert_eq!(questions[1].answers(), ["1901"]);
}

#[test]
fn lists_that_are_none() {
    refused("Who?", &["its layout is not known", "TriviaQA", "PopQA"]);
    refused(r#"{"id": "1", "question": "Who?", "answers": ["A"]"#, &["record 1", "EOF"]);
    refused("[1]", &["record 1", "invalid type"]);
    refused(
        r#"{"id": "1", "question": "Who?"}"#,
        &["question 1 cannot be asked: its layout is not known", r#""answers": ["#],
    );
    refused(r#"{"id": "1", "question": "Who?", "answers": [" "]}"#, &["it has no answers"]);
    refused(r#"{"id": "1", "question": " ", "answers": ["A"]}"#, &["it has no text"]);
    refused(
        r#"{"id": "1", "question": "Who?", "answers": ["A"], "others": {"B": []}}"#,
        &[r#""B", one of its others, has no forms"#],
    );
    refused(
        r#"{"id": "1", "question": "Who?", "answers": ["A"], "others": {"A": ["a"]}}"#,
        &[r#""A" is the answer, and one of its others"#],
    );
    let twice = r#"{"id": "1", "question": "Who?", "answers": ["A"]}"#;
    let other = twice.replace("\"A\"", "\"B\"");
    refused(&format!("{twice}\n{other}"), &["question 2", r#"its id "1" is taken"#]);
    refused(
        r#"{"Data": [{"Question": "Who?", "QuestionId": "a", "Answer": {"Value": ""}}]}"#,
        &["question 1 of Data cannot be asked: it has no answers"],
    );
    refused(
        r#"{"example_id": 5, "question_text": "when", "document_text": "It is .",
            "annotations": [{"short_answers": [{"start_token": 2, "end_token": 9}]}]}"#,
        &["question 1", "words 2 to 9, of 3"],
    );
}

#[test]
fn what_is_wrong_with_a_question_is_a_cause_of_its_own() {
    let error = Question::parse(r#"{"id": "1", "question": "Who?", "answers": []}"#).unwrap_err();
    let commitment_probe::Error::QuestionFile { problem, .. } = &error else { panic!("{error}") };
    assert!(matches!(problem, QuestionProblem::Question { problem: UnfitQuestion::NoAnswers, .. }));
    assert_eq!(problem.to_string(), "question 1 cannot be asked");
    assert_eq!(problem.source().unwrap().to_string(), "it has no answers");
}

#[test]
fn files_that_cannot_be_read() {
    let error = chain(&Questions::load("no/such/file.jsonl").unwrap_err());
    assert!(error.starts_with("cannot use no/such/file.jsonl as questions: "), "{error}");
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("questions.jsonl.gz");
    fs::write(&path, [0x1F, 0x8B, 8, 0]).unwrap();
    let error = chain(&Questions::load(&path).unwrap_err());
    assert!(error.contains("questions.jsonl.gz as questions: it is compressed"), "{error}");
}

#[test]
fn nothing_is_a_list_of_no_questions() {
    assert!(parse("").is_empty() && parse("\n \n").is_empty());
}

#[test]
fn a_question_without_answers_cannot_be_made() {
    for answers in
        [json!([]), json!([""]), json!([" ", "\n"]), json!(["\u{200B}", "\0", "\u{AD} "])]
    {
        let question = json!({"id": "a", "question": "?", "answers": answers});
        let error = serde_json::from_value::<Question>(question).unwrap_err();
        assert_eq!(error.to_string(), "it has no answers");
    }
    let made = Question::new("a", "?", vec![], [].into());
    assert_eq!(made, Err(UnfitQuestion::NoAnswers));
}

/// All that may be answered, as the core takes it.
fn aliases(question: &Question) -> Result<Aliases, SourceError> {
    let aliases = Aliases::new().concept(question.right(), question.answers())?;
    question
        .others()
        .iter()
        .try_fold(aliases, |aliases, (name, forms)| aliases.concept(name, forms))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Whatever a question is made from: it is refused, or everything can be asked of it, and it
    /// is read again as it is written.
    #[test]
    fn every_question_that_can_be_made_can_be_used(
        question in "[ ?a\u{200B}\u{AD}\u{0}]{0,3}",
        answers in proptest::collection::vec("[ \n.ab\u{200B}\u{AD}\u{1}\u{7F}]{0,3}", 0..4),
        others in proptest::collection::btree_map(
            "[ ab\u{200B}]{0,2}",
            proptest::collection::vec("[ a\u{200B}\u{AD}\u{85}]{0,2}", 0..3),
            0..3,
        ),
    ) {
        let json = json!({"id": "a", "question": question, "answers": answers, "others": others});
        if let Ok(question) = serde_json::from_value::<Question>(json) {
            prop_assert!(!is_blank(question.text()) && !is_blank(question.right()));
            prop_assert_eq!(&question.answers()[0], question.right());
            prop_assert!(aliases(&question).is_ok(), "{:?}", aliases(&question));
            let written = serde_json::to_string(&question).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Question>(&written).unwrap(), &question);
            prop_assert_eq!(&Question::parse(&written).unwrap(), &[question]);
        }
    }
}
