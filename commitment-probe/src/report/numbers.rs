//! Numbers as they are shown.

use std::fmt;

use serde::Serialize;

use crate::stats::Estimate;

/// What a table shows in one place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Cell {
    pub value: String,
    /// Signs that send the reader to a warning.
    pub marks: String,
    pub interval: Option<Interval>,
}

/// An interval, and the method that it comes from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Interval {
    /// As `[.38, .56]`.
    pub range: String,
    /// The first letter of the method's name.
    pub letter: String,
    /// The method's name.
    pub method: String,
    /// As `×1.8`.
    pub design_effect: Option<String>,
}

impl Cell {
    /// The cell with a sign, if `when` holds.
    pub fn marked(mut self, mark: &str, when: bool) -> Self {
        if when {
            self.marks += mark;
        }
        self
    }

    /// The cell with a sign, if `when` holds and the cell has a number.
    pub fn flagged(self, mark: &str, when: bool) -> Self {
        let number = self.value != NOTHING;
        self.marked(mark, when && number)
    }
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self { value, marks: String::new(), interval: None }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.value, self.marks)?;
        self.interval.as_ref().map_or(Ok(()), |interval| write!(f, " {interval}"))
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.range, self.letter)?;
        self.design_effect.as_ref().map_or(Ok(()), |effect| write!(f, " {effect}"))
    }
}

/// What stands for a number that there is not.
pub(super) const NOTHING: &str = "–";

/// The sign of a number that rests on fewer values than [`FEW`].
pub(super) const TINY: &str = "°";

/// Numbers of fewer values have a warning.
pub(super) const FEW: usize = 30;

/// A share or a probability, as `.31`.
pub(super) fn share(value: f64) -> String {
    without_zero(&format!("{value:.2}"))
}

/// A number with its interval, as `.47 [.38, .56] W`.
pub(super) fn estimate(estimate: Option<Estimate>) -> Cell {
    with(estimate, share)
}

/// The same of a difference, which may be negative.
pub(super) fn difference(estimate: Option<Estimate>) -> Cell {
    with(estimate, signed)
}

/// The same of a share so small that it needs a third place.
pub(super) fn small_share(estimate: Option<Estimate>) -> Cell {
    with(estimate, |value| without_zero(&format!("{value:.3}")))
}

fn with(estimate: Option<Estimate>, text: impl Fn(f64) -> String) -> Cell {
    let cell = Cell {
        value: told(estimate, |e| text(e.value)),
        marks: String::new(),
        // Values that are all equal say nothing of what others would be.
        interval: estimate.filter(|e| e.low < e.high).map(|e| {
            let method = e.method.to_string();
            Interval {
                range: format!("[{}, {}]", text(e.low), text(e.high)),
                letter: method.chars().take(1).flat_map(char::to_uppercase).collect(),
                method,
                design_effect: e.design_effect.map(|effect| format!("×{effect:.1}")),
            }
        }),
    };
    cell.marked(TINY, estimate.is_some_and(|e| e.n < FEW))
}

/// The number of values behind an estimate.
pub(super) fn number_of(estimate: Option<Estimate>) -> String {
    told(estimate, |e| count(e.n))
}

/// A difference of shares, as `.05` and `−.05`.
pub(super) fn signed(value: f64) -> String {
    let text = share(value.abs());
    if value < 0.0 && text != ".00" { format!("−{text}") } else { text }
}

/// A share in whole per cent.
pub(super) fn per_cent(value: f64) -> String {
    format!("{:.0} %", value * 100.0)
}

/// A setting: with two places, or as many as it was given with.
pub(super) fn setting(value: f64) -> String {
    let two = format!("{value:.2}");
    let exact = two.parse() == Ok(value);
    without_zero(&if exact { two } else { value.to_string() })
}

/// A whole number, as `131,072`.
pub(super) fn count(count: usize) -> String {
    let digits = count.to_string();
    let comma = |place: usize| place > 0 && (digits.len() - place).is_multiple_of(3);
    let commas = |(place, digit)| comma(place).then_some(',').into_iter().chain([digit]);
    digits.chars().enumerate().flat_map(commas).collect()
}

/// A rank sum's statistic: a whole number, or one and a half.
pub(super) fn rank_sum(w: f64) -> String {
    let half = if w.fract() == 0.0 { "" } else { ".5" };
    format!("{}{half}", count(w as usize))
}

/// A p-value with three places; smaller ones are `< 0.001`.
pub(super) fn p_value(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }
}

/// The text of a value, if there is one.
pub(super) fn told<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| NOTHING.into(), text)
}

fn without_zero(text: &str) -> String {
    match text.strip_prefix("0.").or_else(|| text.strip_prefix("-0.")) {
        // A share is never negative, and what rounds to 0 has no sign.
        Some(places) => format!(".{places}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Method;

    const HALF: Estimate = Estimate {
        value: 0.47,
        low: 0.38,
        high: 0.56,
        n: 1200,
        method: Method::Wilson,
        design_effect: None,
    };

    #[test]
    fn shares_have_two_places_and_no_leading_zero() {
        assert_eq!(
            [0.314, 0.0, -0.0, 0.999, 1.0].map(share),
            [".31", ".00", ".00", "1.00", "1.00"]
        );
        assert_eq!(estimate(Some(HALF)).to_string(), ".47 [.38, .56] W");
        assert_eq!(number_of(Some(HALF)), "1,200");
        assert_eq!(estimate(None).to_string(), "–");
    }

    #[test]
    fn an_interval_names_its_method_and_the_design_effect() {
        for (method, letter) in [
            (Method::Wilson, "W"),
            (Method::Bca, "B"),
            (Method::Newcombe, "N"),
            (Method::Clustered, "C"),
        ] {
            let cell = estimate(Some(Estimate { method, design_effect: Some(1.84), ..HALF }));
            assert_eq!(cell.to_string(), format!(".47 [.38, .56] {letter} ×1.8"));
            assert_eq!(cell.interval.unwrap().method, method.to_string());
        }
    }

    #[test]
    fn few_values_are_marked() {
        let of = |n| estimate(Some(Estimate { n, ..HALF })).to_string();
        assert_eq!([of(29), of(30)], [".47° [.38, .56] W", ".47 [.38, .56] W"]);
        let cell = estimate(Some(HALF)).flagged("‡", true).to_string();
        assert_eq!(cell, ".47‡ [.38, .56] W");
        assert_eq!(estimate(None).flagged("‡", true).to_string(), "–");
    }

    #[test]
    fn a_difference_keeps_its_sign() {
        let below = Estimate { value: -0.05, low: -0.1, high: 0.001, ..HALF };
        assert_eq!(difference(Some(below)).to_string(), "−.05 [−.10, .00] W");
        assert_eq!([-1.25, -0.001, 0.4].map(signed), ["−1.25", ".00", ".40"]);
    }

    #[test]
    fn other_numbers_keep_what_matters() {
        let small = Estimate { value: 0.0042, low: 0.0, high: 0.0113, ..HALF };
        assert_eq!(small_share(Some(small)).to_string(), ".004 [.000, .011] W");
        assert_eq!([0.7949, 0.29, 1.0].map(per_cent), ["79 %", "29 %", "100 %"]);
        assert_eq!([0.2, 0.005, 1.0].map(setting), [".20", ".005", "1.00"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([12.5, 4096.0].map(rank_sum), ["12.5", "4,096"]);
        assert_eq!(
            [0.0, 0.0004, 0.003, 1.0].map(p_value),
            ["< 0.001", "< 0.001", "0.003", "1.000"]
        );
    }
}
