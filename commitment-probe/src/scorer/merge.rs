//! Numbers that are written in several tokens.

use super::{
    classes,
    tokens::{Join, Kind, Token},
};

/// What belongs to a number: `minus 5` is −5, `5 per cent` is 5 %, `5 €` is €5, `5 million` is
/// 5,000,000, and `5 1/2` is one number.
pub(super) fn merged(tokens: Vec<Token>) -> Vec<Token> {
    let mut out = Vec::with_capacity(tokens.len());
    for token in tokens {
        let is_number = token.kind == Kind::Number;
        let merged = if is_number { with_sign(&mut out, token) } else { token };
        if let Some(token) = after_number(&mut out, merged) {
            out.push(token);
        }
    }
    out
}

/// Whether the token at this distance from the end is a number.
fn is_number(out: &[Token], back: usize) -> bool {
    out.len().checked_sub(back).is_some_and(|at| out[at].kind == Kind::Number)
}

/// A number with the minus that is spelt out before it, unless that is between two numbers.
fn with_sign(out: &mut Vec<Token>, mut number: Token) -> Token {
    let negates = out.last().is_some_and(|last| matches!(last.text.as_str(), "minus" | "negative"));
    if negates && !is_number(out, 2) && !number.text.starts_with('-') {
        number.text.insert(0, '-');
        if let Some(sign) = out.pop() {
            (number.join, number.after_stop) = (sign.join, sign.after_stop);
        }
    }
    number
}

/// The token, unless it belongs to a number before it.
fn after_number(out: &mut Vec<Token>, token: Token) -> Option<Token> {
    let after_per = out.last().is_some_and(|last| last.text == "per") && is_number(out, 2);
    if token.text == "cent" && after_per {
        out.pop();
        return Some(per_cent(token));
    }
    let Some(number) = out.last_mut().filter(|last| last.kind == Kind::Number) else {
        return Some(token);
    };
    if matches!(token.text.as_str(), "percent" | "pct") {
        return Some(per_cent(token));
    }
    if !token.after_stop {
        let mixed = token.kind == Kind::Number && is_mixed(&number.text, &token.text);
        let whole = mixed.then(|| format!("{} {}", number.text, token.text));
        if let Some(text) = whole.or_else(|| scaled(&number.text, &token.text)) {
            number.text = text;
            return None;
        }
    }
    let at = out.len() - 1;
    if is_currency(&token) && !(at > 0 && is_currency(&out[at - 1])) {
        let sign = Token { join: out[at].join, after_stop: out[at].after_stop, ..token };
        (out[at].join, out[at].after_stop) = (Join::Apart, false);
        out.insert(at, sign);
        return None;
    }
    Some(token)
}

fn per_cent(token: Token) -> Token {
    Token { text: "%".into(), kind: Kind::Mark, join: Join::Apart, ..token }
}

fn is_currency(token: &Token) -> bool {
    token.kind == Kind::Mark && token.text.chars().any(classes::is_currency)
}

/// A decimal number times a power of ten by its name; none if it is another word.
fn scaled(number: &str, name: &str) -> Option<String> {
    let zeros = match name {
        "hundred" => 2,
        "thousand" => 3,
        "million" => 6,
        "billion" | "bn" => 9,
        "trillion" => 12,
        _ => return None,
    };
    let (sign, number) = number.strip_prefix('-').map_or(("", number), |number| ("-", number));
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    let decimal = integer.chars().chain(fraction.chars()).all(|c| c.is_ascii_digit());
    if !decimal || fraction.chars().count() > zeros {
        return None;
    }
    let digits = format!("{integer}{fraction:0<zeros$}");
    let digits = digits.trim_start_matches('0');
    Some(format!("{sign}{}", if digits.is_empty() { "0" } else { digits }))
}

/// Whether a fraction after a number is a part of it, as in 5 1/2.
fn is_mixed(number: &str, fraction: &str) -> bool {
    let integer = number.trim_start_matches('-').chars().all(|c| c.is_ascii_digit());
    let parts = fraction
        .split_once('/')
        .and_then(|(above, below)| Some((above.parse::<u32>().ok()?, below.parse::<u32>().ok()?)));
    integer && parts.is_some_and(|(above, below)| above < below)
}
