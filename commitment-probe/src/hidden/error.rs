//! What can go wrong with hidden states.

use std::path::PathBuf;

/// Why hidden states cannot be read from a model, or stored.
///
/// ```
/// use commitment_probe::HiddenError;
///
/// let error = HiddenError::NotShown;
/// assert!(error.to_string().contains("does not show its states"));
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HiddenError {
    /// A model that does not show its states, such as one on a server.
    #[error("the model does not show its states; leave --hidden out, or use a model in files")]
    NotShown,

    /// States of other sequences or blocks than were asked for, or of another width than before.
    #[error("the model returned states of another shape than was asked for: {what}")]
    Shape {
        /// What is of another shape.
        what: String,
    },

    /// A state that holds a NaN or an infinity.
    #[error(
        "the states of question {id} hold a NaN or an infinity; compute in a wider type, such as \
         --dtype f32"
    )]
    NotFinite {
        /// The question.
        id: String,
    },

    /// A file that cannot be read or written.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        #[source]
        source: std::io::Error,
    },

    /// A file that does not hold states as this version writes them.
    #[error(
        "{} does not hold hidden states as this version writes them: {what}; delete it, and run \
         again",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
}
