//! How the runs were made: every setting that a run's folder has, whatever it is called.

use serde_json::Value;

use super::{
    numbers::{NOTHING, count},
    table::{Table, name},
};
use crate::{Evidence, Report};

/// The names of settings that have a label or a place of their own, in the order in which they are
/// shown; all others follow, under the names that they have.
const KNOWN: [(&str, &str); 41] = [
    ("model", "Model"),
    ("commit", "Commit"),
    ("architecture", "Architecture"),
    ("num_parameters", "Parameters"),
    ("stored_as", "Weights in the files"),
    ("files", "Files"),
    ("tokenizer", "Tokenizer"),
    ("device", "Device"),
    ("dtype", "Dtype asked for"),
    ("computed_in", "Computed in"),
    ("activations", "Activations"),
    ("batch", "Questions of a batch"),
    ("vocab_size", "Size of the vocabulary"),
    ("positions", "Maximum length"),
    ("preset", "Preset"),
    ("template", "Template"),
    ("chat", "Chat"),
    ("system", "System message"),
    ("prefill", "Answer begins with"),
    ("thinking", "Thinking"),
    ("shots", "Examples from"),
    ("num_shots", "Examples"),
    ("shots_hash", "Hash of the examples"),
    ("one_turn", "Examples in one turn"),
    ("until", "Answer ends at"),
    ("max_tokens", "Maximum tokens of an answer"),
    ("limit", "Questions asked at most"),
    ("left_out", "Questions left out"),
    ("scorer", "Scorer"),
    ("endings", "Word endings forgiven"),
    ("grader", "Grader"),
    ("seed", "Seed"),
    ("exchanges", "Exchanged forms"),
    ("samples", "Sampled answers"),
    ("temperature", "Temperature of these"),
    ("judge", "Judge"),
    ("p_true", "Asked whether it is true"),
    ("top_k", "Tokens pooled by embedding"),
    ("threshold", "Cosine to pool"),
    ("hidden", "Hidden states kept"),
    ("program", "Version of commitment-probe"),
];

/// What is shown of a run that stands alone, and of runs of equal settings.
const MAIN: [&str; 15] = [
    "model",
    "num_parameters",
    "stored_as",
    "computed_in",
    "activations",
    "template",
    "chat",
    "prefill",
    "num_shots",
    "max_tokens",
    "scorer",
    "samples",
    "temperature",
    "seed",
    "program",
];

/// What the model has that is no setting.
const PROMPT: &str = "first_prompt";

/// The settings in which runs differ; of one run, or if there are none, the main ones.
pub(super) fn first(report: &Report) -> Table {
    let differs = |_: &str, values: &[String]| values.windows(2).any(|pair| pair[0] != pair[1]);
    let is_main = |name: &str, _: &[String]| MAIN.contains(&name);
    if report.evidence.len() < 2 {
        let text = "The main settings. report.json has all of them.";
        return table("Settings", text, report, is_main);
    }
    let text = "What differs from run to run. report.json has all settings.";
    let found = table("What differs", text, report, differs);
    if !found.rows.is_empty() {
        return found;
    }
    let text = "Nothing differs from run to run: all settings are equal. These are the main ones; \
        report.json has all of them.";
    table("Settings", text, report, is_main)
}

/// All settings.
pub(super) fn all(report: &Report) -> Table {
    table("All settings", "", report, |_, _| true)
}

fn table(
    title: &str,
    text: &str,
    report: &Report,
    is_shown: impl Fn(&str, &[String]) -> bool,
) -> Table {
    let runs = &report.runs[..report.runs.len().min(report.evidence.len())];
    let names: Vec<String> = runs.iter().enumerate().map(|(i, run)| name(i, run)).collect();
    let mut table = Table::new(title, text, &["Setting"], &names);
    for (key, label) in keys(&report.evidence) {
        let value = |evidence: &Evidence| told(key, value(evidence, key));
        let values: Vec<String> = report.evidence.iter().take(runs.len()).map(value).collect();
        if is_shown(key, &values) {
            table.row(&[&label], values.into_iter().map(Into::into).collect());
        }
    }
    table
}

