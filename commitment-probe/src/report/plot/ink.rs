//! Colours, dashes and marks that the page's style sheet gives.
//!
//! Plotters knows colours, not style sheets. So each [`Ink`] is drawn in a colour of its own that
//! nobody will see, and in the finished SVG that colour becomes the ink's classes.

use plotters::style::RGBColor;

/// How a series is told from others, even without its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Look {
    /// One of `page.css`.
    pub colour: u8,
    /// One of `page.css`.
    pub dash: u8,
    pub shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    Flipped,
    Ring,
    /// No mark, a line alone.
    None,
}

/// What is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) enum Ink {
    Number,
    Name,
    Grid,
    Axis,
    Line(Look),
    Interval(Look),
    Mark(Look),
    Ring(Look),
}

impl Ink {
    /// The colour that stands for it.
    pub fn colour(self) -> RGBColor {
        match self {
            Self::Number => RGBColor(1, 0, 0),
            Self::Name => RGBColor(2, 0, 0),
            Self::Grid => RGBColor(3, 0, 0),
            Self::Axis => RGBColor(4, 0, 0),
            Self::Line(look) => RGBColor(5, look.colour, look.dash),
            Self::Interval(look) => RGBColor(6, look.colour, 0),
            Self::Mark(look) => RGBColor(7, look.colour, 0),
            Self::Ring(look) => RGBColor(8, look.colour, 0),
        }
    }
}

/// What a colour, such as `050102`, is in the words of `page.css`.
fn classes(colour: &str) -> Option<String> {
    let part = |at: usize| u8::from_str_radix(colour.get(at..at + 2)?, 16).ok();
    let (ink, colour, dash) = (part(0)?, part(2)?, part(4)?);
    Some(match ink {
        1 => "number".into(),
        2 => "name".into(),
        3 => "grid".into(),
        4 => "axis".into(),
        5 => format!("line c{colour} d{dash}"),
        6 => format!("interval c{colour}"),
        7 => format!("mark c{colour}"),
        8 => format!("ring c{colour}"),
        _ => return None,
    })
}

/// What Plotters says of every shape, and a style sheet says better or leaves as it is.
const DEFAULTS: [&str; 5] = [
    " opacity=\"1\"",
    " stroke-width=\"1\"",
    " font-family=\"sans-serif\"",
    " fill=\"none\"",
    " stroke=\"none\"",
];

/// Plotters' SVG of `size` as a part of a page.
pub(super) fn dressed(drawn: &str, size: (u32, u32), attributes: &str) -> String {
    // What comes before the first shape is the head of a file.
    let shapes = drawn.split_once('>').map_or("", |(_, shapes)| shapes).trim();
    let mut parts = shapes.split("=\"#");
    let mut page = format!("<svg {attributes} viewBox=\"0 0 {} {}\">\n", size.0, size.1);
    page += parts.next().unwrap_or_default();
    for part in parts {
        // Before it stands the attribute that the colour is the value of, `fill` or `stroke`.
        page.truncate(page.rfind(' ').map_or(page.len(), |space| space + 1));
        let (colour, rest) = part.split_once('"').unwrap_or((part, ""));
        page += &format!("class=\"{}\"{rest}", classes(colour).unwrap_or_default());
    }
    DEFAULTS.iter().fold(page, |page, default| page.replace(default, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_become_classes() {
        let drawn = "<svg width=\"9\" xmlns=\"…\">\n<line opacity=\"1\" stroke=\"#050302\" x1=\"1\"/>\n\
            <circle r=\"2\" fill=\"#070300\" stroke=\"none\"/>\n</svg>\n";
        let expected = "<svg class=\"plot\" viewBox=\"0 0 9 8\">\n<line class=\"line c3 d2\" x1=\"1\"/>\n\
            <circle r=\"2\" class=\"mark c3\"/>\n</svg>";
        assert_eq!(dressed(drawn, (9, 8), "class=\"plot\""), expected);
    }

    #[test]
    fn every_ink_has_classes() {
        let look = Look { colour: 6, dash: 1, shape: Shape::None };
        for ink in [
            Ink::Number,
            Ink::Name,
            Ink::Grid,
            Ink::Axis,
            Ink::Line(look),
            Ink::Interval(look),
            Ink::Mark(look),
            Ink::Ring(look),
        ] {
            let RGBColor(red, green, blue) = ink.colour();
            assert!(classes(&format!("{red:02X}{green:02X}{blue:02X}")).is_some(), "{ink:?}");
        }
    }
}
