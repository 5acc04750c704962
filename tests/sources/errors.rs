//! What errors say: the cause is a source, never repeated, and every error says what to do.

use std::{error::Error, fs, iter::successors};

use candle_core::{DType, Device, Tensor};
use concept_mass::map::{MapError, OnConflict};
use concept_mass::source::{Aliases, Embedding, JudgeError, SourceError, Vocabulary};
use concept_mass::{ConceptMap, Error as AnyError, TokenSets};

use super::kinds::kinds;

fn links(error: &dyn Error) -> Vec<String> {
    successors(Some(error), |&error| error.source()).map(|error| error.to_string()).collect()
}

/// Errors with a cause, and what every chain must mention.
fn with_causes() -> Vec<(AnyError, &'static [&'static str])> {
    let folder = std::env::temp_dir().join(format!("concept-mass-errors-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let file = |name: &str, text: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        path
    };
    let map_of = |text: &str| ConceptMap::from_json(text).unwrap_err().into();
    let map = |concepts: &str| {
        map_of(&format!(
            r#"{{"format":"concept-mass map","version":1,"vocab_size":9,"concepts":{concepts}}}"#
        ))
    };
    let aliases = |text: &str| Aliases::from_json(text).unwrap_err().into();
    let judge_of = |groups: Result<Vec<Vec<usize>>, &'static str>| {
        let vocabulary = &kinds()[0].vocabulary;
        let tokens = [" Saint", " Red"].map(|text| vocabulary.encode(text).unwrap()[0]);
        let mut judge = move |_: &[&str]| -> Result<_, JudgeError> { Ok(groups.clone()?) };
        vocabulary.judge(&tokens, &mut judge).unwrap_err().into()
    };
    let nowhere = folder.join("no such folder").join("file");
    let errors = vec![
        (ConceptMap::load(&nowhere).unwrap_err().into(), &["no such folder", "cannot be read"][..]),
        (
            ConceptMap::singletons(2).unwrap().save(&nowhere).unwrap_err().into(),
            &["no such folder", "written"],
        ),
        (ConceptMap::load(file("map", b"\xff")).unwrap_err().into(), &["line 1"]),
        (map_of("nonsense"), &["concept map", "the document", "line 1"]),
        (map(r#"[{"tokens":["x"]}]"#), &["concepts[0].tokens[0]", "invalid type"]),
        (map(r#"[{"tokens":[9]}]"#), &["concepts[0]", "token 9", "0 to 8"]),
        (map(r#"[{"tokens":[]}]"#), &["concepts[0]", "no tokens"]),
        (map(r#"[{"tokens":[1]},{"tokens":[1]}]"#), &["concepts[1]", "claimed", "TokenSets"]),
        (map_of(r#"{"format":"x","version":1}"#), &["field format", "concept-mass map", "\"x\""]),
        (map_of(r#"{"format":"concept-mass map","version":7}"#), &["field version", "7", "update"]),
        (Aliases::load(&nowhere).unwrap_err().into(), &["no such folder", "cannot be read"]),
        (Aliases::load(file("aliases", b"{")).unwrap_err().into(), &["aliases", "line 1"]),
        (aliases("[]"), &["aliases", "expected an object", "another form"]),
        (aliases(r#"{"a": []}"#), &["field a", "no forms", "at least one"]),
        (aliases(r#"{"a": [" "]}"#), &["field a", "form 0", "remove it"]),
        (aliases(r#"{"a": ["x"], "a": ["y"]}"#), &["field a", "twice", "rename"]),
        (Vocabulary::load(&nowhere, 9).unwrap_err().into(), &["no such folder", "tokenizer.json"]),
        (
            Vocabulary::load(file("tokenizer.json", b"{\"version\": 3}"), 9).unwrap_err().into(),
            &["tokenizer.json", "line 1"],
        ),
        (
            Vocabulary::load(file("broken.json", b"not JSON"), 9).unwrap_err().into(),
            &["broken.json", "line 1"],
        ),
        (judge_of(Err("no connection")), &["the judge failed", "no connection"]),
        (judge_of(Ok(vec![vec![0, 2]])), &["the judge failed", "no text 2 among 2"]),
        (judge_of(Ok(vec![vec![0], vec![0]])), &["the judge failed", "text 0 is in two groups"]),
    ];
    fs::remove_dir_all(folder).unwrap();
    errors
}

#[test]
fn no_error_repeats_its_cause() {
    for (error, parts) in with_causes() {
        let links = links(&error);
        assert!(links.len() > 1, "{links:?}");
        for (i, link) in links.iter().enumerate() {
            for cause in &links[i + 1..] {
                assert!(!link.contains(cause.as_str()), "{link:?} repeats {cause:?}");
            }
        }
        let whole = links.join(": ");
        for part in parts {
            assert!(whole.contains(part), "{part:?} is not in {whole:?}");
        }
    }
}

#[test]
fn an_error_that_becomes_candles_keeps_its_causes() {
    for (error, parts) in with_causes() {
        let text = candle_core::Error::from(error).to_string();
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
    }
}

/// Errors without a cause, and what each advises.
#[test]
fn every_error_says_what_to_do() {
    let map = |concepts: &[&[u32]]| {
        let builder = ConceptMap::builder(9);
        concepts.iter().try_fold(builder, |b, tokens| b.unnamed(tokens.iter().copied()))
    };
    let vocabulary = &kinds()[0].vocabulary;
    let aliases = |forms: [&str; 2]| {
        let aliases = Aliases::new().concept("a", [forms[0]]).unwrap();
        aliases.concept("b", [forms[1]]).unwrap().after(vocabulary, "A:").unwrap()
    };
    let bert = &kinds().iter().find(|kind| kind.name.contains("BERT")).unwrap().vocabulary;
    let nothing = Aliases::new().concept("a", ["\u{FFFD}"]).unwrap().after(bert, "A:").unwrap();
    let matrix = |dtype| Tensor::ones((3, 2), dtype, &Device::Cpu).unwrap();
    let embedding = Embedding::new(&matrix(DType::F32)).unwrap();
    let four = ConceptMap::singletons(4).unwrap();
    let lower = map(&[&[1, 2, 3]]).unwrap().build().unwrap();
    let named = ConceptMap::builder(9).concept("a", [1]).unwrap().concept("b", [2]).unwrap();
    let errors: Vec<(AnyError, &[&str])> = vec![
        (ConceptMap::singletons(0).unwrap_err().into(), &["is 0", "1 to 4194304", "logits"]),
        (
            map(&[&[1, 9]]).unwrap_err().into(),
            &["token 9", "concept 0", "9 tokens", "0 to 8", "logits"],
        ),
        (map(&[&[1], &[1]]).unwrap_err().into(), &["token 1", "concept 0", "concept 1", "drop it"]),
        (map(&[&[]]).unwrap_err().into(), &["concept 0", "at least one"]),
        (
            named.clone().concept("a", [3]).unwrap_err().into(),
            &["\"a\"", "merge the two or rename"],
        ),
        (
            ConceptMap::from_concept_ids(vec![0, 7]).unwrap_err().into(),
            &["token 1", "id 7", "without gaps"],
        ),
        (four.over(&lower, OnConflict::First).unwrap_err().into(), &["4 tokens", "for 9", "width"]),
        (
            named.build().unwrap().over(&lower, OnConflict::Refuse).unwrap_err().into(),
            &["1, 2, 3", "\"a\"", "\"b\"", "OnConflict::LeaveOut", "OnConflict::First"],
        ),
        (
            TokenSets::builder(9).set("s", [9]).unwrap_err().into(),
            &["token 9", "set \"s\"", "logits"],
        ),
        (TokenSets::builder(9).set("s", []).unwrap_err().into(), &["set \"s\"", "at least one"]),
        (
            aliases(["Ivan", "Ivan the Terrible"]).map(OnConflict::Refuse).unwrap_err().into(),
            &["\" Ivan\" of \"a\"", "drop forms", "OnConflict::LeaveOut", "token sets"],
        ),
        (
            nothing.map(OnConflict::Refuse).unwrap_err().into(),
            &["\"a\"", "encodes to nothing", "other forms"],
        ),
        (
            Vocabulary::new(vocabulary.tokenizer().clone(), 9).unwrap_err().into(),
            &["9 columns", "same model"],
        ),
        (
            vocabulary.check_covers(&ConceptMap::singletons(100_000).unwrap()).unwrap_err().into(),
            &["100000", "padding included"],
        ),
        (Embedding::new(&matrix(DType::U32)).unwrap_err().into(), &["U32", "f16", "dequantise"]),
        (
            Embedding::new(&matrix(DType::F32).flatten_all().unwrap()).unwrap_err().into(),
            &["[V, D]", "[6]"],
        ),
        (embedding.check_covers(&four).unwrap_err().into(), &["3 rows", "4 tokens", "take the"]),
        (embedding.groups(&[0], 1.5).unwrap_err().into(), &["1.5", "-1 to 1"]),
        (embedding.groups(&[5], 1.0).unwrap_err().into(), &["token 5", "0 to 2"]),
    ];
    for (error, parts) in errors {
        let text = error.to_string();
        for part in parts {
            assert!(text.contains(part), "{part:?} is not in {text:?}");
        }
        assert!(!text.ends_with('.') && !text.contains("  "), "{text:?}");
    }
}

/// The numbers in an error are anybody's.
#[test]
fn any_error_can_be_printed() {
    let concept = || "concept 0".to_owned();
    for vocab_size in [0, 1, usize::MAX] {
        let error = MapError::TokenOutOfRange { token: u32::MAX, concept: concept(), vocab_size };
        assert!(!error.to_string().is_empty());
        let error = MapError::ConceptOutOfRange { token: 0, concept: u32::MAX, vocab_size };
        assert!(!error.to_string().is_empty());
    }
    let error = SourceError::SharedTokens { shared: Vec::new() };
    assert!(!error.to_string().is_empty());
}
