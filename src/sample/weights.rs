//! Weights of concepts, and a choice among them. For ordinary logits, it is what candle's sampler
//! does, operation by operation, so that the same logits and the same seed give the same token.

use candle_core::{D, Device, Tensor};
use rand::distr::{Distribution, Uniform};
use rand::rngs::StdRng;

use super::plan::Filter;
use super::rank::Rank;

/// The largest logit of a row, unless there is none or the row holds a NaN or `+inf`.
pub(super) fn maximum(row: &[f32]) -> Option<f32> {
    let is_nan = row.iter().any(|logit| logit.is_nan());
    let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    (max.is_finite() && !is_nan).then_some(max)
}

/// The probabilities of logits with this maximum at a temperature: those of candle's sampler to the
/// bit, where candle has enough digits for them.
pub(super) fn probabilities(
    row: &[f32],
    max: f32,
    temperature: f64,
) -> candle_core::Result<Vec<f32>> {
    /// Below it, rounding a scaled logit changes a weight by less than 1e-4.
    const MAX_SCALED: f32 = 1024.0;
    let inverse = (1.0 / temperature) as f32;
    let top = max * inverse;
    let exponents: Vec<f32> = if inverse.is_normal() && top.abs() <= MAX_SCALED {
        row.iter().map(|logit| logit * inverse - top).collect()
    } else {
        // Relative to the maximum first, and in f64, whose range holds any quotient that matters.
        let exponent = |&logit: &f32| (f64::from(logit - max) / temperature) as f32;
        row.iter().map(exponent).collect()
    };
    let exp = Tensor::from_vec(exponents, row.len(), &Device::Cpu)?.exp()?;
    exp.broadcast_div(&exp.sum_keepdim(D::Minus1)?)?.to_vec1()
}

/// Whether there is anything to draw by these weights; what is wrong if not.
pub(super) fn check(weights: &[f32]) -> Result<(), String> {
    let unfit = |weight: &f32| !(0.0..=f32::MAX).contains(weight);
    if let Some(token) = weights.iter().position(unfit) {
        let weight = weights[token];
        return Err(format!("token {token} has weight {weight}; it must be 0 or more, and finite"));
    }
    match weights.iter().sum::<f32>() {
        0.0 => Err("all weights are 0; at least one must be above".to_owned()),
        f32::INFINITY => Err("the weights add up to more than f32 can hold".to_owned()),
        _ => Ok(()),
    }
}

/// A place, drawn by weight from those that `filter` leaves; the weights have been
/// [checked](check).
pub(super) fn choose(
    mut weights: Vec<f32>,
    filter: Filter,
    rank: impl Fn(usize, f32) -> Rank,
    rng: &mut StdRng,
) -> Result<usize, String> {
    // The places that the weights are of, unless they are of all.
    let mut places = None;
    let mut total = 1.0;
    if let Some(k) = filter.k {
        if k < weights.len() {
            let largest = top_k(&weights, k, &rank);
            weights = largest.iter().map(|&i| weights[i]).collect();
            places = Some(largest);
        }
        total = weights.iter().sum();
    }
    let place = |i: usize| places.as_ref().map_or(i, |places| places[i]);
    if let Some(p) = filter.p {
        top_p(&mut weights, p, total, |i, weight| rank(place(i), weight));
    }
    Ok(place(draw(&weights, rng)?))
}

/// The places of the `k` largest weights, of which there are more, in candle's order.
fn top_k(weights: &[f32], k: usize, rank: impl Fn(usize, f32) -> Rank) -> Vec<usize> {
    let mut places: Vec<usize> = (0..weights.len()).collect();
    // Candle's own call: the order in which it leaves the largest is the order of the draw.
    places.select_nth_unstable_by(k, |&i, &j| weights[j].total_cmp(&weights[i]));
    let (largest, rest) = places.split_at_mut(k);
    // But of those that tie at the edge it leaves any.
    let least = largest.iter().map(|&i| weights[i]).fold(f32::INFINITY, f32::min);
    let mut tied: Vec<usize> = rest.iter().copied().filter(|&i| weights[i] == least).collect();
    if !tied.is_empty() {
        let in_tie = || (0..k).filter(|&at| weights[largest[at]] == least);
        let slots: Vec<usize> = in_tie().collect();
        tied.extend(slots.iter().map(|&at| largest[at]));
        tied.sort_by_key(|&i| std::cmp::Reverse(rank(i, least)));
        slots.into_iter().zip(tied).for_each(|(at, i)| largest[at] = i);
    }
    places.truncate(k);
    places
}

/// Leaves the fewest weights that together reach `p`, but at least one, and sets the others to 0;
/// leaves all if `p` is 0 or 1, or as much as their `total` or more.
fn top_p(weights: &mut [f32], p: f64, total: f32, rank: impl Fn(usize, f32) -> Rank) {
    // Above 0 in f32 as well.
    let least = (p as f32).max(f32::from_bits(1));
    // At 1, the rounding of a sum must cost no weight.
    if p <= 0.0 || p >= 1.0 || least >= total {
        return;
    }
    let mut places: Vec<usize> = (0..weights.len()).collect();
    places.sort_by_key(|&i| std::cmp::Reverse(rank(i, weights[i])));
    let mut sum = 0.0;
    for i in places {
        if sum >= least {
            weights[i] = 0.0;
        } else {
            sum += weights[i];
        }
    }
}

