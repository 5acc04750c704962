//! Hidden states know what is written into them, and nothing else.

use std::fs;
use std::path::Path;

use commitment_probe::stats::{self, Folded};
use commitment_probe::{
    Blocks, Contrast, Evidence, FOLDS, Grouping, Hidden, HiddenState, HiddenStates, HiddenWriter,
    Predictors, Report, Sample, Schema, Summary, WhyNot,
};
use rand::{SeedableRng, rngs::StdRng};
use rayon::prelude::*;
use serde_json::json;

use super::super::program::folder;
use super::model::{TAU, World};
use super::world::{normal, runs};
use super::{COMMITTED, GROUPED, SINGLE};

/// How many worlds are made where nothing is to be found.
const SEEDS: u64 = 200;

/// The numbers of a state.
const WIDTH: usize = 16;

/// The block that a failure is written into, by its place.
const WRITTEN: usize = 2;

/// Enough questions for fifty strict failures, and as many partners.
const QUESTIONS: World = World { questions: 700, ..SINGLE };

/// The states of `samples` in `dir`: noise, which the questions of a group have in common in part, and
/// what the first step's entropy and probability write into it, more from block to block; and into one
/// block, `signal` along one direction in strict failures, and half as much along another in all
/// wrong answers.
fn states(samples: &[Sample], signal: f64, rng: &mut StdRng, dir: &Path) -> HiddenStates {
    fs::create_dir_all(dir).unwrap();
    let mut drawn = || -> Vec<f64> { (0..WIDTH).map(|_| normal(rng)).collect() };
    let directions: [Vec<f64>; 4] = std::array::from_fn(|_| drawn());
    let mut writer = HiddenWriter::open(dir, Blocks::quarters(8)).unwrap();
    let (mut group, mut common) = (None, drawn());
    for sample in samples {
        if sample.group.is_none() || sample.group != group {
            (group, common) = (sample.group.clone(), drawn());
        }
        let own = drawn();
        let strict = f64::from(sample.is_strict_failure(TAU));
        let wrong = f64::from(sample.is_wrong());
        let numbers = [sample.first.token_entropy, sample.first.probability].map(f64::from);
        let state = |block: usize| {
            let known = (block + 1) as f64 / 4.0;
            let signal = if block == WRITTEN { signal } else { 0.0 };
            let number = |j: usize| {
                let [entropy, probability, of_strict, of_wrong] =
                    [0, 1, 2, 3].map(|i| directions[i][j]);
                let said = numbers[0] * entropy + 3.0 * numbers[1] * probability;
                let written = strict * of_strict + wrong / 2.0 * of_wrong;
                (2.0 * (own[j] + 0.5 * common[j]) + known * said + signal * written) as f32
            };
            (0..WIDTH).map(number).collect()
        };
        let embedding = drawn().iter().map(|x| *x as f32).collect();
        let state = HiddenState { states: (0..4).map(state).collect(), embedding };
        writer.append(&sample.id, &state).unwrap();
    }
    writer.finish().unwrap();
    HiddenStates::load(dir).unwrap().unwrap()
}

/// A made-up run, and its states.
fn made_up(world: World, signal: f64, seed: u64, dir: &Path) -> (Vec<Sample>, HiddenStates) {
    let mut rng = StdRng::seed_from_u64(seed);
    let samples = runs(&world, &[COMMITTED], &mut rng).remove(0);
    let states = states(&samples, signal, &mut rng, dir);
    (samples, states)
}

fn known(samples: &[Sample], states: &HiddenStates) -> Hidden {
    Hidden::of(samples, states, TAU).unwrap().unwrap()
}

/// The run is left in a folder, with a report: check_report recomputes it by scikit-learn.
fn left(name: &str, world: World, signal: f64) -> Hidden {
    let dir = folder(&format!("hidden/{name}"));
    let run = dir.join("run");
    let (samples, states) = made_up(world, signal, 1, &run);
    let hidden = known(&samples, &states);
    let lines = |each: &dyn Fn(&Sample) -> String| -> String {
        samples.iter().map(|sample| each(sample) + "\n").collect()
    };
    let question = |sample: &Sample| {
        json!({"id": sample.id, "question": "?", "answers": sample.forms}).to_string()
    };
    let summary = Summary::of("run", samples.len(), TAU, &samples).unwrap();
    let evidence = Evidence::of(&samples, TAU, 0);
    let evidence = evidence.with_settings([("seed".to_owned(), 0.into())].into(), [].into());
    let report = Report::new(vec![summary.with_hidden(Some(hidden.clone()))]);
    let report = report.with_evidence(vec![evidence]);
    for (file, text) in [
        ("run/samples.jsonl", lines(&|sample| serde_json::to_string(sample).unwrap())),
        ("run/questions.jsonl", lines(&question)),
        ("run/run.json", json!({"schema": Schema::VERSION, "seed": 0}).to_string()),
        ("report.json", report.json()),
        ("report.html", report.html()),
    ] {
        fs::write(dir.join(file), text).unwrap();
    }
    hidden
}

