//! The measurements of one question, or of several whose prompts are equally long.
//!
//! Everything at the first token comes from the logits of one forward pass: the P-mass is the
//! mass of a [set of tokens](concept_mass::reduce::DeviceTokenSets), and each way of counting
//! concepts is a map that [reduces](concept_mass::DeviceMap::reduce) the logits. Further passes give
//! the answers that begin with the chosen tokens, the vote on whole phrases, and the sampled
//! answers.

mod answers;
mod choice;
mod known;
mod phrases;
mod sampling;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use candle_core::{DType, Device, IndexOp, Tensor};

use super::answer::is_match;
use super::question::Question;
use super::sample::{Sample, SecondStep};
use super::{Decoder, Schema};
use crate::line::LineEnds;
use crate::{Error, Result};
use answers::Said;
use choice::FirstVote;
use concept_mass::reduce::ReduceError;
use concept_mass::{
    ConceptMap, DeviceMap, Row,
    phrase::NextLogits,
    sample::TopKPooling,
    source::{Embedding, Judge, Spelling, Vocabulary},
};
use known::Known;

/// The temperatures at which the P-mass is measured.
pub const TEMPERATURES: [f64; 7] = [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0];

/// The largest [`batch`](ProbeOptions::batch): each row of a forward pass takes memory for a whole
/// vocabulary of logits.
const MAX_BATCH: usize = 4096;

/// The largest [`max_tokens`](ProbeOptions::max_tokens).
const MAX_TOKENS: usize = 1 << 20;

/// The largest [`samples`](ProbeOptions::samples).
const MAX_SAMPLES: usize = 100_000;

/// Any judge.
type BoxedJudge = Box<dyn Judge + Send + Sync>;

/// What is measured, and how.
///
/// ```
/// use commitment_probe::ProbeOptions;
///
/// let options = ProbeOptions { samples: 0, ..ProbeOptions::default() }; // no sampling
/// assert_eq!(options.max_tokens, 24);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeOptions {
    /// The maximum number of tokens of an answer, from 1 to 1,048,576.
    pub max_tokens: usize,
    /// The number of answers to sample for each question, from 0 to 100,000.
    pub samples: usize,
    /// The temperature of sampled answers, above 0.
    pub temperature: f64,
    /// The seed of sampled answers, together with the question's id.
    pub seed: u64,
    /// How the likeliest tokens are pooled by the model's embedding.
    pub pooling: TopKPooling,
    /// The maximum number of rows of a forward pass, from 1 to 4,096; but the questions of one call
    /// are always read in one.
    pub batch: usize,
}

impl Default for ProbeOptions {
    fn default() -> Self {
        let pooling = TopKPooling { k: 20, threshold: 0.5 };
        Self { max_tokens: 24, samples: 10, temperature: 1.0, seed: 0, pooling, batch: 16 }
    }
}

impl ProbeOptions {
    /// Whether they can be used; [`Prober::new`] asks that as well.
    ///
    /// # Errors
    ///
    /// [`Error::ProbeOption`] for an option out of range.
    ///
    /// ```
    /// use commitment_probe::ProbeOptions;
    ///
    /// let error = ProbeOptions { batch: 0, ..ProbeOptions::default() }.check().unwrap_err();
    /// assert_eq!(error.to_string(), "batch = 0 cannot be used: it must be from 1 to 4,096");
    /// ```
    pub fn check(&self) -> Result<()> {
        let Self { max_tokens, samples, temperature, pooling, batch, .. } = *self;
        let refuse = |option, value: &dyn std::fmt::Display, requirement| {
            Err(Error::ProbeOption { option, value: value.to_string(), requirement })
        };
        if !(1..=MAX_TOKENS).contains(&max_tokens) {
            return refuse("max_tokens", &max_tokens, "it must be from 1 to 1,048,576");
        }
        if !(1..=MAX_BATCH).contains(&batch) {
            return refuse("batch", &batch, "it must be from 1 to 4,096");
        }
        if samples > MAX_SAMPLES {
            return refuse("samples", &samples, "it must be from 0 to 100,000");
        }
        if pooling.k == 0 {
            return refuse("top_k", &pooling.k, "it must be 1 or more");
        }
        if !(-1.0..=1.0).contains(&pooling.threshold) {
            return refuse("threshold", &pooling.threshold, "it must be a cosine, from -1 to 1");
        }
        if !(temperature > 0.0 && temperature.is_finite()) {
            return refuse("temperature", &temperature, "it must be above 0 and finite");
        }
        Ok(())
    }
}

