//! The masses at the informative step: of the question's own forms, and of those exchanged for them.

use std::collections::{BTreeMap, BTreeSet};

use concept_mass::source::{Aliases, Vocabulary};

use super::answers::Said;
use super::first::{FirstVote, mass, name};
use super::forms::{Forms, can_begin};
use super::informative::{Cut, Uninformative};
use super::{Plan, Prober};
use crate::Result;
use crate::model::LanguageModel;
use crate::sample::{Exchanged, Informative};
use crate::scorer::key;

/// A cut that begins with a less likely token is left out: it is less likely still. So is one that is
/// longer than an answer may be.
const FLOOR: f64 = 1e-6;

impl<M: LanguageModel> Prober<M> {
    /// The measures of question `i` of the plan at its informative step, and those of both steps
    /// with the forms of other questions.
    pub(super) fn informative(
        &mut self,
        plan: &Plan,
        i: usize,
        vote: &FirstVote,
        said: &Said,
    ) -> Result<(Informative, Vec<Exchanged>)> {
        let vocabulary = self.vocabulary.clone();
        let uninformative = plan.uninformative(i, &vocabulary);
        // The others' are by what is uninformative there, as their own measures are.
        let (own, others) = (&plan.cuts[i], &plan.exchanges[i]);
        let all = own.iter().chain(others.iter().flat_map(|&j| &plan.cuts[j]));
        let probabilities = self.cut_probabilities(plan.asked[i].tokens, vote, all)?;

        let winner = uninformative.cut(&said.tokens);
        let of = |cuts: &BTreeSet<Cut>| -> Vec<f64> {
            cuts.iter().map(|cut| probabilities[cut]).collect()
        };
        let (own_mass, concentration) = mass(&of(own));
        let informative = Informative {
            mass: own_mass,
            concentration,
            cuts: own.len(),
            winner_is_right: is_among(own, winner, &plan.forms[i], &vocabulary)?,
            winner: vocabulary.decode(winner)?.trim().to_owned(),
            conditional: self.conditional(plan, i, vote, said, &uninformative)?,
            passed: passed(&uninformative, own, winner),
        };
        let mut exchanged = Vec::new();
        for &j in others {
            let (forms, cuts) = (&plan.forms[j], &plan.cuts[j]);
            let first = forms.right.iter().map(|&token| vote.probability(token));
            let winner = plan.uninformative(j, &vocabulary).cut(&said.tokens);
            exchanged.push(Exchanged {
                id: plan.asked[j].question.id().to_owned(),
                mass: mass(&first.collect::<Vec<_>>()).0,
                is_own: forms.owns(vote.step.token, &vocabulary),
                informative_mass: mass(&of(cuts)).0,
                winner_is_right: is_among(cuts, winner, forms, &vocabulary)?,
            });
        }
        Ok((informative, exchanged))
    }

    /// The probability of each cut: of one token it is known; the others are asked for.
    fn cut_probabilities<'c>(
        &mut self,
        prompt: &[u32],
        vote: &FirstVote,
        cuts: impl Iterator<Item = &'c Cut>,
    ) -> Result<BTreeMap<Cut, f64>> {
        let mut known = BTreeMap::new();
        let mut open = BTreeSet::new();
        for cut in cuts {
            let first = cut.first().map_or(0.0, |&first| vote.probability(first));
            if (2..=self.options.max_tokens).contains(&cut.len()) && first >= FLOOR {
                open.insert(cut.clone());
            } else {
                known.insert(cut.clone(), if cut.len() == 1 { first } else { 0.0 });
            }
        }
        let open: Vec<Cut> = open.into_iter().collect();
        let scores = if open.is_empty() { vec![] } else { self.model.score(prompt, &open, &[])? };
        known.extend(open.into_iter().zip(scores.into_iter().map(f64::exp)));
        Ok(known)
    }

    /// The P-mass after the greedy answer's uninformative beginning: of the tokens that go on with a
    /// form there, or begin one anew.
    fn conditional(
        &mut self,
        plan: &Plan,
        i: usize,
        vote: &FirstVote,
        said: &Said,
        uninformative: &Uninformative,
    ) -> Result<Option<f32>> {
        let passed = uninformative.passed(&said.tokens);
        if said.tokens.is_empty() {
            return Ok(None);
        }
        // An answer that says nothing at all is taken up to its last token.
        let begun = &said.tokens[..passed.min(said.tokens.len() - 1)];
        if begun.is_empty() {
            return Ok(Some(vote.step.mass));
        }
        let asked = &plan.asked[i];
        let forms = plan.forms[i].sequences.iter().filter(|form| form.starts_with(begun));
        let mut next: BTreeSet<u32> =
            forms.filter_map(|form| form.get(begun.len())).copied().collect();
        let text = self.vocabulary.decode(begun)?;
        if !text.chars().any(char::is_numeric) && !text.contains('\u{FFFD}') {
            let anew = Aliases::new().concept(asked.question.right(), asked.question.answers())?;
            let anew = anew.after(&self.vocabulary, &format!("{}{text}", asked.prompt))?;
            let forms = anew.iter().flat_map(|(_, forms)| forms);
            next.extend(
                forms.filter(|form| can_begin(form)).filter_map(|form| form.tokens.first()),
            );
        }
        let sequence = [asked.tokens, begun].concat();
        let lns = self.model.named(&[sequence], &[next.into_iter().collect()])?;
        let probabilities: Vec<f64> = lns.iter().flatten().map(|ln| ln.exp()).collect();
        Ok(Some(mass(&probabilities).0))
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
