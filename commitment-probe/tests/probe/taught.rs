//! A model of which everything is known: it gives each of its answers the share that it was taught.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Result, Tensor};
use commitment_probe::{
    Asked, InProcess, LanguageModel, LogitsModel, ProbeOptions, Prober, Question, Sample,
};
use concept_mass::{
    phrase::NextLogits,
    source::{Embedding, Vocabulary},
};

use super::device::device;

pub const VOCAB_SIZE: usize = 1152;
/// The end of an answer.
pub const END: u32 = 0;

/// What tokens have that no answer goes on with.
const NOTHING: f64 = 1e-12;

/// A prompt, and the answers that follow it, with their shares.
pub type Lesson<'a> = (&'a str, &'a [(&'a str, f64)]);

/// Token sequences, ended, and their shares.
type Answers = Vec<(Vec<u32>, f64)>;

pub struct Taught {
    /// By prompt.
    lessons: Vec<(Vec<u32>, Answers)>,
    device: Device,
}

impl Taught {
    pub fn new(lessons: &[Lesson], device: &Device) -> Self {
        let vocabulary = vocabulary();
        let answers = |prompt: &str, answers: &[(&str, f64)]| {
            let answer = |&(text, share): &(&str, f64)| {
                (follows(prompt, text).into_iter().chain([END]).collect(), share)
            };
            answers.iter().map(answer).collect()
        };
        let lesson = |&(prompt, of)| (vocabulary.encode(prompt).unwrap(), answers(prompt, of));
        Self { lessons: lessons.iter().map(lesson).collect(), device: device.clone() }
    }

    /// The probability of every token that has one, after the tokens of an answer.
    fn next(&self, sequence: &[u32]) -> BTreeMap<u32, f64> {
        let lesson = self.lessons.iter().find(|(prompt, _)| sequence.starts_with(prompt));
        let (prompt, answers) = lesson.expect("a prompt that was taught");
        let said = &sequence[prompt.len()..];
        let mut next = BTreeMap::new();
        for (answer, share) in answers.iter().filter(|(answer, _)| answer.starts_with(said)) {
            if let Some(&token) = answer.get(said.len()) {
                *next.entry(token).or_insert(0.0) += share;
            }
        }
        if next.is_empty() {
            next.insert(END, 1.0);
        }
        let all: f64 = next.values().sum();
        next.into_iter().map(|(token, share)| (token, share / all)).collect()
    }
}

impl NextLogits for Taught {
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        let mut rows = Vec::new();
        for sequence in sequences {
            let next = self.next(sequence);
            let ln = |token| next.get(&token).copied().unwrap_or(NOTHING).ln() as f32;
            rows.extend((0..VOCAB_SIZE as u32).map(ln));
        }
        Tensor::from_vec(rows, (sequences.len(), VOCAB_SIZE), &self.device)
    }

    fn context(&self) -> Option<usize> {
        Some(128)
    }
}

impl LogitsModel for Taught {}

pub fn vocabulary() -> Vocabulary {
    let path = concept_mass_tiny::folder().join("tokenizer.json");
    Vocabulary::load(path, VOCAB_SIZE).unwrap()
}

/// The tokens of `text` as it follows `prompt`; of nothing, none.
pub fn follows(prompt: &str, text: &str) -> Vec<u32> {
    if text.is_empty() {
        return Vec::new();
    }
    let vocabulary = vocabulary();
    let before = vocabulary.encode(prompt).unwrap();
    let whole = vocabulary.encode(&format!("{prompt} {text}")).unwrap();
    whole.strip_prefix(&before[..]).unwrap().to_vec()
}

/// Few answers, and no sampling.
pub fn options() -> ProbeOptions {
    ProbeOptions { samples: 0, ..ProbeOptions::default() }
}

pub fn prober(
    lessons: &[Lesson],
    options: ProbeOptions,
    device: &Device,
) -> Prober<InProcess<Taught>> {
    let embedding = Tensor::eye(VOCAB_SIZE, DType::F32, device).unwrap();
    let embedding = Embedding::new(&embedding).unwrap();
    let model = Taught::new(lessons, device);
    let model = InProcess::new(model, VOCAB_SIZE, device, options.batch).unwrap();
    let prober = Prober::new(model, vocabulary(), &[END], options).unwrap();
    prober.with_embedding(embedding).unwrap()
}

/// What is measured of all these questions, as one batch.
pub fn measure<M: LanguageModel>(
    prober: &mut Prober<M>,
    asked: &[Asked],
) -> commitment_probe::Result<Vec<Sample>> {
    let plan = prober.plan(asked.to_vec())?;
    prober.measure(&plan, &(0..asked.len()).collect::<Vec<_>>())
}

pub fn question(text: &str) -> Question {
    Question::parse(text).unwrap().remove(0)
}

/// What is measured of `question` after `prompt`.
pub fn measured<M: LanguageModel>(
    prober: &mut Prober<M>,
    question: &Question,
    prompt: &str,
) -> Sample {
    let tokens = vocabulary().encode(prompt).unwrap();
    measure(prober, &[Asked { question, prompt, tokens: &tokens }]).unwrap().remove(0)
}

/// On the device that is tested.
pub fn sample(lesson: Lesson, asked: &str) -> Sample {
    measured(&mut prober(&[lesson], options(), &device()), &question(asked), lesson.0)
}
