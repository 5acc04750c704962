use std::{path::Path, sync::Arc};

use serde::Serialize;
use serde_json::Value;
use tokenizers::{Model, Tokenizer};

use super::SourceError;
use super::piece::{Piece, Script};
use crate::ConceptMap;
use crate::map::{check_tokens, check_vocab_size};

/// A character that no vocabulary has a token for.
const UNASSIGNED: &str = "\u{10FFFD}";

/// After one of these, a text is encoded as if it stood alone; the first is tried first.
const NEUTRAL: [&str; 3] = ["\n", ":", "("];

/// A tokenizer, and the text of each of its tokens.
///
/// Any `tokenizer.json` of Hugging Face will do: byte-level BPE (GPT-2, Llama 3, Qwen), BPE and
/// Unigram as in SentencePiece (Llama 2, Gemma, T5), WordPiece (BERT). Cheap to clone.
///
/// The vocabulary has the width of the logits. If a model's output layer is padded beyond its
/// tokenizer, as is usual with Qwen, the ids without a token are [`Piece::Absent`], and every
/// source leaves them alone, as concepts of one.
///
/// ```
/// use concept_mass::source::{Piece, Vocabulary};
///
/// # let path = concept_mass_tiny::folder().join("tokenizer.json");
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
    /// The token of a character that the vocabulary lacks.
    unknown: Option<u32>,
}

impl Vocabulary {
    /// Loads a `tokenizer.json` for a model whose logits have `vocab_size` columns.
    ///
    /// # Errors
    ///
    /// [`MapError::VocabularySize`](crate::map::MapError::VocabularySize) if `vocab_size` is out of
    /// range; [`SourceError::Tokenizer`] if the file is not a tokenizer;
    /// [`SourceError::TokenizerTooLarge`] if it has a token with an id of `vocab_size` or more.
    pub fn load(path: impl AsRef<Path>, vocab_size: usize) -> Result<Self, SourceError> {
        let path = path.as_ref();
        let unfit = |source| SourceError::Tokenizer { path: Some(path.to_owned()), source };
        check_vocab_size(vocab_size)?;
        Self::of(Tokenizer::from_file(path).map_err(unfit)?, vocab_size, Some(path))
    }

