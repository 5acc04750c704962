//! Which answers are right, in `f64`.

use anyhow::{Context, ensure};
use concept_mass::{ConceptMap, Decision, reference};

use super::mode::{Filter, TEMPERATURE};

/// The distribution over the concepts of a row, by its definition.
pub struct Oracle {
    row: reference::ReferenceRow,
    masses: Vec<f64>,
    /// mass^(1/T), relative to the largest.
    weights: Vec<f64>,
    /// Every concept's likeliest token.
    representatives: Vec<u32>,
    concept_ids: Vec<u32>,
    /// Concepts, the likeliest first.
    by_weight: Vec<u32>,
    /// Concepts in the order of the draw: by size, and those of one size by their lowest token.
    by_size: Vec<u32>,
}

/// The concepts that a filter leaves.
pub struct Kept<'a> {
    oracle: &'a Oracle,
    /// How many.
    pub count: usize,
    /// The weight of the last.
    least: f64,
    /// Where each begins and ends in the cumulative sum, as shares; `(1, 0)` for what is not left.
    shares: Vec<(f64, f64)>,
    /// How far those are from the truth if `f32` cannot tell what is just left from what is not.
    blur: f64,
}

impl Oracle {
    pub fn new(map: &ConceptMap, logits: &[f64]) -> anyhow::Result<Self> {
        let row = reference::reduce(map, logits)?;
        let masses = reference::masses(map, logits)?;
        let weights: Vec<f64> =
            masses.iter().map(|mass| (mass / row.mass).powf(1.0 / TEMPERATURE)).collect();
        let mut by_weight: Vec<u32> = (0..masses.len() as u32).collect();
        // A stable sort: of equal ones the lowest comes first.
        by_weight.sort_by(|&a, &b| masses[b as usize].total_cmp(&masses[a as usize]));
        let mut by_size: Vec<(usize, u32, u32)> =
            (0..).zip(map.iter()).map(|(c, tokens)| (tokens.len(), lowest(tokens), c)).collect();
        by_size.sort_unstable();
        Ok(Self {
            row,
            masses,
            weights,
            representatives: map.iter().map(|tokens| representative(tokens, logits)).collect(),
            concept_ids: map.concept_ids().to_vec(),
            by_weight,
            by_size: by_size.into_iter().map(|(_, _, concept)| concept).collect(),
        })
    }

    pub fn log_z(&self) -> f64 {
        self.row.log_z
    }

