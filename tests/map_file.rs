//! The map's file: save and load, and files that are none.

mod common;

use std::fs;

use common::{PARTITIONS, rng};
use concept_mass::map::MapError;
use concept_mass::{ConceptMap, map::FileProblem};
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
        prop_assert_eq!(&ConceptMap::from_json(&map.to_json()).unwrap(), &map);
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
        let loaded = ConceptMap::from_json(&map.to_json()).unwrap();
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

/// The message for the sample document with one piece replaced.
fn complaint(from: &str, to: &str) -> String {
    let text = sample();
    assert!(text.contains(from), "{from} is in {text}");
    problem(&text.replace(from, to)).to_string()
}

#[test]
fn hostile_files_are_errors_that_name_the_field() {
    let cases = [
        ("\"version\":1", "\"version\":2", "field version: 2 is unknown"),
        ("\"version\":1", "\"version\":-1", "field version: "),
        ("\"version\":1", "\"version\":\"1\"", "field version: "),
        (
            "concept-mass map",
            "recipe",
            "field format: expected \"concept-mass map\", got \"recipe\"",
        ),
        ("\"vocab_size\":9", "\"vocab_size\":0", "field concepts[0]: a vocabulary of 0 tokens"),
        ("\"vocab_size\":9", "\"vocab_size\":18446744073709551615", "field vocab_size: "),
        ("\"vocab_size\":9", "\"vocab_size\":1e3", "field vocab_size: "),
        ("\"vocab_size\":9,", "", "field .: missing field `vocab_size`"),
        ("[1,2]", "[1,9]", "field concepts[0]: token 9 of concept \"a\" is out of range"),
        ("[1,2]", "[1,-2]", "field concepts[0].tokens[1]: "),
        ("[1,2]", "[4294967296]", "field concepts[0].tokens[0]: "),
        ("[1,2]", "[]", "field concepts[0]: concept \"a\" has no tokens"),
        ("[1,2]", "7", "field concepts[0].tokens: "),
        (
            "[1,2]}",
            "[1]},{\"tokens\":[1]}",
            "field concepts[1]: token 1 is claimed by concept \"a\"",
        ),
        ("[1,2]}", "[1]},{\"name\":\"a\",\"tokens\":[3]}", "field concepts[1]: the name \"a\""),
        ("\"name\":\"a\"", "\"nom\":\"a\"", "field concepts[0].nom: unknown field `nom`"),
        ("\"name\":\"a\"", "\"name\":[]", "field concepts[0].name: "),
        ("]}]}", "]}]} trailing", "field .: trailing characters"),
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
    assert_eq!(ConceptMap::from_json(&listed.to_json()).unwrap(), listed);
}

#[test]
fn a_vocabulary_too_large_is_refused_before_memory_is_taken() {
    let text =
        r#"{"format":"concept-mass map","version":1,"vocab_size":1000000000000,"concepts":[]}"#;
    assert!(
        problem(text).to_string().starts_with("field vocab_size: a vocabulary of 1000000000000")
    );
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
    assert!(error.to_string().starts_with(&format!("{}: field ", path.display())), "{error}");
    fs::remove_file(&path).unwrap();
    let nowhere = std::env::temp_dir().join("no such folder").join("map.json");
    let map = ConceptMap::singletons(2).unwrap();
    assert!(matches!(map.save(nowhere), Err(MapError::File { path: Some(_), .. })));
}
