use std::collections::{HashMap, HashSet};

use super::map::{check_token, check_vocab_size};
use super::{ConceptMap, MapError};

/// Builds a [`ConceptMap`] from named sets of tokens; made by [`ConceptMap::builder`].
///
/// Concepts get the ids 0, 1, 2, … in the order in which they are added. The tokens that no concept
/// claims follow as concepts of one, in the order of their ids.
///
/// ```
/// use concept_mass::ConceptMap;
///
/// let map = ConceptMap::builder(6).concept("yes", [4, 1])?.concept("no", [2])?.build()?;
/// assert_eq!(map.concept_ids(), [2, 0, 1, 3, 0, 4]);
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ConceptMapBuilder {
    vocab_size: usize,
    names: Vec<Option<String>>,
    names_taken: HashSet<String>,
    owner: HashMap<u32, u32>,
}

impl ConceptMapBuilder {
    pub(super) fn new(vocab_size: usize) -> Self {
        Self { vocab_size, names: Vec::new(), names_taken: HashSet::new(), owner: HashMap::new() }
    }

    /// Adds a concept called `name` with the given `tokens`. A token that is listed twice counts
    /// once.
    ///
    /// # Errors
    ///
    /// [`MapError::DuplicateName`], [`MapError::EmptyConcept`], [`MapError::TokenOutOfRange`],
    /// [`MapError::TokenInTwoConcepts`], [`MapError::VocabularySize`].
    pub fn concept(
        self,
        name: impl Into<String>,
        tokens: impl IntoIterator<Item = u32>,
    ) -> Result<Self, MapError> {
        self.add(Some(name.into()), tokens)
    }

    /// Adds a concept without a name.
    ///
    /// # Errors
    ///
    /// The errors of [`concept`](Self::concept).
    ///
    /// ```
    /// # use concept_mass::ConceptMap;
    /// let map = ConceptMap::builder(6).unnamed([4, 1])?.build()?;
    /// assert_eq!((map.tokens(0), map.name(0)), (Some(&[1, 4][..]), None));
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn unnamed(self, tokens: impl IntoIterator<Item = u32>) -> Result<Self, MapError> {
        self.add(None, tokens)
    }

    pub(super) fn add(
        mut self,
        name: Option<String>,
        tokens: impl IntoIterator<Item = u32>,
    ) -> Result<Self, MapError> {
        // First of all, so that a list of tokens can take no more memory than a vocabulary.
        let vocab_size = check_vocab_size(self.vocab_size)?;
        let id = self.names.len() as u32;
        self.names.push(name);
        if let Some(name) = &self.names[id as usize]
            && !self.names_taken.insert(name.clone())
        {
            return Err(MapError::DuplicateName { name: name.clone() });
        }
        let mut empty = true;
        for token in tokens {
            empty = false;
            check_token(token, vocab_size, || self.describe(id))?;
            let first = *self.owner.entry(token).or_insert(id);
            if first != id {
                let (first, second) = (self.describe(first), self.describe(id));
                return Err(MapError::TokenInTwoConcepts { token, first, second });
            }
        }
        if empty {
            return Err(MapError::EmptyConcept { concept: self.describe(id) });
        }
        Ok(self)
    }

    fn describe(&self, id: u32) -> String {
        describe(self.names[id as usize].as_deref(), id)
    }

    /// Builds the map, in `O(V)`. Every unclaimed token becomes a concept of its own.
    ///
    /// # Errors
    ///
    /// [`MapError::VocabularySize`].
    pub fn build(self) -> Result<ConceptMap, MapError> {
        check_vocab_size(self.vocab_size)?;
        let mut next = self.names.len() as u32;
        let concept_of = (0..self.vocab_size as u32).map(|token| match self.owner.get(&token) {
            Some(&concept) => concept,
            None => {
                next += 1;
                next - 1
            }
        });
        let concept_of = concept_of.collect();
        Ok(ConceptMap::from_partition(concept_of, self.names))
    }
}

/// A concept within a sentence.
pub(super) fn describe(name: Option<&str>, id: u32) -> String {
    match name {
        Some(name) => format!("concept {name:?}"),
        None => format!("concept {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::MAX_VOCAB_SIZE;

    #[test]
    fn token_out_of_range() {
        let error = ConceptMap::builder(5).concept("far", [1, 5]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "token 5 of concept \"far\" is out of range: the vocabulary has 5 tokens, with ids 0 to \
             4; take the ids, and that size, the width of the logits, from one model"
        );
    }

    #[test]
    fn a_vocabulary_of_no_size_is_refused_before_its_tokens_are_looked_at() {
        for size in [0, MAX_VOCAB_SIZE + 1, u32::MAX as usize, usize::MAX] {
            // If each of them were kept, they would take gigabytes.
            let error = ConceptMap::builder(size).concept("all", 0..u32::MAX).unwrap_err();
            assert!(
                matches!(error, MapError::VocabularySize { vocab_size } if vocab_size == size),
                "{error}"
            );
        }
    }

    #[test]
    fn token_in_two_concepts() {
        let builder = ConceptMap::builder(5).unnamed([1, 2]).unwrap();
        let error = builder.concept("b", [3, 2]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "token 2 is claimed by concept 0 and by concept \"b\", but a token belongs to one \
             concept: drop it from one of them, or use TokenSets, which may overlap"
        );
    }

    #[test]
    fn empty_concept() {
        let error = ConceptMap::builder(5).concept("nothing", []).unwrap_err();
        assert!(
            matches!(&error, MapError::EmptyConcept { concept } if concept == "concept \"nothing\""),
            "{error}"
        );
    }

    #[test]
    fn duplicate_name() {
        let builder = ConceptMap::builder(5).concept("a", [0]).unwrap();
        let error = builder.concept("a", [1]).unwrap_err();
        assert!(matches!(&error, MapError::DuplicateName { name } if name == "a"), "{error}");
    }

    #[test]
    fn a_token_listed_twice_counts_once() {
        let map = ConceptMap::builder(5).concept("a", [3, 3, 1, 3]).unwrap().build().unwrap();
        assert_eq!(map.tokens(0), Some(&[1, 3][..]));
    }
}
