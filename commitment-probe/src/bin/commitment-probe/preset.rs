//! Tasks of lm-evaluation-harness 0.4.13, to be compared with its results question by question.
//!
//! What its files `tasks/triviaqa/default.yaml` and `tasks/nq_open/nq_open.yaml` say, and what its
//! `api/task.py` and `models/utils.py` make of it.

use anyhow::{Context, Result};
use clap::ValueEnum;
use commitment_probe::{Scorer, Stops};
use serde::{Deserialize, Serialize};

use crate::prompt::Format;
use crate::shots::{Choice, Shot};

/// A task of lm-evaluation-harness: prompt, shots, stops and scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Preset {
    /// Its `triviaqa`.
    #[value(name = "lm-eval:triviaqa")]
    #[serde(rename = "lm-eval:triviaqa")]
    LmEvalTriviaQa,
    /// Its `nq_open`.
    #[value(name = "lm-eval:nq_open")]
    #[serde(rename = "lm-eval:nq_open")]
    LmEvalNqOpen,
}

impl Preset {
    /// The maximum number of tokens of an answer: neither task says, and so this is what its models
    /// do.
    pub const MAX_TOKENS: usize = 256;

    /// The prompt. A question gets a question mark even if it has one.
    pub fn format(self) -> Result<Format> {
        Ok(match self {
            Self::LmEvalTriviaQa => Format::new("Question: {question}?\nAnswer:")?,
            Self::LmEvalNqOpen => {
                Format::new("Q: {question}?\nA:")?.with("Answer these questions:\n\n", "\n")
            }
        })
    }

    /// Where an answer ends, besides the tokens by which a model ends it.
    pub fn stops(self) -> Stops {
        Stops::new(["\n", ".", ","])
    }

    /// What decides whether an answer is right.
    pub fn scorer(self) -> Scorer {
        match self {
            Self::LmEvalTriviaQa => Scorer::LmEvalTriviaQa,
            Self::LmEvalNqOpen => Scorer::LmEvalNqOpen,
        }
    }

    /// How the shots of a question are chosen.
    pub fn choice(self) -> Choice {
        Choice::drawn(Choice::SEED)
    }

    /// The rows of a file, JSONL in the layout of the task's dataset on the Hugging Face Hub and in
    /// its order: TriviaQA's `{"question_id", "question", "answer": {"aliases"}}`, or the
    /// `{"question", "answer": [forms…]}` of Natural Questions. Other fields are ignored.
    ///
    /// Fails with the number of the line that has another layout.
    pub fn rows(self, text: &str) -> Result<Vec<Row>> {
        let lines = text.split('\n').enumerate().filter(|(_, line)| !line.trim().is_empty());
        let row = |(i, line)| {
            let row = match self {
                Self::LmEvalTriviaQa => serde_json::from_str(line).map(Row::of_trivia),
                Self::LmEvalNqOpen => serde_json::from_str(line).map(Row::of_natural),
            };
            row.with_context(|| format!("line {} is not a row of {}", i + 1, self.dataset()))
        };
        lines.map(row).collect()
    }

    fn dataset(self) -> &'static str {
        match self {
            Self::LmEvalTriviaQa => "mandarjoshi/trivia_qa",
            Self::LmEvalNqOpen => "google-research-datasets/nq_open",
        }
    }
}

/// A question as lm-evaluation-harness has it: verbatim, with white space and duplicates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its name, if the dataset has one.
    pub id: Option<String>,
    /// What is asked.
    pub question: String,
    /// What is accepted. Of TriviaQA these are the aliases alone, which may lack the value.
    pub answers: Vec<String>,
}

#[derive(Deserialize)]
struct Trivia {
    question_id: Option<String>,
    question: String,
    answer: Aliases,
}

#[derive(Deserialize)]
struct Aliases {
    aliases: Vec<String>,
}

#[derive(Deserialize)]
struct Natural {
    question: String,
    answer: Vec<String>,
}

impl Row {
    fn of_trivia(Trivia { question_id: id, question, answer }: Trivia) -> Self {
        Self { id, question, answers: answer.aliases }
    }

    fn of_natural(Natural { question, answer: answers }: Natural) -> Self {
        Self { id: None, question, answers }
    }

    /// The row as a shot, whose answer is the first that is accepted.
    ///
    /// Fails if none is.
    pub fn shot(&self) -> Result<Shot> {
        let answer = self.answers.first();
        let answer = answer.with_context(|| format!("{:?} has no answer", self.question))?;
        Ok(Shot::new(&self.question, answer))
    }
}

#[cfg(test)]
mod equals_lm_eval;
#[cfg(test)]
mod tests;
