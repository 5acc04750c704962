//! Which sampled answers mean the same.

use std::collections::HashMap;

use concept_mass::source::{checked_groups, is_blank};

use super::BoxedJudge;
use crate::scorer::{contained, key};
use crate::{Question, Result};

/// The cluster of each answer, numbered in order of appearance.
///
/// Without a judge, answers that contain a form of one known answer are one, and so are those that
/// are equal once normalised. With one, those are one that are equal once normalised, and those that
/// it says mean the same. Blank answers are one, too, and mean the same as no other: the judge does
/// not see them.
pub(super) fn clusters(
    question: &Question,
    answers: &[String],
    judge: Option<&mut BoxedJudge>,
) -> Result<Vec<usize>> {
    match judge {
        Some(judge) => by_judge(question.text(), answers, judge),
        None => {
            let of_form = |answer: &String| {
                let mut concepts = question.concepts().enumerate();
                concepts.find(|(_, (_, forms))| contained(answer, forms).is_some())
            };
            let key = |answer: &String| match of_form(answer) {
                Some((concept, _)) => Err(concept),
                None => Ok(own_key(answer)),
            };
            Ok(numbered(answers.iter().map(key)))
        }
    }
}

/// The normalised answer; of a blank one, nothing.
fn own_key(answer: &str) -> String {
    if is_blank(answer) { String::new() } else { key(answer) }
}

/// A number for each value, the same for equal ones, in order of appearance.
fn numbered<T: std::hash::Hash + Eq>(values: impl Iterator<Item = T>) -> Vec<usize> {
    let mut numbers = HashMap::new();
    let number = |value| {
        let next = numbers.len();
        *numbers.entry(value).or_insert(next)
    };
    values.map(number).collect()
}

fn by_judge(question: &str, answers: &[String], judge: &mut BoxedJudge) -> Result<Vec<usize>> {
    let numbers = numbered(answers.iter().map(|answer| own_key(answer)));
    // Those that are shown to the judge: the first answer of each number, and what is asked of it.
    let (mut shown, mut texts) = (Vec::new(), Vec::new());
    for (place, (answer, &number)) in answers.iter().zip(&numbers).enumerate() {
        let is_first = !numbers[..place].contains(&number);
        if is_first && !is_blank(answer) {
            shown.push(number);
            // Whether one answer entails another depends on the question.
            texts.push(format!("{question} {answer}"));
        }
    }
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut joined: Vec<usize> = (0..answers.len()).collect();
    for group in checked_groups(judge.as_mut(), &texts)? {
        let first = group.iter().copied().min();
        group.iter().for_each(|&member| joined[shown[member]] = shown[first.unwrap_or(member)]);
    }
    // As some have been joined, the numbers have gaps.
    Ok(numbered(numbers.into_iter().map(|number| joined[number])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use concept_mass::source::JudgeError;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn question() -> Question {
        let answers = texts(&["Paris", "City of Light"]);
        Question::new("where", "Where?", answers, Default::default()).unwrap()
    }

    #[test]
    fn answers_that_contain_a_form_are_one_cluster_and_so_are_equal_ones() {
        let texts = texts(&[
            "Paris",
            "It is Paris.",
            "",
            "London",
            "the city of light",
            " ",
            "london!",
            "In London",
        ]);
        assert_eq!(clusters(&question(), &texts, None).unwrap(), [0, 0, 1, 2, 0, 1, 2, 3]);
    }

    #[test]
    fn a_judge_joins_clusters() {
        let texts = texts(&["Holland", "Belgium", "Netherlands", "holland"]);
        let judge = |texts: &[&str]| -> Result<Vec<Vec<usize>>, JudgeError> {
            assert_eq!(texts, ["Where? Holland", "Where? Belgium", "Where? Netherlands"]);
            Ok(vec![vec![2, 0]])
        };
        let judged = clusters(&question(), &texts, Some(&mut (Box::new(judge) as _))).unwrap();
        assert_eq!(judged, [0, 1, 0, 0]);
    }

    #[test]
    fn silence_means_the_same_as_no_answer() {
        let texts = texts(&["", "London", "\u{200B}", "Paris", " ", "\u{AD}\n"]);
        let all_alike = |texts: &[&str]| -> Result<Vec<Vec<usize>>, JudgeError> {
            assert_eq!(texts, ["Where? London", "Where? Paris"]);
            Ok(vec![(0..texts.len()).collect()])
        };
        let judged = clusters(&question(), &texts, Some(&mut (Box::new(all_alike) as _))).unwrap();
        assert_eq!(judged, [0, 1, 0, 1, 0, 0]);
        let never = |_: &[&str]| -> Result<Vec<Vec<usize>>, JudgeError> { panic!("one answer") };
        let judged = clusters(&question(), &texts[..3], Some(&mut (Box::new(never) as _))).unwrap();
        assert_eq!(judged, [0, 1, 0]);
    }
}
