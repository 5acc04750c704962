//! What the hidden states of a model know of its answers.
//!
//! | file | what it has |
//! | --- | --- |
//! | `read` | states, as a model has them |
//! | `store`, `writer` | states, as files |
//! | `features` | what answers are told apart by |
//! | `folds` | which answers are held out together |
//! | `logistic` | logistic regression |
//! | `nested` | scores of answers that a model has not seen |
//! | `detect` | from states to what they know |
//! | `summary` | what that comes to |

mod detect;
mod error;
mod features;
mod folds;
mod logistic;
mod nested;
mod read;
mod store;
mod summary;
mod writer;

pub use error::HiddenError;
pub use folds::{FOLDS, Grouping, Place};
pub use read::{mean_embedding, read_states};
pub use store::{Blocks, HiddenState, HiddenStates};
pub use summary::{Area, Chosen, Contrast, Contrasted, Hidden, Predictors, WhyNot};
pub use writer::HiddenWriter;
