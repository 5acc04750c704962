//! Words, numbers and marks, and how each follows the one before it.

use super::{
    classes::{is_currency, is_hyphen, is_letter, is_mark, is_unspaced, is_word, symbol},
    fold::{GENITIVE, characters, is_tag},
    merge::merged,
    number::number,
};

/// How a character follows the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// In the same word.
    Inside,
    /// In the same word, or in two: `B52` is `B 52`, and `U.S.` is `US`. No form begins or ends here.
    Joint,
    /// The same before the s of a genitive; a form may end before it.
    Genitive,
    /// In the same word or in two, as after a hyphen and within scripts that are written without
    /// spaces.
    Soft,
    /// In another word.
    Apart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Number,
    /// A character of a script that is written without spaces.
    Unspaced,
    /// A sign of a currency, a per cent sign, an emoji or another symbol that does not stand for a
    /// word.
    Mark,
}

#[derive(Debug, Clone)]
pub(super) struct Token {
    pub text: String,
    pub kind: Kind,
    pub join: Join,
    /// Whether a full stop, a comma or the like stands before it.
    pub after_stop: bool,
}

/// The tokens of a text.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let chars = characters(text);
    let mut scan =
        Scan { chars: &chars, at: 0, pending: Join::Apart, stop: false, out: Vec::new() };
    while scan.at < chars.len() {
        scan.step(chars[scan.at]);
    }
    merged(scan.out)
}

struct Scan<'a> {
    chars: &'a [char],
    at: usize,
    /// How the next token follows the last one. `Inside` says that nothing stands between them.
    pending: Join,
    stop: bool,
    out: Vec<Token>,
}

