//! Tokenizers of every kind, trained on text made here.

use std::sync::OnceLock;

use concept_mass::source::Vocabulary;
use rand::{Rng, seq::IndexedRandom};
use serde_json::{Value, json};
use tokenizers::{
    AddedToken, Tokenizer,
    decoders::wordpiece,
    models::{
        TrainerWrapper,
        bpe::{BPE, BpeTrainer},
        unigram::{Unigram, UnigramTrainer},
        wordpiece::{WordPiece, WordPieceTrainer},
    },
    normalizers::BertNormalizer,
    pre_tokenizers::{
        bert::BertPreTokenizer,
        byte_level::ByteLevel,
        metaspace::{Metaspace, PrependScheme},
    },
};

use crate::common::rng;

/// Words of many scripts; rare ones stay in pieces.
pub const WORDS: [&str; 48] = [
    "Saint",
    "Basil's",
    "St.",
    "Cathedral",
    "of",
    "the",
    "Vasily",
    "Moscow",
    "Red",
    "Square",
    "is",
    "a",
    "built",
    "by",
    "Ivan",
    "Terrible",
    "Who",
    "wrote",
    "What",
    "city",
    "42",
    "1963",
    "C#",
    "naïve",
    "École",
    "Zürich",
    "São",
    "Paulo",
    "Brontë",
    "Москва",
    "Санкт-Петербург",
    "собор",
    "東京",
    "大阪",
    "北京市",
    "Αθήνα",
    "दिल्ली",
    "서울",
    "القاهرة",
    "can't",
    "it's",
    "“quoted”",
    "(in",
    "brackets)",
    "—",
    "…",
    "e.g.",
    "U.S.",
];

/// A tokenizer, and what is expected of it.
pub struct Kind {
    pub name: &'static str,
    pub vocabulary: Vocabulary,
    /// Whether its tokens, end to end, are the text: nothing is normalised, nothing unknown.
    pub is_lossless: bool,
}

/// One of each kind.
pub fn kinds() -> &'static [Kind] {
    static KINDS: OnceLock<Vec<Kind>> = OnceLock::new();
    KINDS.get_or_init(|| {
        let kind = |name, is_lossless, tokenizer: Tokenizer| {
            // Padded, as output layers often are.
            let width = tokenizer.get_vocab_size(true) + 7;
            let vocabulary = Vocabulary::new(tokenizer, width).unwrap();
            Kind { name, vocabulary, is_lossless }
        };
        vec![
            kind("byte-level BPE, as GPT-2", true, gpt_2()),
            kind("byte-level BPE, as Llama 3", true, llama_3(Value::Null)),
            kind("byte-level BPE with NFC, as Qwen", false, llama_3(json!({ "type": "NFC" }))),
            kind("SentencePiece BPE with bytes, as Llama 2", true, llama_2()),
            kind("BPE with Metaspace, as Mistral", false, mistral()),
            kind("Unigram, as T5", false, t5()),
            kind("WordPiece, as BERT", false, bert()),
        ]
    })
}

/// Sentences of [`WORDS`], the first ones more often.
fn text() -> Vec<String> {
    let mut rng = rng(7);
    let sentence = |_| {
        let words: Vec<&str> = (0..rng.random_range(3..12))
            .map(|_| match rng.random_bool(0.5) {
                true => WORDS[..20].choose(&mut rng).unwrap(),
                false => WORDS.choose(&mut rng).unwrap(),
            })
            .copied()
            .collect();
        words.join(" ") + [".", "?", "!", ":", "\n"].choose(&mut rng).unwrap()
    };
    (0..400).map(sentence).collect()
}

fn train(tokenizer: &mut Tokenizer, trainer: impl Into<TrainerWrapper>) {
    tokenizer.train(&mut trainer.into(), text().into_iter()).unwrap();
}

/// The tokenizer with its JSON changed.
fn edited(tokenizer: &Tokenizer, edit: impl FnOnce(&mut Value)) -> Tokenizer {
    let mut json = serde_json::from_str(&tokenizer.to_string(false).unwrap()).unwrap();
    edit(&mut json);
    Tokenizer::from_bytes(json.to_string()).unwrap()
}

