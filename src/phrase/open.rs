use candle_core::{DType, Tensor};

use super::model::{NextLogits, PhraseCost, ask, padded};
use crate::phrase::PhraseError;
use crate::sample::largest;
use crate::source::{Embedding, check_threshold};
#[cfg(feature = "tokenizers")]
use crate::source::{Judge, Spelling, Vocabulary};
use crate::{DeviceMap, Row};

/// When to look beyond the first token, and how far.
///
/// ```
/// use concept_mass::phrase::Rollouts;
///
/// let rollouts = Rollouts { k: 4, ..Rollouts::default() };
/// assert_eq!(rollouts.length, 8);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rollouts {
    /// How many of the step's likeliest tokens are rolled out, at least 1.
    pub k: usize,
    /// The most tokens of a continuation, its first one included, at least 1.
    pub length: usize,
    /// Tokens with a smaller probability are not rolled out.
    pub floor: f32,
    /// A vote is split if the winning concept leads the second by less than this,
    pub margin: f32,
    /// or if its likeliest token has less than this share of it.
    pub concentration: f32,
}

impl Default for Rollouts {
    fn default() -> Self {
        Self { k: 8, length: 8, floor: 0.02, margin: 0.2, concentration: 0.5 }
    }
}

impl Rollouts {
    /// Whether a vote is split.
    pub fn is_split(&self, row: &Row) -> bool {
        row.margin() < self.margin || row.concentration() < self.concentration
    }

    fn check(self) -> Result<Self, PhraseError> {
        let requirement = "it must be 1 or more";
        for (parameter, value) in [("k", self.k), ("length", self.length)] {
            if value == 0 {
                return Err(PhraseError::Parameter { parameter, value: 0.0, requirement });
            }
        }
        Ok(self)
    }
}

/// Decides between whole answers where nobody has listed any: a split step's likeliest tokens are
/// continued, and the continuations are counted by meaning.
///
/// At a step whose vote is split, each of the `k` likeliest tokens is continued greedily, all in
/// one batch, for a few tokens or to the end of the answer. Continuations of one meaning add up
/// their probabilities, `Π P(token)`, the end's included; the likeliest continuation of the
/// heaviest meaning is what to say. A step that is not split costs nothing but the decision of the
/// map.
///
/// ```
/// use candle_core::{Device, Result, Tensor};
/// use concept_mass::{ConceptMap, phrase::{NextLogits, OpenVocabulary, Rollouts}, source::{JudgeError, Vocabulary}};
///
/// # let path = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/tiny/tokenizer.json");
/// let vocabulary = Vocabulary::load(path, 1152)?;
/// let first = |text: &str| vocabulary.encode(text).unwrap()[0];
/// let [saint, st, mos, end] = [" Saint", " St", " Mos", "<|end|>"].map(first);
///
/// /// Says one word, as a rule the wrong one, and ends.
/// struct Model([u32; 4]);
/// impl NextLogits for Model {
///     fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
///         let [saint, st, mos, end] = self.0;
///         let p = |sequence: &Vec<u32>, token: u32| match (sequence.len(), token) {
///             (1, token) if token == mos => 0.4f32,
///             (1, token) if token == saint => 0.35,
///             (1, token) if token == st => 0.25,
///             (2, token) if token == end => 1.0,
///             _ => 1e-6,
///         };
///         let rows = sequences.iter().flat_map(|s| (0..1152).map(move |token| p(s, token)));
///         Tensor::from_iter(rows, &Device::Cpu)?.reshape((sequences.len(), 1152))?.log()
///     }
/// }
///
/// let saints = |texts: &[&str]| -> std::result::Result<Vec<Vec<usize>>, JudgeError> {
///     let is_saint = |&i: &usize| matches!(texts[i], "Saint" | "St");
///     Ok(vec![(0..texts.len()).filter(is_saint).collect()])
/// };
/// let map = ConceptMap::singletons(1152)?.to_device(&Device::Cpu)?;
/// let mut open = OpenVocabulary::by_judge(map, Rollouts::default(), vocabulary.clone(), saints)?
///     .with_ends([end]);
/// let step = open.step(&mut Model([saint, st, mos, end]), &[0])?;
/// assert_eq!(step.row.greedy, mos);
/// assert_eq!(step.tokens, [saint, end]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OpenVocabulary {
    map: DeviceMap,
    rollouts: Rollouts,
    ends: Vec<u32>,
    meaning: Meaning,
}

/// Who says which continuations mean the same.
enum Meaning {
    Embedding(Embedding, f32),
    #[cfg(feature = "tokenizers")]
    Spelling(Vocabulary, Spelling),
    #[cfg(feature = "tokenizers")]
    Judge(Vocabulary, Box<dyn Judge + Send>),
}

/// What was decided at a step; from [`OpenVocabulary::step`].
#[derive(Debug, Clone)]
pub struct OpenStep {
    /// The map's own vote.
    pub row: Row,
    /// What to say, at least one token: the map's representative, or where the vote was split, a
    /// continuation, with the end if it has come to one.
    pub tokens: Vec<u32>,
    /// The continuations, if the vote was split.
    pub vote: Option<OpenVote>,
    /// What it took, the step's own pass included.
    pub cost: PhraseCost,
}

