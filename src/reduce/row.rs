/// What [`DeviceMap::decide`](crate::DeviceMap::decide) finds in a row of logits: what a decode
/// loop needs.
///
/// Probabilities are those of the softmax over the row. Ties go to the lowest id: the lowest
/// token for [`greedy`](Self::greedy) and [`representative`](Self::representative), the lowest
/// concept for [`winner`](Self::winner).
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::{ConceptMap, reduce::Decision};
///
/// let map = ConceptMap::builder(4).concept("right", [1, 3])?.build()?;
/// let probabilities = Tensor::new(&[0.4f32, 0.3, 0.05, 0.25], &Device::Cpu)?;
/// let decisions = map.to_device(&Device::Cpu)?.decide(&probabilities.log()?)?;
/// let decision: Decision = decisions.rows()?[0]?;
///
/// assert_eq!(decision.greedy, 0);
/// assert_eq!((decision.winner, decision.representative), (0, 1));
/// assert!(decision.is_flip());
/// assert!((decision.mass - 0.55).abs() < 1e-6);
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// The concept with the largest mass.
    pub winner: u32,
    /// The winner's likeliest token: what a decode loop emits.
    pub representative: u32,
    /// The likeliest token of all, plain argmax.
    pub greedy: u32,
    /// The winner's probability, in `(0, 1]`.
    pub mass: f32,
    /// The representative's probability, in `(0, 1]`.
    pub representative_prob: f32,
    /// The greedy token's probability, in `(0, 1]`.
    pub greedy_prob: f32,
    /// `ln Σ exp(logit)`, the softmax's normaliser.
    pub log_z: f32,
}

impl Decision {
    /// Whether counting meanings changes the decision: the winning concept is not the greedy
    /// token's.
    pub fn is_flip(&self) -> bool {
        // If the greedy token were in the winning concept, it would be its likeliest.
        self.representative != self.greedy
    }

    /// The representative's share of the winner's mass, in `(0, 1]`: 1 if one spelling holds all,
    /// small if the vote is split.
    pub fn concentration(&self) -> f32 {
        at_most_1(self.representative_prob / self.mass)
    }
}

/// What [`DeviceMap::reduce`](crate::DeviceMap::reduce) finds in a row of logits: a [`Decision`],
/// the runner-up and the entropies.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use concept_mass::{ConceptMap, Row};
///
/// let map = ConceptMap::builder(4).concept("right", [1, 3])?.build()?;
/// let probabilities = Tensor::new(&[0.4f32, 0.3, 0.05, 0.25], &Device::Cpu)?;
/// let row: Row = map.to_device(&Device::Cpu)?.reduce(&probabilities.log()?)?.rows()?[0]?;
///
/// assert_eq!((row.greedy, row.winner, row.representative), (0, 0, 1));
/// assert_eq!(row.runner_up.map(|runner_up| runner_up.concept), Some(1));
/// assert!((row.margin() - 0.15).abs() < 1e-6);
/// assert!((row.concentration() - 0.3 / 0.55).abs() < 1e-6);
/// assert!(row.concept_entropy < row.token_entropy);
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// The concept with the largest mass.
    pub winner: u32,
    /// The winner's likeliest token: what a decode loop emits.
    pub representative: u32,
    /// The likeliest token of all, plain argmax.
    pub greedy: u32,
    /// The winner's probability, in `(0, 1]`.
    pub mass: f32,
    /// The representative's probability, in `(0, 1]`.
    pub representative_prob: f32,
    /// The greedy token's probability, in `(0, 1]`.
    pub greedy_prob: f32,
    /// `ln Σ exp(logit)`, the softmax's normaliser.
    pub log_z: f32,
    /// The concept with the second largest mass; of equal ones, the lowest. `None` if no other
    /// concept has a probability that `f32` can tell from 0, or if the map has no other.
    pub runner_up: Option<RunnerUp>,
    /// The entropy over tokens in nats, in `[0, ln V]`.
    pub token_entropy: f32,
    /// The entropy over concepts in nats, in `[0, token_entropy]`.
    pub concept_entropy: f32,
}

/// The concept that comes second in a [`Row`].
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct RunnerUp {
    /// The concept.
    pub concept: u32,
    /// Its probability, in `(0, 0.5]`.
    pub mass: f32,
}

impl Row {
    /// The part of the row that [`DeviceMap::decide`](crate::DeviceMap::decide) finds.
    pub fn decision(&self) -> Decision {
        Decision {
            winner: self.winner,
            representative: self.representative,
            greedy: self.greedy,
            mass: self.mass,
            representative_prob: self.representative_prob,
            greedy_prob: self.greedy_prob,
            log_z: self.log_z,
        }
    }

    /// Whether counting meanings changes the decision: the winning concept is not the greedy
    /// token's.
    pub fn is_flip(&self) -> bool {
        self.decision().is_flip()
    }

    /// The representative's share of the winner's mass, in `(0, 1]`: 1 if one spelling holds all,
    /// small if the vote is split.
    pub fn concentration(&self) -> f32 {
        self.decision().concentration()
    }

    /// How far the winner is ahead of the runner-up, in probability; the winner's mass if there is
    /// no runner-up.
    pub fn margin(&self) -> f32 {
        self.mass - self.runner_up.map_or(0.0, |runner_up| runner_up.mass)
    }
}

/// `share`, or 1 if rounding has made it larger. A NaN stays one, where `f32::min` would make it 1.
#[inline]
pub(super) fn at_most_1(share: f32) -> f32 {
    if share > 1.0 { 1.0 } else { share }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_that_is_no_number_stays_none() {
        assert!(at_most_1(f32::NAN).is_nan());
        assert_eq!([at_most_1(1.000_000_1), at_most_1(0.5)], [1.0, 0.5]);
    }
}
