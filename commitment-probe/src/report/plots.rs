//! What is worth a picture.

use super::{
    plot::{Dots, Figure, Lines, Look, REFERENCE, Row, Series, Shape, shown},
    sections::{labelled, of},
    table::{Topic, keys, name, sorted},
};
use crate::{DecoderSummary, Outcome, Summary, stats::Estimate};

/// Pictures that share a legend.
pub(super) struct Plots {
    pub legend: Vec<(Look, String)>,
    pub figures: Vec<Figure>,
}

type Figures = Vec<Option<Figure>>;

/// How an outcome is drawn, wherever it is drawn.
fn look_of(outcome: Outcome) -> Look {
    let (colour, dash, shape) = match outcome {
        Outcome::CommitmentFailure => (5, 0, Shape::Circle),
        Outcome::Right => (4, 1, Shape::Square),
        Outcome::OtherHallucination => (6, 2, Shape::Diamond),
        Outcome::Hallucination => (7, 0, Shape::Ring),
        Outcome::All => (0, 3, Shape::Triangle),
    };
    Look { colour, dash, shape }
}

/// How run `i` is drawn, wherever it is drawn.
pub(super) fn look(i: usize) -> Look {
    const SHAPES: [Shape; 5] =
        [Shape::Circle, Shape::Square, Shape::Triangle, Shape::Diamond, Shape::Flipped];
    Look { colour: (i % 7) as u8, dash: (i % 4) as u8, shape: SHAPES[i % SHAPES.len()] }
}

/// The pictures of a topic, if there is anything to see.
pub(super) fn plots(topic: Topic, runs: &[Summary]) -> Option<Plots> {
    let (legend, figures) = match topic {
        Topic::Thresholds => (names(runs), vec![thresholds(runs)]),
        Topic::Concentration => (names(runs), vec![concentration(runs)]),
        Topic::Detectors => detectors(runs),
        Topic::Calibration => calibration(runs),
        Topic::Decoders => (names(runs), decoders(runs)),
        Topic::Temperature => temperature(runs),
        Topic::Overview | Topic::Confidence | Topic::SecondToken => return None,
    };
    let figures: Vec<_> = figures.into_iter().flatten().collect();
    (!figures.is_empty()).then_some(Plots { legend, figures })
}

fn names(runs: &[Summary]) -> Vec<(Look, String)> {
    runs.iter().enumerate().map(|(i, run)| (look(i), name(i, run))).collect()
}

fn thresholds(runs: &[Summary]) -> Option<Figure> {
    let taus = sorted(runs, |run| run.thresholds.iter().map(|t| t.tau).collect());
    let series = runs.iter().enumerate().map(|(i, run)| {
        let points = run.thresholds.iter().filter_map(|t| Some((t.tau, t.rate?)));
        Series { look: look(i), points: points.collect() }
    });
    let highs = runs.iter().flat_map(|run| &run.thresholds).filter_map(|t| Some(t.rate?.high));
    let figure = Lines {
        title: "Commitment failures by threshold".into(),
        x_name: "threshold τ",
        y_name: "share of hallucinations",
        x: span(&taus, 0.05),
        top: ceiling(highs),
        diagonal: false,
    };
    figure.draw(&series.collect::<Vec<_>>())
}

fn concentration(runs: &[Summary]) -> Option<Figure> {
    let rows = [
        row("Commitment failures", runs, |run| run.concentration.failures),
        row("Right answers", runs, |run| run.concentration.right),
        row("Commitment failures, matched by P-mass", runs, |run| {
            run.concentration.matched.failures
        }),
        row("Right answers, matched by P-mass", runs, |run| run.concentration.matched.right),
    ];
    let figure = Dots {
        title: "Concentration where the P-mass is τ or more".into(),
        x_name: "mean concentration",
        x: (0.0, 1.0),
        reference: None,
    };
    figure.draw(&rows)
}

