//! The measurements of one question, or of several.
//!
//! Everything at the first token comes from one distribution over all tokens: the P-mass, those of
//! exchanged forms, and what each way of counting concepts would choose, by a map that
//! [reduces](concept_mass::DeviceMap::reduce) it. Further questions to the model give the answers
//! that begin with the chosen tokens, the masses at the informative step and of whole phrases, the
//! sampled answers, and what the model thinks of its own answer.
//!
//! | file | what it has |
//! | --- | --- |
//! | `options` | what is measured, and how |
//! | `plan` | all questions of a run |
//! | `forms` | what may be answered, as tokens |
//! | `first` | the first step |
//! | `ending`, `answers` | where an answer ends; greedy answers |
//! | `informative`, `cuts` | the first step that says something |
//! | `asked` | what these and later measures ask the model |
//! | `phrases` | whole answers |
//! | `sampled`, `clusters` | sampled answers |
//! | `p_true` | what the model thinks of its answer |
//! | `verdict` | what is said of an answer |

mod answers;
mod asked;
mod clusters;
mod cuts;
mod ending;
mod first;
mod forms;
mod informative;
mod options;
mod p_true;
mod phrases;
mod plan;
mod sampled;
mod verdict;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use candle_core::Device;
use concept_mass::{
    ConceptMap, DeviceMap,
    source::{Embedding, Judge, Spelling, Vocabulary},
};

use crate::model::LanguageModel;
use crate::sample::{Decision, Exchanged, Informative, LaterStep, Sample, Sampled};
use crate::{Decoder, Error, Result, Schema};
use answers::{Answers, Said};
use ending::Ending;
use first::FirstVote;
use forms::Forms;
pub use options::ProbeOptions;
use p_true::BoxedDoubts;
pub use p_true::{Doubt, doubt};
pub use plan::{Asked, Plan};
pub use verdict::{Grade, Grader};

/// The temperatures at which the P-mass is measured.
pub const TEMPERATURES: [f64; 7] = [0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0];

/// Any judge.
type BoxedJudge = Box<dyn Judge + Send + Sync>;

/// Any grader.
type BoxedGrader = Box<dyn Grader + Send + Sync>;

/// A language model, ready to be asked.
///
/// ```
/// use candle_core::{DType, Device, Result, Tensor};
/// use concept_mass::{phrase::NextLogits, source::{Embedding, Vocabulary}};
/// use commitment_probe::{Asked, Decoder, InProcess, LogitsModel, ProbeOptions, Prober, Question};
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
/// impl LogitsModel for Model {}
///
/// # let path = concept_mass_tiny::folder().join("tokenizer.json");
/// let vocabulary = Vocabulary::load(path, 1152)?;
/// let model = InProcess::new(Model(vocabulary.clone()), 1152, &Device::Cpu, 16)?;
/// let embedding = Embedding::new(&Tensor::eye(1152, DType::F32, &Device::Cpu)?)?;
/// let options = ProbeOptions { max_tokens: 1, samples: 0, ..ProbeOptions::default() };
/// let mut prober =
///     Prober::new(model, vocabulary.clone(), &[0], options)?.with_embedding(embedding)?;
///
/// let question = Question::parse(
///     r#"{"id": "red-square", "question": "Which cathedral did Ivan the Terrible build?",
///         "answers": ["Saint Basil's Cathedral", "St. Basil's", "Cathedral of Vasily"]}"#,
/// )?.remove(0);
/// let prompt = "Q: Which cathedral did Ivan the Terrible build?\nA:";
/// let tokens = vocabulary.encode(prompt)?;
/// let plan = prober.plan(vec![Asked { question: &question, prompt, tokens: &tokens }])?;
/// let sample = &prober.measure(&plan, &[0])?[0];
///
/// assert!((sample.first.mass - 0.49).abs() < 1e-4); // the P-mass
/// assert!((sample.first.concentration.unwrap() - 0.24 / 0.49).abs() < 1e-4);
/// let aliases = &sample.decisions[&Decoder::Aliases];
/// assert_eq!(aliases.concept.as_deref(), Some("Saint Basil's Cathedral"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Prober<M> {
    model: M,
    vocabulary: Vocabulary,
    embedding: Option<Embedding>,
    ending: Ending,
    options: ProbeOptions,
    /// Counts words, however they are spelt.
    spelling: DeviceMap,
    judge: Option<BoxedJudge>,
    grader: Option<BoxedGrader>,
    /// What the grader has said, by question and answer.
    grades: HashMap<(String, String), Grade>,
    doubts: Option<BoxedDoubts>,
}

/// Without the model, the vocabulary and the matrix.
impl<M> fmt::Debug for Prober<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober")
            .field("vocab_size", &self.vocabulary.vocab_size())
            .field("ends", &self.ending.ends())
            .field("options", &self.options)
            .field("judge", &self.judge.is_some())
            .field("grader", &self.grader.is_some())
            .finish_non_exhaustive()
    }
}

