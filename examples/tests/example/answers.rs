//! The model of `assets/tiny`.

use std::{fs, path::Path};

use super::{
    program::{PROMPT, run, succeed},
    toy::Toy,
};

const GREEDY: &str = "Counting tokens, it answers: Moscow";
const AWARE: &str = "Counting meanings, it answers: Saint Basil's Cathedral";
const NO_ARGS: [&str; 0] = [];

#[test]
fn tokens_say_moscow_and_meanings_say_saint_basils() {
    let page = succeed(NO_ARGS);
    assert!(page.contains(&format!("{GREEDY} ✗\n")), "{page}");
    assert!(page.contains(&format!("{AWARE} ✓\n")), "{page}");
}

#[test]
#[cfg(feature = "cuda")]
fn a_cuda_device_says_the_same() {
    assert_eq!(succeed(["--cuda"]), succeed(NO_ARGS));
}

#[test]
#[cfg(not(feature = "cuda"))]
fn without_the_feature_cuda_is_refused() {
    let stderr = run(["--cuda"]).stderr;
    assert_eq!(stderr, "error: --cuda needs an example built with --features cuda\n");
}

#[test]
fn the_vote_is_split_as_in_the_paper() {
    let page = succeed(NO_ARGS);
    for (token, concept, published) in [
        ("Mos", "Moscow", 0.31),
        ("Saint", "Saint Basil's Cathedral", 0.24),
        ("St", "Saint Basil's Cathedral", 0.13),
        ("C", "Saint Basil's Cathedral", 0.12),
        ("Saint + St + C", "Saint Basil's Cathedral", 0.49),
    ] {
        let probability = probability(&page, token, concept);
        assert!((probability - published).abs() <= 0.05, "{token}: {probability}");
    }
}

/// The probability in the first line `token   concept   .31 ███`.
fn probability(page: &str, token: &str, concept: &str) -> f32 {
    let line = page.lines().find_map(|line| {
        let rest = line.trim_start().strip_prefix(token)?.trim_start();
        rest.strip_prefix(concept)?.split_whitespace().next()
    });
    line.and_then(|number| number.parse().ok()).expect(page)
}

#[test]
fn output_to_a_file_has_no_colours() {
    assert!(!succeed(NO_ARGS).contains('\x1b'));
}

#[test]
fn of_all_questions_split_votes_are_recovered_and_sure_ones_stay_right() {
    let table = succeed(["--all"]);
    let count = |verdict| table.lines().filter(|line| line.ends_with(verdict)).count();
    assert!(count("  recovered") >= 20, "{table}");
    assert!(count("  right both ways") >= 20, "{table}");
    assert_eq!(count("  broken"), 0, "{table}");
}

/// How the example's own source, `map`, decides all questions: recovered, right both ways, broken.
fn verdicts(map: &[&str]) -> [usize; 3] {
    let table = succeed(["--all", "--map"].iter().chain(map));
    ["  recovered", "  right both ways", "  broken"]
        .map(|verdict| table.lines().filter(|line| line.ends_with(verdict)).count())
}

#[test]
fn spelling_recovers_the_questions_whose_answers_differ_in_case() {
    assert_eq!(verdicts(&["spelling"]), [6, 32, 0]);
}

#[test]
fn the_embedding_recovers_some() {
    let [recovered, right, broken] = verdicts(&["embedding:10,0.4"]);
    assert!(recovered >= 8 && right == 32 && broken == 0, "{recovered} {right} {broken}");
}

#[test]
fn a_list_for_all_questions_leaves_out_what_it_cannot_tell_apart() {
    let toy = Toy::new("list");
    toy.write("aliases.json", ALIASES);
    let file = toy.path("aliases.json");
    let file = file.to_str().unwrap();
    assert_eq!(verdicts(&["aliases", file, "--conflicts", "first"])[0], 3);
    let refused = run(["--all", "--map", "aliases", file]).stderr;
    assert!(refused.contains("begins forms of several concepts"), "{refused}");
}

const ALIASES: &str = r#"{
    "Saint Basil's Cathedral": ["Saint Basil's", "St. Basil's", "Cathedral of Vasily the Blessed"],
    "Mount Everest": ["Mount Everest", "Everest", "Chomolungma"],
    "Mark Twain": ["Mark Twain", "Samuel Clemens", "Twain"],
    "German money": ["Mark"]
}"#;