    /// Makes a vocabulary of a tokenizer, for a model whose logits have `vocab_size` columns.
    ///
    /// Truncation and padding, which are for training, are turned off in it.
    ///
    /// # Errors
    ///
    /// The errors of [`load`](Self::load).
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
        // In order, because a hash map has none, and a malformed tokenizer may use an id twice.
        let mut tokens: Vec<(u32, String)> =
            tokenizer.get_vocab(true).into_iter().map(|(token, id)| (id, token)).collect();
        tokens.sort_unstable();
        let added = tokenizer.get_added_tokens_decoder();
        let last = tokens.last().map(|&(id, _)| id).into_iter().chain(added.keys().copied()).max();
        if let Some(id) = last.filter(|&id| id as usize >= vocab_size) {
            let known = tokens.len();
            return Err(SourceError::TokenizerTooLarge { path: path(), known, id, vocab_size });
        }
        // All ids are below the number of pieces from here on.
        let mut pieces = vec![Piece::Absent; vocab_size];
        for (id, token) in tokens {
            pieces[id as usize] = script.read(token);
        }
        for (id, added) in added {
            let piece = if added.special { Piece::Special } else { Piece::Text };
            pieces[id as usize] = piece(added.content);
        }
        let unknown =
            unknown(&tokenizer).filter(|&id| !matches!(piece(&pieces, id), Piece::Bytes(_)));
        if let Some((id, piece)) = unknown.and_then(|id| Some((id, pieces.get_mut(id as usize)?))) {
            *piece = Piece::Special(tokenizer.id_to_token(id).unwrap_or_default());
        }
        Ok(Self { inner: Arc::new(Inner { tokenizer, pieces, unknown }) })
    }

    /// `V`: the width of the logits, padding included.
    pub fn vocab_size(&self) -> usize {
        self.inner.pieces.len()
    }

    /// Checks that every token of `map` is in this vocabulary.
    ///
    /// # Errors
    ///
    /// [`SourceError::VocabularyTokens`] with both sizes if the map is larger.
    ///
    /// ```
    /// # use concept_mass::{ConceptMap, source::Vocabulary};
    /// # let path = concept_mass_tiny::folder().join("tokenizer.json");
    /// let vocabulary = Vocabulary::load(path, 1152)?;
    /// assert!(vocabulary.check_covers(&ConceptMap::singletons(1152)?).is_ok());
    /// assert!(vocabulary.check_covers(&ConceptMap::singletons(1153)?).is_err());
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn check_covers(&self, map: &ConceptMap) -> Result<(), SourceError> {
        let (tokens, vocab_size) = (self.vocab_size(), map.vocab_size());
        if tokens < vocab_size {
            Err(SourceError::VocabularyTokens { tokens, vocab_size })
        } else {
            Ok(())
        }
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.inner.tokenizer
    }

    /// The text of `token`; [`Piece::Absent`] for an id that is not a token.
    pub fn piece(&self, token: u32) -> &Piece {
        piece(&self.inner.pieces, token)
    }

    /// The text of every token, `[V]`.
    pub fn pieces(&self) -> &[Piece] {
        &self.inner.pieces
    }

    /// The token that stands for characters that the vocabulary lacks, if there is one.
    pub fn unknown(&self) -> Option<u32> {
        self.inner.unknown
    }

    /// Encodes `text`. No special tokens, such as `<s>`, are added.
    ///
    /// # Errors
    ///
    /// [`SourceError::Encode`] if the tokenizer fails, as some do for characters that they lack.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, SourceError> {
        match self.inner.tokenizer.encode_fast(text, false) {
            Ok(encoding) => Ok(encoding.get_ids().to_vec()),
            Err(source) => Err(SourceError::Encode { text: text.to_owned(), source }),
        }
    }

    /// Decodes `tokens`. Special tokens and padding ids are left out.
    ///
    /// # Errors
    ///
    /// [`MapError::TokenOutOfRange`](crate::map::MapError::TokenOutOfRange) if a token is not below
    /// [`vocab_size`](Self::vocab_size); [`SourceError::Decode`] if the tokenizer fails.
    ///
    /// ```
    /// # use concept_mass::source::Vocabulary;
    /// # let path = concept_mass_tiny::folder().join("tokenizer.json");
    /// # let vocabulary = Vocabulary::load(path, 1152)?;
    /// assert_eq!(vocabulary.decode(&vocabulary.encode(" Saint Paul<|end|>")?)?, " Saint Paul");
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn decode(&self, tokens: &[u32]) -> Result<String, SourceError> {
        check_tokens(tokens, self.vocab_size(), || "the text to decode".to_owned())?;
        let failed = |source| SourceError::Decode { tokens: tokens.to_vec(), source };
        self.inner.tokenizer.decode(tokens, true).map_err(failed)
    }

    /// Encodes `text` after some other text that does not run into it; `None` if no such text is
    /// found.
    pub(super) fn encode_apart(&self, text: &str) -> Result<Option<Vec<u32>>, SourceError> {
        let mut second_best = None;
        for before in NEUTRAL {
            let whole = self.encode(&format!("{before}{text}"))?;
            let Some(rest) = whole.strip_prefix(&self.encode(before)?[..]) else { continue };
            let Some(&first) = rest.first() else { continue };
            if self.piece(first).begins_with_space() == text.starts_with(' ') {
                return Ok(Some(rest.to_vec()));
            }
            // WordPiece, in which all words begin with a space.
            second_best.get_or_insert_with(|| rest.to_vec());
        }
        Ok(second_best)
    }
}

/// The size alone: a vocabulary has too many pieces to print.
impl std::fmt::Debug for Vocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vocabulary").field("vocab_size", &self.vocab_size()).finish_non_exhaustive()
    }
}

fn piece(pieces: &[Piece], token: u32) -> &Piece {
    pieces.get(token as usize).unwrap_or(&Piece::Absent)
}

/// Read off the decoder, whose purpose it is, or else off how text is cut.
fn script(tokenizer: &Tokenizer) -> Script {
    let script = |part: Option<Value>| Script::of(&part?);
    let decoder = || script(json(tokenizer.get_decoder()));
    let pre_tokenizer = || script(json(tokenizer.get_pre_tokenizer()));
    decoder().or_else(pre_tokenizer).unwrap_or(Script::Plain)
}

fn json(part: Option<&impl Serialize>) -> Option<Value> {
    serde_json::to_value(part?).ok()
}

/// The token of a character that no vocabulary has: models differ in where they keep this.
fn unknown(tokenizer: &Tokenizer) -> Option<u32> {
    let tokens = tokenizer.get_model().tokenize(UNASSIGNED).ok()?;
    tokens.first().map(|token| token.id)
}
