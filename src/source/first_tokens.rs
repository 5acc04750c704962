use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use super::aliases::Aliases;
use super::form::{Beginning, Form, Place};
use super::vocabulary::Vocabulary;
use crate::phrase::PhraseError;
use crate::source::SourceError;
use crate::{
    ConceptMap, TokenSets,
    map::OnConflict,
    phrase::{PhraseTrie, PhraseTrieBuilder},
};

/// What every form of some [`Aliases`] begins with: the report, and what maps and probes are made
/// of; from [`Aliases::after`] and [`Aliases::anywhere`].
///
/// Printed, it shows every form as it was encoded, cut into its tokens:
///
/// ```
/// use concept_mass::source::{Aliases, Vocabulary};
///
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny/tokenizer.json");
/// let vocabulary = Vocabulary::load(path, 1152)?;
/// let aliases = Aliases::new().concept("Saint Basil's Cathedral", ["Cathedral of Vasily"])?;
/// let firsts = aliases.after(&vocabulary, "A: ")?; // the space is the prompt's
/// // Saint Basil's Cathedral
/// //   35 "C"  "C|athedral| of| V|asil|y"  (encoded apart from the prompt's end)
/// let report = firsts.to_string();
/// assert!(report.contains("\"C\"  \"C|athedral| of"));
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FirstTokens {
    vocabulary: Vocabulary,
    concepts: Vec<(String, Vec<Form>)>,
}

/// A token that begins forms of two or more concepts; from [`FirstTokens::shared`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedToken {
    /// The token's id.
    pub token: u32,
    /// How it is spelt, for people.
    pub piece: String,
    /// The concepts and the forms that claim it, in order; two concepts or more.
    pub claims: Vec<(String, String)>,
}

impl FirstTokens {
    pub(super) fn find(
        aliases: &Aliases,
        vocabulary: &Vocabulary,
        place: Place,
    ) -> Result<Self, SourceError> {
        let find = |(name, forms): (&str, Vec<String>)| {
            let texts = forms.iter().flat_map(|form| {
                place.spacings(form).iter().map(move |space| format!("{space}{form}"))
            });
            let forms = texts.map(|text| Form::new(vocabulary, &place, text));
            Ok((name.to_owned(), forms.collect::<Result<_, SourceError>>()?))
        };
        let concepts = aliases.iter().map(find).collect::<Result<_, SourceError>>()?;
        let mut firsts = Self { vocabulary: vocabulary.clone(), concepts };
        if let Place::After { .. } = place {
            firsts.give_way(&place);
        }
        Ok(firsts)
    }

    /// Has the spacings that are not expected give way to forms of other concepts.
    fn give_way(&mut self, place: &Place) {
        let claims = self.claims();
        let disputed = claims.iter().filter(|(_, claims)| is_disputed(claims));
        let disputed: HashSet<u32> = disputed.map(|(&token, _)| token).collect();
        for form in self.concepts.iter_mut().flat_map(|(_, forms)| forms) {
            let bare = form.text.trim_start();
            let expected = place.spacings(bare)[0].len() == form.text.len() - bare.len();
            if !expected && form.first().is_some_and(|token| disputed.contains(&token)) {
                form.beginning = Beginning::GivesWay;
            }
        }
    }

