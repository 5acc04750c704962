//! Logits and embeddings that are unusual, and legal.

use candle_core::{DType, Result, Tensor};
use commitment_probe::{
    Decoder, InProcess, LogitsModel, ProbeOptions, Prober, Question, Sample, TEMPERATURES,
};
use concept_mass::{phrase::NextLogits, source::Embedding};

use super::device::device;
use super::taught::{
    END, Lesson, Taught, VOCAB_SIZE, follows, measured, options, question, vocabulary,
};

const PROMPT: &str = "Q: Who?\nA:";

const WHO: Lesson =
    (PROMPT, &[("Adam Smith", 0.3), ("Smith", 0.25), ("Karl Marx", 0.4), ("", 0.05)]);

fn smith() -> Question {
    question(r#"{"id": "who", "question": "Who?", "answers": ["Adam Smith", "Smith"]}"#)
}

fn identity(rows: usize) -> Embedding {
    Embedding::new(&Tensor::eye(rows, DType::F32, &device()).unwrap()).unwrap()
}

fn measure<M: LogitsModel>(model: M, embedding: Embedding, options: ProbeOptions) -> Sample {
    let (device, question) = (device(), smith());
    let model = InProcess::new(model, VOCAB_SIZE, &device, options.batch).unwrap();
    let prober = Prober::new(model, vocabulary(), &[END], options).unwrap();
    measured(&mut prober.with_embedding(embedding).unwrap(), &question, PROMPT)
}

/// The same logits whatever comes before.
struct Fixed(Vec<f32>);

impl Fixed {
    /// `of_smith` for the token of ` Smith`, `end` for the end, and `rest` for all others.
    fn new(of_smith: f32, end: f32, rest: f32) -> Self {
        let mut logits = vec![rest; VOCAB_SIZE];
        logits[END as usize] = end;
        logits[follows(PROMPT, "Smith")[0] as usize] = of_smith;
        Self(logits)
    }
}

impl LogitsModel for Fixed {}

impl NextLogits for Fixed {
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        Tensor::new(&self.0[..], &device())?.repeat((sequences.len(), 1))
    }
}

fn short() -> ProbeOptions {
    ProbeOptions { max_tokens: 3, ..options() }
}

/// An `f32` has no digits left for `ln 2` there.
#[test]
fn silence_has_its_share_however_large_the_logits_are() {
    for largest in [0.0, 3e7, 3e38] {
        let rest = if largest == 0.0 { -1e4 } else { 0.0 };
        let sample = measure(Fixed::new(largest, largest, rest), identity(VOCAB_SIZE), short());
        let silence = &sample.decisions[&Decoder::Phrases];
        assert_eq!((silence.answer.as_str(), silence.mass), ("", 0.5), "{largest}");
        assert_eq!(sample.first.mass, 0.5, "{largest}");
    }
}

#[test]
fn the_mass_at_any_temperature_is_a_probability_however_large_the_logits_are() {
    let extremes = [f32::MAX, 3e38, 1e38, 1.0, 0.0, -1e38, -3e38, f32::MIN, f32::NEG_INFINITY];
    for of_smith in extremes {
        for rest in extremes.into_iter().filter(|rest| of_smith.max(*rest) > f32::NEG_INFINITY) {
            let model = Fixed::new(of_smith, rest, rest);
            let sample = measure(model, identity(VOCAB_SIZE), short());
            let masses: Vec<f32> = sample.at_temperature.iter().map(|at| at.mass).collect();
            assert_eq!(masses.len(), TEMPERATURES.len());
            // What is 1e38 apart is so at every temperature.
            let far = |&mass: &f32| (mass - sample.first.mass).abs() < 1e-6;
            let near = (of_smith - rest).abs() == 1.0;
            assert!(near || masses.iter().all(far), "{of_smith} {rest}: {masses:?}");
            assert!(masses.iter().all(|mass| (0.0..=1.0).contains(mass)), "{of_smith} {rest}");
            // What is not a number is written as null, and not read again.
            let written = serde_json::to_string(&sample).unwrap();
            assert_eq!(serde_json::from_str::<Sample>(&written).unwrap(), sample);
        }
    }
}

/// As where a matrix is padded to a multiple of 64.
#[test]
fn an_embedding_may_have_more_rows_than_the_vocabulary_has_tokens() {
    let exact = measure(Taught::new(&[WHO], &device()), identity(VOCAB_SIZE), options());
    let padded = measure(Taught::new(&[WHO], &device()), identity(VOCAB_SIZE + 8), options());
    assert_eq!(padded, exact);
}

/// A model that computes in another dtype.
struct In(DType, Taught);

impl LogitsModel for In {}

impl NextLogits for In {
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        self.1.next_logits(sequences)?.to_dtype(self.0)
    }
}

#[test]
fn logits_of_f64_are_measured_at_every_step() {
    let options = ProbeOptions { samples: 4, ..options() };
    let measure = |dtype: DType| {
        measure(In(dtype, Taught::new(&[WHO], &device())), identity(VOCAB_SIZE), options.clone())
    };
    let sample = measure(DType::F64);
    assert!(sample.sampled.is_some() && !sample.later.is_empty());
    assert_eq!(sample, measure(DType::F32));
}
