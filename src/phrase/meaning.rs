use crate::phrase::PhraseError;
use crate::source::Embedding;
#[cfg(feature = "tokenizers")]
use crate::source::{Judge, Spelling, Vocabulary, is_blank};

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
                for (place, text) in texts(vocabulary, phrases)? {
                    groups.entry(spelling.normalise(&text)).or_default().push(place);
                }
                Ok(groups.into_values().collect())
            }
            #[cfg(feature = "tokenizers")]
            Self::Judge(vocabulary, judge) => {
                let (places, texts): (Vec<usize>, Vec<String>) =
                    texts(vocabulary, phrases)?.into_iter().unzip();
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                let groups = judge.checked_groups(&texts)?.into_iter();
                let in_phrases = |group: Vec<usize>| group.into_iter().map(|i| places[i]).collect();
                Ok(groups.map(in_phrases).collect())
            }
        }
    }
}

/// The phrases as trimmed texts, with their places; without those of which no text is left, such as
/// special tokens and white space: these have no meaning that they could share.
#[cfg(feature = "tokenizers")]
fn texts(
    vocabulary: &Vocabulary,
    phrases: &[Vec<u32>],
) -> Result<Vec<(usize, String)>, PhraseError> {
    let mut texts = Vec::new();
    for (place, phrase) in phrases.iter().enumerate() {
        let text = vocabulary.decode(phrase)?.trim().to_owned();
        if !is_blank(&text) {
            texts.push((place, text));
        }
    }
    Ok(texts)
}
