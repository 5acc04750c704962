//! What was wrong in the figures of real models, each as a small made-up case.

use std::sync::{Arc, Mutex};

use commitment_probe::{
    Asked, Continued, Decoder, Error, Grade, InProcess, LanguageModel, ProbeOptions, Prober,
    Question, Result, Sample, Sampling, Scorer, Start, Step, Stops, Until, Verdict,
};

use super::device::device;
use super::taught::{
    END, Lesson, Taught, VOCAB_SIZE, follows, measure, measured, options, prober, question,
    vocabulary,
};

const PROMPT: &str = "Q: Who?\nA:";

#[track_caller]
fn near(got: impl Into<f64>, want: f64) {
    let got = got.into();
    assert!((got - want).abs() < 2e-5, "{got}, not {want}");
}

fn who(answers: &[&str]) -> Question {
    let answers = answers.iter().map(|answer| (*answer).to_owned()).collect();
    Question::new("who", "Who?", answers, Default::default()).unwrap()
}

fn sample_with(answers: &[(&str, f64)], forms: &[&str], options: ProbeOptions) -> Sample {
    measured(&mut prober(&[(PROMPT, answers)], options, &device()), &who(forms), PROMPT)
}

fn sample(answers: &[(&str, f64)], forms: &[&str]) -> Sample {
    sample_with(answers, forms, options())
}

#[test]
fn a_right_sentence_is_right_and_says_nothing_at_its_first_token() {
    let said = [("The capital of Austria is Vienna.", 0.6), ("Vienna", 0.4)];
    let by = |scorer| sample_with(&said, &["Vienna"], ProbeOptions { scorer, ..options() });
    let contains = by(Scorer::Contains);
    assert_eq!((contains.verdict, contains.localised), (Verdict::Right, false));
    let exact = by(Scorer::Exact);
    assert_eq!((exact.verdict, exact.localised), (Verdict::Wrong, false));
    // What others would have said is there either way.
    assert_eq!(exact.accepted, contains.accepted);
    assert!(exact.accepted[&Scorer::Contains] && !exact.accepted[&Scorer::Squad]);
}

#[test]
fn a_wrong_answer_of_few_words_is_localised() {
    let localised = |answer: &str, forms: &[&str]| sample(&[(answer, 1.0)], forms).localised;
    assert!(localised("Karl Marx Junior", &["Smith"]));
    assert!(!localised("It was Karl Marx", &["Smith"]));
    assert!(localised("It was Karl Marx", &["Adam Smith"]));
}

/// "The" begins the right answer, and most wrong ones.
#[test]
fn an_article_that_wins_is_no_wrong_token_and_says_nothing() {
    let said = [("The Beatles", 0.3), ("The Moscow State", 0.5), ("Paris", 0.2)];
    let sample = sample(&said, &["The Beatles"]);
    assert_eq!(sample.verdict, Verdict::Wrong);
    near(sample.first.mass, 0.8);
    assert!(sample.is_failure(0.2) && !sample.is_strict_failure(0.2));
    let informative = &sample.informative;
    near(informative.mass, 0.3);
    near(informative.conditional.unwrap(), 0.3 / 0.8);
    assert!(!informative.winner_is_right && informative.winner.starts_with("The "));
    assert_eq!(informative.passed, ["The"]);
    near(informative.concentration.unwrap(), 1.0);
}

/// After its own article, an answer may also go on with a form that has none.
#[test]
fn the_conditional_mass_is_that_of_forms_that_go_on_or_begin() {
    let said = [("The Beatles", 0.3), ("The Moscow State", 0.5), ("Beatles", 0.2)];
    let sample = sample(&said, &["Beatles"]);
    near(sample.first.mass, 0.2);
    near(sample.informative.mass, 0.2);
    near(sample.informative.conditional.unwrap(), 0.3 / 0.8);
}

#[test]
fn numbers_are_compared_whole() {
    let said = [("1968", 0.5), ("1969", 0.3), ("2001", 0.2)];
    let sample = sample(&said, &["1969"]);
    assert!(follows(PROMPT, "1969").len() > 1, "one token is no test");
    near(sample.informative.mass, 0.3);
    assert_eq!(sample.informative.winner, "1968");
    assert!(!sample.informative.winner_is_right);
}