impl<M: LanguageModel> Prober<M> {
    /// Takes a model, its vocabulary, and the tokens that end an answer; a stop or a line break ends
    /// it, too.
    ///
    /// # Errors
    ///
    /// [`Error::ProbeOption`] for options out of range; [`Error::EndToken`] for an end that is not
    /// in the vocabulary; [`Error::VocabSize`] if model and vocabulary have other sizes.
    pub fn new(
        model: M,
        vocabulary: Vocabulary,
        ends: &[u32],
        options: ProbeOptions,
    ) -> Result<Self> {
        options.check()?;
        let (vocab_size, of_model) = (vocabulary.vocab_size(), model.vocab_size());
        if vocab_size != of_model {
            return Err(Error::VocabSize { vocabulary: vocab_size, model: of_model });
        }
        Ok(Self {
            spelling: Spelling::default().map(&vocabulary)?.to_device(&Device::Cpu)?,
            ending: Ending::new(&vocabulary, ends, &options.stops)?,
            embedding: None,
            judge: None,
            grader: None,
            grades: HashMap::new(),
            doubts: None,
            model,
            vocabulary,
            options,
        })
    }

    /// Also decides by the model's embedding `[R, D]`, which has a row for every token, and may have
    /// more, as matrices that are padded have. Without it there is no such decision.
    ///
    /// # Errors
    ///
    /// [`Error::ConceptMass`] if it has too few rows.
    pub fn with_embedding(mut self, embedding: Embedding) -> Result<Self> {
        embedding.check_covers(&ConceptMap::singletons(self.vocabulary.vocab_size())?)?;
        self.embedding = Some(embedding);
        Ok(self)
    }

    /// Lets `judge` decide which sampled answers mean the same, by mutual entailment for example (Kuhn
    /// et al., 2023). It is given the answers to one question that differ after
    /// [normalisation](super::normalise_answer), each preceded by the question; but not one that is
    /// blank, which means the same as no other.
    ///
    /// Without a judge, answers mean the same if they contain a form of one answer, or are equal
    /// after normalisation.
    #[must_use]
    pub fn with_judge(mut self, judge: impl Judge + Send + Sync + 'static) -> Self {
        self.judge = Some(Box::new(judge));
        self
    }

    /// Has `grader` asked whether an answer is right, where the scorer is
    /// [`Scorer::Grader`](crate::Scorer::Grader). It sees each answer to a question once.
    #[must_use]
    pub fn with_grader(mut self, grader: impl Grader + Send + Sync + 'static) -> Self {
        self.grader = Some(Box::new(grader));
        self
    }

    /// Also asks the model whether its own answer is true, by a prompt that `doubts` makes of the
    /// question and the answer; [`doubt`] has the words.
    #[must_use]
    pub fn with_doubts(
        mut self,
        doubts: impl FnMut(&str, &str) -> Result<Doubt, Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.doubts = Some(Box::new(doubts));
        self
    }

    /// The model.
    pub fn model(&mut self) -> &mut M {
        &mut self.model
    }

