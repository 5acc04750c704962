//! Every question of the corpus, answered both ways.

use anyhow::{Result, ensure};

use super::{Concepts, Decoder, Paint, Question, aliases, screen::clip};
use crate::corpus::{self, Corpus, Kind};

/// How many questions must be recovered, and how many right both ways, for the example to show
/// what it is to show.
const ENOUGH: usize = 20;
/// The characters of a question that are shown.
const WIDTH: usize = 50;

pub struct Table {
    rows: Vec<Row>,
}

struct Row {
    question: String,
    by_tokens: String,
    by_meanings: String,
    verdict: Verdict,
}

#[derive(Clone, Copy, PartialEq)]
enum Verdict {
    Recovered,
    RightBothWays,
    Broken,
    WrongBothWays,
}

impl Table {
    /// Asks all questions but those that are decided only after the first token.
    pub fn fill(decoder: &mut Decoder, concepts: &Concepts, corpus: &Corpus) -> Result<Self> {
        let questions = corpus.questions.iter().filter(|question| question.kind != Kind::Phrase);
        let rows = questions.map(|question| Row::ask(decoder, concepts, corpus, question));
        Ok(Self { rows: rows.collect::<Result<_>>()? })
    }

    pub fn show(&self, paint: Paint) -> String {
        let headings = ["question", "counting tokens", "counting meanings"];
        let mut widths = headings.map(|heading| heading.chars().count());
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row.cells()) {
                *width = cell.chars().count().max(*width);
            }
        }
        let [a, b, c] = widths;
        let line = |[question, by_tokens, by_meanings]: [&str; 3], verdict: &str| {
            format!("  {question:<a$}  {by_tokens:<b$}  {by_meanings:<c$}  {verdict}\n")
        };

        let mut table = paint.bold(&format!("\n{}", line(headings, "verdict")));
        for row in &self.rows {
            table += &line(row.cells(), &row.verdict.paint(paint));
        }
        let counts = Verdict::ALL.map(|v| format!("{} {}", self.count(v), v.name()));
        format!("{table}\n  {}\n\n", paint.bold(&counts.join(", ")))
    }

    /// Fails if there is too little to see.
    pub fn check(&self) -> Result<()> {
        for verdict in [Verdict::Recovered, Verdict::RightBothWays] {
            let count = self.count(verdict);
            ensure!(
                count >= ENOUGH,
                "only {count} questions are {}, not {ENOUGH} or more; train the model anew, as \
                 assets/tiny/README.md says",
                verdict.name()
            );
        }
        Ok(())
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.rows.iter().filter(|row| row.verdict == verdict).count()
    }
}

impl Row {
    fn ask(
        decoder: &mut Decoder,
        concepts: &Concepts,
        corpus: &Corpus,
        asked: &corpus::Question,
    ) -> Result<Self> {
        let own = aliases(asked)?;
        let question = Question::new(decoder, concepts, &corpus.prompt(asked), Some(&own))?;
        let by_tokens = decoder.by_tokens(&question)?;
        let by_meanings = decoder.by_meanings(&question)?;
        let is_right = |answer: &str| asked.right().contains_key(answer);
        let verdict = match (is_right(&by_tokens), is_right(&by_meanings)) {
            (false, true) => Verdict::Recovered,
            (true, true) => Verdict::RightBothWays,
            (true, false) => Verdict::Broken,
            (false, false) => Verdict::WrongBothWays,
        };
        Ok(Self { question: clip(&asked.question, WIDTH), by_tokens, by_meanings, verdict })
    }

    fn cells(&self) -> [&str; 3] {
        [&self.question, &self.by_tokens, &self.by_meanings]
    }
}

impl Verdict {
    const ALL: [Self; 4] =
        [Self::Recovered, Self::RightBothWays, Self::Broken, Self::WrongBothWays];

    fn name(self) -> &'static str {
        match self {
            Self::Recovered => "recovered",
            Self::RightBothWays => "right both ways",
            Self::Broken => "broken",
            Self::WrongBothWays => "wrong both ways",
        }
    }

    fn paint(self, paint: Paint) -> String {
        match self {
            Self::Recovered => paint.green(self.name()),
            Self::RightBothWays => paint.dim(self.name()),
            Self::Broken | Self::WrongBothWays => paint.red(self.name()),
        }
    }
}
