//! How the vote for the right concept is split.

use super::{
    super::{
        numbers::count,
        plot::{Dot, Dots, Figure, Look, REFERENCE, Scatter, UNDRAWN},
        table::name,
    },
    Plots, look_of, names, row,
};
use crate::{Concentration, Member, Outcome, Pair, Summary};

type Step = fn(&Summary) -> &Concentration;

const STEPS: [(&str, Step); 2] = [
    ("first step", |run| &run.concentration),
    ("informative step", |run| &run.informative_concentration),
];

/// The most pairs that are drawn: more would hide each other, and weigh megabytes.
const DRAWN: usize = 400;

/// Each pair as two points, one picture for each run and step.
pub(super) fn pairs(runs: &[Summary]) -> Plots {
    let each = runs.iter().enumerate().flat_map(|run| STEPS.map(|step| (run, step)));
    let figures = each.map(|((i, run), (label, of))| {
        let bounded = std::ptr::eq(of(run), &run.concentration);
        scatter(format!("{}, {label}", name(i, run)), &of(run).matched.pairs, bounded)
    });
    let legend = [
        (alone(Outcome::StrictFailure), "Strict failures"),
        (alone(Outcome::CommitmentFailure), "Other commitment failures"),
        (alone(Outcome::Right), "Right answers, their partners"),
        (REFERENCE, "Bound at the first step: a strict failure is below (1 − mass) / mass"),
    ];
    Plots::new(legend.map(|(look, text)| (look, text.to_owned())), figures)
}

/// How one answer is drawn: as all of its outcome, without a line.
fn alone(outcome: Outcome) -> Look {
    Look { dash: UNDRAWN, ..look_of(outcome) }
}

/// The bound is one of single tokens, of which the winner is the likeliest: cuts have none.
fn scatter(mut title: String, pairs: &[Pair], bounded: bool) -> Option<Figure> {
    // As many from the beginning as from the end.
    let step = pairs.len().div_ceil(DRAWN).max(1);
    let drawn: Vec<_> = pairs.iter().step_by(step).collect();
    if drawn.len() < pairs.len() {
        title += &format!(" ({} of {} pairs)", count(drawn.len()), count(pairs.len()));
    }
    let dot = |member: &Member, outcome| {
        let Member { mass: x, concentration: y, .. } = *member;
        Dot { look: alone(outcome), x, y }
    };
    // Right answers beneath: what is rarer is not hidden.
    let right = drawn.iter().map(|pair| dot(&pair.right, Outcome::Right));
    let failures = drawn.iter().map(|pair| {
        let strict = if pair.strict { Outcome::StrictFailure } else { Outcome::CommitmentFailure };
        dot(&pair.failure, strict)
    });
    let higher = pairs.iter().filter(|p| p.right.concentration > p.failure.concentration).count();
    let strict = pairs.iter().filter(|pair| pair.strict).count();
    let figure = Scatter {
        title,
        x_name: "mass",
        y_name: "concentration",
        curve: (50..=100)
            .filter(|_| bounded)
            .map(|m| f64::from(m) / 100.0)
            .map(|m| (m, (1.0 - m) / m))
            .collect(),
        says: format!(
            "In {} of {} pairs the right answer is the more concentrated; {} of the failures are \
             strict",
            count(higher),
            count(pairs.len()),
            count(strict)
        ),
    };
    figure.draw(&right.chain(failures).collect::<Vec<_>>())
}

/// The means, one picture for each step.
pub(super) fn means(runs: &[Summary]) -> Plots {
    let figures = STEPS.map(|(label, of)| {
        let rows = [
            row("Commitment failures", runs, |run| of(run).failures),
            row("Strict failures", runs, |run| of(run).strict),
            row("Right answers", runs, |run| of(run).right),
            row("Commitment failures, of pairs", runs, |run| of(run).matched.failures),
            row("Right answers, of pairs", runs, |run| of(run).matched.right),
        ];
        let title = format!("Means where the mass is τ or more, {label}");
        Dots { title, x_name: "mean concentration", x: (0.0, 1.0), reference: None }.draw(&rows)
    });
    Plots::new(names(runs), figures)
}
