use std::collections::HashSet;

use super::piece::is_blank;
use super::{SourceError, Vocabulary};
use crate::ConceptMap;
use crate::map::check_tokens;

/// Any error that a [`Judge`] fails with.
pub type JudgeError = Box<dyn std::error::Error + Send + Sync>;

/// A source of your own, which says which texts mean the same: a model that is asked, a thesaurus,
/// a table.
///
/// Any closure with the signature of [`groups`](Self::groups) is a judge.
///
/// ```
/// use concept_mass::source::{JudgeError, Vocabulary};
///
/// # let path = concept_mass_tiny::folder().join("tokenizer.json");
/// let vocabulary = Vocabulary::load(path, 1152)?;
/// let mut saints = |texts: &[&str]| -> Result<Vec<Vec<usize>>, JudgeError> {
///     let is_saint = |&i: &usize| matches!(texts[i].trim(), "Saint" | "St");
///     Ok(vec![(0..texts.len()).filter(is_saint).collect()])
/// };
/// let [saint, st, mos] = [" Saint", " St", " Mos"].map(|t| vocabulary.encode(t).unwrap()[0]);
/// let map = vocabulary.judge(&[saint, st, mos], &mut saints)?;
/// assert_eq!(map.concept_of(saint), map.concept_of(st));
/// assert_ne!(map.concept_of(saint), map.concept_of(mos));
/// # Ok::<(), concept_mass::Error>(())
/// ```
pub trait Judge {
    /// Returns the groups of texts that mean the same, as places in `texts`. A place is in one
    /// group at most; a text in no group has a meaning of its own.
    ///
    /// This crate passes two texts or more, each with a visible character.
    ///
    /// # Errors
    ///
    /// Any error; it reaches the caller as the cause of [`SourceError::Judge`].
    fn groups(&mut self, texts: &[&str]) -> Result<Vec<Vec<usize>>, JudgeError>;
}

/// Asks `judge` which of `texts` mean the same, and checks its answer: returns groups of places in
/// `texts`, each place in one group at most.
///
/// Blank texts (nothing but white space, control characters and invisible ones) stay alone, and
/// the judge does not see them. If fewer than two others remain, the judge is not asked.
///
/// # Errors
///
/// [`SourceError::Judge`] if the judge fails, if a group has a place that is out of range, or
/// if a place is in two groups.
///
/// ```
/// use concept_mass::source::{JudgeError, checked_groups};
///
/// let mut alike = |texts: &[&str]| -> Result<Vec<Vec<usize>>, JudgeError> {
///     Ok(vec![(0..texts.len()).collect()])
/// };
/// assert_eq!(checked_groups(&mut alike, &["US", " ", "USA"])?, [[0, 2]]);
///
/// let mut beyond = |_: &[&str]| -> Result<_, JudgeError> { Ok(vec![vec![99]]) };
/// assert!(checked_groups(&mut beyond, &["US", "USA"]).is_err());
/// # Ok::<(), concept_mass::Error>(())
/// ```
// No method of the trait: a judge could put another in its place, whose groups nobody has checked.
pub fn checked_groups(
    judge: &mut (impl Judge + ?Sized),
    texts: &[&str],
) -> Result<Vec<Vec<usize>>, SourceError> {
    let shown = texts.iter().enumerate().filter(|(_, text)| !is_blank(text));
    let (places, shown): (Vec<usize>, Vec<&str>) = shown.unzip();
    if shown.len() < 2 {
        return Ok(Vec::new());
    }
    let mut groups = judge.groups(&shown).map_err(|source| SourceError::Judge { source })?;
    let mut taken = vec![false; shown.len()];
    for place in groups.iter_mut().flatten() {
        match taken.get_mut(*place) {
            Some(taken) if !*taken => *taken = true,
            Some(_) => {
                let problem = format!("text {place} is in two groups; put it into one at most");
                return Err(misjudged(problem));
            }
            None => {
                let problem = format!(
                    "there is no text {place} among {texts}; groups hold places from 0 to {last}",
                    texts = shown.len(),
                    last = shown.len() - 1, // there are two at least
                );
                return Err(misjudged(problem));
            }
        }
        *place = places[*place];
    }
    Ok(groups)
}

impl<F: FnMut(&[&str]) -> Result<Vec<Vec<usize>>, JudgeError>> Judge for F {
    fn groups(&mut self, texts: &[&str]) -> Result<Vec<Vec<usize>>, JudgeError> {
        self(texts)
    }
}

impl Vocabulary {
    /// Makes a map of what `judge` groups among `tokens`, such as the likeliest ones of a step. All
    /// other tokens are concepts of one, and no concept has a name.
    ///
    /// The judge sees the text of each token once, in the order of `tokens`, with the leading space
    /// of those that have one. It does not see tokens that are not words: special ones, bytes,
    /// padding, and texts that are blank or contain a control character.
    ///
    /// # Errors
    ///
    /// [`MapError::TokenOutOfRange`](crate::map::MapError::TokenOutOfRange) if a token is not below
    /// [`vocab_size`](Self::vocab_size); [`SourceError::Judge`] if the judge fails or its groups
    /// are not valid.
    pub fn judge(
        &self,
        tokens: &[u32],
        judge: &mut (impl Judge + ?Sized),
    ) -> Result<ConceptMap, SourceError> {
        let groups = self.judged(tokens, judge)?;
        Ok(ConceptMap::of_groups(self.vocab_size(), tokens, &groups)?)
    }

    /// Groups of places in `tokens`. A token that is listed twice counts at its first place.
    pub(crate) fn judged(
        &self,
        tokens: &[u32],
        judge: &mut (impl Judge + ?Sized),
    ) -> Result<Vec<Vec<usize>>, SourceError> {
        check_tokens(tokens, self.vocab_size(), || "the candidates".to_owned())?;
        let mut seen = HashSet::new();
        let distinct = tokens.iter().enumerate().filter(|&(_, token)| seen.insert(token));
        let words = distinct.filter_map(|(place, &token)| Some((place, self.piece(token).word()?)));
        let (places, texts): (Vec<usize>, Vec<&str>) = words.unzip();
        let mut groups = checked_groups(judge, &texts)?;
        groups.iter_mut().flatten().for_each(|place| *place = places[*place]);
        Ok(groups)
    }
}

fn misjudged(problem: String) -> SourceError {
    SourceError::Judge { source: problem.into() }
}
