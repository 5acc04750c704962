use std::{path::Path, sync::Arc};

use serde::Serialize;
use serde_json::Value;
use tokenizers::{Model, Tokenizer};

use super::piece::{Piece, Script};
use crate::map::check_vocab_size;
use crate::source::SourceError;

/// What no vocabulary has a token for.
const UNASSIGNED: &str = "\u{10FFFD}";

/// After these, a text is encoded as if it stood alone, but for its place: the first one is best.
const NEUTRAL: [&str; 3] = ["\n", ":", "("];

/// A tokenizer, and how each of its tokens is spelt: what the sources of maps look at.
///
/// Any Hugging Face `tokenizer.json`: byte-level BPE (GPT-2, Llama 3, Qwen), BPE and Unigram in
/// the way of SentencePiece (Llama 2, Gemma, T5), WordPiece (BERT). Cheap to clone.
///
/// The vocabulary has the width of the logits. Where a model's output layer is padded beyond its
/// tokenizer, as is usual with Qwen, the ids without a token are [`Piece::Absent`]; every source
/// leaves them alone, as concepts of one.
///
/// ```
/// use concept_mass::source::{Piece, Vocabulary};
///
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny/tokenizer.json");
/// let vocabulary = Vocabulary::load(path, 1160)?; // 1,152 tokens, and padding
/// let tokens = vocabulary.encode(" Saint Basil's")?;
/// assert_eq!(vocabulary.piece(tokens[0]), &Piece::Text(" Saint".to_owned()));
/// assert_eq!(vocabulary.piece(1159), &Piece::Absent);
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Clone)]
pub struct Vocabulary {
    inner: Arc<Inner>,
}

struct Inner {
    tokenizer: Tokenizer,
    /// `[V]`.
    pieces: Vec<Piece>,
    /// What a character becomes that has no token.
    unknown: Option<u32>,
}

impl Vocabulary {
    /// Loads a `tokenizer.json` for a model with logits of `vocab_size` columns.
    ///
    /// # Errors
    ///
    /// [`SourceError::Tokenizer`], [`SourceError::TokenizerTooLarge`], [`MapError::VocabularySize`](crate::map::MapError::VocabularySize).
    pub fn load(path: impl AsRef<Path>, vocab_size: usize) -> Result<Self, SourceError> {
        let path = path.as_ref();
        let unfit = |source| SourceError::Tokenizer { path: Some(path.to_owned()), source };
        Self::of(Tokenizer::from_file(path).map_err(unfit)?, vocab_size, Some(path))
    }

