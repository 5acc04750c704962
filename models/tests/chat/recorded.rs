//! The templates of real models, and what transformers makes of them.
//!
//! `tests/chat/templates.py` collects the templates, renders them by transformers, and writes what
//! is expected into a folder, whose name is in `CHAT_TEMPLATES`:
//!
//! ```sh
//! cd models && python3 tests/chat/templates.py CHAT_TEMPLATES_FOLDER
//! CHAT_TEMPLATES=CHAT_TEMPLATES_FOLDER cargo test --features chat --test chat -- --ignored
//! ```

use std::{env, fs, path::PathBuf};

use concept_mass_models::{Chat, ChatError, ChatTemplate, Message, Thinking};
use serde::Deserialize;

/// What Python says of a loop over none.
const LOOP: &str = "'NoneType' object is not iterable";

/// A template, and what transformers makes of it.
#[derive(Deserialize)]
pub struct Recorded {
    pub name: String,
    pub template: String,
    pub bos: String,
    pub eos: String,
    pub renderings: Vec<Rendering>,
}

/// Messages, each a role and what is said.
#[derive(Deserialize)]
pub struct Rendering {
    pub messages: Vec<(String, String)>,
    /// The text, or none if the template raises an exception,
    pub text: Option<String>,
    /// which is this.
    pub error: Option<String>,
}

/// How a rendering of ours compares with that of transformers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Equal texts.
    pub equal: usize,
    /// Exceptions in both.
    pub fails: usize,
    /// Texts for which Python has an exception alone: it does not loop over none, which is the value
    /// of `tools`, and minijinja does.
    pub lenient: usize,
    /// Texts of transformers' in which a message is not.
    pub dropped: usize,
    /// Texts that end in a thought, equal up to the end that is put to it.
    pub open: usize,
}

impl Recorded {
    /// What differs from transformers.
    pub fn compare(&self, tally: &mut Tally) -> Vec<String> {
        let chat = Chat {
            template: self.template.clone(),
            bos: Some(self.bos.clone()),
            eos: Some(self.eos.clone()),
        };
        let template = match ChatTemplate::new(&chat) {
            Ok(template) => template,
            Err(error) => return vec![format!("{}: {}", self.name, chain(&error))],
        };
        let compare =
            |r: &Rendering| Some(format!("{}: {}", self.name, r.compare(&template, tally)?));
        self.renderings.iter().filter_map(compare).collect()
    }
}

impl Rendering {
    /// What differs; `None` for nothing.
    fn compare(&self, template: &ChatTemplate, tally: &mut Tally) -> Option<String> {
        let message = |(role, content): &(String, String)| match role.as_str() {
            "system" => Message::system(content),
            "user" => Message::user(content),
            _ => Message::assistant(content),
        };
        let messages: Vec<Message> = self.messages.iter().map(message).collect();
        let is_in = |text: &str| messages.iter().all(|m| text.contains(m.content.trim()));
        match (template.render(&messages, Thinking::Off), &self.text) {
            (Ok(ours), Some(theirs)) if ours == *theirs => tally.equal += 1,
            (Err(ChatError::Render(_)), None) => tally.fails += 1,
            (Ok(_), None) if self.error.as_ref().is_some_and(|error| error.contains(LOOP)) => {
                tally.lenient += 1;
            }
            (Err(ChatError::Dropped { .. }), Some(theirs)) if !is_in(theirs) => tally.dropped += 1,
            (Err(ChatError::OpenThought { tag, .. }), Some(theirs)) => {
                let closed = template.render(&messages, Thinking::Close);
                let closed = closed.map_err(|error| chain(&error));
                let begins = |ours: &String| ours.starts_with(theirs.trim_end());
                if !theirs.contains(tag) || !closed.as_ref().is_ok_and(begins) {
                    return Some(format!("closed\n{closed:?}\nnot\n{theirs:?}"));
                }
                tally.open += 1;
            }
            (ours, theirs) => {
                let ours = ours.map_err(|error| chain(&error));
                let Self { messages, error, .. } = self;
                return Some(format!("{messages:?}\n{ours:?}\nnot\n{theirs:?} {error:?}"));
            }
        }
        None
    }
}

fn chain(error: &ChatError) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
#[ignore = "needs what templates.py collects"]
fn the_templates_of_real_models_are_rendered_as_by_transformers() {
    let folder = PathBuf::from(env::var_os("CHAT_TEMPLATES").expect("CHAT_TEMPLATES is a folder"));
    let text = fs::read(folder.join("templates.json")).unwrap();
    let all: Vec<Recorded> = serde_json::from_slice(&text).unwrap();
    let mut tally = Tally::default();
    let differences: Vec<String> = all.iter().flat_map(|one| one.compare(&mut tally)).collect();
    println!("{} templates, {tally:?}", all.len());
    assert!(differences.is_empty(), "{}\n{}", differences.join("\n\n"), differences.len());
    assert!(all.len() > 60 && tally.equal > 4 * all.len(), "{} templates, {tally:?}", all.len());
}
