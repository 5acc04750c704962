//! What of a run may mislead its reader.

use super::{
    numbers::{FEW, count, estimate, per_cent, share},
    table::{Warning, name, one_line},
};
use crate::{Comparison, Failures, Rate, Summary, Verdict};

/// From this share on, answers that are neither right nor wrong have a warning.
const MANY: f64 = 0.1;

/// Those of all runs, in the order of the runs.
pub(super) fn warnings(runs: &[Summary]) -> Vec<Warning> {
    let of = |(i, run)| {
        let warning = move |text| Warning { of: name(i, run), text };
        withheld(run).into_iter().chain(other_warnings(run)).map(warning)
    };
    runs.iter().enumerate().flat_map(of).collect()
}

/// Those of all pairs of runs.
pub(super) fn pair_warnings(comparisons: &[Comparison]) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for pair in comparisons {
        let warning = |text: &String| Warning { of: pair_name(pair), text: one_line(text) };
        warnings.extend(pair.warnings.iter().map(warning));
    }
    warnings
}

/// What a pair of runs is called.
pub(super) fn pair_name(pair: &Comparison) -> String {
    format!("{} → {}", one_line(&pair.first), one_line(&pair.second))
}

/// Why there is no headline, and what to do, if there is none.
pub(super) fn withheld(run: &Summary) -> Option<String> {
    let told = run.withheld && run.samples > 0;
    told.then(|| {
        let few = match run.localised {
            // What would be rounded up to 80 % would seem to be enough.
            Some(localised) => {
                format!("only {} of the answers are", per_cent(localised.value.min(0.79)))
            }
            None => "no answer is".into(),
        };
        format!(
            "The headline is withheld: {few} decided at their first token. Put examples into the \
             prompt with --shots, or, with --chat, open the answer: --prefill \"The answer \
             is:\"."
        )
    })
}

/// All other warnings.
pub(super) fn other_warnings(run: &Summary) -> Vec<String> {
    let found = [
        unfinished(run),
        one_sided(run),
        few_wrong(run),
        left_out(run),
        says_nothing(run),
        chance(run),
    ];
    found.into_iter().flatten().collect()
}

/// How many answers have a verdict.
pub(super) fn verdicts(run: &Summary, verdict: Verdict) -> usize {
    run.verdicts.get(&verdict).copied().unwrap_or(0)
}

/// How many answers are neither right nor wrong.
pub(super) fn neither(run: &Summary) -> usize {
    let left = Verdict::ALL.iter().filter(|verdict| !verdict.is_counted());
    // The counts of a file may be any numbers.
    left.fold(0, |sum, &verdict| sum.saturating_add(verdicts(run, verdict)))
}

/// Whether chance may have given the rate: its excess over the null may be 0.
pub(super) fn may_be_chance(rate: &Rate) -> bool {
    rate.excess.is_some_and(|excess| excess.low <= 0.0)
}

fn unfinished(run: &Summary) -> Option<String> {
    (0 < run.samples && run.samples < run.planned).then(|| {
        let (asked, planned) = (count(run.samples), count(run.planned));
        format!("The run is not finished: {asked} of {planned} questions were asked.")
    })
}

fn one_sided(run: &Summary) -> Option<String> {
    let (right, wrong) = (verdicts(run, Verdict::Right), verdicts(run, Verdict::Wrong));
    match (right, wrong) {
        (0, 0) if run.samples > 0 => {
            Some("No answer is right or wrong: there are no rates.".into())
        }
        (0, 0) => None,
        (_, 0) => Some("All answers are right: there is no wrong one to measure.".into()),
        (0, _) => Some(
            "All answers are wrong: nothing can be compared with right answers, and the scorer \
             may be too strict."
                .into(),
        ),
        _ => None,
    }
}

fn few_wrong(run: &Summary) -> Option<String> {
    let (wrong, localised) = (verdicts(run, Verdict::Wrong), run.failures.wrong);
    let few = |n: usize, what: &str| {
        let are = if n == 1 { "answer is" } else { "answers are" };
        format!("Only {n} {what}{are} wrong: rates of so few say little.")
    };
    match (wrong, localised) {
        (1..FEW, _) => Some(few(wrong, "")),
        (FEW.., 0..FEW) => Some(few(localised, "localised ")),
        _ => None,
    }
}

fn left_out(run: &Summary) -> Option<String> {
    let part = neither(run) as f64 / run.samples.max(1) as f64;
    (part > MANY).then(|| {
        let left = Verdict::ALL.iter().filter(|verdict| !verdict.is_counted());
        let listed = left.map(|&verdict| (verdict, verdicts(run, verdict)));
        let listed: Vec<_> = listed
            .filter(|&(_, n)| n > 0)
            .map(|(verdict, n)| format!("{} {verdict}", count(n)))
            .collect();
        format!(
            "{} of the answers are neither right nor wrong and in no rate: {}.",
            per_cent(part),
            listed.join(", ")
        )
    })
}

/// From this share on, answers that begin with a token that says nothing have a warning.
const SAY_NOTHING: f64 = 0.2;

fn says_nothing(run: &Summary) -> Option<String> {
    let part = run.says_nothing.map(|share| share.value).filter(|part| *part >= SAY_NOTHING)?;
    Some(format!(
        "{} of the answers begin with a token that says nothing, such as a sign, an article or a \
         blank: look at the informative step, and at the tokens that it passed over. A --prefill \
         may have to end in that sign.",
        per_cent(part)
    ))
}

fn chance(run: &Summary) -> Option<String> {
    if withheld(run).is_some() {
        return None;
    }
    let (first, there) = (&run.failures.first, &run.failures.informative);
    let named = [
        ("paper's rate", &first.paper),
        ("strict rate", &first.strict),
        ("paper's rate at the informative step", &there.paper),
        ("strict rate at the informative step", &there.strict),
    ];
    let listed: Vec<_> = named
        .iter()
        .filter(|(_, rate)| rate.failures > 0 && may_be_chance(rate))
        .filter_map(|(label, rate)| {
            let null = estimate(rate.null).value;
            Some(format!("the {label} ({}, null {null})", share(rate.rate?.value)))
        })
        .collect();
    if !listed.is_empty() {
        return Some(format!(
            "Too few failures to tell from chance, since the interval of the excess includes 0: {}.",
            listed.join(", ")
        ));
    }
    // One group alone has no mean with an interval, whatever was exchanged.
    let none = |failures: &Failures| failures.wrong > 0 && failures.first.paper.null.is_none();
    (none(&run.failures) && none(&run.all_failures))
        .then(|| "The rates have no null: no question was given another's forms.".into())
}
