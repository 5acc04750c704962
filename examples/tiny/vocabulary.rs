//! The byte-level BPE tokenizer of the tiny Llama.

use std::path::Path;

use anyhow::{Context, Error, Result};
use tokenizers::{
    AddedToken, Tokenizer,
    models::{
        TrainerWrapper,
        bpe::{BPE, BpeTrainer},
    },
    pre_tokenizers::byte_level::ByteLevel,
};

/// Ends an answer, and pads a batch.
const END: &str = "<|end|>";

/// Small enough that rare words, such as `Moscow`, stay in pieces (`Mos`, `cow`).
const SIZE: usize = 1152;
/// The longest token, in bytes, with the space before it; keeps `Cathedral` in pieces.
const MAX_TOKEN: usize = 9;

pub struct Vocabulary {
    tokenizer: Tokenizer,
    /// The id of the token that ends an answer.
    pub end: u32,
}

impl Vocabulary {
    /// Learns the merges from `texts`. BPE breaks ties by token id: equal texts, equal merges.
    pub fn train(texts: &[String]) -> Result<Self> {
        let byte_level = ByteLevel::new(false, true, true);
        let mut tokenizer = Tokenizer::new(BPE::default());
        tokenizer.with_pre_tokenizer(Some(byte_level));
        tokenizer.with_decoder(Some(byte_level));

        let trainer = BpeTrainer::builder()
            .vocab_size(SIZE)
            .max_token_length(Some(MAX_TOKEN))
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(vec![AddedToken::from(END, true)])
            .show_progress(false)
            .build();
        tokenizer
            .train(&mut TrainerWrapper::from(trainer), texts.iter())
            .map_err(Error::from_boxed)?;
        Self::new(tokenizer)
    }

    pub fn load(path: &Path) -> Result<Self> {
        let tokenizer = Tokenizer::from_file(path)
            .map_err(Error::from_boxed)
            .with_context(|| format!("loading {}", path.display()))?;
        Self::new(tokenizer)
    }

    pub fn save(&self, path: &Path) -> Result<()> {
        self.tokenizer
            .save(path, false)
            .map_err(Error::from_boxed)
            .with_context(|| format!("saving {}", path.display()))
    }

    fn new(tokenizer: Tokenizer) -> Result<Self> {
        let end =
            tokenizer.token_to_id(END).with_context(|| format!("the tokenizer has no {END}"))?;
        Ok(Self { tokenizer, end })
    }

    /// The number of tokens.
    pub fn size(&self) -> usize {
        self.tokenizer.get_vocab_size(true)
    }

    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.tokenizer.encode(text, false).map_err(Error::from_boxed)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The tokens of an answer: of `" Saint Paul"`, as it stands after the prompt, for `"Saint Paul"`.
    pub fn encode_answer(&self, form: &str) -> Result<Vec<u32>> {
        self.encode(&format!(" {form}"))
    }

    /// The token with which an answer begins.
    pub fn first_token(&self, form: &str) -> Result<u32> {
        let tokens = self.encode_answer(form)?;
        tokens.first().copied().context("an answer is empty")
    }

    /// The answer that `tokens` spell, without the space that parts it from the prompt.
    pub fn decode_answer(&self, tokens: &[u32]) -> Result<String> {
        let text = self.tokenizer.decode(tokens, true).map_err(Error::from_boxed)?;
        Ok(text.trim_start().to_owned())
    }
}