fn detectors(runs: &[Summary]) -> (Vec<(Look, String)>, Figures) {
    const SHOWN: [Outcome; 2] = [Outcome::Hallucination, Outcome::CommitmentFailure];
    let all = runs.iter().flat_map(|run| run.detectors.values());
    let lows = all.flat_map(|areas| SHOWN.map(|outcome| of(areas, outcome))).flatten();
    // All to one scale, so that they can be compared; with room for the chance of one half.
    let low = lows.map(|e| e.low).filter(|low| low.is_finite()).fold(0.5, f64::min);
    let low = (low * 10.0 - 0.5).floor().max(0.0) / 10.0;
    let figures = runs.iter().enumerate().map(|(i, run)| {
        let rows = run.detectors.iter().map(|(detector, areas)| {
            let point = |outcome| Some((look_of(outcome), of(areas, outcome)?));
            let name = labelled(detector, detector.knows_the_answer());
            Row { name, points: SHOWN.into_iter().filter_map(point).collect() }
        });
        let figure =
            Dots { title: name(i, run), x_name: "AUROC", x: (low, 1.0), reference: Some(0.5) };
        figure.draw(&rows.collect::<Vec<_>>())
    });
    let legend = SHOWN.map(|outcome| (look_of(outcome), outcome.to_string()));
    let chance = (REFERENCE, "Chance".to_owned());
    (legend.into_iter().chain([chance]).collect(), figures.collect())
}

/// One for each decoder: all of them in one would cross too often to be read.
fn calibration(runs: &[Summary]) -> (Vec<(Look, String)>, Figures) {
    let decoders = keys(runs, |run| run.calibration.keys().collect());
    let figures = decoders.into_iter().map(|decoder| {
        let series = runs.iter().enumerate().filter_map(|(i, run)| {
            let bins = &run.calibration.get(&decoder)?.bins;
            let points =
                bins.iter().filter_map(|bin| Some((bin.confidence?, alone(bin.accuracy?))));
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
    let figures = figures.collect();
    (names(runs).into_iter().chain([perfect]).collect(), figures)
}

fn decoders(runs: &[Summary]) -> Figures {
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
    vec![
        figure("Recovered hallucinations", "share of hallucinations", |d| {
            of(&d.right, Outcome::Hallucination)
        }),
        figure("Recovered commitment failures", "share of commitment failures", |d| {
            of(&d.right, Outcome::CommitmentFailure)
        }),
        figure("Broken right answers", "share of right answers", |d| d.broken_rate),
    ]
}

fn temperature(runs: &[Summary]) -> (Vec<(Look, String)>, Figures) {
    let outcomes =
        keys(runs, |run| run.temperature.curve.iter().flat_map(|at| at.mass.keys()).collect());
    let all = sorted(runs, |run| run.temperature.curve.iter().map(|at| at.temperature).collect());
    let figures = runs.iter().enumerate().map(|(i, run)| {
        let series = outcomes.iter().map(|outcome| {
            let points = run.temperature.curve.iter().filter_map(|at| {
                Some((at.temperature, alone(at.mass.get(outcome).copied().flatten()?)))
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
    (legend.collect(), figures.collect())
}

/// A row with a point for each run.
fn row(name: &str, runs: &[Summary], of: impl Fn(&Summary) -> Option<Estimate>) -> Row {
    let points = runs.iter().enumerate().filter_map(|(i, run)| Some((look(i), of(run)?)));
    Row { name: name.into(), points: points.collect() }
}

/// A number without an interval.
fn alone(value: f64) -> Estimate {
    Estimate { value, low: value, high: value, n: 0 }
}

/// From the first that can be shown to the last, and some room.
fn span(sorted: &[f64], room: f64) -> (f64, f64) {
    let mut shown = sorted.iter().filter(|value| shown(**value));
    let first = shown.next();
    let last = shown.next_back().or(first);
    first.zip(last).map_or((0.0, 1.0), |(first, last)| (first - room, last + room))
}

/// The next tenth, where an axis of shares ends.
fn ceiling(highs: impl Iterator<Item = f64>) -> f64 {
    (highs.fold(0.0, f64::max) * 10.0).ceil().clamp(1.0, 10.0) / 10.0
}
