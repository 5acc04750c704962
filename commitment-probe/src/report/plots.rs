//! What is worth a picture.

use super::{
    plot::{Dots, Figure, Lines, Look, REFERENCE, Row, Series, Shape},
    sections::{KNOWS, kinds, masses, of_kind},
    table::{Topic, name, sorted, union},
};
use crate::{DecoderSummary, Summary, stats::Estimate};

/// Pictures that share a legend.
pub(super) struct Plots {
    pub legend: Vec<(Look, String)>,
    pub figures: Vec<Figure>,
}

type Figures = Vec<Option<Figure>>;

const FAILURES: Look = Look { colour: 5, dash: 0, shape: Shape::Circle };
const RIGHT: Look = Look { colour: 4, dash: 1, shape: Shape::Square };
const OTHERS: Look = Look { colour: 6, dash: 2, shape: Shape::Diamond };
const ALL: Look = Look { colour: 7, dash: 0, shape: Shape::Ring };

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
    let all = runs.iter().flat_map(|run| &run.detectors);
    let lows = all.flat_map(|d| [d.hallucinations, d.failures]).flatten().map(|e| e.low);
    // All to one scale, so that they can be compared; with room for the chance of one half.
    let low = (lows.fold(0.5, f64::min) * 10.0 - 0.5).floor().max(0.0) / 10.0;
    let figures = runs.iter().enumerate().map(|(i, run)| {
        let rows = run.detectors.iter().map(|detector| {
            let points = [(ALL, detector.hallucinations), (FAILURES, detector.failures)];
            let points = points.into_iter().filter_map(|(look, area)| Some((look, area?)));
            Row { name: detector.name.clone(), points: points.collect() }
        });
        let figure =
            Dots { title: name(i, run), x_name: "AUROC", x: (low, 1.0), reference: Some(0.5) };
        figure.draw(&rows.collect::<Vec<_>>())
    });
    let legend =
        [(ALL, "All hallucinations"), (FAILURES, "Commitment failures"), (REFERENCE, "Chance")];
    (legend.map(|(look, text)| (look, text.into())).into(), figures.collect())
}

/// One for each kind of confidence: all of them in one would cross too often to be read.
fn calibration(runs: &[Summary]) -> (Vec<(Look, String)>, Figures) {
    let figures = kinds(runs).into_iter().map(|kind| {
        let series = runs.iter().enumerate().filter_map(|(i, run)| {
            let bins = &of_kind(run, kind)?.calibration.bins;
            let points =
                bins.iter().filter_map(|bin| Some((bin.confidence?, alone(bin.accuracy?))));
            Some(Series { look: look(i), points: points.collect() })
        });
        let figure = Lines {
            title: kind.to_owned(),
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
    let key = |d: &DecoderSummary| (d.name.clone(), d.knows_answers);
    let decoders = union(runs, |run| run.decoders.iter().map(key).collect());
    let figure = |title: &str, x_name: &str, of: fn(&DecoderSummary) -> Option<Estimate>| {
        let row = |decoder: &(String, bool)| {
            let name = format!("{}{}", decoder.0, if decoder.1 { KNOWS } else { "" });
            row(&name, runs, |run| of(run.decoders.iter().find(|d| key(d) == *decoder)?))
        };
        let rows: Vec<_> = decoders.iter().map(row).collect();
        let highs = rows.iter().flat_map(|row| &row.points).map(|(_, e)| e.high);
        let x = (0.0, ceiling(highs));
        Dots { title: title.into(), x_name, x, reference: None }.draw(&rows)
    };
    vec![
        figure("Recovered hallucinations", "share of hallucinations", |d| {
            d.recovered_hallucinations
        }),
        figure("Recovered commitment failures", "share of commitment failures", |d| {
            d.recovered_failures
        }),
        figure("Broken right answers", "share of right answers", |d| d.broken_rate),
    ]
}

fn temperature(runs: &[Summary]) -> (Vec<(Look, String)>, Figures) {
    let groups: Vec<_> = [FAILURES, OTHERS, RIGHT].into_iter().zip(masses()).collect();
    let all = sorted(runs, |run| run.temperature.curve.iter().map(|at| at.temperature).collect());
    let figures = runs.iter().enumerate().map(|(i, run)| {
        let series = groups.iter().map(|&(look, (_, of))| {
            let points = run.temperature.curve.iter();
            let points = points.filter_map(|at| Some((at.temperature, alone(of(at)?))));
            Series { look, points: points.collect() }
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
    let legend = groups.iter().map(|&(look, (label, _))| (look, label.to_owned()));
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

/// From the first to the last, and a little more.
fn span(sorted: &[f64], room: f64) -> (f64, f64) {
    let mut finite = sorted.iter().filter(|value| value.is_finite());
    let first = finite.next();
    let last = finite.next_back().or(first);
    first.zip(last).map_or((0.0, 1.0), |(first, last)| (first - room, last + room))
}

/// The next tenth, where an axis of shares ends.
fn ceiling(highs: impl Iterator<Item = f64>) -> f64 {
    (highs.fold(0.0, f64::max) * 10.0).ceil().clamp(1.0, 10.0) / 10.0
}
