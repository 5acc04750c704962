//! What the metadata of a GGUF file say of its tokenizer, checked.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use candle_core::quantized::gguf_file::Value;
use tokenizers::models::bpe::Vocab;

use crate::ends;

pub const MODEL: &str = "tokenizer.ggml.model";
pub const PRE: &str = "tokenizer.ggml.pre";
pub const TOKENS: &str = "tokenizer.ggml.tokens";
const TYPES: &str = "tokenizer.ggml.token_type";
const SCORES: &str = "tokenizer.ggml.scores";
const MERGES: &str = "tokenizer.ggml.merges";
const BOS: &str = "tokenizer.ggml.bos_token_id";
const EOS: &str = "tokenizer.ggml.eos_token_id";
const UNKNOWN: &str = "tokenizer.ggml.unknown_token_id";

/// What a token is, by llama.cpp's `llama_token_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A piece of text, which merges make.
    Normal,
    /// Stands for itself, is never merged, and is not text: `<s>`, `<|im_end|>`.
    Control,
    /// Stands for itself, is never merged, and is text: `<think>`, a run of spaces.
    UserDefined,
    /// `<0x0A>`: one byte of a character that the vocabulary lacks.
    Byte,
    /// Is in no text: what pads a vocabulary to a round size.
    Unused,
}

/// A token of a vocabulary: its id is its place.
#[derive(Debug)]
pub struct Token {
    pub text: String,
    pub kind: Kind,
}

/// What the metadata say of a tokenizer.
#[derive(Debug)]
pub struct Vocabulary<'a> {
    /// Those that have a column in the logits; no two have one text.
    pub tokens: Vec<Token>,
    /// By text.
    pub ids: Vocab,
    /// How much a merge into each token is wanted; empty where the file has no scores.
    pub scores: Vec<f32>,
    /// Pairs of tokens with a space between, in the order in which they are merged.
    pub merges: Vec<&'a str>,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    pub unknown: Option<u32>,
    metadata: &'a HashMap<String, Value>,
}

impl<'a> Vocabulary<'a> {
    /// Reads what there is for logits of `vocab_size` columns.
    ///
    /// Added tokens without a column are left out: a model can neither read nor write them. Gemma 3
    /// has one more than columns, for images.
    pub fn read(metadata: &'a HashMap<String, Value>, vocab_size: usize) -> Result<Self> {
        let texts = texts(metadata, TOKENS)?.with_context(|| missing(TOKENS))?;
        ensure!(!texts.is_empty(), "{TOKENS} is empty");
        ensure!(u32::try_from(texts.len()).is_ok(), "{TOKENS} has {} texts", texts.len());
        let kinds = numbers(metadata, TYPES, texts.len(), |value| match *value {
            Value::I32(2 | 3) => Some(Kind::Control),
            Value::I32(4) => Some(Kind::UserDefined),
            Value::I32(5) => Some(Kind::Unused),
            Value::I32(6) => Some(Kind::Byte),
            Value::I32(_) => Some(Kind::Normal),
            _ => None,
        })?;
        let scores = numbers(metadata, SCORES, texts.len(), |value| match *value {
            Value::F32(score) => Some(score),
            Value::I32(score) => Some(score as f32),
            _ => None,
        })?;
        let mut vocabulary = Self {
            tokens: Vec::new(),
            ids: Vocab::new(),
            scores: scores.unwrap_or_default(),
            merges: self::texts(metadata, MERGES)?.unwrap_or_default(),
            bos: None,
            eos: None,
            unknown: None,
            metadata,
        };
        let kinds = kinds.unwrap_or_else(|| vec![Kind::Normal; texts.len()]);
        for (text, kind) in texts.into_iter().zip(kinds) {
            vocabulary.push(text, kind, vocab_size)?;
        }
        vocabulary.name_ends()?;
        Ok(vocabulary)
    }

    fn push(&mut self, text: &str, kind: Kind, vocab_size: usize) -> Result<()> {
        let id = self.tokens.len();
        if id >= vocab_size {
            ensure!(
                !matches!(kind, Kind::Normal | Kind::Byte),
                "token {id} is {text:?}, and the logits have {vocab_size} columns; take both from \
                 one model"
            );
            return Ok(());
        }
        // As llama.cpp names it: nothing is never a token.
        let text = if text.is_empty() { format!("[EMPTY_{id}]") } else { text.to_owned() };
        if let Some(other) = self.ids.insert(text.clone(), id as u32) {
            bail!("tokens {other} and {id} are both {text:?}");
        }
        self.tokens.push(Token { text, kind });
        Ok(())
    }

