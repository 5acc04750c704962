//! What is measured of models that are known in full.

use std::f64::consts::LN_2;

use candle_core::{DType, Device, Tensor};
use commitment_probe::{
    Asked, Decision, Decoder, Error, InProcess, Kind, LogitsModel, ProbeOptions, Prober, Sample,
    TEMPERATURES, Verdict, Vote,
};
use concept_mass::source::tokenizers::{
    Tokenizer, models::wordlevel::WordLevel, pre_tokenizers::whitespace::Whitespace,
};
use concept_mass::{
    phrase::NextLogits,
    sample::TopKPooling,
    source::{Embedding, JudgeError, Vocabulary},
};

use super::device::device;
use super::taught::{
    END, Lesson, Taught, VOCAB_SIZE, follows, measure, measured, options, prober, question, sample,
    vocabulary,
};

const RED_SQUARE: Lesson = (
    "Q: Which cathedral did Ivan the Terrible build on Red Square?\nA:",
    &[
        ("Saint Basil's Cathedral", 0.24),
        ("St. Basil's Cathedral", 0.13),
        ("Cathedral of Vasily the Blessed", 0.12),
        ("Moscow", 0.31),
        ("Red Square", 0.20),
    ],
);

const CATHEDRAL: &str = r#"{
    "id": "red-square", "question": "Which cathedral did Ivan the Terrible build on Red Square?",
    "answers": ["Saint Basil's Cathedral", "St. Basil's Cathedral", "Cathedral of Vasily the Blessed"]
}"#;

const WEALTH: Lesson = (
    "Q: Who wrote The Wealth of Nations?\nA:",
    &[("Adam Smith", 0.27), ("Smith", 0.18), ("Adam Lambert", 0.34), ("Karl Marx", 0.21)],
);

const SMITH: &str = r#"{
    "id": "wealth", "question": "Who wrote The Wealth of Nations?",
    "answers": ["Adam Smith", "Smith"], "others": {"Adam Lambert": ["Adam Lambert"]}
}"#;

#[track_caller]
fn decision(sample: &Sample, decoder: Decoder) -> &Decision {
    &sample.decisions[&decoder]
}

#[track_caller]
fn vote(decision: &Decision) -> Vote {
    decision.vote.expect("a decoder that counts at the first step")
}

#[track_caller]
fn near(got: f64, want: f64) {
    assert!((got - want).abs() < 2e-5, "{got}, not {want}");
}

fn entropy(shares: &[f64]) -> f64 {
    shares.iter().map(|p| -p * p.ln()).sum()
}

#[test]
fn the_example_of_the_paper() {
    let sample = sample(RED_SQUARE, CATHEDRAL);
    assert_eq!((sample.answer.as_str(), sample.verdict), ("Moscow", Verdict::Wrong));

    let first = &sample.first;
    assert_eq!((first.text.as_str(), first.begins_answer), ("Mos", false));
    near(first.probability.into(), 0.31);
    near(first.mass.into(), 0.49);
    near(first.concentration.unwrap().into(), 0.24 / 0.49);
    near(first.token_entropy.into(), entropy(&[0.24, 0.13, 0.12, 0.31, 0.20]));
    for (tau, is_failure) in [(0.2, true), (0.4, true), (0.5, false)] {
        assert_eq!(sample.is_failure(tau), is_failure, "{tau}");
    }

    assert!(Decoder::others().eq(sample.decisions.keys().copied()), "{:?}", sample.decisions);
    let aliases = decision(&sample, Decoder::Aliases);
    assert_eq!(aliases.concept.as_deref(), Some("Saint Basil's Cathedral"));
    assert_eq!((aliases.answer.as_str(), aliases.right), ("Saint Basil's Cathedral", true));
    near(aliases.mass, 0.49);
    near(vote(aliases).concentration.into(), 0.24 / 0.49);
    near(vote(aliases).entropy.into(), entropy(&[0.49, 0.31, 0.20]));

    // Neither spelling nor an embedding of rows at right angles pools anything here.
    for decision in [Decoder::Spelling, Decoder::Embedding].map(|d| decision(&sample, d)) {
        assert_eq!((decision.answer.as_str(), decision.right), ("Moscow", false));
        near(decision.mass, 0.31);
    }

    let phrases = decision(&sample, Decoder::Phrases);
    assert_eq!(phrases.concept.as_deref(), Some("Saint Basil's Cathedral"));
    assert_eq!((phrases.answer.as_str(), phrases.right), ("Saint Basil's Cathedral", true));
    near(sample.phrase_mass, 0.49);
    near(phrases.mass, 0.49);
    assert_eq!(phrases.vote, None);

    // After `Mos`, nothing is open; and it begins no right answer.
    let second = &sample.later[0];
    near(second.entropy.unwrap().into(), 0.0);
    assert!(!second.valid);
    assert_eq!((&sample.sampled, &sample.note), (&None, &None));
}

