use std::collections::{BTreeSet, HashSet};

use super::MapError;
use super::map::{check_token, check_vocab_size};

/// Named sets of tokens whose mass is measured, whether they win or not.
///
/// Unlike the concepts of a [`ConceptMap`](crate::ConceptMap), sets may overlap: two answers may
/// begin with the same token. Put them on the device of the logits with
/// [`to_device`](Self::to_device).
///
/// ```
/// use concept_mass::TokenSets;
///
/// let sets = TokenSets::builder(100)
///     .set("Adam Smith", [7, 19])?
///     .set("Adam Lambert", [7])?
///     .build()?;
/// assert_eq!(sets.name(1), Some("Adam Lambert"));
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct TokenSets {
    vocab_size: usize,
    sets: Vec<(String, Vec<u32>)>,
}

impl TokenSets {
    /// Starts token sets for a vocabulary of `vocab_size` tokens, the width of the logits.
    pub fn builder(vocab_size: usize) -> TokenSetsBuilder {
        let sets = Self { vocab_size, sets: Vec::new() };
        TokenSetsBuilder { sets, names_taken: HashSet::new() }
    }

    /// `V`: the number of tokens in the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// `P`: the number of sets, which may be 0.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether there are no sets.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The name of the set at `index`, or `None` if there is no such set.
    pub fn name(&self, index: usize) -> Option<&str> {
        self.sets.get(index).map(|(name, _)| name.as_str())
    }

    /// The tokens of the set at `index` in ascending order, at least one; `None` if there is no
    /// such set.
    pub fn tokens(&self, index: usize) -> Option<&[u32]> {
        self.sets.get(index).map(|(_, tokens)| tokens.as_slice())
    }
}

/// Builds [`TokenSets`]; made by [`TokenSets::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct TokenSetsBuilder {
    sets: TokenSets,
    names_taken: HashSet<String>,
}

impl TokenSetsBuilder {
    /// Adds a set called `name` with the given `tokens`. A token that is listed twice counts once.
    ///
    /// # Errors
    ///
    /// [`MapError::DuplicateName`], [`MapError::EmptyConcept`], [`MapError::TokenOutOfRange`],
    /// [`MapError::VocabularySize`].
    pub fn set(
        mut self,
        name: impl Into<String>,
        tokens: impl IntoIterator<Item = u32>,
    ) -> Result<Self, MapError> {
        let vocab_size = check_vocab_size(self.sets.vocab_size)?;
        let name = name.into();
        let concept = || format!("set {name:?}");
        // One by one, so that a list of tokens can take no more memory than a vocabulary.
        let mut distinct = BTreeSet::new();
        for token in tokens {
            distinct.insert(check_token(token, vocab_size, concept)?);
        }
        if distinct.is_empty() {
            return Err(MapError::EmptyConcept { concept: concept() });
        }
        if !self.names_taken.insert(name.clone()) {
            return Err(MapError::DuplicateName { name });
        }
        self.sets.sets.push((name, distinct.into_iter().collect()));
        Ok(self)
    }

    /// Builds the token sets.
    ///
    /// # Errors
    ///
    /// [`MapError::VocabularySize`].
    pub fn build(self) -> Result<TokenSets, MapError> {
        check_vocab_size(self.sets.vocab_size)?;
        Ok(self.sets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map::MAX_VOCAB_SIZE;

    #[test]
    fn sets_may_share_tokens_but_not_names() {
        let builder = TokenSets::builder(9).set("a", [3, 1, 3]).unwrap();
        let error = builder.clone().set("a", [2]).unwrap_err();
        assert!(matches!(&error, MapError::DuplicateName { name } if name == "a"), "{error}");
        let sets = builder.set("b", [3]).unwrap().build().unwrap();
        assert_eq!(sets.tokens(0), Some(&[1, 3][..]));
        assert_eq!(sets.tokens(1), Some(&[3][..]));
        assert_eq!((sets.len(), sets.name(2), sets.tokens(2)), (2, None, None));
    }

    #[test]
    fn unfit_sets_are_refused_by_name() {
        let error = TokenSets::builder(9).set("none", []).unwrap_err();
        assert_eq!(
            error.to_string(),
            "set \"none\" has no tokens: give it at least one, or leave it out"
        );
        let error = TokenSets::builder(9).set("far", [1, 9]).unwrap_err();
        assert!(
            matches!(error, MapError::TokenOutOfRange { token: 9, vocab_size: 9, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_list_of_tokens_takes_no_more_memory_than_a_vocabulary() {
        let repeated = TokenSets::builder(9).set("one", std::iter::repeat_n(3, 1 << 24)).unwrap();
        assert_eq!(repeated.build().unwrap().tokens(0), Some(&[3][..]));
        let error = TokenSets::builder(9).set("all", 0..u32::MAX).unwrap_err();
        assert!(matches!(error, MapError::TokenOutOfRange { token: 9, .. }), "{error}");
        for size in [0, MAX_VOCAB_SIZE + 1, u32::MAX as usize, usize::MAX] {
            let sized = |error| matches!(error, MapError::VocabularySize { vocab_size } if vocab_size == size);
            assert!(sized(TokenSets::builder(size).set("all", 0..u32::MAX).unwrap_err()));
            assert!(sized(TokenSets::builder(size).build().unwrap_err()));
        }
    }
}
