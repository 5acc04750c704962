//! Jinja as transformers sets it up for chat templates, which rely on Python's.

use minijinja::{
    Environment, Error, ErrorKind, Output, State, Value, escape_formatter,
    syntax::SyntaxConfig,
    value::{Kwargs, ValueKind},
};

use super::{date, python};

/// An environment without templates.
pub fn environment() -> Result<Environment<'static>, Error> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    let mut jinja = Environment::new();
    jinja.set_syntax(syntax);
    jinja.set_formatter(print);
    jinja.set_unknown_method_callback(python::method);
    jinja.add_function("raise_exception", |message: String| -> Result<Value, Error> {
        Err(Error::new(ErrorKind::InvalidOperation, message))
    });
    jinja.add_function("strftime_now", |format: &str| {
        date::format(format).ok_or_else(|| {
            let message = format!("strftime_now does not know the format {format:?}");
            Error::new(ErrorKind::InvalidOperation, message)
        })
    });
    jinja.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    jinja.add_test("sequence", |value: &Value| {
        matches!(value.kind(), ValueKind::String | ValueKind::Seq | ValueKind::Map)
    });
    jinja.add_filter("string", |value: &Value| python::str(value));
    jinja.add_filter("tojson", |value: &Value, options: Kwargs| {
        let json = python::Json::of(&options)?;
        options.assert_all_used()?;
        json.dumps(value)
    });
    Ok(jinja)
}

/// What `{{ value }}` prints.
fn print(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::String => escape_formatter(out, state, value),
        _ => Ok(out.write_str(&python::str(value)?)?),
    }
}
