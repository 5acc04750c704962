//! The random numbers of a row of a batch, from the paper: Salmon et al., "Parallel random numbers:
//! as easy as 1, 2, 3" (SC 2011).

/// The rounds of Philox-4x32-10.
const ROUNDS: usize = 10;

/// Figure 2 of the paper: the multipliers of its two S-boxes, and how their keys change from round to
/// round, which is by the golden ratio and by √3 − 1.
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Two Feistel-like S-boxes, whose outputs change places after each round.
pub fn philox_4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let mut words = counter;
    for round in 0..ROUNDS as u32 {
        let [left0, right0, left1, right1] = words;
        let key_of = |i: usize| key[i].wrapping_add(WEYL[i].wrapping_mul(round));
        let (high0, low0) = mul_hi_lo(MULTIPLIERS[0], left0);
        let (high1, low1) = mul_hi_lo(MULTIPLIERS[1], left1);
        words = [high1 ^ right0 ^ key_of(0), low1, high0 ^ right1 ^ key_of(1), low0];
    }
    words
}

fn mul_hi_lo(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

/// The number in [0, 1) by which the row with this seed draws its token number `step`.
pub fn uniform(seed: u64, step: u64) -> f64 {
    let halves = |x: u64| [x as u32, (x >> 32) as u32];
    let [low, high] = halves(step);
    let words = philox_4x32_10([0, u32::MAX, low, high], halves(seed));
    let bits = (u64::from(words[0]) >> 5 << 26) | u64::from(words[1] >> 6);
    bits as f64 / (1u64 << 53) as f64
}

/// The steps of a seed by their uniforms, so that a test can choose where a draw falls.
pub struct Steps {
    seed: u64,
    by_uniform: Vec<(f64, u64)>,
}

impl Steps {
    /// The first 2^18 steps, whose uniforms are some 4e-6 apart.
    pub fn of(seed: u64) -> Self {
        let mut by_uniform: Vec<_> = (0..1 << 18).map(|step| (uniform(seed, step), step)).collect();
        by_uniform.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self { seed, by_uniform }
    }

    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The step with the least uniform that is not below this one, or the one with the largest; and
    /// its uniform.
    pub fn near(&self, uniform: f64) -> (u64, f64) {
        let at = self.by_uniform.partition_point(|&(u, _)| u < uniform);
        let (uniform, step) = self.by_uniform[at.min(self.by_uniform.len() - 1)];
        (step, uniform)
    }
}
