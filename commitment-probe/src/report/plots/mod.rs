//! What is worth a picture.

mod concentration;
mod failures;
mod hidden;
mod measures;

use super::{
    plot::{Figure, Look, Point, Row, Shape, shown},
    table::{Topic, name},
};
use crate::{Outcome, Summary};

/// Pictures that share a legend.
pub(super) struct Plots {
    pub legend: Vec<(Look, String)>,
    pub figures: Vec<Figure>,
}

impl Plots {
    /// Those of the figures that there are.
    fn new(
        legend: impl IntoIterator<Item = (Look, String)>,
        figures: impl IntoIterator<Item = Option<Figure>>,
    ) -> Self {
        Self {
            legend: legend.into_iter().collect(),
            figures: figures.into_iter().flatten().collect(),
        }
    }
}

/// How an outcome is drawn, wherever it is drawn.
fn look_of(outcome: Outcome) -> Look {
    let (colour, dash, shape) = match outcome {
        Outcome::CommitmentFailure => (5, 0, Shape::Circle),
        Outcome::StrictFailure => (2, 1, Shape::Triangle),
        Outcome::Right => (4, 1, Shape::Square),
        Outcome::OtherHallucination => (6, 2, Shape::Diamond),
        Outcome::Hallucination => (7, 0, Shape::Ring),
        Outcome::All => (0, 3, Shape::Flipped),
    };
    Look { colour, dash, shape }
}

/// How run `i` is drawn, wherever it is drawn.
pub(super) fn look(i: usize) -> Look {
    const SHAPES: [Shape; 5] =
        [Shape::Circle, Shape::Square, Shape::Triangle, Shape::Diamond, Shape::Flipped];
    Look { colour: (i % 7) as u8, dash: (i % 4) as u8, shape: SHAPES[i % SHAPES.len()] }
}

/// The pictures of a topic that have anything to see.
pub(super) fn plots(topic: Topic, runs: &[Summary]) -> Vec<Plots> {
    let plots = match topic {
        Topic::Failures => vec![failures::rates(runs)],
        Topic::Thresholds => vec![failures::thresholds(runs)],
        Topic::Concentration => {
            vec![concentration::pairs(runs), concentration::means(runs)]
        }
        Topic::Detectors => vec![measures::detectors(runs)],
        Topic::Hidden => vec![hidden::depth(runs)],
        Topic::Calibration => vec![measures::calibration(runs)],
        Topic::Decoders => vec![measures::decoders(runs)],
        Topic::Temperature => vec![measures::temperature(runs)],
        Topic::Overview
        | Topic::Settings
        | Topic::Cases
        | Topic::Comparisons
        | Topic::Confidence
        | Topic::Later => vec![],
    };
    plots.into_iter().filter(|plots| !plots.figures.is_empty()).collect()
}

fn names(runs: &[Summary]) -> Vec<(Look, String)> {
    runs.iter().enumerate().map(|(i, run)| (look(i), name(i, run))).collect()
}

/// A row with a point for each run.
fn row<P: Into<Point>>(name: &str, runs: &[Summary], of: impl Fn(&Summary) -> Option<P>) -> Row {
    let points = runs.iter().enumerate().filter_map(|(i, run)| Some((look(i), of(run)?.into())));
    Row { name: name.into(), points: points.collect() }
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