    /// Prepares all questions of a run: what is uninformative in one, and which forms are exchanged
    /// for its own, depends on the others.
    ///
    /// O(forms × prompt) for each question, on rayon's threads.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyPrompt`]; [`Error::TooLong`] if a prompt and an answer exceed
    /// [`LanguageModel::context`]; those of the vocabulary.
    pub fn plan<'a>(&self, asked: Vec<Asked<'a>>) -> Result<Plan<'a>> {
        asked.iter().try_for_each(|asked| self.check_prompt(asked.tokens.len()))?;
        Plan::new(asked, &self.vocabulary, self.options.exchanges, self.options.seed)
    }

    /// Measures the questions at these places of the plan.
    ///
    /// The same places in the same plan give the same samples, whatever was measured before.
    ///
    /// # Errors
    ///
    /// [`Error::NotPlanned`]; [`Error::ConceptMass`] if the logits hold a NaN or `+inf`, or nothing but
    /// `-inf`; those of the model, of the judge and of the grader.
    pub fn measure(&mut self, plan: &Plan, places: &[usize]) -> Result<Vec<Sample>> {
        let questions = plan.asked.len();
        if let Some(&place) = places.iter().find(|&&place| place >= questions) {
            return Err(Error::NotPlanned { place, questions });
        }
        let prompts: Vec<Vec<u32>> =
            places.iter().map(|&i| plan.asked[i].tokens.to_vec()).collect();
        self.model.begin();
        let rows = self.model.all(&prompts)?;
        let vocab_size = self.vocabulary.vocab_size();
        if rows.len() != prompts.len() || rows.iter().any(|row| row.len() != vocab_size) {
            return Err(Error::ShortAnswer { asked: "all" });
        }
        let votes = places.iter().zip(rows).map(|(&i, ln)| self.first_vote(ln, &plan.forms[i]));
        let votes: Vec<FirstVote> = votes.collect::<Result<_>>()?;
        let answers = self.answers_to(&prompts, &votes)?;
        let case = |(at, (&i, vote)): (usize, (&usize, FirstVote))| {
            let said = &answers[&(at, vote.step.token)];
            Case { at, i, asked: &plan.asked[i], forms: &plan.forms[i], vote, said }
        };
        let cases: Vec<Case> = places.iter().zip(votes).enumerate().map(case).collect();
        // Each of these asks what it wants to know of all questions at once.
        let phrases = self.phrases(&cases)?;
        let informative = self.informative(plan, &cases)?;
        let p_true = self.p_true(&cases)?;
        let sampled = self.sampled(&cases)?;
        let later = informative.into_iter().zip(p_true.into_iter().zip(sampled));
        let measured = cases.into_iter().zip(phrases.into_iter().zip(later));
        let sample = |(case, (phrases, (informative, (p_true, sampled))))| {
            self.sample(case, &answers, Later { phrases, informative, p_true, sampled })
        };
        measured.map(sample).collect()
    }

    /// The sample of a question.
    fn sample(&mut self, case: Case, answers: &Answers, later: Later) -> Result<Sample> {
        let Case { at, asked, forms, vote, said, .. } = case;
        let scored = self.scored(asked, forms, said)?;
        let mut decisions = BTreeMap::new();
        for (decoder, choice) in &vote.choices {
            let answer = answers[&(at, choice.token())].text.clone();
            let right = self.accepts(asked.question, &answer)?;
            decisions.insert(*decoder, choice.decision(answer, right));
        }
        let (phrase_mass, phrases) = later.phrases;
        decisions.insert(Decoder::Phrases, phrases);
        let (informative, exchanged) = later.informative;
        Ok(Sample {
            schema: Schema,
            id: asked.question.id().to_owned(),
            question: asked.question.text().to_owned(),
            group: asked.question.group().map(str::to_owned),
            forms: asked.question.answers().to_vec(),
            prompt_tokens: asked.tokens.len(),
            answer: said.text.clone(),
            verdict: scored.verdict,
            scorer: self.options.scorer,
            accepted: scored.accepted,
            otherwise: scored.otherwise,
            localised: scored.localised,
            vocab_size: self.vocabulary.vocab_size(),
            later: later_steps(said, |tokens| forms.begin_with(tokens)),
            informative,
            exchanged,
            decisions,
            phrase_mass,
            sequence: said.sequence(),
            p_true: later.p_true,
            sampled: later.sampled,
            first: vote.step,
            at_temperature: vote.at_temperature,
            note: forms.note.clone(),
        })
    }

    /// Whether a prompt of so many tokens can be measured: there is one at least, and the longest
    /// answer fits behind it into what the model reads. [`plan`](Self::plan) asks that as well.
    ///
    /// # Errors
    ///
    /// [`Error::EmptyPrompt`]; [`Error::TooLong`] if a prompt and an answer exceed
    /// [`LanguageModel::context`].
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
}

/// A question of a batch, and what its first step and its greedy answer are.
struct Case<'a> {
    /// Its place in the batch,
    at: usize,
    /// and in the plan.
    i: usize,
    asked: &'a Asked<'a>,
    forms: &'a Forms,
    vote: FirstVote,
    said: &'a Said,
}

/// What is measured of a question after these.
struct Later {
    phrases: (f64, Decision),
    informative: (Informative, Vec<Exchanged>),
    p_true: Option<f64>,
    sampled: Option<Sampled>,
}

/// Steps 2 and 3 of an answer; `is_valid` says whether the tokens before one begin a form.
fn later_steps(said: &Said, is_valid: impl Fn(&[u32]) -> bool) -> Vec<LaterStep> {
    let all: Vec<u32> = said.steps.iter().map(|step| step.token).collect();
    let steps = said.steps.iter().enumerate().skip(1).take(2);
    let step = |(i, step): (usize, &crate::model::Step)| LaterStep {
        token: step.token,
        entropy: step.entropy,
        valid: is_valid(&all[..i]),
    };
    steps.map(step).collect()
}

/// The seed of one question, which does not depend on the others: FNV-1a over its id, from the
/// run's seed.
pub(crate) fn seed(seed: u64, id: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    id.bytes().fold(0xCBF2_9CE4_8422_2325 ^ seed, step)
}

#[cfg(test)]
mod tests {
    use super::seed;

    #[test]
    fn questions_have_seeds_of_their_own() {
        assert_ne!(seed(0, "a"), seed(0, "b"));
        assert_ne!(seed(0, "a"), seed(1, "a"));
        assert_eq!(seed(5, "a"), seed(5, "a"));
    }
}
