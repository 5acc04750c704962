//! Pairs of members of two samples that are alike.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;

/// Pairs of a member of `a` and a member of `b` that differ by at most `caliper`: one to one,
/// without replacement, the closest first (greedy caliper matching; Rosenbaum and Rubin, 1985).
///
/// Of all pairs whose members are both free, the one with the least `|a - b|` is made, again and
/// again until there is none within the caliper. Of several, it is the one with the lowest place in
/// `a`, and then in `b`. Distances are compared with each other without rounding. What is left of
/// the larger sample, or farther from all that is free than the caliper, stays alone; another choice
/// of pairs might leave fewer alone, and be farther apart.
///
/// Gives places in `a` and `b`, in ascending order of those in `a`; none if either is empty, or if
/// the caliper is negative or a NaN. Values that are not finite are in no pair.
/// O((n + m) log(n + m)).
///
/// ```
/// use commitment_probe::stats::matched;
///
/// // Failures and correct answers of the same P-mass, up to 0.05.
/// let (failures, correct) = ([0.30, 0.52, 0.90], [0.50, 0.55, 0.33, 0.70]);
/// assert_eq!(matched(&failures, &correct, 0.05), [(0, 2), (1, 0)]);
/// ```
pub fn matched(a: &[f64], b: &[f64], caliper: f64) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    if caliper >= 0.0 {
        let mut line = Line::new(a, b, caliper, &mut pairs);
        while let Some(pair) = line.closest() {
            pairs.push(pair);
        }
        pairs.sort_unstable();
    }
    pairs
}

/// [`matched`] within strata: both members of a pair are also of one stratum, such as the questions
/// whose answers have equally many first tokens.
///
/// `strata_a[i]` is the stratum of `a[i]`, and `strata_b[j]` that of `b[j]`; a value without a
/// stratum is in no pair. Otherwise as [`matched`], which is done for each stratum alone.
///
/// ```
/// use commitment_probe::stats::matched_within;
///
/// let (failures, correct) = ([0.30, 0.52], [0.31, 0.50, 0.33]);
/// assert_eq!(matched_within(&failures, &correct, &[2, 1], &[1, 1, 2], 0.05), [(0, 2), (1, 1)]);
/// ```
pub fn matched_within(
    a: &[f64],
    b: &[f64],
    strata_a: &[usize],
    strata_b: &[usize],
    caliper: f64,
) -> Vec<(usize, usize)> {
    let mut strata: BTreeMap<usize, [Vec<usize>; 2]> = BTreeMap::new();
    for (sample, (values, of)) in [(a, strata_a), (b, strata_b)].into_iter().enumerate() {
        for (place, stratum) in (0..values.len()).zip(of) {
            strata.entry(*stratum).or_default()[sample].push(place);
        }
    }
    let mut pairs = Vec::new();
    for [places_a, places_b] in strata.values() {
        let at = |sample: &[f64], places: &[usize]| -> Vec<f64> {
            places.iter().map(|&place| sample[place]).collect()
        };
        let within = matched(&at(a, places_a), &at(b, places_b), caliper);
        pairs.extend(within.into_iter().map(|(i, j)| (places_a[i], places_b[j])));
    }
    pairs.sort_unstable();
    pairs
}

/// The free members of both samples, in the order of their values.
///
/// Between the two members of the closest pair there is no other value, since that would make a
/// closer pair with one of them. So only neighbours on the line are candidates, and where both are
/// taken, those beside them become neighbours.
struct Line {
    stops: Vec<Stop>,
    /// The places of members, stop by stop, and ascending in each.
    members: Vec<usize>,
    candidates: BinaryHeap<Reverse<Candidate>>,
    caliper: f64,
}

/// All free members of one value, which are of one sample: pairs of equal values come first.
struct Stop {
    value: f64,
    of_b: bool,
    /// In [`Line::members`].
    free: Range<usize>,
    /// The stops beside it that have free members; the ends are none.
    before: Option<usize>,
    after: Option<usize>,
}

