//! The samples of runs in worlds whose truth is known.
//!
//! Each question has a standard normal number for each [`Trait`]. They are independent of each
//! other, so that what depends on one of them has a known share, or mean, in any population that the
//! others make: commitment failures are as frequent among hard questions as among easy ones. The
//! members of a group have a part of each number in common, and so has one question in several runs.

use std::array;
use std::collections::BTreeMap;

use commitment_probe::{
    Decision, Decoder, Exchanged, FirstStep, Informative, LaterStep, Sample, Sampled, Schema,
    Scorer, Sequence, Verdict,
};
use rand::{Rng, rngs::StdRng};

use super::model::{
    CLUSTERS, CONDITIONAL, CONTAINS, DECODER_RIGHT, EXCHANGED_BEGINS, EXCHANGES, Kind, LATE, MOST,
    Model, NOT_ATTEMPTED, PHRASE, POPULAR, RIGHT, RIGHT_LATER, RIGHT_LOCALISED, TAU, VALID,
    VOCABULARY, WRONG_LATER, World,
};

#[derive(Clone, Copy)]
enum Trait {
    Attempted,
    Wrong,
    Kind,
    InformativeKind,
    Firsts,
    Mass,
    InformativeMass,
    Vote,
    InformativeVote,
    Winner,
    Localised,
    Exchange,
    Popular,
    TokenEntropy,
    PTrue,
    Sequence,
    Clusters,
    Second,
    Third,
    Valid,
    Phrase,
    Conditional,
    Decoder,
    Scorer,
    Count,
}

/// One number for each trait.
type Traits = [f64; Trait::Count as usize];

/// A standard normal number, by Box and Muller.
pub fn normal(rng: &mut StdRng) -> f64 {
    let (u, v): (f64, f64) = (1.0 - rng.random::<f64>(), rng.random());
    (-2.0 * u.ln()).sqrt() * (v * std::f64::consts::TAU).cos()
}

/// The probability of a standard normal number of at most `x`.
pub fn cumulative(x: f64) -> f64 {
    libm::erfc(-x / std::f64::consts::SQRT_2) / 2.0
}

fn drawn(rng: &mut StdRng) -> Traits {
    array::from_fn(|_| normal(rng))
}

/// Numbers of variance 1 that have `part` of it from the first.
fn mixed(part: f64, one: &Traits, other: &Traits) -> Traits {
    array::from_fn(|i| part.sqrt() * one[i] + (1.0 - part).sqrt() * other[i])
}

/// The samples of one run of each model, on the same questions.
pub fn runs(world: &World, models: &[Model], rng: &mut StdRng) -> Vec<Vec<Sample>> {
    let groups = world.questions.div_ceil(world.per_group);
    let common: Vec<Traits> = (0..groups).map(|_| drawn(rng)).collect();
    let own: Vec<Traits> = (0..world.questions).map(|_| drawn(rng)).collect();
    let run = |model: &Model| {
        let common = common.iter().map(|common| mixed(world.group_same, common, &drawn(rng)));
        let common: Vec<Traits> = common.collect();
        let traits = own.iter().enumerate().map(|(question, own)| {
            let own = mixed(world.same, own, &drawn(rng));
            mixed(world.alike, &common[question / world.per_group], &own)
        });
        let traits: Vec<Answer> = traits.map(Answer).collect();
        let sample = |question| sample(question, world, model, &traits, rng);
        (0..world.questions).map(sample).collect()
    };
    models.iter().map(run).collect()
}

struct Answer(Traits);

impl Answer {
    /// A number from 0 to 1, each as likely.
    fn even(&self, of: Trait) -> f64 {
        cumulative(self.0[of as usize])
    }

    fn holds(&self, of: Trait, share: f64) -> bool {
        self.even(of) < share
    }

    fn between(&self, of: Trait, [low, high]: [f64; 2]) -> f64 {
        low + (high - low) * self.even(of)
    }

