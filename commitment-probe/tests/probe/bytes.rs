//! A vocabulary in which a line break is a byte: SentencePiece's BPE, as Llama 2 has it.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor};
use commitment_probe::{Asked, InProcess, LogitsModel, Prober, Sample};
use concept_mass::phrase::NextLogits;
use concept_mass::source::{Embedding, Piece, Vocabulary, tokenizers::Tokenizer};
use serde_json::json;

use super::taught::{measure, options, question};

const PROMPT: &str = "Q: Who?\nA:";

const WHO: &str = r#"{"id": "who", "question": "Who?", "answers": ["Smith"]}"#;

/// Special tokens, 256 bytes, characters, and what is merged of them.
fn vocabulary() -> Vocabulary {
    let words = ["▁Smith", "▁Marx", "is"];
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).to_vec();
    tokens.extend((0..=255).map(|byte| format!("<0x{byte:02X}>")));
    tokens.extend("▁QWho?A:SmithMarxs.".chars().map(String::from));
    tokens.extend([".\n\n", "#\n"].map(str::to_owned));
    let mut merges = Vec::new();
    for word in words {
        let mut word = word.chars().map(String::from);
        let mut whole = word.next().unwrap();
        for next in word {
            merges.push((whole.clone(), next.clone()));
            whole += &next;
            tokens.push(whole.clone());
        }
    }
    let mut ids = BTreeMap::new();
    for token in tokens {
        let next = ids.len() as u32;
        ids.entry(token).or_insert(next);
    }
    let vocab_size = ids.len();
    let special = |id: u32, content: &str| {
        json!({
            "id": id, "content": content, "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false,
        })
    };
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "pre_tokenizer": null,
        "post_processor": null,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
        ] },
        "decoder": { "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "ByteFallback" },
            { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ] },
        "model": {
            "type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
            "vocab": ids, "merges": merges,
        },
    });
    Vocabulary::new(Tokenizer::from_bytes(tokenizer.to_string()).unwrap(), vocab_size).unwrap()
}

fn id(vocabulary: &Vocabulary, token: &str) -> u32 {
    vocabulary.tokenizer().token_to_id(token).unwrap()
}

/// Says each of some token sequences with its share, and then goes on with the prompt.
struct Model {
    prompt: usize,
    vocab_size: usize,
    says: Vec<(Vec<u32>, f64)>,
}

impl LogitsModel for Model {}

impl NextLogits for Model {
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        let mut rows = Vec::new();
        for sequence in sequences {
            let said = &sequence[self.prompt..];
            let mut row = vec![1e-12; self.vocab_size];
            for (tokens, share) in self.says.iter().filter(|(tokens, _)| tokens.starts_with(said)) {
                if let Some(&next) = tokens.get(said.len()) {
                    row[next as usize] += share;
                }
            }
            if row.iter().sum::<f64>() < 0.1 {
                row[sequence[0] as usize] = 1.0;
            }
            let all: f64 = row.iter().sum();
            rows.extend(row.iter().map(|p| (p / all).ln() as f32));
        }
        Tensor::from_vec(rows, (sequences.len(), self.vocab_size), &Device::Cpu)
    }
}

/// What is measured of a model that says `says`, each the texts of tokens, with their shares.
fn sample(says: &[(&[&str], f64)]) -> Sample {
    let vocabulary = vocabulary();
    let vocab_size = vocabulary.vocab_size();
    let tokens = vocabulary.encode(PROMPT).unwrap();
    let ids = |texts: &[&str]| texts.iter().map(|text| id(&vocabulary, text)).collect();
    let says = says.iter().map(|(texts, share)| (ids(texts), *share)).collect();
    let model = Model { prompt: tokens.len(), vocab_size, says };
    let embedding = Tensor::eye(vocab_size, DType::F32, &Device::Cpu).unwrap();
    let embedding = Embedding::new(&embedding).unwrap();
    let end = id(&vocabulary, "</s>");
    let model = InProcess::new(model, vocab_size, &Device::Cpu, 16).unwrap();
    let prober = Prober::new(model, vocabulary, &[end], options()).unwrap();
    let mut prober = prober.with_embedding(embedding).unwrap();
    let question = question(WHO);
    let asked = Asked { question: &question, prompt: PROMPT, tokens: &tokens };
    measure(&mut prober, &[asked]).unwrap().remove(0)
}

#[test]
fn a_line_break_is_a_byte() {
    let vocabulary = vocabulary();
    let tokens = vocabulary.encode("A:\n").unwrap();
    let last = vocabulary.piece(*tokens.last().unwrap());
    assert_eq!(last, &Piece::Bytes(b"\n".to_vec()));
    assert_eq!((last.text(), last.bytes()), (None, &b"\n"[..]));
}

/// The fault: without the byte among the ends, the phrase mass is 0, and the answer goes on.
#[test]
fn a_byte_ends_an_answer_and_a_phrase() {
    let sample = sample(&[
        (&["▁Smith", "<0x0A>", "Q", ":"], 0.6),
        (&["▁Marx", "</s>"], 0.3),
        (&["▁Smith", "is", "</s>"], 0.1),
    ]);
    assert_eq!((sample.answer.as_str(), sample.is_right()), ("Smith", true));
    assert!((sample.phrase_mass - 0.6).abs() < 1e-5, "{}", sample.phrase_mass);
    assert!(sample.later[0].valid, "{:?}", sample.later);
}

#[test]
fn a_stop_and_a_break_end_it_as_well() {
    let sample = sample(&[
        (&["▁Smith", ".", "<0x0D>", "<0x0A>"], 0.5),
        (&["▁Smith", "</s>"], 0.1),
        (&["▁Marx", "<0x0A>"], 0.4),
    ]);
    assert_eq!((sample.answer.as_str(), sample.is_right()), ("Smith.", true));
    assert!((sample.phrase_mass - 0.6).abs() < 1e-5, "{}", sample.phrase_mass);
}

#[test]
fn a_token_may_end_a_line_and_say_something() {
    let sample = sample(&[
        (&["▁Smith", ".\n\n", "▁Marx"], 0.6),
        (&["▁Smith", "#\n", "▁Marx"], 0.3),
        (&["▁Marx", "</s>"], 0.1),
    ]);
    assert_eq!((sample.answer.as_str(), sample.is_right()), ("Smith.", true));
    // What a sentence ends in says nothing; a sign is a part of the answer.
    assert!((sample.phrase_mass - 0.6).abs() < 1e-5, "{}", sample.phrase_mass);
}

#[test]
fn a_break_of_three_bytes_ends_an_answer() {
    let sample = sample(&[(&["▁Smith", "<0xE2>", "<0x80>", "<0xA9>", "▁Marx"], 1.0)]);
    assert_eq!((sample.answer.as_str(), sample.is_right()), ("Smith", true));
}

#[test]
fn an_answer_that_begins_with_a_break_is_empty() {
    let sample = sample(&[(&["<0x0A>", "▁Smith"], 0.7), (&["▁Smith", "<0x0A>"], 0.3)]);
    assert!(sample.answer.is_empty() && sample.later.is_empty(), "{sample:?}");
    assert!((sample.phrase_mass - 0.3).abs() < 1e-5, "{}", sample.phrase_mass);
}
