//! What must hold of the questions, in the light of the tokenizer, before training on them makes sense.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};

use crate::{
    corpus::{Corpus, Forms, Kind, Question},
    vocabulary::Vocabulary,
};

/// How many in a hundred part the right answer from the best wrong one, as meanings,
const POOLED_MARGIN: u32 = 8;
/// and the winning spelling from the best of the losing side.
const TOKEN_MARGIN: u32 = 5;

/// Names every question that breaks a rule of its kind.
pub fn lint(corpus: &Corpus, vocabulary: &Vocabulary) -> Result<()> {
    let mut complaints = Vec::new();
    for question in &corpus.questions {
        if let Err(error) = lint_question(question, vocabulary) {
            complaints.push(format!("{}: {error}", question.id));
        }
    }
    ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
    Ok(())
}

fn lint_question(question: &Question, vocabulary: &Vocabulary) -> Result<()> {
    ensure!(
        question.concepts.contains_key(&question.answer),
        "the answer is not one of the concepts"
    );
    let shares: u32 = question.forms().map(|(.., share)| share).sum();
    ensure!(shares == 100, "the shares sum to {shares}, not 100");

    let right = question.right();
    let wrong = question.concepts.iter();
    let wrong = wrong.filter(|(name, _)| **name != question.answer);
    let wrong: Vec<_> = wrong.map(|(_, forms)| forms).collect();

    let pool = |forms: &Forms| forms.values().sum::<u32>();
    let right_pool = pool(right);
    let wrong_pool = wrong.iter().map(|forms| pool(forms)).max().unwrap_or(0);
    ensure!(
        right_pool >= wrong_pool + POOLED_MARGIN,
        "the right meaning has {right_pool}, too near to a wrong one's {wrong_pool}"
    );

    let (right_form, right_top) = top(&[right]).context("the answer has no forms")?;
    let (wrong_form, wrong_top) = top(&wrong).context("the wrong concepts have no forms")?;
    let (winner, loser) = match question.kind {
        Kind::Split | Kind::Phrase => (wrong_top, right_top),
        Kind::Sure => (right_top, wrong_top),
    };
    ensure!(
        winner >= loser + TOKEN_MARGIN,
        "`{right_form}` has {right_top}, `{wrong_form}` {wrong_top}: too near, or the wrong way round"
    );

    if question.kind != Kind::Phrase {
        return first_tokens_differ(question, vocabulary);
    }
    ensure!(
        vocabulary.first_token(right_form)? == vocabulary.first_token(wrong_form)?,
        "`{right_form}` and `{wrong_form}` do not begin with the same token"
    );
    Ok(())
}

/// The form with the largest share, of all these concepts.
fn top<'a>(concepts: &[&'a Forms]) -> Option<(&'a str, u32)> {
    let forms = concepts.iter().flat_map(|forms| forms.iter());
    let best = forms.max_by_key(|(_, share)| **share);
    best.map(|(form, &share)| (form.as_str(), share))
}

/// Two forms with one first token would add their shares up in the very token that should part them.
fn first_tokens_differ(question: &Question, vocabulary: &Vocabulary) -> Result<()> {
    let mut owners = BTreeMap::new();
    for (_, form, _) in question.forms() {
        let first = vocabulary.first_token(form)?;
        if let Some(other) = owners.insert(first, form) {
            let token = vocabulary.decode_answer(&[first])?;
            bail!("`{other}` and `{form}` both begin with `{token}`");
        }
    }
    Ok(())
}
