//! What the mode with everything has beside logits: tokens that were seen, and a mask.

use concept_mass::sample::Penalties;
use rand::{Rng, SeedableRng, rngs::StdRng, seq::index};

use super::mode::PENALTIES;

/// A thousand seen tokens, and a mask that allows three tokens of four.
pub struct Past {
    /// In the order in which they were seen; some more than once.
    pub seen: Vec<u32>,
    pub mask: Vec<u32>,
}

impl Past {
    /// The likeliest tokens have been seen, twice, as in a text, and many that are not likely.
    pub fn of(logits: &[f64]) -> Self {
        const SEEN: usize = 1000;
        const LIKELIEST: usize = 20;
        let mut rng = StdRng::seed_from_u64(1);
        let mut by_logit: Vec<u32> = (0..logits.len() as u32).collect();
        by_logit.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
        let (likeliest, rest) = by_logit.split_at(LIKELIEST);
        let mut seen = likeliest.to_vec();
        seen.extend(index::sample(&mut rng, rest.len(), SEEN - LIKELIEST).iter().map(|i| rest[i]));
        seen.extend(likeliest);
        let words = logits.len().div_ceil(32);
        let mask = (0..words).map(|_| rng.random::<u32>() | rng.random::<u32>()).collect();
        Self { seen, mask }
    }

    pub fn allows(&self, token: usize) -> bool {
        self.mask[token / 32] >> (token % 32) & 1 == 1
    }

    /// The logits after penalties and mask, by their definitions.
    pub fn apply(&self, logits: &[f64]) -> Vec<f64> {
        let Penalties { repetition, presence, frequency } = PENALTIES;
        let mut counts = vec![0; logits.len()];
        self.seen.iter().for_each(|&token| counts[token as usize] += 1);
        let changed = (0..logits.len()).map(|token| {
            let (logit, count) = (logits[token], f64::from(counts[token]));
            if !self.allows(token) {
                return f64::NEG_INFINITY;
            }
            if count == 0.0 {
                return logit;
            }
            let repetition = f64::from(repetition);
            let scaled = if logit > 0.0 { logit / repetition } else { logit * repetition };
            scaled - f64::from(presence) - f64::from(frequency) * count
        });
        changed.collect()
    }
}