/// The continuations of a split step, and which of them mean the same.
#[derive(Debug, Clone)]
pub struct OpenVote {
    /// The likeliest first token's first.
    pub continuations: Vec<Continuation>,
    /// The mass of each meaning; a continuation's [`meaning`](Continuation::meaning) is its place
    /// here.
    pub masses: Vec<f64>,
    /// The continuation that is said: the likeliest of the heaviest meaning.
    pub winner: usize,
}

/// One of the ways in which an answer may go on.
#[derive(Debug, Clone, PartialEq)]
pub struct Continuation {
    /// Its tokens, at least one; the last may end the answer.
    pub tokens: Vec<u32>,
    /// `ln Π P(token)`.
    pub ln_probability: f64,
    /// Its meaning: a place in [`OpenVote::masses`].
    pub meaning: usize,
}

impl OpenVocabulary {
    /// Continuations mean the same if their tokens' rows in `embedding`, on average, lie within a
    /// cosine of `threshold`, by complete linkage.
    ///
    /// # Errors
    ///
    /// [`PhraseError::Parameter`]; [`SourceError::EmbeddingRows`](crate::source::SourceError::EmbeddingRows).
    pub fn by_embedding(
        map: DeviceMap,
        rollouts: Rollouts,
        embedding: Embedding,
        threshold: f32,
    ) -> Result<Self, PhraseError> {
        embedding.check_covers(map.map())?;
        Self::new(map, rollouts, Meaning::Embedding(embedding, check_threshold(threshold)?))
    }

    /// Continuations mean the same if their texts do not differ but in spelling; see
    /// [`Spelling::normalise`].
    ///
    /// # Errors
    ///
    /// [`PhraseError::Parameter`].
    #[cfg(feature = "tokenizers")]
    pub fn by_spelling(
        map: DeviceMap,
        rollouts: Rollouts,
        vocabulary: Vocabulary,
        spelling: Spelling,
    ) -> Result<Self, PhraseError> {
        Self::new(map, rollouts, Meaning::Spelling(vocabulary, spelling))
    }

    /// Continuations mean the same if `judge` says so of their texts, from which white space about
    /// them and the ends are dropped.
    ///
    /// # Errors
    ///
    /// [`PhraseError::Parameter`].
    #[cfg(feature = "tokenizers")]
    pub fn by_judge(
        map: DeviceMap,
        rollouts: Rollouts,
        vocabulary: Vocabulary,
        judge: impl Judge + Send + 'static,
    ) -> Result<Self, PhraseError> {
        Self::new(map, rollouts, Meaning::Judge(vocabulary, Box::new(judge)))
    }

    fn new(map: DeviceMap, rollouts: Rollouts, meaning: Meaning) -> Result<Self, PhraseError> {
        Ok(Self { map, rollouts: rollouts.check()?, ends: Vec::new(), meaning })
    }

    /// Names the tokens that end an answer: a continuation goes no further.
    pub fn with_ends(mut self, tokens: impl IntoIterator<Item = u32>) -> Self {
        self.ends.extend(tokens);
        self
    }

    fn vocab_size(&self) -> usize {
        self.map.map().vocab_size()
    }

    /// Whether `token` ends an answer.
    pub(super) fn is_end(&self, token: u32) -> bool {
        self.ends.contains(&token)
    }

    /// Decides what follows `sequence`.
    ///
    /// One forward pass; where the vote is split, up to `length - 1` more, of `k` rows at most.
    /// Continuations are cut off where the model's [context](NextLogits::context) ends.
    ///
    /// # Errors
    ///
    /// [`PhraseError::EmptyPrompt`]; [`PhraseError::ModelOutput`]; [`ReduceError::BadRow`](crate::reduce::ReduceError::BadRow); [`SourceError::Judge`](crate::source::SourceError::Judge); those
    /// of [`DeviceMap::decide`], of [`Embedding::groups`] and of the model.
    pub fn step(
        &mut self,
        model: &mut impl NextLogits,
        sequence: &[u32],
    ) -> Result<OpenStep, PhraseError> {
        if sequence.is_empty() {
            return Err(PhraseError::EmptyPrompt);
        }
        let mut cost = PhraseCost::default();
        let logits = ask(model, &[sequence.to_vec()], self.vocab_size(), &mut cost)?;
        let row = self.map.reduce(&logits)?.rows()?[0]?;
        if !self.rollouts.is_split(&row) {
            return Ok(OpenStep { row, tokens: vec![row.representative], vote: None, cost });
        }
        let mut continuations = self.first_tokens(&logits, &row)?;
        let room = model.context().map_or(usize::MAX, |most| most.saturating_sub(sequence.len()));
        for _ in 1..self.rollouts.length.min(room.saturating_add(1)) {
            if continuations.iter().all(|c| self.has_ended(c)) {
                break;
            }
            self.go_on(model, sequence, &mut continuations, &mut cost)?;
        }
        let vote = self.count(continuations)?;
        let tokens = vote.continuations[vote.winner].tokens.clone();
        Ok(OpenStep { row, tokens, vote: Some(vote), cost })
    }

