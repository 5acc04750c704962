//! What the numbers of a report are in truth, by how a world is made.

use commitment_probe::stats::{Estimate, SignedRankTest, auroc};
use commitment_probe::{Decoder, Detector, Outcome, Sample, Scorer, Summary, Threshold};
use rand::{SeedableRng, rngs::StdRng};
use rayon::prelude::*;

use super::model::{
    CLUSTERS, CONDITIONAL, CONTAINS, DECODER_RIGHT, EXCHANGED_BEGINS, LATE, MOST, Model, PHRASE,
    RIGHT, RIGHT_LATER, RIGHT_LOCALISED, TAU, VOCABULARY, WRONG_LATER, World,
};
use super::world::{cumulative, runs};

type Take<T> = Box<dyn Fn(&Summary) -> Option<T> + Sync>;

/// A number of a summary, and its truth.
pub struct Number {
    pub name: String,
    pub truth: f64,
    pub take: Take<Estimate>,
}

/// A test of a summary.
pub struct Test {
    pub name: &'static str,
    pub take: Take<SignedRankTest>,
}

fn number(
    name: impl Into<String>,
    truth: f64,
    take: impl Fn(&Summary) -> Option<Estimate> + Sync + 'static,
) -> Number {
    Number { name: name.into(), truth, take: Box::new(take) }
}

/// Wilcoxon's tests of concentration.
pub fn tests() -> Vec<Test> {
    vec![
        Test {
            name: "concentration, Wilcoxon",
            take: Box::new(|summary| summary.concentration.matched.test),
        },
        Test {
            name: "concentration there, Wilcoxon",
            take: Box::new(|summary| summary.informative_concentration.matched.test),
        },
    ]
}

impl Model {
    /// The shares of the kinds of wrong answers.
    fn kinds(&self) -> [f64; 3] {
        let [paper, strict] = self.rates;
        [strict, paper - strict, 1.0 - paper]
    }

    /// The same among localised ones, and the share of these.
    fn localised_kinds(&self) -> ([f64; 3], f64) {
        let kinds = self.kinds();
        let localised: [f64; 3] = std::array::from_fn(|i| kinds[i] * self.localised[i]);
        let all: f64 = localised.iter().sum();
        (localised.map(|share| share / all), all)
    }

    /// The mean P-mass of right and wrong answers.
    pub fn mean_mass(&self) -> f64 {
        let [paper, _] = self.rates;
        let below = middle([0.0, TAU]);
        let wrong = paper * middle([TAU, MOST]) + (1.0 - paper) * below;
        let right = RIGHT_LOCALISED * middle(RIGHT) + (1.0 - RIGHT_LOCALISED) * below;
        self.wrong * wrong + (1.0 - self.wrong) * right
    }

    /// The probability that a wrong answer has a higher score than a right one, if scores are normal
    /// and so much higher in each kind.
    fn area(&self, shifts: [f64; 3]) -> f64 {
        let areas = shifts.map(|shift| cumulative(shift / std::f64::consts::SQRT_2));
        self.kinds().iter().zip(areas).map(|(share, area)| share * area).sum()
    }

    /// The same of entropies over clusters.
    fn area_of_clusters(&self) -> f64 {
        let [right, wrong] = self.clusters;
        let places = 0..CLUSTERS.len();
        let higher: f64 =
            places.map(|i| wrong[i] * (right[..i].iter().sum::<f64>() + right[i] / 2.0)).sum();
        let strict = self.rates[1];
        strict / 2.0 + (1.0 - strict) * higher
    }
}

/// The share of masses of at least `tau`: of failures, and of others.
fn reach(tau: f64) -> [f64; 2] {
    [((MOST - tau) / (MOST - TAU)).min(1.0), ((TAU - tau) / TAU).max(0.0)]
}

fn middle([low, high]: [f64; 2]) -> f64 {
    f64::midpoint(low, high)
}

/// What chance gives at a threshold: the paper's rate, and the strict one, which from τ on is the
/// share of exchanged forms that do not begin with the winner.
fn null(model: &Model, tau: f64) -> [f64; 2] {
    let paper = model.chance * reach(tau)[0];
    [paper, paper * (1.0 - EXCHANGED_BEGINS)]
}

