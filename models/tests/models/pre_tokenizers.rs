//! Text is cut as llama.cpp, or rather a model's `tokenizer.json`, cuts it.

use std::collections::BTreeSet;

use serde_json::Value;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::{support::loaded, tokenizer::tokenizer};

const TEXTS: &str = include_str!("../tokenizers/texts.json");
/// How each text is cut for each name, as `record_cuts.py` has recorded it.
const CUTS: &str = include_str!("../tokenizers/cuts.json");
/// Names that llama.cpp knows and that are refused here, though a table has them.
const REFUSED: [&str; 4] = ["granite-embed-multi-97m", "jina-v1-en", "jina-v2-code", "roberta-bpe"];

/// The lengths of the pieces, in characters.
fn cut(pre_tokenizer: &impl PreTokenizer, text: &str) -> String {
    let mut pieces = PreTokenizedString::from(text);
    pre_tokenizer.pre_tokenize(&mut pieces).unwrap();
    let pieces = pieces.get_splits(OffsetReferential::Original, OffsetType::Char);
    let lengths = pieces.iter().map(|(_, (begin, end), _)| (end - begin).to_string());
    lengths.collect::<Vec<_>>().join(" ")
}

#[test]
fn every_name_cuts_hard_texts_as_the_record_says() {
    let texts: Vec<String> = serde_json::from_str(TEXTS).unwrap();
    let groups: Vec<Value> = serde_json::from_str(CUTS).unwrap();
    let mut names = BTreeSet::new();
    let mut wrong = Vec::new();
    for group in &groups {
        for name in group["names"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            if REFUSED.contains(&name) {
                continue;
            }
            assert!(names.insert(name));
            let tokenizer = tokenizer(name, |_| {});
            for (i, text) in texts.iter().enumerate() {
                // What the model's own rule, or llama.cpp's by the letter, cuts otherwise.
                let own = group["tokenizer.json"].get(i.to_string());
                let expected = own.unwrap_or(&group["llama.cpp"][i]).as_str().unwrap();
                let actual = cut(tokenizer.get_pre_tokenizer().unwrap(), text);
                if actual != expected {
                    wrong.push(format!("{name}: {text:?}\n  {actual}\n  {expected}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!((texts.len(), names.len()), (30, 83));
}

/// Real vocabularies, whose tokens `witness.py` has asked transformers and llama.cpp for.
#[test]
#[ignore = "needs the folder that models/tests/tokenizers/witness.py makes"]
fn real_vocabularies_give_the_tokens_of_their_models() {
    #[derive(serde::Deserialize)]
    struct Row {
        text: String,
        special: bool,
        ids: Vec<u32>,
    }
    let folder = std::env::var("CONCEPT_MASS_TOKENIZERS").expect("CONCEPT_MASS_TOKENIZERS");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|file| file.extension().unwrap() == "gguf").collect();
    files.sort();
    assert!(!files.is_empty());
    let mut wrong = Vec::new();
    for file in files {
        let rows = std::fs::read(file.with_extension("json")).unwrap();
        let rows: Vec<Row> = serde_json::from_slice(&rows).unwrap();
        assert!(rows.len() >= 60);
        let start = std::time::Instant::now();
        let tokenizer = loaded(&file).tokenizer;
        println!("{}: {:?}, {} texts", file.display(), start.elapsed(), rows.len());
        for Row { text, special, ids } in rows {
            let actual = tokenizer.encode(text.as_str(), special).unwrap().get_ids().to_vec();
            if actual != ids {
                let at = actual.iter().zip(&ids).take_while(|(a, b)| a == b).count();
                let rest = |ids: &[u32]| ids.iter().skip(at).take(8).copied().collect::<Vec<_>>();
                let (ours, theirs) = (rest(&actual), rest(&ids));
                let name = file.file_stem().unwrap().display();
                wrong.push(format!("{name}: {text:?}: after {at} {ours:?}, not {theirs:?}"));
            }
            let decoded = tokenizer.decode(&ids, false).unwrap();
            if tokenizer.get_normalizer().is_none() && !special && decoded != text {
                wrong.push(format!("{}: {text:?} comes back as {decoded:?}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
