//! Values as Python prints them, JSON as its `json.dumps` writes it, and its methods.

use minijinja::{
    Error, ErrorKind, State, Value,
    value::{Kwargs, Tuple, ValueKind, from_args},
};
use minijinja_contrib::pycompat;

/// `str(value)`.
pub fn str(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined => Ok(String::new()),
        ValueKind::String => Ok(value.to_string()),
        _ => repr(value),
    }
}

/// `repr(value)`.
fn repr(value: &Value) -> Result<String, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined => "Undefined".to_owned(),
        ValueKind::None => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::Number => number(value),
        ValueKind::String => quoted(&value.to_string()),
        ValueKind::Seq => {
            let items = value.try_iter()?.map(|item| repr(&item));
            let items = items.collect::<Result<Vec<_>, _>>()?;
            match (value.downcast_object_ref::<Tuple>(), &items[..]) {
                (None, items) => format!("[{}]", items.join(", ")),
                (Some(_), [one]) => format!("({one},)"),
                (Some(_), items) => format!("({})", items.join(", ")),
            }
        }
        ValueKind::Map => {
            let item =
                |key: Value| Ok(format!("{}: {}", repr(&key)?, repr(&value.get_item(&key)?)?));
            let items = value.try_iter()?.map(item);
            format!("{{{}}}", items.collect::<Result<Vec<_>, Error>>()?.join(", "))
        }
        _ => value.to_string(),
    })
}

/// A number, of which floating-point ones are recognised by a point or an exponent.
fn number(value: &Value) -> String {
    if value.is_integer() {
        return value.to_string();
    }
    let Ok(number) = f64::try_from(value.clone()) else { return value.to_string() };
    let scientific = format!("{number:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return if number.is_nan() { "nan" } else { scientific.trim_end_matches("inity") }
            .to_owned();
    };
    // Python's bounds between the two notations, and at least two digits in the exponent.
    match exponent.parse::<i32>() {
        Ok(exponent @ (..-4 | 16..)) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{number:?}"),
    }
}

/// A text in the quotation marks that need the fewest escapes.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => quoted += "\\n",
            '\r' => quoted += "\\r",
            '\t' => quoted += "\\t",
            _ if c == quote || c == '\\' => quoted.extend(['\\', c]),
            _ if c.is_control() => quoted += &format!("\\x{:02x}", u32::from(c)),
            _ => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}

/// `json.dumps` with its options, as transformers passes them on: what is not ASCII is not escaped
/// unless that is asked for.
pub struct Json {
    indent: Option<String>,
    item: String,
    key: String,
    ensure_ascii: bool,
    sort_keys: bool,
}

/// The most columns by which JSON is indented.
const WIDEST: usize = 100;

impl Json {
    /// Reads the keyword arguments of the filter `tojson`.
    pub fn of(options: &Kwargs) -> Result<Self, Error> {
        let indent: Option<Value> = options.get("indent")?;
        let indent = match indent.filter(|indent| !indent.is_none()) {
            Some(text) if text.kind() == ValueKind::String => Some(text.to_string()),
            Some(width) => {
                let width = usize::try_from(i32::try_from(width)?).unwrap_or(0);
                if width > WIDEST {
                    let message = format!("tojson indents by {width}; {WIDEST} is the most");
                    return Err(Error::new(ErrorKind::InvalidOperation, message));
                }
                Some(" ".repeat(width))
            }
            None => None,
        };
        let separators: Option<Vec<String>> = options.get("separators")?;
        let [item, key] = match separators {
            None => [if indent.is_some() { "," } else { ", " }, ": "].map(str::to_owned),
            Some(two) => two.try_into().map_err(|two: Vec<String>| {
                let message = format!("separators must be two, not {}", two.len());
                Error::new(ErrorKind::InvalidOperation, message)
            })?,
        };
        Ok(Self {
            indent,
            item,
            key,
            ensure_ascii: options.get::<Option<bool>>("ensure_ascii")?.unwrap_or(false),
            sort_keys: options.get::<Option<bool>>("sort_keys")?.unwrap_or(false),
        })
    }

    /// The value as JSON.
    pub fn dumps(&self, value: &Value) -> Result<String, Error> {
        self.at(value, 0)
    }