    /// Takes a tokenizer for a model with logits of `vocab_size` columns.
    ///
    /// Its truncation and padding, which are for training, are turned off.
    ///
    /// # Errors
    ///
    /// As for [`load`](Self::load).
    ///
    /// ```
    /// use concept_mass::source::{Vocabulary, tokenizers::{Tokenizer, models::wordlevel::WordLevel}};
    ///
    /// let words = [("yes".to_owned(), 0), ("no".to_owned(), 1)].into_iter().collect();
    /// let model = WordLevel::builder().vocab(words).build().unwrap();
    /// let vocabulary = Vocabulary::new(Tokenizer::new(model), 2)?;
    /// assert_eq!(vocabulary.encode("no")?, [1]);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn new(tokenizer: Tokenizer, vocab_size: usize) -> Result<Self, SourceError> {
        Self::of(tokenizer, vocab_size, None)
    }

    fn of(
        mut tokenizer: Tokenizer,
        vocab_size: usize,
        path: Option<&Path>,
    ) -> Result<Self, SourceError> {
        let path = || path.map(Path::to_owned);
        let vocab_size = check_vocab_size(vocab_size)?;
        tokenizer
            .with_padding(None)
            .with_truncation(None)
            .map_err(|source| SourceError::Tokenizer { path: path(), source })?;
        let script = script(&tokenizer);
        let mut pieces = vec![Piece::Absent; vocab_size];
        let tokens = tokenizer.get_vocab(true);
        let known = tokens.len();
        for (token, id) in tokens {
            let Some(piece) = pieces.get_mut(id as usize) else {
                return Err(SourceError::TokenizerTooLarge { path: path(), known, id, vocab_size });
            };
            *piece = script.read(token);
        }
        for (id, added) in tokenizer.get_added_tokens_decoder() {
            let piece = if added.special { Piece::Special } else { Piece::Text };
            pieces[id as usize] = piece(added.content);
        }
        let unknown =
            unknown(&tokenizer).filter(|&id| !matches!(piece(&pieces, id), Piece::Bytes(_)));
        if let Some(id) = unknown {
            pieces[id as usize] = Piece::Special(tokenizer.id_to_token(id).unwrap_or_default());
        }
        Ok(Self { inner: Arc::new(Inner { tokenizer, pieces, unknown }) })
    }

    /// `V`: the width of the logits, padding included.
    pub fn vocab_size(&self) -> usize {
        self.inner.pieces.len()
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.inner.tokenizer
    }

    /// How `token` is spelt; [`Piece::Absent`] for any id that has none.
    pub fn piece(&self, token: u32) -> &Piece {
        piece(&self.inner.pieces, token)
    }

    /// The pieces of all tokens, `[V]`.
    pub fn pieces(&self) -> &[Piece] {
        &self.inner.pieces
    }

    /// The token that stands for characters which the vocabulary lacks, if it has one.
    pub fn unknown(&self) -> Option<u32> {
        self.inner.unknown
    }

    /// The tokens of `text`, and none about it: no `<s>` is added.
    ///
    /// # Errors
    ///
    /// [`SourceError::Encode`] if the tokenizer fails, as some do over characters that they lack.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, SourceError> {
        match self.inner.tokenizer.encode_fast(text, false) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(source) => Err(SourceError::Encode { text: text.to_owned(), source }),
        }
    }

    /// The text of `tokens`, without that of special ones.
    ///
    /// # Errors
    ///
    /// [`SourceError::Decode`] if the tokenizer fails.
    ///
    /// ```
    /// # use concept_mass::source::Vocabulary;
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny/tokenizer.json");
    /// # let vocabulary = Vocabulary::load(path, 1152)?;
    /// assert_eq!(vocabulary.decode(&vocabulary.encode(" Saint Paul<|end|>")?)?, " Saint Paul");
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn decode(&self, tokens: &[u32]) -> Result<String, SourceError> {
        self.inner.tokenizer.decode(tokens, true).map_err(|source| SourceError::Decode { source })
    }

    /// The tokens of `text` after some other text that does not run into it; `None` if there is no
    /// such place.
    pub(super) fn encode_apart(&self, text: &str) -> Result<Option<Vec<u32>>, SourceError> {
        let mut second_best = None;
        for before in NEUTRAL {
            let whole = self.encode(&format!("{before}{text}"))?;
            let Some(rest) = whole.strip_prefix(&self.encode(before)?[..]) else { continue };
            let Some(&first) = rest.first() else { continue };
            if self.piece(first).begins_with_space() == text.starts_with(' ') {
                return Ok(Some(rest.to_vec()));
            }
            // WordPiece, which has all words begin with a space.
            second_best.get_or_insert_with(|| rest.to_vec());
        }
        Ok(second_best)
    }
}

/// The size alone: there are as many pieces as tokens.
impl std::fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vocabulary").field("vocab_size", &self.vocab_size()).finish_non_exhaustive()
    }
}

fn piece(pieces: &[Piece], token: u32) -> &Piece {
    pieces.get(token as usize).unwrap_or(&Piece::Absent)
}

/// By the decoder, which is there to know; or else by how text is cut.
fn script(tokenizer: &Tokenizer) -> Script {
    let script = |part: Option<Value>| Script::of(&part?);
    let decoder = || script(json(tokenizer.get_decoder()));
    let pre_tokenizer = || script(json(tokenizer.get_pre_tokenizer()));
    decoder().or_else(pre_tokenizer).unwrap_or(Script::Plain)
}

fn json(part: Option<&impl Serialize>) -> Option<Value> {
    serde_json::to_value(part?).ok()
}

/// What becomes of a character that no vocabulary has: models differ in where they keep this.
fn unknown(tokenizer: &Tokenizer) -> Option<u32> {
    let tokens = tokenizer.get_model().tokenize(UNASSIGNED).ok()?;
    tokens.first().map(|token| token.id)
}
