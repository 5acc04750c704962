//! Requests that come and go, and are preempted.

use std::{fs, path::Path};

use super::program::{Run, run_example};

/// What a run prints that must succeed.
fn succeed(args: &[&str]) -> String {
    let Run { success, stdout, stderr } = run_example("serve", args);
    assert!(success && stderr.is_empty(), "{stdout}\n{stderr}");
    stdout
}

#[test]
fn the_readme_shows_what_it_prints() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(readme).unwrap();
    let page = succeed(&[]);
    assert!(readme.contains(&format!("```text\n{page}```")), "{page}");
}

#[test]
fn answers_do_not_depend_on_who_else_is_served() {
    let answers = |page: &str| -> Vec<String> {
        let lines = page.lines().skip(1).take(9);
        lines.map(|line| line[61..95].to_owned()).collect()
    };
    let want = answers(&succeed(&[]));
    for args in [
        ["--slots", "1", "--seed", "4"],
        ["--slots", "2", "--seed", "2"],
        ["--slots", "9", "--seed", "3"],
    ] {
        let page = succeed(&args);
        assert!(page.contains("All 9 answers are those that each request has alone"), "{page}");
        assert_eq!(answers(&page), want, "{args:?}");
    }
}
