//! JSON, one record after another: lines, arrays, or objects over many lines.

use std::{
    fmt,
    io::{self, Read},
};

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{
    QuestionProblem,
    nest::Place,
    row::Row,
    text::problem,
    value::{Fields, FieldsVisitor},
};

/// Where records go.
type Sink<'a> = &'a mut dyn FnMut(Row, Place) -> Result<(), QuestionProblem>;

/// Gives every object to `sink`, be they one after another or in arrays, as soon as it is read.
pub(super) fn read(reader: impl Read, sink: Sink) -> Result<(), QuestionProblem> {
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    let mut records = Records { sink, read: 0, problem: None };
    loop {
        match deserializer.end() {
            Ok(()) => return Ok(()),
            Err(error) if error.is_io() => return Err(problem(error.into())),
            Err(_) => {}
        }
        let Err(source) = deserializer.deserialize_any(Visit(&mut records)) else { continue };
        return Err(match records.problem {
            Some(problem) => problem,
            None if source.is_io() => problem(io::Error::from(source)),
            None => QuestionProblem::Record { number: records.read + 1, source },
        });
    }
}

struct Records<'a> {
    sink: Sink<'a>,
    /// The records that were read.
    read: usize,
    /// What the sink said: a parser has no other errors than its own.
    problem: Option<QuestionProblem>,
}

impl Records<'_> {
    fn give<E: serde::de::Error>(&mut self, fields: Fields) -> Result<(), E> {
        self.read += 1;
        (self.sink)(fields.into(), Place::record(self.read)).map_err(|problem| {
            self.problem = Some(problem);
            E::custom("no question")
        })
    }
}

/// Visits an object or an array of them.
struct Visit<'r, 'a>(&'r mut Records<'a>);

impl<'de> Visitor<'de> for Visit<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, or an array of objects")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let fields = FieldsVisitor.visit_map(map)?;
        self.0.give(fields)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Item(&mut *self.0))?.is_some() {}
        Ok(())
    }
}

/// An object in an array.
struct Item<'r, 'a>(&'r mut Records<'a>);

impl<'de> DeserializeSeed<'de> for Item<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let fields = deserializer.deserialize_map(FieldsVisitor)?;
        self.0.give(fields)
    }
}
