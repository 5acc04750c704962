use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use super::form::{Beginning, Form, Place};
use super::{Aliases, SourceError, Vocabulary};
use crate::map::OnConflict;
use crate::{ConceptMap, TokenSets};

/// The tokens that each form of some [`Aliases`] begins with; returned by [`Aliases::after`] and
/// [`Aliases::anywhere`].
///
/// Makes the [map](Self::map), the [token sets](Self::token_sets) and the
/// [phrases](Self::phrases) of the aliases. Its `Display` shows each form, cut into its tokens:
///
/// ```
/// use concept_mass::source::{Aliases, Vocabulary};
///
/// # let path = concept_mass_tiny::folder().join("tokenizer.json");
/// let vocabulary = Vocabulary::load(path, 1152)?;
/// let aliases = Aliases::new().concept("Saint Basil's Cathedral", ["Cathedral of Vasily"])?;
/// let firsts = aliases.after(&vocabulary, "A: ")?; // the prompt includes the space
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

/// A token that begins forms of two concepts or more; returned by [`FirstTokens::shared`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SharedToken {
    /// The token's id.
    pub token: u32,
    /// The token's text, for people.
    pub piece: String,
    /// The forms that begin with it, each with its concept's name before it; of two concepts or
    /// more, in order.
    pub claims: Vec<(String, String)>,
}

impl Aliases {
    /// Finds the tokens that each form begins with after `prompt`, the text that the answer
    /// follows.
    ///
    /// Each form is appended to the prompt, with a space and without one (only without if the
    /// prompt ends in white space), and both are encoded together. The token at the form's place is
    /// what the model would emit. If the end of the prompt and the beginning of the form become one
    /// token, the model cannot emit it after the prompt, and there are two cases:
    ///
    /// - The form would turn the prompt's last word into another (`an` + `other`). It is left out:
    ///   [`Beginning::Glued`].
    /// - Otherwise, as after a prompt that ends in a space, the form is encoded by itself:
    ///   [`Beginning::Apart`].
    ///
    /// Of the two spacings, the one with a space is expected, unless the prompt is empty or ends in
    /// an opening quotation mark or bracket, or the script puts no spaces between words. Without
    /// the space, the first token is often a single letter, because the vocabulary has no such
    /// word. So if the first token of the spacing that is not expected also begins a form of
    /// another concept, the form gives way: [`Beginning::GivesWay`].
    ///
    /// The prompt is encoded once for each form and spacing: `O(forms × prompt)`.
    ///
    /// # Errors
    ///
    /// [`SourceError::Encode`]. A form that cannot begin an answer is not an error: the result says
    /// why, and making a map of it fails if the concept has no other form.
    pub fn after(&self, vocabulary: &Vocabulary, prompt: &str) -> Result<FirstTokens, SourceError> {
        let tokens = vocabulary.encode(prompt)?;
        FirstTokens::find(self, vocabulary, Place::After { prompt, tokens })
    }

    /// Finds the tokens that each form begins with anywhere in a text: after a space, and without
    /// one.
    ///
    /// For a map that serves many prompts. If there is one prompt, [`after`](Self::after) is exact.
    ///
    /// # Errors
    ///
    /// The errors of [`after`](Self::after).
    ///
    /// ```
    /// # use concept_mass::{map::OnConflict, source::{Aliases, Vocabulary}};
    /// # let path = concept_mass_tiny::folder().join("tokenizer.json");
    /// # let vocabulary = Vocabulary::load(path, 1152)?;
    /// let aliases = Aliases::new().concept("Saint", ["Saint"])?;
    /// let map = aliases.anywhere(&vocabulary)?.map(OnConflict::Refuse)?;
    /// for text in ["Saint", " Saint"] {
    ///     assert_eq!(map.concept_of(vocabulary.encode(text)?[0]), map.find("Saint"));
    /// }
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn anywhere(&self, vocabulary: &Vocabulary) -> Result<FirstTokens, SourceError> {
        FirstTokens::find(self, vocabulary, Place::Anywhere)
    }
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

    /// Makes spacings that are not expected give way to forms of other concepts.
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

    /// The vocabulary that the forms are encoded with.
    pub(crate) fn vocabulary(&self) -> &Vocabulary {
        &self.vocabulary
    }

    /// Iterates over the concepts in order: the name and the encoded forms of each.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[Form])> {
        self.concepts.iter().map(|(name, forms)| (name.as_str(), forms.as_slice()))
    }

    /// Returns the tokens that begin forms of more than one concept, in ascending order.
    ///
    /// ```
    /// # use concept_mass::source::{Aliases, Vocabulary};
    /// # let path = concept_mass_tiny::folder().join("tokenizer.json");
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

    /// Makes the map in which each concept has the first tokens of its forms.
    ///
    /// A token may begin forms of two concepts, but has only one concept in a map: `conflicts`
    /// decides which. A concept that loses all its tokens is not in the map.
    ///
    /// # Errors
    ///
    /// [`SourceError::SharedTokens`] for a conflict under [`OnConflict::Refuse`];
    /// [`SourceError::NoBeginning`] if none of a concept's forms has a first token.
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

    /// Makes the token sets in which each concept has the first tokens of its forms. Unlike the
    /// concepts of a map, sets may share tokens.
    ///
    /// # Errors
    ///
    /// [`SourceError::NoBeginning`] if none of a concept's forms has a first token.
    ///
    /// ```
    /// # use concept_mass::source::{Aliases, Vocabulary};
    /// # let path = concept_mass_tiny::folder().join("tokenizer.json");
    /// # let vocabulary = Vocabulary::load(path, 1152)?;
    /// let aliases = Aliases::new().concept("Smith", ["Adam Smith"])?.concept("Lambert", ["Adam"])?;
    /// let sets = aliases.after(&vocabulary, "A:")?.token_sets()?;
    /// assert_eq!(sets.tokens(0), sets.tokens(1));
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn token_sets(&self) -> Result<TokenSets, SourceError> {
        let mut builder = TokenSets::builder(self.vocabulary.vocab_size());
        for (concept, (name, _)) in self.concepts.iter().enumerate() {
            builder = builder.set(name, self.tokens(concept, Form::first_in_set)?)?;
        }
        Ok(builder.build()?)
    }

    /// The first tokens of the forms of `concept`, at least one.
    fn tokens(
        &self,
        concept: usize,
        first: fn(&Form) -> Option<u32>,
    ) -> Result<Vec<u32>, SourceError> {
        let (name, forms) = &self.concepts[concept];
        let tokens: Vec<u32> = forms.iter().filter_map(first).collect();
        if tokens.is_empty() { Err(no_beginning(name, forms)) } else { Ok(tokens) }
    }

    /// By token: the forms that begin with it, each with its concept's place.
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

/// The error for a concept none of whose forms can be used.
pub(crate) fn no_beginning(name: &str, forms: &[Form]) -> SourceError {
    let forms = forms.iter().map(|form| (form.text.clone(), form.beginning)).collect();
    SourceError::NoBeginning { concept: name.to_owned(), forms }
}

/// Whether the claims on a token are those of more than one concept.
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
        write!(f, "token {} {:?} begins forms of several concepts:", self.token, self.piece)?;
        for (i, (concept, form)) in self.claims.iter().enumerate() {
            let separator = if i == 0 { "" } else { "," };
            write!(f, "{separator} {form:?} of {concept:?}")?;
        }
        Ok(())
    }
}