    /// The likeliest tokens down to the floor, and the likeliest in any case.
    fn first_tokens(&self, logits: &Tensor, row: &Row) -> Result<Vec<Continuation>, PhraseError> {
        let logits = logits.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        let ln = |token: u32| f64::from(logits[token as usize]) - f64::from(row.log_z);
        let tokens = largest(&logits, self.rollouts.k).into_iter().enumerate();
        let tokens = tokens.filter(|&(i, t)| i == 0 || ln(t).exp() >= self.rollouts.floor.into());
        let continuation = |(meaning, token)| Continuation {
            tokens: vec![token],
            ln_probability: ln(token),
            meaning,
        };
        Ok(tokens.map(continuation).collect())
    }

    fn has_ended(&self, continuation: &Continuation) -> bool {
        continuation.tokens.last().is_some_and(|&token| self.is_end(token))
    }

    /// Adds the likeliest token to every continuation that has not ended.
    fn go_on(
        &self,
        model: &mut impl NextLogits,
        sequence: &[u32],
        continuations: &mut [Continuation],
        cost: &mut PhraseCost,
    ) -> Result<(), PhraseError> {
        let length = continuations.iter().map(|c| c.tokens.len()).max().unwrap_or(0);
        let sequences: Vec<Vec<u32>> = continuations
            .iter()
            .map(|continuation| {
                padded([sequence, &continuation.tokens].concat(), sequence.len() + length)
            })
            .collect();
        let logits = ask(model, &sequences, self.vocab_size(), cost)?;
        let rows = self.map.decide(&logits)?.rows()?;
        for (continuation, row) in continuations.iter_mut().zip(rows) {
            if !self.has_ended(continuation) {
                let row = row?;
                continuation.tokens.push(row.greedy);
                continuation.ln_probability += f64::from(row.greedy_prob).ln();
            }
        }
        Ok(())
    }

    /// Adds up what means the same.
    fn count(&mut self, mut continuations: Vec<Continuation>) -> Result<OpenVote, PhraseError> {
        // Ends have no meaning; what is nothing else, such as silence, stands alone.
        let ends = &self.ends;
        let said = |c: &Continuation| -> Vec<u32> {
            c.tokens.iter().copied().filter(|token| !ends.contains(token)).collect()
        };
        let phrases = continuations.iter().map(said).enumerate();
        let (places, phrases): (Vec<usize>, Vec<Vec<u32>>) =
            phrases.filter(|(_, phrase)| !phrase.is_empty()).unzip();
        for group in self.meaning.groups(&phrases)? {
            let first = group.iter().map(|&i| places[i]).min();
            group.iter().for_each(|&i| continuations[places[i]].meaning = first.unwrap_or(i));
        }
        let mut masses = vec![0.0; continuations.len()];
        for continuation in &continuations {
            masses[continuation.meaning] += continuation.ln_probability.exp();
        }
        let larger = |best: usize, i: usize| if masses[i] > masses[best] { i } else { best };
        let heaviest = (0..masses.len()).fold(0, larger);
        let of_heaviest = (0..masses.len()).filter(|&i| continuations[i].meaning == heaviest);
        let ln = |i: usize| continuations[i].ln_probability;
        let winner = of_heaviest.fold(heaviest, |best, i| if ln(i) > ln(best) { i } else { best });
        Ok(OpenVote { continuations, masses, winner })
    }
}

impl Meaning {
    /// Groups of places in `phrases`, none of which is empty; each place in one at most.
    fn groups(&mut self, phrases: &[Vec<u32>]) -> Result<Vec<Vec<usize>>, PhraseError> {
        match self {
            Self::Embedding(embedding, threshold) => {
                Ok(embedding.phrase_groups(phrases, *threshold)?)
            }
            #[cfg(feature = "tokenizers")]
            Self::Spelling(vocabulary, spelling) => {
                let texts = texts(vocabulary, phrases)?;
                let mut groups = std::collections::BTreeMap::<_, Vec<usize>>::new();
                for (i, text) in texts.iter().enumerate() {
                    groups.entry(spelling.normalise(text)).or_default().push(i);
                }
                Ok(groups.into_values().collect())
            }
            #[cfg(feature = "tokenizers")]
            Self::Judge(vocabulary, judge) => {
                let texts = texts(vocabulary, phrases)?;
                let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
                Ok(judge.checked_groups(&texts)?)
            }
        }
    }
}

#[cfg(feature = "tokenizers")]
fn texts(vocabulary: &Vocabulary, phrases: &[Vec<u32>]) -> Result<Vec<String>, PhraseError> {
    phrases.iter().map(|phrase| Ok(vocabulary.decode(phrase)?.trim().to_owned())).collect()
}
