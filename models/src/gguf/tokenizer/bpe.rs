//! Byte-level BPE, which llama.cpp calls `gpt2`: the vocabularies of GPT-2, Llama 3 and Qwen.

use anyhow::{Context, Result, ensure};
use tokenizers::{
    DecoderWrapper, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer,
    decoders::sequence::Sequence,
    models::bpe::BPE,
    normalizers::{NFC, Replace},
    pre_tokenizers::byte_level::ByteLevel,
};

use super::{
    pre::Pre,
    vocabulary::{Kind, Vocabulary},
};

/// The tokenizer that cuts text as `pre` says, without its added tokens.
pub fn tokenizer(vocabulary: &Vocabulary, pre: &Pre) -> Result<Tokenizer> {
    let whole_words = vocabulary.flag("tokenizer.ggml.ignore_merges", pre.whole_words)?;
    let model = BPE::builder()
        .vocab_and_merges(vocabulary.ids.clone(), merges(vocabulary)?)
        .ignore_merges(whole_words)
        .build()
        .map_err(anyhow::Error::from_boxed)?;
    let mut tokenizer = Tokenizer::new(model);
    if pre.nfc {
        tokenizer.with_normalizer(Some(NFC)).map_err(anyhow::Error::from_boxed)?;
    }
    tokenizer.with_pre_tokenizer(Some(pre.pre_tokenizer()?));
    tokenizer.with_decoder(Some(decoder(vocabulary)?));
    Ok(tokenizer)
}

/// What turns tokens into text.
///
/// DeepSeek has characters for tokens that in the byte-level alphabet are bytes which no UTF-8 has:
/// `ü` is 0xFC. They are spelled in bytes before they would be taken for one.
fn decoder(vocabulary: &Vocabulary) -> Result<DecoderWrapper> {
    let alphabet = ByteLevel::new(true, true, true);
    let mut decoders: Vec<DecoderWrapper> = Vec::new();
    for token in vocabulary.tokens.iter().filter(|token| token.kind == Kind::UserDefined) {
        let mut chars = token.text.chars();
        let (Some('\u{c0}' | '\u{c1}' | '\u{f5}'..='\u{ff}'), None) = (chars.next(), chars.next())
        else {
            continue;
        };
        let mut spelled = PreTokenizedString::from(token.text.as_str());
        let spell = ByteLevel::new(false, true, false);
        spell.pre_tokenize(&mut spelled).map_err(anyhow::Error::from_boxed)?;
        let pieces = spelled.get_splits(OffsetReferential::Original, OffsetType::Byte);
        let spelled: String = pieces.into_iter().map(|(piece, _, _)| piece).collect();
        let replace = Replace::new(token.text.as_str(), spelled);
        decoders.push(replace.map_err(anyhow::Error::from_boxed)?.into());
    }
    if decoders.is_empty() {
        return Ok(alphabet.into());
    }
    decoders.push(alphabet.into());
    Ok(Sequence::new(decoders).into())
}

/// The pairs, each of two tokens that make a third: the builder takes that on trust.
fn merges(vocabulary: &Vocabulary) -> Result<Vec<(String, String)>> {
    ensure!(!vocabulary.merges.is_empty(), "its metadata have no tokenizer.ggml.merges");
    let pairs = vocabulary.merges.iter().enumerate().map(|(i, merge)| {
        // A token is never empty, but may begin with a space.
        let space = merge.char_indices().skip(1).find(|&(_, char)| char == ' ');
        let pair = space.map(|(at, _)| (&merge[..at], &merge[at + 1..]));
        let (left, right) =
            pair.with_context(|| format!("merge {i} is {merge:?}, not two tokens"))?;
        for text in [left, right, &[left, right].concat()] {
            ensure!(
                vocabulary.ids.contains_key(text),
                "merge {i} is {merge:?}, but {text:?} is no token"
            );
        }
        Ok((left.to_owned(), right.to_owned()))
    });
    pairs.collect()
}
