use std::{collections::HashSet, fmt, fs, path::Path};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};

use super::SourceError;
use super::piece::is_blank;
use crate::map::{FileProblem, MapError, fields};

/// The most forms that a concept may be given.
pub(super) const MAX_FORMS: usize = 1 << 16;

/// The possible answers, and the forms in which each may be spelt.
///
/// Each answer is a concept: the first tokens of its forms, as the model would emit them after the
/// prompt. Which tokens these are depends on how the prompt ends, so a map takes two steps:
/// [`after`](Self::after) or [`anywhere`](Self::anywhere) finds the
/// [first tokens](crate::source::FirstTokens), which can be printed and inspected, and those make
/// the map.
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
/// # let path = concept_mass_tiny::folder().join("tokenizer.json");
/// let vocabulary = Vocabulary::load(path, 1152)?;
/// let firsts = aliases.after(&vocabulary, "Q: What did Ivan build on Red Square?\nA:")?;
/// println!("{firsts}"); // each form, cut into tokens
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
    /// Makes an empty list of concepts.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a concept called `name`, which may be spelt as any of `forms`.
    ///
    /// The name is not a form unless it is listed as one. White space around a form is dropped, and
    /// a form that is listed twice counts once. A concept has at most 65,536 forms.
    ///
    /// # Errors
    ///
    /// [`MapError::DuplicateName`]; [`SourceError::NoForms`]; [`SourceError::TooManyForms`];
    /// [`SourceError::EmptyForm`] for a form without a visible character.
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
        // Kept once each and counted, so that an iterator of any length takes no more memory.
        let (mut distinct, mut seen) = (Vec::new(), HashSet::new());
        for (index, form) in forms.into_iter().enumerate() {
            let form = form.as_ref().trim();
            if is_blank(form) {
                return Err(SourceError::EmptyForm { concept: name, index });
            }
            if seen.contains(form) {
                continue;
            }
            if distinct.len() == MAX_FORMS {
                return Err(SourceError::TooManyForms { concept: name });
            }
            seen.insert(form.to_owned());
            distinct.push(form.to_owned());
        }
        if distinct.is_empty() {
            return Err(SourceError::NoForms { concept: name });
        }
        if !self.names_taken.insert(name.clone()) {
            return Err(MapError::DuplicateName { name }.into());
        }
        self.concepts.push((name, distinct));
        Ok(self)
    }

    /// Adds every form in lower case, in upper case, and with a capital first letter.
    ///
    /// ```
    /// # use concept_mass::source::Aliases;
    /// let aliases = Aliases::new().concept("iPod", ["iPod"])?.with_case_variants();
    /// assert_eq!(aliases.iter().next().unwrap().1, ["iPod", "ipod", "IPOD", "IPod"]);
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    #[must_use]
    pub fn with_case_variants(mut self) -> Self {
        self.case_variants = true;
        self
    }

    /// Iterates over the concepts in the order in which they were added: the name and the distinct
    /// forms of each, with the case variants if they were asked for.
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
    /// [`SourceError::AliasFile`] with the path if the file cannot be read or is not such an
    /// object; its [`FileProblem`] names the offending field.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, SourceError> {
        let path = path.as_ref();
        let in_file = |problem| SourceError::AliasFile { path: Some(path.to_owned()), problem };
        let text = fs::read(path).map_err(|e| in_file(e.into()))?;
        parse(&text).map_err(in_file)
    }

    /// Reads `{"Concept": ["form", "another form"], …}`. Never panics.
    ///
    /// # Errors
    ///
    /// [`SourceError::AliasFile`] without a path; its [`FileProblem`] names the offending field.
    pub fn from_json(text: impl AsRef<[u8]>) -> Result<Self, SourceError> {
        parse(text.as_ref()).map_err(|problem| SourceError::AliasFile { path: None, problem })
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

/// The fields of an object in the order of the text, which says which concept was named first. A
/// name that is given twice is there twice, and is refused later.
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

    /// The error's message, and those of its causes.
    fn refusal(text: &str) -> String {
        let error = Aliases::from_json(text).unwrap_err();
        let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
        causes.map(|error| error.to_string()).collect::<Vec<_>>().join(": ")
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
            ("Moscow", &["the text as aliases", "the document cannot be read", "line 1"][..]),
            ("[]", &["expected an object", r#"{"Concept": ["form""#]),
            (r#"{"a": ["x"]} {}"#, &["trailing characters"]),
            (r#"{"a": "x"}"#, &["field a cannot", "expected a sequence"]),
            (r#"{"a": ["x", 3]}"#, &["field a[1] cannot", "expected a string"]),
            (r#"{"a": []}"#, &["field a is", r#"concept "a" has no forms"#]),
            (r#"{"a": ["x", " \n"]}"#, &["field a is", r#"form 1 of concept "a" has no visible"#]),
            (r#"{"a": ["x", "\u200b"]}"#, &["field a is", "has no visible character"]),
            (r#"{"a": ["x"], "a": ["y"]}"#, &["field a is", r#"name "a" is used twice"#]),
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
        assert!(error.starts_with("cannot use no/such/aliases.json as aliases"), "{error}");
    }

    #[test]
    fn an_empty_list_is_a_list() {
        assert_eq!(Aliases::from_json("{}").unwrap(), Aliases::new());
    }
}
