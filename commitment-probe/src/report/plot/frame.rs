//! Axes, and what is drawn between them.

use std::ops::Range;

use plotters::{
    coord::{Shift, types::RangedCoordf64},
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::ink::{Ink, Look, Shape, dressed};

/// The width of a plot, in pixels, on a page that has room for it.
pub(super) const WIDTH: i32 = 400;
/// Plotters draws to whole units; so many of them are a pixel.
const UNITS: i32 = 8;
/// The size of letters, in pixels.
const FONT: f64 = 13.0;
/// Plotters takes the height of a line for the size of a font, and divides it by this.
const LINE: f64 = 1.24;
/// Half the size of a mark, in pixels.
const MARK: f64 = 4.6;
/// The same of one mark among hundreds.
const DOT: f64 = 2.9;
/// The room around what is drawn, in pixels: above, beneath, and beside it.
const TOP: i32 = 10;
const NAMED_TOP: i32 = 26;
const BOTTOM: i32 = 42;
const SIDE: i32 = 14;
/// For the numbers of an upright axis.
const NUMBERS: i32 = 34;

pub(super) type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;
type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

pub(super) struct Axes<'a> {
    pub x: Range<f64>,
    pub x_name: &'a str,
    pub y: Range<f64>,
    /// None, if the upright axis has no numbers.
    pub y_name: Option<&'a str>,
    /// From the top to the bottom of `y`, in pixels.
    pub height: i32,
}

/// Draws on axes. Places are in units of the picture, of which [`pixels`] makes.
pub(super) struct Frame<'a, 'b> {
    area: &'a Area<'b>,
    chart: Chart<'a, 'b>,
}

/// An SVG of what `draw` draws between the axes; `label` says what it shows.
pub(super) fn framed(axes: &Axes, label: &str, draw: impl FnOnce(&Frame) -> Drawn) -> String {
    let attributes = format!("class=\"plot\" role=\"img\" aria-label=\"{label}\"");
    let top = if axes.y_name.is_some() { NAMED_TOP } else { TOP };
    canvas((WIDTH, top + axes.height + BOTTOM), &attributes, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(pixels(top))
            .margin_left(pixels(if axes.y_name.is_some() { 0 } else { SIDE }))
            .margin_right(pixels(SIDE))
            .x_label_area_size(pixels(BOTTOM))
            .y_label_area_size(pixels(if axes.y_name.is_some() { NUMBERS } else { 0 }))
            .build_cartesian_2d(axes.x.clone(), axes.y.clone())?;
        let mut mesh = chart.configure_mesh();
        mesh.label_style(font(Ink::Number))
            .bold_line_style(Ink::Grid.colour())
            .light_line_style(TRANSPARENT)
            .axis_style(Ink::Axis.colour())
            .set_all_tick_mark_size(pixels(3))
            .x_label_formatter(&tick)
            .y_label_formatter(&tick)
            .x_labels(7)
            .y_labels(8)
            .x_desc(axes.x_name);
        if axes.y_name.is_none() {
            mesh.disable_y_mesh().disable_y_axis().y_labels(0);
        }
        mesh.draw()?;
        if let Some(name) = axes.y_name {
            area.draw(&Text::new(name, (pixels(2), pixels(8)), font(Ink::Number)))?;
        }
        draw(&Frame { area, chart })
    })
}

/// What a look is in a legend.
pub(in super::super) fn key(look: Look) -> String {
    canvas((34, 14), "class=\"key\" aria-hidden=\"true\"", |area| {
        let line = [(pixels(1), pixels(7)), (pixels(33), pixels(7))];
        area.draw(&PathElement::new(line, Ink::Line(look).colour()))?;
        mark(area, (pixels(17), pixels(7)), look, MARK)
    })
}

impl Frame<'_, '_> {
    /// Where the axes put a pair of numbers.
    pub fn at(&self, x: f64, y: f64) -> (i32, i32) {
        self.chart.backend_coord(&(x, y))
    }

    pub fn line(&self, points: Vec<(i32, i32)>, look: Look) -> Drawn {
        self.area.draw(&PathElement::new(points, Ink::Line(look).colour()))
    }

    pub fn interval(&self, low: (i32, i32), high: (i32, i32), look: Look) -> Drawn {
        self.area.draw(&PathElement::new([low, high], Ink::Interval(look).colour()))
    }

    pub fn mark(&self, at: (i32, i32), look: Look) -> Drawn {
        mark(self.area, at, look, MARK)
    }

    /// A mark among hundreds.
    pub fn dot(&self, at: (i32, i32), look: Look) -> Drawn {
        mark(self.area, at, look, DOT)
    }

    /// A text whose left end is in the middle of its height at `at`.
    pub fn name(&self, text: &str, at: (i32, i32)) -> Drawn {
        self.area.draw(&Text::new(text, at, font(Ink::Name)))
    }
}

pub(super) fn pixels(pixels: i32) -> i32 {
    pixels * UNITS
}

fn canvas(size: (i32, i32), attributes: &str, draw: impl FnOnce(&Area) -> Drawn) -> String {
    let size = (pixels(size.0) as u32, pixels(size.1) as u32);
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
    let drawn = draw(&area).and_then(|()| area.present());
    drop(area);
    // Plotters fails in writing a file or in loading a font, and has neither here.
    drawn.expect("a picture in a string needs no file and no font");
    dressed(&svg, size, attributes)
}

fn font(ink: Ink) -> TextStyle<'static> {
    let size = FONT * LINE * f64::from(UNITS);
    let style = ("sans-serif", size).into_font().color(&ink.colour());
    style.pos(Pos::new(HPos::Left, VPos::Center))
}

fn mark(area: &Area, at: (i32, i32), look: Look, half: f64) -> Drawn {
    let unit = half * f64::from(UNITS);
    let polygon = |corners: &[(f64, f64)]| {
        let corner = |&(x, y): &(f64, f64)| (at.0 + (x * unit) as i32, at.1 + (y * unit) as i32);
        let corners: Vec<_> = corners.iter().map(corner).collect();
        area.draw(&Polygon::new(corners, Ink::Mark(look).colour()))
    };
    match look.shape {
        Shape::Circle => {
            area.draw(&Circle::new(at, unit as i32, Ink::Mark(look).colour().filled()))
        }
        Shape::Ring => area.draw(&Circle::new(at, unit as i32, Ink::Ring(look).colour())),
        Shape::Square => polygon(&[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)]),
        Shape::Diamond => polygon(&[(0.0, -1.25), (1.25, 0.0), (0.0, 1.25), (-1.25, 0.0)]),
        Shape::Triangle => polygon(&[(0.0, -1.2), (1.15, 0.9), (-1.15, 0.9)]),
        Shape::Flipped => polygon(&[(0.0, 1.2), (1.15, -0.9), (-1.15, -0.9)]),
        Shape::None => Ok(()),
    }
}

/// A number on an axis, as `.5`.
fn tick(value: &f64) -> String {
    let text = format!("{:.2}", value.abs());
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text.strip_prefix("0.") {
        Some(places) => format!(".{places}"),
        None => text.to_owned(),
    }
}