    /// Finds the tokens that begin and end texts or turns, which are not text whatever their kind.
    fn name_ends(&mut self) -> Result<()> {
        for name in ends::NAMES {
            if let Some(&id) = self.ids.get(name) {
                self.tokens[id as usize].kind = Kind::Control;
            }
        }
        let id = |key| self.id(key);
        let (bos, eos, unknown) = (id(BOS)?, id(EOS)?, id(UNKNOWN)?);
        let others = [id("tokenizer.ggml.eot_token_id")?, id("tokenizer.ggml.eom_token_id")?];
        for id in [bos, eos].into_iter().chain(others).flatten() {
            self.tokens[id as usize].kind = Kind::Control;
        }
        (self.bos, self.eos, self.unknown) = (bos, eos, unknown);
        Ok(())
    }

    /// The token whose id is the value of `key`, if there is one.
    fn id(&self, key: &str) -> Result<Option<u32>> {
        let id = match self.metadata.get(key) {
            None => return Ok(None),
            Some(Value::U32(id)) => i64::from(*id),
            Some(Value::I32(id)) => i64::from(*id),
            Some(Value::U64(id)) => i64::try_from(*id).unwrap_or(i64::MAX),
            Some(Value::I64(id)) => *id,
            Some(other) => bail!("{key} is {other:?}, not the id of a token"),
        };
        // Out of range, such as -1, it is none, as for llama.cpp.
        Ok(usize::try_from(id).ok().filter(|&id| id < self.tokens.len()).map(|id| id as u32))
    }

    /// Takes the tokens that begin and end texts for those of Llama where the file names none, as
    /// llama.cpp does.
    pub fn assume_llamas_ends(&mut self) {
        let there = |id: u32| ((id as usize) < self.tokens.len()).then_some(id);
        self.unknown = self.unknown.or(there(0));
        self.bos = self.bos.or(there(1));
        self.eos = self.eos.or(there(2));
    }

    /// Whether white space after an added token belongs to it: in Phi-3's `tokenizer.json` it does,
    /// of which only the architecture tells. (Vocabularies without a model have its name at most.)
    pub fn strips_what_follows(&self) -> Result<bool> {
        let name = text(self.metadata, "general.name")?.unwrap_or_default().to_lowercase();
        let is_llamas = text(self.metadata, MODEL)? == Some("llama");
        let is_phi3 = text(self.metadata, "general.architecture")? == Some("phi3");
        Ok(is_llamas
            && (is_phi3 || ["phi-3", "phi3", "phi 3"].iter().any(|phi| name.contains(phi))))
    }

    /// Whether `key` is true, or `otherwise` if the file does not say.
    pub fn flag(&self, key: &str, otherwise: bool) -> Result<bool> {
        match self.metadata.get(key) {
            None => Ok(otherwise),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(value) => bail!("{key} is {value:?}, not true or false"),
        }
    }
}

/// The text under `key`, if there is one.
pub fn text<'a>(metadata: &'a HashMap<String, Value>, key: &str) -> Result<Option<&'a str>> {
    match metadata.get(key) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(value) => bail!("{key} is {value:?}, not a text"),
    }
}

/// The list of texts under `key`, if there is one.
fn texts<'a>(metadata: &'a HashMap<String, Value>, key: &str) -> Result<Option<Vec<&'a str>>> {
    let Some(values) = list(metadata, key)? else { return Ok(None) };
    let texts = values.iter().enumerate().map(|(i, value)| match value {
        Value::String(text) => Ok(text.as_str()),
        value => bail!("entry {i} of {key} is {value:?}, not a text"),
    });
    texts.collect::<Result<_>>().map(Some)
}

/// The list under `key`, if there is one, which must have as many entries as there are tokens.
fn numbers<T>(
    metadata: &HashMap<String, Value>,
    key: &str,
    tokens: usize,
    read: impl Fn(&Value) -> Option<T>,
) -> Result<Option<Vec<T>>> {
    let Some(values) = list(metadata, key)? else { return Ok(None) };
    ensure!(
        values.len() == tokens,
        "{key} has {} entries, and {TOKENS} has {tokens}",
        values.len()
    );
    let numbers = values.iter().enumerate().map(|(i, value)| {
        read(value)
            .with_context(|| format!("entry {i} of {key} is {value:?}, not a number of its type"))
    });
    numbers.collect::<Result<_>>().map(Some)
}

fn list<'a>(metadata: &'a HashMap<String, Value>, key: &str) -> Result<Option<&'a [Value]>> {
    match metadata.get(key) {
        None => Ok(None),
        Some(Value::Array(values)) => Ok(Some(values)),
        Some(value) => bail!("{key} is {value:?}, not a list"),
    }
}

/// What is said where `key` is not in the metadata.
pub fn missing(key: &str) -> String {
    format!("its metadata have no {key}")
}
