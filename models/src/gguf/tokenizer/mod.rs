//! The tokenizer of a GGUF file, and what its metadata say of chats.
//!
//! | module | what it does |
//! | --- | --- |
//! | `vocabulary` | what the metadata say, checked |
//! | `bpe` | byte-level BPE from tokens and merges |
//! | `pre` | how that cuts text, by the names of llama.cpp |
//! | `spm` | SentencePiece from tokens and scores |

mod bpe;
mod pre;
mod spm;
mod vocabulary;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use candle_core::quantized::gguf_file::Value;
use serde_json::json;
use tokenizers::{
    AddedToken, PostProcessorWrapper, Tokenizer,
    pre_tokenizers::byte_level::ByteLevel,
    processors::{sequence::Sequence, template::TemplateProcessing},
};

use super::Gguf;
use crate::Chat;
use pre::Pre;
use vocabulary::{Kind, MODEL, PRE, TOKENS, Vocabulary, missing, text};

/// What to do where the metadata do not make a tokenizer.
const REMEDY: &str = "put the model's tokenizer.json beside the file, or pass it as --tokenizer";

/// The `tokenizer.json` to be used for the model in `gguf`, if there is one: it knows all that
/// there is to know, of which the metadata have a part.
pub fn file(gguf: &Path, given: Option<&Path>) -> Option<PathBuf> {
    let beside = gguf.with_file_name("tokenizer.json");
    given.map(Path::to_owned).or_else(|| beside.exists().then_some(beside))
}

/// The tokenizer that the metadata of a GGUF file describe, for logits of `vocab_size` columns.
fn from_metadata(metadata: &HashMap<String, Value>, vocab_size: usize) -> Result<Tokenizer> {
    let model = text(metadata, MODEL)?.with_context(|| missing(MODEL))?;
    let (mut tokenizer, vocabulary, bos) = match model {
        "gpt2" => {
            let pre = text(metadata, PRE)?
                .with_context(|| format!("it does not say how its tokenizer cuts text ({PRE})"))?;
            let pre = Pre::named(pre)?;
            let vocabulary = Vocabulary::read(metadata, vocab_size)?;
            (bpe::tokenizer(&vocabulary, pre)?, vocabulary, pre.bos)
        }
        "llama" => {
            let mut vocabulary = Vocabulary::read(metadata, vocab_size)?;
            vocabulary.assume_llamas_ends();
            (spm::tokenizer(&vocabulary)?, vocabulary, true)
        }
        other => bail!(
            "its tokenizer ({MODEL}) is {other:?}, but of the metadata's only \"gpt2\" and \
             \"llama\" can be read"
        ),
    };
    add_tokens(&mut tokenizer, &vocabulary)?;
    tokenizer.with_post_processor(Some(ends(&vocabulary, bos)?));
    Ok(tokenizer)
}

/// Makes known which tokens stand for themselves in a text.
fn add_tokens(tokenizer: &mut Tokenizer, vocabulary: &Vocabulary) -> Result<()> {
    let strips = vocabulary.strips_what_follows()?;
    let added = vocabulary.tokens.iter().filter_map(|token| {
        let special = match token.kind {
            Kind::Control => true,
            Kind::UserDefined => false,
            _ => return None,
        };
        let added = AddedToken::from(token.text.as_str(), special).normalized(false);
        Some(added.rstrip(strips && !["<unk>", "<s>", "<|endoftext|>"].contains(&&*token.text)))
    });
    tokenizer.add_tokens(added).map_err(anyhow::Error::from_boxed)?;
    Ok(())
}

/// Puts the tokens that begin and end a sequence there.
fn ends(vocabulary: &Vocabulary, bos: bool) -> Result<PostProcessorWrapper> {
    let offsets = ByteLevel::new(true, false, true);
    let [begin, end] = [("bos", bos, vocabulary.bos), ("eos", false, vocabulary.eos)].map(
        |(name, otherwise, id)| -> Result<Option<(u32, &str)>> {
            if !vocabulary.flag(&format!("tokenizer.ggml.add_{name}_token"), otherwise)? {
                return Ok(None);
            }
            let id = id.with_context(|| {
                format!(
                    "every text gets a token of its own (add_{name}_token), but its metadata have \
                     no tokenizer.ggml.{name}_token_id"
                )
            })?;
            Ok(Some((id, vocabulary.tokens[id as usize].text.as_str())))
        },
    );
    let (begin, end) = (begin?, end?);
    let token = |text: &str, kind: u32| json!({ "SpecialToken": { "id": text, "type_id": kind } });
    let sequence = |id: &str, kind: u32| {
        let text = json!({ "Sequence": { "id": id, "type_id": kind } });
        let begin = begin.map(|(_, begin)| token(begin, kind));
        let end = end.map(|(_, end)| token(end, kind));
        begin.into_iter().chain([text]).chain(end).collect::<Vec<_>>()
    };
    let tokens = begin.into_iter().chain(end);
    let tokens = tokens
        .map(|(id, text)| (text.to_owned(), json!({ "id": text, "ids": [id], "tokens": [text] })));
    let pair = [sequence("A", 0), sequence("B", 1)].concat();
    let template: TemplateProcessing = serde_json::from_value(json!({
        "single": sequence("A", 0),
        "pair": pair,
        "special_tokens": tokens.collect::<serde_json::Map<_, _>>(),
    }))?;
    Ok(Sequence::new(vec![offsets.into(), template.into()]).into())
}

impl Gguf {
    /// The tokenizer that is in the metadata, for logits of `vocab_size` columns.
    pub fn tokenizer(&self, vocab_size: usize) -> Result<Tokenizer> {
        from_metadata(&self.content.metadata, vocab_size)
            .with_context(|| format!("its metadata make no tokenizer; {REMEDY}"))
    }

    /// Fails if `tokenizer` is another model's: if too few tokens are those that the metadata list.
    /// (A few may be: what is reserved in one is named in the other.)
    pub fn check_is_own(&self, tokenizer: &Tokenizer) -> Result<()> {
        let Some(Value::Array(listed)) = self.content.metadata.get(TOKENS) else { return Ok(()) };
        let pairs = listed.iter().zip(0..).filter_map(|(token, id)| match token {
            Value::String(token) => Some((token, tokenizer.id_to_token(id)?)),
            _ => None,
        });
        let (mut both, mut same) = (0, 0);
        for (listed, known) in pairs {
            both += 1;
            same += usize::from(*listed == known);
        }
        ensure!(
            same >= both - both / 10,
            "it is another model's: of {both} tokens, {same} are those of the GGUF file's own \
             tokenizer; take it away or give no --tokenizer, and the file's own is used"
        );
        Ok(())
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
        let Some(id) = self.id(key)? else { return Ok(None) };
        let Some(Value::Array(tokens)) = self.content.metadata.get(TOKENS) else { return Ok(None) };
        match tokens.get(id as usize) {
            Some(Value::String(text)) => Ok(Some(text.clone())),
            _ => Ok(None), // as for llama.cpp
        }
    }
}
