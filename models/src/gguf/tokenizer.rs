//! The tokenizer of a GGUF file, and what its metadata say of chats.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use candle_core::quantized::{gguf_file::Value, tokenizer::TokenizerFromGguf};
use tokenizers::{Tokenizer, pre_tokenizers::byte_level::ByteLevel};

use super::Gguf;
use crate::{Chat, check_width};

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";
const TOKENS: &str = "tokenizer.ggml.tokens";

/// What to do where the metadata do not make a tokenizer.
const REMEDY: &str = "put the model's tokenizer.json beside the file, or pass it as --tokenizer";

/// The `tokenizer.json` to be used for the model in `gguf`, if there is one: it knows all that
/// there is to know, of which the metadata have a part.
pub fn file(gguf: &Path, given: Option<&Path>) -> Option<PathBuf> {
    let beside = gguf.with_file_name("tokenizer.json");
    given.map(Path::to_owned).or_else(|| beside.exists().then_some(beside))
}

/// How a byte-level BPE cuts text before it looks for tokens.
enum Cut {
    Gpt2,
    Llama3,
    Qwen2,
}

impl Gguf {
    /// The tokenizer that is in the metadata, for logits of `vocab_size` columns.
    pub fn tokenizer(&mut self, vocab_size: usize) -> Result<Tokenizer> {
        let cut = self.cut()?;
        if let Cut::Llama3 = cut {
            self.spell_out_llama3();
        }
        let tokenizer = || -> Result<Tokenizer> {
            let mut tokenizer = Tokenizer::from_gguf(&self.content)?;
            if let Cut::Gpt2 = cut {
                // candle would put a space before every text.
                tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
            }
            check_width(&tokenizer, vocab_size)?;
            Ok(tokenizer)
        };
        tokenizer().with_context(|| format!("its metadata make no tokenizer; {REMEDY}"))
    }

    /// Refuses what candle would take for GPT-2's way.
    fn cut(&self) -> Result<Cut> {
        let model = self.text(MODEL)?.unwrap_or("none");
        ensure!(
            model == "gpt2",
            "its tokenizer ({MODEL}) is {model:?}, but of the metadata's only \"gpt2\" can be read; \
             {REMEDY}"
        );
        match self.text(PRE)?.unwrap_or("none") {
            "gpt-2" | "gpt2" => Ok(Cut::Gpt2),
            "llama-bpe" | "llama3" => Ok(Cut::Llama3),
            "qwen2" => Ok(Cut::Qwen2),
            other => bail!(
                "its tokenizer cuts text ({PRE}) as {other:?}, but of the metadata's only gpt-2, \
                 llama-bpe and qwen2 can be read; {REMEDY}"
            ),
        }
    }

    /// Says what llama.cpp takes for granted of Llama 3's tokenizer, under the name that candle
    /// knows it by: real files say `llama-bpe`, and no more.
    fn spell_out_llama3(&mut self) {
        let metadata = &mut self.content.metadata;
        metadata.insert(PRE.to_owned(), Value::String("llama3".to_owned()));
        for key in ["tokenizer.ggml.ignore_merges", "tokenizer.ggml.add_bos_token"] {
            metadata.entry(key.to_owned()).or_insert(Value::Bool(true));
        }
    }

    /// The chat template, if there is one.
    pub fn chat(&self) -> Result<Option<Chat>> {
        let template = self.text("tokenizer.chat_template")?;
        template
            .map(|template| {
                Ok(Chat {
                    template: template.to_owned(),
                    bos: self.special("tokenizer.ggml.bos_token_id")?,
                    eos: self.special("tokenizer.ggml.eos_token_id")?,
                })
            })
            .transpose()
    }

    /// The text of the token whose id `key` has.
    fn special(&self, key: &str) -> Result<Option<String>> {
        let Some(id) = self.integer(key)? else { return Ok(None) };
        let Some(Value::Array(tokens)) = self.content.metadata.get(TOKENS) else { return Ok(None) };
        match tokens.get(id as usize) {
            Some(Value::String(text)) => Ok(Some(text.clone())),
            _ => bail!("{key} is {id}, but there are {} tokens", tokens.len()),
        }
    }
}
