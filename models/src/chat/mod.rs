//! How an instruct model wants to be talked to, and the text that its template makes of messages.
//!
//! | module | what it does |
//! | --- | --- |
//! | `template` | messages in, text out; what a template drops or leaves open is an error |
//! | `jinja` | Jinja as transformers sets it up |
//! | `generation` | takes out `{% generation %}`, which Jinja does not know |
//! | `python` | values, JSON and methods as Python has them |
//! | `date` | the one date that templates are told |

#[cfg(feature = "chat")]
mod date;
#[cfg(feature = "chat")]
mod error;
#[cfg(feature = "chat")]
mod generation;
#[cfg(feature = "chat")]
mod jinja;
#[cfg(feature = "chat")]
mod python;
#[cfg(feature = "chat")]
mod template;

#[cfg(feature = "chat")]
pub use {
    error::ChatError,
    template::{ChatTemplate, Message, Role, Thinking},
};

/// The chat template of an instruct model, and the special tokens that it needs.
///
/// With the feature `chat`, a `ChatTemplate` renders it.
///
/// ```
/// use concept_mass_models::Chat;
///
/// let chat = Chat {
///     template: "{% for message in messages %}[INST] {{ message.content }} [/INST]{% endfor %}".into(),
///     bos: Some("<s>".into()),
///     eos: Some("</s>".into()),
/// };
/// assert_ne!(chat.bos, chat.eos);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// A Jinja template, which turns messages into text.
    pub template: String,
    /// The text of the token that begins every sequence, for the template.
    pub bos: Option<String>,
    /// The text of the token that ends one.
    pub eos: Option<String>,
}
