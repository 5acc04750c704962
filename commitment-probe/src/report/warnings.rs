//! What of a run may mislead its reader.

use super::{
    numbers::{FEW, count, estimate, per_cent, share},
    table::{Warning, name, one_line},
};
use crate::{Comparison, Failures, Rate, Scorer, Summary, Verdict};

/// Fewer right answers have a warning.
const FEW_RIGHT: usize = 10;

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
        few_right(run),
        unmeasured(run),
        empty(run),
        declined(run),
        cut(run),
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
        format!(
            "The run is not finished: {asked} of {planned} questions were asked. Run the same \
             command again to go on."
        )
    })
}

fn one_sided(run: &Summary) -> Option<String> {
    let (right, wrong) = (verdicts(run, Verdict::Right), verdicts(run, Verdict::Wrong));
    match (right, wrong) {
        (0, 0) if run.samples > 0 => {
            Some(format!("No answer is right or wrong: there are no rates. {PROMPT}."))
        }
        (0, 0) => None,
        (_, 0) => Some(
            "All answers that were judged are right: there is no wrong one to measure. Ask harder \
             questions, or more."
                .into(),
        ),
        (0, _) => Some(all_wrong(run)),
        _ => None,
    }
}

/// What to do where the prompt may be at fault.
const PROMPT: &str = "Read the cases and the first prompt, put examples before the question \
    (--shots), or ask an instruct model with --chat";

/// From this share on, what another scorer would accept may be why all answers are wrong.
const ACCEPTS_MANY: f64 = 0.2;

/// The prompt or the scorer is more often to blame than a model that knows nothing.
fn all_wrong(run: &Summary) -> String {
    let rate = |scorer: &Scorer| Some(run.by_scorer.get(scorer)?.as_ref()?.value);
    let mildest = run.by_scorer.keys().filter_map(|scorer| Some((rate(scorer)?, scorer)));
    let mildest = mildest.min_by(|a, b| a.0.total_cmp(&b.0));
    let scorer = mildest.filter(|(rate, _)| *rate <= 1.0 - ACCEPTS_MANY).map(|(rate, scorer)| {
        let right = per_cent(1.0 - rate);
        format!(" The scorer {scorer} would accept {right} of the answers (--match).")
    });
    format!(
        "All answers are wrong: nothing can be compared with right ones. Probably the prompt or the \
         scorer is at fault.{} {PROMPT}.",
        scorer.unwrap_or_default()
    )
}

fn few_wrong(run: &Summary) -> Option<String> {
    let (wrong, localised) = (verdicts(run, Verdict::Wrong), run.failures.wrong);
    let few = |n: usize, what: &str| {
        let subject = match n {
            0 => format!("No {what}answer is"),
            1 => format!("Only 1 {what}answer is"),
            _ => format!("Only {n} {what}answers are"),
        };
        format!("{subject} wrong: rates of so few say little. Ask more questions.")
    };
    match (wrong, localised) {
        (1..FEW, _) => Some(few(wrong, "")),
        (FEW.., 0..FEW) => Some(few(localised, "localised ")),
        _ => None,
    }
}

fn few_right(run: &Summary) -> Option<String> {
    let right = verdicts(run, Verdict::Right);
    (1..FEW_RIGHT).contains(&right).then(|| {
        let are = if right == 1 { "answer is" } else { "answers are" };
        format!(
            "Only {right} {are} right: what is compared with right answers (concentration, \
             detectors) says little. Ask more questions, or easier ones."
        )
    })
}

/// From this share on, answers without a P-mass, or that were cut, have a warning.
const NOT_FEW: f64 = 0.05;

/// Whether so many answers have a verdict that something should be done, and their share.
fn share_of(run: &Summary, verdict: Verdict) -> Option<(usize, String)> {
    let number = verdicts(run, verdict);
    let part = number as f64 / run.samples.max(1) as f64;
    (number > 0 && part >= NOT_FEW).then(|| (number, per_cent(part)))
}

fn unmeasured(run: &Summary) -> Option<String> {
    let (number, part) = share_of(run, Verdict::Unmeasured)?;
    Some(format!(
        "{} answers ({part}) are unmeasured, since no form can begin an answer after the prompt: let \
         the --template or the --prefill end where a word may begin, without a space, and see the \
         cases.",
        count(number)
    ))
}

fn cut(run: &Summary) -> Option<String> {
    let (number, part) = share_of(run, Verdict::Cut)?;
    Some(format!(
        "{} answers ({part}) were cut at the limit and are neither right nor wrong: ask with a larger \
         --max-tokens, or end answers earlier with --until.",
        count(number)
    ))
}

fn empty(run: &Summary) -> Option<String> {
    let (number, part) = share_of(run, Verdict::Empty)?;
    Some(format!(
        "{} answers ({part}) are empty and in no rate: the model ends, or breaks the line, where its \
         answer should begin. Let the --template or the --prefill end there, or put examples before \
         the question (--shots).",
        count(number)
    ))
}

fn declined(run: &Summary) -> Option<String> {
    let (number, part) = share_of(run, Verdict::NotAttempted)?;
    Some(format!(
        "{} answers ({part}) decline and are in no rate: a --template or a --system message that asks \
         for a guess, or a --prefill, leaves fewer out.",
        count(number)
    ))
}

/// Of answers that are left out for reasons each of which is too rare for a warning of its own.
fn left_out(run: &Summary) -> Option<String> {
    let left = Verdict::ALL.iter().filter(|verdict| !verdict.is_counted());
    let rare = left.filter(|&&verdict| share_of(run, verdict).is_none());
    let rare: Vec<_> = rare.map(|&verdict| (verdict, verdicts(run, verdict))).collect();
    let number = rare.iter().fold(0_usize, |sum, (_, n)| sum.saturating_add(*n));
    let part = number as f64 / run.samples.max(1) as f64;
    (part > MANY).then(|| {
        let listed = rare.iter().filter(|(_, n)| *n > 0);
        let listed: Vec<_> =
            listed.map(|(verdict, n)| format!("{} {verdict}", count(*n))).collect();
        format!(
            "{} of the answers are neither right nor wrong and in no rate: {}. Read the cases: an \
             instruction in the --template, examples before the question (--shots) or a larger \
             --max-tokens may leave fewer out.",
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
            "Too few failures to tell from chance, since the interval of the excess includes 0: {}. \
             Ask more questions.",
            listed.join(", ")
        ));
    }
    // One group alone has no mean with an interval, whatever was exchanged.
    let none = |failures: &Failures| failures.wrong > 0 && failures.first.paper.null.is_none();
    (none(&run.failures) && none(&run.all_failures)).then(|| NO_NULL.into())
}

const NO_NULL: &str = "The rates have no null: no question was given another's forms. Ask questions of \
    different answers, of more than one group if they have groups, and let --exchanges be 1 or more.";
