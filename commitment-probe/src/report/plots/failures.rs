//! Rates of commitment failures beside their nulls.

use super::{
    super::{
        plot::{Dots, Figure, Lines, Look, REFERENCE, Series, Shape},
        sections::RATES,
        table::{name, sorted},
        warnings::withheld,
    },
    Plots, ceiling, look, row, span,
};
use crate::{Rate, Summary};

/// The rates of localised answers, one picture for each step.
pub(super) fn rates(runs: &[Summary]) -> Plots {
    let figures = RATES.chunks(2).zip(["At the first step", "At the informative step"]);
    let figures = figures.map(|(kinds, title)| {
        let rows: Vec<_> = kinds
            .iter()
            .flat_map(|kind| {
                let of = |run: &Summary| {
                    let failures = headed(run)?.failures.clone();
                    Some(kind.of(&failures.first, &failures.informative).clone())
                };
                let label = kind.label.split(',').next().unwrap_or_default();
                [
                    row(label, runs, |run| of(run)?.rate),
                    row(&format!("{label}: null"), runs, |run| of(run)?.null),
                ]
            })
            .collect();
        let highs = rows.iter().flat_map(|row| &row.points).map(|(_, point)| point.high);
        let x = (0.0, ceiling(highs));
        let x_name = "share of localised wrong answers";
        Dots { title: title.into(), x_name, x, reference: None }.draw(&rows)
    });
    Plots::new(legend(runs), figures)
}

/// The same by threshold, one picture for each rate.
pub(super) fn thresholds(runs: &[Summary]) -> Plots {
    let taus = sorted(runs, |run| run.thresholds.iter().map(|t| t.tau).collect());
    let rates = |of: &dyn Fn(&Rate) -> Option<f64>| -> f64 {
        let thresholds = runs.iter().filter_map(headed).flat_map(|run| &run.thresholds);
        let all = thresholds.flat_map(|t| RATES.map(|kind| of(kind.of(&t.first, &t.informative))));
        ceiling(all.flatten())
    };
    // All to one scale, so that they can be compared.
    let top = rates(&|rate| Some(rate.rate?.high)).max(rates(&|rate| Some(rate.null?.value)));
    let figures = RATES.iter().map(|kind| -> Option<Figure> {
        let of = |run: &Summary, look: Look, value: &dyn Fn(&Rate) -> Option<_>| {
            let points = run.thresholds.iter();
            let points = points
                .filter_map(|t| Some((t.tau, value(kind.of(&t.first, &t.informative))?)))
                .collect();
            Series { look, points }
        };
        let series = runs.iter().enumerate().filter_map(|(i, run)| Some((look(i), headed(run)?)));
        let series = series.flat_map(|(look, run)| {
            let dotted = Look { dash: REFERENCE.dash, shape: Shape::None, ..look };
            [
                of(run, look, &|rate| Some(rate.rate?.into())),
                of(run, dotted, &|rate| Some(rate.null?.value.into())),
            ]
        });
        let figure = Lines {
            title: kind.label.into(),
            x_name: "threshold τ",
            y_name: "share of localised wrong answers",
            x: span(&taus, 0.05),
            top,
            diagonal: false,
        };
        figure.draw(&series.collect::<Vec<_>>())
    });
    let null = (REFERENCE, "Null, in the run's colour".to_owned());
    let figures: Vec<_> = figures.collect();
    Plots::new(legend(runs).into_iter().chain([null]), figures)
}

/// The run, if it has a headline.
fn headed(run: &Summary) -> Option<&Summary> {
    withheld(run).is_none().then_some(run)
}

/// The names of the runs; those without a headline are not drawn.
fn legend(runs: &[Summary]) -> Vec<(Look, String)> {
    let entry = |(i, run): (usize, &Summary)| {
        let withheld = if headed(run).is_none() { ": withheld, not drawn" } else { "" };
        (look(i), format!("{}{withheld}", name(i, run)))
    };
    runs.iter().enumerate().map(entry).collect()
}
