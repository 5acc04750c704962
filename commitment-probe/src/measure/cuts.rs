//! The masses at the informative step: of the question's own forms, and of those exchanged for them.

use std::collections::{BTreeMap, BTreeSet};

use concept_mass::source::{Aliases, Vocabulary};

use super::first::{mass, name};
use super::forms::{Forms, can_begin};
use super::informative::{Cut, Uninformative};
use super::{Case, Plan, Prober};
use crate::Result;
use crate::model::{Continued, LanguageModel};
use crate::sample::{Exchanged, Informative};
use crate::scorer::key;

/// A cut that begins with a less likely token is left out: it is less likely still. So is one that is
/// longer than an answer may be.
const FLOOR: f64 = 1e-6;

impl<M: LanguageModel> Prober<M> {
    /// The measures of each question at its informative step, and those of both steps with the forms
    /// of other questions.
    pub(super) fn informative(
        &mut self,
        plan: &Plan,
        cases: &[Case],
    ) -> Result<Vec<(Informative, Vec<Exchanged>)>> {
        let probabilities = self.cut_probabilities(plan, cases)?;
        let conditional = self.conditional(plan, cases)?;
        let cases = cases.iter().zip(probabilities.iter().zip(conditional));
        cases.map(|(case, (of, conditional))| self.at_cuts(plan, case, of, conditional)).collect()
    }

    fn at_cuts(
        &self,
        plan: &Plan,
        case: &Case,
        probabilities: &BTreeMap<Cut, f64>,
        conditional: Option<f32>,
    ) -> Result<(Informative, Vec<Exchanged>)> {
        let (vocabulary, Case { i, vote, said, forms, .. }) = (&self.vocabulary, case);
        let uninformative = plan.uninformative(*i, vocabulary);
        let own = &plan.cuts[*i];
        let winner = uninformative.cut(&said.tokens);
        let of = |cuts: &BTreeSet<Cut>| -> Vec<f64> {
            cuts.iter().map(|cut| probabilities[cut]).collect()
        };
        let (own_mass, concentration) = mass(&of(own));
        let informative = Informative {
            mass: own_mass,
            concentration,
            cuts: own.len(),
            winner_is_right: is_among(own, winner, forms, vocabulary)?,
            winner: vocabulary.decode(winner)?.trim().to_owned(),
            conditional,
            passed: passed(&uninformative, own, winner),
        };
        let mut exchanged = Vec::new();
        for &j in &plan.exchanges[*i] {
            let (forms, cuts) = (&plan.forms[j], &plan.cuts[j]);
            let first = forms.right.iter().map(|&token| vote.probability(token));
            // By what is uninformative there, as that question's own measures are.
            let winner = plan.uninformative(j, vocabulary).cut(&said.tokens);
            exchanged.push(Exchanged {
                id: plan.asked[j].question.id().to_owned(),
                mass: mass(&first.collect::<Vec<_>>()).0,
                is_own: forms.owns(vote.step.token, vocabulary),
                informative_mass: mass(&of(cuts)).0,
                winner_is_right: is_among(cuts, winner, forms, vocabulary)?,
            });
        }
        Ok((informative, exchanged))
    }

    /// The probability of each cut of a question and of its exchanges: of one token it is known; the
    /// others are asked for.
    fn cut_probabilities(
        &mut self,
        plan: &Plan,
        cases: &[Case],
    ) -> Result<Vec<BTreeMap<Cut, f64>>> {
        let mut known = Vec::new();
        let mut asked = Vec::new();
        for case in cases {
            let (mut of, mut open) = (BTreeMap::new(), BTreeSet::new());
            let exchanges = plan.exchanges[case.i].iter().flat_map(|&j| &plan.cuts[j]);
            for cut in plan.cuts[case.i].iter().chain(exchanges) {
                let first = cut.first().map_or(0.0, |&first| case.vote.probability(first));
                if (2..=self.options.max_tokens).contains(&cut.len()) && first >= FLOOR {
                    open.insert(cut.clone());
                } else {
                    of.insert(cut.clone(), if cut.len() == 1 { first } else { 0.0 });
                }
            }
            known.push(of);
            let continuations = open.into_iter().collect();
            asked.push(Continued { prompt: case.asked.tokens, continuations });
        }
        let scores = self.scores(&asked, &[])?;
        for ((known, asked), scores) in known.iter_mut().zip(asked).zip(scores) {
            known.extend(asked.continuations.into_iter().zip(scores.into_iter().map(f64::exp)));
        }
        Ok(known)
    }

