//! How sure the model is, and what happens after the first token.

use super::{
    super::{
        numbers::{count, estimate, small_share},
        table::{Table, keys},
    },
    of,
};
use crate::{Entropy, Later, Summary};

pub(super) fn confidence(runs: &[Summary]) -> Table {
    let text = "The mean probability of the token that wins the first step. The wrong-winner \
        confidence is that of wrong answers whose winner begins no form: how sure the model is of \
        a token that won wrongly.";
    let mut table = Table::of_runs("Confidence of the winning token", text, &["Answers"], runs);
    for outcome in keys(runs, |run| run.confidence.keys().collect()) {
        table.each(&[&outcome.to_string()], runs, |run| estimate(of(&run.confidence, outcome)));
    }
    table.each(&["Wrong winners"], runs, |run| estimate(run.wrong_winner_confidence));
    table
}

pub(super) fn later(runs: &[Summary]) -> Table {
    let text = "The entropy at step 2 is that of answers whose winner begins a form, whatever the \
        second token is; at step 3, of answers whose first two tokens begin a form: near 0, the \
        first token has decided the phrase. It is given in nats, and divided by ln V, the largest \
        that a vocabulary of V tokens allows. A phrase that goes wrong later is a wrong answer \
        whose winner begins a form, as in Adam Lambert for Adam Smith. The phrase mass is the \
        probability that the whole answer is an acceptable form and then ends.";
    let mut table = Table::of_runs("After the first token", text, &["", ""], runs);
    let mut rows = |step: &str, answers: &str, entropy: fn(&Later) -> &Entropy| {
        table.each(&[step, &format!("{answers} answers, nats")], runs, |run| {
            estimate(entropy(&run.later).nats)
        });
        table.each(&[step, &format!("{answers} answers, ÷ ln V")], runs, |run| {
            small_share(entropy(&run.later).share)
        });
    };
    rows("Entropy at step 2", "right", |later| &later.second.right);
    rows("Entropy at step 2", "wrong", |later| &later.second.wrong);
    rows("Entropy at step 3", "right", |later| &later.third.right);
    rows("Entropy at step 3", "wrong", |later| &later.third.wrong);
    table.each(&["Phrases that go wrong later", "number"], runs, |run| {
        count(run.later.phrase_failures)
    });
    table.each(&["Phrases that go wrong later", "of wrong answers"], runs, |run| {
        estimate(run.later.phrase_failure_rate)
    });
    for outcome in keys(runs, |run| run.later.phrase_mass.keys().collect()) {
        let labels = ["Phrase mass of the right concept", &outcome.to_string().to_lowercase()];
        table.each(&labels, runs, |run| estimate(of(&run.later.phrase_mass, outcome)));
    }
    table
}
