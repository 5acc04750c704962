//! How a question, and examples before it, become the text that the model reads.

use anyhow::{Context, Error, Result, bail, ensure};
use concept_mass::source::Vocabulary;
use concept_mass_models::{Chat, ChatTemplate, Message, Thinking};

use crate::shots::Shot;

/// What stands for the question in a template of the user's.
const PLACEHOLDER: &str = "{question}";

/// What a template must put to the model before questions are: no template says this of itself.
const TRIAL: &str = "Which question is asked here, and which word is the twelfth of it?";

/// How questions and answers are written down, one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The template, before the question and after it.
    before: String,
    after: String,
    /// What comes before all questions; may be empty.
    description: String,
    /// What is between a question and its answer.
    target_delimiter: String,
    /// What is between an answer and the next question.
    shot_delimiter: String,
}

impl Format {
    /// A template, such as `"Q: {question}\nA:"`, with an empty line between examples.
    ///
    /// A space comes before an answer, unless the template ends in white space.
    pub fn new(template: &str) -> Result<Self> {
        let (before, after) = parts(template)?;
        let is_apart = after.ends_with(char::is_whitespace);
        Ok(Self {
            before,
            after,
            description: String::new(),
            target_delimiter: if is_apart { "" } else { " " }.to_owned(),
            shot_delimiter: "\n\n".to_owned(),
        })
    }

    /// The same after a `description`, and with `shot_delimiter` between examples.
    pub fn with(self, description: &str, shot_delimiter: &str) -> Self {
        let [description, shot_delimiter] = [description, shot_delimiter].map(str::to_owned);
        Self { description, shot_delimiter, ..self }
    }

    /// The template with `question` in it, verbatim.
    fn ask(&self, question: &str) -> String {
        format!("{}{question}{}", self.before, self.after)
    }

    /// The shots and the question in one text, without the description.
    fn continued(&self, question: &str, shots: &[&Shot]) -> String {
        let Self { target_delimiter, shot_delimiter, .. } = self;
        let shot = |shot: &&Shot| {
            let asked = self.ask(&shot.question);
            format!("{asked}{target_delimiter}{}{shot_delimiter}", shot.answer)
        };
        shots.iter().map(shot).chain([self.ask(question)]).collect()
    }
}

/// How shots are put into a chat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Turns {
    /// Each as a message of the user and an answer of the model's.
    #[default]
    Each,
    /// All in the message of the user, before the question.
    One,
}

/// What a chat has besides questions and answers.
#[derive(Debug, Clone, Default)]
pub struct ChatOptions {
    /// The message of the system.
    pub system: Option<String>,
    /// How the model is kept from thinking.
    pub thinking: Thinking,
    /// How shots are put.
    pub turns: Turns,
    /// The beginning of every answer, which the model goes on with.
    pub prefill: Option<String>,
}

/// How a question becomes the text that the model reads.
pub struct Prompt {
    format: Format,
    chat: Option<Messages>,
}

/// A chat whose last message is a question.
struct Messages {
    template: ChatTemplate,
    options: ChatOptions,
}

impl Prompt {
    /// Questions in a format: for models that continue a text.
    pub fn plain(format: Format) -> Self {
        Self { format, chat: None }
    }

    /// Questions in that format as messages of a user, in an instruct model's own chat template,
    /// after a message of the system: that of the options, followed by the description of the format.
    ///
    /// The text ends in the beginning of the answer, if one is given, verbatim, after all that the
    /// template writes before answers. Answers in turns of their own begin with it as well.
    ///
    /// Fails if the model's template fails with these messages, drops one, or leaves a thought open;
    /// or if the beginning of the answer is blank or ends in white space.
    pub fn chat(chat: &Chat, format: Format, options: ChatOptions) -> Result<Self> {
        options.prefill.as_deref().map_or(Ok(()), check_prefill)?;
        let template = ChatTemplate::new(chat)?;
        let prompt = Self { format, chat: Some(Messages { template, options }) };
        prompt.text(TRIAL, &[])?;
        Ok(prompt)
    }

    /// The text with `shots` and `question` in it, verbatim.
    ///
    /// Of a chat, fails if the model's template fails with these messages or drops one.
    pub fn text(&self, question: &str, shots: &[&Shot]) -> Result<String> {
        let Self { format, chat } = self;
        match chat {
            None => Ok(format!("{}{}", format.description, format.continued(question, shots))),
            Some(chat) => chat.text(format, question, shots),
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
    fn text(&self, format: &Format, question: &str, shots: &[&Shot]) -> Result<String> {
        let messages = self.messages(format, question, shots);
        let text = self.template.render(&messages, self.options.thinking)?;
        Ok(text + self.prefill())
    }

    fn messages(&self, format: &Format, question: &str, shots: &[&Shot]) -> Vec<Message> {
        let system = self.options.system.as_deref().unwrap_or_default();
        let system = joined(system, &format.shot_delimiter, &format.description);
        let mut messages = Vec::new();
        if !system.is_empty() {
            messages.push(Message::system(system));
        }
        match self.options.turns {
            Turns::One => messages.push(Message::user(format.continued(question, shots))),
            Turns::Each => {
                messages.extend(shots.iter().flat_map(|shot| self.turns(format, shot)));
                messages.push(Message::user(format.ask(question)));
            }
        }
        messages
    }

    fn turns(&self, format: &Format, shot: &Shot) -> [Message; 2] {
        let answer = joined(self.prefill(), " ", &shot.answer);
        [Message::user(format.ask(&shot.question)), Message::assistant(answer)]
    }

    fn prefill(&self) -> &str {
        self.options.prefill.as_deref().unwrap_or_default()
    }
}

/// Two texts, with `delimiter` between them unless one is empty or there is white space already.
fn joined(before: &str, delimiter: &str, after: &str) -> String {
    let is_apart = before.is_empty()
        || after.is_empty()
        || before.ends_with(char::is_whitespace)
        || after.starts_with(char::is_whitespace);
    format!("{before}{}{after}", if is_apart { "" } else { delimiter })
}

/// A space at the end would be a token of its own, while the model knows words with the space before
/// them as tokens: it would go on as it never does by itself.
fn check_prefill(prefill: &str) -> Result<()> {
    ensure!(!prefill.trim().is_empty(), "--prefill {prefill:?} is blank; leave it out");
    ensure!(
        !prefill.ends_with(char::is_whitespace),
        "--prefill {prefill:?} ends in white space, which belongs to the first token of what the \
         model adds; leave it out: {:?}",
        prefill.trim_end()
    );
    Ok(())
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

#[cfg(test)]
mod tests;
