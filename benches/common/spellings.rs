//! Maps as spelling makes them, with a largest concept of any size.

use concept_mass::ConceptMap;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

/// How often concepts of two to eight tokens are in the spelling map of Llama 3.1's vocabulary, and
/// nine for all that are larger.
const SHARES: [(usize, f64); 8] = [
    (2, 0.6064),
    (3, 0.1602),
    (4, 0.1297),
    (5, 0.0407),
    (6, 0.0322),
    (7, 0.0189),
    (8, 0.0075),
    (9, f64::INFINITY),
];

/// Half of the vocabulary in concepts of so many tokens at most, one of which has as many.
pub fn spellings(vocab_size: usize, largest: usize) -> ConceptMap {
    let mut rng = StdRng::seed_from_u64(largest as u64);
    let mut tokens: Vec<u32> = (0..vocab_size as u32).collect();
    tokens.shuffle(&mut rng);
    let mut rest = &tokens[..vocab_size / 2];
    let mut builder = ConceptMap::builder(vocab_size);
    let mut size = largest;
    while rest.len() > largest {
        let (concept, others) = rest.split_at(size);
        builder = builder.unnamed(concept.iter().copied()).expect("disjoint");
        rest = others;
        size = spelling_size(largest, &mut rng).min(largest);
    }
    builder.build().expect("a valid map")
}

/// Sizes above eight, which are 1 in 240, are spread evenly on the scale of logarithms.
fn spelling_size(largest: usize, rng: &mut StdRng) -> usize {
    let mut uniform: f64 = rng.random();
    let falls_into = |(_, share): &&(usize, f64)| {
        uniform -= share;
        uniform < 0.0
    };
    let (size, _) = SHARES.iter().find(falls_into).expect("the last takes all");
    match size {
        9 => (9.0 * (largest as f64 / 9.0).powf(rng.random())).round() as usize,
        &size => size,
    }
}
