use super::builder::describe;
use super::{ConceptMap, MapError};

/// What to do with a token that two concepts claim: in a map, a token has one concept.
///
/// ```
/// use concept_mass::{ConceptMap, map::OnConflict};
///
/// // By their spelling, 1, 2 and 3 are one word, but 1 is the name of a country.
/// let spelling = ConceptMap::builder(9).unnamed([1, 2, 3])?.build()?;
/// let names = ConceptMap::builder(9).concept("US", [1])?.concept("we", [2])?.build()?;
/// assert!(names.over(&spelling, OnConflict::Refuse).is_err());
///
/// let map = names.over(&spelling, OnConflict::First)?;
/// assert_eq!(map.tokens(0), Some(&[1, 3][..]));
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict {
    /// Fail, with an error that names the tokens and who claims them.
    Refuse,
    /// Leave the token out of both: it becomes a concept of its own.
    LeaveOut,
    /// Give the token to the concept that was named first.
    First,
}

impl OnConflict {
    /// Whether `concept` keeps a token that `claimants` claim, in order, itself among them.
    #[cfg(feature = "tokenizers")]
    pub(crate) fn keeps(self, concept: usize, mut claimants: impl Iterator<Item = usize>) -> bool {
        match self {
            Self::Refuse => true,
            Self::LeaveOut => claimants.all(|claimant| claimant == concept),
            Self::First => claimants.next() == Some(concept),
        }
    }
}

impl ConceptMap {
    /// Combines two maps, of which this one takes precedence over `lower`. `O(V log V)`.
    ///
    /// All concepts of this map keep their tokens and come first. A concept of `lower` that shares
    /// a token or the name with one of them becomes a part of it; the other concepts of `lower`
    /// follow as they are. Unnamed concepts of one token do not count as concepts here, in either
    /// map.
    ///
    /// A concept of `lower` that shares tokens with two concepts of this map is a conflict:
    /// `conflicts` says what becomes of those of its tokens that this map leaves alone.
    ///
    /// # Errors
    ///
    /// [`MapError::Width`] if the maps are for vocabularies of different sizes;
    /// [`MapError::ConceptsMeet`] for a conflict under [`OnConflict::Refuse`].
    ///
    /// ```
    /// # use concept_mass::{ConceptMap, map::OnConflict};
    /// let spelling = ConceptMap::builder(9).unnamed([1, 2])?.unnamed([5, 6])?.build()?;
    /// let aliases = ConceptMap::builder(9).concept("yes", [2, 8])?.build()?;
    /// let map = aliases.over(&spelling, OnConflict::Refuse)?;
    /// assert_eq!(map.tokens(map.find("yes").unwrap()), Some(&[1, 2, 8][..]));
    /// assert_eq!(map.concept_of(5), map.concept_of(6));
    /// # Ok::<(), concept_mass::Error>(())
    /// ```
    pub fn over(&self, lower: &Self, conflicts: OnConflict) -> Result<Self, MapError> {
        if self.vocab_size() != lower.vocab_size() {
            let (upper, lower) = (self.vocab_size(), lower.vocab_size());
            return Err(MapError::Width { upper, lower });
        }
        let claimed = |token| self.concept_of(token).filter(|&concept| self.is_named(concept));
        // What comes to each of this map's concepts, and the lower concepts that stay.
        let mut joining = vec![Vec::new(); self.num_concepts()];
        let mut staying = Vec::new();
        for (c, tokens) in (0..).zip(lower.iter()) {
            let by_name = lower.name(c).and_then(|name| self.find(name));
            let mut claimants: Vec<u32> =
                tokens.iter().filter_map(|&t| claimed(t)).chain(by_name).collect();
            claimants.sort_unstable();
            claimants.dedup();
            let free = || tokens.iter().copied().filter(|&token| claimed(token).is_none());
            match (&claimants[..], conflicts) {
                ([], _) if lower.is_named(c) => staying.push(c),
                ([], _) => {}
                (&[upper], _) | (&[upper, ..], OnConflict::First) => {
                    joining[upper as usize].extend(free());
                }
                (_, OnConflict::LeaveOut) => {}
                (&[first, second, ..], OnConflict::Refuse) => {
                    let [first, second] = [first, second].map(|c| describe(self.name(c), c));
                    return Err(MapError::ConceptsMeet { tokens: tokens.to_vec(), first, second });
                }
            }
        }
        let mut builder = Self::builder(self.vocab_size());
        for (c, tokens) in (0..).zip(self.iter()).filter(|&(c, _)| self.is_named(c)) {
            let tokens = tokens.iter().chain(&joining[c as usize]).copied();
            builder = builder.add(self.name(c).map(str::to_owned), tokens)?;
        }
        for c in staying {
            let tokens = lower.tokens(c).unwrap_or_default().iter().copied();
            builder = builder.add(lower.name(c).map(str::to_owned), tokens)?;
        }
        builder.build()
    }

