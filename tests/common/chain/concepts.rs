//! What acts on concepts: their masses, temperature, top_k, top_p and min_p.

use std::collections::BTreeMap;

use concept_mass::{ConceptMap, reference};

use super::tokens::Logit;
use super::{POOLED, RELATIVE, Request, SUMS, Span};

/// The concepts of a row, by id.
pub struct Concepts {
    /// The logarithms of their masses, relative to the likeliest token's.
    pub keys: Vec<Span>,
    /// Concepts that f32 cannot but give the same key are of one class; all others have their own.
    classes: Vec<usize>,
    /// Of each class, its concepts in ascending order.
    members: Vec<Vec<usize>>,
}

const NOTHING: Span = Span { low: f64::NEG_INFINITY, high: f64::NEG_INFINITY };

impl Concepts {
    pub fn of(map: &ConceptMap, logits: &[Logit]) -> Self {
        let exact: Vec<f64> = logits.iter().map(|logit| logit.x).collect();
        let pooled = reference::pool(map, &exact).unwrap();
        let mut concepts = Self { keys: Vec::new(), classes: Vec::new(), members: Vec::new() };
        let mut known = BTreeMap::new();
        for (concept, tokens) in map.iter().enumerate() {
            let of = tokens.iter().map(|&token| logits[token as usize]);
            let key = tokens.iter().map(|&token| pooled[token as usize]);
            concepts.keys.push(key_of(key.fold(f64::NEG_INFINITY, f64::max), of.clone()));
            let class = match same_in_f32(of) {
                Some(same) => *known.entry(same).or_insert(concepts.members.len()),
                None => concepts.members.len(),
            };
            if class == concepts.members.len() {
                concepts.members.push(Vec::new());
            }
            concepts.classes.push(class);
            concepts.members[class].push(concept);
        }
        concepts
    }

    /// Which concepts the filters leave: 1 for those that they do, 0 for those that they do not.
    pub fn left(&self, request: &Request, weights: &[Span]) -> Vec<Span> {
        let mut left: Vec<Span> =
            self.keys.iter().map(|key| whether(*key != NOTHING, *key != NOTHING)).collect();
        let places = self.ahead(&left);
        let is_first = |c: usize| whether(places[c].high < 0.5, places[c].low < 0.5);
        if request.temperature == 0.0 {
            leave(&mut left, is_first);
            return left;
        }
        let mut total = sum_of_largest(weights, weights.len());
        if let Some(k) = request.top_k {
            let k = k as f64 - 0.5;
            leave(&mut left, |c| whether(places[c].high < k, places[c].low < k));
            total = sum_of_largest(weights, k.ceil() as usize);
        }
        if request.top_p < 1.0 {
            let ahead = self.ahead(&times(weights, &left));
            let (few, many) = (total.low * request.top_p, total.high * request.top_p);
            let slack = SUMS * total.high;
            leave(&mut left, |c| {
                let reached = whether(ahead[c].high < few - slack, ahead[c].low < many + slack);
                reached.max(is_first(c))
            });
        }
        leave(&mut left, |c| {
            let is_enough =
                |weight: f64, slack: f64| weight == 1.0 || weight >= slack * request.min_p;
            whether(is_enough(weights[c].low, 1.0 + SUMS), is_enough(weights[c].high, 1.0 - SUMS))
        });
        left
    }

    /// The logarithms of masses to the power of the inverse temperature, relative to the largest.
    pub fn ln_weights(&self, temperature: f64) -> Vec<Span> {
        let ends =
            |end: fn(&Span) -> f64| self.keys.iter().map(end).fold(f64::NEG_INFINITY, f64::max);
        let (least, most) = (ends(|key| key.low), ends(|key| key.high));
        // A class is certain to have the largest if no other reaches its least.
        let near = (0..self.keys.len()).filter(|&c| self.keys[c].high >= least);
        let mut near: Vec<usize> = near.map(|c| self.classes[c]).collect();
        near.dedup();
        let of = |c: usize| {
            if near == [self.classes[c]] || temperature == 0.0 {
                return Span::ZERO;
            }
            let rounded = |ln: f64, sign: f64| match ln.is_finite() {
                true => ln + sign * (4.0 + ln.abs()) * RELATIVE,
                false => ln,
            };
            let key = self.keys[c];
            Span {
                low: rounded((key.low - most) / temperature, -1.0),
                high: rounded((key.high - least) / temperature, 1.0).min(0.0),
            }
        };
        (0..self.keys.len()).map(of).collect()
    }

