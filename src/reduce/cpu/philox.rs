//! Random numbers that are counted, not stored; the same as those of kernels/philox.cuh.

/// The row of a batch whose rows have a seed each: none of those that share one.
pub(crate) const NO_ROW: u32 = u32::MAX;

/// The uniform number, from 0 to below 1, of a row's draw: 53 bits of Philox. `step` is how many tokens
/// it has drawn before.
pub(crate) fn uniform(seed: u64, step: u64, row: u32) -> f64 {
    let [high, low, ..] = words(seed, step, row);
    from_words(high, low)
}

/// The uniform number by which a row accepts a drafted token at a step: it has nothing to do with
/// [`uniform`], by which it draws one of its own at the same step.
pub(crate) fn accept_uniform(seed: u64, step: u64, row: u32) -> f64 {
    let [.., high, low] = words(seed, step, row);
    from_words(high, low)
}

fn words(seed: u64, step: u64, row: u32) -> [u32; 4] {
    let counter = [0, row, step as u32, (step >> 32) as u32];
    philox(counter, [seed as u32, (seed >> 32) as u32])
}

fn from_words(high: u32, low: u32) -> f64 {
    let bits = u64::from(high >> 5) << 26 | u64::from(low >> 6);
    bits as f64 / (1u64 << 53) as f64
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

    /// Of the first known answer: a seed, a step and a row of 0.
    #[test]
    fn a_step_has_two_numbers() {
        let number = |high: u32, low: u32| {
            (f64::from(high >> 5) * 67_108_864.0 + f64::from(low >> 6)) / 9_007_199_254_740_992.0
        };
        assert_eq!(uniform(0, 0, 0), number(0x6627_e8d5, 0xe169_c58d));
        assert_eq!(accept_uniform(0, 0, 0), number(0xbc57_ac4c, 0x9b00_dbd8));
    }

    #[test]
    fn rows_steps_and_seeds_have_numbers_of_their_own() {
        let n = 120_000;
        let number = |i: u64| {
            let kind = if i.is_multiple_of(2) { uniform } else { accept_uniform };
            kind(i / 2 % 3, i / 6 % 200, (i / 1200) as u32)
        };
        let numbers: Vec<f64> = (0..n).map(number).collect();
        assert!(numbers.iter().all(|u| (0.0..1.0).contains(u)));
        let mut sorted = numbers.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        assert_eq!(sorted.len(), numbers.len());
        let mean = numbers.iter().sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 0.006, "{mean}"); // five standard errors
    }
}
