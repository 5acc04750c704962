use std::{collections::HashSet, fmt, fs, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

use super::first_tokens::FirstTokens;
use super::form::Place;
use super::vocabulary::Vocabulary;
use crate::map::FileProblem;
use crate::map::MapError;
use crate::map::fields;
#[cfg(doc)]
use crate::source::Beginning;
use crate::source::SourceError;

/// What may be meant, and how each of it may be spelt: concepts by name, and their forms.
///
/// A concept becomes the first tokens of its forms, as the model would emit them after the prompt.
/// Which tokens these are depends on the prompt's end, and is told before anything is made of it:
///
/// ```
/// use concept_mass::{map::OnConflict, source::{Aliases, Vocabulary}};
///
/// let aliases = Aliases::from_json(
///     r#"{
///         "Saint Basil's Cathedral": ["Saint Basil's", "St. Basil's", "Cathedral of Vasily"],
///         "Moscow": ["Moscow"]
///     }"#,
/// )?;
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny/tokenizer.json");
/// let vocabulary = Vocabulary::load(path, 1152)?;
/// let firsts = aliases.after(&vocabulary, "Q: What did Ivan build on Red Square?\nA:")?;
/// println!("{firsts}"); // what became of every form
///
/// let map = firsts.map(OnConflict::Refuse)?;
/// let saint = vocabulary.encode(" Saint")?[0];
/// assert_eq!(map.concept_of(saint), map.find("Saint Basil's Cathedral"));
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Aliases {
    concepts: Vec<(String, Vec<String>)>,
    names_taken: HashSet<String>,
    case_variants: bool,
}

impl Aliases {
    /// No concepts yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a concept called `name`, which may be spelt as any of `forms`.
    ///
    /// The name itself is no form unless it is among them. White space about a form is dropped.
    ///
    /// # Errors
    ///
    /// [`MapError::DuplicateName`]; [`SourceError::NoForms`]; [`SourceError::EmptyForm`] for a form of nothing
    /// but white space.
    ///
    /// ```
    /// # use concept_mass::source::Aliases;
    /// let aliases = Aliases::new().concept("UK", ["UK", "United Kingdom", "Britain"])?;
    /// assert_eq!(aliases.iter().next().unwrap().1.len(), 3);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn concept(
        mut self,
        name: impl Into<String>,
        forms: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Self, SourceError> {
        let name = name.into();
        let mut trimmed = Vec::new();
        for (index, form) in forms.into_iter().enumerate() {
            match form.as_ref().trim() {
                "" => return Err(SourceError::EmptyForm { concept: name, index }),
                form => trimmed.push(form.to_owned()),
            }
        }
        if trimmed.is_empty() {
            return Err(SourceError::NoForms { concept: name });
        }
        if !self.names_taken.insert(name.clone()) {
            return Err(MapError::DuplicateName { name }.into());
        }
        self.concepts.push((name, trimmed));
        Ok(self)
    }

    /// Has every form stand also for itself in lower case, in upper case, and with a capital
    /// first letter.
    ///
    /// ```
    /// # use concept_mass::source::Aliases;
    /// let aliases = Aliases::new().concept("iPod", ["iPod"])?.with_case_variants();
    /// assert_eq!(aliases.iter().next().unwrap().1, ["iPod", "ipod", "IPOD", "IPod"]);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn with_case_variants(mut self) -> Self {
        self.case_variants = true;
        self
    }

    /// The concepts in the order in which they were named, with the forms of each, none twice.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Vec<String>)> {
        self.concepts.iter().map(|(name, forms)| {
            let mut seen = HashSet::new();
            let forms = forms.iter().flat_map(|form| self.variants(form));
            (name.as_str(), forms.filter(|form| seen.insert(form.clone())).collect())
        })
    }

    fn variants(&self, form: &str) -> Vec<String> {
        let mut variants = vec![form.to_owned()];
        if self.case_variants {
            variants.extend([form.to_lowercase(), form.to_uppercase(), capitalised(form)]);
        }
        variants
    }

    /// Reads `{"Concept": ["form", "another form"], …}` from a file.
    ///
    /// # Errors
    ///
    /// [`SourceError::AliasFile`] with the path, the offending field and the reason.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, SourceError> {
        let path = path.as_ref();
        let in_file = |problem| SourceError::AliasFile { path: Some(path.to_owned()), problem };
        let text = fs::read(path).map_err(|e| in_file(e.into()))?;
        parse(&text).map_err(in_file)
    }

    /// Reads `{"Concept": ["form", "another form"], …}`. Never panics, whatever the text.
    ///
    /// # Errors
    ///
    /// [`SourceError::AliasFile`] without a path.
    pub fn from_json(text: impl AsRef<[u8]>) -> Result<Self, SourceError> {
        parse(text.as_ref()).map_err(|problem| SourceError::AliasFile { path: None, problem })
    }

    /// What every form begins with after `prompt`, the text that the answer is to follow.
    ///
    /// Each form is put behind the prompt, with a space between and without, or only without where
    /// the prompt ends in white space, and both are encoded together: the token at the form's
    /// place is what the model would emit. There are two exceptions, where the prompt's end and
    /// the form's beginning become one token, which a model that has read the prompt cannot emit:
    ///
    /// - A form glued to the prompt's last word would make another word (`an` + `other`). It is
    ///   left out: [`Beginning::Glued`].
    /// - Elsewhere, as after a prompt that ends in a space, the form is encoded by itself:
    ///   [`Beginning::Apart`].
    ///
    /// Of the two spacings, the one with a space is expected, unless the prompt is empty or ends in
    /// a quotation mark or a bracket that opens, or the script has no spaces between words. The
    /// other one often begins with a mere letter, where the vocabulary has no such word; so where
    /// its token begins a form of another concept, it gives way: [`Beginning::GivesWay`].
    ///
    /// Encodes the prompt with every form: `O(forms × prompt)`.
    ///
    /// # Errors
    ///
    /// [`SourceError::Encode`]. A form that cannot begin with anything is told in the result, and only
    /// there, unless it is a concept's last.
    pub fn after(&self, vocabulary: &Vocabulary, prompt: &str) -> Result<FirstTokens, SourceError> {
        let tokens = vocabulary.encode(prompt)?;
        FirstTokens::find(self, vocabulary, Place::After { prompt, tokens })
    }

    /// What every form begins with at any place: after a space, and without one.
    ///
    /// For a map that serves many prompts. [`after`](Self::after) is exact where there is one.
    ///
    /// # Errors
    ///
    /// As for [`after`](Self::after).
    ///
    /// ```
    /// # use concept_mass::{map::OnConflict, source::{Aliases, Vocabulary}};
    /// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny/tokenizer.json");
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

