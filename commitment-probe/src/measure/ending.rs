//! Where an answer ends.

use std::collections::BTreeSet;

use concept_mass::source::Vocabulary;

use crate::line::{LineEnds, before_spelt_break, first_line};
use crate::model::Until;
use crate::{Error, Result, Stops};

/// Where an answer ends: at one of the model's own ends, and at a stop or, without stops, at its
/// first line break.
pub(super) struct Ending {
    /// What an answer ends before: the model's own ends, and tokens that begin with a line break.
    ends: Vec<u32>,
    /// What an answer ends with: other tokens that hold a line break.
    closing: Vec<u32>,
    /// What ends a phrase: the ends, and what closes a sentence and its line; or begins with a stop.
    pub phrase_ends: Vec<u32>,
    stops: Stops,
}

impl Ending {
    /// The ends of the model, and `stops`.
    pub fn new(vocabulary: &Vocabulary, ends: &[u32], stops: &Stops) -> Result<Self> {
        let vocab_size = vocabulary.vocab_size();
        if let Some(&token) = ends.iter().find(|&&token| token as usize >= vocab_size) {
            return Err(Error::EndToken { token, vocab_size });
        }
        let stops = stops.clone();
        if stops.is_empty() {
            let LineEnds { blank, closing, stops: full } = LineEnds::find(vocabulary);
            let ends = sorted(ends.iter().copied().chain(blank));
            let phrase_ends = sorted(ends.iter().copied().chain(full));
            return Ok(Self { ends, closing, phrase_ends, stops });
        }
        let begins_with_stop = |(_, piece): &(u32, &concept_mass::source::Piece)| {
            piece.text().is_some_and(|text| stops.cut(text) == ("", true))
        };
        let stopping = (0..).zip(vocabulary.pieces()).filter(begins_with_stop);
        let stopping: Vec<u32> = stopping.map(|(token, _)| token).collect();
        let phrase_ends = sorted(ends.iter().copied().chain(stopping));
        Ok(Self { ends: sorted(ends.iter().copied()), closing: Vec::new(), phrase_ends, stops })
    }

    /// How many of the tokens `said` are the answer, if it ends with the last of them.
    pub fn of(&self, vocabulary: &Vocabulary, said: &[u32]) -> Option<usize> {
        let (last, before) = said.split_last()?;
        if self.ends.binary_search(last).is_ok() {
            Some(before.len())
        } else if self.closing.binary_search(last).is_ok() {
            Some(said.len())
        } else if self.stops.is_empty() {
            before_spelt_break(vocabulary, said)
        } else {
            // What cannot be decoded has no stop in it.
            let text = vocabulary.decode(said).unwrap_or_default();
            self.stops.cut(&text).1.then_some(said.len())
        }
    }

    /// The same for a model, which may know no more than the ends and the stops.
    pub fn until<'a>(
        &'a self,
        max_tokens: usize,
        is_over: &'a (dyn Fn(&[u32]) -> bool + Sync),
    ) -> Until<'a> {
        Until { max_tokens, ends: &self.ends, stops: &self.stops, is_over }
    }

    /// The answer that these tokens say.
    pub fn text(&self, vocabulary: &Vocabulary, tokens: &[u32]) -> Result<String> {
        let text = vocabulary.decode(tokens)?;
        Ok(match self.stops.is_empty() {
            true => first_line(&text).to_owned(),
            false => self.stops.answer(&text).to_owned(),
        })
    }

    /// The tokens that an answer may end with at once.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    pub fn is_phrase_end(&self, token: u32) -> bool {
        self.phrase_ends.binary_search(&token).is_ok()
    }
}

/// Ascending, each once.
fn sorted(tokens: impl Iterator<Item = u32>) -> Vec<u32> {
    tokens.collect::<BTreeSet<u32>>().into_iter().collect()
}
