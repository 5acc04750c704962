//! How a question becomes the text that the model reads.

use anyhow::{Context, Error, Result, bail};
use concept_mass::source::Vocabulary;
use minijinja::{
    Environment, ErrorKind, Value, context,
    syntax::SyntaxConfig,
    value::{Kwargs, ValueKind},
};
use minijinja_contrib::pycompat;

use concept_mass_models::Chat;

/// What stands for the question in a template of the user's.
const PLACEHOLDER: &str = "{question}";

/// The name of a model's template within the environment of its own.
const CHAT: &str = "chat";

/// How a question becomes the text that the model reads.
pub struct Prompt {
    /// The user's template, before the question and after it.
    before: String,
    after: String,
    chat: Option<Messages>,
}

/// A chat with one question.
struct Messages {
    jinja: Environment<'static>,
    chat: Chat,
    system: Option<String>,
}

impl Prompt {
    /// The question within a template, such as `"Q: {question}\nA:"`: for models that continue a
    /// text.
    pub fn plain(template: &str) -> Result<Self> {
        let (before, after) = parts(template)?;
        Ok(Self { before, after, chat: None })
    }

    /// The same as the message of a user, after that of the `system`, if there is one, in an
    /// instruct model's own chat template.
    ///
    /// Fails if the model's template fails with these messages.
    pub fn chat(chat: &Chat, template: &str, system: Option<&str>) -> Result<Self> {
        let (before, after) = parts(template)?;
        let mut jinja = environment()?;
        jinja
            .add_template_owned(CHAT, chat.template.clone())
            .context("the model's chat template cannot be read")?;
        let messages = Messages { jinja, chat: chat.clone(), system: system.map(str::to_owned) };
        let prompt = Self { before, after, chat: Some(messages) };
        prompt.text("?")?;
        Ok(prompt)
    }

    /// The text with `question` in it, verbatim.
    pub fn text(&self, question: &str) -> Result<String> {
        let message = format!("{}{question}{}", self.before, self.after);
        match &self.chat {
            None => Ok(message),
            Some(chat) => chat.text(&message),
        }
    }

    /// The tokens of a text that [`text`](Self::text) made.
    ///
    /// A plain text is preceded by the tokens that the model expects at the beginning of any text; a
    /// chat template writes them itself.
    pub fn tokens(&self, vocabulary: &Vocabulary, text: &str) -> Result<Vec<u32>> {
        let special = self.chat.is_none();
        let encoding = vocabulary.tokenizer().encode_fast(text, special);
        let encoding = encoding.map_err(Error::from_boxed);
        let encoding = encoding.with_context(|| format!("cannot tokenise the prompt {text:?}"))?;
        Ok(encoding.get_ids().to_vec())
    }
}

impl Messages {
    fn text(&self, message: &str) -> Result<String> {
        let system =
            self.system.as_ref().map(|text| context! { role => "system", content => text });
        let user = context! { role => "user", content => message };
        let messages: Vec<Value> = system.into_iter().chain([user]).collect();
        let Chat { bos, eos, .. } = &self.chat;
        let text = self.jinja.get_template(CHAT)?.render(context! {
            messages,
            add_generation_prompt => true,
            // What is measured is the first token of the answer, which must not be a thought.
            enable_thinking => false,
            bos_token => bos.as_deref().unwrap_or_default(),
            eos_token => eos.as_deref().unwrap_or_default(),
        });
        text.context("the model's chat template fails")
    }
}

/// What is before the placeholder and after it.
fn parts(template: &str) -> Result<(String, String)> {
    match template.split(PLACEHOLDER).collect::<Vec<_>>()[..] {
        [before, after] => Ok((before.to_owned(), after.to_owned())),
        ref parts => bail!(
            "the prompt template {template:?} has {PLACEHOLDER} {} times; write it once, where the \
             question belongs",
            parts.len() - 1
        ),
    }
}

/// Jinja as transformers sets it up for chat templates, which rely on Python's.
fn environment() -> Result<Environment<'static>> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    let mut jinja = Environment::new();
    jinja.set_syntax(syntax);
    jinja.set_unknown_method_callback(pycompat::unknown_method_callback);
    jinja.add_function("raise_exception", |message: String| -> Result<Value, minijinja::Error> {
        Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
    });
    jinja.add_function("strftime_now", |format: &str| date(format));
    jinja.add_filter("tojson", |value: Value, _: Kwargs| json(&value));
    Ok(jinja)
}

/// Today's date for templates that ask for it: always the same, so that a run can be resumed and
/// repeated. It is the default of the templates of Llama 3.
///
/// Friday, 26 July 2024, midnight.
fn date(format: &str) -> Result<String, minijinja::Error> {
    let mut text = String::new();
    let mut characters = format.chars();
    while let Some(character) = characters.next() {
        if character != '%' {
            text.push(character);
            continue;
        }
        text += match characters.next() {
            Some('d') => "26",
            Some('e') => "26",
            Some('j') => "208",
            Some('a') => "Fri",
            Some('A') => "Friday",
            Some('b') => "Jul",
            Some('B') => "July",
            Some('m') => "07",
            Some('y') => "24",
            Some('Y') => "2024",
            Some('H' | 'M' | 'S') => "00",
            Some('F') => "2024-07-26",
            Some('%') => "%",
            _ => {
                let message = format!("strftime_now does not know the format {format:?}");
                return Err(minijinja::Error::new(ErrorKind::InvalidOperation, message));
            }
        };
    }
    Ok(text)
}

/// JSON as Python writes it, without the escapes for HTML of minijinja's own filter.
fn json(value: &Value) -> Result<String, minijinja::Error> {
    let list = |open, items: Vec<String>, close| format!("{open}{}{close}", items.join(", "));
    let string = |text: &str| serde_json::Value::from(text).to_string();
    Ok(match value.kind() {
        ValueKind::Undefined | ValueKind::None => "null".to_owned(),
        ValueKind::Bool => value.is_true().to_string(),
        ValueKind::Number => value.to_string(),
        ValueKind::Seq | ValueKind::Iterable => {
            let items = value.try_iter()?.map(|item| json(&item));
            list('[', items.collect::<Result<_, _>>()?, ']')
        }
        ValueKind::Map => {
            let item = |key: Value| {
                Ok(format!("{}: {}", string(&key.to_string()), json(&value.get_item(&key)?)?))
            };
            let items = value.try_iter()?.map(item);
            list('{', items.collect::<Result<_, minijinja::Error>>()?, '}')
        }
        _ => string(&value.to_string()),
    })
}

#[cfg(test)]
mod tests;
