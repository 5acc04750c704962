//! Reading a map file or a list of aliases never panics, whatever it holds, and a map that is read
//! is a partition that survives being written.
#![no_main]

use std::{collections::HashSet, error::Error, hint::black_box, iter::successors};

use concept_mass::{ConceptMap, source::Aliases};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match ConceptMap::from_json(bytes) {
        Ok(map) => check(&map),
        // The messages count as well: they do arithmetic on what the file says.
        Err(error) => print(&error),
    }
    match Aliases::from_json(bytes) {
        Ok(aliases) => check_aliases(&aliases.with_case_variants()),
        Err(error) => print(&error),
    }
});

fn print(error: &dyn Error) {
    for error in successors(Some(error), |&error| error.source()) {
        drop(black_box(error.to_string()));
    }
}

fn check_aliases(aliases: &Aliases) {
    let mut names = HashSet::new();
    for (name, forms) in aliases.iter() {
        assert!(names.insert(name.to_owned()));
        assert!(!forms.is_empty() && forms.iter().all(|form| !form.trim().is_empty()));
    }
}

fn check(map: &ConceptMap) {
    check_partition(map);
    for concept in 0..map.num_concepts() as u32 {
        if let Some(name) = map.name(concept) {
            assert_eq!(map.find(name), Some(concept));
        }
    }
    let again = ConceptMap::from_json(map.to_json()).expect("what to_json writes is read");
    assert_eq!(&again, map);
}

/// Every token is in exactly one concept, the one that `concept_of` names, and the map's figures
/// are those of its concepts.
fn check_partition(map: &ConceptMap) {
    let (mut tokens_seen, mut pooled_concepts, mut pooled_tokens, mut largest) = (0, 0, 0, 0);
    for concept in 0..map.num_concepts() as u32 {
        let tokens = map.tokens(concept).expect("an id below the number of concepts");
        assert!(!tokens.is_empty() && tokens.is_sorted_by(|a, b| a < b));
        assert!(tokens.iter().all(|&token| map.concept_of(token) == Some(concept)));
        tokens_seen += tokens.len();
        largest = largest.max(tokens.len());
        if tokens.len() > 1 {
            pooled_concepts += 1;
            pooled_tokens += tokens.len();
        }
    }
    // The tokens of a concept differ and know their concept, so none is in two of them; since there
    // are as many as the vocabulary has, none is missing.
    assert_eq!(map.vocab_size(), tokens_seen);
    assert_eq!(map.concept_ids().len(), tokens_seen);
    let stats = map.stats();
    assert_eq!((stats.vocab_size, stats.concepts), (tokens_seen, map.num_concepts()));
    assert_eq!((stats.pooled_concepts, stats.pooled_tokens), (pooled_concepts, pooled_tokens));
    assert_eq!(stats.largest_concept, largest);
    let end = (map.vocab_size() as u32, map.num_concepts() as u32);
    assert_eq!((map.concept_of(end.0), map.tokens(end.1)), (None, None));
}
