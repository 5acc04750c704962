//! What a uniform number draws.

use concept_mass::sample::Emission;

use super::tokens::Logit;
use super::{Chain, RELATIVE, SUMS, Span};

/// A concept, and the token that is emitted for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    pub concept: u32,
    pub token: u32,
}

/// Where on the unit interval something is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    pub id: u32,
    pub start: Span,
    pub end: Span,
}

impl Chain {
    /// The stretches of the concepts in the order of the draw (by their number of tokens, then by
    /// their lowest), or those of the tokens, where nothing is filtered at temperature 1.
    pub fn stretches(&self) -> Vec<Stretch> {
        if self.draws_tokens() {
            let ids = 0..self.tokens.len() as u32;
            return stretches(ids.zip(weights(&self.tokens)).collect());
        }
        let mut order: Vec<(usize, u32, u32)> =
            (0..).zip(self.map.iter()).map(|(c, tokens)| (tokens.len(), tokens[0], c)).collect();
        order.sort();
        stretches(order.into_iter().map(|(_, _, c)| (c, self.left[c as usize])).collect())
    }

    /// All that may be drawn by a uniform number: one, unless the number is within rounding of a
    /// boundary. `stretches` are the chain's.
    pub fn drawn(&self, stretches: &[Stretch], uniform: f64) -> Vec<Drawn> {
        if self.request.temperature == 0.0 {
            let winners = (0..).zip(&self.is_left).filter(|(_, weight)| weight.high > 0.0);
            return winners.flat_map(|(c, _)| self.emitted(c, exactly(uniform))).collect();
        }
        let reached =
            stretches.iter().filter(|stretch| stretch.start.low - SUMS <= uniform).filter(
                // What has no weight is drawn by nothing.
                |stretch| {
                    stretch.end.high + SUMS >= uniform && stretch.end.high > stretch.start.low
                },
            );
        if self.draws_tokens() {
            return reached.flat_map(|stretch| self.of_token(stretch.id)).collect();
        }
        reached.flat_map(|stretch| self.emitted(stretch.id, stretch.rest(uniform))).collect()
    }

    /// The probability of every token to be emitted, of a row whose filters leave no doubt.
    pub fn probs(&self) -> Vec<f64> {
        let middle = |span: &Span| (span.low + span.high) / 2.0;
        let sum: f64 = self.left.iter().map(middle).sum();
        let mut probs = vec![0.0; self.tokens.len()];
        for (c, tokens) in self.map.iter().enumerate() {
            assert_eq!(self.is_left[c].low, self.is_left[c].high, "concept {c}");
            let logits: Vec<Logit> = tokens.iter().map(|&t| self.tokens[t as usize]).collect();
            let mut shares: Vec<f64> = weights(&logits).iter().map(middle).collect();
            if self.request.emission == Emission::Representative {
                let likeliest = self.representatives(c as u32);
                assert_eq!(likeliest.len(), 1, "concept {c}");
                shares = tokens.iter().map(|t| f64::from(likeliest.contains(t))).collect();
            }
            let whole: f64 = shares.iter().sum();
            for (&token, share) in tokens.iter().zip(shares) {
                // A concept of nothing has no shares.
                if share > 0.0 {
                    probs[token as usize] = middle(&self.left[c]) / sum * share / whole;
                }
            }
        }
        probs
    }

    fn draws_tokens(&self) -> bool {
        let request = &self.request;
        // To leave all concepts is to filter nothing.
        let top_k = request.top_k.is_some_and(|k| k < self.map.num_concepts());
        let filters = top_k || request.top_p < 1.0 || request.min_p > 0.0;
        request.temperature == 1.0 && !filters
    }

    fn of_token(&self, token: u32) -> Vec<Drawn> {
        let concept = self.map.concept_of(token).unwrap();
        match self.request.emission {
            Emission::ByShare => vec![Drawn { concept, token }],
            _ => self.emitted(concept, Span::ZERO),
        }
    }

    /// What is emitted for a concept by the rest of the number that chose it.
    fn emitted(&self, concept: u32, rest: Span) -> Vec<Drawn> {
        let tokens = match self.request.emission {
            Emission::ByShare => self.by_share(concept, rest),
            _ => self.representatives(concept),
        };
        tokens.into_iter().map(|token| Drawn { concept, token }).collect()
    }

    /// The likeliest token, or all that may be.
    pub fn representatives(&self, concept: u32) -> Vec<u32> {
        let tokens = self.map.tokens(concept).unwrap();
        let of = |token: u32| self.tokens[token as usize];
        let least = tokens.iter().map(|&t| of(t).x - of(t).error).fold(f64::NEG_INFINITY, f64::max);
        let mut known = Vec::new();
        let mut found = Vec::new();
        for &token in tokens {
            // Of equal ones the lowest.
            if of(token).x + of(token).error >= least && !known.contains(&of(token)) {
                known.push(of(token));
                found.push(token);
            }
        }
        found
    }

    fn by_share(&self, concept: u32, rest: Span) -> Vec<u32> {
        let tokens = self.map.tokens(concept).unwrap();
        let logits: Vec<Logit> = tokens.iter().map(|&t| self.tokens[t as usize]).collect();
        let stretches = stretches(tokens.iter().copied().zip(weights(&logits)).collect());
        let is_met = |stretch: &&Stretch| {
            let from = stretch.start.low - SUMS <= rest.high;
            from && stretch.end.high + SUMS >= rest.low && stretch.end.high > stretch.start.low
        };
        stretches.iter().filter(is_met).map(|stretch| stretch.id).collect()
    }
}

impl Stretch {
    /// Where on the stretch a number is, from 0 to 1.
    fn rest(&self, uniform: f64) -> Span {
        let at = |start: f64, end: f64, slack: f64| {
            let (start, end) = (start + slack, end + slack);
            ((uniform - start) / (end - start).max(f64::MIN_POSITIVE)).clamp(0.0, 1.0)
        };
        Span {
            low: at(self.start.high, self.end.high, SUMS),
            high: at(self.start.low, self.end.low, -SUMS),
        }
    }
}

fn exactly(x: f64) -> Span {
    Span { low: x, high: x }
}

/// The probabilities of tokens, relative to the largest.
fn weights(logits: &[Logit]) -> Vec<Span> {
    let max = logits.iter().map(|logit| logit.x).fold(f64::NEG_INFINITY, f64::max);
    let weight = |logit: &Logit| {
        if logit.x == f64::NEG_INFINITY {
            return Span::ZERO;
        }
        let ln = logit.x - max;
        let error = logit.error + (4.0 + ln.abs()) * RELATIVE;
        Span { low: ln - error, high: ln + error }.exp()
    };
    logits.iter().map(weight).collect()
}

fn stretches(weights: Vec<(u32, Span)>) -> Vec<Stretch> {
    let sum = |end: fn(&Span) -> f64| weights.iter().map(|(_, weight)| end(weight)).sum::<f64>();
    let (least, most) = (sum(|weight| weight.low), sum(|weight| weight.high));
    // The share of what is before a boundary, the sums before it being these.
    let share = |before: Span| {
        let of = |before: f64, after: f64| {
            if before > 0.0 { before / (before + after.max(0.0)) } else { 0.0 }
        };
        Span { low: of(before.low, most - before.high), high: of(before.high, least - before.low) }
    };
    let mut before = Span::ZERO;
    let stretch = |(id, weight): (u32, Span)| {
        let start = share(before);
        before = Span { low: before.low + weight.low, high: before.high + weight.high };
        Stretch { id, start, end: share(before) }
    };
    weights.into_iter().map(stretch).collect()
}