impl Scan<'_> {
    fn step(&mut self, c: char) {
        let (before, after) = (self.peek(-1), self.peek(1));
        let in_word = before.is_some_and(is_word) && after.is_some_and(is_word);
        let letters = before.is_some_and(is_letter) && after.is_some_and(is_letter);
        match c {
            '0'..='9' => self.number(""),
            _ if is_hyphen(c) => self.hyphen(before, after),
            '.' => self.full_stop(before, after),
            '·' | '‧' if letters => self.skip(Join::Soft),
            '&' => {
                self.pending = Join::Apart;
                self.push("and".into(), Kind::Word, 1);
                self.pending = Join::Apart;
            }
            '+' if in_word => self.push("+".into(), Kind::Word, 1),
            '<' | '>' => self.comparison(c),
            '%' | '٪' => self.push("%".into(), Kind::Mark, 1),
            _ if is_unspaced(c) => self.unspaced(),
            _ if is_letter(c) => self.word(""),
            GENITIVE => self.skip(Join::Genitive),
            _ if is_tag(c) => self.tag(c),
            _ => match symbol(c) {
                Some(kind) => self.push(c.into(), kind, 1),
                None => self.separator(c),
            },
        }
    }

    fn peek(&self, distance: isize) -> Option<char> {
        self.at.checked_add_signed(distance).and_then(|at| self.chars.get(at)).copied()
    }

    fn skip(&mut self, join: Join) {
        self.pending = join;
        self.at += 1;
    }

    fn separator(&mut self, c: char) {
        self.stop |= matches!(c, '.' | ',' | ';' | ':' | '!' | '?' | '。' | '、' | '—');
        self.skip(Join::Apart);
    }

    fn push(&mut self, text: String, kind: Kind, length: usize) {
        let last = self.out.last().map(|token| token.kind);
        let join = match (self.pending, last) {
            (_, None) => Join::Apart,
            (_, Some(Kind::Mark)) => Join::Apart,
            _ if kind == Kind::Mark => Join::Apart,
            (Join::Inside, Some(last)) if [last, kind].contains(&Kind::Unspaced) => Join::Soft,
            (Join::Apart, Some(Kind::Unspaced)) if kind == Kind::Unspaced => Join::Soft,
            (Join::Inside, _) => Join::Joint,
            (pending, _) => pending,
        };
        self.out.push(Token { text, kind, join, after_stop: self.stop });
        (self.pending, self.stop) = (Join::Inside, false);
        self.at += length;
    }

    fn number(&mut self, sign: &str) {
        match number(self.chars, self.at) {
            Some((text, end)) => self.push(format!("{sign}{text}"), Kind::Number, end - self.at),
            None => self.skip(Join::Apart),
        }
    }

    fn unspaced(&mut self) {
        let rest = &self.chars[self.at + 1..];
        let length = 1 + rest.iter().take_while(|&&c| is_mark(c)).count();
        self.push(self.text(length), Kind::Unspaced, length);
    }

    /// A word and the signs that belong to it, as in `C#`, `C++`, `A+` and `B−`.
    fn word(&mut self, prefix: &str) {
        let rest = &self.chars[self.at..];
        let count = rest.iter().take_while(|&&c| is_letter(c) && !is_unspaced(c)).count();
        let signs = rest[count..].iter().take_while(|&&c| matches!(c, '+' | '#')).count();
        let (mut text, mut length) = (format!("{prefix}{}", self.text(count)), count);
        let next = rest.get(count + signs).copied();
        // C#8 and C++11 are versions; a+b is a sum.
        let of_word = match rest[count..count + signs] {
            [] => false,
            ['#'] => !next.is_some_and(is_letter),
            ['+', '+', ..] => true,
            _ => !next.is_some_and(is_word),
        };
        if of_word {
            text.extend(&rest[count..count + signs]);
            length += signs;
        } else if count <= 2 && signs == 0 && next.is_some_and(is_hyphen) {
            let after = rest.get(count + 1).copied();
            if !after.is_some_and(|c| is_word(c) || is_hyphen(c) || symbol(c).is_some()) {
                text.push('-');
                length += 1;
            }
        }
        self.push(text, Kind::Word, length);
    }

    /// A hyphen, a minus or an en dash.
    fn hyphen(&mut self, before: Option<char>, after: Option<char>) {
        let currency = usize::from(after.is_some_and(is_currency));
        let number_at = self.at + 1 + currency;
        let number_follows = number(self.chars, number_at).is_some();
        // 1939 -1945 is a span.
        let earlier = self.chars[..self.at].iter().rev().find(|c| !c.is_whitespace());
        let free = !before.is_some_and(|c| {
            is_word(c) || is_hyphen(c) || is_currency(c) && currency > 0 || "°.)]}%".contains(c)
        });
        if number_follows && free && !earlier.is_some_and(char::is_ascii_digit) {
            self.skip(Join::Apart);
            if let Some(sign) = after.filter(|_| currency > 0) {
                self.push(sign.into(), Kind::Mark, 1);
            }
            return self.number("-");
        }
        let digits = [before, after].map(|c| c.is_some_and(|c| c.is_ascii_digit()));
        let joins = before.is_some_and(is_word) && after.is_some_and(is_word);
        self.skip(if joins && digits != [true, true] { Join::Soft } else { Join::Apart });
    }

    /// A full stop: of an abbreviation, before a name such as `.NET`, or of a sentence.
    fn full_stop(&mut self, before: Option<char>, after: Option<char>) {
        let initial = before.is_some_and(is_letter)
            && self.out.last().is_some_and(|token| token.text.chars().count() == 1);
        let is_initial = |at: usize| {
            self.chars.get(at).copied().is_some_and(is_letter)
                && !self.chars.get(at + 1).copied().is_some_and(is_word)
        };
        let spaces = self.chars[self.at + 1..].iter().take_while(|c| c.is_whitespace()).count();
        let next = self.at + 1 + spaces;
        let begins = before.is_none_or(|c| !is_word(c) && !".%)]}".contains(c));
        if begins && after.is_some_and(|c| c.is_ascii_digit()) {
            self.number("");
        } else if begins && after.is_some_and(|c| is_letter(c) && !is_unspaced(c)) {
            self.at += 1;
            self.word(".");
        } else if before.is_some_and(is_letter) && after.is_some_and(is_letter) {
            self.skip(if initial && is_initial(next) { Join::Joint } else { Join::Soft });
        } else if initial
            && spaces > 0
            && is_initial(next)
            && self.chars.get(next + 1) == Some(&'.')
        {
            self.at += spaces;
            self.skip(Join::Joint);
        } else {
            self.separator('.');
        }
    }

    /// `<5` and `> 5` are not 5; other such signs, as of HTML, separate.
    fn comparison(&mut self, c: char) {
        let spaces = self.chars[self.at + 1..].iter().take_while(|c| c.is_whitespace()).count();
        let next = self.chars.get(self.at + 1 + spaces);
        if next.is_some_and(|&c| c.is_ascii_digit() || is_hyphen(c)) {
            self.pending = Join::Apart;
            self.push(c.into(), Kind::Word, 1 + spaces);
        } else {
            self.separator(c);
        }
    }

    fn tag(&mut self, c: char) {
        if let Some(flag) = self.out.last_mut() {
            flag.text.push(c);
        }
        self.at += 1;
    }

    fn text(&self, length: usize) -> String {
        self.chars[self.at..self.at + length].iter().collect()
    }
}
