//! What answers are worth by other measures: later tokens, detectors, calibration, decoders,
//! temperature.

use std::collections::BTreeMap;

use super::{Members, Outcomes};
use crate::sample::{LaterStep, Sample, Sampled};
use crate::stats::{self, Calibration};
use crate::summary::*;
use crate::{Decoder, Detector, Outcome};

/// The bins of a reliability diagram.
const BINS: u16 = 10;

pub(super) fn later(groups: &Outcomes) -> Later {
    let wrong = groups.of(Outcome::Hallucination);
    let late = |sample: &Sample| sample.first.begins_answer;
    let step = |place: usize| Entropies {
        right: entropy(&groups.of(Outcome::Right), place),
        wrong: entropy(&wrong, place),
    };
    Later {
        second: step(0),
        third: step(1),
        phrase_failures: wrong.samples.iter().filter(|sample| late(sample)).count(),
        phrase_failure_rate: wrong.share(late),
        phrase_mass: groups.each(Outcome::PARTS, |of| of.mean(|s| Some(s.phrase_mass))),
    }
}

/// The entropy of a later step, of those answers that begin a form before it.
fn entropy(of: &Members, place: usize) -> Entropy {
    let nats = |sample: &Sample| -> Option<f64> {
        let begins = |step: &&LaterStep| match place {
            0 => sample.first.begins_answer,
            _ => step.valid,
        };
        sample.later.get(place).filter(begins)?.entropy.map(f64::from)
    };
    Entropy {
        nats: of.mean(nats),
        share: of.mean(|sample| Some(nats(sample)? / (sample.vocab_size as f64).ln())),
    }
}

pub(super) fn detectors(groups: &Outcomes) -> BTreeMap<Detector, ByOutcome> {
    let wrong: Vec<Outcome> = Outcome::ALL.iter().copied().filter(|o| o.is_wrong()).collect();
    let right = groups.of(Outcome::Right);
    let detector = |&detector: &Detector| {
        let negatives = right.values(|sample| score(detector, sample));
        let against_right = |wrong: &Members| {
            let positives = wrong.values(|sample| score(detector, sample));
            let labels = positives.1.as_deref().zip(negatives.1.as_deref());
            stats::auroc_of(&positives.0, &negatives.0, labels.map(|(p, n)| [p, n]))
        };
        (detector, groups.each(&wrong, against_right))
    };
    Detector::ALL.iter().map(detector).collect()
}

/// What a detector goes by: the higher, the likelier the answer is wrong. None if the sample does
/// not have it.
fn score(detector: Detector, sample: &Sample) -> Option<f64> {
    let entropy = |decoder| Some(sample.decisions.get(&decoder)?.vote?.entropy.into());
    let clusters = |judged: bool| {
        let sampled = sample.sampled.as_ref()?;
        (sampled.judged == judged).then_some(sampled.entropy)
    };
    match detector {
        Detector::MaxProbability => Some(-f64::from(sample.first.probability)),
        Detector::Margin => Some(-f64::from(sample.first.margin)),
        Detector::TokenEntropy => Some(sample.first.token_entropy.into()),
        Detector::ConceptEntropySpelling => entropy(Decoder::Spelling),
        Detector::ConceptEntropyEmbedding => entropy(Decoder::Embedding),
        Detector::ConceptEntropyAliases => entropy(Decoder::Aliases),
        Detector::Sequence => Some(-sample.sequence.ln_probability),
        Detector::SequencePerToken => {
            let tokens = sample.sequence.tokens;
            (tokens > 0).then(|| -sample.sequence.ln_probability / tokens as f64)
        }
        Detector::PTrue => sample.p_true.map(|p| -p),
        Detector::SemanticEntropy => clusters(true),
        Detector::LexicalClusterEntropy => clusters(false),
        Detector::PMass => Some(-sample.mass()),
    }
}

pub(super) fn calibration(groups: &Outcomes) -> BTreeMap<Decoder, Calibration> {
    let answers = groups.of(Outcome::All);
    let calibration = |&decoder: &Decoder| {
        let (confidences, right): (Vec<f64>, Vec<bool>) =
            answers.samples.iter().filter_map(|sample| sample.confidence(decoder)).unzip();
        (decoder, stats::calibration(&confidences, &right, BINS))
    };
    Decoder::ALL.iter().map(calibration).collect()
}

pub(super) fn decoders(groups: &Outcomes) -> BTreeMap<Decoder, DecoderSummary> {
    let summary = |decoder: Decoder| {
        let decided = |of: &Members<'_>| {
            let right = of.samples.iter().filter_map(|s| Some(s.confidence(decoder)?.1));
            right.fold((0, 0), |(hits, of), right| (hits + usize::from(right), of + 1))
        };
        let has = |sample: &Sample| sample.confidence(decoder).is_some();
        let is_right = |sample: &Sample| sample.confidence(decoder).is_some_and(|(_, is)| is);
        let (recovered, _) = decided(&groups.of(Outcome::Hallucination));
        let (kept, right) = decided(&groups.of(Outcome::Right));
        DecoderSummary {
            right: groups.each(Outcome::ALL, |of| of.filter(has).share(is_right)),
            recovered,
            broken: right - kept,
            broken_rate: groups.of(Outcome::Right).filter(has).share(|sample| !is_right(sample)),
        }
    };
    Decoder::others().map(|decoder| (decoder, summary(decoder))).collect()
}

pub(super) fn temperature(groups: &Outcomes) -> Temperature {
    let all = groups.of(Outcome::All);
    let mut temperatures: Vec<f64> = Vec::new();
    for at in all.samples.iter().flat_map(|sample| &sample.at_temperature) {
        if !temperatures.contains(&at.temperature) {
            temperatures.push(at.temperature);
        }
    }
    let mass_at = |temperature: f64| {
        let mean = |of: &Members| {
            let all = of.samples.iter().flat_map(|sample| &sample.at_temperature);
            let masses = all.filter(|at| at.temperature == temperature);
            let masses: Vec<f64> = masses.map(|at| at.mass.into()).collect();
            let mean = masses.iter().sum::<f64>() / masses.len() as f64;
            mean.is_finite().then_some(mean)
        };
        MassAt { temperature, mass: groups.each(Outcome::PARTS, mean) }
    };
    let curve = temperatures.into_iter().map(mass_at).collect();
    let first = all.samples.iter().find_map(|sample| sample.sampled.as_ref());
    let sampled = first.map(|first| SampledSummary {
        temperature: first.temperature,
        samples: first.answers.len(),
        judged: first.judged,
        shares: groups.each(Outcome::ALL, sampled_shares),
    });
    Temperature { curve, sampled }
}

fn sampled_shares(of: &Members) -> SampledShares {
    let has = |sample: &Sample| sample.sampled.as_ref().is_some_and(|s| !s.answers.is_empty());
    let of = of.filter(has);
    let right = |sampled: &Sampled| sampled.answers.iter().filter(|answer| answer.right).count();
    // Answers to one question are not independent: it is questions that are counted.
    let share = |sample: &Sample| {
        let sampled = sample.sampled.as_ref()?;
        Some(right(sampled) as f64 / sampled.answers.len() as f64)
    };
    let holds = |what: fn(&Sampled) -> bool| {
        move |sample: &Sample| sample.sampled.as_ref().is_some_and(what)
    };
    SampledShares {
        answers: of.mean(share),
        majority: of.share(holds(|sampled| sampled.majority().is_some_and(|a| a.right))),
        any: of.share(holds(|sampled| sampled.answers.iter().any(|answer| answer.right))),
        entropy: of.mean(|sample| Some(sample.sampled.as_ref()?.entropy)),
    }
}