/// The prompt of each run's first question, as the model read it; of those that have one.
pub(super) fn prompts(report: &Report) -> Vec<(String, &str)> {
    let all = report.evidence.iter().zip(&report.runs).enumerate();
    let prompt =
        all.map(|(i, (evidence, run))| Some((name(i, run), evidence.model.get(PROMPT)?.as_str()?)));
    prompt.flatten().collect()
}

/// The names of all settings, with their labels.
fn keys(evidence: &[Evidence]) -> Vec<(&str, String)> {
    let has = |name: &str| evidence.iter().any(|of| value(of, name).is_some());
    let known = KNOWN.into_iter().filter(|(name, _)| has(name));
    let mut keys: Vec<(&str, String)> =
        known.map(|(name, label)| (name, label.to_owned())).collect();
    let all = evidence.iter().flat_map(|of| of.settings.keys().chain(of.model.keys()));
    let mut others: Vec<&str> = all.map(String::as_str).filter(|name| *name != PROMPT).collect();
    others.sort_unstable();
    others.dedup();
    others.retain(|name| KNOWN.iter().all(|(known, _)| known != name));
    keys.extend(others.into_iter().map(|name| (name, name.replace('_', " "))));
    keys
}

fn value<'a>(evidence: &'a Evidence, name: &str) -> Option<&'a Value> {
    evidence.settings.get(name).or_else(|| evidence.model.get(name))
}

/// A setting as a person would write it.
fn told(name: &str, value: Option<&Value>) -> String {
    match (name, value) {
        ("stored_as", Some(Value::Object(types))) => {
            let mut types: Vec<_> =
                types.iter().map(|(name, numbers)| (numbers.as_u64(), name.as_str())).collect();
            types.sort_by(|a, b| b.cmp(a));
            let names: Vec<&str> = types.into_iter().map(|(_, name)| name).collect();
            match names.split_first() {
                Some((first, others @ [_, ..])) => format!("{first} with {}", others.join(" and ")),
                Some((first, [])) => (*first).to_owned(),
                None => NOTHING.to_owned(),
            }
        }
        ("num_parameters" | "vocab_size" | "positions", Some(Value::Number(number))) => {
            let whole = number.as_u64().and_then(|number| usize::try_from(number).ok());
            whole.map_or_else(|| number.to_string(), count)
        }
        (_, value) => plain(value.unwrap_or(&Value::Null)),
    }
}

fn plain(value: &Value) -> String {
    let text = match value {
        Value::Null => NOTHING.to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.chars().map(seen).collect(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name}: {}", plain(value));
            fields.iter().map(field).collect::<Vec<_>>().join("; ")
        }
    };
    if text.trim().is_empty() { NOTHING.to_owned() } else { text }
}

/// A character, or how it is escaped if it breaks a line or cannot be seen.
fn seen(c: char) -> String {
    if c.is_control() { c.escape_default().to_string() } else { c.to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn settings_are_told_as_a_person_would() {
        for (name, value, text) in [
            ("stored_as", json!({"F32": 9, "Q4_1": 700, "Q8_0": 80}), "Q4_1 with Q8_0 and F32"),
            ("stored_as", json!({"BF16": 9}), "BF16"),
            ("num_parameters", json!(134515008), "134,515,008"),
            ("template", json!("Q: {question}\nA:"), r"Q: {question}\nA:"),
            ("until", json!(["\n\n", "Q:"]), r"\n\n, Q:"),
            ("until", json!([]), "–"),
            ("chat", json!(true), "yes"),
            ("system", json!(null), "–"),
            ("left_out", json!({"duplicates": 1, "in_shots": 2}), "duplicates: 1; in_shots: 2"),
        ] {
            assert_eq!(told(name, Some(&value)), text);
        }
    }
}
