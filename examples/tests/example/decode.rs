//! The decode loop, with candle's sampler and with ours.

use std::{fs, path::Path};

/// It has tests of its own.
#[path = "../../decode/text_stream.rs"]
mod text_stream;

use super::{
    program::{Run, run_example},
    toy::Toy,
};

/// What a run prints that must succeed.
fn succeed(args: &[&str]) -> String {
    let Run { success, stdout, stderr } = run_example("decode", args);
    assert!(success && stderr.is_empty(), "{stdout}\n{stderr}");
    stdout
}

/// The texts of candle's sampler and of ours.
fn both(args: &[&str]) -> (String, String) {
    let page = succeed(args);
    let (candles, ours) = page.split_once("\nours   ▸").expect(&page);
    let candles = candles.strip_prefix("candle ▸").expect(&page);
    (candles.to_owned(), ours.trim_end_matches('\n').to_owned())
}

#[test]
fn the_readme_shows_what_it_prints() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    assert!(readme.contains(&format!("```text\n{}```", succeed(&[]))), "{}", succeed(&[]));
}

#[test]
fn meanings_win_where_tokens_lose() {
    let (candles, ours) = both(&[]);
    assert_eq!((candles.as_str(), ours.as_str()), (" Silver", " Gold"));
}

#[test]
fn without_a_map_the_text_is_candles() {
    for way in [&[][..], &["--top-p", "0.8"], &["--repeat-penalty", "1.3"]] {
        let mut texts = Vec::new();
        for seed in 1..=12 {
            let seed = seed.to_string();
            let args = ["--map", "none", "--temperature", "0.9", "--seed", &seed];
            let (candles, ours) = both(&[&args, way].concat());
            assert_eq!(candles, ours, "{way:?}, seed {seed}");
            texts.push(ours);
        }
        // Or it would say nothing of draws.
        texts.sort();
        texts.dedup();
        assert!(texts.len() > 2, "{texts:?}");
    }
}

#[test]
fn the_likeliest_token_has_all_of_min_p() {
    let ours = |args: &[&str]| succeed(&[&["--map", "none", "--sampler", "ours"], args].concat());
    let greedy = ours(&[]);
    for seed in ["1", "2", "3"] {
        assert_eq!(ours(&["--temperature", "1.5", "--min-p", "1", "--seed", seed]), greedy);
    }
}

#[test]
fn the_prompt_counts_for_penalties() {
    // A prompt that has said it already.
    let prompt = "Q: Which medal does the winner of a race get, Silver or Gold?\nA:";
    let args = ["--map", "none", "--prompt", prompt];
    let penalised = [&args[..], &["--repeat-penalty", "1000"]].concat();
    let (candles, ours) = both(&penalised);
    assert_eq!(candles, ours);
    assert!(!ours.contains("Silver") && !ours.contains("Gold"), "{ours}");
    assert_ne!(ours, both(&args).1);
}

#[test]
fn candle_has_no_min_p() {
    let stderr = run_example("decode", ["--min-p", "0.1"]).stderr;
    assert_eq!(stderr, "error: candle's sampler has no min_p: add --sampler ours\n");
}

#[test]
fn a_folder_without_a_tokenizer() {
    let toy = Toy::new("decode");
    fs::remove_file(toy.path("tokenizer.json")).unwrap();
    let stderr = run_example("decode", ["--model".as_ref(), toy.dir.as_os_str()]).stderr;
    assert!(
        stderr.starts_with("error: cannot read ") && stderr.contains("tokenizer.json"),
        "{stderr}"
    );
}
