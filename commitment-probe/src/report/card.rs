//! The key figures of a run, at the head of the page.

use serde::Serialize;

use super::{
    numbers::{Cell, count, estimate, told},
    plot::key,
    plots::look,
    sections::questions,
    table::name,
    warnings::{neither, other_warnings, verdicts, withheld},
};
use crate::{Rate, Summary, Verdict};

#[derive(Serialize)]
pub(super) struct Card {
    key: String,
    name: String,
    headlines: Vec<Headline>,
    /// Why there are no headlines.
    withheld: Option<String>,
    figures: Vec<KeyFigure>,
    warnings: Vec<String>,
}

/// A rate beside its null.
#[derive(Serialize)]
struct Headline {
    name: &'static str,
    rate: Cell,
    null: Cell,
}

#[derive(Serialize)]
struct KeyFigure {
    name: &'static str,
    cell: Cell,
}

impl Card {
    pub fn new(i: usize, run: &Summary) -> Self {
        let withheld = withheld(run);
        let headline = |name, rate: &Rate| Headline {
            name,
            rate: estimate(rate.rate),
            null: estimate(rate.null),
        };
        let first = &run.failures.first;
        let headlines = vec![
            headline("strict failures", &first.strict),
            headline("failures by the paper's rate", &first.paper),
        ];
        Self {
            key: key(look(i)),
            name: name(i, run),
            headlines: if withheld.is_some() { vec![] } else { headlines },
            withheld,
            figures: figures(run),
            warnings: other_warnings(run),
        }
    }
}

fn figures(run: &Summary) -> Vec<KeyFigure> {
    let figure = |name, cell| KeyFigure { name, cell };
    let number = |verdict| count(verdicts(run, verdict));
    let judged = told(Some(run).filter(|run| !run.verdicts.is_empty()), |_| {
        format!("{}, {}, {}", number(Verdict::Right), number(Verdict::Wrong), count(neither(run)))
    });
    vec![
        figure("Questions", questions(run).into()),
        figure("Right, wrong, neither", judged.into()),
        figure("Scorer", told(run.scorer, |scorer| scorer.to_string()).into()),
        figure("Hallucination rate", estimate(run.hallucination_rate)),
        figure("Localised answers", estimate(run.localised)),
        figure("Wrong-winner confidence", estimate(run.wrong_winner_confidence)),
    ]
}