    /// Whether a wrong answer is a commitment failure, and a strict one, at the first step; and
    /// whether its winner begins a form.
    fn kind(&self, [paper, strict]: [f64; 2]) -> (Kind, bool) {
        match self.even(Trait::Kind) {
            u if u < strict => (Kind::Strict, false),
            u if u < paper => (Kind::Phrase, true),
            u => (Kind::Other, u < paper + LATE),
        }
    }

    /// The same at the informative step, which is much as the first.
    fn informative_kind(&self, [paper, strict]: [f64; 2]) -> Kind {
        let z = 0.8 * self.0[Trait::Kind as usize] + 0.6 * self.0[Trait::InformativeKind as usize];
        match cumulative(z) {
            u if u < strict => Kind::Strict,
            u if u < paper => Kind::Phrase,
            _ => Kind::Other,
        }
    }

    /// The mass of the right concept: of a right answer whose first token says so, of a failure, or
    /// of another answer.
    fn mass(&self, of: Trait, right: bool, failure: bool, ways: usize) -> f64 {
        match (right, failure) {
            (true, _) => self.between(of, RIGHT),
            // A token with more than half of the probability wins.
            (_, true) if ways == 1 => self.between(of, [TAU, 0.5]),
            (_, true) => self.between(of, [TAU, MOST]),
            _ => self.between(of, [0.0, TAU]),
        }
    }

    /// The share of the likeliest of so many tokens, which leaves another token room to win with
    /// `1 - mass`.
    fn concentration(&self, of: Trait, ways: usize, mass: f64, more: f64) -> f64 {
        if ways == 1 {
            return 1.0;
        }
        let least = 1.0 / ways as f64;
        let most = ((1.0 - mass) / mass).clamp(least + 0.05, 0.85);
        self.between(of, [least, most]) + more
    }
}

/// The entropy of the cluster at this place of the distribution.
fn clustered(shares: &[f64; 5], u: f64) -> f64 {
    let mut up_to = 0.0;
    let place = shares.iter().position(|share| {
        up_to += share;
        u < up_to
    });
    CLUSTERS[place.unwrap_or(CLUSTERS.len() - 1)]
}

