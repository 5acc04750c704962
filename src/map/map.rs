use std::{collections::HashMap, sync::Arc};

use super::{ConceptMapBuilder, MapError};

/// The largest vocabulary that can be mapped, in tokens.
pub const MAX_VOCAB_SIZE: usize = 1 << 22;

/// A partition of a vocabulary into concepts.
///
/// Every token `0..V` belongs to exactly one concept `0..C`. A concept of two or more tokens is
/// *pooled*; the others are singletons, most of them tokens that nobody named.
///
/// A map is immutable, takes 12 bytes per token, and is cheap to clone (one reference count). To
/// reduce logits with it, put it on their device with [`to_device`](Self::to_device).
///
/// ```
/// use concept_mass::ConceptMap;
///
/// let map = ConceptMap::builder(100)
///     .concept("Saint Basil's Cathedral", [24, 13, 12])?
///     .concept("Moscow", [31])?
///     .build()?;
///
/// assert_eq!(map.concept_of(13), Some(0));
/// assert_eq!(map.tokens(0), Some(&[12, 13, 24][..]));
/// assert_eq!(map.name(1), Some("Moscow"));
/// assert_eq!(map.find("Moscow"), Some(1));
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Clone)]
pub struct ConceptMap {
    inner: Arc<Inner>,
}

#[derive(PartialEq)]
struct Inner {
    /// Token to concept.
    concept_of: Vec<u32>,
    /// Concept `c` holds `tokens[offsets[c]..offsets[c + 1]]`, in ascending order (CSR).
    offsets: Vec<u32>,
    tokens: Vec<u32>,
    /// Concept to name; `None`, or beyond the end, for a concept without one.
    names: Vec<Option<String>>,
    by_name: HashMap<String, u32>,
    stats: MapStats,
}

/// How many concepts and tokens a [`ConceptMap`] has; returned by [`ConceptMap::stats`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MapStats {
    /// `V`: the number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// `C`: the number of concepts, singletons included.
    pub concepts: usize,
    /// `G`: the number of concepts of two or more tokens.
    pub pooled_concepts: usize,
    /// `M`: the number of tokens in pooled concepts.
    pub pooled_tokens: usize,
    /// The number of tokens in the largest concept.
    pub largest_concept: usize,
}

impl ConceptMap {
    /// Starts a map for a vocabulary of `vocab_size` tokens.
    ///
    /// `vocab_size` must be the width of the logits: if the model's output layer is padded beyond
    /// the tokenizer's vocabulary, the padded width. A size that is out of range is refused by the
    /// builder's methods.
    pub fn builder(vocab_size: usize) -> ConceptMapBuilder {
        ConceptMapBuilder::new(vocab_size)
    }

    /// Returns the map that pools nothing: every token is a concept of one, whose id is the
    /// token's.
    ///
    /// Under this map, the winning concept is the plain argmax.
    ///
    /// # Errors
    ///
    /// [`MapError::VocabularySize`] if `vocab_size` is not from 1 to [`MAX_VOCAB_SIZE`].
    ///
    /// ```
    /// let map = concept_mass::ConceptMap::singletons(32_000)?;
    /// assert_eq!(map.stats().pooled_concepts, 0);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn singletons(vocab_size: usize) -> Result<Self, MapError> {
        Self::builder(vocab_size).build()
    }

    /// Makes a map from the concept id of every token, `[V]`, in `O(V)`.
    ///
    /// The ids must be `0..C` without gaps.
    ///
    /// # Errors
    ///
    /// [`MapError::VocabularySize`] for a list of no ids, or of too many;
    /// [`MapError::ConceptOutOfRange`] for an id of `V` or more; [`MapError::EmptyConcept`] for a
    /// gap.
    ///
    /// ```
    /// let map = concept_mass::ConceptMap::from_concept_ids(vec![0, 1, 0, 2])?;
    /// assert_eq!(map.tokens(0), Some(&[0, 2][..]));
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn from_concept_ids(concept_ids: Vec<u32>) -> Result<Self, MapError> {
        let vocab_size = check_vocab_size(concept_ids.len())?;
        if let Some(token) = concept_ids.iter().position(|&c| c as usize >= vocab_size) {
            let concept = concept_ids[token];
            return Err(MapError::ConceptOutOfRange { token: token as u32, concept, vocab_size });
        }
        let map = Self::from_partition(concept_ids, Vec::new());
        let gap = map.sizes().position(|size| size == 0);
        match gap {
            Some(c) => Err(MapError::EmptyConcept { concept: format!("concept {c}") }),
            None => Ok(map),
        }
    }

    /// `concept_of` must hold ids below its own length; `names` are those of the first concepts.
    pub(crate) fn from_partition(concept_of: Vec<u32>, mut names: Vec<Option<String>>) -> Self {
        // One form for equal maps.
        names.truncate(names.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
        let concepts = concept_of.iter().max().map_or(0, |&c| c as usize + 1);
        // A counting sort by concept: after the second loop, offsets[c] has moved from the start
        // of concept c to its end, which is the start of the next one.
        let mut offsets = vec![0u32; concepts + 1];
        for &c in &concept_of {
            offsets[c as usize + 1] += 1;
        }
        for c in 0..concepts {
            offsets[c + 1] += offsets[c];
        }
        let mut next = offsets.clone();
        let mut tokens = vec![0u32; concept_of.len()];
        for (token, &c) in (0u32..).zip(&concept_of) {
            tokens[next[c as usize] as usize] = token;
            next[c as usize] += 1;
        }
        let sizes = || offsets.windows(2).map(|w| (w[1] - w[0]) as usize);
        let stats = MapStats {
            vocab_size: concept_of.len(),
            concepts,
            pooled_concepts: sizes().filter(|&n| n > 1).count(),
            pooled_tokens: sizes().filter(|&n| n > 1).sum(),
            largest_concept: sizes().max().unwrap_or(0),
        };
        let by_name = (0..).zip(&names).filter_map(|(c, name)| Some((name.clone()?, c))).collect();
        Self { inner: Arc::new(Inner { concept_of, offsets, tokens, names, by_name, stats }) }
    }

    /// `V`: the number of tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.inner.concept_of.len()
    }

    /// `C`: the number of concepts, singletons included.
    pub fn num_concepts(&self) -> usize {
        self.inner.offsets.len() - 1
    }

    /// The concept of `token`, or `None` if the vocabulary has no such token.
    pub fn concept_of(&self, token: u32) -> Option<u32> {
        self.inner.concept_of.get(token as usize).copied()
    }

    /// The concept of every token, `[V]`.
    pub fn concept_ids(&self) -> &[u32] {
        &self.inner.concept_of
    }

    /// The tokens of `concept` in ascending order, at least one; `None` if there is no such
    /// concept.
    pub fn tokens(&self, concept: u32) -> Option<&[u32]> {
        let c = concept as usize;
        (c < self.num_concepts()).then(|| {
            let bounds = self.inner.offsets[c] as usize..self.inner.offsets[c + 1] as usize;
            &self.inner.tokens[bounds]
        })
    }

    /// The tokens of every concept, in the order of the concepts.
    ///
    /// ```
    /// let map = concept_mass::ConceptMap::from_concept_ids(vec![0, 1, 0])?;
    /// assert_eq!(map.iter().collect::<Vec<_>>(), [&[0, 2][..], &[1]]);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        let bounds = self.inner.offsets.windows(2);
        bounds.map(|w| &self.inner.tokens[w[0] as usize..w[1] as usize])
    }

    fn sizes(&self) -> impl Iterator<Item = usize> {
        self.iter().map(<[u32]>::len)
    }

    /// The name of `concept`, or `None` if it has none.
    pub fn name(&self, concept: u32) -> Option<&str> {
        self.inner.names.get(concept as usize)?.as_deref()
    }

    /// The concept called `name`, or `None` if there is no such concept.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.inner.by_name.get(name).copied()
    }

    /// The number of concepts and tokens, and how many of them are pooled.
    pub fn stats(&self) -> MapStats {
        self.inner.stats
    }
}

