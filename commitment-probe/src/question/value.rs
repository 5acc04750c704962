//! Values of fields, whatever format they come in: numbers stay as they are written.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// A value is nested no deeper: no layout needs more, and what is hostile is nested deeper.
pub(super) const MAX_DEPTH: usize = 16;

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// As it is written: an id may have more digits than a number has bits.
    Number(String),
    Text(String),
    List(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// Reads JSON that has been checked.
    pub(super) fn from_json(json: &RawValue) -> Result<Self, String> {
        Self::nested(json, 0)
    }

    fn nested(json: &RawValue, depth: usize) -> Result<Self, String> {
        if depth > MAX_DEPTH {
            return Err(format!("it is nested more than {MAX_DEPTH} deep"));
        }
        let text = json.get();
        let wrong = |error: serde_json::Error| error.to_string();
        Ok(match text.as_bytes().first() {
            Some(b'"') => Self::Text(serde_json::from_str(text).map_err(wrong)?),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(wrong)?;
                let items = items.into_iter().map(|item| Self::nested(item, depth + 1));
                Self::List(items.collect::<Result<_, _>>()?)
            }
            Some(b'{') => {
                let Fields(fields) = serde_json::from_str(text).map_err(wrong)?;
                let fields = fields
                    .into_iter()
                    .map(|(name, value)| Ok((name, Self::nested(&value, depth + 1)?)));
                Self::Map(fields.collect::<Result<_, String>>()?)
            }
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') => Self::Null,
            _ => Self::Number(text.to_owned()),
        })
    }

    /// The text, or the digits.
    pub(super) fn into_text(self) -> Result<String, String> {
        match self {
            Self::Text(text) | Self::Number(text) => Ok(text),
            other => Err(format!("it is {}, not a text", other.kind())),
        }
    }

    /// What it is, in words.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "an object",
        }
    }

    /// The field `name` of an object, with names compared as [`plain`] has them.
    pub(super) fn field(&self, name: &str) -> Option<&Self> {
        let Self::Map(fields) = self else { return None };
        fields.iter().find(|(written, _)| plain(written) == name).map(|(_, value)| value)
    }
}

/// A name without case, underscores and what else data sets do not agree on.
pub(super) fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// The fields of a JSON object in their order, whose values are still to be read.
pub(super) struct Fields(pub Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

pub(super) struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, the fields of a question")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Vec::new();
        while let Some(field) = map.next_entry()? {
            fields.push(field);
        }
        Ok(Fields(fields))
    }
}
