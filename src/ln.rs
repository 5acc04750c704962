//! Probabilities by their logs: those of long phrases are far below what a float can hold.

/// The log of a sum of probabilities, `ln Σ exp(term)`, whatever the order of the terms; `-inf`,
/// the log of 0, if there are none.
pub(crate) fn ln_sum(mut terms: Vec<f64>) -> f64 {
    terms.sort_unstable_by(f64::total_cmp);
    match terms.last() {
        Some(&max) if max > f64::NEG_INFINITY => {
            max + terms.iter().map(|term| (term - max).exp()).sum::<f64>().ln()
        }
        _ => f64::NEG_INFINITY,
    }
}

/// The log of what is left of a probability without a part of it, `ln (exp(whole) − exp(part))`;
/// `-inf` if nothing is, or if by rounding the part is larger than the whole.
pub(crate) fn ln_difference(whole: f64, part: f64) -> f64 {
    if part >= whole {
        return f64::NEG_INFINITY;
    }
    let below = part - whole;
    // Each of the two forms keeps the digits that the other would cancel.
    let left = if below > -std::f64::consts::LN_2 {
        (-below.exp_m1()).ln()
    } else {
        (-below.exp()).ln_1p()
    };
    whole + left
}

/// The heaviest of things by the logs of their weights; of equals, the lowest. `None` if none has
/// any weight.
pub(crate) fn heaviest<T: Ord>(things: impl IntoIterator<Item = (f64, T)>) -> Option<T> {
    let weighty = things.into_iter().filter(|(weight, _)| *weight > f64::NEG_INFINITY);
    let heaviest = weighty.max_by(|(a, x), (b, y)| a.total_cmp(b).then_with(|| y.cmp(x)));
    heaviest.map(|(_, thing)| thing)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOTHING: f64 = f64::NEG_INFINITY;

    #[test]
    fn nothing_is_the_log_of_0() {
        assert_eq!(ln_sum(vec![]), NOTHING);
        assert_eq!(ln_sum(vec![NOTHING, NOTHING]), NOTHING);
        assert_eq!(ln_sum(vec![NOTHING, -1e4]), -1e4);
        assert_eq!(ln_difference(NOTHING, NOTHING), NOTHING);
        assert_eq!(ln_difference(-3.0, NOTHING), -3.0);
        assert_eq!(ln_difference(-1e4, -1e4), NOTHING);
        assert_eq!(ln_difference(-3.0, -2.9), NOTHING);
    }

    #[test]
    fn the_heaviest_is_the_lowest_of_equals_and_nobody_if_none_has_weight() {
        assert_eq!(heaviest([(-2.0, 0), (-1.0, 2), (-1.0, 1)]), Some(1));
        assert_eq!(heaviest([(NOTHING, 0), (-1e300, 1)]), Some(1));
        assert_eq!(heaviest([(NOTHING, 0), (NOTHING, 1)]), None);
        assert_eq!(heaviest::<u32>([]), None);
    }

    proptest! {
        #[test]
        fn logs_of_any_size_add_up_as_probabilities_do(
            offset in -1e5f64..0.0,
            terms in proptest::collection::vec(-30.0f64..0.0, 1..20),
        ) {
            let sum = terms.iter().map(|term| term.exp()).sum::<f64>().ln();
            let shifted: Vec<f64> = terms.iter().map(|term| offset + term).collect();
            let got = ln_sum(shifted.clone());
            prop_assert!((got - offset - sum).abs() < 1e-9);
            prop_assert_eq!(got, ln_sum(shifted.iter().rev().copied().collect()));
            // Without one of them, it is the sum of the others.
            let others = ln_sum(shifted[1..].to_vec());
            if shifted[0] < others {
                prop_assert!((ln_difference(got, shifted[0]) - others).abs() < 1e-9);
            }
        }
    }
}
