//! Whether the model takes its own answer to be true (Kadavath et al., 2022).

use std::collections::BTreeSet;

use concept_mass::source::{Aliases, is_blank};

use super::{Case, Prober, forms::can_begin};
use crate::model::LanguageModel;
use crate::{Error, Result};

/// The words for true and false.
const WORDS: [(&str, [&str; 3]); 2] =
    [("true", ["True", "true", "TRUE"]), ("false", ["False", "false", "FALSE"])];

/// A text that asks whether an answer is true, and its tokens.
pub type Doubt = (String, Vec<u32>);

/// Makes a [`Doubt`] of a question and an answer.
pub(super) type BoxedDoubts = Box<
    dyn FnMut(&str, &str) -> Result<Doubt, Box<dyn std::error::Error + Send + Sync>> + Send + Sync,
>;

/// What the model is asked about an answer to a question.
///
/// ```
/// use commitment_probe::doubt;
///
/// let text = doubt("Capital of France?", "Paris");
/// assert!(text.starts_with("Question: Capital of France?\nProposed answer: Paris\n"));
/// ```
pub fn doubt(question: &str, answer: &str) -> String {
    format!(
        "Question: {question}\nProposed answer: {answer}\nIs the proposed answer true or false? \
         Answer with one word, True or False."
    )
}

/// The question whether an answer is true, and the tokens that say yes and no.
struct Asking {
    tokens: Vec<u32>,
    yes: BTreeSet<u32>,
    /// Those that say either.
    wanted: Vec<u32>,
}

impl<M: LanguageModel> Prober<M> {
    /// The share of "True" in the probability of "True" and "False" after the question whether the
    /// greedy answer is true; none if that is not asked, or neither has any.
    pub(super) fn p_true(&mut self, cases: &[Case]) -> Result<Vec<Option<f64>>> {
        let askings = cases.iter().map(|case| self.asking(case)).collect::<Result<Vec<_>>>()?;
        let asked: Vec<&Asking> = askings.iter().flatten().collect();
        let texts: Vec<Vec<u32>> = asked.iter().map(|asking| asking.tokens.clone()).collect();
        let wanted: Vec<Vec<u32>> = asked.iter().map(|asking| asking.wanted.clone()).collect();
        let mut read = self.named(&texts, &wanted)?.into_iter();
        let share = |asking: &Option<Asking>| {
            let (asking, lns) = (asking.as_ref()?, read.next()?);
            let (mut of_yes, mut all) = (0.0, 0.0);
            for (token, ln) in asking.wanted.iter().zip(lns) {
                all += ln.exp();
                of_yes += if asking.yes.contains(token) { ln.exp() } else { 0.0 };
            }
            (all > 0.0).then(|| of_yes / all)
        };
        Ok(askings.iter().map(share).collect())
    }

    /// What is asked about the answer to a question; nothing about one that says nothing.
    fn asking(&mut self, case: &Case) -> Result<Option<Asking>> {
        let (question, answer) = (case.asked.question.text(), &case.said.text);
        let Some(doubts) = self.doubts.as_mut().filter(|_| !is_blank(answer)) else {
            return Ok(None);
        };
        let (text, tokens) = doubts(question, answer).map_err(Error::Prompt)?;
        let fits = self.model.context().is_none_or(|context| tokens.len() <= context);
        if tokens.is_empty() || !fits {
            return Ok(None);
        }
        let aliases = WORDS.into_iter().try_fold(Aliases::new(), |a, (name, w)| a.concept(name, w));
        let firsts = aliases?.after(&self.vocabulary, &text)?;
        let of = |(_, forms): (&str, &[concept_mass::source::Form])| -> BTreeSet<u32> {
            let forms = forms.iter().filter(|form| can_begin(form));
            forms.filter_map(|form| form.tokens.first().copied()).collect()
        };
        let [yes, no] = [0, 1].map(|place| firsts.iter().nth(place).map(of).unwrap_or_default());
        // A token that begins both says neither.
        let wanted = yes.symmetric_difference(&no).copied().collect();
        Ok(Some(Asking { tokens, yes, wanted }))
    }
}
