//! Whatever a map file or a list of aliases holds, reading it ends in a map, in aliases or in an
//! error, never in a panic; and a map that is read is a partition that survives being written.
#![no_main]

use std::{collections::HashSet, hint::black_box};

use concept_mass::{ConceptMap, map::MapStats, source::Aliases};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match ConceptMap::from_json(text) {
        Ok(map) => check(&map),
        // The message counts as well: it does arithmetic on what the file says.
        Err(error) => drop(black_box(error.to_string())),
    }
    match Aliases::from_json(text) {
        Ok(aliases) => check_aliases(&aliases.with_case_variants()),
        Err(error) => drop(black_box(error.to_string())),
    }
});

fn check_aliases(aliases: &Aliases) {
    let mut names = HashSet::new();
    for (name, forms) in aliases.iter() {
        assert!(names.insert(name.to_owned()));
        assert!(!forms.is_empty() && forms.iter().all(|form| !form.trim().is_empty()));
    }
}

fn check(map: &ConceptMap) {
    let stats = stats_of_a_partition(map);
    assert_eq!(map.stats(), stats);
    for concept in 0..map.num_concepts() as u32 {
        if let Some(name) = map.name(concept) {
            assert_eq!(map.find(name), Some(concept));
        }
    }
    let again = ConceptMap::from_json(&map.to_json()).expect("what to_json writes is read");
    assert_eq!(&again, map);
}

/// The map's figures, counted anew while every token is seen to be in exactly one concept, the
/// one that `concept_of` names.
fn stats_of_a_partition(map: &ConceptMap) -> MapStats {
    let mut stats = MapStats {
        vocab_size: 0,
        concepts: map.num_concepts(),
        pooled_concepts: 0,
        pooled_tokens: 0,
        largest_concept: 0,
    };
    for concept in 0..map.num_concepts() as u32 {
        let tokens = map.tokens(concept).expect("an id below the number of concepts");
        assert!(!tokens.is_empty() && tokens.is_sorted_by(|a, b| a < b));
        assert!(tokens.iter().all(|&token| map.concept_of(token) == Some(concept)));
        stats.vocab_size += tokens.len();
        stats.largest_concept = stats.largest_concept.max(tokens.len());
        if tokens.len() > 1 {
            stats.pooled_concepts += 1;
            stats.pooled_tokens += tokens.len();
        }
    }
    // Each concept's tokens differ and know their concept, so none is in two of them; that there
    // are as many as the vocabulary has leaves none without.
    assert_eq!(map.vocab_size(), stats.vocab_size);
    assert_eq!(map.concept_ids().len(), stats.vocab_size);
    let end = (map.vocab_size() as u32, map.num_concepts() as u32);
    assert_eq!((map.concept_of(end.0), map.tokens(end.1)), (None, None));
    stats
}
