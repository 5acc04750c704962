//! What is said of an answer.

use std::collections::BTreeMap;

use concept_mass::source::is_blank;

use super::answers::Said;
use super::forms::Forms;
use super::{Asked, Prober};
use crate::model::LanguageModel;
use crate::scorer::{is_not_attempted, num_words};
use crate::{Accepted, Error, Question, Result, Scorer, Verdict};

/// How many words more than the longest form a wrong answer may have whose first token decides it.
const MORE_WORDS: usize = 2;

/// What a grader says of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grade {
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
    /// It declines to answer.
    NotAttempted,
}

/// What grades answers: given a question and an answer to it.
///
/// ```
/// use commitment_probe::{Grade, Grader, Question};
///
/// let mut by_length = |question: &Question, answer: &str| {
///     let is_long = answer.len() >= question.right().len();
///     Ok(if is_long { Grade::Right } else { Grade::Wrong })
/// };
/// let question = Question::parse(r#"{"id": "a", "question": "?", "answers": ["abc"]}"#)?.remove(0);
/// assert_eq!(by_length.grade(&question, "ab")?, Grade::Wrong);
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
/// ```
pub trait Grader {
    /// Grades an answer.
    ///
    /// # Errors
    ///
    /// Any: the measurement fails with it.
    fn grade(
        &mut self,
        question: &Question,
        answer: &str,
    ) -> Result<Grade, Box<dyn std::error::Error + Send + Sync>>;
}

impl<F> Grader for F
where
    F: FnMut(&Question, &str) -> Result<Grade, Box<dyn std::error::Error + Send + Sync>>,
{
    fn grade(
        &mut self,
        question: &Question,
        answer: &str,
    ) -> Result<Grade, Box<dyn std::error::Error + Send + Sync>> {
        self(question, answer)
    }
}

/// What is said of a greedy answer.
pub(super) struct Scored {
    pub verdict: Verdict,
    /// What it would be if no scorer accepted the answer.
    pub otherwise: Verdict,
    pub accepted: BTreeMap<Scorer, bool>,
    pub localised: bool,
}

impl<M: LanguageModel> Prober<M> {
    /// Whether the run's scorer accepts an answer.
    pub(super) fn accepts(&mut self, question: &Question, answer: &str) -> Result<bool> {
        match self.options.scorer.accepts(answer, &self.accepted(question)) {
            Some(accepts) => Ok(accepts),
            None if is_blank(answer) => Ok(false),
            None => Ok(self.grade(question, answer)? == Grade::Right),
        }
    }

    fn accepted<'q>(&self, question: &'q Question) -> Accepted<'q> {
        Accepted {
            forms: question.answers(),
            normalised: question.normalised(),
            endings: self.options.endings,
        }
    }

    /// What the grader says; an answer is shown to it once.
    fn grade(&mut self, question: &Question, answer: &str) -> Result<Grade> {
        let key = (question.id().to_owned(), answer.to_owned());
        if let Some(&grade) = self.grades.get(&key) {
            return Ok(grade);
        }
        let Some(grader) = &mut self.grader else { return Err(Error::NoGrader) };
        let grade = grader.grade(question, answer).map_err(Error::Grader)?;
        self.grades.insert(key, grade);
        Ok(grade)
    }

    pub(super) fn scored(&mut self, asked: &Asked, forms: &Forms, said: &Said) -> Result<Scored> {
        let (question, answer) = (asked.question, said.text.as_str());
        let by = self.accepted(question);
        let of = |scorer: Scorer| Some((scorer, scorer.accepts(answer, &by)?));
        let mut accepted: BTreeMap<Scorer, bool> = Scorer::automatic().filter_map(of).collect();
        let scorer = self.options.scorer;
        let mut declines = is_not_attempted(answer);
        if scorer == Scorer::Grader && !is_blank(answer) {
            let grade = self.grade(question, answer)?;
            accepted.insert(scorer, grade == Grade::Right);
            declines = grade == Grade::NotAttempted;
        }
        let is_right = accepted.get(&scorer).copied().unwrap_or(false);
        let otherwise = if forms.note.is_some() {
            Verdict::Unmeasured
        } else if is_blank(answer) {
            Verdict::Empty
        } else if declines {
            Verdict::NotAttempted
        } else if said.ended {
            Verdict::Wrong
        } else {
            Verdict::Cut
        };
        let is_measured = otherwise != Verdict::Unmeasured;
        let verdict = if is_right && is_measured { Verdict::Right } else { otherwise };
        let longest = question.answers().iter().map(|form| num_words(form)).max().unwrap_or(0);
        let localised = match is_right {
            true => accepted.get(&Scorer::Prefix).copied().unwrap_or(false),
            false => num_words(answer) <= longest + MORE_WORDS,
        };
        Ok(Scored { verdict, otherwise, accepted, localised })
    }
}