impl Line {
    /// Makes the pairs of equal values.
    fn new(a: &[f64], b: &[f64], caliper: f64, pairs: &mut Vec<(usize, usize)>) -> Self {
        // Adding 0 makes -0 the 0 that it equals.
        let sample = |values: &[f64], of_b: bool| -> Vec<(f64, bool, usize)> {
            let finite = (0..).zip(values).filter(|(_, value)| value.is_finite());
            finite.map(|(place, value)| (value + 0.0, of_b, place)).collect()
        };
        let mut sorted = [sample(a, false), sample(b, true)].concat();
        sorted.sort_unstable_by(|x, y| x.0.total_cmp(&y.0).then((x.1, x.2).cmp(&(y.1, y.2))));
        let members: Vec<usize> = sorted.iter().map(|&(_, _, place)| place).collect();

        let mut stops: Vec<Stop> = Vec::new();
        let mut start = 0;
        for equal in sorted.chunk_by(|x, y| x.0 == y.0) {
            let end = start + equal.len();
            let middle = start + equal.partition_point(|&(_, of_b, _)| !of_b);
            let both = (middle - start).min(end - middle);
            pairs.extend((0..both).map(|i| (members[start + i], members[middle + i])));
            // One of the two is empty now.
            for (of_b, free) in [(false, start + both..middle), (true, middle + both..end)] {
                if !free.is_empty() {
                    stops.push(Stop { value: equal[0].0, of_b, free, before: None, after: None });
                }
            }
            start = end;
        }
        for i in 1..stops.len() {
            stops[i].before = Some(i - 1);
            stops[i - 1].after = Some(i);
        }
        let mut line = Self { stops, members, candidates: BinaryHeap::new(), caliper };
        (1..line.stops.len()).for_each(|i| line.consider(i - 1, i));
        line
    }

    /// Takes the closest pair off the line.
    fn closest(&mut self) -> Option<(usize, usize)> {
        while let Some(Reverse(candidate)) = self.candidates.pop() {
            let Candidate { left, right, pair, .. } = candidate;
            if self.stops[left].free.is_empty() || self.stops[right].free.is_empty() {
                continue;
            }
            // Another pair may have taken a member since; those that follow have higher places, so
            // the candidate's turn is later.
            if self.pair(left, right) != pair {
                self.consider(left, right);
                continue;
            }
            let (before, after) = (self.take(left).0, self.take(right).1);
            if let (Some(before), Some(after)) = (before, after) {
                self.consider(before, after);
            }
            return Some(pair);
        }
        None
    }

    /// Takes the first member of a stop, and the stop off the line if that was the last. Gives the
    /// nearest stop that is left, at or before it and at or after it.
    fn take(&mut self, stop: usize) -> (Option<usize>, Option<usize>) {
        self.stops[stop].free.start += 1;
        if !self.stops[stop].free.is_empty() {
            return (Some(stop), Some(stop));
        }
        let Stop { before, after, .. } = self.stops[stop];
        if let Some(before) = before {
            self.stops[before].after = after;
        }
        if let Some(after) = after {
            self.stops[after].before = before;
        }
        (before, after)
    }

    /// The first member of `a` and the first of `b` at two stops.
    fn pair(&self, left: usize, right: usize) -> (usize, usize) {
        let [left, right] = [left, right].map(|stop| &self.stops[stop]);
        let first = |stop: &Stop| self.members[stop.free.start];
        if left.of_b { (first(right), first(left)) } else { (first(left), first(right)) }
    }

    /// Makes neighbours a candidate if they are of two samples and within the caliper.
    fn consider(&mut self, left: usize, right: usize) {
        let [l, r] = [left, right].map(|stop| &self.stops[stop]);
        let distance = difference(r.value, l.value);
        if l.of_b != r.of_b && distance.0 <= self.caliper {
            let pair = self.pair(left, right);
            self.candidates.push(Reverse(Candidate { distance, pair, left, right }));
        }
    }
}

/// `x - y` as the nearest `f64` and what that leaves, which is exact (Knuth's two-sum) unless it
/// overflows.
fn difference(x: f64, y: f64) -> (f64, f64) {
    let nearest = x - y;
    let part = nearest - x;
    (nearest, (x - (nearest - part)) - (y + part))
}

/// Two neighbours, ordered by distance, and then by the places of their members.
struct Candidate {
    distance: (f64, f64),
    pair: (usize, usize),
    left: usize,
    right: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let nearest = self.distance.0.total_cmp(&other.distance.0);
        let left = || self.distance.1.total_cmp(&other.distance.1);
        nearest.then_with(left).then_with(|| self.pair.cmp(&other.pair))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}
