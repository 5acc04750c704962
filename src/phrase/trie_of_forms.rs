use std::collections::BTreeMap;

use super::{PhraseError, PhraseTrie, PhraseTrieBuilder};
use crate::map::OnConflict;
#[cfg(doc)]
use crate::source::SourceError;
use crate::source::{FirstTokens, Form, no_beginning};

impl FirstTokens {
    /// Starts a trie of the whole forms, for a [vote](crate::phrase::DevicePhrases::vote) on them.
    /// Name the tokens that [end](PhraseTrieBuilder::ends) an answer, and build it.
    ///
    /// A form with an unknown token is left out. Two concepts conflict only if forms of both have
    /// the same tokens from beginning to end.
    ///
    /// # Errors
    ///
    /// [`PhraseError::PhraseInTwoConcepts`] for a conflict under [`OnConflict::Refuse`];
    /// [`PhraseError::PhraseTooLong`] for a form of too many tokens;
    /// [`SourceError::NoBeginning`] if all forms of a concept are left out.
    ///
    /// ```
    /// # use concept_mass::{map::OnConflict, source::{Aliases, Vocabulary}};
    /// # let path = concept_mass_tiny::folder().join("tokenizer.json");
    /// # let vocabulary = Vocabulary::load(path, 1152)?;
    /// let aliases = Aliases::new()
    ///     .concept("Adam Smith", ["Adam Smith", "Smith"])?
    ///     .concept("Adam Lambert", ["Adam Lambert"])?;
    /// let firsts = aliases.after(&vocabulary, "A:")?;
    /// let trie = firsts.phrases(OnConflict::Refuse)?.ends(vocabulary.encode("<|end|>")?)?.build()?;
    /// assert_eq!(trie.num_concepts(), 2);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn phrases(&self, conflicts: OnConflict) -> Result<PhraseTrieBuilder, PhraseError> {
        let unknown = self.vocabulary().unknown();
        let is_phrase = |form: &&Form| {
            form.first_in_set().is_some() && !form.tokens.iter().any(|&t| Some(t) == unknown)
        };
        let mut claims = BTreeMap::<&[u32], Vec<usize>>::new();
        for (concept, (_, forms)) in self.iter().enumerate() {
            for form in forms.iter().filter(is_phrase) {
                claims.entry(&form.tokens).or_default().push(concept);
            }
        }
        let mut builder = PhraseTrie::builder(self.vocabulary().vocab_size());
        for (concept, (name, forms)) in self.iter().enumerate() {
            let phrases: Vec<&Form> = forms.iter().filter(is_phrase).collect();
            if phrases.is_empty() {
                return Err(no_beginning(name, forms).into());
            }
            for Form { tokens, .. } in phrases {
                // Every phrase was claimed above.
                if conflicts.keeps(concept, claims[&tokens[..]].iter().copied()) {
                    builder = builder.phrase(name, tokens.iter().copied())?;
                }
            }
        }
        Ok(builder)
    }
}