/// A question as it is put to the model.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The question, and its answers.
    pub question: &'a Question,
    /// The text that the answer is to follow.
    pub prompt: &'a str,
    /// Its tokens, including those that the model expects at the beginning of any text.
    pub tokens: &'a [u32],
}

/// A language model, ready to be asked.
///
/// ```
/// use candle_core::{DType, Device, Result, Tensor};
/// use concept_mass::{phrase::NextLogits, source::{Embedding, Vocabulary}};
/// use commitment_probe::{Asked, Decoder, ProbeOptions, Prober, Question};
///
/// /// Splits its vote as the paper's example does, and says one token.
/// struct Model(Vocabulary);
/// impl NextLogits for Model {
///     fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
///         let mut p = vec![1e-9f32; 1152];
///         let vote = [(" Mos", 0.31), (" Saint", 0.24), (" St", 0.13), (" C", 0.12)];
///         for (text, share) in vote {
///             p[self.0.encode(text).unwrap()[0] as usize] = share;
///         }
///         p[0] = 0.2; // <|end|>
///         Tensor::new(p, &Device::Cpu)?.log()?.repeat((sequences.len(), 1))
///     }
/// }
///
/// # let path = concept_mass_tiny::folder().join("tokenizer.json");
/// let vocabulary = Vocabulary::load(path, 1152)?;
/// let embedding = Embedding::new(&Tensor::eye(1152, DType::F32, &Device::Cpu)?)?;
/// let model = Model(vocabulary.clone());
/// let options = ProbeOptions { max_tokens: 1, samples: 0, ..ProbeOptions::default() };
/// let mut prober = Prober::new(model, vocabulary.clone(), embedding, &Device::Cpu, &[0], options)?;
///
/// let question = Question::parse(
///     r#"{"id": "red-square", "question": "Which cathedral did Ivan the Terrible build?",
///         "answers": ["Saint Basil's Cathedral", "St. Basil's", "Cathedral of Vasily"]}"#,
/// )?.remove(0);
/// let prompt = "Q: Which cathedral did Ivan the Terrible build?\nA:";
/// let tokens = vocabulary.encode(prompt)?;
/// let asked = Asked { question: &question, prompt, tokens: &tokens };
/// let sample = &prober.measure(&[asked])?[0];
///
/// assert!((sample.first.mass - 0.49).abs() < 1e-4); // the P-mass
/// assert!((sample.first.concentration.unwrap() - 0.24 / 0.49).abs() < 1e-4);
/// assert!(sample.is_failure(0.2) && sample.is_failure(0.4) && !sample.is_failure(0.5));
/// let aliases = &sample.decisions[&Decoder::Aliases];
/// assert_eq!(aliases.concept.as_deref(), Some("Saint Basil's Cathedral"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Prober<M> {
    model: M,
    vocabulary: Vocabulary,
    embedding: Embedding,
    device: Device,
    /// What an answer ends before: the model's own ends, and tokens that begin with a line break.
    ends: Vec<u32>,
    /// What an answer ends with: other tokens that hold a line break.
    closing: Vec<u32>,
    /// What ends a phrase: the ends, and what closes a sentence and its line.
    phrase_ends: Vec<u32>,
    options: ProbeOptions,
    /// Counts tokens.
    tokens: DeviceMap,
    /// Counts words, however they are spelt.
    spelling: DeviceMap,
    judge: Option<BoxedJudge>,
}

/// Without the model, the vocabulary and the matrix.
impl<M> fmt::Debug for Prober<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober")
            .field("vocab_size", &self.vocabulary.vocab_size())
            .field("device", &self.device)
            .field("ends", &self.ends)
            .field("options", &self.options)
            .field("judge", &self.judge.is_some())
            .finish_non_exhaustive()
    }
}

