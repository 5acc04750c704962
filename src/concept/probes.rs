use std::collections::HashSet;

use super::map::check_vocab_size;
use crate::{Error, Result};

/// Named sets of tokens whose mass is to be measured, whether they win or not.
///
/// Unlike the concepts of a [`ConceptMap`](crate::ConceptMap), probes may overlap: the paper
/// measures the mass of every acceptable form of an answer, and two answers may begin with the
/// same token.
///
/// ```
/// use concept_mass::ProbeSet;
///
/// let probes = ProbeSet::builder(100)
///     .probe("Adam Smith", [7, 19])?
///     .probe("Adam Lambert", [7])?
///     .build()?;
/// assert_eq!(probes.name(1), Some("Adam Lambert"));
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeSet {
    vocab_size: usize,
    probes: Vec<(String, Vec<u32>)>,
}

impl ProbeSet {
    /// Starts a set of probes for a vocabulary of `vocab_size` tokens.
    pub fn builder(vocab_size: usize) -> ProbeSetBuilder {
        let probes = Self { vocab_size, probes: Vec::new() };
        ProbeSetBuilder { probes, names_taken: HashSet::new() }
    }

    /// `V`: the number of tokens of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// `P`: the number of probes; may be 0.
    pub fn len(&self) -> usize {
        self.probes.len()
    }

    /// Whether there is no probe at all.
    pub fn is_empty(&self) -> bool {
        self.probes.is_empty()
    }

    /// The name of probe `index`.
    pub fn name(&self, index: usize) -> Option<&str> {
        self.probes.get(index).map(|(name, _)| name.as_str())
    }

    /// The tokens of probe `index`, ascending, at least one.
    pub fn tokens(&self, index: usize) -> Option<&[u32]> {
        self.probes.get(index).map(|(_, tokens)| tokens.as_slice())
    }
}

/// Builds a [`ProbeSet`]; from [`ProbeSet::builder`].
#[derive(Debug, Clone)]
pub struct ProbeSetBuilder {
    probes: ProbeSet,
    names_taken: HashSet<String>,
}

impl ProbeSetBuilder {
    /// Adds a probe called `name`, made of `tokens`; a token listed twice counts once.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateName`], [`Error::EmptyConcept`], [`Error::TokenOutOfRange`].
    pub fn probe(
        mut self,
        name: impl Into<String>,
        tokens: impl IntoIterator<Item = u32>,
    ) -> Result<Self> {
        let name = name.into();
        let concept = || format!("probe {name:?}");
        let mut tokens: Vec<u32> = tokens.into_iter().collect();
        tokens.sort_unstable();
        tokens.dedup();
        match tokens.last() {
            None => return Err(Error::EmptyConcept { concept: concept() }),
            Some(&token) if token as usize >= self.probes.vocab_size => {
                let vocab_size = check_vocab_size(self.probes.vocab_size)?;
                return Err(Error::TokenOutOfRange { token, concept: concept(), vocab_size });
            }
            Some(_) => {}
        }
        if !self.names_taken.insert(name.clone()) {
            return Err(Error::DuplicateName { name });
        }
        self.probes.probes.push((name, tokens));
        Ok(self)
    }

    /// Makes the set.
    ///
    /// # Errors
    ///
    /// [`Error::VocabularySize`].
    pub fn build(self) -> Result<ProbeSet> {
        check_vocab_size(self.probes.vocab_size)?;
        Ok(self.probes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_may_share_tokens_but_not_names() {
        let builder = ProbeSet::builder(9).probe("a", [3, 1, 3]).unwrap();
        let error = builder.clone().probe("a", [2]).unwrap_err();
        assert!(matches!(&error, Error::DuplicateName { name } if name == "a"), "{error}");
        let probes = builder.probe("b", [3]).unwrap().build().unwrap();
        assert_eq!(probes.tokens(0), Some(&[1, 3][..]));
        assert_eq!(probes.tokens(1), Some(&[3][..]));
        assert_eq!((probes.len(), probes.name(2), probes.tokens(2)), (2, None, None));
    }

    #[test]
    fn unfit_probes_are_refused_by_name() {
        let error = ProbeSet::builder(9).probe("none", []).unwrap_err();
        assert_eq!(error.to_string(), "probe \"none\" has no tokens: a concept needs at least one");
        let error = ProbeSet::builder(9).probe("far", [1, 9]).unwrap_err();
        assert!(matches!(error, Error::TokenOutOfRange { token: 9, vocab_size: 9, .. }), "{error}");
        let error = ProbeSet::builder(0).build().unwrap_err();
        assert!(matches!(error, Error::VocabularySize { vocab_size: 0 }), "{error}");
    }
}