    /// The concepts by name, in order, and what became of their forms.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Form])> {
        self.concepts.iter().map(|(name, forms)| (name.as_str(), forms.as_slice()))
    }

    /// The tokens that begin forms of more than one concept, in ascending order.
    ///
    /// ```
    /// # use concept_mass::source::{Aliases, Vocabulary};
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny/tokenizer.json");
    /// # let vocabulary = Vocabulary::load(path, 1152)?;
    /// let aliases = Aliases::new().concept("Smith", ["Adam Smith"])?.concept("Lambert", ["Adam"])?;
    /// let shared = &aliases.after(&vocabulary, "A:\n")?.shared()[0];
    /// assert_eq!(shared.piece, "A");
    /// assert_eq!(shared.claims[1], ("Lambert".to_owned(), "Adam".to_owned()));
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn shared(&self) -> Vec<SharedToken> {
        let claims = self.claims().into_iter();
        let shared = claims.filter(|(_, claims)| is_disputed(claims));
        let shared = shared.map(|(token, claims)| SharedToken {
            token,
            piece: self.vocabulary.piece(token).to_string(),
            claims: claims.iter().map(|c| (self.concepts[c.0].0.clone(), c.1.to_owned())).collect(),
        });
        shared.collect()
    }

    /// The map: every concept has the first tokens of its forms.
    ///
    /// A token may begin forms of two concepts, which a map cannot say: `conflicts` decides. A
    /// concept that loses all its tokens so is not in the map.
    ///
    /// # Errors
    ///
    /// [`SourceError::SharedTokens`] under [`OnConflict::Refuse`]; [`SourceError::NoBeginning`] for a concept
    /// none of whose forms has a first token.
    pub fn map(&self, conflicts: OnConflict) -> Result<ConceptMap, SourceError> {
        let shared = self.shared();
        if conflicts == OnConflict::Refuse && !shared.is_empty() {
            return Err(SourceError::SharedTokens { shared });
        }
        let claims = self.claims();
        let keeps = |concept: usize, token: u32| {
            conflicts.keeps(concept, claims[&token].iter().map(|&(claimant, _)| claimant))
        };
        let mut builder = ConceptMap::builder(self.vocabulary.vocab_size());
        for (concept, (name, _)) in self.concepts.iter().enumerate() {
            let tokens = self.tokens(concept, Form::first)?.into_iter();
            let tokens: Vec<u32> = tokens.filter(|&token| keeps(concept, token)).collect();
            if !tokens.is_empty() {
                builder = builder.concept(name, tokens)?;
            }
        }
        Ok(builder.build()?)
    }

    /// The probes: as the map, but that probes may share tokens, as in the paper.
    ///
    /// # Errors
    ///
    /// [`SourceError::NoBeginning`].
    ///
    /// ```
    /// # use concept_mass::source::{Aliases, Vocabulary};
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny/tokenizer.json");
    /// # let vocabulary = Vocabulary::load(path, 1152)?;
    /// let aliases = Aliases::new().concept("Smith", ["Adam Smith"])?.concept("Lambert", ["Adam"])?;
    /// let probes = aliases.after(&vocabulary, "A:")?.token_sets()?;
    /// assert_eq!(probes.tokens(0), probes.tokens(1));
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn token_sets(&self) -> Result<TokenSets, SourceError> {
        let mut builder = TokenSets::builder(self.vocabulary.vocab_size());
        for (concept, (name, _)) in self.concepts.iter().enumerate() {
            builder = builder.set(name, self.tokens(concept, Form::first_in_set)?)?;
        }
        Ok(builder.build()?)
    }

    /// The whole forms, token by token, to be [voted](crate::phrase::DevicePhrases::vote) on; name what may
    /// [end](PhraseTrieBuilder::ends) them, and build.
    ///
    /// A form with an unknown token is left out. Forms of two concepts with the very same tokens
    /// are a conflict; other than for a map, to begin alike is none.
    ///
    /// # Errors
    ///
    /// [`PhraseError::PhraseInTwoConcepts`](crate::phrase::PhraseError::PhraseInTwoConcepts) under [`OnConflict::Refuse`]; [`SourceError::NoBeginning`] for a
    /// concept all of whose forms are left out.
    ///
    /// ```
    /// # use concept_mass::{map::OnConflict, source::{Aliases, Vocabulary}};
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny/tokenizer.json");
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
        let mut claims = BTreeMap::<&[u32], Vec<usize>>::new();
        for (concept, (_, forms)) in self.concepts.iter().enumerate() {
            for form in forms.iter().filter(|form| self.is_phrase(form)) {
                claims.entry(&form.tokens).or_default().push(concept);
            }
        }
        let mut builder = PhraseTrie::builder(self.vocabulary.vocab_size());
        for (concept, (name, forms)) in self.concepts.iter().enumerate() {
            let phrases: Vec<&Form> = forms.iter().filter(|form| self.is_phrase(form)).collect();
            if phrases.is_empty() {
                return Err(self.no_beginning(concept).into());
            }
            for Form { tokens, .. } in phrases {
                if conflicts.keeps(concept, claims[&tokens[..]].iter().copied()) {
                    builder = builder.phrase(name, tokens.iter().copied())?;
                }
            }
        }
        Ok(builder)
    }

    fn is_phrase(&self, form: &Form) -> bool {
        let unknown = self.vocabulary.unknown();
        form.first_in_set().is_some() && !form.tokens.iter().any(|&t| Some(t) == unknown)
    }

    /// The first tokens of the forms of `concept`, at least one.
    fn tokens(
        &self,
        concept: usize,
        first: fn(&Form) -> Option<u32>,
    ) -> Result<Vec<u32>, SourceError> {
        let (_, forms) = &self.concepts[concept];
        let tokens: Vec<u32> = forms.iter().filter_map(first).collect();
        if tokens.is_empty() { Err(self.no_beginning(concept)) } else { Ok(tokens) }
    }

    fn no_beginning(&self, concept: usize) -> SourceError {
        let (name, forms) = &self.concepts[concept];
        let forms = forms.iter().map(|form| (form.text.clone(), form.beginning)).collect();
        SourceError::NoBeginning { concept: name.clone(), forms }
    }

    /// By token: the concepts, by number, and the forms that begin with it.
    fn claims(&self) -> BTreeMap<u32, Vec<(usize, &str)>> {
        let mut claims = BTreeMap::<_, Vec<_>>::new();
        for (concept, (_, forms)) in self.concepts.iter().enumerate() {
            for form in forms {
                let Some(token) = form.first() else { continue };
                claims.entry(token).or_default().push((concept, form.text.as_str()));
            }
        }
        claims
    }
}

/// Whether more than one concept is among the claims on a token.
fn is_disputed(claims: &[(usize, &str)]) -> bool {
    claims.iter().any(|claim| claim.0 != claims[0].0)
}

impl fmt::Display for FirstTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, forms) in self.iter() {
            writeln!(f, "{name}")?;
            for form in forms {
                let pieces = form.tokens.iter().map(|&t| self.vocabulary.piece(t).to_string());
                let pieces = pieces.collect::<Vec<_>>().join("|");
                match form.first() {
                    Some(first) => {
                        write!(f, "  {first} \"{}\"  \"{pieces}\"", self.vocabulary.piece(first))?;
                    }
                    None => write!(f, "  –  {:?}", form.text)?,
                }
                match form.beginning {
                    Beginning::Follows => writeln!(f)?,
                    beginning => writeln!(f, "  ({beginning})")?,
                }
            }
        }
        for shared in self.shared() {
            writeln!(f, "{shared}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SharedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token {} {:?} begins forms of two concepts:", self.token, self.piece)?;
        for (i, (concept, form)) in self.claims.iter().enumerate() {
            let separator = if i == 0 { "" } else { "," };
            write!(f, "{separator} {form:?} of {concept:?}")?;
        }
        Ok(())
    }
}
