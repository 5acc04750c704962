//! Several runs side by side: for a terminal, for a program, and for a browser.

mod html;
mod markdown;
mod numbers;
mod plot;
mod plots;
mod sections;
mod table;

use serde::{Deserialize, Serialize};

use super::Summary;

/// The summaries of several runs, side by side: a scale, or base against instruct.
///
/// The same summaries give the same bytes, in each of the three forms; runs are shown in the order
/// in which they are given. What cannot be told is `–`, and a report of no runs says so.
///
/// ```
/// use commitment_probe::{Report, Summary};
///
/// # let summary = r#"{
/// #   "name": "base", "samples": 0, "planned": 0, "hallucinations": 0,
/// #   "hallucination_rate": null, "tau": 0.2, "thresholds": [],
/// #   "concentration": {
/// #     "failures": null, "right": null,
/// #     "difference": { "cohens_d": null, "rank_test": null },
/// #     "matched": {
/// #       "caliper": 0.05, "pairs": 0, "failures": null, "right": null,
/// #       "difference": { "cohens_d": null, "rank_test": null } } },
/// #   "confidence": { "hallucinations": null, "failures": null, "right": null },
/// #   "second_token": {
/// #     "valid": null, "invalid": null, "phrase_failures": 0, "phrase_failure_rate": null,
/// #     "phrase_mass_failures": null, "phrase_mass_right": null },
/// #   "detectors": [], "calibration": [], "decoders": [],
/// #   "temperature": { "curve": [], "sampled": null } }"#;
/// let base: Summary = serde_json::from_str(summary)?;
/// let report = Report::new(vec![base.clone(), Summary { name: "instruct".into(), ..base }]);
/// assert!(report.markdown().contains("| base | instruct |"));
/// assert_eq!(serde_json::from_str::<Report>(&report.json())?, report);
/// assert!(report.html().starts_with("<!doctype html>"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What is to be known before anything else, if there is such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What each run comes to.
    pub runs: Vec<Summary>,
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
        Self { note: None, runs }
    }

    /// Begins the report with a remark of one paragraph: where the questions are from, or what the
    /// numbers are no evidence of.
    ///
    /// ```
    /// use commitment_probe::Report;
    ///
    /// let report = Report::default().with_note("A demonstration.");
    /// assert!(report.markdown().contains("A demonstration."));
    /// ```
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
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
    ///
    /// JSON has no NaN: one that is put in a summary by hand becomes `null`.
    ///
    /// ```
    /// use commitment_probe::Report;
    ///
    /// assert_eq!(Report::default().json(), "{\n  \"runs\": []\n}\n");
    /// ```
    pub fn json(&self) -> String {
        let json = serde_json::to_string_pretty(self);
        json.expect("structs of strings and numbers always serialise") + "\n"
    }

    /// One page for a browser, with the tables of [`markdown`](Self::markdown) and plots. It holds
    /// all that it shows, and fetches nothing.
    ///
    /// ```
    /// use commitment_probe::Report;
    ///
    /// assert!(Report::default().html().contains("There are no runs"));
    /// ```
    pub fn html(&self) -> String {
        html::page(self)
    }
}
