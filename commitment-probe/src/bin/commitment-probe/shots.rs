//! Examples with answers, which are shown before a question: which they are, and which questions
//! they give away.

use anyhow::{Context, Result, ensure};
use commitment_probe::is_match;

use crate::python_random::PythonRandom;

/// Shown by default to a model that continues texts: one of each kind of short answer, and none that
/// a list of questions is likely to ask for.
const GENERAL: [(&str, &str); 6] = [
    ("Who wrote the novel Oblomov?", "Ivan Goncharov"),
    ("In which town was Johannes Kepler born?", "Weil der Stadt"),
    ("In which year was the University of Uppsala founded?", "1477"),
    ("What is seventeen times twenty-three?", "391"),
    ("What is the chemical symbol of praseodymium?", "Pr"),
    ("In which book of 1753 did Carl Linnaeus name the plants?", "Species Plantarum"),
];

/// A question with its answer, as an example.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shot {
    /// What is asked.
    pub question: String,
    /// The one form of the answer that is shown.
    pub answer: String,
}

impl Shot {
    /// A question with its answer, both verbatim.
    pub fn new(question: impl Into<String>, answer: impl Into<String>) -> Self {
        Self { question: question.into(), answer: answer.into() }
    }

    /// Short general ones, in their order: the default for models that continue texts.
    pub fn general() -> Vec<Self> {
        GENERAL.into_iter().map(|(question, answer)| Self::new(question, answer)).collect()
    }

    /// Those of a file: its questions, each with the usual form of its answer.
    ///
    /// Fails if there is none.
    pub fn all(pairs: Vec<(String, String)>) -> Result<Vec<Self>> {
        ensure!(!pairs.is_empty(), "there are no questions for --shots");
        Ok(pairs.into_iter().map(|(question, answer)| Self::new(question, answer)).collect())
    }
}

/// Whether one of `shots` asks this question, or has one of the acceptable `forms` of its answer:
/// what the model would say then, it may have read.
///
/// They are compared as the scorer `exact` compares answers.
pub fn is_in_a_shot<'a>(
    question: &str,
    forms: &[String],
    shots: impl IntoIterator<Item = &'a Shot>,
) -> bool {
    shots
        .into_iter()
        .any(|shot| is_match(&shot.question, [question]) || is_match(&shot.answer, forms))
}

/// How the shots of a question are chosen from a list, question by question in their order: as
/// lm-evaluation-harness 0.4.13 chooses them from the split `train`.
///
/// A question that is itself in the list is not shown before itself.
#[derive(Debug, Clone)]
pub enum Choice {
    /// The first ones: its sampler `first_n`.
    First,
    /// At random, others for each question: its sampler `default`. The generator goes on from
    /// question to question, so the shots of a question depend on how many are before it.
    Drawn(Box<PythonRandom>),
}

impl Choice {
    /// The seed of lm-evaluation-harness, unless it is given another.
    pub const SEED: u64 = 1234;

    /// At random by a seed.
    pub fn drawn(seed: u64) -> Self {
        Self::Drawn(Box::new(PythonRandom::new(seed)))
    }

