use std::collections::HashSet;

use super::map::check_vocab_size;
use crate::map::MapError;

/// Named sets of tokens whose mass is to be measured, whether they win or not.
///
/// Unlike the concepts of a [`ConceptMap`](crate::ConceptMap), sets may overlap: the paper
/// measures the mass of every acceptable form of an answer, and two answers may begin with the
/// same token.
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
    /// Starts a set of sets for a vocabulary of `vocab_size` tokens.
    pub fn builder(vocab_size: usize) -> TokenSetsBuilder {
        let sets = Self { vocab_size, sets: Vec::new() };
        TokenSetsBuilder { sets, names_taken: HashSet::new() }
    }

    /// `V`: the number of tokens of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// `P`: the number of sets; may be 0.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether there is no set at all.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// The name of set `index`.
    pub fn name(&self, index: usize) -> Option<&str> {
        self.sets.get(index).map(|(name, _)| name.as_str())
    }

    /// The tokens of set `index`, ascending, at least one.
    pub fn tokens(&self, index: usize) -> Option<&[u32]> {
        self.sets.get(index).map(|(_, tokens)| tokens.as_slice())
    }
}

/// Builds a [`TokenSets`]; from [`TokenSets::builder`].
#[derive(Debug, Clone)]
pub struct TokenSetsBuilder {
    sets: TokenSets,
    names_taken: HashSet<String>,
}

impl TokenSetsBuilder {
    /// Adds a set called `name`, made of `tokens`; a token listed twice counts once.
    ///
    /// # Errors
    ///
    /// [`MapError::DuplicateName`], [`MapError::EmptyConcept`], [`MapError::TokenOutOfRange`].
    pub fn set(
        mut self,
        name: impl Into<String>,
        tokens: impl IntoIterator<Item = u32>,
    ) -> Result<Self, MapError> {
        let name = name.into();
        let concept = || format!("set {name:?}");
        let mut tokens: Vec<u32> = tokens.into_iter().collect();
        tokens.sort_unstable();
        tokens.dedup();
        match tokens.last() {
            None => return Err(MapError::EmptyConcept { concept: concept() }),
            Some(&token) if token as usize >= self.sets.vocab_size => {
                let vocab_size = check_vocab_size(self.sets.vocab_size)?;
                return Err(MapError::TokenOutOfRange { token, concept: concept(), vocab_size });
            }
            Some(_) => {}
        }
        if !self.names_taken.insert(name.clone()) {
            return Err(MapError::DuplicateName { name });
        }
        self.sets.sets.push((name, tokens));
        Ok(self)
    }

    /// Makes the set.
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
        assert_eq!(error.to_string(), "set \"none\" has no tokens: a concept needs at least one");
        let error = TokenSets::builder(9).set("far", [1, 9]).unwrap_err();
        assert!(
            matches!(error, MapError::TokenOutOfRange { token: 9, vocab_size: 9, .. }),
            "{error}"
        );
        let error = TokenSets::builder(0).build().unwrap_err();
        assert!(matches!(error, MapError::VocabularySize { vocab_size: 0 }), "{error}");
    }
}
