//! What acts on tokens: penalties, bias and mask.

use super::Request;

/// A logit, and how far from it f32 may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Logit {
    pub x: f64,
    pub error: f64,
}

impl Logit {
    /// After an operation of f32 that gives `x`, with operands, or results on the way to it, of up to
    /// `magnitude`.
    fn becomes(&mut self, x: f64, magnitude: f64) {
        // The least number of f32 is 2^-149.
        self.error += magnitude.max(x.abs()) * 2f64.powi(-24) + 2f64.powi(-150);
        self.x = x;
        if x < f64::from(f32::MIN) {
            *self = Self { x: f64::NEG_INFINITY, error: 0.0 };
        }
    }
}

/// The logits after the first three steps of the chain.
pub fn changed(logits: &[f64], request: &Request) -> Vec<Logit> {
    let mut changed: Vec<_> = logits.iter().map(|&x| Logit { x, error: 0.0 }).collect();
    for (&token, &n) in &request.seen {
        penalise(&mut changed[token as usize], n, request);
    }
    for (&token, &bias) in &request.bias {
        let logit = &mut changed[token as usize];
        if bias != 0.0 {
            logit.becomes(logit.x + f64::from(bias), 0.0);
        }
    }
    if let Some(mask) = &request.mask {
        let allowed =
            |token: usize| mask.get(token / 32).is_some_and(|w| w >> (token % 32) & 1 == 1);
        for (token, logit) in changed.iter_mut().enumerate() {
            if !allowed(token) {
                *logit = Logit { x: f64::NEG_INFINITY, error: 0.0 };
            }
        }
    }
    changed
}

fn penalise(logit: &mut Logit, n: u32, request: &Request) {
    if n == 0 || logit.x == f64::NEG_INFINITY {
        return;
    }
    let penalties = request.penalties;
    let repetition = f64::from(penalties.repetition);
    if repetition != 1.0 {
        let x = logit.x;
        logit.becomes(if x > 0.0 { x / repetition } else { x * repetition }, 0.0);
    }
    let presence = f64::from(penalties.presence);
    let frequency = f64::from(penalties.frequency) * f64::from(n);
    if (presence, frequency) != (0.0, 0.0) && logit.x > f64::NEG_INFINITY {
        // In whatever order: a product and two differences.
        let magnitude = 3.0 * logit.x.abs().max(presence.abs() + frequency.abs());
        logit.becomes(logit.x - presence - frequency, magnitude);
    }
}
