//! Parquet.

use std::{
    any::Any,
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
};

use bytes::Bytes;
use parquet::{
    errors::{ParquetError, Result as ParquetResult},
    file::{
        metadata::RowGroupMetaData,
        reader::{ChunkReader, FileReader},
        serialized_reader::SerializedFileReader,
    },
    record::{Field, Row as Record, reader::RowIter},
    schema::types::{GroupTypeBuilder, Type},
};

use super::{
    QuestionProblem,
    nest::Place,
    row::Row,
    value::{MAX_DEPTH, Value, plain},
};

/// What Parquet files begin and end with.
pub(super) const MAGIC: &[u8] = b"PAR1";

/// Columns that no layout needs, and that are most of their files.
const UNREAD: [&str; 6] =
    ["context", "document", "entitypages", "longanswercandidates", "passages", "searchresults"];

/// Where rows go.
type Sink<'a> = &'a mut dyn FnMut(Row, Place) -> Result<(), QuestionProblem>;

/// Gives every row of a file to `sink`.
pub(super) fn read_file(file: File, sink: Sink) -> Result<(), QuestionProblem> {
    read(file, sink)
}

/// Gives every row of a file that is in memory to `sink`.
pub(super) fn read_bytes(bytes: &[u8], sink: Sink) -> Result<(), QuestionProblem> {
    read(Bytes::copy_from_slice(bytes), sink)
}

fn read(file: impl ChunkReader + 'static, sink: Sink) -> Result<(), QuestionProblem> {
    let size = file.len();
    let reader = caught(|| SerializedFileReader::new(file))?;
    check_sizes(&reader, size)?;
    let mut rows = caught(|| {
        let needed = needed(reader.metadata().file_metadata().schema())?;
        RowIter::from_file(Some(needed), &reader)
    })?;
    for number in 1.. {
        let Some(record) = caught(|| rows.next().transpose())? else { break };
        let fields = record.get_column_iter().map(|(name, field)| (name.clone(), value(field, 0)));
        sink(Row::of(fields), Place::record(number))?;
    }
    Ok(())
}

/// Fails for columns that end behind the file, whose sizes would be allocated.
fn check_sizes(reader: &impl FileReader, size: u64) -> Result<(), QuestionProblem> {
    let metadata = reader.metadata();
    let columns = metadata.row_groups().iter().flat_map(RowGroupMetaData::columns);
    for column in columns {
        let (start, length) = caught(|| Ok(column.byte_range()))?;
        if start.checked_add(length).is_none_or(|end| end > size) {
            let problem = format!("{} ends behind the file", column.column_path().string());
            return Err(QuestionProblem::Parquet { problem });
        }
    }
    Ok(())
}

/// The schema without the columns that are not read.
fn needed(schema: &Type) -> ParquetResult<Type> {
    let fields = schema.get_fields().iter();
    let fields = fields.filter(|field| !UNREAD.contains(&plain(field.name()).as_str()));
    GroupTypeBuilder::new(schema.name()).with_fields(fields.cloned().collect()).build()
}

/// Calls what checks some of what it reads by assertions: a damaged file is an error.
fn caught<T>(read: impl FnOnce() -> ParquetResult<T>) -> Result<T, QuestionProblem> {
    let result = catch_unwind(AssertUnwindSafe(read));
    let problem = match result {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(ParquetError::External(error))) => error.to_string(),
        Ok(Err(error)) => error.to_string(),
        Err(panic) => message(&*panic),
    };
    Err(QuestionProblem::Parquet { problem })
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it is damaged").to_owned()
}

fn value(field: &Field, depth: usize) -> Value {
    let fields = |record: &Record| {
        let fields = record.get_column_iter();
        Value::Map(fields.map(|(name, field)| (name.clone(), value(field, depth + 1))).collect())
    };
    match field {
        Field::Null => Value::Null,
        _ if depth > MAX_DEPTH => Value::Null,
        Field::Bool(value) => Value::Bool(*value),
        Field::Str(text) => Value::Text(text.clone()),
        // A text that is not said to be one.
        Field::Bytes(bytes) => match str::from_utf8(bytes.data()) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(_) => Value::Null,
        },
        Field::Byte(number) => Value::Number(number.to_string()),
        Field::Short(number) => Value::Number(number.to_string()),
        Field::Int(number) => Value::Number(number.to_string()),
        Field::Long(number) => Value::Number(number.to_string()),
        Field::UByte(number) => Value::Number(number.to_string()),
        Field::UShort(number) => Value::Number(number.to_string()),
        Field::UInt(number) => Value::Number(number.to_string()),
        Field::ULong(number) => Value::Number(number.to_string()),
        Field::Float(number) => Value::Number(format!("{number:?}")),
        Field::Double(number) => Value::Number(format!("{number:?}")),
        Field::Group(record) => fields(record),
        Field::ListInternal(list) => {
            Value::List(list.elements().iter().map(|item| value(item, depth + 1)).collect())
        }
        other => Value::Text(other.to_string()),
    }
}