#[test]
fn a_sample_has_the_tokens_that_compete() {
    let strict = sample(RED_SQUARE, CATHEDRAL);
    assert_eq!(
        strict.forms,
        ["Saint Basil's Cathedral", "St. Basil's Cathedral", "Cathedral of Vasily the Blessed"]
    );
    assert!(strict.prompt_tokens > 5);
    let likely = |sample: &Sample| -> Vec<(String, bool)> {
        let tokens = sample.first.tokens.iter().filter(|token| token.probability > 0.01);
        tokens.map(|token| (token.text.clone(), token.begins_answer)).collect()
    };
    let expected =
        [(" Mos", false), (" Saint", true), (" Red", false), (" St", true), (" C", true)];
    assert_eq!(likely(&strict), expected.map(|(text, begins)| (text.to_owned(), begins)));
    let tokens = &strict.first.tokens;
    assert_eq!(
        (tokens[0].token, tokens[0].probability),
        (strict.first.token, strict.first.probability)
    );
    assert!(tokens.is_sorted_by(|a, b| a.probability >= b.probability), "{tokens:?}");
    // The likeliest of F are there, however unlikely: without the space, too.
    let own = tokens.iter().filter(|token| token.begins_answer).count();
    assert_eq!(own, strict.first.firsts.min(5), "{tokens:?}");
    assert!(own > 3 && tokens.len() == own + 2, "{tokens:?}");
    for (tau, kind) in [(0.2, Kind::StrictFailure), (0.5, Kind::OtherWrong)] {
        assert_eq!(strict.kind(tau), Some(kind), "{tau}");
    }
    let later = sample(WEALTH, SMITH);
    assert_eq!(later.answer, "Adam Lambert");
    for (tau, kind) in [(0.2, Kind::BeginsRight), (0.9, Kind::GoesWrongLater)] {
        assert_eq!(later.kind(tau), Some(kind), "{tau}");
    }
}

#[test]
fn the_mass_at_other_temperatures_is_that_of_the_scaled_logits() {
    let sample = sample(RED_SQUARE, CATHEDRAL);
    assert_eq!(sample.at_temperature.len(), TEMPERATURES.len());
    for at in &sample.at_temperature {
        // What nothing was taught of has a share, too, which the temperature raises.
        let scaled = |share: f64| share.powf(1.0 / at.temperature);
        let rest = (VOCAB_SIZE - 5) as f64 * scaled(1e-12);
        let right: f64 = [0.24, 0.13, 0.12].map(scaled).iter().sum();
        let wrong: f64 = [0.31, 0.20].map(scaled).iter().sum();
        // Forms have tokens that stand for them without a space before, of no share.
        let got = f64::from(at.mass);
        assert!((got - right / (right + wrong + rest)).abs() < 2e-4, "{at:?}");
    }
}

