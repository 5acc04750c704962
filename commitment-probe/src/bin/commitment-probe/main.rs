//! The commitment probe: how often does a language model know the answer, and say another?
//!
//! ```sh
//! cargo run --release -p commitment-probe            # a demonstration
//! cargo run --release -p commitment-probe -- run --help
//! cargo run --release -p commitment-probe -- report RUN…
//! ```
//!
//! The modules in the order of the work: `args`, `settings` and `folder`, what is measured and where
//! the results go; `source` and `transfer`, where models and questions come from; `list`, `shots`,
//! `preset` and `prompt`, what is asked and how; `program`, judges and graders; `run`, the asking;
//! `report`, the summary; and `demo`, all of that with the tiny model.
//! The measurements and statistics are those of the library, `commitment_probe`.

mod args;
mod demo;
mod fnv;
mod folder;
mod hidden;
mod list;
mod preset;
mod program;
mod prompt;
mod python_random;
mod report;
mod run;
mod settings;
mod shots;
mod source;
mod terminal;
#[cfg(feature = "hub")]
mod transfer;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

use args::{Cli, Command, DemoArgs};
use terminal::{message, print};

fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or_else(|| Command::Demo(DemoArgs::default()));
    match execute(&command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", message(&error));
            ExitCode::FAILURE
        }
    }
}

fn execute(command: &Command) -> Result<()> {
    match command {
        Command::Run(args) => {
            run::run(args)?;
            print(&format!(
                "Done; for the results: commitment-probe report {}\n",
                args.out.display()
            ))
        }
        Command::Report(args) => print(&report::report(args, None)?),
        Command::Demo(args) => print(&demo::demo(args)?),
    }
}