/// The rates, their nulls and their excess.
pub fn failures(model: &Model) -> Vec<Number> {
    let [paper, strict] = model.rates;
    let (localised, share_localised) = model.localised_kinds();
    let rates = [("paper", 0, paper), ("strict", 1, strict)];
    let mut numbers = vec![
        number("hallucination rate", model.wrong, |s| s.hallucination_rate),
        number("the same by another scorer", model.wrong * (1.0 - CONTAINS), |s| {
            s.by_scorer[&Scorer::Contains]
        }),
        number(
            "localised",
            model.wrong * share_localised + (1.0 - model.wrong) * RIGHT_LOCALISED,
            |s| s.localised,
        ),
        number("phrase-level failures", paper - strict + LATE, |s| s.later.phrase_failure_rate),
    ];
    let chance = null(model, TAU);
    for (name, which, all) in rates {
        let rate = move |rates: &commitment_probe::Rates| match which {
            0 => rates.paper.clone(),
            _ => rates.strict.clone(),
        };
        let there = model.informative[which];
        let of_localised = if which == 0 { localised[0] + localised[1] } else { localised[0] };
        numbers.extend([
            number(format!("{name} rate"), of_localised, move |s| rate(&s.failures.first).rate),
            number(format!("{name} null"), chance[which], move |s| rate(&s.failures.first).null),
            number(format!("{name} excess"), of_localised - chance[which], move |s| {
                rate(&s.failures.first).excess
            }),
            number(format!("{name} rate, all"), all, move |s| rate(&s.all_failures.first).rate),
            number(format!("{name} excess, all"), all - chance[which], move |s| {
                rate(&s.all_failures.first).excess
            }),
            number(format!("{name} rate there"), there, move |s| {
                rate(&s.all_failures.informative).rate
            }),
            number(format!("{name} null there"), chance[which], move |s| {
                rate(&s.all_failures.informative).null
            }),
            number(format!("{name} excess there"), there - chance[which], move |s| {
                rate(&s.all_failures.informative).excess
            }),
        ]);
        for tau in [0.1, 0.15, 0.25, 0.3, 0.4] {
            let [of_failures, of_others] = reach(tau);
            // Of those below τ, the ones whose winner begins a form are not strict.
            let others = localised[2] * if which == 0 { 1.0 } else { 1.0 - LATE / (1.0 - paper) };
            let truth = of_localised * of_failures + others * of_others;
            let at = move |s: &Summary| {
                let at = |t: &&Threshold| t.tau == tau;
                rate(&s.thresholds.iter().find(at).expect("it is a threshold").first)
            };
            numbers.push(number(format!("{name} rate at {tau}"), truth, move |s| at(s).rate));
            if tau > TAU {
                let chance = null(model, tau)[which];
                numbers.extend([
                    number(format!("{name} null at {tau}"), chance, move |s| at(s).null),
                    number(format!("{name} excess at {tau}"), truth - chance, move |s| {
                        at(s).excess
                    }),
                ]);
            }
        }
    }
    numbers
}

/// The excess alone, at τ.
pub fn excess(model: &Model) -> Vec<Number> {
    let mut numbers = failures(model);
    numbers.retain(|n| n.name.contains("excess") && !n.name.contains(" at "));
    numbers
}

/// The paired differences of concentration.
pub fn concentration(model: &Model) -> Vec<Number> {
    let [first, there] = model.difference;
    vec![
        number("concentration, paired", first, |s| s.concentration.matched.difference),
        number("concentration there, paired", there, |s| {
            s.informative_concentration.matched.difference
        }),
    ]
}

/// Detectors whose areas are known, against right answers.
pub fn detectors(model: &Model) -> Vec<Number> {
    let mut numbers = Vec::new();
    let shifted = [
        (Detector::TokenEntropy, model.token_entropy),
        (Detector::PTrue, model.p_true),
        (Detector::Sequence, model.sequence),
        (Detector::SequencePerToken, model.sequence),
    ];
    let of = |detector, truth, outcome| {
        number(format!("{detector}, {outcome}"), truth, move |s| s.detectors[&detector][&outcome])
    };
    for (detector, shifts) in shifted {
        numbers.push(of(detector, model.area(shifts), Outcome::Hallucination));
        numbers.push(of(detector, model.area([shifts[0]; 3]), Outcome::StrictFailure));
    }
    let clusters = model.area_of_clusters();
    numbers.push(of(Detector::SemanticEntropy, clusters, Outcome::Hallucination));
    numbers.push(of(Detector::SemanticEntropy, 0.5, Outcome::StrictFailure));
    numbers
}

