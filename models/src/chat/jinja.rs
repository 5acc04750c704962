//! Jinja as transformers sets it up for chat templates, which rely on Python's.

use std::{collections::HashSet, panic::resume_unwind, thread};

use minijinja::{
    Environment, Error, ErrorKind, Output, State, Value, escape_formatter,
    syntax::SyntaxConfig,
    value::{Kwargs, ValueKind},
};

use super::{date, python};

/// The most instructions that a rendering takes. The templates of real models take thousands.
const FUEL: u64 = 10_000_000;

/// The longest template. Those of real models have some ten thousand bytes.
const LONGEST: usize = 256 << 10;

/// The stack on which one is read: minijinja calls itself for each operator of an expression, and a
/// template may be nothing but one expression.
const STACK: usize = 1 << 30;

/// An environment with a template, and the variables that it reads.
pub fn read(
    name: &'static str,
    template: String,
) -> Result<(Environment<'static>, HashSet<String>), Error> {
    if template.len() > LONGEST {
        let message = format!("it has {} bytes; {LONGEST} is the most", template.len());
        return Err(Error::new(ErrorKind::SyntaxError, message));
    }
    let read = move || {
        let mut jinja = environment()?;
        jinja.add_template_owned(name, template)?;
        let variables = jinja.get_template(name)?.undeclared_variables(false);
        Ok((jinja, variables))
    };
    let thread = thread::Builder::new().stack_size(STACK).spawn(read).map_err(|error| {
        Error::new(ErrorKind::InvalidOperation, "there is no memory to read it").with_source(error)
    })?;
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// An environment without templates.
fn environment() -> Result<Environment<'static>, Error> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    let mut jinja = Environment::new();
    jinja.set_syntax(syntax);
    jinja.set_fuel(Some(FUEL));
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
