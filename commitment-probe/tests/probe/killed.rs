//! Whatever kills a run, it goes on where it stopped: nothing is lost, nothing is there twice, and
//! what it comes to is byte for byte what an unbroken run comes to.

use std::{
    ffi::OsString,
    fs,
    path::Path,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::program::{QUESTIONS, TINY, folder, program, succeed};

const KILLS: usize = 20;

/// Batches of several questions, so that some are cut in two.
fn args(out: &Path) -> Vec<OsString> {
    let words = ["--hidden", "--batch", "3", "--samples", "2", "--max-tokens", "8", "--out"];
    let fixed =
        ["run", "--num-shots=0", "--model", TINY.as_str(), "--questions", QUESTIONS.as_str()];
    let words = fixed.iter().chain(&words).map(OsString::from);
    words.chain([out.into()]).collect()
}

/// All that a run and its report are made of.
fn files(run: &Path) -> Vec<(&'static str, Vec<u8>)> {
    succeed(["report".as_ref(), run.as_os_str()]);
    let names = [
        "run.json",
        "questions.jsonl",
        "samples.jsonl",
        "hidden.safetensors",
        "report.md",
        "report.json",
        "report.html",
    ];
    names.map(|name| (name, fs::read(run.join(name)).unwrap())).into()
}

/// Asserts that a run in `dir` has come to what the unbroken one has.
fn is_unbroken(dir: &Path, unbroken: &[(&str, Vec<u8>)]) {
    for ((name, got), (_, want)) in files(dir).iter().zip(unbroken) {
        assert!(got == want, "{name} of {} differs", dir.display());
    }
}

#[test]
fn a_killed_run_comes_to_what_an_unbroken_one_does() {
    // The folders are called alike, as the report names them.
    let unbroken = folder("killed/unbroken").join("run");
    succeed(args(&unbroken));
    let unbroken = files(&unbroken);
    let lines = |dir: &Path| {
        let samples = fs::read(dir.join("samples.jsonl")).unwrap_or_default();
        samples.iter().filter(|&&byte| byte == b'\n').count()
    };
    let all = unbroken[2].1.iter().filter(|&&byte| byte == b'\n').count();

    let mut rng = StdRng::seed_from_u64(6);
    let (mut kills, mut midway, mut round) = (0, 0, 0);
    while kills < KILLS {
        round += 1;
        let dir = folder(&format!("killed/{round}")).join("run");
        while lines(&dir) < all {
            let mut child = quiet(&args(&dir)).spawn().unwrap();
            sleep(Duration::from_millis(rng.random_range(5..900)));
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                kills += 1;
            }
            child.wait().unwrap();
            midway += usize::from((1..all).contains(&lines(&dir)));
        }
        succeed(args(&dir));
        is_unbroken(&dir, &unbroken);
    }
    println!("{kills} kills, {midway} of them midway, in {round} runs");
    assert!(midway > 0, "no kill fell between the first sample and the last");
}

fn quiet(args: &[OsString]) -> Command {
    let mut command = program(args);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn samples_that_are_cut_anywhere_are_made_whole() {
    let unbroken = folder("cut/unbroken").join("run");
    succeed(args(&unbroken));
    let unbroken = files(&unbroken);
    let samples = &unbroken[2].1;
    let ends: Vec<usize> =
        (0..samples.len()).filter(|&i| samples[i] == b'\n').map(|i| i + 1).collect();
    let mut rng = StdRng::seed_from_u64(7);
    // Within a line; after one; before its line break.
    let line = rng.random_range(3..ends.len() - 3);
    let cuts = [rng.random_range(0..samples.len()), ends[line], ends[line + 1] - 1, 0, 1];
    let dir = folder("cut/cut").join("run");
    succeed(args(&dir));
    for cut in cuts {
        fs::write(dir.join("samples.jsonl"), &samples[..cut]).unwrap();
        succeed(args(&dir));
        is_unbroken(&dir, &unbroken);
    }
}