/// Means and shares of what is spread evenly, or has a known share.
pub fn means() -> Vec<Number> {
    let nats = (VOCABULARY as f64).ln();
    let [right, wrong] = [RIGHT_LATER, WRONG_LATER].map(|ranges| ranges.map(middle));
    let phrase = PHRASE.map(middle);
    let parts =
        [Outcome::Right, Outcome::CommitmentFailure, Outcome::OtherHallucination].into_iter();
    let phrases = parts.zip(phrase).map(|(outcome, mean)| {
        number(format!("phrase mass, {outcome}"), mean, move |s| s.later.phrase_mass[&outcome])
    });
    let decides = [(Outcome::Right, DECODER_RIGHT[0]), (Outcome::Hallucination, DECODER_RIGHT[1])];
    let decided = decides.map(|(outcome, share)| {
        number(format!("another decoder right, {outcome}"), share, move |s| {
            s.decoders[&Decoder::Spelling].right[&outcome]
        })
    });
    let mut numbers = vec![
        number("entropy 2, right", right[0], |s| s.later.second.right.nats),
        number("entropy 2, wrong", wrong[0], |s| s.later.second.wrong.nats),
        number("the same over ln V", wrong[0] / nats, |s| s.later.second.wrong.share),
        number("entropy 3, right", right[1], |s| s.later.third.right.nats),
        number("entropy 3, wrong", wrong[1], |s| s.later.third.wrong.nats),
        number("conditional mass", middle(CONDITIONAL), |s| s.all_failures.conditional_mass),
        number("another decoder breaks", 1.0 - DECODER_RIGHT[0], |s| {
            s.decoders[&Decoder::Spelling].broken_rate
        }),
    ];
    numbers.extend(phrases.chain(decided));
    numbers
}

/// Questions of a population whose means stand for the truth: their error is a thirtieth of that of
/// a run, or less.
const POPULATION: usize = 400_000;

/// What has no closed form: means of concentration and of the winner's probability, which the
/// masses limit, and the areas of both as detectors. They are those of a huge population.
pub fn of_a_population(model: &Model) -> Vec<Number> {
    const BATCH: usize = 1000;
    let world = World {
        questions: BATCH,
        per_group: 1,
        alike: 0.0,
        same: 0.0,
        group_same: 0.0,
        popular: false,
    };
    let batch = |batch: usize| {
        let mut rng = StdRng::seed_from_u64(1_000_000 + batch as u64);
        let samples = runs(&world, &[*model], &mut rng).remove(0);
        samples.iter().map(Known::of).collect::<Vec<_>>()
    };
    let batches = (0..POPULATION / BATCH).into_par_iter();
    let all: Vec<Known> = batches.flat_map_iter(batch).collect();
    let values = |keep: &dyn Fn(&Known) -> bool, value: fn(&Known) -> f64| -> Vec<f64> {
        all.iter().filter(|known| keep(known)).map(value).collect()
    };
    let mean = |keep: &dyn Fn(&Known) -> bool, value: fn(&Known) -> f64| {
        let values = values(keep, value);
        values.iter().sum::<f64>() / values.len() as f64
    };
    let fails = |k: &Known| k.wrong && k.mass >= TAU;
    let strict = |k: &Known| k.wrong && k.mass >= TAU && !k.begins;
    let right = |k: &Known| k.right;
    let enough = |k: &Known| k.right && k.mass >= TAU;
    let lost = |k: &Known| k.wrong && !k.begins;
    let wrong = |k: &Known| k.wrong;
    let area = |keep: &dyn Fn(&Known) -> bool, score: fn(&Known) -> f64| {
        auroc(&values(keep, score), &values(&right, score)).expect("both kinds are there")
    };
    let mut numbers = vec![
        number("concentration, failures", mean(&fails, |k| k.concentration), |s| {
            s.concentration.failures
        }),
        number("concentration, strict", mean(&strict, |k| k.concentration), |s| {
            s.concentration.strict
        }),
        number("concentration, right", mean(&enough, |k| k.concentration), |s| {
            s.concentration.right
        }),
        number("wrong-winner confidence", mean(&lost, |k| k.winner), |s| s.wrong_winner_confidence),
        number("confidence, failures", mean(&fails, |k| k.winner), |s| {
            s.confidence[&Outcome::CommitmentFailure]
        }),
        number("confidence, right", mean(&right, |k| k.winner), |s| s.confidence[&Outcome::Right]),
    ];
    type Keep<'a> = &'a dyn Fn(&Known) -> bool;
    let positives: [(Outcome, Keep); 2] =
        [(Outcome::Hallucination, &wrong), (Outcome::StrictFailure, &strict)];
    for (outcome, keep) in positives {
        let of = |detector: Detector, truth| {
            number(format!("{detector}, {outcome}"), truth, move |s: &Summary| {
                s.detectors[&detector][&outcome]
            })
        };
        numbers.push(of(Detector::MaxProbability, area(keep, |k| -k.winner)));
        numbers.push(of(Detector::PMass, area(keep, |k| -k.mass)));
    }
    numbers
}

/// What is taken from a sample of the population.
struct Known {
    right: bool,
    wrong: bool,
    begins: bool,
    mass: f64,
    concentration: f64,
    winner: f64,
}

impl Known {
    fn of(sample: &Sample) -> Self {
        Self {
            right: sample.is_right(),
            wrong: sample.is_wrong(),
            begins: sample.first.begins_answer,
            mass: sample.first.mass.into(),
            concentration: sample.first.concentration.map_or(0.0, f64::from),
            winner: sample.first.probability.into(),
        }
    }
}