#[test]
fn a_phrase_that_goes_wrong_after_its_first_token() {
    let sample = sample(WEALTH, SMITH);
    assert_eq!((sample.answer.as_str(), sample.verdict), ("Adam Lambert", Verdict::Wrong));
    assert!(sample.first.begins_answer);
    near(sample.first.mass.into(), 0.79); // Adam, and Smith
    near(sample.first.concentration.unwrap().into(), 0.61 / 0.79);
    // Of `Adam`, Smith and Lambert are left.
    let [second, third] = &sample.later[..] else { panic!("{sample:?}") };
    near(second.entropy.unwrap().into(), entropy(&[0.27 / 0.61, 0.34 / 0.61]));
    // Before it is Adam, and before the third token Adam Lambert.
    assert!(second.valid && !third.valid);
    // `Adam` begins both, so it is left out of the map, and wins by itself.
    let aliases = decision(&sample, Decoder::Aliases);
    assert_eq!((aliases.concept.as_deref(), aliases.right), (Some("Adam"), false));
    near(sample.phrase_mass, 0.45);
    let phrases = decision(&sample, Decoder::Phrases);
    assert_eq!((phrases.answer.as_str(), phrases.right), ("Adam Smith", true));
}

#[test]
fn the_beginning_of_a_right_answer_is_valid() {
    let prompt = "Q: Who?\nA:";
    let lesson: Lesson = (prompt, &[("Adam Smith", 0.7), ("Karl Marx", 0.3)]);
    let asked = r#"{"id": "who", "question": "Who?", "answers": ["Adam Smith"]}"#;
    assert!(sample(lesson, asked).later.iter().all(|step| step.valid));
    // One token, and then the end.
    assert_eq!(follows(prompt, "Smith").len(), 1);
    let asked = r#"{"id": "who", "question": "Who?", "answers": ["Smith"]}"#;
    let sample = sample((prompt, &[("Smith", 0.7), ("Karl Marx", 0.3)]), asked);
    let [end] = &sample.later[..] else { panic!("{sample:?}") };
    assert!(sample.is_right() && end.token == END && end.valid);
}

#[test]
fn answers_with_a_full_stop_are_the_answer() {
    let lesson: Lesson = ("Q: Who?\nA:", &[("Smith.", 0.4), ("Smith", 0.2), ("Marx", 0.4)]);
    let asked = r#"{"id": "who", "question": "Who?", "answers": ["Smith"]}"#;
    let sample = sample(lesson, asked);
    assert!(sample.is_right(), "{sample:?}");
    near(sample.phrase_mass, 0.6);
}

#[test]
fn silence_is_an_answer() {
    let asked = r#"{"id": "who", "question": "Who?", "answers": ["Adam Smith", "Smith"]}"#;
    let lesson: Lesson = ("Q: Who?\nA:", &[("", 0.4), ("Smith", 0.35), ("Adam Smith", 0.25)]);
    let outvoted = sample(lesson, asked);
    assert_eq!((outvoted.verdict, outvoted.answer.as_str()), (Verdict::Empty, ""));
    assert!(outvoted.later.is_empty());
    near(outvoted.phrase_mass, 0.6);
    let phrases = decision(&outvoted, Decoder::Phrases);
    assert_eq!((phrases.answer.as_str(), phrases.right), ("Smith", true));

    let lesson: Lesson = ("Q: Who?\nA:", &[("", 0.6), ("Smith", 0.4)]);
    let sample = sample(lesson, asked);
    let silent = decision(&sample, Decoder::Phrases);
    near(sample.phrase_mass, 0.4);
    near(silent.mass, 0.6);
    assert_eq!((silent.answer.as_str(), silent.right), ("", false));
}

/// The same logits whatever comes before.
struct Fixed(Tensor);

impl LogitsModel for Fixed {}

impl NextLogits for Fixed {
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> candle_core::Result<Tensor> {
        self.0.repeat((sequences.len(), 1))
    }
}

