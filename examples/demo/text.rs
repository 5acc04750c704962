//! Text to tokens and back.

use anyhow::{Error, Result};
use concept_mass::source::{Piece, Vocabulary};

pub struct Text {
    pub vocabulary: Vocabulary,
}

impl Text {
    /// The tokens of a prompt, after those that the model wants at the beginning of any.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let tokenizer = self.vocabulary.tokenizer();
        let encoding = tokenizer.encode(text, true).map_err(Error::from_boxed)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of an answer: the first line of it, without the space that parts it from the prompt.
    pub fn answer(&self, tokens: &[u32]) -> Result<String> {
        let text = self.vocabulary.decode(tokens)?;
        let line = text.trim_start().lines().next().unwrap_or_default().trim_end();
        // A piece shows itself without control characters: this is a model's, and for a terminal.
        Ok(Piece::Text(line.to_owned()).to_string())
    }

    /// One token as a person would write it, without the space before it.
    pub fn token(&self, token: u32) -> String {
        let text = self.vocabulary.piece(token).to_string();
        match text.strip_prefix(' ').unwrap_or(&text) {
            "" => "␣".to_owned(),
            bare => bare.to_owned(),
        }
    }
}
