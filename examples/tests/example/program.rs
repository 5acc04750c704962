//! The examples, as `cargo` built them.

use std::{
    env::{self, consts::EXE_SUFFIX},
    ffi::OsStr,
    path::PathBuf,
    process::Command,
};

/// The question that the paper opens with, as the tiny model was taught to read it.
pub const PROMPT: &str = "Q: Which cathedral did Ivan the Terrible build on Red Square?\nA:";

/// What a run printed.
pub struct Run {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `saint_basils`.
pub fn run(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
    run_example("saint_basils", args)
}

pub fn run_example(name: &str, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Run {
    // Backtraces are on: none of them may get into a complaint.
    let output = Command::new(program(name)).args(args).env("RUST_BACKTRACE", "1").output();
    let output = output.expect("the example starts");
    let text = |bytes| String::from_utf8(bytes).expect("the example prints UTF-8");
    Run {
        success: output.status.success(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// What a run of `saint_basils` prints that must succeed.
pub fn succeed(args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> String {
    let Run { success, stdout, stderr } = run(args);
    assert!(success && stderr.is_empty(), "{stdout}\n{stderr}");
    stdout
}

/// Next to the folder of this test: `target/<profile>/examples`.
fn program(name: &str) -> PathBuf {
    let test = env::current_exe().expect("this test has a path");
    let profile = test.ancestors().nth(2).expect("the test is in target/<profile>/deps");
    let program = profile.join("examples").join(format!("{name}{EXE_SUFFIX}"));
    assert!(
        program.exists(),
        "{} is not there: plain `cargo test` builds it; where tests are picked by name, run \
         `cargo build --example {name}` with the same profile first",
        program.display()
    );
    program
}