impl PartialEq for ConceptMap {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner) || self.inner == other.inner
    }
}

impl std::fmt::Debug for ConceptMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ConceptMap").field(&self.stats()).finish()
    }
}

/// Returns `vocab_size` if a map can be made for it.
pub(crate) fn check_vocab_size(vocab_size: usize) -> Result<usize, MapError> {
    if (1..=MAX_VOCAB_SIZE).contains(&vocab_size) {
        Ok(vocab_size)
    } else {
        Err(MapError::VocabularySize { vocab_size })
    }
}

/// Fails for the first of `tokens` that is not below `vocab_size`; `of` says what the tokens are of.
pub(crate) fn check_tokens(
    tokens: &[u32],
    vocab_size: usize,
    of: impl Fn() -> String,
) -> Result<(), MapError> {
    tokens.iter().try_for_each(|&token| check_token(token, vocab_size, &of).map(|_| ()))
}

/// Returns `token` if it is below `vocab_size`; `of` says what it is a token of.
pub(crate) fn check_token(
    token: u32,
    vocab_size: usize,
    of: impl Fn() -> String,
) -> Result<u32, MapError> {
    if (token as usize) < vocab_size {
        Ok(token)
    } else {
        Err(MapError::TokenOutOfRange { token, concept: of(), vocab_size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookups_agree_both_ways() {
        let map = ConceptMap::from_concept_ids(vec![2, 0, 1, 0, 2, 2]).unwrap();
        assert_eq!(map.iter().collect::<Vec<_>>(), [&[1, 3][..], &[2], &[0, 4, 5]]);
        for token in 0..6 {
            let concept = map.concept_of(token).unwrap();
            assert!(map.tokens(concept).unwrap().contains(&token));
        }
        assert_eq!((map.concept_of(6), map.tokens(3), map.name(0)), (None, None, None));
        let stats = MapStats {
            vocab_size: 6,
            concepts: 3,
            pooled_concepts: 2,
            pooled_tokens: 5,
            largest_concept: 3,
        };
        assert_eq!(map.stats(), stats);
    }

    #[test]
    fn dense_ids_with_a_gap_are_refused() {
        let error = ConceptMap::from_concept_ids(vec![0, 2, 0]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "concept 1 has no tokens: give it at least one, or leave it out"
        );
    }

    #[test]
    fn dense_ids_beyond_the_vocabulary_are_refused() {
        let error = ConceptMap::from_concept_ids(vec![0, u32::MAX]).unwrap_err();
        assert!(
            matches!(
                error,
                MapError::ConceptOutOfRange { token: 1, concept: u32::MAX, vocab_size: 2 }
            ),
            "{error}"
        );
    }

    #[test]
    fn a_vocabulary_of_nothing_or_too_much_is_refused() {
        for vocab_size in [0, MAX_VOCAB_SIZE + 1, usize::MAX] {
            let error = ConceptMap::singletons(vocab_size).unwrap_err();
            assert!(
                matches!(error, MapError::VocabularySize { vocab_size: v } if v == vocab_size),
                "{error}"
            );
        }
        let error = ConceptMap::from_concept_ids(vec![]).unwrap_err();
        assert!(matches!(error, MapError::VocabularySize { vocab_size: 0 }), "{error}");
    }
}
