//! Does the trained model do what the corpus asks of it? Each question is decided twice: by counting
//! tokens, as greedy decoding does, and by counting meanings.

use anyhow::{Context, Result, ensure};

use crate::{
    corpus::{Corpus, Kind, Question},
    reader::{Reader, argmax},
};

/// The question of the paper, whose probabilities must come out as published,
const HEADLINE: &str = "red-square";
/// each within this distance.
const TOLERANCE: f32 = 0.05;
/// How many of the split questions, and of the sure ones, must come out as their kind says.
const ENOUGH: usize = 20;

/// Prints a verdict on every question; fails if the model would not make a good example.
pub fn check(reader: &Reader, corpus: &Corpus) -> Result<()> {
    let verdicts = corpus
        .questions
        .iter()
        .map(|question| Verdict::new(reader, corpus, question))
        .collect::<Result<Vec<_>>>()?;

    println!("question             kind    mass   off  greedy                    pooled");
    for verdict in &verdicts {
        verdict.print();
    }

    let headline = verdicts.iter().find(|v| v.question.id == HEADLINE);
    let headline = headline.with_context(|| format!("there is no question {HEADLINE}"))?;
    println!("\n{}", headline.question.question);
    for Spelling { form, probability, share, .. } in &headline.spellings {
        println!("{probability:.3} (corpus {share:.2}) {form}");
    }
    println!();

    for kind in [Kind::Split, Kind::Sure, Kind::Phrase] {
        let of_kind = || verdicts.iter().filter(|v| v.question.kind == kind);
        let as_meant = of_kind().filter(|v| v.as_meant()).count();
        println!("{kind:?}: {as_meant} of {} as meant", of_kind().count());
        let enough = kind == Kind::Phrase || as_meant >= ENOUGH;
        ensure!(enough, "fewer than {ENOUGH} of them are as meant");
    }
    let distance = largest(verdicts.iter().map(Verdict::distance));
    println!("off the corpus by {distance:.3} at most");
    ensure!(!distance.is_nan(), "some probabilities are NaN");

    let off = headline.distance();
    ensure!(off <= TOLERANCE, "the headline is off by {off:.3}");
    let strays: Vec<_> = verdicts.iter().flat_map(|v| &v.strays).collect();
    ensure!(strays.is_empty(), "after their first token go astray: {strays:?}");
    Ok(())
}

/// What the model makes of one question.
struct Verdict<'a> {
    question: &'a Question,
    spellings: Vec<Spelling<'a>>,
    /// The answer that greedy decoding gives.
    greedy: String,
    /// The likeliest form of the likeliest concept.
    pooled: &'a str,
    /// The right forms whose first token greedy decoding continues otherwise.
    strays: Vec<&'a str>,
}

/// One form of one concept.
struct Spelling<'a> {
    concept: &'a str,
    form: &'a str,
    /// How much of the vote it has in the corpus,
    share: f32,
    /// and with the model: by its first token, or as a whole where other forms share that token.
    probability: f32,
}

impl<'a> Verdict<'a> {
    fn new(reader: &Reader, corpus: &Corpus, question: &'a Question) -> Result<Self> {
        let prompt = reader.vocabulary.encode(&corpus.prompt(question))?;
        let next = reader.next(&prompt)?;
        let mut spellings = Vec::new();
        let mut strays = Vec::new();
        for (concept, form, share) in question.forms() {
            let first = reader.vocabulary.first_token(form)?;
            let probability = match question.kind {
                Kind::Split | Kind::Sure => next[first as usize],
                Kind::Phrase => reader.probability(&prompt, form)?,
            };
            let share = share as f32 / 100.0;
            spellings.push(Spelling { concept, form, share, probability });
            let must_be_decided = question.kind != Kind::Phrase && concept == question.answer;
            if must_be_decided && reader.answer(&prompt, first)? != form {
                strays.push(form);
            }
        }
        Ok(Self {
            question,
            greedy: reader.answer(&prompt, argmax(&next))?,
            pooled: pool(&spellings).context("no spellings")?,
            spellings,
            strays,
        })
    }

    /// Right by meanings in any case; by tokens, only where the question is a sure one.
    fn as_meant(&self) -> bool {
        let is_right = |answer| self.question.right().contains_key(answer);
        is_right(self.pooled) && is_right(&self.greedy) == (self.question.kind == Kind::Sure)
    }

    /// The largest distance of a probability from its share in the corpus.
    fn distance(&self) -> f32 {
        let distances = self.spellings.iter().map(|s| (s.probability - s.share).abs());
        largest(distances)
    }

    fn print(&self) {
        let Question { id, kind, answer, .. } = self.question;
        let (greedy, pooled) = (&self.greedy, self.pooled);
        let (mass, off) = (mass(&self.spellings, answer), self.distance());
        let mark = if self.as_meant() { "" } else { "  <- not as meant" };
        let kind = format!("{kind:?}");
        println!("{id:<20} {kind:<6} {mass:>5.3} {off:>5.3}  {greedy:<25} {pooled}{mark}");
    }
}

/// The largest of some distances; NaN if one of them is, which `f32::max` would pass over.
fn largest(distances: impl Iterator<Item = f32>) -> f32 {
    distances.fold(0.0, |a, b| if a.is_nan() || b <= a { a } else { b })
}

/// The probability of a concept, summed over its spellings.
fn mass(spellings: &[Spelling], concept: &str) -> f32 {
    let of_concept = spellings.iter().filter(|s| s.concept == concept);
    of_concept.map(|s| s.probability).sum()
}

/// The likeliest form of the likeliest concept.
fn pool<'a>(spellings: &[Spelling<'a>]) -> Option<&'a str> {
    let key = |s: &Spelling| (mass(spellings, s.concept), s.probability);
    let best = spellings.iter().max_by(|a, b| {
        let (a, b) = (key(a), key(b));
        a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    best.map(|s| s.form)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nan_is_the_largest_distance() {
        assert_eq!(largest([0.1, 0.3, 0.2].into_iter()), 0.3);
        assert_eq!(largest([].into_iter()), 0.0);
        for place in 0..3 {
            let mut distances = [0.1, 0.3, 0.2];
            distances[place] = f32::NAN;
            assert!(largest(distances.into_iter()).is_nan());
        }
    }
}
