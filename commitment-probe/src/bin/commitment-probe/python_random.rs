//! Python's `random.Random`, so far as a choice from a list needs it: from the same seed, the same
//! choices.
//!
//! The generator is the Mersenne Twister of Matsumoto and Nishimura (1998,
//! <https://doi.org/10.1145/272991.272995>), MT19937. What Python makes of it is in
//! `Modules/_randommodule.c` and `Lib/random.py`, and the same from Python 3.2 on.

use std::collections::HashSet;

/// The length of the state, and how far apart its two words are that make a new one.
const LENGTH: usize = 624;
const APART: usize = 397;

/// A generator of random numbers.
#[derive(Debug, Clone)]
pub struct PythonRandom {
    state: [u32; LENGTH],
    /// Which word of the state comes next; [`LENGTH`] if a new state must be made.
    next: usize,
}

impl PythonRandom {
    /// As `random.Random(seed)`.
    pub fn new(seed: u64) -> Self {
        let [low, high] = words(seed);
        match high {
            0 => Self::of_key(&[low]),
            _ => Self::of_key(&[low, high]),
        }
    }

    /// The reference implementation's `init_by_array`; the key has at most [`LENGTH`] words.
    fn of_key(key: &[u32]) -> Self {
        let mut state = [0; LENGTH];
        let mut last = 19_650_218_u32;
        for (word, i) in state.iter_mut().zip(0..) {
            last = if i == 0 { last } else { mixed(last, 1_812_433_253).wrapping_add(i) };
            *word = last;
        }
        let mut i = 1;
        for (&word, j) in key.iter().zip(0..).cycle().take(LENGTH) {
            let new = state[i] ^ mixed(state[i - 1], 1_664_525);
            state[i] = new.wrapping_add(word).wrapping_add(j);
            i = after(i, &mut state);
        }
        for _ in 1..LENGTH {
            let new = state[i] ^ mixed(state[i - 1], 1_566_083_941);
            state[i] = new.wrapping_sub(i as u32);
            i = after(i, &mut state);
        }
        state[0] = 1 << 31;
        Self { state, next: LENGTH }
    }

    /// The next 32 bits.
    fn word(&mut self) -> u32 {
        if self.next == LENGTH {
            self.renew();
        }
        let mut word = self.state[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9D2C_5680;
        word ^= (word << 15) & 0xEFC6_0000;
        word ^ (word >> 18)
    }

    fn renew(&mut self) {
        for i in 0..LENGTH {
            let high = self.state[i] & (1 << 31);
            let both = high | (self.state[(i + 1) % LENGTH] & !(1 << 31));
            let odd = if both % 2 == 1 { 0x9908_B0DF } else { 0 };
            self.state[i] = self.state[(i + APART) % LENGTH] ^ (both >> 1) ^ odd;
        }
        self.next = 0;
    }

    /// As `getrandbits(bits)`, for 1 to 64 bits.
    fn bits(&mut self, bits: u32) -> u64 {
        match bits {
            0..=32 => u64::from(self.word() >> (32 - bits.max(1))),
            _ => {
                let low = u64::from(self.word());
                low | u64::from(self.word() >> (64 - bits.min(64))) << 32
            }
        }
    }

    /// As `randrange(n)`, for an `n` of 1 or more.
    fn below(&mut self, n: usize) -> usize {
        let bits = usize::BITS - n.leading_zeros();
        loop {
            match usize::try_from(self.bits(bits)) {
                Ok(number) if number < n.max(1) => return number,
                _ => {}
            }
        }
    }

    /// As `sample(range(n), k)`: `k` different numbers below `n`; `None` if there are not as many.
    ///
    /// Takes time and memory proportional to `k`.
    pub fn sample(&mut self, n: usize, k: usize) -> Option<Vec<usize>> {
        if k > n {
            return None;
        }
        Some(if n <= set_size(k) { self.of_list(n, k) } else { self.of_many(n, k) })
    }

    /// From a list of those that are left.
    fn of_list(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut left: Vec<usize> = (0..n).collect();
        let mut pick = |_| {
            let at = self.below(left.len());
            left.swap_remove(at)
        };
        (0..k).map(&mut pick).collect()
    }

    /// Again and again, until each is new.
    fn of_many(&mut self, n: usize, k: usize) -> Vec<usize> {
        let mut seen = HashSet::with_capacity(k);
        let mut pick = |_| {
            loop {
                let number = self.below(n);
                if seen.insert(number) {
                    return number;
                }
            }
        };
        (0..k).map(&mut pick).collect()
    }
}

/// The size of a set of `k` numbers in Python, in entries, less that of an empty list: a list of as
/// many is smaller.
fn set_size(k: usize) -> usize {
    if k <= 5 {
        return 21;
    }
    let mut table: usize = 1;
    while table < k.saturating_mul(3) {
        table = table.saturating_mul(4);
    }
    table.saturating_add(21)
}

fn words(number: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = number.to_le_bytes();
    [u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h])]
}

