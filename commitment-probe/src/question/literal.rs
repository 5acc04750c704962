//! Lists that are written in a text: in JSON, as Python or NumPy print them, and as WebQuestions'
//! LISP.

use std::{iter::Peekable, str::Chars};

use super::value::{MAX_DEPTH, Value};

/// Reads all of `text` as a list or an object: JSON's (`["a", "b"]`), Python's (`['a', "b"]`,
/// `{'value': 'a'}`), or NumPy's (`['a' 'b']`, `array(['a'], dtype=object)`).
///
/// None if it is something else, such as a text in brackets. In O(n).
pub(super) fn nested(text: &str) -> Option<Value> {
    let text = text.trim();
    if !text.starts_with(['[', '{', '(']) && !text.starts_with("array(") {
        return None;
    }
    let mut parser = Parser(text.chars().peekable());
    let value = parser.value(0)?;
    parser.space();
    parser.0.next().is_none().then_some(value)
}

struct Parser<'a>(Peekable<Chars<'a>>);

impl Parser<'_> {
    fn space(&mut self) {
        while self.0.next_if(|c| c.is_whitespace()).is_some() {}
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.space();
        self.0.next_if_eq(&wanted).is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        self.space();
        match *self.0.peek()? {
            quote @ ('\'' | '"') => {
                self.0.next();
                self.string(quote).map(Value::Text)
            }
            '[' => self.list(']', depth),
            '(' => self.list(')', depth),
            '{' => self.map(depth),
            _ => self.word(depth),
        }
    }

    /// What is between brackets. NumPy puts no commas.
    fn list(&mut self, end: char, depth: usize) -> Option<Value> {
        self.0.next();
        let mut items = Vec::new();
        while !self.eat(end) {
            items.push(self.value(depth + 1)?);
            self.eat(',');
        }
        Some(Value::List(items))
    }

    fn map(&mut self, depth: usize) -> Option<Value> {
        self.0.next();
        let mut fields = Vec::new();
        while !self.eat('}') {
            let Value::Text(name) = self.value(depth + 1)? else { return None };
            if !self.eat(':') {
                return None;
            }
            fields.push((name, self.value(depth + 1)?));
            self.eat(',');
        }
        Some(Value::Map(fields))
    }

    /// A number, a name, or an array of NumPy.
    fn word(&mut self, depth: usize) -> Option<Value> {
        let is_part = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
        let mut word = String::new();
        while let Some(c) = self.0.next_if(is_part) {
            word.push(c);
        }
        match word.as_str() {
            "array" if self.eat('(') => {
                let items = self.value(depth + 1)?;
                // What type they have does not matter.
                if self.eat(',') {
                    while self.0.next_if(|&c| c != ')').is_some() {}
                }
                self.eat(')').then_some(items)
            }
            "None" | "null" | "nan" => Some(Value::Null),
            "True" | "true" => Some(Value::Bool(true)),
            "False" | "false" => Some(Value::Bool(false)),
            number if number.parse::<f64>().is_ok() => Some(Value::Number(word)),
            _ => None,
        }
    }

    /// The rest of a string that ends in `quote`.
    fn string(&mut self, quote: char) -> Option<String> {
        let mut text = String::new();
        loop {
            match self.0.next()? {
                c if c == quote => return Some(text),
                '\\' => text.push(self.escape()?),
                c => text.push(c),
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.0.next()? {
            'n' => '\n',
            't' => '\t',
            'r' => '\r',
            'b' => '\u{8}',
            'f' => '\u{C}',
            'x' => char::from_u32(self.hex(2)?)?,
            'U' => char::from_u32(self.hex(8)?)?,
            'u' => match self.hex(4)? {
                // JSON writes one character as two halves.
                high @ 0xD800..0xDC00 => {
                    let is_half = self.0.next()? == '\\' && self.0.next()? == 'u';
                    let low = is_half.then(|| self.hex(4))??;
                    let low = low.checked_sub(0xDC00).filter(|&low| low < 0x400)?;
                    char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + low)?
                }
                code => char::from_u32(code)?,
            },
            c => c,
        })
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        (0..digits)
            .try_fold(0_u32, |code, _| Some(code.checked_mul(16)? + self.0.next()?.to_digit(16)?))
    }
}

/// The descriptions in `(list (description "a b") (description c))`; none if it is not that.
pub(super) fn descriptions(text: &str) -> Option<Vec<String>> {
    let mut parser = Parser(text.chars().peekable());
    if !parser.eat('(') || parser.atom()? != "list" {
        return None;
    }
    let mut descriptions = Vec::new();
    while parser.eat('(') {
        if parser.atom()? != "description" {
            return None;
        }
        // Words without quotation marks are one description, too.
        let mut words = Vec::new();
        while !parser.eat(')') {
            words.push(parser.atom()?);
        }
        descriptions.push(words.join(" "));
    }
    let ends = parser.eat(')');
    parser.space();
    (ends && parser.0.next().is_none()).then_some(descriptions)
}

impl Parser<'_> {
    /// A string, or a word up to white space or a bracket.
    fn atom(&mut self) -> Option<String> {
        self.space();
        if self.0.next_if_eq(&'"').is_some() {
            return self.string('"');
        }
        let mut word = String::new();
        while let Some(c) = self.0.next_if(|&c| !c.is_whitespace() && !matches!(c, '(' | ')')) {
            word.push(c);
        }
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(items: &[&str]) -> Option<Value> {
        Some(Value::List(items.iter().map(|item| Value::Text((*item).to_owned())).collect()))
    }

    #[test]
    fn lists_of_every_origin() {
        assert_eq!(
            nested(r#"["a", "it's \"b\" \u00e9 \ud83c\udf88"]"#),
            texts(&["a", "it's \"b\" é 🎈"])
        );
        assert_eq!(nested(r#"['a', "it's", 'it\'s',]"#), texts(&["a", "it's", "it's"]));
        assert_eq!(nested("['a' 'b c'\n 'd']"), texts(&["a", "b c", "d"]));
        assert_eq!(nested("array(['a', 'b'], dtype=object)"), texts(&["a", "b"]));
        assert_eq!(nested("()"), texts(&[]));
        let map = nested("{'value': 'a', 'year': 19.50, 'none': None, 'aliases': array([])}");
        let map = map.unwrap();
        assert_eq!(map.field("year"), Some(&Value::Number("19.50".into())));
        assert_eq!(map.field("aliases"), Some(&Value::List(vec![])));
    }

    #[test]
    fn what_is_no_list() {
        let deep = "[".repeat(1_000_000);
        let cut = [r"['\ud83c']", r"['\ud83c\u0041']", r"['\U00110000']", r"['\", "['a'", "[:]"];
        for text in [&deep, "[Redacted]", "a", "", "[1] and [2]", "array"].iter().chain(&cut) {
            assert_eq!(nested(text), None, "{:.20}", text);
        }
    }

    #[test]
    fn lisp() {
        let read = |text| descriptions(text).unwrap();
        assert_eq!(
            read(r#"(list (description "Ada B \"C\"") (description Zed) (description "f(x)"))"#),
            ["Ada B \"C\"", "Zed", "f(x)"]
        );
        assert!(read("(list)").is_empty());
        for text in ["", "(list", "(list (description", "(list (name a))", "(list) a", "a"] {
            assert_eq!(descriptions(text), None, "{text}");
        }
    }
}
