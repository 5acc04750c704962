//! What the intervals and the tests promise, in worlds whose truth is known: of 500 samples or more,
//! 92 to 98 % of the intervals hold it, and 2 to 8 % of the tests reject what is true.
//!
//! All samples are drawn by seeded generators, so that the outcome is the same each time.

use std::ops::RangeInclusive;

use commitment_probe::stats::{
    Estimate, Method, auroc_estimate, auroc_of, mann_whitney, matched_within, mcnemar, mean,
    mean_of, share, share_of, trend, wilcoxon,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rayon::prelude::*;

const RUNS: u64 = 1000;

/// Where a run takes longest.
const FEWER_RUNS: u64 = 500;

/// Where coverage is the nearest to its bounds, and a run takes the least: a thousand scatter by
/// 0.8 %.
const MORE_RUNS: u64 = 2000;

/// The outcomes of all runs, each with a generator of its own.
fn runs<T: Send>(runs: u64, run: impl Fn(&mut StdRng) -> T + Sync) -> Vec<T> {
    (0..runs).into_par_iter().map(|seed| run(&mut StdRng::seed_from_u64(seed))).collect()
}

/// Checks that the intervals hold the truth in so many percent of the runs.
fn covers(
    world: &str,
    runs: u64,
    truth: f64,
    estimate: impl Fn(&mut StdRng) -> Option<Estimate> + Sync,
) {
    covers_within(world, runs, COVERAGE, truth, estimate);
}

fn covers_within(
    world: &str,
    count: u64,
    band: RangeInclusive<f64>,
    truth: f64,
    estimate: impl Fn(&mut StdRng) -> Option<Estimate> + Sync,
) {
    let estimates = runs(count, |rng| estimate(rng).expect("such a sample has an estimate"));
    let held = estimates.iter().filter(|e| (e.low..=e.high).contains(&truth)).count();
    let percent = 100.0 * held as f64 / count as f64;
    println!("{world}: {percent:.1} % of the intervals hold the truth");
    assert!(band.contains(&percent), "{world}: {percent} %, not {band:?}");
}

/// Checks that so many percent of the p-values are at most 0.05.
fn rejects(
    world: &str,
    count: u64,
    band: RangeInclusive<f64>,
    p: impl Fn(&mut StdRng) -> f64 + Sync,
) {
    let rejected = runs(count, p).into_iter().filter(|p| *p <= 0.05).count();
    let percent = 100.0 * rejected as f64 / count as f64;
    println!("{world}: {percent:.1} % rejected");
    assert!(band.contains(&percent), "{world}: {percent} %, not {band:?}");
}

/// The percentage of intervals that hold the truth, and of tests that reject it.
const COVERAGE: RangeInclusive<f64> = 92.0..=98.0;
const LEVEL: RangeInclusive<f64> = 2.0..=8.0;

/// By Box and Muller.
fn normal(rng: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (v * std::f64::consts::TAU).cos()
}

/// With a mean of 1 and a skewness of 2.
fn exponential(rng: &mut StdRng) -> f64 {
    -(1.0 - rng.random::<f64>()).ln()
}

/// The probability of a standard normal variable of at most `x`.
fn cumulative(x: f64) -> f64 {
    libm::erfc(-x / std::f64::consts::SQRT_2) / 2.0
}

fn sample(n: usize, rng: &mut StdRng, value: impl Fn(&mut StdRng) -> f64) -> Vec<f64> {
    (0..n).map(|_| value(rng)).collect()
}

/// Groups of one to ten members, and for each member a value of mean 0 and variance 1, of which
/// `alike` is common to its group.
fn grouped(
    groups: usize,
    alike: f64,
    rng: &mut StdRng,
    value: impl Fn(&mut StdRng) -> f64,
) -> (Vec<f64>, Vec<usize>) {
    let mut values = (Vec::new(), Vec::new());
    for group in 0..groups {
        let common = value(rng);
        for _ in 0..rng.random_range(1..=10) {
            values.0.push(alike.sqrt() * common + (1.0 - alike).sqrt() * value(rng));
            values.1.push(group);
        }
    }
    values
}

/// The numbers of groups, and how alike their members are.
const CLUSTERS: [(usize, f64); 6] =
    [(20, 0.0), (20, 0.3), (20, 0.6), (60, 0.6), (200, 0.1), (200, 0.6)];

#[test]
fn of_shares() {
    for (p, n) in [(0.5, 30), (0.47, 400), (0.16, 150), (0.05, 60), (0.02, 1000), (0.97, 100)] {
        covers(&format!("a share of {p}, {n} questions"), RUNS, p, |rng| {
            share((0..n).filter(|_| rng.random_bool(p)).count(), n)
        });
    }
}

/// Of few values the bootstrap is known to be too narrow: it takes the variance over n, and the
/// tails of the normal distribution. For 20 it is BCa as it should be, and under 95 %.
#[test]
fn of_means() {
    for n in [50, 200, 400] {
        covers(&format!("a mean of {n}"), RUNS, 0.0, |rng| mean(&sample(n, rng, normal)));
        covers(&format!("a skewed mean of {n}"), RUNS, 1.0, |rng| {
            mean(&sample(n, rng, exponential))
        });
        covers(&format!("a mean of {n} probabilities"), RUNS, 1.0 / 3.0, |rng| {
            mean(&sample(n, rng, |rng| rng.random::<f64>().powi(2)))
        });
    }
    covers_within("a mean of 20", RUNS, 89.0..=95.0, 0.0, |rng| mean(&sample(20, rng, normal)));
}

#[test]
fn of_auroc() {
    for (n, m, shift) in [(20, 20, 0.0), (10, 60, 0.5), (40, 100, 1.0), (150, 300, 1.5)] {
        let truth = cumulative(shift / 2f64.sqrt());
        covers(&format!("an AUROC of {truth:.2}, {n} and {m}"), RUNS, truth, |rng| {
            let positives = sample(n, rng, |rng| normal(rng) + shift);
            auroc_estimate(&positives, &sample(m, rng, normal))
        });
    }
}

#[test]
fn of_grouped_means() {
    for (groups, alike) in CLUSTERS {
        let world = format!("{groups} groups, {alike} alike");
        covers(&format!("a mean of {world}"), MORE_RUNS, 0.0, |rng| {
            let (values, of) = grouped(groups, alike, rng, normal);
            mean_of(&values, Some(&of))
        });
        covers(&format!("a skewed mean of {world}"), MORE_RUNS, 0.0, |rng| {
            let (values, of) = grouped(groups, alike, rng, |rng| exponential(rng) - 1.0);
            mean_of(&values, Some(&of))
        });
        // Both of a pair share what the group has in common in part.
        covers(&format!("a paired difference of {world}"), MORE_RUNS, 0.1, |rng| {
            let (first, of) = grouped(groups, alike, rng, normal);
            let second = first.iter().map(|x| 0.5 * x + normal(rng) - 0.1);
            let differences: Vec<f64> = second.zip(&first).map(|(y, x)| x - y).collect();
            mean_of(&differences, Some(&of))
        });
    }
}

/// To what the groups are for: who takes their members as independent is wrong too often.
#[test]
fn of_grouped_means_only_with_the_groups() {
    covers_within("a mean of 60 groups, not told of them", MORE_RUNS, 50.0..=80.0, 0.0, |rng| {
        mean(&grouped(60, 0.6, rng, normal).0)
    });
}

#[test]
fn of_grouped_shares() {
    for (groups, alike) in CLUSTERS {
        for cut in [-1.0, 0.0] {
            let truth = cumulative(cut);
            let world = format!("a share of {truth:.2}, {groups} groups, {alike} alike");
            covers(&world, MORE_RUNS, truth, |rng| {
                let (values, of) = grouped(groups, alike, rng, normal);
                let hits: Vec<bool> = values.iter().map(|x| *x < cut).collect();
                share_of(&hits, Some(&of))
            });
        }
    }
    // Of a rare kind some samples have hits in fewer than five groups, or none: the interval is
    // Wilson's, which errs on the wide side.
    let mut methods = [0; 2];
    for estimate in runs(MORE_RUNS, |rng| {
        let (values, of) = grouped(40, 0.3, rng, normal);
        share_of(&values.iter().map(|x| *x < -2.0).collect::<Vec<_>>(), Some(&of)).unwrap()
    }) {
        methods[usize::from(estimate.method == Method::Clustered)] += 1;
        assert!(estimate.high > estimate.low);
    }
    assert!(methods.iter().all(|runs| *runs > 200), "{methods:?}");
    covers_within("a rare share", MORE_RUNS, 93.0..=99.5, cumulative(-2.0), |rng| {
        let (values, of) = grouped(40, 0.3, rng, normal);
        share_of(&values.iter().map(|x| *x < -2.0).collect::<Vec<_>>(), Some(&of))
    });
}

#[test]
fn of_grouped_auroc() {
    for (groups, alike) in [(20, 0.0), (20, 0.3), (40, 0.6), (60, 0.6)] {
        for shift in [0.5, 1.5] {
            let truth = cumulative(shift / 2f64.sqrt());
            for by_groups in [false, true] {
                let kinds = if by_groups { "kinds by group" } else { "kinds within groups" };
                let world = format!("an AUROC of {truth:.2}, {groups} groups, {alike}, {kinds}");
                covers(&world, FEWER_RUNS, truth, |rng| {
                    let (values, of) = grouped(groups, alike, rng, normal);
                    let (mut scores, mut labels) = ([vec![], vec![]], [vec![], vec![]]);
                    for (value, group) in values.into_iter().zip(of) {
                        let drawn = usize::from(rng.random_bool(0.6));
                        let kind = if by_groups { group % 2 } else { drawn };
                        scores[kind].push(if kind == 0 { value + shift } else { value });
                        labels[kind].push(group);
                    }
                    auroc_of(&scores[0], &scores[1], Some([&labels[0], &labels[1]]))
                });
            }
        }
    }
}

#[test]
fn of_rank_tests() {
    rejects("two samples of one kind", RUNS, LEVEL, |rng| {
        mann_whitney(&sample(40, rng, exponential), &sample(70, rng, exponential)).unwrap().p
    });
    rejects("two small samples", RUNS, LEVEL, |rng| {
        mann_whitney(&sample(8, rng, normal), &sample(12, rng, normal)).unwrap().p
    });
    // The concentration depends on the P-mass and on the number of first tokens, and on nothing
    // else; failures have less P-mass. Not matched, they would differ.
    let question = |failure: bool, rng: &mut StdRng| {
        let tokens = rng.random_range(1..=3);
        let mass = rng.random::<f64>().powf(if failure { 1.5 } else { 0.7 });
        let concentration = mass / tokens as f64 + 0.1 * normal(rng);
        (mass, tokens, concentration)
    };
    let questions = |failure: bool, n: usize, rng: &mut StdRng| {
        let all: Vec<_> = (0..n).map(|_| question(failure, rng)).collect();
        let masses: Vec<f64> = all.iter().map(|q| q.0).collect();
        let tokens: Vec<usize> = all.iter().map(|q| q.1).collect();
        let concentrations: Vec<f64> = all.iter().map(|q| q.2).collect();
        (masses, tokens, concentrations)
    };
    rejects("matched pairs", RUNS, LEVEL, |rng| {
        let (a, strata_a, x) = questions(true, 80, rng);
        let (b, strata_b, y) = questions(false, 160, rng);
        let pairs = matched_within(&a, &b, &strata_a, &strata_b, 0.05);
        assert!(pairs.len() > 40);
        let differences: Vec<f64> = pairs.iter().map(|&(i, j)| x[i] - y[j]).collect();
        wilcoxon(&differences).unwrap().p
    });
    rejects("the same, not matched", RUNS, 50.0..=100.0, |rng| {
        let (x, y) = (questions(true, 80, rng).2, questions(false, 160, rng).2);
        mann_whitney(&x, &y).unwrap().p
    });
    rejects("twelve pairs", RUNS, LEVEL, |rng| wilcoxon(&sample(12, rng, normal)).unwrap().p);
}

/// An exact test of counts cannot have a level of just 5 %: it stays under it, at 2 to 5 % of
/// hundreds of pairs, and nearer to none of a dozen.
#[test]
fn of_mcnemar() {
    let p = |pairs: usize, rng: &mut StdRng| {
        let first = (0..pairs).filter(|_| rng.random_bool(0.5)).count();
        mcnemar(first, pairs - first)
    };
    for pairs in [40, 150, 800] {
        rejects(&format!("{pairs} pairs that differ"), RUNS, 2.0..=6.0, |rng| p(pairs, rng));
    }
    rejects("ten pairs that differ", RUNS, 0.5..=4.0, |rng| p(10, rng));
    rejects("five pairs that differ", RUNS, 0.0..=0.0, |rng| p(5, rng));
}

/// Hits of all questions with all models: by `hit`, of how hard the question is, how hard its group,
/// and the run. `within` is whether the question is in the population there.
fn blocks(
    groups: usize,
    largest: usize,
    runs: usize,
    rng: &mut StdRng,
    within: impl Fn(usize, f64) -> f64,
) -> (Vec<Vec<Option<bool>>>, Vec<usize>) {
    let (mut blocks, mut of) = (Vec::new(), Vec::new());
    for group in 0..groups {
        // What the group has in common, always and with each run.
        let common = normal(rng);
        let with_run = sample(runs, rng, normal);
        for _ in 0..rng.random_range(1..=largest) {
            let hard = 0.7 * common + 0.7 * normal(rng);
            let hit = |run: usize, rng: &mut StdRng| {
                let inside = rng.random_bool(within(run, hard));
                inside.then(|| hard + with_run[run] + 0.5 * normal(rng) > 0.3)
            };
            blocks.push((0..runs).map(|run| hit(run, rng)).collect());
            of.push(group);
        }
    }
    (blocks, of)
}

#[test]
fn of_trends() {
    let sizes = [0.6e9, 1.7e9, 4e9, 8e9, 32e9];
    rejects("rates of independent questions", FEWER_RUNS, LEVEL, |rng| {
        let (blocks, _) = blocks(80, 1, 5, rng, |_, _| 1.0);
        trend(&sizes, &blocks, None).unwrap().p
    });
    rejects("rates of three runs", FEWER_RUNS, LEVEL, |rng| {
        let (blocks, _) = blocks(80, 1, 3, rng, |_, _| 0.7);
        trend(&sizes[..3], &blocks, None).unwrap().p
    });
    rejects("rates of groups", FEWER_RUNS, LEVEL, |rng| {
        let (blocks, of) = blocks(25, 8, 5, rng, |_, _| 1.0);
        trend(&sizes, &blocks, Some(&of)).unwrap().p
    });
    rejects("rates of a population that shrinks", FEWER_RUNS, LEVEL, |rng| {
        let (blocks, of) = blocks(25, 8, 5, rng, |run, _| 0.9 - 0.19 * run as f64);
        trend(&sizes, &blocks, Some(&of)).unwrap().p
    });
    rejects("rates of groups, taken as independent", FEWER_RUNS, 10.0..=100.0, |rng| {
        let (blocks, _) = blocks(25, 8, 5, rng, |_, _| 1.0);
        trend(&sizes, &blocks, None).unwrap().p
    });
}