    /// The places of the `num` shots of the next question in a list of `len`, where `is_asked` says
    /// of a place whether it is that question's own.
    ///
    /// Must be called for all questions, in the order of their file, whether they are asked or not.
    /// Fails if the list is too short. A choice at random takes time proportional to `num`, or to
    /// `len` if it has drawn the question itself twice.
    pub fn next(
        &mut self,
        num: usize,
        len: usize,
        is_asked: impl Fn(usize) -> bool,
    ) -> Result<Vec<usize>> {
        if num == 0 {
            return Ok(Vec::new());
        }
        let others = || (0..len).filter(|&i| !is_asked(i));
        let shots: Option<Vec<usize>> = match self {
            Self::First => Some(others().take(num).collect()),
            Self::Drawn(random) => random.sample(len, num.saturating_add(1)).and_then(|drawn| {
                // One more than is needed, should one of them be the question itself.
                let mut shots = drawn;
                shots.retain(|&i| !is_asked(i));
                shots.truncate(num);
                if shots.len() == num {
                    return Some(shots);
                }
                let others: Vec<usize> = others().collect();
                let drawn = random.sample(others.len(), num)?;
                Some(drawn.into_iter().map(|i| others[i]).collect())
            }),
        };
        shots.filter(|shots| shots.len() == num).with_context(|| {
            format!("{num} shots for each question need more than the {len} questions of --shots")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn gives_away(question: &str, forms: &[&str], shot: (&str, &str), expected: bool) {
        let forms: Vec<_> = forms.iter().map(|form| (*form).to_owned()).collect();
        let shots = [Shot::new("Who sang?", "Nobody"), Shot::new(shot.0, shot.1)];
        assert_eq!(is_in_a_shot(question, &forms, &shots), expected, "{question:?} {shot:?}");
    }

    #[test]
    fn a_question_is_known_by_its_words() {
        let shot = ("Who built St. Basil's?", "Barma");
        for question in
            ["who  built st basils", "Who built “St. Basil’s”?!", "ＷＨＯ built St Basil's"]
        {
            gives_away(question, &["Postnik"], shot, true);
        }
        for question in ["Who built St. Basil?", "Who built St. Basil's in Moscow?", ""] {
            gives_away(question, &["Postnik"], shot, false);
        }
        gives_away("What is 5+3?", &["8"], ("What is 5-3?", "2"), false);
        gives_away("What is 5-3?", &["2"], ("What is 53?", "53"), false);
    }

    #[test]
    fn an_answer_is_known_by_any_form_but_not_by_a_part() {
        gives_away("Who?", &["Barma", "the Postnik"], ("Which?", "postnik."), true);
        gives_away("Who?", &["Barma"], ("Which?", "A Barma"), true);
        gives_away("Who?", &["Barma Postnik"], ("Which?", "Barma"), false);
        gives_away("Which letter?", &["A"], ("Which article?", "The"), false);
        gives_away("Who?", &[], ("Which?", ""), false);
    }

    #[test]
    fn texts_without_words_are_compared_as_they_are() {
        gives_away("?", &["!"], ("?!", "…"), false);
        gives_away("?", &["!"], (" ? ", "…"), true);
        gives_away("Which sign?", &["…"], ("Which?", "..."), true); // by NFKC
    }

    #[test]
    fn the_general_shots_give_none_of_each_other_away() {
        let shots = Shot::general();
        for (i, shot) in shots.iter().enumerate() {
            let others = shots.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, shot)| shot);
            assert!(!is_in_a_shot(&shot.question, std::slice::from_ref(&shot.answer), others));
        }
    }

    #[test]
    fn an_empty_file_has_no_shots() {
        let error = Shot::all(Vec::new()).unwrap_err().to_string();
        assert!(error.contains("--shots"), "{error}");
        let pair = ("Who? ".to_owned(), " I".to_owned());
        assert_eq!(Shot::all(vec![pair]).unwrap(), [Shot::new("Who? ", " I")]);
    }

    #[test]
    fn the_first_that_are_not_the_question() {
        let mut choice = Choice::First;
        assert_eq!(choice.next(2, 5, |_| false).unwrap(), [0, 1]);
        assert_eq!(choice.next(2, 5, |i| i == 0 || i == 2).unwrap(), [1, 3]);
        assert_eq!(choice.next(5, 5, |_| false).unwrap(), [0, 1, 2, 3, 4]);
        assert_eq!(choice.next(0, 0, |_| false).unwrap(), [0; 0]);
        choice.next(5, 5, |i| i == 4).unwrap_err();
    }

    /// Python's `Random(1234).sample(range(20), 6)`, three times, is in the tests of the generator.
    #[test]
    fn drawn_anew_for_each_question() {
        let mut choice = Choice::drawn(Choice::SEED);
        assert_eq!(choice.next(5, 20, |_| false).unwrap(), [14, 3, 0, 2, 1]);
        assert_eq!(choice.next(0, 20, |_| false).unwrap(), [0; 0]); // which draws nothing
        assert_eq!(choice.next(5, 20, |i| i == 3).unwrap(), [2, 11, 7, 0, 15]);
        assert_eq!(choice.next(5, 20, |i| i == 1).unwrap(), [0, 11, 15, 14, 4]);
    }

    #[test]
    fn drawn_again_if_the_question_was_drawn_twice() {
        let is_asked = |i| i == 14 || i == 3;
        let mut choice = Choice::drawn(Choice::SEED);
        let shots = choice.next(5, 20, is_asked).unwrap();
        let mut random = PythonRandom::new(Choice::SEED);
        random.sample(20, 6).unwrap();
        let others: Vec<usize> = (0..20).filter(|&i| !is_asked(i)).collect();
        let again: Vec<_> = random.sample(18, 5).unwrap().iter().map(|&i| others[i]).collect();
        assert_eq!(shots, again);
    }

    #[test]
    fn one_more_is_needed_than_is_shown() {
        let error = Choice::drawn(0).next(5, 5, |_| false).unwrap_err().to_string();
        assert!(error.contains("more than the 5 questions"), "{error}");
        Choice::drawn(0).next(5, 6, |_| false).unwrap();
        Choice::drawn(0).next(5, 8, |i| i < 4).unwrap_err();
        Choice::drawn(0).next(usize::MAX, 8, |_| false).unwrap_err();
    }
}