    /// The P-mass after each greedy answer's uninformative beginning: of the tokens that go on with a
    /// form there, or begin one anew; none of an answer without a token.
    fn conditional(&mut self, plan: &Plan, cases: &[Case]) -> Result<Vec<Option<f32>>> {
        let mut masses = Vec::new();
        let (mut asked, mut sequences, mut tokens) = (Vec::new(), Vec::new(), Vec::new());
        for (at, case) in cases.iter().enumerate() {
            let said = &case.said.tokens;
            let passed = plan.uninformative(case.i, &self.vocabulary).passed(said);
            // An answer that says nothing at all is taken up to its last token.
            let begun = &said[..passed.min(said.len().saturating_sub(1))];
            masses.push((!said.is_empty()).then_some(case.vote.step.mass));
            if !begun.is_empty() {
                asked.push(at);
                sequences.push([case.asked.tokens, begun].concat());
                tokens.push(self.goes_on(case, begun)?);
            }
        }
        let read = self.named(&sequences, &tokens)?;
        for (at, lns) in asked.into_iter().zip(read) {
            let probabilities: Vec<f64> = lns.into_iter().map(f64::exp).collect();
            masses[at] = Some(mass(&probabilities).0);
        }
        Ok(masses)
    }

    /// The tokens that go on with a form after `begun`, or begin one anew.
    fn goes_on(&self, case: &Case, begun: &[u32]) -> Result<Vec<u32>> {
        let forms = case.forms.sequences.iter().filter(|form| form.starts_with(begun));
        let mut next: BTreeSet<u32> =
            forms.filter_map(|form| form.get(begun.len())).copied().collect();
        let text = self.vocabulary.decode(begun)?;
        if !text.chars().any(char::is_numeric) && !text.contains('\u{FFFD}') {
            let (question, prompt) = (case.asked.question, case.asked.prompt);
            let anew = Aliases::new().concept(question.right(), question.answers())?;
            let anew = anew.after(&self.vocabulary, &format!("{prompt}{text}"))?;
            let forms = anew.iter().flat_map(|(_, forms)| forms);
            next.extend(
                forms.filter(|form| can_begin(form)).filter_map(|form| form.tokens.first()),
            );
        }
        Ok(next.into_iter().collect())
    }
}

/// Whether the winner is one of the cuts, or goes on after one: a cut without an informative token is
/// a whole form, and the winner's probability is in the cut's. The same words in other tokens are the
/// same, and so is the beginning of a form.
fn is_among(
    cuts: &BTreeSet<Cut>,
    winner: &[u32],
    forms: &Forms,
    vocabulary: &Vocabulary,
) -> Result<bool> {
    if winner.is_empty() {
        return Ok(false);
    }
    if cuts.iter().any(|cut| winner.starts_with(cut)) {
        return Ok(true);
    }
    let text = vocabulary.decode(winner)?;
    if forms.is_spelt_with(&text) {
        return Ok(true);
    }
    let said = key(&text);
    for cut in cuts.iter().filter(|_| !said.is_empty()) {
        if key(&vocabulary.decode(cut)?) == said {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The uninformative tokens before the ends of cuts, as a person would write them; each once.
fn passed(uninformative: &Uninformative, cuts: &BTreeSet<Cut>, winner: &[u32]) -> Vec<String> {
    let all = cuts.iter().map(Vec::as_slice).chain([winner]);
    let tokens: BTreeSet<u32> =
        all.flat_map(|cut| &cut[..uninformative.passed(cut)]).copied().collect();
    let names: BTreeSet<String> =
        tokens.into_iter().map(|token| name(uninformative.vocabulary, token)).collect();
    names.into_iter().collect()
}
