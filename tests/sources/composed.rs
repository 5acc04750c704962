//! One map over another, by definition.

use concept_mass::map::MapError;
use concept_mass::{ConceptMap, map::OnConflict};
use proptest::prelude::*;

const SIZE: u32 = 24;

/// Disjoint sets of tokens, some with names.
fn maps() -> impl Strategy<Value = ConceptMap> {
    let ids = proptest::collection::vec(0usize..9, SIZE as usize);
    (ids, proptest::collection::vec(any::<bool>(), 6)).prop_map(|(ids, named)| {
        let mut builder = ConceptMap::builder(SIZE as usize);
        for (c, &is_named) in named.iter().enumerate() {
            let tokens: Vec<u32> = (0..SIZE).filter(|&t| ids[t as usize] == c).collect();
            if tokens.is_empty() {
                continue;
            }
            builder = match is_named {
                true => builder.concept(format!("concept {c}"), tokens).unwrap(),
                false => builder.unnamed(tokens).unwrap(),
            };
        }
        builder.build().unwrap()
    })
}

fn is_concept(map: &ConceptMap, concept: u32) -> bool {
    map.name(concept).is_some() || map.tokens(concept).unwrap().len() > 1
}

/// The upper map's concepts that a lower concept shares a token or its name with.
fn claimants(upper: &ConceptMap, lower: &ConceptMap, concept: u32) -> Vec<u32> {
    let tokens = lower.tokens(concept).unwrap().iter();
    let by_token = tokens.filter_map(|&t| upper.concept_of(t)).filter(|&c| is_concept(upper, c));
    let by_name = lower.name(concept).and_then(|name| upper.find(name));
    let mut claimants: Vec<u32> = by_token.chain(by_name).collect();
    claimants.sort();
    claimants.dedup();
    claimants
}

proptest! {
    #[test]
    fn every_pair_of_tokens_is_where_the_rule_puts_it(upper in maps(), lower in maps()) {
        let lower_concepts = 0..lower.num_concepts() as u32;
        let conflict = lower_concepts.clone().any(|c| claimants(&upper, &lower, c).len() > 1);
        let refused = upper.over(&lower, OnConflict::Refuse);
        prop_assert_eq!(matches!(refused, Err(MapError::ConceptsMeet { .. })), conflict);
        for policy in [OnConflict::LeaveOut, OnConflict::First] {
            let over = upper.over(&lower, policy).unwrap();
            if let Ok(refused) = &refused {
                prop_assert_eq!(refused, &over);
            }
            // Where each token belongs: to one of the upper map's concepts, to one of the lower
            // map's, or to itself.
            let home = |token: u32| {
                let above = upper.concept_of(token).unwrap();
                if is_concept(&upper, above) {
                    return (0, above);
                }
                let below = lower.concept_of(token).unwrap();
                match (&claimants(&upper, &lower, below)[..], policy) {
                    (&[], _) if is_concept(&lower, below) => (1, below),
                    (&[one], _) | (&[one, ..], OnConflict::First) => (0, one),
                    _ => (2, token),
                }
            };
            for a in 0..SIZE {
                for b in 0..a {
                    let is_one = over.concept_of(a) == over.concept_of(b);
                    prop_assert_eq!(is_one, home(a) == home(b), "{} {} {:?}", a, b, policy);
                }
            }
            for c in (0..upper.num_concepts() as u32).filter(|&c| is_concept(&upper, c)) {
                let first = upper.tokens(c).unwrap()[0];
                prop_assert_eq!(over.name(over.concept_of(first).unwrap()), upper.name(c));
            }
        }
    }
}
