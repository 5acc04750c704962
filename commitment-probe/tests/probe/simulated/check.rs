//! What many runs come to, beside what they should.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Instant;

use commitment_probe::Sample;
use commitment_probe::stats::Estimate;
use rand::{SeedableRng, rngs::StdRng};
use rayon::prelude::*;

use super::model::{Model, World};
use super::world::runs;

/// How many runs are made in each world.
pub const RUNS: u64 = 500;

/// And where a run takes little.
pub const MORE_RUNS: u64 = 2000;

/// The percentage of intervals that hold the truth.
const COVERAGE: RangeInclusive<f64> = 92.0..=98.0;

/// Of 500 runs, the percentage scatters by 1.2 about 92, and by 0.6 about 98: two standard errors
/// are allowed to few of many numbers, and more to none.
const AT_MOST: RangeInclusive<f64> = 89.6..=99.2;

/// So many of the numbers may be between the two. If all are held by 94 to 96 %, it is one in fifty.
const FEW: f64 = 0.04;

/// What one run was found to say.
#[derive(Default)]
pub struct Found {
    /// Whether the truth is below the interval, in it, or above it.
    intervals: Vec<(String, i8)>,
    /// Whether a test rejects at the level of 5 %.
    tests: Vec<(String, bool)>,
    /// Numbers without an interval, less their truth.
    values: Vec<(String, f64)>,
}

impl Found {
    pub fn interval(&mut self, name: &str, truth: f64, estimate: Option<Estimate>) {
        let Some(Estimate { low, high, .. }) = estimate else { panic!("{name} has no interval") };
        self.intervals.push((name.into(), i8::from(truth > high) - i8::from(truth < low)));
    }

    pub fn test(&mut self, name: &str, p: Option<f64>) {
        let Some(p) = p else { panic!("{name} has no p") };
        self.tests.push((name.into(), p <= 0.05));
    }

    pub fn value(&mut self, name: &str, truth: f64, value: f64) {
        self.values.push((name.into(), value - truth));
    }
}

/// What all runs in a world say.
pub struct Checked {
    world: String,
    runs: Vec<Found>,
}

/// Makes so many runs of the models in a world, each with a generator of its own, and looks at them.
pub fn check(
    name: &str,
    count: u64,
    world: &World,
    models: &[Model],
    look: impl Fn(&[Vec<Sample>], &mut Found) + Sync,
) -> Checked {
    let start = Instant::now();
    let look = |seed| {
        let mut found = Found::default();
        look(&runs(world, models, &mut StdRng::seed_from_u64(seed)), &mut found);
        found
    };
    let runs: Vec<Found> = (0..count).into_par_iter().map(look).collect();
    println!("{name}: {count} runs in {:.0} s", start.elapsed().as_secs_f64());
    Checked { world: name.into(), runs }
}

impl Checked {
    /// Fails unless 92 to 98 % of the intervals hold the truth, of each number; up to the scatter of
    /// few of them.
    pub fn intervals_hold(&self) {
        let all = self.runs.iter().flat_map(|found| &found.intervals);
        let shares = self.shares("hold the truth", all.map(|(name, side)| (name, *side == 0)));
        let outside = |band: &RangeInclusive<f64>| -> Vec<&(String, f64)> {
            shares.iter().filter(|(_, percent)| !band.contains(percent)).collect()
        };
        let (far, near) = (outside(&AT_MOST), outside(&COVERAGE));
        assert!(far.is_empty(), "{}: not {AT_MOST:?} %: {far:?}", self.world);
        let few = (FEW * shares.len() as f64).ceil() as usize;
        assert!(near.len() <= few, "{}: not {COVERAGE:?} %: {near:?}", self.world);
    }

    /// Fails unless so many percent of the tests reject.
    pub fn tests_reject(&self, band: RangeInclusive<f64>) {
        let all = self.runs.iter().flat_map(|found| &found.tests);
        for (name, percent) in self.shares("reject", all.map(|(name, is)| (name, *is))) {
            assert!(band.contains(&percent), "{}: {name}: {percent} %, not {band:?}", self.world);
        }
    }

    /// In how many percent of the runs something holds, of each name; printed.
    fn shares<'a>(
        &self,
        what: &str,
        all: impl Iterator<Item = (&'a String, bool)>,
    ) -> Vec<(String, f64)> {
        let mut hits: BTreeMap<&str, usize> = BTreeMap::new();
        all.for_each(|(name, hit)| *hits.entry(name).or_default() += usize::from(hit));
        assert!(!hits.is_empty(), "{}: nothing was looked at", self.world);
        let share = |(name, hits): (&str, usize)| {
            let percent = 100.0 * hits as f64 / self.runs.len() as f64;
            println!("  {name:45} {percent:5.1} % {what}");
            (name.to_owned(), percent)
        };
        hits.into_iter().map(share).collect()
    }

    /// Fails unless the mean of each number is its truth, up to four standard errors.
    pub fn values_are_true(&self) {
        let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (name, error) in self.runs.iter().flat_map(|found| &found.values) {
            all.entry(name).or_default().push(*error);
        }
        assert!(!all.is_empty(), "{}: nothing was looked at", self.world);
        for (name, errors) in all {
            let n = errors.len() as f64;
            let mean = errors.iter().sum::<f64>() / n;
            let squares: f64 = errors.iter().map(|error| (error - mean).powi(2)).sum();
            let error = (squares / (n - 1.0) / n).sqrt();
            println!("  {name:45} {mean:+.4} from the truth, ± {error:.4}");
            assert!(mean.abs() <= 4.0 * error, "{}: {name}: {mean} ± {error}", self.world);
        }
    }
}
