//! The report of some runs, side by side, as files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use commitment_probe::{Report, Summary};

use crate::args::ReportArgs;
use crate::folder::{Results, write_whole};

/// Writes the report of some runs and returns it in Markdown; a note comes before the rest.
pub fn report(args: &ReportArgs, note: Option<&str>) -> Result<String> {
    ensure!(
        args.tau > 0.0 && args.tau <= 1.0,
        "--tau {} is out of range; the minimum P-mass of a commitment failure must be above 0 and \
         at most 1",
        args.tau
    );
    let summaries = args.runs.iter().zip(names(&args.runs)).map(|(dir, name)| {
        let Results { questions, samples } = Results::load(dir)?;
        Ok(Summary::of(name, questions.len(), args.tau, &samples)?)
    });
    let mut report = Report::new(summaries.collect::<Result<_>>()?);
    if let Some(note) = note {
        report = report.with_note(note);
    }
    let out = args.out.clone().unwrap_or_else(|| shared_folder(&args.runs));
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let markdown = report.markdown();
    write_whole(&out.join("report.md"), &markdown)?;
    write_whole(&out.join("report.json"), &report.json())?;
    write_whole(&out.join("report.html"), &report.html())?;
    Ok(markdown)
}

/// The names of the folders, or their paths if two have the same name.
fn names(runs: &[PathBuf]) -> Vec<String> {
    let name = |dir: &PathBuf| match dir.canonicalize().unwrap_or(dir.clone()).file_name() {
        Some(name) => name.to_string_lossy().into_owned(),
        None => dir.display().to_string(),
    };
    let names: Vec<String> = runs.iter().map(name).collect();
    if names.iter().collect::<BTreeSet<_>>().len() == names.len() {
        return names;
    }
    runs.iter().map(|dir| dir.display().to_string()).collect()
}

/// The folder of the run, or for several the folder that holds the first.
fn shared_folder(runs: &[PathBuf]) -> PathBuf {
    match runs {
        [run] => run.clone(),
        [first, ..] => first.parent().unwrap_or(Path::new("")).join(""),
        [] => PathBuf::new(),
    }
}