    fn at(&self, value: &Value, depth: usize) -> Result<String, Error> {
        Ok(match value.kind() {
            ValueKind::None => "null".to_owned(),
            ValueKind::Bool => value.is_true().to_string(),
            ValueKind::Number => match number(value).as_str() {
                "nan" => "NaN".to_owned(),
                infinite @ ("inf" | "-inf") => infinite.replace("inf", "Infinity"),
                number => number.to_owned(),
            },
            ValueKind::String => self.text(&value.to_string()),
            ValueKind::Seq => {
                let items = value.try_iter()?.map(|item| self.at(&item, depth + 1));
                self.block('[', items.collect::<Result<_, _>>()?, ']', depth)
            }
            ValueKind::Map => {
                let mut keys: Vec<Value> = value.try_iter()?.collect();
                if self.sort_keys {
                    keys.sort();
                }
                let item = |key: &Value| {
                    let name = match key.kind() {
                        ValueKind::String => key.to_string(),
                        _ => self.at(key, 0)?,
                    };
                    let value = self.at(&value.get_item(key)?, depth + 1)?;
                    Ok(format!("{}{}{value}", self.text(&name), self.key))
                };
                let items = keys.iter().map(item).collect::<Result<_, Error>>()?;
                self.block('{', items, '}', depth)
            }
            other => {
                let message = format!("what is {other} cannot be written as JSON");
                return Err(Error::new(ErrorKind::InvalidOperation, message));
            }
        })
    }

    fn block(&self, open: char, items: Vec<String>, close: char, depth: usize) -> String {
        match &self.indent {
            Some(indent) if !items.is_empty() => {
                let outer = format!("\n{}", indent.repeat(depth));
                let inner = format!("{outer}{indent}");
                let items = items.join(&format!("{}{inner}", self.item));
                format!("{open}{inner}{items}{outer}{close}")
            }
            _ => format!("{open}{}{close}", items.join(&self.item)),
        }
    }

    fn text(&self, text: &str) -> String {
        let text = serde_json::Value::from(text).to_string();
        if !self.ensure_ascii {
            return text;
        }
        let escape = |c: char| match c {
            ' '..='~' => c.to_string(),
            _ => c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
        };
        text.chars().map(escape).collect()
    }
}

/// A method of Python's that Jinja calls on a value.
pub fn method(
    state: &mut State,
    value: &Value,
    name: &str,
    arguments: &[Value],
) -> Result<Value, Error> {
    match (value.as_str(), name) {
        (Some(text), "removeprefix" | "removesuffix" | "partition" | "rpartition") => {
            let (part,): (&str,) = from_args(arguments)?;
            Ok(match name {
                "removeprefix" => text.strip_prefix(part).unwrap_or(text).into(),
                "removesuffix" => text.strip_suffix(part).unwrap_or(text).into(),
                "partition" => {
                    let parts = text.split_once(part).map(|(a, b)| [a, part, b]);
                    Tuple::from(parts.unwrap_or([text, "", ""]).map(Value::from)).into()
                }
                _ => {
                    let parts = text.rsplit_once(part).map(|(a, b)| [a, part, b]);
                    Tuple::from(parts.unwrap_or(["", "", text]).map(Value::from)).into()
                }
            })
        }
        (Some(text), "split" | "rsplit") => split(state, text, name, arguments),
        (None, "index") if value.kind() == ValueKind::Seq => {
            let (wanted,): (&Value,) = from_args(arguments)?;
            let place = value.try_iter()?.position(|item| item == *wanted);
            place.map(Value::from).ok_or_else(|| {
                Error::new(ErrorKind::InvalidOperation, format!("{wanted} is not in the list"))
            })
        }
        _ => pycompat::unknown_method_callback(state, value, name, arguments),
    }
}

/// `text.split(sep, maxsplit)` and `text.rsplit(sep, maxsplit)`, by place or by name.
fn split(state: &mut State, text: &str, name: &str, arguments: &[Value]) -> Result<Value, Error> {
    let (separator, most, named): (Option<Value>, Option<i64>, Kwargs) = from_args(arguments)?;
    let separator = separator.or(named.get("sep")?).filter(|separator| !separator.is_none());
    let most = most.or(named.get("maxsplit")?).unwrap_or(-1);
    named.assert_all_used()?;
    let text = Value::from(text);
    match (name, separator.as_ref().and_then(Value::as_str), usize::try_from(most)) {
        ("rsplit", Some(separator), Ok(most)) => {
            let text = text.to_string();
            let mut parts: Vec<&str> = text.rsplitn(most + 1, separator).collect();
            parts.reverse();
            Ok(Value::from_iter(parts))
        }
        ("rsplit", None, Ok(_)) => {
            let message = "rsplit at white space a given number of times is not known";
            Err(Error::new(ErrorKind::InvalidOperation, message))
        }
        _ => {
            let separator = separator.unwrap_or(Value::from(()));
            let arguments = [separator, Value::from(most)];
            pycompat::unknown_method_callback(state, &text, "split", &arguments)
        }
    }
}
