//! Small plots in SVG that take their colours from the page they are in.

mod frame;
mod ink;
mod scatter;

pub(super) use frame::key;
use frame::{Axes, Drawn, Frame, WIDTH, framed, pixels};
pub(super) use ink::{Look, Shape};
pub(super) use scatter::{Dot, Scatter};

use super::{page::escape, table::one_line};
use crate::stats::Estimate;

/// What others are compared with.
pub(super) const REFERENCE: Look = Look { colour: 7, dash: 3, shape: Shape::None };

/// A number and its interval, which may have no width.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub value: f64,
    pub low: f64,
    pub high: f64,
}

impl From<Estimate> for Point {
    fn from(Estimate { value, low, high, .. }: Estimate) -> Self {
        Self { value, low, high }
    }
}

impl From<f64> for Point {
    fn from(value: f64) -> Self {
        Self { value, low: value, high: value }
    }
}

/// The dash of a series that has marks alone.
pub(super) const UNDRAWN: u8 = 4;

pub(super) struct Figure {
    pub title: String,
    pub svg: String,
}

/// A line for each series, along numbers.
pub(super) struct Lines<'a> {
    pub title: String,
    pub x_name: &'a str,
    pub y_name: &'a str,
    pub x: (f64, f64),
    /// The upper end of the upright axis.
    pub top: f64,
    /// Whether there is a line of y = x.
    pub diagonal: bool,
}

pub(super) struct Series {
    pub look: Look,
    pub points: Vec<(f64, Point)>,
}

/// A line of numbers for each row, in which each series has a lane of its own.
pub(super) struct Dots<'a> {
    pub title: String,
    pub x_name: &'a str,
    pub x: (f64, f64),
    pub reference: Option<f64>,
}

pub(super) struct Row {
    pub name: String,
    pub points: Vec<(Look, Point)>,
}

impl Lines<'_> {
    /// Nothing, if there is no point to draw.
    pub fn draw(self, series: &[Series]) -> Option<Figure> {
        let inside = |x: f64, e: &Point| self.x.0 <= x && x <= self.x.1 && drawable(e);
        let series: Vec<_> = series
            .iter()
            .map(|series| {
                let points = series.points.iter().copied();
                (series.look, points.filter(|(x, e)| inside(*x, e)).collect::<Vec<_>>())
            })
            .filter(|(_, points)| !points.is_empty())
            .collect();
        if series.is_empty() {
            return None;
        }
        let axes = Axes {
            x: self.x.0..self.x.1,
            x_name: self.x_name,
            y: 0.0..self.top,
            y_name: Some(self.y_name),
            height: 220,
        };
        let count = series.len() as i32;
        // Side by side where one interval would hide another, and still about their place.
        let wide = series.iter().flat_map(|(_, points)| points).any(|(_, e)| e.low < e.high);
        let step = if wide { pixels(5).min(pixels(24) / count) } else { 0 };
        let svg = framed(
            &axes,
            &described("Line plot", &self.title, &format!("{} by {}", self.y_name, self.x_name)),
            |frame| {
                if self.diagonal {
                    frame.line(vec![frame.at(0.0, 0.0), frame.at(1.0, 1.0)], REFERENCE)?;
                }
                for (place, (look, points)) in (0..).zip(&series) {
                    let aside = step * (2 * place + 1 - count) / 2;
                    let at = |x: f64, y: f64| {
                        let (left, up) = frame.at(x, y.clamp(0.0, self.top));
                        (left + aside, up)
                    };
                    frame.line(points.iter().map(|(x, e)| at(*x, e.value)).collect(), *look)?;
                    for (x, e) in points {
                        interval(frame, at(*x, e.low), at(*x, e.high), *look)?;
                    }
                    for (x, e) in points {
                        frame.mark(at(*x, e.value), *look)?;
                    }
                }
                Ok(())
            },
        );
        Some(Figure { title: self.title, svg })
    }
}

impl Dots<'_> {
    /// In pixels: of a row's name, of a lane, and beneath a row.
    const NAME: i32 = 20;
    const LANE: i32 = 14;
    const GAP: i32 = 10;

    /// Nothing, if there is no point to draw.
    pub fn draw(self, rows: &[Row]) -> Option<Figure> {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                let points = row.points.iter().copied().filter(|(_, e)| drawable(e));
                (row.name.as_str(), points.collect::<Vec<_>>())
            })
            .filter(|(_, points)| !points.is_empty())
            .collect();
        if rows.is_empty() {
            return None;
        }
        let lanes: usize = rows.iter().map(|(_, points)| points.len()).sum();
        let height = rows.len() as i32 * (Self::NAME + Self::GAP) + lanes as i32 * Self::LANE;
        let axes = Axes {
            x: self.x.0..self.x.1,
            x_name: self.x_name,
            // Upside down, so that it counts pixels from the top.
            y: f64::from(height)..0.0,
            y_name: None,
            height,
        };
        let svg = framed(&axes, &described("Dot plot", &self.title, self.x_name), |frame| {
            if let Some(x) = self.reference {
                frame.line(vec![frame.at(x, 0.0), frame.at(x, height.into())], REFERENCE)?;
            }
            let mut y = 0;
            for (name, points) in &rows {
                let (left, up) = frame.at(self.x.0, f64::from(y + Self::NAME / 2));
                frame.name(&clip(name), (left + pixels(3), up))?;
                y += Self::NAME;
                for (look, e) in points {
                    let at = |x: f64| {
                        frame.at(x.clamp(self.x.0, self.x.1), f64::from(y + Self::LANE / 2))
                    };
                    interval(frame, at(e.low), at(e.high), *look)?;
                    frame.mark(at(e.value), *look)?;
                    y += Self::LANE;
                }
                y += Self::GAP;
            }
            Ok(())
        });
        Some(Figure { title: self.title, svg })
    }
}

fn interval(frame: &Frame, low: (i32, i32), high: (i32, i32), look: Look) -> Drawn {
    if low == high { Ok(()) } else { frame.interval(low, high, look) }
}

/// Summaries that were read from a file may hold anything: of an infinity, a NaN or a huge number
/// there is no place on an axis.
pub(super) fn shown(value: f64) -> bool {
    value.abs() <= 1e6
}

fn drawable(e: &Point) -> bool {
    [e.value, e.low, e.high].into_iter().all(shown)
}

fn described(what: &str, title: &str, x_name: &str) -> String {
    escape(&format!("{what}: {title}; {x_name}. The table has the numbers."))
}

/// The text, or so much of it as fits in a plot.
fn clip(text: &str) -> String {
    /// In pixels, of letters that are not the narrowest.
    const LETTER: i32 = 8;
    let fits = (WIDTH / LETTER) as usize;
    let text = one_line(text);
    match text.char_indices().nth(fits) {
        None => text,
        Some(_) => text.chars().take(fits - 1).chain(['…']).collect(),
    }
}
