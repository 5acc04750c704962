use std::{cmp::Ordering::Equal, collections::BTreeSet, fmt};

use candle_core::{DType, Tensor};

use super::meaning::Meaning;
use super::model::{NextLogits, PhraseCost};
use super::next::{Likeliest, MAX_BATCH, ask, padded};
use super::rollouts::{Continuation, OpenVote, Rollouts};
use super::trie::add_ends;
use crate::phrase::PhraseError;
use crate::source::{Embedding, check_threshold};
#[cfg(feature = "tokenizers")]
use crate::source::{Judge, Spelling, Vocabulary};
use crate::{BadRow, DeviceMap, Row};

/// Decides between whole answers where no list of them exists: a split step's likeliest tokens are
/// continued, and the continuations are counted by meaning.
///
/// At a step whose vote is split, each of the `k` likeliest tokens is continued greedily, in
/// batches, for a few tokens or to the end of the answer. The mass of a meaning is the sum of its
/// continuations' probabilities, `Π P(token)`, the end's included, formed from logs; the likeliest
/// continuation of the heaviest meaning is said. A step that is not split costs nothing but the
/// decision of the map.
///
/// ```
/// use candle_core::{Device, Result, Tensor};
/// use concept_mass::{ConceptMap, phrase::{NextLogits, OpenVocabulary, Rollouts}, source::{JudgeError, Vocabulary}};
///
/// # let path = concept_mass_tiny::folder().join("tokenizer.json");
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
///     .with_ends([end])?;
/// let step = open.step(&mut Model([saint, st, mos, end]), &[0])?;
/// assert_eq!(step.row.greedy, mos);
/// assert_eq!(step.tokens, [saint, end]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct OpenVocabulary {
    map: DeviceMap,
    rollouts: Rollouts,
    ends: BTreeSet<u32>,
    meaning: Meaning,
}

/// What was decided at a step; from [`OpenVocabulary::step`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OpenStep {
    /// The map's own vote.
    pub row: Row,
    /// What to say, at least one token: the map's representative; or, where the vote was split, a
    /// continuation, including its end if it has one.
    pub tokens: Vec<u32>,
    /// The continuations, if the vote was split.
    pub vote: Option<OpenVote>,
    /// The forward passes that it took, the step's own included.
    pub cost: PhraseCost,
}

/// Without the judge, which need not implement [`fmt::Debug`].
impl fmt::Debug for OpenVocabulary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { map, rollouts, ends, .. } = self;
        let mut debug = f.debug_struct("OpenVocabulary");
        debug.field("map", map).field("rollouts", rollouts).field("ends", ends);
        debug.finish_non_exhaustive()
    }
}

impl OpenVocabulary {
    /// Continuations mean the same if their tokens' rows in `embedding`, on average, lie within a
    /// cosine of `threshold`, by complete linkage.
    ///
    /// # Errors
    ///
    /// [`PhraseError::Parameter`];
    /// [`SourceError::EmbeddingRows`](crate::source::SourceError::EmbeddingRows) for an embedding
    /// smaller than the map;
    /// [`SourceError::Threshold`](crate::source::SourceError::Threshold).
    pub fn by_embedding(
        map: DeviceMap,
        rollouts: Rollouts,
        embedding: Embedding,
        threshold: f32,
    ) -> Result<Self, PhraseError> {
        embedding.check_covers(map.map())?;
        Self::new(map, rollouts, Meaning::Embedding(embedding, check_threshold(threshold)?))
    }

    /// Continuations mean the same if their texts differ only in spelling; see
    /// [`Spelling::normalise`].
    ///
    /// White space around a text is dropped, and so are the ends and special tokens. A continuation
    /// with no text left has a meaning of its own.
    ///
    /// # Errors
    ///
    /// [`PhraseError::Parameter`];
    /// [`SourceError::VocabularyTokens`](crate::source::SourceError::VocabularyTokens) for a
    /// vocabulary smaller than the map.
    #[cfg(feature = "tokenizers")]
    pub fn by_spelling(
        map: DeviceMap,
        rollouts: Rollouts,
        vocabulary: Vocabulary,
        spelling: Spelling,
    ) -> Result<Self, PhraseError> {
        vocabulary.check_covers(map.map())?;
        Self::new(map, rollouts, Meaning::Spelling(vocabulary, spelling))
    }

