//! What chat templates are made of, one made-up template each, and what transformers makes of it.
//!
//! `constructs.json` is written by `python3 tests/chat/templates.py --constructs`, by transformers
//! 5.24.0 and Jinja 3.1.6.

use super::recorded::{Recorded, Tally};

#[test]
fn every_construct_is_rendered_as_by_transformers() {
    let all: Vec<Recorded> = serde_json::from_str(include_str!("constructs.json")).unwrap();
    let mut tally = Tally::default();
    let differences: Vec<String> = all.iter().flat_map(|one| one.compare(&mut tally)).collect();
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
    let renderings: usize = all.iter().map(|one| one.renderings.len()).sum();
    assert_eq!(tally, Tally { equal: renderings, ..Tally::default() });
}
