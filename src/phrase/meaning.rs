use crate::phrase::PhraseError;
use crate::source::Embedding;
#[cfg(feature = "tokenizers")]
use crate::source::{Judge, Spelling, Vocabulary, checked_groups, is_blank};

/// What decides which continuations mean the same.
pub(super) enum Meaning {
    Embedding(Embedding, f32),
    #[cfg(feature = "tokenizers")]
    Spelling(Vocabulary, Spelling),
    #[cfg(feature = "tokenizers")]
    Judge(Vocabulary, Box<dyn Judge + Send + Sync>),
}

impl Meaning {
    /// Groups of places in `phrases`, none of which is empty; each place in one at most.
    pub fn groups(&mut self, phrases: &[Vec<u32>]) -> Result<Vec<Vec<usize>>, PhraseError> {
        match self {
            Self::Embedding(embedding, threshold) => {
                Ok(embedding.phrase_groups(phrases, *threshold)?)
            }
            #[cfg(feature = "tokenizers")]
            Self::Spelling(vocabulary, spelling) => {
                let mut groups = std::collections::BTreeMap::<_, Vec<usize>>::new();
                for (place, text) in texts(vocabulary, phrases)?.iter().enumerate() {
                    // What shows nothing has no meaning that it could share.
                    if !is_blank(text) {
                        groups.entry(spelling.normalise(text)).or_default().push(place);
                    }
                }
                Ok(groups.into_values().collect())
            }
            #[cfg(feature = "tokenizers")]
            Self::Judge(vocabulary, judge) => {
                let texts = texts(vocabulary, phrases)?;
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                Ok(checked_groups(judge.as_mut(), &texts)?)
            }
        }
    }
}

/// The phrases as trimmed texts; blank ones where a phrase has nothing but special tokens and white
/// space.
#[cfg(feature = "tokenizers")]
fn texts(vocabulary: &Vocabulary, phrases: &[Vec<u32>]) -> Result<Vec<String>, PhraseError> {
    let text = |phrase: &Vec<u32>| Ok(vocabulary.decode(phrase)?.trim().to_owned());
    phrases.iter().map(text).collect()
}