    /// Continuations mean the same if `judge` says so of their texts.
    ///
    /// White space around a text is dropped, and so are the ends and special tokens. A continuation
    /// with no text left has a meaning of its own, and is not shown to the judge.
    ///
    /// # Errors
    ///
    /// [`PhraseError::Parameter`];
    /// [`SourceError::VocabularyTokens`](crate::source::SourceError::VocabularyTokens) for a
    /// vocabulary smaller than the map.
    #[cfg(feature = "tokenizers")]
    pub fn by_judge(
        map: DeviceMap,
        rollouts: Rollouts,
        vocabulary: Vocabulary,
        judge: impl Judge + Send + Sync + 'static,
    ) -> Result<Self, PhraseError> {
        vocabulary.check_covers(map.map())?;
        Self::new(map, rollouts, Meaning::Judge(vocabulary, Box::new(judge)))
    }

    fn new(map: DeviceMap, rollouts: Rollouts, meaning: Meaning) -> Result<Self, PhraseError> {
        Ok(Self { map, rollouts: rollouts.check()?, ends: BTreeSet::new(), meaning })
    }

    /// Names tokens that end an answer, in addition to those named before: a continuation stops there.
    ///
    /// # Errors
    ///
    /// [`MapError::TokenOutOfRange`](crate::map::MapError::TokenOutOfRange).
    pub fn with_ends(mut self, tokens: impl IntoIterator<Item = u32>) -> Result<Self, PhraseError> {
        let vocab_size = self.vocab_size();
        add_ends(&mut self.ends, tokens, vocab_size)?;
        Ok(self)
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
    /// Takes one forward pass. Where the vote is split, the step's logits are copied to the host, and
    /// up to `length - 1` passes follow for every 64 continuations. Continuations are cut off where
    /// the model's [context](NextLogits::context) ends.
    ///
    /// # Errors
    ///
    /// [`PhraseError::EmptyPrompt`]; [`PhraseError::TooLong`] if the sequence exceeds the model's
    /// context; [`PhraseError::ModelOutput`]; [`PhraseError::Logits`];
    /// [`SourceError::Judge`](crate::source::SourceError::Judge); those of [`DeviceMap::reduce`], of
    /// [`Embedding::groups`] and of the model. An error changes nothing.
    pub fn step(
        &mut self,
        model: &mut impl NextLogits,
        sequence: &[u32],
    ) -> Result<OpenStep, PhraseError> {
        let room = room(model, sequence)?;
        let mut cost = PhraseCost::default();
        let logits = ask(model, &[sequence.to_vec()], self.vocab_size(), &mut cost)?;
        let row = self.vote(&logits)?;
        if !self.rollouts.is_split(&row) {
            return Ok(OpenStep { row, tokens: vec![row.representative], vote: None, cost });
        }
        let likeliest = Likeliest::in_decision(&row.decision());
        let mut continuations = self.first_tokens(&logits, likeliest)?;
        // The last token of a continuation need not be read.
        let length = self.rollouts.length.min(room.saturating_add(1));
        for batch in continuations.chunks_mut(MAX_BATCH) {
            self.roll_out(model, sequence, batch, length, &mut cost)?;
        }
        let groups = self.groups(&continuations)?;
        let vote = OpenVote::count(continuations, &groups);
        Ok(OpenStep { row, tokens: vote.answer().to_vec(), vote: Some(vote), cost })
    }

    /// The map's vote on one row of logits.
    fn vote(&self, logits: &Tensor) -> Result<Row, PhraseError> {
        let rows = self.map.reduce(logits)?.rows()?;
        let bad = |BadRow { reason, .. }| PhraseError::Logits { after: Vec::new(), reason };
        rows[0].map_err(bad) // there is one for each sequence, and there was one
    }

    /// The `k` likeliest tokens down to the floor, the likeliest in any case; of equals, the lowest
    /// first.
    fn first_tokens(
        &self,
        logits: &Tensor,
        likeliest: Likeliest,
    ) -> Result<Vec<Continuation>, PhraseError> {
        // A view would be copied together with all else in its storage.
        let logits = logits.to_dtype(DType::F32)?.force_contiguous()?.flatten_all()?;
        let logits = logits.to_vec1::<f32>()?;
        let largest = logits[likeliest.token as usize];
        let ln_floor = f64::from(self.rollouts.floor).ln();
        let is_likely = |&(token, logit): &(u32, f32)| {
            let ln = likeliest.ln(logit, largest);
            token == likeliest.token || ln > f64::NEG_INFINITY && ln >= ln_floor
        };
        let mut tokens: Vec<(u32, f32)> = (0..).zip(logits).filter(is_likely).collect();
        tokens.sort_by(|(a, x), (b, y)| y.partial_cmp(x).unwrap_or(Equal).then(a.cmp(b)));
        tokens.truncate(self.rollouts.k);
        let continuation = |(token, logit)| Continuation {
            tokens: vec![token],
            ln_probability: likeliest.ln(logit, largest),
            meaning: 0,
        };
        Ok(tokens.into_iter().map(continuation).collect())
    }

    /// Continues each of a batch to its end, or to `length` tokens.
    fn roll_out(
        &self,
        model: &mut impl NextLogits,
        sequence: &[u32],
        batch: &mut [Continuation],
        length: usize,
        cost: &mut PhraseCost,
    ) -> Result<(), PhraseError> {
        for so_far in 1..length {
            if batch.iter().all(|continuation| self.has_ended(continuation)) {
                break;
            }
            let length = sequence.len() + so_far;
            let begun = batch.iter().map(|c| padded([sequence, &c.tokens].concat(), length));
            let sequences: Vec<Vec<u32>> = begun.collect();
            let logits = ask(model, &sequences, self.vocab_size(), cost)?;
            for (continuation, next) in batch.iter_mut().zip(Likeliest::of(&logits, &self.map)?) {
                if !self.has_ended(continuation) {
                    let next = next.map_err(|BadRow { reason, .. }| PhraseError::Logits {
                        after: continuation.tokens.clone(),
                        reason,
                    })?;
                    continuation.tokens.push(next.token);
                    continuation.ln_probability += next.ln_probability;
                }
            }
        }
        Ok(())
    }

    fn has_ended(&self, continuation: &Continuation) -> bool {
        continuation.tokens.last().is_some_and(|&token| self.is_end(token))
    }

    /// Groups of continuations that mean the same.
    fn groups(&mut self, continuations: &[Continuation]) -> Result<Vec<Vec<usize>>, PhraseError> {
        // Ends have no meaning; a continuation that is nothing else, an answer that ends at once,
        // stands alone.
        let said = |c: &Continuation| -> Vec<u32> {
            c.tokens.iter().copied().filter(|&token| !self.is_end(token)).collect()
        };
        let phrases = continuations.iter().map(said).enumerate();
        let (places, phrases): (Vec<usize>, Vec<Vec<u32>>) =
            phrases.filter(|(_, phrase)| !phrase.is_empty()).unzip();
        let groups = self.meaning.groups(&phrases)?.into_iter();
        Ok(groups.map(|group| group.into_iter().map(|i| places[i]).collect()).collect())
    }
}

/// How many more tokens than `sequence` the model can read.
pub(super) fn room(model: &impl NextLogits, sequence: &[u32]) -> Result<usize, PhraseError> {
    if sequence.is_empty() {
        return Err(PhraseError::EmptyPrompt);
    }
    let prompt = sequence.len();
    match model.context() {
        None => Ok(usize::MAX),
        Some(context) => {
            let too_long = PhraseError::TooLong { prompt, phrase: 1, context };
            context.checked_sub(prompt).ok_or(too_long)
        }
    }
}
