//! The report of some runs, side by side, as files.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use commitment_probe::{
    Compared, Comparison, Evidence, Hidden, HiddenStates, Pages, Report, Sample, Summary, Trends,
};

use crate::args::ReportArgs;
use crate::folder::{Fields, Results, write_whole};
use crate::settings::Settings;

/// Writes the report of some runs and returns it in Markdown; a note comes before the rest.
pub fn report(args: &ReportArgs, note: Option<&str>) -> Result<String> {
    ensure!(
        args.tau > 0.0 && args.tau <= 1.0,
        "--tau {} is out of range; the minimum P-mass of a commitment failure must be above 0 and \
         at most 1",
        args.tau
    );
    let runs = args.runs.iter().zip(names(&args.runs));
    let runs: Vec<Run> = runs.map(|(dir, name)| Run::load(dir, name)).collect::<Result<_>>()?;
    let summaries = runs.iter().map(|run| run.summary(args.tau));
    let report = Report::new(summaries.collect::<Result<_>>()?)
        .with_evidence(runs.iter().map(|run| run.evidence(args.tau)).collect())
        .with_comparisons(comparisons(&runs, args.tau)?)
        .with_trends(trends(&runs, args.tau)?);
    let notes: Vec<String> =
        note.map(str::to_owned).into_iter().chain(runs.iter().filter_map(Run::note)).collect();
    let report = if notes.is_empty() { report } else { report.with_note(notes.join(" ")) };
    let out = args.out.clone().unwrap_or_else(|| shared_folder(&args.runs));
    fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    let markdown = report.markdown();
    write_whole(&out.join("report.md"), &markdown)?;
    write_whole(&out.join("report.json"), &report.json())?;
    let samples: Vec<&[Sample]> = runs.iter().map(|run| &run.results.samples[..]).collect();
    let pages = report.pages(&samples);
    write_whole(&out.join("report.html"), &pages.report)?;
    write_whole(&out.join(Pages::SAMPLES), &pages.samples)?;
    Ok(markdown)
}

/// A run and what it is called.
struct Run {
    name: String,
    results: Results,
    dir: PathBuf,
}

impl Run {
    fn load(dir: &Path, name: String) -> Result<Self> {
        Ok(Self { name, results: Results::load(dir)?, dir: dir.to_owned() })
    }

    fn summary(&self, tau: f64) -> Result<Summary> {
        let Results { questions, samples, .. } = &self.results;
        let summary = Summary::of(&self.name, questions.len(), tau, samples)?;
        // The states of one run alone are in memory at a time.
        let states = HiddenStates::load(&self.dir)?;
        let hidden = states.map(|states| Hidden::of(samples, &states, tau));
        Ok(summary.with_hidden(hidden.transpose()?.flatten()))
    }

    fn evidence(&self, tau: f64) -> Evidence {
        let Results { settings, as_written: (given, model), samples, .. } = &self.results;
        let without_schema = |fields: &Fields| {
            let mut fields = fields.clone();
            fields.remove("schema");
            fields
        };
        Evidence::of(samples, tau, settings.seed)
            .with_settings(without_schema(given), without_schema(model))
    }

    fn compared(&self) -> Compared<'_> {
        Compared { name: &self.name, samples: &self.results.samples }
    }

    /// What was left out of its questions.
    fn note(&self) -> Option<String> {
        let Settings { left_out, prompt, .. } = &self.results.settings;
        let note = left_out.note(prompt.preset.is_some())?;
        Some(format!("Of the questions of {}, {note}.", self.name))
    }
}

/// The first run with each other one.
fn comparisons(runs: &[Run], tau: f64) -> Result<Vec<Comparison>> {
    let Some((first, others)) = runs.split_first() else { return Ok(Vec::new()) };
    let compare = |other: &Run| {
        let warnings = first.results.settings.differences(&other.results.settings)?;
        Ok(Comparison::of(first.compared(), other.compared(), tau, warnings)?)
    };
    others.iter().map(compare).collect()
}

fn trends(runs: &[Run], tau: f64) -> Result<Option<Trends>> {
    let parameters: Vec<Option<u64>> =
        runs.iter().map(|run| Some(run.results.model.as_ref()?.num_parameters)).collect();
    let compared: Vec<Compared> = runs.iter().map(Run::compared).collect();
    Ok(Trends::of(&compared, &parameters, tau)?)
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
