//! How a question becomes the text that the model reads.

use anyhow::{Context, Error, Result, bail};
use concept_mass::source::Vocabulary;
use concept_mass_models::{Chat, ChatTemplate, Message, Thinking};

/// What stands for the question in a template of the user's.
const PLACEHOLDER: &str = "{question}";

/// What a template must put to the model before questions are: no template says this of itself.
const TRIAL: &str = "Which question is asked here, and which word is the twelfth of it?";

/// How a question becomes the text that the model reads.
pub struct Prompt {
    /// The user's template, before the question and after it.
    before: String,
    after: String,
    chat: Option<Messages>,
}

/// A chat with one question.
struct Messages {
    template: ChatTemplate,
    system: Option<String>,
    thinking: Thinking,
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
    /// Fails if the model's template fails with these messages, drops one, or leaves a thought open.
    pub fn chat(
        chat: &Chat,
        template: &str,
        system: Option<&str>,
        thinking: Thinking,
    ) -> Result<Self> {
        let (before, after) = parts(template)?;
        let template = ChatTemplate::new(chat)?;
        let messages = Messages { template, system: system.map(str::to_owned), thinking };
        let prompt = Self { before, after, chat: Some(messages) };
        prompt.text(TRIAL)?;
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
        let system = self.system.iter().map(Message::system);
        let messages: Vec<Message> = system.chain([Message::user(message)]).collect();
        Ok(self.template.render(&messages, self.thinking)?)
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

#[cfg(test)]
mod tests;
