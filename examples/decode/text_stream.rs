//! Tokens to text, as they come.

use anyhow::{Error, Result};
use tokenizers::{
    DecodeStream, DecoderWrapper, ModelWrapper, NormalizerWrapper, PostProcessorWrapper,
    PreTokenizerWrapper, Tokenizer,
};

/// The text of tokens that come one by one.
///
/// Tokens are no texts of their own: a character may need several, and many tokenizers drop the
/// space before the first. So the stream begins with the tokens of the prompt, and holds back what
/// is not yet a character.
pub struct TextStream<'a>(
    DecodeStream<
        'a,
        ModelWrapper,
        NormalizerWrapper,
        PreTokenizerWrapper,
        PostProcessorWrapper,
        DecoderWrapper,
    >,
);

impl<'a> TextStream<'a> {
    /// The text of what follows `prompt`.
    pub fn after(tokenizer: &'a Tokenizer, prompt: &[u32]) -> Result<Self> {
        let mut stream = Self(tokenizer.decode_stream(true));
        for &token in prompt {
            stream.push(token)?;
        }
        Ok(stream)
    }

    /// The text that is complete with this token, fit for a terminal.
    pub fn push(&mut self, token: u32) -> Result<String> {
        let text = self.0.step(token).map_err(Error::from_boxed)?.unwrap_or_default();
        Ok(text.replace(|c: char| c.is_control() && c != '\n', ""))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stream(tokenizer: &Tokenizer, prompt: &[u32], tokens: &[u32]) -> Vec<String> {
        let mut stream = TextStream::after(tokenizer, prompt).unwrap();
        tokens.iter().map(|&token| stream.push(token).unwrap()).collect()
    }

    #[test]
    fn characters_of_several_tokens_come_whole() {
        let tokenizer: Tokenizer = concept_mass_tiny::TOKENIZER.parse().unwrap();
        let tokens = tokenizer.encode("A: 5 € für 你好 😀,\nnaïve", false).unwrap();
        let pieces = stream(&tokenizer, &[], tokens.get_ids());
        assert!(pieces.iter().filter(|piece| piece.is_empty()).count() > 5, "{pieces:?}");
        assert_eq!(pieces.concat(), "A: 5 € für 你好 😀,\nnaïve");
    }

    #[test]
    fn the_first_word_keeps_its_space() {
        // As in Llama 2: a text's first space is dropped.
        let tokenizer = json!({
            "version": "1.0",
            "added_tokens": [],
            "decoder": { "type": "Sequence", "decoders": [
                { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
                { "type": "Fuse" },
                { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
            ] },
            "model": { "type": "WordLevel", "vocab": { "▁It": 0, "▁is": 1, "▁so": 2 }, "unk_token": "▁It" },
        });
        let tokenizer: Tokenizer = tokenizer.to_string().parse().unwrap();
        assert_eq!(stream(&tokenizer, &[0], &[1, 2]), [" is", " so"]);
        assert_eq!(stream(&tokenizer, &[], &[0, 1]), ["It", " is"]);
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        let tokenizer: Tokenizer = concept_mass_tiny::TOKENIZER.parse().unwrap();
        let tokens = tokenizer.encode("a\u{1b}[31m\nb", false).unwrap();
        assert_eq!(stream(&tokenizer, &[], tokens.get_ids()).concat(), "a[31m\nb");
    }
}
