//! What a row says of the tokens that it samples.

use concept_mass::sample::{ConceptLogProb, Distribution, Sampled};

use super::{Chain, RELATIVE, Request, Span};

/// How far a logarithm of a probability may be from the exact one, beside what its weights allow.
fn slack(ln: f64) -> f64 {
    2e-6 + 2.0 * ln.abs() * RELATIVE
}

impl Chain {
    /// What is wrong with the log-probabilities of a sampled token, whose raw logits these are.
    pub fn wrong_log_probs(&self, logits: &[f64], sampled: &Sampled) -> Option<String> {
        let request = &self.request;
        let (Some((n, of)), Some(got)) = (request.log_probs, &sampled.log_probs) else {
            let as_asked = request.log_probs.is_none() && sampled.log_probs.is_none();
            return (!as_asked).then(|| format!("{:?} asked for", request.log_probs));
        };
        let raw = Self::of(&self.map, logits, &Request::at(1.0)).ok()?;
        let chain = if of == Distribution::Raw { &raw } else { self };
        let want = chain.log_prob(sampled.concept);
        if !is_within(got.concept, want) {
            return Some(format!("the concept's {}, not {want:?}", got.concept));
        }
        let want = log_softmax(logits, sampled.token);
        if !is_within(got.token, Span { low: want, high: want }) {
            return Some(format!("the token's {}, not {want:?}", got.token));
        }
        chain.wrong_likeliest(&got.likeliest, n)
    }

    /// The logarithm of what a concept has of all that is left.
    pub fn log_prob(&self, concept: u32) -> Span {
        let (ln, is_left) = (self.ln_weights[concept as usize], self.is_left[concept as usize]);
        if self.request.temperature == 0.0 {
            // All of it, if it is taken.
            return Span { low: is_left.low.ln(), high: is_left.high.ln() };
        }
        let sum = |end: fn(&Span) -> f64| self.left.iter().map(end).sum::<f64>();
        let (least, most) = (sum(|weight| weight.low), sum(|weight| weight.high));
        let of =
            |is_left: f64, ln: f64| if is_left > 0.0 { ln.min(0.0) } else { f64::NEG_INFINITY };
        Span {
            low: of(is_left.low, ln.low - most.ln()),
            high: of(is_left.high, ln.high - least.ln()),
        }
    }

    fn wrong_likeliest(&self, likeliest: &[ConceptLogProb], n: usize) -> Option<String> {
        let places = self.concepts.ahead(&self.is_left);
        let count = |is: fn(&(&Span, &Span)) -> bool| {
            self.is_left.iter().zip(&self.left).filter(is).count().min(n)
        };
        // What f32 has no probability for may be missing.
        let few = count(|(is_left, weight)| is_left.low > 0.0 && weight.low > 1e-30);
        let many = count(|(is_left, _)| is_left.high > 0.0);
        if !(few..=many).contains(&likeliest.len()) {
            return Some(format!("{} likeliest concepts, not {few} to {many}", likeliest.len()));
        }
        likeliest.iter().enumerate().find_map(|(place, got)| {
            let (want, at) = (self.log_prob(got.concept), places[got.concept as usize]);
            let fits = is_within(got.log_prob, want)
                && at.holds(place as f64, 0.0)
                && self.representatives(got.concept).contains(&got.representative);
            (!fits).then(|| format!("number {place} is {got:?}, not {want:?} at {at:?}"))
        })
    }
}

fn is_within(got: f32, want: Span) -> bool {
    let got = f64::from(got);
    got == want.high || want.holds(got, slack(got))
}

fn log_softmax(logits: &[f64], token: u32) -> f64 {
    let max = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logits.iter().map(|x| (x - max).exp()).sum();
    (logits[token as usize] - max) - sum.ln()
}