#[test]
fn a_failure_that_is_written_into_a_state_is_found() {
    let found = left("written", World { questions: 700, ..GROUPED }, 1.2);
    assert_eq!((found.grouping, found.groups, found.largest), (Grouping::EntityAndAnswer, 175, 4));
    for (contrast, of) in &found.contrasts {
        assert_eq!((of.why_not, of.detectable), (None, Some(true)), "{contrast}: {of:?}");
        assert!(of.learnt.len() == FOLDS && of.learnt.iter().all(|&n| n >= 2 * Hidden::LEARNT));
        let [positives, negatives] = of.of;
        assert!(of.positives <= positives && of.negatives <= negatives);
        let area = |evidence| of.areas[&evidence].area;
        assert!(
            area(Predictors::Both).value > area(Predictors::Scalars).value + 0.02,
            "{contrast}"
        );
        let shuffled = area(Predictors::Shuffled);
        assert!(shuffled.low < 0.5 && 0.5 < shuffled.high, "{contrast}: {shuffled:?}");
        let value = |block: usize| of.by_block[block].area.value;
        let best = (0..4).max_by(|&a, &b| value(a).total_cmp(&value(b)));
        assert_eq!(best, Some(WRITTEN), "{contrast}");
        let chosen = &of.areas[&Predictors::States].chosen;
        assert!(chosen.iter().all(|chosen| chosen.block == Some(6)), "{contrast}: {chosen:?}");
    }
}

#[test]
fn a_failure_that_is_not_written_is_not_found() {
    let found = left("unwritten", QUESTIONS, 0.0);
    for (contrast, of) in &found.contrasts {
        assert_eq!((of.why_not, of.detectable), (None, Some(false)), "{contrast}: {of:?}");
    }
    // What the scalars say is in the states.
    let area = |evidence: Predictors| found.contrasts[&Contrast::WrongRight].areas[&evidence].area;
    assert!(area(Predictors::Scalars).low > 0.5 && area(Predictors::States).low > 0.5);
}

fn claims(name: &str, world: World) {
    let claims = |seed: u64| {
        let dir = folder(&format!("hidden/{name}-{seed}"));
        let (samples, states) = made_up(world, 0.0, seed, &dir);
        fs::remove_dir_all(&dir).unwrap();
        let found = known(&samples, &states).contrasts;
        found.into_values().map(|of| of.detectable).collect::<Vec<_>>()
    };
    let all: Vec<Vec<Option<bool>>> = (0..SEEDS).into_par_iter().map(claims).collect();
    for (contrast, name_of) in Contrast::ALL.iter().enumerate() {
        let of: Vec<bool> = all.iter().filter_map(|found| found[contrast]).collect();
        let made = of.iter().filter(|claim| **claim).count();
        println!("{name}, {name_of}: {made} false claims of {}", of.len());
        assert!(of.len() > SEEDS as usize / 2 && made * 20 <= of.len(), "{name}, {name_of}");
    }
}

#[test]
#[ignore = "takes minutes: it is in .ci/extended"]
fn states_that_know_nothing_are_rarely_taken_for_knowing() {
    claims("single", QUESTIONS);
}

#[test]
#[ignore = "takes minutes: it is in .ci/extended"]
fn states_of_groups_that_know_nothing_are_rarely_taken_for_knowing() {
    claims("grouped", World { questions: 700, ..GROUPED });
}

#[test]
fn the_bits_do_not_depend_on_threads() {
    let (samples, states) =
        made_up(World { questions: 400, ..SINGLE }, 0.5, 3, &folder("hidden/bits"));
    let of = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        serde_json::to_string(&pool.install(|| known(&samples, &states))).unwrap()
    };
    let one = of(1);
    assert!(one == of(3) && one.contains("\"detectable\":"));
}

#[test]
fn few_of_a_kind_are_not_shown() {
    let world = World { questions: 120, ..SINGLE };
    let (samples, states) = made_up(world, 1.0, 4, &folder("hidden/few"));
    let found = known(&samples, &states);
    for contrast in [Contrast::StrictRight, Contrast::StrictOther] {
        let of = &found.contrasts[&contrast];
        assert!(of.positives < Hidden::LEAST && of.positives > 0);
        assert_eq!((of.why_not, of.gain, of.detectable), (Some(WhyNot::Few), None, None));
        assert!(of.areas.is_empty() && of.by_block.is_empty());
    }
    let page =
        Report::new(vec![Summary::of("run", 120, TAU, &samples).unwrap().with_hidden(Some(found))]);
    assert!(page.markdown().contains("not shown: fewer than 50 of a kind"));
    assert!(page.html().contains("hidden-states"));
}