#[test]
fn the_vote_by_the_embedding_is_the_samplers() {
    // The page shows a map of the step; the answer comes from the sampler.
    for pooling in ["embedding:10,0.4", "embedding:2,-1", "embedding:1152,0.9"] {
        let page = succeed(["--map", pooling]);
        let (_, meanings) = page.split_once("Counting meanings, it answers: ").expect(&page);
        let mut lines = meanings.lines();
        let answer = lines.next().unwrap();
        let winner = lines.next().unwrap().split(['+', '–']).next().unwrap().trim();
        assert!(answer.starts_with(winner), "{pooling}: {page}");
    }
}

#[test]
fn the_picture_is_that_of_the_readme() {
    let toy = Toy::new("picture");
    let file = toy.path("vote.svg");
    succeed(["--svg", file.to_str().unwrap()]);
    let drawn = fs::read_to_string(&file).unwrap();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/vote.svg");
    let kept = fs::read_to_string(kept).unwrap();
    // The picture without its numbers: lengths may differ in their last digits from one kind of
    // processor to another.
    let words = |svg: &str| svg.replace(|c: char| c.is_ascii_digit() || c == '.', "");
    assert_eq!(words(&drawn), words(&kept));
    assert!(drawn.starts_with("<svg ") && drawn.ends_with("</svg>\n"), "{drawn}");
    for text in ["Counting tokens, it answers: Moscow", "Saint Basil's Cathedral", "Mos"] {
        assert!(drawn.contains(text), "{drawn}");
    }
}

#[test]
fn phrases_decide_what_first_tokens_cannot() {
    let page = succeed(["--phrases"]);
    for line in [
        "Counting tokens, it answers: Adam Lambert ✗",
        "Counting the meanings of first tokens, it answers: Adam Lambert ✗",
        "Counting phrases, it answers: Adam Smith ✓",
    ] {
        assert!(page.contains(line), "{page}");
    }
    let table = succeed(["--phrases", "--all"]);
    let recovered = table.lines().filter(|line| line.ends_with("  recovered by phrases alone"));
    assert_eq!(recovered.count(), 14, "{table}");
}

#[test]
fn phrases_of_a_model_of_the_users_own() {
    let toy = Toy::new("phrases");
    let mut args = toy.args(PROMPT);
    args.push("--phrases".into());
    let page = succeed(args);
    assert!(page.contains("Counting phrases, it answers: "), "{page}");
    let refused = run(["--phrases", "--map", "spelling"]).stderr;
    assert!(refused.contains("needs a list of answers"), "{refused}");
}

#[test]
fn a_prompt_may_end_in_a_space() {
    let page = succeed(Toy::new("space").args("Q: Who?\nA: "));
    assert!(page.contains("Counting meanings, it answers: "), "{page}");
}

#[test]
fn the_tiny_model_answers_alike_as_a_model_of_the_users_own() {
    let toy = Toy::new("tiny");
    for file in ["config.json", "model.safetensors"] {
        let tiny = concept_mass_tiny::folder().join(file);
        fs::copy(tiny, toy.path(file)).unwrap();
    }
    toy.write(
        "concepts.json",
        r#"{"St. Basil's": ["Saint Basil's", "St. Basil's", "Cathedral"], "Moscow": ["Moscow"]}"#,
    );
    let page = succeed(toy.args(PROMPT));
    assert!(page.contains(&format!("{GREEDY}\n")), "{page}");
    assert!(page.contains(&format!("{AWARE}\n")), "{page}");
}

#[test]
fn a_prompt_without_a_model_is_refused() {
    let refused = run(["--prompt", PROMPT]);
    assert!(!refused.success && refused.stderr.contains("--model <PATH>"), "{}", refused.stderr);
}

#[test]
fn a_model_without_a_prompt_is_refused() {
    let refused = run(["--model", "assets/tiny"]);
    assert!(!refused.success && refused.stderr.contains("--prompt <TEXT>"), "{}", refused.stderr);
}

#[test]
fn all_questions_of_a_model_of_the_users_own_are_refused() {
    let refused = run(["--all", "--model", "assets/tiny"]);
    assert!(!refused.success && refused.stderr.contains("cannot be used"), "{}", refused.stderr);
}
