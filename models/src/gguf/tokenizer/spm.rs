//! SentencePiece with scores, which llama.cpp calls `llama`: the vocabularies of Llama 2, Mistral
//! 7B, Phi-3 and Gemma.
//!
//! A score says how early two neighbours are merged into a token, whichever two they are. So the
//! merges of a BPE follow from the scores, as transformers' converter derives them.

use anyhow::{Result, ensure};
use tokenizers::{
    DecoderWrapper, NormalizerWrapper, Tokenizer,
    decoders::{byte_fallback::ByteFallback, fuse::Fuse, sequence, strip::Strip},
    models::bpe::BPE,
    normalizers::{Prepend, Replace, Sequence},
};

use super::vocabulary::{Kind, Vocabulary};

/// What stands for a space within tokens.
const SPACE: &str = "\u{2581}";

/// The tokenizer, without its added tokens.
pub fn tokenizer(vocabulary: &Vocabulary) -> Result<Tokenizer> {
    ensure!(!vocabulary.scores.is_empty(), "its metadata have no tokenizer.ggml.scores");
    let mut model = BPE::builder()
        .vocab_and_merges(vocabulary.ids.clone(), merges(vocabulary))
        .byte_fallback(true)
        .fuse_unk(true);
    if let Some(unknown) = vocabulary.unknown {
        model = model.unk_token(vocabulary.tokens[unknown as usize].text.clone());
    }
    let model = model.build().map_err(anyhow::Error::from_boxed)?;
    let mut tokenizer = Tokenizer::new(model);

    // Every text that follows nothing, or an added token, gets a space before it.
    let prefix = vocabulary.flag("tokenizer.ggml.add_space_prefix", true)?;
    let replace = |from: &str, to: &str| Replace::new(from, to).map_err(anyhow::Error::from_boxed);
    let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
    if prefix {
        normalizers.push(Prepend::new(SPACE.to_owned()).into());
    }
    normalizers.push(replace(" ", SPACE)?.into());
    tokenizer
        .with_normalizer(Some(Sequence::new(normalizers)))
        .map_err(anyhow::Error::from_boxed)?;

    let mut decoders: Vec<DecoderWrapper> =
        vec![replace(SPACE, " ")?.into(), ByteFallback::new().into(), Fuse::new().into()];
    if prefix {
        decoders.push(Strip::new(' ', 1, 0).into());
    }
    tokenizer.with_decoder(Some(sequence::Sequence::new(decoders)));
    Ok(tokenizer)
}

/// All pairs of ordinary tokens that make a third, the best score first.
fn merges(vocabulary: &Vocabulary) -> Vec<(String, String)> {
    struct Merge<'a> {
        score: f32,
        left: &'a str,
        right: &'a str,
    }
    let normal = |text: &str| {
        let id = *vocabulary.ids.get(text)?;
        (vocabulary.tokens[id as usize].kind == Kind::Normal).then_some(id)
    };
    let mut merges = Vec::new();
    for (token, &score) in vocabulary.tokens.iter().zip(&vocabulary.scores) {
        if token.kind != Kind::Normal {
            continue;
        }
        let cuts = token.text.char_indices().skip(1);
        let pairs = cuts.filter_map(|(at, _)| {
            let (left, right) = token.text.split_at(at);
            Some(((normal(left)?, normal(right)?), Merge { score, left, right }))
        });
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_by_key(|&(ids, _)| ids);
        merges.extend(pairs.into_iter().map(|(_, merge)| merge));
    }
    // Of equal scores the longer left part, as transformers orders them; then by id.
    let lengths = |merge: &Merge| (merge.left.chars().count(), merge.right.chars().count());
    merges.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| lengths(b).cmp(&lengths(a))));
    merges.iter().map(|merge| (merge.left.to_owned(), merge.right.to_owned())).collect()
}