impl<M: NextLogits> Prober<M> {
    /// Takes a model whose logits are on `device`, its vocabulary, its embedding, and the tokens that
    /// end an answer; a line break ends it, too. The embedding `[R, D]` has a row for every token, and
    /// may have more, as matrices that are padded have.
    ///
    /// # Errors
    ///
    /// [`Error::ProbeOption`] for options out of range; [`Error::EndToken`] for an end that is not
    /// in the vocabulary; [`Error::ConceptMass`] if the embedding has too few rows.
    pub fn new(
        model: M,
        vocabulary: Vocabulary,
        embedding: Embedding,
        device: &Device,
        ends: &[u32],
        options: ProbeOptions,
    ) -> Result<Self> {
        options.check()?;
        let tokens = ConceptMap::singletons(vocabulary.vocab_size())?;
        embedding.check_covers(&tokens)?;
        let vocab_size = vocabulary.vocab_size();
        if let Some(&token) = ends.iter().find(|&&token| token as usize >= vocab_size) {
            return Err(Error::EndToken { token, vocab_size });
        }
        let LineEnds { blank, closing, stops } = LineEnds::find(&vocabulary);
        let ends = sorted(ends.iter().copied().chain(blank));
        Ok(Self {
            tokens: tokens.to_device(device)?,
            spelling: Spelling::default().map(&vocabulary)?.to_device(device)?,
            device: device.clone(),
            judge: None,
            model,
            vocabulary,
            embedding,
            phrase_ends: sorted(ends.iter().copied().chain(stops)),
            ends,
            closing,
            options,
        })
    }

    /// Lets `judge` decide which sampled answers mean the same, by mutual entailment for example (Kuhn
    /// et al., 2023). It is given the answers to one question that differ after
    /// [normalisation](super::normalise_answer), each preceded by the question; but not one that is
    /// blank, which means the same as no other.
    ///
    /// Without a judge, answers mean the same if they are equal after normalisation.
    #[must_use]
    pub fn with_judge(mut self, judge: impl Judge + Send + Sync + 'static) -> Self {
        self.judge = Some(Box::new(judge));
        self
    }

    /// Measures questions whose prompts have equally many tokens, which the model reads in one
    /// batch.
    ///
    /// Costs one forward pass for the first step, one for each token of the longest answer, as many
    /// for the answers that begin with another token, and for each question those of a
    /// [vote](concept_mass::phrase::DevicePhrases::vote) on whole answers and of its sampled answers.
    ///
    /// The same questions in the same batches give the same samples.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyPrompt`]; [`Error::TooLong`] if a prompt and an answer exceed
    /// [`NextLogits::context`]; [`Error::ConceptMass`] if the logits hold a NaN or `+inf`, or nothing
    /// but `-inf`; [`Error::UnequalPrompts`]; those of the model, of the judge and of the device.
    pub fn measure(&mut self, asked: &[Asked]) -> Result<Vec<Sample>> {
        let Some(first) = asked.first() else { return Ok(Vec::new()) };
        let first = first.tokens.len();
        if let Some(other) = asked.iter().map(|a| a.tokens.len()).find(|&length| length != first) {
            return Err(Error::UnequalPrompts { first, other });
        }
        self.check_prompt(first)?;
        let prompts: Vec<Vec<u32>> = asked.iter().map(|asked| asked.tokens.to_vec()).collect();
        let logits = self.ask(&prompts)?;
        let known = asked.iter().map(|asked| Known::find(asked, &self.vocabulary));
        let known: Vec<Known> = known.collect::<Result<_>>()?;
        let votes = self.first_votes(&logits, &known)?;
        let answers = self.answers_to(&prompts, &votes)?;

        let mut samples = Vec::new();
        for (i, (asked, vote)) in asked.iter().zip(votes).enumerate() {
            let right = |text: &str| is_match(text, asked.question.answers());
            let greedy = &answers[&(i, vote.step.token)];
            let answer = self.text(&greedy.tokens)?;
            let mut decisions = BTreeMap::new();
            for (decoder, choice) in &vote.choices {
                let answer = self.text(&answers[&(i, choice.token())].tokens)?;
                let right = right(&answer);
                decisions.insert(*decoder, choice.decision(answer, right));
            }
            let (phrase_mass, phrases) =
                self.phrases(asked, &vote.probabilities, &greedy.tokens, &answer)?;
            decisions.insert(Decoder::Phrases, phrases);
            samples.push(Sample {
                schema: Schema,
                id: asked.question.id().to_owned(),
                question: asked.question.text().to_owned(),
                right: right(&answer),
                answer,
                second: greedy.second.map(|(token, entropy)| SecondStep {
                    token,
                    entropy,
                    valid: known[i].is_prefix(vote.step.token, token, &self.phrase_ends),
                }),
                first: vote.step,
                decisions,
                phrase_mass,
                at_temperature: vote.at_temperature,
                sampled: self.sampled(asked, &logits.i(i)?)?,
                note: known[i].note.clone(),
            });
        }
        Ok(samples)
    }

