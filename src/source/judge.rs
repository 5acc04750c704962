use super::spelling::word;
use super::vocabulary::Vocabulary;
use crate::ConceptMap;
use crate::source::SourceError;

/// Whatever a [`Judge`] fails with.
pub type JudgeError = Box<dyn std::error::Error + Send + Sync>;

/// Your own source: a model that is asked, a thesaurus, a table.
///
/// Any closure of this signature is one.
///
/// ```
/// use concept_mass::source::{JudgeError, Vocabulary};
///
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny/tokenizer.json");
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
    /// Says which of `texts` mean the same: groups of places in `texts`, each place in one group at
    /// most. A text in no group means something of its own.
    ///
    /// # Errors
    ///
    /// Whatever may fail; it reaches the caller as [`SourceError::Judge`].
    fn groups(&mut self, texts: &[&str]) -> Result<Vec<Vec<usize>>, JudgeError>;

    /// [`groups`](Self::groups), checked: every place is one of a text, and in one group at most. Of
    /// fewer than two texts there is nothing to say, and the judge is not asked.
    ///
    /// # Errors
    ///
    /// [`SourceError::Judge`] if the judge fails, or its groups are none.
    fn checked_groups(&mut self, texts: &[&str]) -> Result<Vec<Vec<usize>>, SourceError> {
        if texts.len() < 2 {
            return Ok(Vec::new());
        }
        let groups = self.groups(texts).map_err(|source| SourceError::Judge { source })?;
        let mut taken = vec![false; texts.len()];
        for &index in groups.iter().flatten() {
            match taken.get_mut(index) {
                Some(taken) if !*taken => *taken = true,
                Some(_) => return Err(misjudged(format!("text {index} is in two groups"))),
                None => {
                    let problem = format!("there is no text {index} among {}", texts.len());
                    return Err(misjudged(problem));
                }
            }
        }
        Ok(groups)
    }
}

impl<F: FnMut(&[&str]) -> Result<Vec<Vec<usize>>, JudgeError>> Judge for F {
    fn groups(&mut self, texts: &[&str]) -> Result<Vec<Vec<usize>>, JudgeError> {
        self(texts)
    }
}

impl Vocabulary {
    /// The map of what `judge` finds among `tokens`, such as the likeliest ones of a step. All
    /// other tokens are concepts of one, and none has a name.
    ///
    /// The judge gets the tokens' texts, with the space before those that have one. It is not asked
    /// about tokens that are no words (see [`Spelling`](crate::source::Spelling)), nor about one alone.
    ///
    /// # Errors
    ///
    /// [`SourceError::Judge`] if the judge fails or its groups are none;
    /// [`MapError::TokenOutOfRange`](crate::map::MapError::TokenOutOfRange).
    pub fn judge(
        &self,
        tokens: &[u32],
        judge: &mut (impl Judge + ?Sized),
    ) -> Result<ConceptMap, SourceError> {
        let groups = self.judged(tokens, judge)?;
        Ok(ConceptMap::of_groups(self.vocab_size(), tokens, &groups)?)
    }

    /// Groups of places in `tokens`.
    pub(crate) fn judged(
        &self,
        tokens: &[u32],
        judge: &mut (impl Judge + ?Sized),
    ) -> Result<Vec<Vec<usize>>, SourceError> {
        let words = tokens.iter().map(|&token| word(self.piece(token))).enumerate();
        let (places, texts): (Vec<usize>, Vec<&str>) =
            words.filter_map(|(place, text)| Some((place, text?))).unzip();
        let groups = judge.checked_groups(&texts)?;
        let in_tokens = |group: Vec<usize>| group.into_iter().map(|i| places[i]).collect();
        Ok(groups.into_iter().map(in_tokens).collect())
    }
}

fn misjudged(problem: String) -> SourceError {
    SourceError::Judge { source: problem.into() }
}
