//! A row of a data set: fields by name, read when they are needed.

use serde_json::value::RawValue;

use super::{
    UnfitQuestion,
    value::{Fields, Value, plain},
};

/// The fields of a record.
pub(super) struct Row(Vec<Cell>);

/// The rows in a list.
pub(super) type Rows<'a> = Box<dyn Iterator<Item = Result<Row, UnfitQuestion>> + 'a>;

struct Cell {
    /// The name as it is written, and as it is compared.
    name: String,
    plain: String,
    content: Content,
}

pub(super) enum Content {
    /// JSON that has been checked, and is not read.
    Json(Box<RawValue>),
    Value(Value),
}

impl From<Fields> for Row {
    fn from(Fields(fields): Fields) -> Self {
        fields.into_iter().map(|(name, json)| (name, Content::Json(json))).collect()
    }
}

impl FromIterator<(String, Content)> for Row {
    fn from_iter<T: IntoIterator<Item = (String, Content)>>(fields: T) -> Self {
        let cell = |(name, content): (String, Content)| Cell { plain: plain(&name), name, content };
        Self(fields.into_iter().map(cell).collect())
    }
}

impl Row {
    /// A row of values.
    pub(super) fn of(values: impl IntoIterator<Item = (String, Value)>) -> Self {
        values.into_iter().map(|(name, value)| (name, Content::Value(value))).collect()
    }

    /// The names of its fields, as they are written.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|cell| cell.name.as_str())
    }

    /// Whether it has a field `name`, whatever it holds; names are as [`plain`] has them.
    pub(super) fn has(&self, name: &str) -> bool {
        self.cell(name).is_some()
    }

    pub(super) fn has_all(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.has(name))
    }

    /// The name of a field as it is written in the file.
    pub(super) fn written<'a>(&'a self, name: &'a str) -> &'a str {
        self.cell(name).map_or(name, |cell| &cell.name)
    }

    /// The value of a field.
    pub(super) fn get(&self, name: &str) -> Result<Option<Value>, UnfitQuestion> {
        let Some(cell) = self.cell(name) else { return Ok(None) };
        let value = match &cell.content {
            Content::Json(json) => Value::from_json(json),
            Content::Value(value) => Ok(value.clone()),
        };
        value.map(Some).map_err(|problem| UnfitQuestion::field(&cell.name, problem))
    }

    /// The text of a field, or its digits; nothing if it is missing or null.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, UnfitQuestion> {
        match self.get(name)? {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.into_text().map(Some).map_err(|problem| self.wrong(name, problem)),
        }
    }

    /// The rows in the list that a field holds, one at a time; nothing if it holds something else.
    pub(super) fn rows(&self, name: &str) -> Result<Option<Rows<'_>>, UnfitQuestion> {
        let Some(cell) = self.cell(name) else { return Ok(None) };
        match &cell.content {
            Content::Json(json) if json.get().starts_with('[') => {
                let items: Vec<&RawValue> = serde_json::from_str(json.get())
                    .map_err(|error| self.wrong(name, error.to_string()))?;
                let row = |item: &RawValue| match serde_json::from_str(item.get()) {
                    Ok(Fields(fields)) => Ok(Fields(fields).into()),
                    Err(error) => Err(UnfitQuestion::field(&cell.name, error.to_string())),
                };
                Ok(Some(Box::new(items.into_iter().map(row))))
            }
            Content::Value(Value::List(items)) => {
                let row = |item: &Value| match item {
                    Value::Map(fields) => Ok(Self::of(fields.clone())),
                    other => {
                        let problem = format!("{} is in its list, not an object", other.kind());
                        Err(UnfitQuestion::field(&cell.name, problem))
                    }
                };
                Ok(Some(Box::new(items.iter().map(row))))
            }
            _ => Ok(None),
        }
    }

    /// The row that a field holds; nothing if it holds something else.
    pub(super) fn row(&self, name: &str) -> Result<Option<Row>, UnfitQuestion> {
        let Some(cell) = self.cell(name) else { return Ok(None) };
        match &cell.content {
            Content::Json(json) if json.get().starts_with('{') => {
                let fields: Result<Fields, _> = serde_json::from_str(json.get());
                let row = fields.map(|fields| Some(fields.into()));
                row.map_err(|error| self.wrong(name, error.to_string()))
            }
            Content::Value(Value::Map(fields)) => Ok(Some(Self::of(fields.clone()))),
            _ => Ok(None),
        }
    }

    /// Whether a field holds a list or an object, which is not read to find out.
    pub(super) fn is_nested(&self, name: &str) -> bool {
        self.cell(name).is_some_and(|cell| match &cell.content {
            Content::Json(json) => json.get().starts_with(['[', '{']),
            Content::Value(value) => matches!(value, Value::List(_) | Value::Map(_)),
        })
    }

    /// An error about a field.
    pub(super) fn wrong(&self, name: &str, problem: impl Into<String>) -> UnfitQuestion {
        UnfitQuestion::field(self.written(name), problem)
    }

    fn cell(&self, name: &str) -> Option<&Cell> {
        self.0.iter().find(|cell| cell.plain == name)
    }
}