    /// The greedy answers that begin with the tokens that the decoders choose, by the prompt's place
    /// and that token.
    fn answers_to(
        &mut self,
        prompts: &[Vec<u32>],
        votes: &[FirstVote],
    ) -> Result<BTreeMap<(usize, u32), Said>> {
        let greedy: Vec<_> = votes.iter().map(|vote| vote.step.token).enumerate().collect();
        let chosen = votes
            .iter()
            .enumerate()
            .flat_map(|(i, vote)| vote.choices.iter().map(move |(_, choice)| (i, choice.token())));
        let other: BTreeSet<_> = chosen.filter(|first| !greedy.contains(first)).collect();
        let other: Vec<_> = other.into_iter().collect();
        // First the greedy ones, for which the model need not read the prompts again.
        let mut answers = BTreeMap::new();
        for firsts in [&greedy[..]].into_iter().chain(other.chunks(self.options.batch)) {
            answers.extend(firsts.iter().copied().zip(self.answers(prompts, firsts)?));
        }
        Ok(answers)
    }

    /// Whether a prompt of so many tokens can be measured: there is one at least, and the longest
    /// answer fits behind it into what the model reads. [`measure`](Self::measure) asks that as well;
    /// whoever has many prompts finds out before the first.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyPrompt`]; [`Error::TooLong`] if a prompt and an answer exceed
    /// [`NextLogits::context`].
    ///
    /// ```
    /// # use candle_core::{DType, Device, Result, Tensor};
    /// # use concept_mass::{phrase::NextLogits, source::{Embedding, Vocabulary}};
    /// # use commitment_probe::{Error, ProbeOptions, Prober};
    /// # struct Model;
    /// impl NextLogits for Model {
    ///     fn context(&self) -> Option<usize> {
    ///         Some(128)
    ///     }
    ///     // …
    /// #   fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
    /// #       Tensor::zeros((sequences.len(), 1152), DType::F32, &Device::Cpu)
    /// #   }
    /// }
    /// # let path = concept_mass_tiny::folder().join("tokenizer.json");
    /// # let vocabulary = Vocabulary::load(path, 1152)?;
    /// # let embedding = Embedding::new(&Tensor::eye(1152, DType::F32, &Device::Cpu)?)?;
    /// let options = ProbeOptions { max_tokens: 24, ..ProbeOptions::default() };
    /// let prober = Prober::new(Model, vocabulary, embedding, &Device::Cpu, &[0], options)?;
    /// assert!(prober.check_prompt(104).is_ok());
    /// let error = prober.check_prompt(105).unwrap_err();
    /// assert!(matches!(error, Error::TooLong { prompt: 105, answer: 24, context: 128 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn check_prompt(&self, prompt: usize) -> Result<()> {
        if prompt == 0 {
            return Err(Error::EmptyPrompt);
        }
        let answer = self.options.max_tokens;
        match self.model.context() {
            Some(context) if prompt.saturating_add(answer) > context => {
                Err(Error::TooLong { prompt, answer, context })
            }
            _ => Ok(()),
        }
    }

    /// The logits `[N, V]` of what follows `sequences`, in `f32`: a model may compute in `f64`.
    fn ask(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        let (sequences_asked, vocab_size) = (sequences.len(), self.vocabulary.vocab_size());
        let logits = self.model.next_logits(sequences)?;
        if logits.dims() != [sequences_asked, vocab_size] {
            let got = logits.shape().clone();
            return Err(Error::ModelOutput { sequences: sequences_asked, vocab_size, got });
        }
        Ok(logits.to_dtype(DType::F32)?)
    }
}

/// Ascending, each once.
fn sorted(tokens: impl Iterator<Item = u32>) -> Vec<u32> {
    tokens.collect::<BTreeSet<u32>>().into_iter().collect()
}

/// The rows of the logits `[N, V]`, or `[V]` for one, counted by `map`; fails if one has no winner.
fn rows(map: &DeviceMap, logits: &Tensor) -> Result<Vec<Row>> {
    let rows = map.reduce(logits)?.rows()?;
    Ok(rows.into_iter().collect::<Result<_, _>>().map_err(ReduceError::from)?)
}