    pub fn kept(&self, filter: Filter) -> Kept<'_> {
        let weight = |rank: usize| self.weights[self.by_weight[rank] as usize];
        let sum = |count: usize| (0..count).map(weight).sum::<f64>();
        let mut count = self.by_weight.len().min(filter.k.unwrap_or(usize::MAX));
        let mut blur = 0f64;
        if let Some(p) = filter.p {
            let all = sum(if filter.p_of_k { count } else { self.by_weight.len() });
            let mut before = 0.0;
            for rank in 0..count {
                // It may be reached by one concept more or less.
                if (before / all - p).abs() < 1e-5 {
                    blur = 1.0;
                }
                if before >= p * all {
                    count = rank;
                    break;
                }
                before += weight(rank);
            }
        }
        if let Some(min_p) = filter.min_p {
            count = (0..count).take_while(|&rank| weight(rank) >= min_p).count();
        }
        let least = weight(count - 1);
        if count < self.by_weight.len() {
            let gap = 1.0 - weight(count) / least;
            // Either there is none, and the lowest id is left, or f32 sees it, or it may not.
            blur = blur.max(if gap > 1e-12 && gap < 1e-5 { 1.0 } else { 0.0 });
        }
        let total = sum(count);
        Kept {
            oracle: self,
            count,
            least,
            shares: self.shares(count, total),
            blur: blur * least / total,
        }
    }

    fn shares(&self, count: usize, total: f64) -> Vec<(f64, f64)> {
        let mut is_kept = vec![false; self.weights.len()];
        self.by_weight[..count].iter().for_each(|&concept| is_kept[concept as usize] = true);
        let mut shares = vec![(1.0, 0.0); self.weights.len()];
        let mut sum = 0.0;
        for &concept in self.by_size.iter().filter(|&&concept| is_kept[concept as usize]) {
            let start = sum;
            sum += self.weights[concept as usize];
            shares[concept as usize] = (start / total, sum / total);
        }
        shares
    }

    /// Whether ours is the decision.
    pub fn check_decision(&self, ours: &Decision) -> anyhow::Result<()> {
        let row = &self.row;
        self.check_winner(ours.winner)?;
        ensure!(ours.representative == self.representatives[ours.winner as usize], "{ours:?}");
        ensure!(ours.greedy == row.greedy, "greedy: {ours:?} for {row:?}");
        let is_close =
            |got: f32, want: f64| (f64::from(got) - want).abs() <= 1e-5 + 1e-4 * want.abs();
        ensure!(is_close(ours.mass, row.mass), "mass: {ours:?} for {row:?}");
        ensure!((f64::from(ours.log_z) - row.log_z).abs() < 1e-4, "log Z: {ours:?} for {row:?}");
        Ok(())
    }

    /// Whether a concept is the winner, or so near to it that `f32` cannot tell.
    pub fn check_winner(&self, concept: u32) -> anyhow::Result<()> {
        let second = self.row.runner_up.map_or(0.0, |second| second.mass);
        let margin = self.row.mass - second;
        let mass = *self.masses.get(concept as usize).context("no such concept")?;
        let may_differ = margin < 1e-6 && margin > 1e-12;
        let is_near = may_differ && self.row.mass - mass < 1e-6;
        ensure!(concept == self.row.winner || is_near, "{concept} won, not {}", self.row.winner);
        Ok(())
    }

    /// Whether a token has the largest logit; of equal ones, any.
    pub fn check_largest(&self, token: u32) -> anyhow::Result<()> {
        let weight = *self.weights.get(token as usize).context("no such token")?;
        ensure!(weight == 1.0, "{token} is not the likeliest token");
        Ok(())
    }

    /// The concept of an emitted token, if it is the concept's likeliest.
    pub fn concept_of(&self, token: u32) -> anyhow::Result<u32> {
        let concept = *self.concept_ids.get(token as usize).context("no such token")?;
        ensure!(self.representatives[concept as usize] == token, "{token} is not the likeliest");
        Ok(concept)
    }
}

impl Kept<'_> {
    /// Whether a concept may be drawn.
    pub fn check(&self, concept: u32) -> anyhow::Result<()> {
        let weight = *self.oracle.weights.get(concept as usize).context("no such concept")?;
        let least = self.least * (1.0 - 1e-3);
        ensure!(weight > 0.0 && weight >= least, "{concept} was drawn: {weight} of {least}");
        Ok(())
    }

    /// Whether a concept is drawn by this uniform number, or one near it.
    pub fn check_draw(&self, concept: u32, uniform: f64, tolerance: f64) -> anyhow::Result<()> {
        self.check(concept)?;
        let (start, end) = self.shares[concept as usize];
        if start > end && self.blur > 0.0 {
            return Ok(());
        }
        let tolerance = tolerance + 2.0 * self.blur;
        ensure!(
            start - tolerance <= uniform && uniform <= end + tolerance,
            "{uniform} drew {concept}, which has {start} to {end}"
        );
        Ok(())
    }
}

fn lowest(tokens: &[u32]) -> u32 {
    tokens.iter().copied().min().unwrap_or(u32::MAX)
}

/// The token with the largest logit; of equal ones the lowest.
fn representative(tokens: &[u32], logits: &[f64]) -> u32 {
    let by_logit =
        |&a: &u32, &b: &u32| logits[a as usize].total_cmp(&logits[b as usize]).then(b.cmp(&a));
    tokens.iter().copied().max_by(by_logit).expect("no concept is empty")
}