    /// Whether somebody made this concept: it has a name, or two tokens or more.
    fn is_named(&self, concept: u32) -> bool {
        self.name(concept).is_some() || self.tokens(concept).is_some_and(|t| t.len() > 1)
    }

    /// The map of groups of places in `tokens`; all other tokens are concepts of one.
    pub(crate) fn of_groups(
        vocab_size: usize,
        tokens: &[u32],
        groups: &[Vec<usize>],
    ) -> Result<Self, MapError> {
        let pooled = groups.iter().filter(|group| group.len() > 1);
        let pooled = pooled.map(|group| group.iter().map(|&place| tokens[place]));
        let mut builder = Self::builder(vocab_size);
        for group in pooled {
            builder = builder.unnamed(group)?;
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(concepts: &[(&str, &[u32])]) -> ConceptMap {
        let builder = concepts.iter().try_fold(ConceptMap::builder(12), |b, &(name, tokens)| {
            let name = (!name.is_empty()).then(|| name.to_owned());
            b.add(name, tokens.iter().copied())
        });
        builder.unwrap().build().unwrap()
    }

    fn pooled(map: &ConceptMap) -> Vec<&[u32]> {
        map.iter().filter(|tokens| tokens.len() > 1).collect()
    }

    #[test]
    fn over_nothing_and_under_nothing_a_map_is_itself() {
        let nothing = ConceptMap::singletons(12).unwrap();
        let some = map(&[("a", &[1, 5]), ("", &[0, 7]), ("b", &[3])]);
        for conflicts in [OnConflict::Refuse, OnConflict::LeaveOut, OnConflict::First] {
            assert_eq!(some.over(&nothing, conflicts).unwrap(), some);
            assert_eq!(nothing.over(&some, conflicts).unwrap(), some);
            assert_eq!(some.over(&some, conflicts).unwrap(), some);
        }
    }

    #[test]
    fn what_shares_a_token_or_a_name_becomes_one() {
        let upper = map(&[("a", &[1]), ("", &[2, 3])]);
        let lower = map(&[("", &[1, 4]), ("", &[3, 5]), ("a", &[6, 7]), ("c", &[8, 9])]);
        let over = upper.over(&lower, OnConflict::Refuse).unwrap();
        assert_eq!(pooled(&over), [&[1, 4, 6, 7][..], &[2, 3, 5], &[8, 9]]);
        assert_eq!((over.find("a"), over.find("c")), (Some(0), Some(2)));
    }

    #[test]
    fn a_concept_between_two_is_a_conflict() {
        let upper = map(&[("US", &[1]), ("we", &[2])]);
        let lower = map(&[("", &[1, 2, 3, 4]), ("", &[5, 6])]);
        let error = upper.over(&lower, OnConflict::Refuse).unwrap_err();
        assert_eq!(
            error.to_string(),
            "tokens 1, 2, 3, 4 are one concept of the lower map, but in the upper map they belong \
             to concept \"US\" and to concept \"we\": choose OnConflict::LeaveOut or \
             OnConflict::First"
        );
        let left_out = upper.over(&lower, OnConflict::LeaveOut).unwrap();
        assert_eq!(pooled(&left_out), [&[5, 6][..]]);
        let first = upper.over(&lower, OnConflict::First).unwrap();
        assert_eq!(pooled(&first), [&[1, 3, 4][..], &[5, 6]]);
        assert_eq!(first.tokens(first.find("we").unwrap()), Some(&[2][..]));
    }

    #[test]
    fn maps_of_two_sizes_are_refused() {
        let error = ConceptMap::singletons(5).unwrap();
        let error = error.over(&map(&[]), OnConflict::First).unwrap_err();
        assert!(matches!(error, MapError::Width { upper: 5, lower: 12 }), "{error}");
    }
}
