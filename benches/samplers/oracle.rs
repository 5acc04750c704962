//! Which tokens may be sampled, and how often, in `f64`.

use anyhow::{Context, ensure};

/// How far `f32` may be off at a boundary.
const TOLERANCE: f64 = 1e-5;

/// What is left of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cut {
    /// So many tokens, the likeliest.
    pub k: Option<usize>,
    /// And of them each token before which less than this share lies, in the order of likelihood.
    pub p: f64,
    /// Whether it is a share of what k leaves, and not of the row.
    pub of_k: bool,
}

/// The tokens that a cut leaves of a row.
pub struct Kept {
    logits: Vec<f64>,
    /// The least logit that is surely left, and the least that may be for all that `f32` can tell.
    sure: f64,
    possible: f64,
}

impl Cut {
    pub fn of(self, logits: &[f64]) -> Kept {
        let mut sorted = logits.to_vec();
        sorted.sort_unstable_by(|a, b| b.total_cmp(a));
        let weights: Vec<f64> = sorted.iter().map(|logit| (logit - sorted[0]).exp()).collect();
        let k = self.k.unwrap_or(sorted.len()).min(sorted.len());
        let of = if self.of_k { k } else { sorted.len() };
        let all: f64 = weights[..of].iter().sum();
        let least = |p: f64| {
            let mut before = 0.0;
            let left = weights[..k].iter().take_while(|&weight| {
                let is_left = before < p * all;
                before += weight;
                is_left
            });
            sorted[left.count() - 1]
        };
        let [sure, possible] = [-TOLERANCE, TOLERANCE].map(|blur| least(self.p + blur));
        Kept { logits: logits.to_vec(), sure, possible }
    }
}

impl Kept {
    /// Whether a token may have been sampled. Of tokens that tie for the last place, any may.
    pub fn check(&self, token: u32) -> anyhow::Result<()> {
        let logit = *self.logits.get(token as usize).context("no such token")?;
        let least = self.possible;
        ensure!(logit >= least, "{token} has the logit {logit}, and {least} is the least kept");
        Ok(())
    }

    /// By what each token is sampled, relative to the others; for rows where it is plain which
    /// tokens those are.
    pub fn weights(&self) -> anyhow::Result<Vec<f64>> {
        ensure!(self.sure == self.possible, "f32 cannot tell which tokens are kept");
        let weight = |&logit: &f64| if logit >= self.sure { logit.exp() } else { 0.0 };
        Ok(self.logits.iter().map(weight).collect())
    }
}
