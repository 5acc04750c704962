//! First and second place, kept while masses go by.

use super::simd::LANES;

/// A concept and its mass, in any unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    pub(crate) mass: f32,
    pub(crate) concept: u32,
}

impl Candidate {
    /// Stands below every concept.
    const NOBODY: Self = Self { mass: 0.0, concept: u32::MAX };

    /// The larger mass wins; of equal ones, the lower concept.
    fn beats(self, other: Self) -> bool {
        self.mass > other.mass || self.mass == other.mass && self.concept < other.concept
    }
}

/// The two best candidates of all that were offered, in whatever order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Top2 {
    pub(crate) first: Candidate,
    /// [`Candidate::NOBODY`] as long as there is only one.
    second: Candidate,
}

impl Default for Top2 {
    fn default() -> Self {
        Self { first: Candidate::NOBODY, second: Candidate::NOBODY }
    }
}

impl Top2 {
    pub(crate) fn second(&self) -> Option<Candidate> {
        (self.second != Candidate::NOBODY).then_some(self.second)
    }

    /// What a mass must reach to matter. A mass below the normal numbers never does: it is 0
    /// on some processors.
    #[inline(always)]
    pub(crate) fn threshold(&self) -> f32 {
        self.second.mass.max(f32::MIN_POSITIVE)
    }

    #[inline(always)]
    pub(crate) fn offer(&mut self, candidate: Candidate) {
        if candidate.mass.is_nan() || candidate.mass < self.threshold() {
            return;
        }
        if candidate.beats(self.first) {
            self.second = self.first;
            self.first = candidate;
        } else if candidate.beats(self.second) {
            self.second = candidate;
        }
    }

    /// Whether one of some concepts would be second if its mass were equal.
    #[inline(always)]
    pub(crate) fn may_tie(&self, concepts: &[u32; LANES]) -> bool {
        let lowest = concepts.iter().fold(u32::MAX, |lowest, &concept| lowest.min(concept));
        lowest < self.second.concept
    }

    /// Offers the lanes whose bit is set, each of which reaches the threshold.
    pub(crate) fn offer_lanes(
        &mut self,
        mut mask: u16,
        masses: &[f32; LANES],
        concepts: &[u32; LANES],
    ) {
        while mask != 0 {
            let lane = mask.trailing_zeros() as usize;
            self.offer(Candidate { mass: masses[lane], concept: concepts[lane] });
            mask &= mask - 1;
        }
    }

    pub(crate) fn merge(mut self, other: Self) -> Self {
        self.offer(other.first);
        self.offer(other.second);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_and_second_do_not_depend_on_the_order() {
        let offers: [(f32, u32); 7] =
            [(0.25, 9), (0.5, 7), (0.5, 3), (f32::NAN, 0), (0.0, 1), (0.5, 5), (1e-40, 2)];
        for rotation in 0..offers.len() {
            for split in 0..=offers.len() {
                let mut rotated = offers;
                rotated.rotate_left(rotation);
                let [mut a, mut b] = [Top2::default(); 2];
                for (i, (mass, concept)) in rotated.into_iter().enumerate() {
                    if i < split { &mut a } else { &mut b }.offer(Candidate { mass, concept });
                }
                let top = a.merge(b);
                assert_eq!(top.first, Candidate { mass: 0.5, concept: 3 });
                assert_eq!(top.second, Candidate { mass: 0.5, concept: 5 });
            }
        }
    }

    #[test]
    fn nothing_with_a_mass_is_nobody() {
        let mut top = Top2::default();
        top.offer(Candidate { mass: 0.0, concept: 4 });
        assert_eq!(top, Top2::default());
    }
}