fn capitalised(form: &str) -> String {
    let mut chars = form.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    first.chain(chars).collect()
}

fn parse(text: &[u8]) -> Result<Aliases, FileProblem> {
    let Listed(concepts) = fields(text)?;
    concepts.into_iter().try_fold(Aliases::new(), |aliases, (name, forms)| {
        let field = name.clone();
        aliases
            .concept(name, forms)
            .map_err(|source| FileProblem::Content { field, source: Box::new(source) })
    })
}

/// An object's fields in the order of the text, which says who is named first; a name given twice
/// is there twice, to be complained of.
struct Listed(Vec<(String, Vec<String>)>);

impl<'de> Deserialize<'de> for Listed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Listed;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Listed, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Listed(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        Aliases::from_json(text).unwrap_err().to_string()
    }

    #[test]
    fn the_order_of_the_text_is_kept() {
        let aliases = Aliases::from_json(r#"{"b": ["x"], "a": [" y ", "y"]}"#).unwrap();
        let concepts: Vec<_> = aliases.iter().collect();
        assert_eq!(concepts, [("b", vec!["x".to_owned()]), ("a", vec!["y".to_owned()])]);
    }

    #[test]
    fn malformed_files_are_refused_with_the_field() {
        for (text, parts) in [
            ("Moscow", &["aliases: field .", "line 1"][..]),
            ("[]", &["expected an object", r#"{"Concept": ["form""#]),
            (r#"{"a": ["x"]} {}"#, &["trailing characters"]),
            (r#"{"a": "x"}"#, &["field a:", "expected a sequence"]),
            (r#"{"a": ["x", 3]}"#, &["field a[1]:", "expected a string"]),
            (r#"{"a": []}"#, &["field a:", r#"concept "a" has no forms"#]),
            (r#"{"a": ["x", " \n"]}"#, &["field a:", r#"form 1 of concept "a" is empty"#]),
            (r#"{"a": ["x"], "a": ["y"]}"#, &["field a:", r#"name "a" is used twice"#]),
        ] {
            let refusal = refusal(text);
            for part in parts {
                assert!(refusal.contains(part), "{part:?} is not in {refusal:?}");
            }
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Aliases::load("no/such/aliases.json").unwrap_err().to_string();
        assert!(error.starts_with("no/such/aliases.json: "), "{error}");
    }

    #[test]
    fn an_empty_list_is_a_list() {
        assert_eq!(Aliases::from_json("{}").unwrap(), Aliases::new());
    }
}
