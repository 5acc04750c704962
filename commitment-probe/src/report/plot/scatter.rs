//! Points by two numbers.

use super::{Figure, REFERENCE, described, frame::Axes, framed, ink::Look, shown};

/// Points by two shares, and a curve that they are compared with.
pub(in super::super) struct Scatter<'a> {
    pub title: String,
    pub x_name: &'a str,
    pub y_name: &'a str,
    pub curve: Vec<(f64, f64)>,
    /// What a reader who cannot see the points must know of them.
    pub says: String,
}

#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Dot {
    pub look: Look,
    pub x: f64,
    pub y: f64,
}

impl Scatter<'_> {
    /// Nothing, if there is no point to draw.
    pub fn draw(self, dots: &[Dot]) -> Option<Figure> {
        let dots: Vec<_> = dots.iter().filter(|dot| shown(dot.x) && shown(dot.y)).collect();
        if dots.is_empty() {
            return None;
        }
        let axes = Axes {
            x: 0.0..1.0,
            x_name: self.x_name,
            y: 0.0..1.0,
            y_name: Some(self.y_name),
            height: 260,
        };
        let what = format!("{} by {}. {}", self.y_name, self.x_name, self.says);
        let svg = framed(&axes, &described("Scatter plot", &self.title, &what), |frame| {
            // What rounds to beyond an end of an axis is at that end.
            let at = |x: f64, y: f64| frame.at(x.clamp(0.0, 1.0), y.clamp(0.0, 1.0));
            frame.line(self.curve.iter().map(|&(x, y)| at(x, y)).collect(), REFERENCE)?;
            dots.iter().try_for_each(|dot| frame.dot(at(dot.x, dot.y), dot.look))
        });
        Some(Figure { title: self.title, svg })
    }
}