/// "Kenyan shillings" begins as "Kenyan shilling" does.
#[test]
fn a_plural_is_the_concepts_own() {
    let said = [("Kenyan shillings", 0.6), ("dollar", 0.4)];
    let strict = sample(&said, &["Kenyan shilling"]);
    assert!(strict.is_failure(0.2) && !strict.is_strict_failure(0.2), "{strict:?}");
    let options = ProbeOptions { endings: true, ..options() };
    assert!(sample_with(&said, &["Kenyan shilling"], options).is_right());
}

/// Of so many questions whose prompts are all the same.
fn many(first: &[&str], all: usize) -> Vec<Question> {
    let answer =
        |i: usize| first.get(i).map_or_else(|| format!("Number {i}x"), |a| (*a).to_owned());
    let question = |i: usize| {
        Question::new(i.to_string(), "Who?", vec![answer(i)], Default::default()).unwrap()
    };
    (0..all).map(question).collect()
}

fn asked<'a>(questions: &'a [Question], tokens: &'a [u32]) -> Vec<Asked<'a>> {
    questions.iter().map(|question| Asked { question, prompt: PROMPT, tokens }).collect()
}

#[test]
fn what_begins_a_twentieth_of_the_other_answers_says_nothing() {
    let said = [("Saint Peter", 0.5), ("Saint Paul", 0.3), ("Moscow", 0.2)];
    let tokens = vocabulary().encode(PROMPT).unwrap();
    for (all, is_common) in [(41, true), (42, false)] {
        let questions = many(&["Saint Paul", "Saint Peter", "Saint John"], all);
        let mut prober = prober(&[(PROMPT, &said)], options(), &device());
        let plan = prober.plan(asked(&questions, &tokens)).unwrap();
        let sample = &prober.measure(&plan, &[0]).unwrap()[0];
        // Two of forty, and two of forty-one.
        near(sample.informative.mass, if is_common { 0.3 } else { 0.8 });
        assert_eq!(sample.informative.winner_is_right, !is_common, "{all}");
        assert_eq!(sample.informative.passed.contains(&"Saint".to_owned()), is_common);
        near(sample.first.mass, 0.8);
    }
}

#[test]
fn exchanged_forms_have_the_mass_that_they_have_here() {
    let said = [("Moscow", 0.5), ("Saint Paul", 0.3), ("Paris", 0.2)];
    let tokens = vocabulary().encode(PROMPT).unwrap();
    let questions = many(&["Saint Paul", "Paris", "Moscow", "saint paul"], 6);
    let measure = |options: ProbeOptions| {
        let mut prober = prober(&[(PROMPT, &said)], options, &device());
        let plan = prober.plan(asked(&questions, &tokens)).unwrap();
        prober.measure(&plan, &[0]).unwrap().remove(0)
    };
    let mut exchanged = measure(options()).exchanged;
    exchanged.sort_by(|a, b| a.id.cmp(&b.id));
    // The fourth shares its form, and one's own are not exchanged for.
    let ids: Vec<&str> = exchanged.iter().map(|other| other.id.as_str()).collect();
    assert_eq!(ids, ["1", "2", "4", "5"]);
    near(exchanged[0].mass, 0.2);
    near(exchanged[1].mass, 0.5);
    near(exchanged[1].informative_mass, 0.5);
    let winners: Vec<(bool, bool)> =
        exchanged.iter().map(|other| (other.is_own, other.winner_is_right)).collect();
    assert_eq!(winners, [(false, false), (true, true), (false, false), (false, false)]);
    assert_eq!(measure(ProbeOptions { exchanges: 2, ..options() }).exchanged.len(), 2);
    assert!(measure(ProbeOptions { exchanges: 0, ..options() }).exchanged.is_empty());
}