    /// For each concept, the sum of the values of those that come before it in the order of
    /// preference: the larger mass, then the lowest id.
    pub fn ahead(&self, values: &[Span]) -> Vec<Span> {
        let sorted = |key: fn(&Span) -> f64, value: fn(&Span) -> f64| {
            let mut sorted: Vec<_> =
                self.keys.iter().zip(values).map(|(k, v)| (key(k), value(v))).collect();
            sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
            let mut sum = 0.0;
            sorted.iter_mut().for_each(|(_, value)| sum = std::mem::replace(value, sum) + sum);
            sorted.push((f64::NAN, sum));
            sorted
        };
        let (lows, highs) = (sorted(|k| k.low, |v| v.low), sorted(|k| k.high, |v| v.high));
        let mut ahead = vec![Span::ZERO; values.len()];
        for members in &self.members {
            // All of a class have one key.
            let key = self.keys[members[0]];
            let certain = lows[lows.partition_point(|(low, _)| *low > key.high)].1;
            let possible = highs[highs.partition_point(|(high, _)| *high >= key.low)].1;
            let own: f64 = members.iter().map(|&c| values[c].high).sum();
            let mut before = Span { low: certain, high: (possible - own).max(certain) };
            for &c in members {
                ahead[c] = before;
                before.low += values[c].low;
                before.high += values[c].high;
            }
        }
        ahead
    }
}

/// The key, and what f32 may make of it.
fn key_of(key: f64, logits: impl Iterator<Item = Logit> + Clone) -> Span {
    // Of a mass whose logarithm f32 cannot hold, it has none.
    if key < f64::from(f32::MIN) {
        return NOTHING;
    }
    let pooled = if logits.clone().count() > 1 { POOLED } else { 0.0 };
    let error = logits.map(|logit| logit.error).fold(0.0, f64::max) + pooled + key.abs() * RELATIVE;
    Span { low: key - error, high: key + error }
}

/// What a concept's key is computed from, if there is one way to compute it: from a token alone, or
/// from a sum that does not depend on the order.
fn same_in_f32(logits: impl Iterator<Item = Logit>) -> Option<Vec<[u64; 2]>> {
    let mut bits: Vec<_> = logits.map(|logit| [logit.x.to_bits(), logit.error.to_bits()]).collect();
    bits.sort();
    (bits.len() <= 2 || bits.first() == bits.last()).then_some(bits)
}

/// Leaves what is left of a filter.
fn leave(left: &mut [Span], of: impl Fn(usize) -> Span) {
    left.iter_mut().enumerate().for_each(|(c, left)| *left = left.times(of(c)));
}

/// 1 for what is so, 0 for what is not, and anything between for what may be so.
fn whether(certain: bool, possible: bool) -> Span {
    Span { low: certain.into(), high: possible.into() }
}

pub fn times(weights: &[Span], left: &[Span]) -> Vec<Span> {
    weights.iter().zip(left).map(|(weight, left)| weight.times(*left)).collect()
}

fn sum_of_largest(weights: &[Span], k: usize) -> Span {
    let sum = |end: fn(&Span) -> f64| {
        let mut ends: Vec<f64> = weights.iter().map(end).collect();
        ends.sort_by(|a, b| b.total_cmp(a));
        ends.into_iter().take(k).sum()
    };
    Span { low: sum(|weight| weight.low), high: sum(|weight| weight.high) }
}
