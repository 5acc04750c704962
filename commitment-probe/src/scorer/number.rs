//! Numbers: where one ends, and how it is written.

use super::fold::GROUP;

/// The number that begins at `at`, and the place after it; none if no number begins there.
///
/// Separators of thousands are dropped, in English, Swiss, Indian and spaced style, and full stops
/// where there are two or more; zeros at the end of a decimal fraction, too. A decimal comma, a
/// fraction, a time or a version is one number, which is written as it stands.
pub(super) fn number(chars: &[char], at: usize) -> Option<(String, usize)> {
    if chars.get(at) == Some(&'.') {
        let end = digits(chars, at + 1);
        let fraction = decimal("0", &chars[at + 1..end]);
        return (end > at + 1).then_some((fraction, end));
    }
    let end = digits(chars, at);
    if end == at {
        return None;
    }
    let (mut text, mut end) = whole(chars, at, end);
    if chars.get(end) == Some(&'^') {
        let sign = usize::from(matches!(chars.get(end + 1), Some('-' | '−')));
        let after = digits(chars, end + 1 + sign);
        if after > end + 1 + sign {
            text.push_str(if sign == 1 { "^-" } else { "^" });
            text.extend(&chars[end + 1 + sign..after]);
            end = after;
        }
    }
    Some((text, end))
}

/// A number whose first digits are at `at..end`, without an exponent.
fn whole(chars: &[char], at: usize, end: usize) -> (String, usize) {
    for separator in [',', '\'', GROUP, '٬', '.'] {
        let groups = groups(chars, end, separator);
        if are_thousands(&chars[at..end], &groups, separator) {
            let after = groups.last().map_or(end, |group| group.1);
            let integer: String = chars[at..after].iter().filter(|c| c.is_ascii_digit()).collect();
            return match self::groups(chars, after, '.').as_slice() {
                [(from, to)] => (decimal(&integer, &chars[*from..*to]), *to),
                _ => (integer, after),
            };
        }
    }
    let first: String = chars[at..end].iter().collect();
    let short = |(from, to): (usize, usize)| to - from <= 3;
    if let [(from, to)] = groups(chars, end, '.')[..] {
        return (decimal(&first, &chars[from..to]), to);
    }
    for (separator, most) in [('.', usize::MAX), (':', usize::MAX), (',', 1), ('/', 1)] {
        let groups = groups(chars, end, separator);
        let Some(&last) = groups.last() else { continue };
        let one_number = match separator {
            ',' => short((at, end)),
            '/' => short((at, end)) && short(last),
            _ => true,
        };
        if groups.len() <= most && one_number {
            return (chars[at..last.1].iter().collect(), last.1);
        }
    }
    (first, end)
}

/// Where the digits end that begin at `at`.
fn digits(chars: &[char], at: usize) -> usize {
    let rest = chars.get(at..).unwrap_or_default();
    at + rest.iter().take_while(|c| c.is_ascii_digit()).count()
}

/// More groups than any number that is said has. A list of numbers is not read to its end from each
/// of them.
const MAX_GROUPS: usize = 32;

/// The places of the groups of digits from `at` on, each after a separator.
fn groups(chars: &[char], mut at: usize, separator: char) -> Vec<(usize, usize)> {
    let mut groups = Vec::new();
    while groups.len() < MAX_GROUPS
        && chars.get(at) == Some(&separator)
        && digits(chars, at + 1) > at + 1
    {
        let end = digits(chars, at + 1);
        groups.push((at + 1, end));
        at = end;
    }
    groups
}

/// Whether groups of digits are what follows the first digits of a large number. One full stop is
/// a decimal point.
fn are_thousands(first: &[char], groups: &[(usize, usize)], separator: char) -> bool {
    let Some(((from, to), before)) = groups.split_last() else { return false };
    let all = |length: usize| before.iter().all(|(from, to)| to - from == length);
    let western = all(3) && first.len() <= 3 && (separator != '.' || !before.is_empty());
    let indian = all(2) && first.len() <= 2 && !before.is_empty() && separator == ',';
    to - from == 3 && first[0] != '0' && (western || indian)
}

/// A decimal fraction by its value.
fn decimal(integer: &str, fraction: &[char]) -> String {
    let fraction: String = fraction.iter().collect();
    match fraction.trim_end_matches('0') {
        "" => integer.to_owned(),
        fraction => format!("{integer}.{fraction}"),
    }
}