fn sample(
    question: usize,
    world: &World,
    model: &Model,
    answers: &[Answer],
    rng: &mut StdRng,
) -> Sample {
    let answer = &answers[question];
    let wrong = answer.holds(Trait::Wrong, model.wrong);
    let right = !wrong;
    let verdict = match wrong {
        _ if answer.holds(Trait::Attempted, NOT_ATTEMPTED) => Verdict::NotAttempted,
        true => Verdict::Wrong,
        false => Verdict::Right,
    };
    let (kind, begins) = answer.kind(model.rates);
    let informative = answer.informative_kind(model.informative);
    let localised = if wrong { model.localised[kind as usize] } else { RIGHT_LOCALISED };
    let localised = answer.holds(Trait::Localised, localised);
    let begins_answer = if wrong { begins } else { localised };
    let firsts = (answer.between(Trait::Firsts, [model.least_firsts as f64, 6.0]) as usize).min(5);

    let failure = wrong && kind != Kind::Other;
    let mass = answer.mass(Trait::Mass, right && localised, failure, firsts);
    let more = |step: usize| if right { model.difference[step] } else { 0.0 };
    let concentration = answer.concentration(Trait::Vote, firsts, mass, more(0));
    let top = mass * concentration;
    let winner = if begins_answer { top } else { answer.between(Trait::Winner, [top, 1.0 - mass]) };

    let of_failure = wrong && informative != Kind::Other;
    let there = answer.mass(Trait::InformativeMass, right, of_failure, firsts);
    let shift = |of: [f64; 3]| if wrong { of[kind as usize] } else { 0.0 };
    let seen = usize::from(wrong && kind != Kind::Strict);
    let entropy = clustered(&model.clusters[seen], answer.even(Trait::Clusters));
    let ln_probability = -10.0 - answer.0[Trait::Sequence as usize] - shift(model.sequence);
    let truth = -answer.0[Trait::PTrue as usize] - shift(model.p_true);
    let entropies = if wrong { WRONG_LATER } else { RIGHT_LATER };
    let later = [(Trait::Second, true), (Trait::Third, answer.holds(Trait::Valid, VALID))];
    let later = later.into_iter().zip(entropies).map(|((of, valid), range)| LaterStep {
        token: 1,
        entropy: Some(answer.between(of, range) as f32),
        valid: begins_answer && valid,
    });
    let phrase = if right { 0 } else { 1 + usize::from(!failure) };
    let decides = DECODER_RIGHT[usize::from(wrong)];
    Sample {
        schema: Schema,
        id: question.to_string(),
        question: "?".into(),
        group: (world.per_group > 1).then(|| format!("group {}", question / world.per_group)),
        forms: vec![format!("form {question}")],
        prompt_tokens: 10,
        answer: "an answer".into(),
        verdict,
        scorer: Scorer::Exact,
        accepted: BTreeMap::from([
            (Scorer::Exact, right),
            (Scorer::Contains, right || answer.holds(Trait::Scorer, CONTAINS)),
        ]),
        otherwise: Verdict::Wrong,
        localised,
        vocab_size: VOCABULARY,
        first: FirstStep {
            token: 1,
            text: " a".into(),
            probability: winner as f32,
            margin: (winner / 2.0) as f32,
            begins_answer,
            is_own: begins_answer,
            firsts,
            mass: mass as f32,
            concentration: Some(concentration as f32),
            token_entropy: (5.0
                + answer.0[Trait::TokenEntropy as usize]
                + shift(model.token_entropy)) as f32,
            tokens: vec![],
        },
        later: later.collect(),
        informative: Informative {
            mass: there as f32,
            concentration: Some(
                answer.concentration(Trait::InformativeVote, firsts, there, more(1)) as f32,
            ),
            cuts: firsts,
            winner: "a".into(),
            winner_is_right: right || informative == Kind::Phrase,
            conditional: Some(answer.between(Trait::Conditional, CONDITIONAL) as f32),
            passed: vec![],
        },
        exchanged: exchanged(question, world, model, answers, rng),
        decisions: BTreeMap::from([(
            Decoder::Spelling,
            Decision {
                concept: None,
                mass: winner,
                answer: "another".into(),
                right: answer.holds(Trait::Decoder, decides),
                vote: None,
            },
        )]),
        phrase_mass: answer.between(Trait::Phrase, PHRASE[phrase]),
        sequence: Sequence { ln_probability, tokens: 3 },
        p_true: Some(cumulative(truth)),
        at_temperature: vec![],
        sampled: Some(Sampled { temperature: 1.0, answers: vec![], entropy, judged: true }),
        note: None,
    }
}

/// The forms of other questions.
fn exchanged(
    question: usize,
    world: &World,
    model: &Model,
    answers: &[Answer],
    rng: &mut StdRng,
) -> Vec<Exchanged> {
    let here = 2.0 * answers[question].even(Trait::Exchange);
    let step = |passes: f64, rng: &mut StdRng| {
        let [low, high] = if rng.random_bool(passes) { [TAU, MOST] } else { [0.0, TAU] };
        let wins = low > 0.0 && rng.random_bool(EXCHANGED_BEGINS);
        (rng.random_range(low..high) as f32, wins)
    };
    let other = |_| {
        let other = (question + rng.random_range(1..answers.len())) % answers.len();
        let popular = answers[other].holds(Trait::Popular, 1.0 / POPULAR);
        let there = if !world.popular {
            1.0
        } else if popular {
            POPULAR
        } else {
            0.0
        };
        let passes = model.chance * here * there;
        let (mass, begins_answer) = step(passes, rng);
        let (informative_mass, winner_is_right) = step(passes, rng);
        Exchanged {
            id: other.to_string(),
            mass,
            is_own: begins_answer,
            informative_mass,
            winner_is_right,
        }
    };
    (0..EXCHANGES).map(other).collect()
}
