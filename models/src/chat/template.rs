use std::fmt;

use minijinja::{Environment, Value, context};

use super::{Chat, ChatError, generation, jinja};

/// The name of the template within the environment of its own.
const NAME: &str = "chat";

/// The variables by which templates can be asked not to open a thought: Qwen's and SmolLM's, and
/// DeepSeek's and Granite's.
const SWITCHES: [&str; 2] = ["enable_thinking", "thinking"];

/// What opens and closes a model's thoughts.
const THOUGHTS: [(&str, &str); 6] = [
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel>thought", "<channel|>"),
];

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Who sets up the chat.
    System,
    /// Who asks.
    User,
    /// The model.
    Assistant,
}

/// As templates call them: `system`, `user`, `assistant`.
impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        })
    }
}

/// A message of a chat.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: String,
}

impl Message {
    /// A message of the system.
    pub fn system(content: impl Into<String>) -> Self {
        Self { role: Role::System, content: content.into() }
    }

    /// A message of the user.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    /// An answer of the model's, such as that of an example.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

/// How a model is kept from thinking before it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Thinking {
    /// The template is asked not to open a thought: `enable_thinking` and `thinking` are false.
    #[default]
    Off,
    /// Also, a thought that is open nevertheless is closed, empty.
    Close,
}

/// A chat template, ready to render: Jinja as transformers sets it up.
///
/// Templates are rendered without tools and documents. The date they are told is always 26 July
/// 2024, the default of Llama 3's, so that a run can be resumed and repeated.
///
/// ```
/// use concept_mass_models::{Chat, ChatTemplate, Message, Thinking};
///
/// let template = "{% for message in messages %}<|{{ message.role }}|>{{ message.content }}\n\
///     {% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}";
/// let chat = Chat { template: template.to_owned(), bos: None, eos: None };
/// let messages = [Message::system("Be brief."), Message::user("Who wrote Hamlet?")];
/// let text = ChatTemplate::new(&chat)?.render(&messages, Thinking::Off)?;
/// assert_eq!(text, "<|system|>Be brief.\n<|user|>Who wrote Hamlet?\n<|assistant|>");
/// # Ok::<(), concept_mass_models::ChatError>(())
/// ```
#[derive(Debug)]
pub struct ChatTemplate {
    jinja: Environment<'static>,
    bos: String,
    eos: String,
    /// The one of [`SWITCHES`] that the template reads.
    switch: Option<&'static str>,
}

impl ChatTemplate {
    /// Reads the template of `chat`.
    ///
    /// # Errors
    ///
    /// [`ChatError::Syntax`].
    pub fn new(chat: &Chat) -> Result<Self, ChatError> {
        let template = generation::as_blocks(&chat.template);
        let (jinja, read) = jinja::read(NAME, template).map_err(|e| ChatError::Syntax(e.into()))?;
        let switch = SWITCHES.into_iter().find(|&switch| read.contains(switch));
        let text = |token: &Option<String>| token.clone().unwrap_or_default();
        Ok(Self { bos: text(&chat.bos), eos: text(&chat.eos), jinja, switch })
    }

    /// The text of `messages` and of what comes before an answer: what the model is to continue.
    ///
    /// # Errors
    ///
    /// [`ChatError::Render`] if the template fails, as many do for a message of the system;
    /// [`ChatError::Dropped`] if what a message says is not in the text;
    /// [`ChatError::OpenThought`] if it ends in a thought, unless that is to be closed.
    pub fn render(&self, messages: &[Message], thinking: Thinking) -> Result<String, ChatError> {
        let mut text = self.text(messages).map_err(|e| ChatError::Render(e.into()))?;
        // All that templates do to a message is to trim it.
        if let Some(dropped) = messages.iter().find(|m| !text.contains(m.content.trim())) {
            let Message { role, content } = dropped.clone();
            return Err(ChatError::Dropped { role, content });
        }
        match (open_thought(&text, messages), thinking) {
            (None, _) => {}
            (Some((tag, _)), Thinking::Off) => {
                return Err(ChatError::OpenThought { tag, switch: self.switch });
            }
            (Some((_, end)), Thinking::Close) => {
                // As Qwen's templates do.
                text.truncate(text.trim_end().len());
                text += &format!("\n\n{end}\n\n");
            }
        }
        Ok(text)
    }

    fn text(&self, messages: &[Message]) -> Result<String, minijinja::Error> {
        let message = |message: &Message| {
            context! { role => message.role.to_string(), content => &message.content }
        };
        self.jinja.get_template(NAME)?.render(context! {
            messages => messages.iter().map(message).collect::<Vec<Value>>(),
            tools => Value::from(()),
            documents => Value::from(()),
            add_generation_prompt => true,
            enable_thinking => false,
            thinking => false,
            bos_token => &self.bos,
            eos_token => &self.eos,
        })
    }
}

/// The tags of the thought that `text` ends in, if it does: those of the last that was opened, not
/// by what a message says.
fn open_thought(text: &str, messages: &[Message]) -> Option<(&'static str, &'static str)> {
    let said = |tag: &str| messages.iter().map(|m| m.content.matches(tag).count()).sum::<usize>();
    let is_open = |(tag, end): &(&str, &str)| {
        let last = text.rfind(tag).is_some_and(|at| !text[at..].contains(end));
        last && text.matches(tag).count() > said(tag)
    };
    THOUGHTS.into_iter().find(is_open)
}