fn mixed(word: u32, factor: u32) -> u32 {
    (word ^ (word >> 30)).wrapping_mul(factor)
}

/// The place after `i`, in a ring in which the first word is the same as the last.
fn after(i: usize, state: &mut [u32; LENGTH]) -> usize {
    if i + 1 < LENGTH {
        return i + 1;
    }
    state[0] = state[LENGTH - 1];
    1
}

/// What is expected here is what Python 3.11 says.
#[cfg(test)]
mod tests {
    use super::*;

    /// Four times `getrandbits(32)`; then of 5, 53, 64 and 33 bits.
    type Drawn = ([u64; 4], [u64; 4]);

    #[test]
    fn bits_of_seeds_of_one_word_and_of_two() {
        let expected: [(u64, Drawn); 6] = [
            (
                0,
                (
                    [3626764237, 1654615998, 3255389356, 3823568514],
                    [13, 2332111581032244, 9431353882395063546, 2087043557],
                ),
            ),
            (
                1,
                (
                    [577090037, 2444712010, 3639700191, 3445702192],
                    [24, 2297455587083473, 9139164268605729673, 3268308804],
                ),
            ),
            (
                1234,
                (
                    [4150886329, 3342196574, 1892932127, 501869158],
                    [0, 8205342134790981, 17326454776888161602, 7761016253],
                ),
            ),
            (
                1 << 32,
                (
                    [485306839, 1508871100, 1794561286, 4014597330],
                    [0, 5509893382973197, 14861564313759884179, 3274195809],
                ),
            ),
            (
                u64::MAX,
                (
                    [93740670, 1068495656, 1452108352, 2657516307],
                    [6, 5540561310227026, 16963090519847801214, 3868957638],
                ),
            ),
            (
                (1 << 40) + 7,
                (
                    [2635837658, 3209733218, 3500038837, 4028389051],
                    [30, 5137621151371841, 8779250061879139715, 5372336006],
                ),
            ),
        ];
        for (seed, (words, others)) in expected {
            let mut random = PythonRandom::new(seed);
            assert_eq!(words, [32; 4].map(|bits| random.bits(bits)), "{seed}");
            assert_eq!(others, [5, 53, 64, 33].map(|bits| random.bits(bits)), "{seed}");
        }
    }

    #[test]
    fn the_state_is_renewed() {
        let mut random = PythonRandom::new(5);
        let words: Vec<u64> = (0..2000).map(|_| random.bits(32)).collect();
        let expected = [2959306914, 3041615143, 544940891, 3497215180, 2894893787];
        assert_eq!([623, 624, 1247, 1248, 1999].map(|i| words[i]), expected);
    }

    #[test]
    fn numbers_below_another() {
        let mut random = PythonRandom::new(7);
        let below = [1, 2, 3, 64, 65, 1 << 32, (1 << 32) + 1, 1_000_000_000_000_000];
        let expected = [0, 0, 1, 6, 9, 404285457, 2503055453, 571324751830420];
        assert_eq!(below.map(|n| random.below(n)), expected);
    }

    /// Both ways to sample, at the sizes where Python passes from one to the other.
    #[test]
    fn samples() {
        let mut random = PythonRandom::new(1234);
        for expected in [[14, 3, 0, 2, 1, 10], [2, 3, 11, 7, 0, 15], [0, 11, 15, 14, 4, 1]] {
            assert_eq!(random.sample(20, 6).unwrap(), expected);
        }
        let mut random = PythonRandom::new(1234);
        for (n, expected) in [
            (86, &[56, 14, 0, 11, 74, 4][..]),
            (86, &[85, 10, 12, 45, 30, 2]),
            (85, &[3, 2, 44, 79, 61, 78]),
            (85, &[59, 19, 11, 23, 14, 1]),
            (22, &[16, 15]),
            (22, &[7, 2]),
            (21, &[17, 14, 2, 18, 16]),
            (22, &[18, 1, 8, 17, 2]),
            (5, &[2, 3, 1, 4, 0]),
            (0, &[]),
        ] {
            assert_eq!(random.sample(n, expected.len()).unwrap(), expected, "of {n}");
        }
        let many = random.sample(100_000, 30).unwrap();
        assert_eq!(many[..4], [85915, 26218, 59426, 69489]);
        assert_eq!(many[26..], [45381, 14534, 69426, 18511]);
    }

    #[test]
    fn no_more_than_there_are() {
        assert_eq!(PythonRandom::new(0).sample(3, 4), None);
        assert_eq!(PythonRandom::new(0).sample(0, 0), Some(vec![]));
    }

    #[test]
    fn a_set_of_more_than_five_is_larger() {
        for (k, size) in [(0, 21), (5, 21), (6, 85), (21, 85), (22, 277), (usize::MAX, usize::MAX)]
        {
            assert_eq!(set_size(k), size, "{k}");
        }
    }
}