/// No question is scored by a model that has seen its entity or its answer.
#[test]
fn what_is_linked_is_held_out_together() {
    let world = World { questions: 400, ..GROUPED };
    let (mut samples, states) = made_up(world, 0.0, 5, &folder("hidden/linked"));
    let check = |samples: &[Sample], grouping: Grouping| {
        let found = known(samples, &states);
        assert_eq!(found.grouping, grouping);
        let place = |sample: &Sample| found.places.get(&sample.id);
        for (a, b) in samples.iter().flat_map(|a| samples.iter().map(move |b| (a, b))) {
            let (Some(of_a), Some(of_b)) = (place(a), place(b)) else { continue };
            if a.group == b.group {
                assert_eq!((of_a.fold, of_a.inner), (of_b.fold, of_b.inner));
            }
            if a.forms[0].to_lowercase() == b.forms[0].to_lowercase() {
                assert_eq!(of_a.answer, of_b.answer, "{} {}", a.forms[0], b.forms[0]);
                assert!(grouping == Grouping::Entity || of_a.fold == of_b.fold);
            }
        }
        // Right answers and strict failures are in every fold.
        for fold in 0..FOLDS {
            let of = |is: &dyn Fn(&Sample) -> bool| {
                let here = |s: &&Sample| is(s) && place(s).is_some_and(|place| place.fold == fold);
                samples.iter().filter(here).count()
            };
            let (right, strict) = (of(&Sample::is_right), of(&|s| s.is_strict_failure(TAU)));
            assert!((30..=46).contains(&right) && (7..=15).contains(&strict), "{right} {strict}");
        }
        found
    };
    check(&samples, Grouping::EntityAndAnswer);
    for i in (0..400).step_by(40) {
        samples[i].forms = vec!["Łódź".into(), format!("other {i}")];
        samples[(i + 9) % 400].forms = vec!["ŁÓDŹ!".into(), format!("other {i}")];
    }
    check(&samples, Grouping::EntityAndAnswer);
    // A frequent answer links nearly all.
    samples.iter_mut().step_by(4).for_each(|sample| sample.forms = vec!["Europe".into()]);
    let found = check(&samples, Grouping::Entity);
    let page =
        Report::new(vec![Summary::of("run", 400, TAU, &samples).unwrap().with_hidden(Some(found))]);
    assert!(page.markdown().contains("link too many"));
}

/// Scores of two folds are on scales of their own, and of one fold it is the usual area.
#[test]
fn only_pairs_of_one_fold_are_compared() {
    let mut rng = StdRng::seed_from_u64(7);
    let positives: Vec<bool> = (0..200).map(|i| i % 3 == 0).collect();
    let scores: Vec<f64> =
        positives.iter().map(|&p| normal(&mut rng) + f64::from(u8::from(p))).collect();
    let (folds, groups): (Vec<usize>, Vec<usize>) = (0..200).map(|i| (i / 100, i)).unzip();
    let of = Folded { positives: &positives, folds: &folds, groups: &groups, learnt: None };
    let shifted: Vec<f64> = scores.iter().zip(&folds).map(|(s, f)| s * 3.0 + *f as f64).collect();
    let found = stats::auroc_within_of(&scores, of).unwrap();
    assert_eq!(stats::auroc_within_of(&shifted, of).unwrap(), found);
    let one = Folded { folds: &[0; 200], ..of };
    let parts = |kind: bool| -> Vec<f64> {
        scores.iter().zip(&positives).filter(|(_, p)| **p == kind).map(|(s, _)| *s).collect()
    };
    assert_eq!(stats::auroc_within(&scores, one), stats::auroc(&parts(true), &parts(false)));
    let alone = stats::auroc_within_of(&scores, one).unwrap();
    let ratio = (found.high - found.low) / (alone.high - alone.low);
    assert!((1.5..2.0).contains(&ratio), "{ratio}");
    // The fewer it has learnt from, the wider: √(1 + 2 · 100/50) to √(1 + 2 · 100/100).
    let fewer = stats::auroc_within_of(&scores, Folded { learnt: Some(&[50; 200]), ..of }).unwrap();
    let ratio = (fewer.value - fewer.low) / (found.value - found.low);
    assert!((ratio - (5.0f64 / 3.0).sqrt()).abs() < 1e-9, "{ratio}");
    let gain = stats::auroc_gain([&scores, &shifted], of).unwrap();
    assert_eq!((gain.value, gain.low, gain.high), (0.0, 0.0, 0.0));
    assert_eq!(stats::auroc_within(&[f64::NAN; 200], of), None);
    assert_eq!(stats::auroc_within(&scores[1..], of), None);
}
