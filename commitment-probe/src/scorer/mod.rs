//! Whether an answer is acceptable, and whether two answers are the same.

mod classes;
mod count;
mod endings;
mod fold;
mod merge;
mod number;
mod official;
mod own;
mod refusal;
mod text;
mod tokens;

use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use self::own::key;
use self::text::Place;
pub use self::{
    count::num_words,
    own::{begins_with, contained, is_match, normalise_answer, words},
    refusal::is_not_attempted,
};

keys! {
    /// A way of deciding whether an answer is right.
    ///
    /// Ours ([`Exact`](Self::Exact), [`Prefix`](Self::Prefix), [`Contains`](Self::Contains)) compare
    /// [words]; each accepts all that the one before it accepts. The others do what the named script
    /// does, also where that is wrong, so that results can be compared with published ones.
    ///
    /// ```
    /// use commitment_probe::{Accepted, Scorer};
    ///
    /// let forms = ["1.5".to_owned()];
    /// let accepted = Accepted { forms: &forms, normalised: &[], endings: false };
    /// assert_eq!(Scorer::Exact.accepts("15", &accepted), Some(false));
    /// assert_eq!(Scorer::Squad.accepts("15", &accepted), Some(true));
    /// assert_eq!(Scorer::Contains.accepts("It is 1.50 metres.", &accepted), Some(true));
    /// assert_eq!(Scorer::Grader.accepts("1.5", &accepted), None);
    /// assert_eq!(serde_json::to_string(&Scorer::NqOpen)?, r#""nq_open""#);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    pub enum Scorer {
        /// The answer is a form: [`is_match`].
        Exact => "exact",
        /// The answer begins with a form: [`begins_with`].
        Prefix => "prefix",
        /// The answer contains a form that it does not deny: [`contained`]. For models that answer
        /// in sentences.
        Contains => "contains",
        /// SQuAD v1.1: without ASCII punctuation, articles and case.
        Squad => "SQuAD",
        /// The open version of Natural Questions, as ORQA scores it: the same after a canonical
        /// decomposition.
        NqOpen => "NQ-open",
        /// TriviaQA: punctuation becomes spaces. The forms that the data set has normalised are
        /// what is accepted, if it has any.
        TriviaQa => "TriviaQA",
        /// The task `triviaqa` of lm-eval 0.4.13: without ASCII punctuation and case. That task
        /// also ends an answer at the first full stop or comma, which is left to whoever asks.
        LmEvalTriviaQa => "TriviaQA (lm-eval)",
        /// The task `nq_open` of lm-eval 0.4.13: the same without articles.
        LmEvalNqOpen => "NQ-open (lm-eval)",
        /// A model that grades answers, which is asked elsewhere.
        Grader => "grader",
    }
}

impl Scorer {
    /// Whether the answer is right; none if a [`Grader`](Self::Grader) has to be asked.
    ///
    /// Without forms, no answer is right. An empty answer may be right by the official scripts, to
    /// which a form of punctuation alone is as empty.
    pub fn accepts(self, answer: &str, accepted: &Accepted<'_>) -> Option<bool> {
        let &Accepted { forms, normalised, endings } = accepted;
        Some(match self {
            Self::Exact => own::any(answer, forms, Place::Whole, endings),
            Self::Prefix => own::any(answer, forms, Place::Start, endings),
            Self::Contains => own::any(answer, forms, Place::Anywhere, endings),
            Self::Squad => official::squad(answer, forms),
            Self::NqOpen => official::nq_open(answer, forms),
            Self::TriviaQa if normalised.is_empty() => official::trivia_qa(answer, forms),
            Self::TriviaQa => official::trivia_qa(answer, normalised),
            Self::LmEvalTriviaQa => official::lm_eval_trivia_qa(answer, forms),
            Self::LmEvalNqOpen => official::lm_eval_nq_open(answer, forms),
            Self::Grader => return None,
        })
    }

    /// All but [`Grader`](Self::Grader).
    pub fn automatic() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|&scorer| scorer != Self::Grader)
    }
}

/// What may be answered.
#[derive(Debug, Clone, Copy)]
pub struct Accepted<'a> {
    /// The acceptable forms.
    pub forms: &'a [String],
    /// Forms that a data set gives already normalised, for its own scorer alone: TriviaQA's
    /// `NormalizedAliases`, and its `HumanAnswers`. Empty if it has none.
    pub normalised: &'a [String],
    /// Whether our own scorers forgive another ending of the last word: a plural in -s, -es or
    /// -ies, and an article at the end, as in *Netherlands, the*.
    pub endings: bool,
}
