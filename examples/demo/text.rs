//! Text to tokens and back.

use std::path::Path;

use anyhow::{Context, Error, Result, bail, ensure};
use tokenizers::Tokenizer;

pub struct Text {
    tokenizer: Tokenizer,
}

impl Text {
    /// Loads a `tokenizer.json` for a model with `vocab_size` logits.
    pub fn load(path: &Path, vocab_size: usize) -> Result<Self> {
        let load = || {
            let mut tokenizer = Tokenizer::from_file(path)?;
            // What a tokenizer was trained with is not what it is to be used with.
            tokenizer.with_padding(None).with_truncation(None)?;
            Ok(tokenizer)
        };
        let tokenizer = load().map_err(Error::from_boxed).with_context(|| {
            format!("cannot use {}, which must be a Hugging Face tokenizer", path.display())
        })?;
        let known = tokenizer.get_vocab_size(false);
        ensure!(
            known <= vocab_size,
            "cannot use {}: it knows {known} tokens, and the config.json beside it {vocab_size}; \
             take both files from one model",
            path.display()
        );
        Ok(Self { tokenizer })
    }

    /// The tokens of a text, after those that the model wants at the beginning of any.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode(text, true).map_err(Error::from_boxed)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The token with which an answer spelt `form` begins, after `prompt`.
    ///
    /// The two are joined by a space, unless the prompt ends in white space, and encoded together,
    /// as how a word is cut into tokens may depend on what is before it.
    pub fn first_token(&self, prompt: &str, form: &str) -> Result<u32> {
        ensure!(!form.trim().is_empty(), "it is empty; a form is a word or more");
        let space = if prompt.ends_with(char::is_whitespace) { "" } else { " " };
        let before = self.encode(prompt)?;
        let whole = self.encode(&format!("{prompt}{space}{form}"))?;
        match whole.strip_prefix(&before[..]) {
            Some(&[first, ..]) => Ok(first),
            _ => bail!(
                "its beginning and the end of the prompt become one token, so that it cannot \
                 follow the prompt; end the prompt elsewhere, as a rule not with a space"
            ),
        }
    }

    /// The text of an answer: the first line of it, without the space that parts it from the prompt.
    pub fn answer(&self, tokens: &[u32]) -> Result<String> {
        let text = self.tokenizer.decode(tokens, true).map_err(Error::from_boxed)?;
        Ok(visible(text.trim_start().lines().next().unwrap_or_default().trim_end()))
    }

    /// One token as a person would write it, without the space before it.
    pub fn token(&self, token: u32) -> Result<String> {
        let text = self.tokenizer.decode(&[token], false).map_err(Error::from_boxed)?;
        Ok(match text.strip_prefix(' ').unwrap_or(&text) {
            "" => "␣".to_owned(),
            bare => visible(bare),
        })
    }
}

/// The text with control characters escaped: it is a model's, and goes to a terminal.
fn visible(text: &str) -> String {
    let mut visible = String::new();
    for c in text.chars() {
        if c.is_control() {
            visible.extend(c.escape_default());
        } else {
            visible.push(c);
        }
    }
    visible
}
