//! What answers are worth by other measures.

use super::{
    super::{
        plot::{Dots, Lines, REFERENCE, Row, Series},
        sections::{labelled, of},
        table::{keys, name, sorted},
    },
    Plots, ceiling, look, look_of, names, row, span,
};
use crate::{DecoderSummary, Outcome, Summary, stats::Estimate};

/// One for each run.
pub(super) fn detectors(runs: &[Summary]) -> Plots {
    const SHOWN: [Outcome; 3] =
        [Outcome::Hallucination, Outcome::CommitmentFailure, Outcome::StrictFailure];
    let all = runs.iter().flat_map(|run| run.detectors.values());
    let lows = all.flat_map(|areas| SHOWN.map(|outcome| of(areas, outcome))).flatten();
    // All to one scale, so that they can be compared; with room for the chance of one half.
    let low = lows.map(|e| e.low).filter(|low| low.is_finite()).fold(0.5, f64::min);
    let low = (low * 10.0 - 0.5).floor().max(0.0) / 10.0;
    let figures = runs.iter().enumerate().map(|(i, run)| {
        let rows = run.detectors.iter().map(|(detector, areas)| {
            let point = |outcome| Some((look_of(outcome), of(areas, outcome)?.into()));
            let name = labelled(detector, detector.knows_the_answer());
            Row { name, points: SHOWN.into_iter().filter_map(point).collect() }
        });
        let figure =
            Dots { title: name(i, run), x_name: "AUROC", x: (low, 1.0), reference: Some(0.5) };
        figure.draw(&rows.collect::<Vec<_>>())
    });
    let legend = SHOWN.map(|outcome| (look_of(outcome), outcome.to_string()));
    let chance = (REFERENCE, "Chance".to_owned());
    Plots::new(legend.into_iter().chain([chance]), figures)
}

/// One for each decoder: all of them in one would cross too often to be read.
pub(super) fn calibration(runs: &[Summary]) -> Plots {
    let decoders = keys(runs, |run| run.calibration.keys().collect());
    let figures = decoders.into_iter().map(|decoder| {
        let series = runs.iter().enumerate().filter_map(|(i, run)| {
            let bins = &run.calibration.get(&decoder)?.bins;
            let points =
                bins.iter().filter_map(|bin| Some((bin.confidence?, bin.accuracy?.into())));
            Some(Series { look: look(i), points: points.collect() })
        });
        let figure = Lines {
            title: labelled(&decoder, decoder.knows_the_answer()),
            x_name: "mean confidence",
            y_name: "share of right answers",
            x: (0.0, 1.0),
            top: 1.0,
            diagonal: true,
        };
        figure.draw(&series.collect::<Vec<_>>())
    });
    let perfect = (REFERENCE, "Confidence = share right".to_owned());
    Plots::new(names(runs).into_iter().chain([perfect]), figures)
}

pub(super) fn decoders(runs: &[Summary]) -> Plots {
    let decoders = keys(runs, |run| run.decoders.keys().collect());
    let figure = |title: &str, x_name: &str, rate: fn(&DecoderSummary) -> Option<Estimate>| {
        let rows = decoders.iter().map(|decoder| {
            let name = labelled(decoder, decoder.knows_the_answer());
            row(&name, runs, |run| rate(run.decoders.get(decoder)?))
        });
        let rows: Vec<_> = rows.collect();
        let highs = rows.iter().flat_map(|row| &row.points).map(|(_, e)| e.high);
        let x = (0.0, ceiling(highs));
        Dots { title: title.into(), x_name, x, reference: None }.draw(&rows)
    };
    let figures = [
        figure("Recovered hallucinations", "share of hallucinations", |d| {
            of(&d.right, Outcome::Hallucination)
        }),
        figure("Recovered commitment failures", "share of commitment failures", |d| {
            of(&d.right, Outcome::CommitmentFailure)
        }),
        figure("Broken right answers", "share of right answers", |d| d.broken_rate),
    ];
    Plots::new(names(runs), figures)
}

/// One for each run.
pub(super) fn temperature(runs: &[Summary]) -> Plots {
    let outcomes =
        keys(runs, |run| run.temperature.curve.iter().flat_map(|at| at.mass.keys()).collect());
    let all = sorted(runs, |run| run.temperature.curve.iter().map(|at| at.temperature).collect());
    let figures = runs.iter().enumerate().map(|(i, run)| {
        let series = outcomes.iter().map(|outcome| {
            let points = run.temperature.curve.iter().filter_map(|at| {
                Some((at.temperature, at.mass.get(outcome).copied().flatten()?.into()))
            });
            Series { look: look_of(*outcome), points: points.collect() }
        });
        let figure = Lines {
            title: name(i, run),
            x_name: "temperature",
            y_name: "mean P-mass",
            x: span(&all, 0.1),
            top: 1.0,
            diagonal: false,
        };
        figure.draw(&series.collect::<Vec<_>>())
    });
    let legend = outcomes.iter().map(|outcome| (look_of(*outcome), outcome.to_string()));
    Plots::new(legend, figures)
}
