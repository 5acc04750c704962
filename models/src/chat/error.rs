use std::error::Error;

use super::Role;

/// Why messages cannot be put to a model by its chat template.
///
/// The cause is in [`source`](Error::source), and is not repeated.
///
/// ```
/// use concept_mass_models::{Chat, ChatError, ChatTemplate, Message, Thinking};
///
/// let template = "{{ messages[0].content }}<think>\n".to_owned();
/// let template = ChatTemplate::new(&Chat { template, bos: None, eos: None })?;
/// let error = template.render(&[Message::user("Why?")], Thinking::Off).unwrap_err();
/// assert!(matches!(error, ChatError::OpenThought { tag: "<think>", switch: None }));
/// # Ok::<(), ChatError>(())
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// The template is not one.
    #[error("the model's chat template cannot be read")]
    Syntax(#[source] Box<dyn Error + Send + Sync>),
    /// The template raises an exception for these messages, or does what Jinja cannot do.
    #[error("the model's chat template fails")]
    Render(#[source] Box<dyn Error + Send + Sync>),
    /// What a message says is not in the rendered text.
    #[error(
        "the model's chat template drops the message of the {role}, {content:?}; leave that message \
         out, or do without the chat template"
    )]
    Dropped {
        /// Whose message it is.
        role: Role,
        /// What it says.
        content: String,
    },
    /// The rendered text ends in a thought of the model's, so that no answer can follow.
    #[error(
        "the model's chat template opens a thought ({tag}) before the answer, {}; close it \
         (--thinking close), or choose a model that does not think",
        match switch {
            Some(switch) => format!("although {switch} is false"),
            None => "and has no switch for it".to_owned(),
        }
    )]
    OpenThought {
        /// What opens the thought.
        tag: &'static str,
        /// The variable by which the template could be asked not to, if it reads one.
        switch: Option<&'static str>,
    },
}