fn special(tokens: &[&str]) -> Vec<AddedToken> {
    tokens.iter().map(|&token| AddedToken::from(token, true)).collect()
}

/// A vocabulary so small that rare characters stay in bytes, which are no UTF-8 by themselves.
fn bpe_trainer() -> BpeTrainer {
    let alphabet = ByteLevel::alphabet().into_iter().collect();
    BpeTrainer::builder()
        .vocab_size(420)
        .initial_alphabet(alphabet)
        .special_tokens(special(&["<|end|>"]))
        .show_progress(false)
        .build()
}

fn gpt_2() -> Tokenizer {
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
    tokenizer.with_decoder(Some(ByteLevel::default()));
    train(&mut tokenizer, bpe_trainer());
    tokenizer
}

/// The text is cut by a regular expression of its own.
fn llama_3(normalizer: Value) -> Tokenizer {
    let regex = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
    let mut tokenizer = edited(&gpt_2(), |json| {
        json["normalizer"] = normalizer;
        json["pre_tokenizer"] = json!({ "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": regex }, "behavior": "Isolated", "invert": false },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false },
        ] });
    });
    train(&mut tokenizer, bpe_trainer());
    tokenizer
}

fn mistral() -> Tokenizer {
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(Metaspace::new('▁', PrependScheme::First, true)));
    tokenizer.with_decoder(Some(Metaspace::new('▁', PrependScheme::First, true)));
    let trainer = BpeTrainer::builder()
        .vocab_size(380)
        .special_tokens(special(&["<unk>", "<s>", "</s>"]))
        .show_progress(false)
        .build();
    train(&mut tokenizer, trainer);
    edited(&tokenizer, |json| json["model"]["unk_token"] = json!("<unk>"))
}

/// The text is not cut at all, but a normaliser writes its spaces; characters that are not in the
/// vocabulary fall back to bytes.
fn llama_2() -> Tokenizer {
    edited(&mistral(), |json| {
        json["normalizer"] = json!({ "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
        ] });
        json["pre_tokenizer"] = Value::Null;
        json["decoder"] = json!({ "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "ByteFallback" }, { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
        ] });
        json["model"]["byte_fallback"] = json!(true);
        json["model"]["fuse_unk"] = json!(true);
        let vocab = json["model"]["vocab"].as_object_mut().unwrap();
        let first = vocab.len();
        vocab.extend((0..256).map(|byte| (format!("<0x{byte:02X}>"), json!(first + byte))));
    })
}

fn t5() -> Tokenizer {
    let unigram = Unigram::from(vec![("<unk>".to_owned(), 0.0)], Some(0), false).unwrap();
    let mut tokenizer = Tokenizer::new(unigram);
    tokenizer.with_pre_tokenizer(Some(Metaspace::new('▁', PrependScheme::Always, true)));
    tokenizer.with_decoder(Some(Metaspace::new('▁', PrependScheme::Always, true)));
    let trainer = UnigramTrainer::builder()
        .vocab_size(300)
        .special_tokens(special(&["<pad>", "</s>", "<unk>"]))
        .unk_token(Some("<unk>".to_owned()))
        .show_progress(false)
        .build();
    train(&mut tokenizer, trainer.unwrap());
    tokenizer
}

fn bert() -> Tokenizer {
    let empty = WordPiece::builder().unk_token("[UNK]".to_owned()).build().unwrap();
    let mut tokenizer = Tokenizer::new(empty);
    tokenizer.with_normalizer(Some(BertNormalizer::default())).unwrap();
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_decoder(Some(wordpiece::WordPiece::default()));
    let trainer = WordPieceTrainer::builder()
        .vocab_size(300)
        .special_tokens(special(&["[PAD]", "[UNK]", "[CLS]", "[SEP]"]))
        .show_progress(false)
        .build();
    train(&mut tokenizer, trainer);
    tokenizer
}