#[test]
fn what_is_neither_right_nor_wrong_has_a_verdict_of_its_own() {
    let verdict = |said: &str| sample(&[(said, 1.0)], &["Smith"]).verdict;
    assert_eq!(verdict("Smith"), Verdict::Right);
    assert_eq!(verdict("Marx"), Verdict::Wrong);
    assert_eq!(verdict(""), Verdict::Empty);
    assert_eq!(verdict("I don't know."), Verdict::NotAttempted);
    let short = |said: &str, forms: &[&str], scorer| {
        let options = ProbeOptions { max_tokens: 2, scorer, ..options() };
        sample_with(&[(said, 1.0)], forms, options).verdict
    };
    let long = "Moscow is the capital of Russia";
    assert_eq!(short(long, &["Saint"], Scorer::Exact), Verdict::Cut);
    // What is right although it is cut is right.
    assert_eq!(short("Saint Paul of", &["Saint"], Scorer::Prefix), Verdict::Right);
}

#[test]
fn a_grader_sees_each_answer_once() {
    let said = [("Marx", 0.5), ("Smith", 0.3), ("nobody", 0.2)];
    let options = ProbeOptions { scorer: Scorer::Grader, samples: 30, ..options() };
    let seen = Arc::new(Mutex::new(Vec::new()));
    let graded = seen.clone();
    let mut prober = prober(&[(PROMPT, &said)], options.clone(), &device()).with_grader(
        move |question: &Question, answer: &str| {
            assert_eq!(question.answers(), ["Smith"]);
            graded.lock().unwrap().push(answer.to_owned());
            Ok(match answer {
                "Smith" => Grade::Right,
                "Marx" => Grade::NotAttempted,
                _ => Grade::Wrong,
            })
        },
    );
    let sample = measured(&mut prober, &who(&["Smith"]), PROMPT);
    assert_eq!((sample.verdict, sample.accepted[&Scorer::Grader]), (Verdict::NotAttempted, false));
    let right = sample.sampled.unwrap().answers.into_iter().filter(|answer| answer.right);
    assert!(right.clone().count() > 0 && right.clone().all(|answer| answer.text == "Smith"));
    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, ["Marx", "Smith", "nobody"]);

    let mut alone = super::taught::prober(&[(PROMPT, &said)], options, &device());
    let tokens = vocabulary().encode(PROMPT).unwrap();
    let question = who(&["Smith"]);
    let asked = Asked { question: &question, prompt: PROMPT, tokens: &tokens };
    assert!(matches!(measure(&mut alone, &[asked]), Err(Error::NoGrader)));
}

#[test]
fn an_answer_ends_at_any_stop() {
    let said = [("Smith, Adam", 0.7), ("Marx", 0.3)];
    let stops = Stops::new([",", "\n"]);
    let sample = sample_with(&said, &["Smith"], ProbeOptions { stops, ..options() });
    assert_eq!((sample.answer.as_str(), sample.verdict), ("Smith", Verdict::Right));
    near(sample.phrase_mass, 0.7);
    assert!(!sample_with(&said, &["Smith"], options()).is_right());
}

#[test]
fn a_model_is_asked_whether_its_answer_is_true() {
    let doubt = "Is Marx the answer?\nA:";
    let lessons: [Lesson; 2] = [
        (PROMPT, &[("Marx", 0.6), ("Smith", 0.4)]),
        (doubt, &[("True", 0.2), ("False", 0.6), ("Moscow", 0.2)]),
    ];
    let mut prober = prober(&lessons, options(), &device()).with_doubts(move |question, answer| {
        assert_eq!((question, answer), ("Who?", "Marx"));
        Ok((doubt.to_owned(), vocabulary().encode(doubt)?))
    });
    let sample = measured(&mut prober, &who(&["Smith"]), PROMPT);
    near(sample.p_true.unwrap(), 0.25);
    assert_eq!(sample_with(&[("Marx", 1.0)], &["Smith"], options()).p_true, None);
}

#[test]
fn the_probability_of_an_answer_is_that_of_its_tokens_and_its_end() {
    let sample = sample(&[("Adam Smith", 0.45), ("Adam Lambert", 0.3), ("Marx", 0.25)], &["Marx"]);
    near(sample.sequence.ln_probability, 0.45f64.ln());
    assert_eq!(sample.sequence.tokens, follows(PROMPT, "Adam Smith").len() + 1);
    near(sample.first.margin, 0.75 - 0.25);
}

