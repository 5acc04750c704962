//! Gumbel noise that is counted, not stored; the same numbers as kernels/noise.cuh draws.

use crate::ConceptMap;
use crate::reduce::NO_TOKEN;

/// No noise is above it.
const MOST_NOISE: f32 = 23.0;

/// The noise of one row in one draw.
#[derive(Clone, Copy)]
pub(super) struct Noise {
    pub(super) seed: u64,
    /// How many tokens the row has drawn before.
    pub(super) step: u64,
    pub(super) row: u32,
}

impl Noise {
    /// The token whose concept has the largest `ln(mass) · inverse_temperature + noise`, of a row
    /// of pooled logits; [`NO_TOKEN`] if they are NaN.
    ///
    /// Scores are relative to the likeliest concept's, so that they cannot overflow but to `-inf`,
    /// however cold it is.
    pub(super) fn sample(self, map: &ConceptMap, pooled: &[f32], inverse_temperature: f64) -> u32 {
        // What is infinite would make a NaN of a logit of 0.
        let inverse_temperature = inverse_temperature.min(f64::MAX);
        let max = f64::from(pooled.iter().copied().fold(f32::NEG_INFINITY, f32::max));
        let mut best = (f32::NEG_INFINITY, u32::MAX, NO_TOKEN);
        let mut last: Option<Quad> = None;
        for ((token, &logit), &concept) in (0..).zip(pooled).zip(map.concept_ids()) {
            // Nothing of no mass.
            if logit > f32::NEG_INFINITY {
                let score = ((f64::from(logit) - max) * inverse_temperature) as f32;
                // No noise where it could not help.
                if score > f32::NEG_INFINITY && score + MOST_NOISE >= best.0 {
                    let place = concept / 4;
                    let known = last.take().filter(|quad| quad.place == place);
                    let quad = last.insert(known.unwrap_or_else(|| self.quad(place)));
                    let uniform = quad.uniforms[concept as usize % 4];
                    if uniform > above_exp(score - best.0) {
                        continue;
                    }
                    let score = score + gumbel(uniform);
                    if score > best.0 || score == best.0 && concept < best.1 {
                        best = (score, concept, token);
                    }
                }
            }
        }
        best.2
    }

    /// The numbers of the concepts `4 · place` to `4 · place + 3`, which come together.
    fn quad(self, place: u32) -> Quad {
        const UNIT: f32 = 1.0 / (1u64 << 32) as f32;
        let counter = [place, self.row, self.step as u32, (self.step >> 32) as u32];
        let bits = philox(counter, [self.seed as u32, (self.seed >> 32) as u32]);
        // Near 0, where f32 is finest, for the large ones: they decide.
        Quad { place, uniforms: bits.map(|bits| (bits as f32 + 0.5) * UNIT) }
    }
}

/// The uniform number, from 0 to below 1, of a seed's step: 53 bits of Philox, of a row that no noise
/// is of.
pub(crate) fn uniform(seed: u64, step: u64) -> f64 {
    let counter = [0, u32::MAX, step as u32, (step >> 32) as u32];
    let [high, low, ..] = philox(counter, [seed as u32, (seed >> 32) as u32]);
    let bits = u64::from(high >> 5) << 26 | u64::from(low >> 6);
    bits as f64 / (1u64 << 53) as f64
}

/// Four uniform numbers, for four neighbouring concepts.
struct Quad {
    place: u32,
    uniforms: [f32; 4],
}

/// A number below [`MOST_NOISE`], which of a uniform one has the distribution function
/// `exp(-exp(-x))`.
fn gumbel(uniform: f32) -> f32 {
    -(-(-uniform.min(1.0f32.next_down())).ln_1p()).ln()
}

/// More than `e^x` by a tenth at least, without a logarithm or an exponential.
///
/// A score beats the best if its noise is `best - score` or more, and [`gumbel`] is that only of
/// uniform numbers up to `1 - exp(-e^(score - best))`, which is less than `e^(score - best)`. So most
/// concepts are out before their noise is computed, whose rounding a tenth is far more than.
fn above_exp(x: f32) -> f32 {
    if x >= 0.0 {
        return f32::INFINITY;
    }
    // Its bits as a number are those of 2^n (1 + f), and 1 + f is at least 2^f.
    let exponent = x.max(-80.0) * std::f32::consts::LOG2_E + 0.15;
    f32::from_bits(((exponent + 127.0) * (1 << 23) as f32) as u32)
}

/// Philox-4x32-10, from Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let a = 0xD251_1F53 * u64::from(counter[0]);
        let b = 0xCD9E_8D57 * u64::from(counter[2]);
        let high = |x: u64| (x >> 32) as u32;
        counter =
            [high(b) ^ counter[1] ^ key[0], b as u32, high(a) ^ counter[3] ^ key[1], a as u32];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that come with the paper's own library, Random123.
    #[test]
    fn philox_gives_the_known_answers() {
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, want) in cases {
            assert_eq!(philox(counter, key), want);
        }
    }

    #[test]
    fn noise_has_the_moments_of_a_gumbel_distribution() {
        let noise = |i| {
            let (noise, concept) = (Noise { seed: 7, step: i / 1000, row: 0 }, i as u32 % 1000);
            gumbel(noise.quad(concept / 4).uniforms[concept as usize % 4])
        };
        let n = 200_000u64;
        let sample: Vec<f64> = (0..n).map(|i: u64| noise(i).into()).collect();
        let mean = sample.iter().sum::<f64>() / n as f64;
        let variance = sample.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        // Euler's constant, and π² / 6; five standard errors.
        assert!((mean - 0.577_215_7).abs() < 0.0144, "{mean}");
        assert!((variance - 1.644_934).abs() < 0.04, "{variance}");
        assert!(sample.iter().all(|x| (-2.9..23.0).contains(x)));
    }

    /// Whatever the spread of the scores, the winner is that of all scores with their noise.
    #[test]
    fn what_is_passed_over_could_not_have_won() {
        let map = ConceptMap::singletons(500).unwrap();
        for (case, spread) in [0.0, 1.0, 5.0, 30.0, 300.0].into_iter().enumerate() {
            for step in 0..200 {
                let noise = Noise { seed: case as u64, step, row: 3 };
                let logits: Vec<f32> =
                    (0..500u32).map(|i| (i * 7919 % 500) as f32 / 500.0 * spread).collect();
                let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let score = |i: usize| {
                    let uniform = noise.quad(i as u32 / 4).uniforms[i % 4];
                    (f64::from(logits[i]) - f64::from(max)) as f32 + gumbel(uniform)
                };
                let best = (0..500).rev().max_by(|&a, &b| score(a).total_cmp(&score(b)));
                assert_eq!(noise.sample(&map, &logits, 1.0), best.unwrap() as u32);
            }
        }
    }

    #[test]
    fn the_bound_is_above_the_exponential() {
        for i in 0..100_000 {
            let x = -(i as f32) / 1000.0;
            let (bound, exact) = (f64::from(above_exp(x)), f64::from(x).exp());
            assert!(bound > 1.1 * exact && (x < -80.0 || x == 0.0 || bound < 1.3 * exact), "{x}");
        }
    }
}