#[test]
fn a_question_none_of_whose_forms_can_follow_the_prompt_says_so() {
    let words = ["[UNK]", "Who", "Smith", "Marx", "[END]"];
    let ids = (0u32..).zip(words).map(|(id, word)| (word.to_owned(), id)).collect();
    let words = WordLevel::builder().vocab(ids).unk_token("[UNK]".into()).build().unwrap();
    let mut tokenizer = Tokenizer::new(words);
    tokenizer.with_pre_tokenizer(Some(Whitespace {}));
    let vocabulary = Vocabulary::new(tokenizer, 5).unwrap();
    let device = device();
    let logits = Tensor::new(&[[0f32, 0.0, 1.0, 3.0, 2.0]], &device).unwrap();
    let embedding = Embedding::new(&Tensor::eye(5, DType::F32, &device).unwrap()).unwrap();
    let options = ProbeOptions { max_tokens: 2, ..options() };
    let model = InProcess::new(Fixed(logits), 5, &device, options.batch).unwrap();
    let prober = Prober::new(model, vocabulary, &[4], options).unwrap();
    let mut prober = prober.with_embedding(embedding).unwrap();

    let known = question(r#"{"id": "a", "question": "Who", "answers": ["Smith"]}"#);
    let unknown = question(
        r#"{"id": "b", "question": "Who", "answers": ["Lambert"], "others": {"Marx": ["Marx"]}}"#,
    );
    let asked = [&known, &unknown].map(|question| Asked { question, prompt: "Who", tokens: &[1] });
    let samples = measure(&mut prober, &asked).unwrap();
    assert!(samples[0].first.mass > 0.05 && samples[0].note.is_none(), "{:?}", samples[0]);
    let Sample { first, note, phrase_mass, .. } = &samples[1];
    let aliases = decision(&samples[1], Decoder::Aliases);
    assert_eq!((first.mass, first.concentration, *phrase_mass), (0.0, None, 0.0));
    assert!(samples[1].at_temperature.iter().all(|at| at.mass == 0.0));
    assert_eq!((aliases.concept.as_deref(), first.begins_answer), (Some("Marx"), false));
    assert!(note.as_ref().is_some_and(|note| note.contains("no form of the answer")), "{note:?}");
}

/// Every field of the first step, and what follows of it.
fn first_steps(samples: &[Sample]) -> Vec<(u32, [u32; 3], bool, Vec<f64>)> {
    let step = |sample: &Sample| {
        let decisions = [Decoder::Aliases, Decoder::Spelling, Decoder::Embedding]
            .map(|decoder| decision(sample, decoder));
        let mut numbers = vec![
            sample.first.probability.into(),
            sample.first.mass.into(),
            sample.first.concentration.unwrap_or(-1.0).into(),
            sample.first.token_entropy.into(),
        ];
        for decision in decisions {
            let vote = vote(decision);
            numbers.extend([decision.mass, vote.concentration.into(), vote.entropy.into()]);
        }
        numbers.extend(sample.at_temperature.iter().map(|at| f64::from(at.mass)));
        (sample.first.token, decisions.map(|d| vote(d).token), sample.first.begins_answer, numbers)
    };
    samples.iter().map(step).collect()
}

/// Two questions whose prompts are equally long.
const ALIKE: [Lesson; 2] = [
    ("Q: Who?\nA:", &[("Adam Smith", 0.3), ("Smith", 0.25), ("Karl Marx", 0.45)]),
    ("Q: Who?\nB:", &[("Marie Curie", 0.2), ("Smith", 0.5), ("curie", 0.3)]),
];

fn alike(options: ProbeOptions, device: &Device) -> [Vec<Sample>; 2] {
    let mut prober = prober(&ALIKE, options, device);
    let questions = [
        question(r#"{"id": "a", "question": "Who?", "answers": ["Adam Smith", "Smith"]}"#),
        question(r#"{"id": "b", "question": "Who?", "answers": ["Marie Curie", "Curie"]}"#),
    ];
    let tokens = ALIKE.map(|(prompt, _)| vocabulary().encode(prompt).unwrap());
    assert_eq!(tokens[0].len(), tokens[1].len());
    let asked: Vec<Asked> = (0..2)
        .map(|i| Asked { question: &questions[i], prompt: ALIKE[i].0, tokens: &tokens[i] })
        .collect();
    let plan = prober.plan(asked).unwrap();
    let together = prober.measure(&plan, &[0, 1]).unwrap();
    let one_by_one = (0..2).map(|i| prober.measure(&plan, &[i]).unwrap().remove(0));
    [together, one_by_one.collect()]
}

#[test]
fn a_batch_measures_what_its_questions_measure_alone() {
    let options = ProbeOptions { samples: 5, ..options() };
    let [together, alone] = alike(options, &device());
    assert_eq!(together, alone);
}

#[test]
fn the_first_step_on_the_device_is_that_on_the_cpu() {
    let [here, _] = alike(options(), &device());
    let [there, _] = alike(options(), &Device::Cpu);
    for (here, there) in first_steps(&here).iter().zip(first_steps(&there)) {
        assert_eq!((here.0, here.1, here.2), (there.0, there.1, there.2));
        for (here, there) in here.3.iter().zip(&there.3) {
            assert!((here - there).abs() < 1e-5, "{here} {there}");
        }
    }
    for (here, there) in here.iter().zip(&there) {
        let answers = |sample: &Sample| {
            (sample.answer.clone(), decision(sample, Decoder::Phrases).answer.clone())
        };
        assert_eq!(answers(here), answers(there));
        assert!((here.phrase_mass - there.phrase_mass).abs() < 1e-5);
    }
}

#[test]
fn sampled_answers_come_as_often_as_they_are_likely() {
    let samples = if device().is_cpu() { 400 } else { 60 };
    let options = ProbeOptions { samples, ..options() };
    let mut prober = prober(&[WEALTH], options, &device());
    let asked = question(SMITH);
    let drawn = measured(&mut prober, &asked, WEALTH.0).sampled.unwrap();
    assert_eq!(drawn.answers.len(), samples);
    for (text, share) in WEALTH.1 {
        let count = drawn.answers.iter().filter(|answer| answer.text == *text).count();
        let sigma = (samples as f64 * share * (1.0 - share)).sqrt();
        assert!((count as f64 - samples as f64 * share).abs() < 4.0 * sigma, "{text}: {count}");
    }
    assert!(drawn.answers.iter().all(|a| a.right == a.text.ends_with("Smith")));
    // Four texts, three clusters: two contain a form of one answer.
    assert_eq!(drawn.answers.iter().map(|answer| answer.cluster).max(), Some(2));
    // The same seed, the same answers; of another question, others.
    assert_eq!(measured(&mut prober, &asked, WEALTH.0).sampled.unwrap(), drawn);
    let other = question(&SMITH.replace("\"wealth\"", "\"wealth-2\""));
    assert_ne!(measured(&mut prober, &other, WEALTH.0).sampled.unwrap(), drawn);
}

#[test]
fn a_judge_has_the_last_word_on_what_means_the_same() {
    let options = ProbeOptions { samples: 40, ..options() };
    let mut prober = prober(&[WEALTH], options, &device()).with_judge(
        |texts: &[&str]| -> Result<Vec<Vec<usize>>, JudgeError> {
            assert!(texts.iter().all(|text| text.starts_with("Who wrote The Wealth of Nations? ")));
            let is_smith = |&i: &usize| texts[i].ends_with("Smith");
            Ok(vec![(0..texts.len()).filter(is_smith).collect()])
        },
    );
    let drawn = measured(&mut prober, &question(SMITH), WEALTH.0).sampled.unwrap();
    let of = |text: &str| drawn.answers.iter().find(|answer| answer.text == text).unwrap().cluster;
    assert_eq!(of("Smith"), of("Adam Smith"));
    assert_ne!(of("Smith"), of("Karl Marx"));
    let count = |of: usize| drawn.answers.iter().filter(|answer| answer.cluster == of).count();
    let largest = drawn.answers.iter().map(|answer| count(answer.cluster)).max();
    assert_eq!(Some(count(drawn.majority().unwrap().cluster)), largest);
    assert!(drawn.judged);
    assert!(drawn.entropy > 0.0 && drawn.entropy < 2.0 * LN_2);
}

#[test]
fn unfit_options_and_prompts_are_refused() {
    let device = device();
    let make = |options: ProbeOptions, rows: usize| {
        let embedding = Tensor::zeros((rows, 4), DType::F32, &device).unwrap();
        let embedding = Embedding::new(&embedding).unwrap();
        let model =
            InProcess::new(Taught::new(&[WEALTH], &device), VOCAB_SIZE, &device, 4).unwrap();
        let made = Prober::new(model, vocabulary(), &[END], options);
        made.and_then(|prober| prober.with_embedding(embedding))
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default()
    };
    let refused = |change: fn(&mut ProbeOptions), part: &str| {
        let mut options = options();
        change(&mut options);
        let said = make(options, VOCAB_SIZE);
        assert!(said.contains(part), "{said:?}");
    };
    refused(|options| options.max_tokens = 0, "max_tokens = 0");
    refused(|options| options.batch = 0, "batch = 0");
    refused(|options| options.temperature = 0.0, "temperature = 0");
    refused(|options| options.pooling = TopKPooling { k: 0, threshold: 0.5 }, "top_k = 0");
    refused(|options| options.pooling = TopKPooling { k: 5, threshold: 2.0 }, "threshold = 2");
    // Numbers that would set the size of an allocation, or never be reached.
    for huge in [100_000_000_000, usize::MAX / 2, usize::MAX] {
        for set in [
            (|options, huge| options.max_tokens = huge) as fn(&mut ProbeOptions, usize),
            |options, huge| options.batch = huge,
            |options, huge| options.samples = huge,
            |options, huge| options.exchanges = huge,
        ] {
            let mut options = options();
            set(&mut options, huge);
            let said = make(options, VOCAB_SIZE);
            assert!(said.contains(&format!(" = {huge} cannot be used")), "{said:?}");
        }
    }
    for temperature in [f64::NAN, f64::INFINITY, -1.0] {
        let said = make(ProbeOptions { temperature, ..options() }, VOCAB_SIZE);
        assert!(said.contains("temperature = "), "{said:?}");
    }
    let nan = TopKPooling { k: 5, threshold: f32::NAN };
    assert!(make(ProbeOptions { pooling: nan, ..options() }, VOCAB_SIZE).contains("threshold"));
    assert!(make(options(), 9).contains("9 rows"));
    let in_process =
        || InProcess::new(Taught::new(&[WEALTH], &device), VOCAB_SIZE, &device, 4).unwrap();
    let error = Prober::new(in_process(), vocabulary(), &[END, VOCAB_SIZE as u32], options()).err();
    assert!(matches!(error, Some(Error::EndToken { token: 1152, vocab_size: 1152 })), "{error:?}");
    let narrow = InProcess::new(Taught::new(&[WEALTH], &device), 9, &device, 4).unwrap();
    let error = Prober::new(narrow, vocabulary(), &[END], options()).err();
    assert!(matches!(error, Some(Error::VocabSize { vocabulary: 1152, model: 9 })), "{error:?}");
    let error = InProcess::new(Taught::new(&[WEALTH], &device), 9, &device, 0).err();
    assert!(matches!(error, Some(Error::ProbeOption { option: "batch", .. })), "{error:?}");

    let mut prober = prober(&[WEALTH], options(), &device);
    let question = question(SMITH);
    let mut fails = |tokens: &[u32]| {
        measure(&mut prober, &[Asked { question: &question, prompt: WEALTH.0, tokens }])
            .unwrap_err()
    };
    assert!(matches!(fails(&[]), Error::EmptyPrompt));
    let error = fails(&[5; 120]);
    assert!(matches!(error, Error::TooLong { prompt: 120, answer: 24, context: 128 }), "{error}");
    assert!(measure(&mut prober, &[]).unwrap().is_empty());
}