/// A model of which nothing is known but what the interface asks.
struct Bare(InProcess<Taught>);

impl LanguageModel for Bare {
    fn vocab_size(&self) -> usize {
        self.0.vocab_size()
    }

    fn all(&mut self, sequences: &[Vec<u32>]) -> Result<Vec<Vec<f64>>> {
        self.0.all(sequences)
    }

    fn greedy(&mut self, starts: &[Start], until: &Until) -> Result<Vec<Vec<Step>>> {
        let without = |step: Step| Step { entropy: None, ..step };
        let steps = self.0.greedy(starts, until)?;
        Ok(steps.into_iter().map(|steps| steps.into_iter().map(without).collect()).collect())
    }

    fn sample(&mut self, asked: &[Sampling], until: &Until) -> Result<Vec<Vec<Vec<u32>>>> {
        self.0.sample(asked, until)
    }
}

#[test]
fn whatever_answers_the_questions_is_measured() {
    let said: [(&str, f64); 3] = [("The Beatles", 0.3), ("The Moscow State", 0.5), ("Paris", 0.2)];
    let options = ProbeOptions { samples: 5, ..options() };
    let model =
        InProcess::new(Taught::new(&[(PROMPT, &said)], &device()), VOCAB_SIZE, &device(), 16);
    let mut bare =
        Prober::new(Bare(model.unwrap()), vocabulary(), &[END], options.clone()).unwrap();
    let question = who(&["The Beatles"]);
    let bare = measured(&mut bare, &question, PROMPT);
    let whole = measured(&mut prober(&[(PROMPT, &said)], options, &device()), &question, PROMPT);
    // Without an embedding there is no such decision, and without entropies none.
    assert!(!bare.decisions.contains_key(&Decoder::Embedding));
    assert!(bare.later.iter().all(|step| step.entropy.is_none()));
    assert_eq!((bare.answer, bare.verdict), (whole.answer, whole.verdict));
    assert_eq!(bare.first, whole.first);
    assert_eq!(bare.sampled, whole.sampled);
    near(bare.phrase_mass, whole.phrase_mass);
    near(bare.informative.mass, whole.informative.mass.into());
    near(bare.sequence.ln_probability, whole.sequence.ln_probability);
}

#[test]
fn continuations_are_scored_by_the_chain_rule() {
    let said = [("Adam Smith", 0.45), ("Adam Lambert", 0.3), ("Marx", 0.25)];
    let mut model =
        InProcess::new(Taught::new(&[(PROMPT, &said)], &device()), VOCAB_SIZE, &device(), 2)
            .unwrap();
    let prompt = vocabulary().encode(PROMPT).unwrap();
    let tokens = ["Adam", "Adam Smith", "Marx", ""].map(|text| follows(PROMPT, text));
    let asked = Continued { prompt: &prompt, continuations: tokens.to_vec() };
    let scores = model.score(&[asked], &[]).unwrap();
    for (ln, want) in scores[0].iter().zip([0.75, 0.45, 0.25, 1.0]) {
        near(ln.exp(), want);
    }
    let best = &model.likeliest(&[prompt], 2).unwrap()[0];
    assert_eq!(
        best.iter().map(|(token, _)| *token).collect::<Vec<_>>(),
        [tokens[0][0], tokens[2][0]]
    );
    near(best[1].1.exp(), 0.25);
}

/// After a text in a script without spaces, an answer in one is not taken for the end of a word.
#[test]
fn answers_in_scripts_without_spaces_begin_after_such_a_prompt() {
    let prompt = "首都是";
    let vocabulary = vocabulary();
    let tokens = vocabulary.encode(prompt).unwrap();
    let question = question(r#"{"id": "c", "question": "首都？", "answers": ["北京"]}"#);
    let answer = vocabulary.encode("北京").unwrap();
    assert!(!tokens.is_empty() && !answer.is_empty());
    let mut prober = prober(&[(prompt, &[("北京", 1.0)])], options(), &device());
    let sample = measured(&mut prober, &question, prompt);
    assert_ne!(sample.verdict, Verdict::Unmeasured, "{sample:?}");
    assert!(sample.first.firsts > 0 && sample.note.is_none());
}
