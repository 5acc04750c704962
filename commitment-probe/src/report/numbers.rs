//! Numbers as they are shown.

use std::fmt;

use serde::Serialize;

use crate::stats::Estimate;

/// What a table shows in one place.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Cell {
    pub value: String,
    /// As `[.38, .56]`.
    pub interval: Option<String>,
}

impl From<String> for Cell {
    fn from(value: String) -> Self {
        Self { value, interval: None }
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.interval {
            None => f.write_str(&self.value),
            Some(interval) => write!(f, "{} {interval}", self.value),
        }
    }
}

/// What stands for a number that there is not.
pub(super) const NOTHING: &str = "–";

/// A share or a probability, as `.31`.
pub(super) fn share(value: f64) -> String {
    without_zero(&format!("{value:.2}"))
}

/// A number with its interval, as `.47 [.38, .56]`.
pub(super) fn estimate(estimate: Option<Estimate>) -> Cell {
    Cell {
        value: told(estimate, |e| share(e.value)),
        interval: estimate.map(|e| format!("[{}, {}]", share(e.low), share(e.high))),
    }
}

/// The number of values behind an estimate.
pub(super) fn number_of(estimate: Option<Estimate>) -> String {
    told(estimate, |e| count(e.n))
}

/// A number that may be above 1 or below 0, as `1.25` and `−0.40`.
pub(super) fn number(value: f64) -> String {
    let text = format!("{:.2}", value.abs());
    let sign = if value < 0.0 && text != "0.00" { "−" } else { "" };
    format!("{sign}{text}")
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
pub(super) fn rank_sum(u: f64) -> String {
    let half = if u.fract() == 0.0 { "" } else { ".5" };
    format!("{}{half}", count(u as usize))
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

    #[test]
    fn shares_have_two_places_and_no_leading_zero() {
        assert_eq!(
            [0.314, 0.0, -0.0, 0.999, 1.0].map(share),
            [".31", ".00", ".00", "1.00", "1.00"]
        );
        let interval = Estimate { value: 0.47, low: 0.38, high: 0.56, n: 1200 };
        assert_eq!(estimate(Some(interval)).to_string(), ".47 [.38, .56]");
        assert_eq!(number_of(Some(interval)), "1,200");
        assert_eq!(estimate(None).to_string(), "–");
    }

    #[test]
    fn other_numbers_keep_what_matters() {
        assert_eq!([1.254, -0.4, -0.001].map(number), ["1.25", "−0.40", "0.00"]);
        assert_eq!([0.2, 0.005, 1.0].map(setting), [".20", ".005", "1.00"]);
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([12.5, 4096.0].map(rank_sum), ["12.5", "4,096"]);
        assert_eq!(
            [0.0, 0.0004, 0.003, 1.0].map(p_value),
            ["< 0.001", "< 0.001", "0.003", "1.000"]
        );
    }
}
