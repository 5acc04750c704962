//! Answers sampled at a temperature, and which of them mean the same.

use std::collections::HashMap;

use candle_core::Tensor;
use concept_mass::{
    Noise,
    phrase::NextLogits,
    source::{checked_groups, is_blank},
};

use super::{Asked, BoxedJudge, Prober};
use crate::Result;
use crate::answer::{is_match, key};
use crate::sample::{Sampled, SampledAnswer};
use crate::stats;

impl<M: NextLogits> Prober<M> {
    /// The sampled answers to a question, if any are asked for; `logits` `[V]` are those of the
    /// first token.
    pub(super) fn sampled(&mut self, asked: &Asked, logits: &Tensor) -> Result<Option<Sampled>> {
        let temperature = self.options.temperature;
        if self.options.samples == 0 {
            return Ok(None);
        }
        let mut noise = Noise::new(seed(self.options.seed, asked.question.id()), &self.device)?;
        let tokens = self.tokens.clone();
        let mut sample = |logits: &Tensor| {
            Ok(tokens.sample(logits, temperature, &mut noise)?.to_vec1::<u32>()?)
        };
        let mut texts = Vec::new();
        while texts.len() < self.options.samples {
            let rows = self.options.batch.min(self.options.samples - texts.len());
            let firsts = sample(&logits.repeat((rows, 1))?)?;
            let begin = |first: &u32| [asked.tokens, &[*first]].concat();
            let begun = firsts.iter().map(begin).collect();
            for said in self.complete(begun, asked.tokens.len(), &mut sample)? {
                texts.push(self.text(&said)?);
            }
        }
        let clusters = clusters(asked.question.text(), &texts, self.judge.as_mut())?;
        let mut counts = vec![0; clusters.iter().max().map_or(0, |last| last + 1)];
        clusters.iter().for_each(|&cluster| counts[cluster] += 1);
        let answers = texts.into_iter().zip(clusters).map(|(text, cluster)| SampledAnswer {
            right: is_match(&text, asked.question.answers()),
            text,
            cluster,
        });
        let answers = answers.collect();
        Ok(Some(Sampled { temperature, answers, semantic_entropy: stats::entropy(&counts) }))
    }
}

/// The seed of one question, which does not depend on the others: FNV-1a over its id, from the
/// run's seed.
fn seed(seed: u64, id: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3);
    id.bytes().fold(0xCBF2_9CE4_8422_2325 ^ seed, step)
}

/// The cluster of each answer, numbered in order of appearance: answers that are equal once
/// normalised are one, and so are those that `judge` says mean the same. Blank answers are one, too,
/// and mean the same as no other: the judge does not see them.
fn clusters(
    question: &str,
    answers: &[String],
    judge: Option<&mut BoxedJudge>,
) -> Result<Vec<usize>> {
    let mut by_key = HashMap::new();
    // Those that are shown to a judge: their numbers and texts.
    let (mut shown, mut texts) = (Vec::new(), Vec::new());
    let number = |answer: &String| {
        let blank = is_blank(answer);
        let next = by_key.len();
        *by_key.entry(if blank { String::new() } else { key(answer) }).or_insert_with(|| {
            if !blank {
                shown.push(next);
                // Whether one answer entails another depends on the question.
                texts.push(format!("{question} {answer}"));
            }
            next
        })
    };
    let numbers: Vec<usize> = answers.iter().map(number).collect();
    let mut joined: Vec<usize> = (0..by_key.len()).collect();
    if let Some(judge) = judge {
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        for group in checked_groups(judge.as_mut(), &texts)? {
            let first = group.iter().copied().min();
            group.iter().for_each(|&member| joined[shown[member]] = shown[first.unwrap_or(member)]);
        }
    }
    // As some have been joined, the numbers have gaps.
    let mut clusters = HashMap::new();
    let cluster = |number: usize| {
        let next = clusters.len();
        *clusters.entry(joined[number]).or_insert(next)
    };
    Ok(numbers.into_iter().map(cluster).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use concept_mass::source::JudgeError;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_does_not_differ_once_normalised_is_one_cluster() {
        let texts = texts(&["Paris", "the Paris.", "", "London", "paris", " "]);
        assert_eq!(clusters("Where?", &texts, None).unwrap(), [0, 0, 1, 2, 0, 1]);
    }

    #[test]
    fn a_judge_joins_clusters() {
        let texts = texts(&["Holland", "Belgium", "Netherlands", "holland"]);
        let judge = |texts: &[&str]| -> Result<Vec<Vec<usize>>, JudgeError> {
            assert_eq!(texts, ["Where? Holland", "Where? Belgium", "Where? Netherlands"]);
            Ok(vec![vec![2, 0]])
        };
        assert_eq!(
            clusters("Where?", &texts, Some(&mut (Box::new(judge) as _))).unwrap(),
            [0, 1, 0, 0]
        );
    }

    #[test]
    fn silence_means_the_same_as_no_answer() {
        let texts = texts(&["", "London", "\u{200B}", "Paris", " ", "\u{AD}\n"]);
        let all_alike = |texts: &[&str]| -> Result<Vec<Vec<usize>>, JudgeError> {
            assert_eq!(texts, ["Where? London", "Where? Paris"]);
            Ok(vec![(0..texts.len()).collect()])
        };
        let judged = clusters("Where?", &texts, Some(&mut (Box::new(all_alike) as _))).unwrap();
        assert_eq!(judged, [0, 1, 0, 1, 0, 0]);
        let never = |_: &[&str]| -> Result<Vec<Vec<usize>>, JudgeError> { panic!("one answer") };
        let judged = clusters("Where?", &texts[..3], Some(&mut (Box::new(never) as _))).unwrap();
        assert_eq!(judged, [0, 1, 0]);
    }

    #[test]
    fn questions_have_seeds_of_their_own() {
        assert_ne!(seed(0, "a"), seed(0, "b"));
        assert_ne!(seed(0, "a"), seed(1, "a"));
        assert_eq!(seed(5, "a"), seed(5, "a"));
    }
}
