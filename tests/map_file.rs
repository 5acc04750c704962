//! The map's file: save and load, and files that are none.

mod common;

use std::{error::Error, fs, iter::successors};

use common::{PARTITIONS, rng};
use concept_mass::ConceptMap;
use concept_mass::map::{FileProblem, MapError};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn save_then_load_is_identity(
        vocab_size in 1usize..300,
        partition in proptest::sample::select(&PARTITIONS[..]),
        seed: u64,
    ) {
        let map = partition.map(vocab_size, &mut rng(seed));
        prop_assert_eq!(&ConceptMap::from_json(map.to_json()).unwrap(), &map);
    }

    #[test]
    fn names_survive(names in proptest::collection::hash_set(".{0,12}", 1..8)) {
        let builder = ConceptMap::builder(100).unnamed([90, 91]).unwrap();
        let map = (0..)
            .zip(&names)
            .try_fold(builder, |b, (i, name)| b.concept(name, [2 * i, 2 * i + 1]))
            .unwrap()
            .build()
            .unwrap();
        let loaded = ConceptMap::from_json(map.to_json()).unwrap();
        prop_assert_eq!(&loaded, &map);
        for name in &names {
            let concept = loaded.find(name).unwrap();
            prop_assert_eq!(loaded.name(concept), Some(name.as_str()));
        }
    }

    #[test]
    fn truncated_files_are_errors(cut in 0usize..200) {
        let text = sample();
        if cut < text.len() {
            let malformed = matches!(problem(&text[..cut]), FileProblem::Field { .. });
            prop_assert!(malformed);
        }
    }
}

fn sample() -> String {
    ConceptMap::builder(9).concept("a", [1, 2]).unwrap().build().unwrap().to_json()
}

fn problem(text: &str) -> FileProblem {
    match ConceptMap::from_json(text).unwrap_err() {
        MapError::File { path: None, problem } => problem,
        error => panic!("{error}"),
    }
}

/// The messages for the sample document with one piece replaced, the cause after its effect.
fn complaint(from: &str, to: &str) -> String {
    let text = sample();
    assert!(text.contains(from), "{from} is in {text}");
    chain(&problem(&text.replace(from, to)))
}

fn chain(error: &dyn Error) -> String {
    let causes = successors(Some(error), |&error| error.source());
    causes.map(|error| error.to_string()).collect::<Vec<_>>().join(": ")
}

#[test]
fn hostile_files_are_errors_that_name_the_field() {
    let cases = [
        (
            "\"version\":1",
            "\"version\":2",
            "field version: this version of concept-mass reads version 1, got 2",
        ),
        ("\"version\":1", "\"version\":-1", "field version cannot be read: "),
        ("\"version\":1", "\"version\":\"1\"", "field version cannot be read: "),
        (
            "concept-mass map",
            "recipe",
            "field format: expected \"concept-mass map\", got \"recipe\"",
        ),
        ("\"vocab_size\":9", "\"vocab_size\":0", "field vocab_size is not valid: vocab_size is 0"),
        (
            "\"vocab_size\":9",
            "\"vocab_size\":18446744073709551615",
            "field vocab_size is not valid: vocab_size is 18446744073709551615",
        ),
        ("\"vocab_size\":9", "\"vocab_size\":1e3", "field vocab_size cannot be read: "),
        ("\"vocab_size\":9,", "", "the document cannot be read: missing field `vocab_size`"),
        (
            "[1,2]",
            "[1,9]",
            "field concepts[0] is not valid: token 9 of concept \"a\" is out of range",
        ),
        ("[1,2]", "[1,-2]", "field concepts[0].tokens[1] cannot be read: "),
        ("[1,2]", "[4294967296]", "field concepts[0].tokens[0] cannot be read: "),
        ("[1,2]", "[]", "field concepts[0] is not valid: concept \"a\" has no tokens"),
        ("[1,2]", "7", "field concepts[0].tokens cannot be read: "),
        (
            "[1,2]}",
            "[1]},{\"tokens\":[1]}",
            "field concepts[1] is not valid: token 1 is claimed by concept \"a\"",
        ),
        (
            "[1,2]}",
            "[1]},{\"name\":\"a\",\"tokens\":[3]}",
            "field concepts[1] is not valid: the name \"a\" is used twice",
        ),
        (
            "\"name\":\"a\"",
            "\"nom\":\"a\"",
            "field concepts[0].nom cannot be read: unknown field `nom`",
        ),
        ("\"name\":\"a\"", "\"name\":[]", "field concepts[0].name cannot be read: "),
        ("]}]}", "]}]} trailing", "the document cannot be read: trailing characters"),
    ];
    for (from, to, expected) in cases {
        let complaint = complaint(from, to);
        assert!(complaint.starts_with(expected), "{to}: {complaint}");
    }
}

#[test]
fn a_listed_singleton_without_a_name_is_the_same_map_as_an_unlisted_one() {
    let listed = ConceptMap::builder(2).unnamed([0]).unwrap().build().unwrap();
    assert_eq!(listed, ConceptMap::singletons(2).unwrap());
    assert_eq!(ConceptMap::from_json(listed.to_json()).unwrap(), listed);
}

#[test]
fn a_vocabulary_too_large_is_refused_before_memory_is_taken() {
    for size in ["4194305", "4000000000", "1000000000000", "18446744073709551615"] {
        for concepts in ["[]", r#"[{"tokens":[4294967295,1]}]"#] {
            let text = format!(
                r#"{{"format":"concept-mass map","version":1,"vocab_size":{size},"concepts":{concepts}}}"#
            );
            let chain = chain(&problem(&text));
            let expected = format!("field vocab_size is not valid: vocab_size is {size}, ");
            assert!(chain.starts_with(&expected), "{chain}");
        }
    }
}

#[test]
fn what_is_no_json_at_all() {
    let deep = "[".repeat(100_000);
    for text in ["", "null", "[]", "\u{0}", "{\"format\":\"", deep.as_str()] {
        assert!(matches!(problem(text), FileProblem::Field { .. }), "{:.20}", text);
    }
}

#[test]
fn files_are_named_in_errors() {
    let path = std::env::temp_dir().join(format!("concept-mass-{}.json", std::process::id()));
    let error = ConceptMap::load(&path).unwrap_err();
    assert!(
        matches!(&error, MapError::File { path: Some(p), problem: FileProblem::Io(_) } if *p == path)
    );
    fs::write(&path, b"\xff\xfe").unwrap();
    let error = ConceptMap::load(&path).unwrap_err();
    let expected = format!("cannot use {} as a concept map: the document ", path.display());
    assert!(chain(&error).starts_with(&expected), "{}", chain(&error));
    fs::remove_file(&path).unwrap();
    let nowhere = std::env::temp_dir().join("no such folder").join("map.json");
    let map = ConceptMap::singletons(2).unwrap();
    assert!(matches!(map.save(nowhere), Err(MapError::Save { .. })));
}