/// A place drawn by weight, with the arithmetic of rand's `WeightedIndex`, which candle uses. It
/// takes nothing from `rng` if it fails, and never gives a place whose weight is 0.
fn draw(weights: &[f32], rng: &mut StdRng) -> Result<usize, String> {
    let total: f32 = weights.iter().sum();
    let chosen = Uniform::new(0.0, total).map_err(|e| e.to_string())?.sample(rng);
    let mut sum = 0.0;
    let reached = weights.iter().position(|weight| {
        sum += weight;
        sum > chosen
    });
    // Of the least weights that f32 can hold, the product with a number below 1 may be all.
    let last = || weights.iter().rposition(|&weight| weight > 0.0);
    reached.or_else(last).ok_or_else(|| "all weights are 0".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::{SeedableRng, distr::weighted::WeightedIndex};

    use super::*;

    proptest! {
        /// Candle draws with rand's.
        #[test]
        fn a_draw_is_that_of_a_weighted_index(
            weights in proptest::collection::vec(
                prop_oneof![Just(0f32), 0f32..1.0, 1e-30f32..1e-20, 1e20f32..1e30],
                1..300,
            ),
            seed: u64,
        ) {
            let Ok(theirs) = WeightedIndex::new(&weights) else {
                prop_assert!(check(&weights).is_err());
                return Ok(());
            };
            let (mut a, mut b) = (StdRng::seed_from_u64(seed), StdRng::seed_from_u64(seed));
            for _ in 0..50 {
                prop_assert_eq!(draw(&weights, &mut a), Ok(theirs.sample(&mut b)));
            }
        }

        /// Whatever the weights, what is drawn has one, or there is an error.
        #[test]
        fn no_weights_panic_or_give_what_has_none(
            bits in proptest::collection::vec(any::<u32>(), 0..6),
            exotic in proptest::collection::vec(
                proptest::sample::select(vec![
                    0.0, -0.0, f32::from_bits(1), f32::MIN_POSITIVE, 1.0, f32::MAX, f32::INFINITY,
                    f32::NEG_INFINITY, f32::NAN, -1.0,
                ]),
                0..6,
            ),
            k in proptest::option::of(1usize..9),
            p in proptest::option::of(proptest::sample::select(vec![0.0, 1e-300, 0.3, 1.0])),
            seed: u64,
        ) {
            let of_bits = bits.into_iter().map(f32::from_bits);
            let weights: Vec<f32> = of_bits.chain(exotic).collect();
            let is_fit = weights.iter().all(|w| (0.0..=f32::MAX).contains(w));
            let sum: f64 = weights.iter().copied().map(f64::from).sum();
            let checked = check(&weights);
            if !is_fit || sum == 0.0 || sum > 1.01 * f64::from(f32::MAX) {
                prop_assert!(checked.is_err());
            } else if sum < 0.99 * f64::from(f32::MAX) {
                prop_assert_eq!(&checked, &Ok(()));
            }
            if checked.is_ok() {
                let rank = |i: usize, w| Rank::of_logit(w, i as u32, i as u32);
                let mut rng = StdRng::seed_from_u64(seed);
                for _ in 0..20 {
                    let place = choose(weights.clone(), Filter { k, p }, rank, &mut rng);
                    prop_assert!(weights[place.unwrap()] > 0.0);
                }
            }
        }
    }

    #[test]
    fn ties_at_the_edge_keep_the_lowest() {
        for n in [3, 16, 50, 5000] {
            let mut weights = vec![0.25; n];
            weights[n - 1] = 0.5;
            let rank = |i: usize, w| Rank::of_weight(w, w, i as u32, i as u32);
            let mut kept = top_k(&weights, 2, rank);
            kept.sort();
            assert_eq!(kept, [0, n - 1]);
            // The other way round.
            let kept = top_k(&weights, 2, |i, w| Rank::of_weight(w, w, (n - i) as u32, i as u32));
            assert!(kept.contains(&(n - 2)) && kept.contains(&(n - 1)), "{kept:?}");
        }
    }

    #[test]
    fn probabilities_are_relative_to_the_maximum() {
        let ninf = f32::NEG_INFINITY;
        for offset in [0.0, 30.0, 3e7, 1e30, 3e38, f32::MIN] {
            for temperature in [1e-300, 1e-39, 0.7, 1.0, 1e46, 1e300] {
                let got = probabilities(&[offset, ninf, offset], offset, temperature).unwrap();
                assert_eq!(got, [0.5, 0.0, 0.5], "{offset} {temperature}");
            }
        }
        let got = probabilities(&[3e7, 3e7 - 2.0], 3e7, 2.0).unwrap();
        assert!((got[0] - 0.731_058_6).abs() < 1e-6, "{got:?}");
    }
}
