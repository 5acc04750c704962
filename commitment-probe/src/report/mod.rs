//! Several runs side by side: for a terminal, for a program, and for a browser.

mod card;
mod cases;
mod markdown;
mod numbers;
mod page;
mod plot;
mod plots;
mod samples;
mod sections;
mod settings;
mod table;
mod warnings;

use serde::{Deserialize, Serialize};

use super::{Comparison, Evidence, Sample, Schema, Summary, Trends};

/// The summaries of several runs, side by side: a scale, or base against instruct.
///
/// A number that may mislead has its warning beside it: a headline that is withheld, a rate that is
/// not clearly above its null, few answers, or runs that differ in more than their models. The same summaries give the same bytes, in each of the three forms. Runs are shown in the given
/// order. A number that nothing contributes to is `–`.
///
/// ```
/// use commitment_probe::{Report, Summary};
///
/// let base = Summary::of("base", 0, 0.2, &[])?;
/// let report = Report::new(vec![base.clone(), Summary { name: "instruct".into(), ..base }]);
/// assert!(report.markdown().contains("| base | instruct |"));
/// assert_eq!(serde_json::from_str::<Report>(&report.json())?, report);
/// assert!(report.html().starts_with("<!doctype html>"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of the layout of [`json`](Self::json).
    pub schema: Schema,
    /// A remark that comes before anything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The summary of each run.
    pub runs: Vec<Summary>,
    /// What each run's numbers rest on, in the order of the runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// The runs compared, question by question.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<Comparison>,
    /// Whether rates rise with the size of the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trends: Option<Trends>,
}

impl Report {
    /// A report of these runs, in this order.
    ///
    /// ```
    /// use commitment_probe::Report;
    ///
    /// assert_eq!(Report::new(vec![]), Report::default());
    /// ```
    pub fn new(runs: Vec<Summary>) -> Self {
        Self { runs, ..Self::default() }
    }

    /// Begins the report with a remark of one paragraph: where the questions are from, or what the
    /// numbers do not show.
    ///
    /// ```
    /// use commitment_probe::Report;
    ///
    /// let report = Report::default().with_note("A demonstration.");
    /// assert!(report.markdown().contains("A demonstration."));
    /// ```
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Adds what each run's numbers rest on, in the order of the runs.
    ///
    /// ```
    /// use commitment_probe::{Evidence, Report, Summary};
    ///
    /// let settings = [("template".to_owned(), "Q: {question}\nA:".into())].into();
    /// let evidence = Evidence::of(&[], 0.2, 0).with_settings(settings, [].into());
    /// let runs = vec![Summary::of("base", 0, 0.2, &[])?];
    /// let report = Report::new(runs).with_evidence(vec![evidence]);
    /// assert!(report.markdown().contains(r"| Q: {question}\\nA: |"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_evidence(mut self, evidence: Vec<Evidence>) -> Self {
        self.evidence = evidence;
        self
    }

    /// Adds the differences between runs, which are shown in this order.
    ///
    /// ```
    /// use commitment_probe::{Comparison, Paired, Report, Summary};
    ///
    /// let none = Paired { difference: None, only_first: 0, only_second: 0, p: None };
    /// let comparison = Comparison {
    ///     first: "base".into(),
    ///     second: "instruct".into(),
    ///     shared: 0,
    ///     warnings: vec!["The prompts differ.".into()],
    ///     wrong: none.clone(),
    ///     mass: None,
    ///     failures: none.clone(),
    ///     strict: none,
    /// };
    /// let runs = vec![Summary::of("base", 0, 0.2, &[])?, Summary::of("instruct", 0, 0.2, &[])?];
    /// let report = Report::new(runs).with_comparisons(vec![comparison]);
    /// assert!(report.markdown().contains("- **base → instruct**: The prompts differ."));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_comparisons(mut self, comparisons: Vec<Comparison>) -> Self {
        self.comparisons = comparisons;
        self
    }

    /// Adds the trends over the sizes of the runs' models, if there are any.
    ///
    /// ```
    /// use commitment_probe::{Report, Summary, Trends};
    ///
    /// let trends = Trends { parameters: vec![Some(1_500_000)], failures: None, strict: None };
    /// let report = Report::new(vec![Summary::of("base", 0, 0.2, &[])?]).with_trends(Some(trends));
    /// assert!(report.markdown().contains("| base |  1,500,000 |"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn with_trends(mut self, trends: Option<Trends>) -> Self {
        self.trends = trends;
        self
    }

    /// Tables in Markdown, whose columns are aligned in the text as well.
    ///
    /// ```
    /// use commitment_probe::Report;
    ///
    /// assert!(Report::default().markdown().starts_with("# Commitment failures\n"));
    /// ```
    pub fn markdown(&self) -> String {
        markdown::page(self)
    }

    /// All numbers as they are, in JSON, from which serde reads a report again; ends in a newline.
    /// Begins with the version of its [`Schema`].
    ///
    /// JSON has no NaN: a NaN that is put into a summary by hand becomes `null`.
    ///
    /// ```
    /// use commitment_probe::{Report, Schema};
    ///
    /// let schema = Schema::VERSION;
    /// let json = format!("{{\n  \"schema\": {schema},\n  \"runs\": []\n}}\n");
    /// assert_eq!(Report::default().json(), json);
    /// ```
    pub fn json(&self) -> String {
        let json = serde_json::to_string_pretty(self);
        // Serialising fails only in keys that are no strings, of which there are none.
        json.expect("structs of strings and numbers always serialise") + "\n"
    }

    /// One page for a browser, with the tables of [`markdown`](Self::markdown) and plots. It is
    /// complete in itself, and fetches nothing. Cases are counted on it; [`pages`](Self::pages)
    /// shows them, too.
    ///
    /// ```
    /// use commitment_probe::Report;
    ///
    /// assert!(Report::default().html().contains("There are no runs"));
    /// ```
    pub fn html(&self) -> String {
        page::page(self, None)
    }

    /// The page with the cases that the [`evidence`](Self::evidence) names, and a second one, to
    /// which it links, with all samples in a table that can be searched. `samples` has those of each
    /// run, in the order of the runs; a run beyond its end has none.
    ///
    /// ```
    /// use commitment_probe::{Pages, Report, Summary};
    ///
    /// let pages = Report::new(vec![Summary::of("base", 0, 0.2, &[])?]).pages(&[&[]]);
    /// assert!(pages.report.contains(Pages::SAMPLES));
    /// assert!(pages.samples.contains("base") && pages.samples.contains(Pages::REPORT));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pages(&self, samples: &[&[Sample]]) -> Pages {
        Pages { report: page::page(self, Some(samples)), samples: samples::page(self, samples) }
    }
}

/// The two pages of a report, which link to each other by the names of their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pages {
    /// That of [`Report::html`], with cases.
    pub report: String,
    /// All samples.
    pub samples: String,
}

impl Pages {
    /// The name that the file of the report must have.
    pub const REPORT: &str = "report.html";
    /// The name that the file of the samples must have, beside the report's.
    pub const SAMPLES: &str = "samples.html";
}
