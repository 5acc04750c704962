//! The parts of the example, in the order in which data passes through them.
//!
//! | module | what it does |
//! | --- | --- |
//! | `text` | text ↔ tokens |
//! | `question` | a prompt, and where its concepts come from → a concept map |
//! | `decoder` | the decode loop, with either sampler |
//! | `vote` | the first step in full: every token's probability, every concept's mass |
//! | `phrases` | the vote on whole answers, beside that on their first tokens |
//! | `screen`, `picture`, `table` | what is shown of it |

mod decoder;
mod phrases;
mod picture;
mod question;
mod screen;
mod table;
mod text;
mod vote;

pub use decoder::Decoder;
pub use phrases::{Ballot, table as phrase_table};
pub use picture::picture;
pub use question::{Concepts, Question, Source, aliases};
pub use screen::{Paint, page};
pub use table::Table;
pub use vote::Vote;
