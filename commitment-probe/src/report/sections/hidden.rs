//! What hidden states know.

use super::super::{
    numbers::{Cell, NOTHING, count, difference, estimate, share},
    table::{Table, Warning, keys, name},
};
use crate::{Chosen, Contrast, Contrasted, Grouping, Hidden, Predictors, Summary, WhyNot};

pub(super) fn tables(runs: &[Summary]) -> Vec<Table> {
    vec![areas(runs), by_block(runs), chosen(runs)]
}

/// Whether any run has states.
pub(super) fn has_any(runs: &[Summary]) -> bool {
    runs.iter().any(|run| run.hidden.is_some())
}

pub(super) fn warnings(runs: &[Summary]) -> Vec<Warning> {
    let of = |(i, run): (usize, &Summary)| {
        let texts: Vec<String> = match &run.hidden {
            Some(hidden) => grouping(hidden).into_iter().chain(by_prompt(hidden)).collect(),
            None => Vec::new(),
        };
        let of = name(i, run);
        texts.into_iter().map(move |text| Warning { of: of.clone(), text })
    };
    runs.iter().enumerate().flat_map(of).collect()
}

/// Says if entities alone are held out together.
fn grouping(hidden: &Hidden) -> Option<String> {
    let of = count(hidden.answers);
    (hidden.grouping == Grouping::Entity).then(|| {
        format!(
            "Forms of answers link too many of the {of} questions to hold them out together: \
             questions about one entity are, and what shares a form with a question that is held \
             out is not learnt from. Intervals take questions that share an answer for independent, \
             and may be too narrow: check what is detectable on questions with other answers."
        )
    })
}

/// Says where the question alone tells as much as the states.
fn by_prompt(hidden: &Hidden) -> Option<String> {
    let reaches = |of: &Contrasted| {
        let area = |evidence| of.areas.get(&evidence).map(|of| of.area.value);
        let prompt = area(Predictors::Prompt);
        let others = [Predictors::States, Predictors::Both].map(area);
        prompt.is_some() && others.into_iter().flatten().any(|other| prompt >= Some(other))
    };
    let contrasts = hidden.contrasts.iter().filter(|(_, of)| reaches(of));
    let names: Vec<String> = contrasts.map(|(contrast, _)| contrast.to_string()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "The prompt alone tells as much as the states ({}): they may know the type of a question \
             and how hard it is, not the failure. Ask questions of one type.",
            names.join("; ")
        )
    })
}

/// The rows of a table with one for each contrast and run.
fn rows<'a>(
    table: &mut Table,
    runs: &'a [Summary],
    cells: impl Fn(&Hidden, &Contrasted) -> Vec<Cell>,
) {
    let all = keys(runs, |run| run.hidden.iter().flat_map(|h| h.contrasts.keys()).collect());
    for contrast in all {
        let find = |run: &'a Summary| {
            let hidden = run.hidden.as_ref()?;
            Some((hidden, hidden.contrasts.get(&contrast)?))
        };
        table.under(&contrast.to_string(), runs, find, |(hidden, of)| cells(hidden, of));
    }
}

fn areas(runs: &[Summary]) -> Table {
    let text = "Whether the state at the last token of the prompt, after some of the blocks, tells \
        how the answer will turn out: the AUROC of logistic regressions that score questions they \
        have not seen, over pairs within a fold. The scalars are those of the first step that know \
        no answer: entropies, largest probability, margin. The last state fixes the logits, so \
        only a gain over the scalars is news: a failure is detectable if states and scalars \
        together beat the scalars, the whole interval of the gain being above 0. The prompt is its \
        mean embedding and length: what the question alone tells. With shuffled labels there is \
        nothing to know. P-mass is what is left of it where kinds are matched; it knows the right \
        answer. A gain may be a function of the first step's distribution that the scalars do not \
        have, and it may be the question's difficulty that is seen, not the failure. Of more than \
        1,000 of a kind 1,000 are taken. Intervals are wider than the bootstrap's, 1.5 times for \
        equal folds, since folds share what they learn from ([Nadeau and Bengio, \
        2003](https://doi.org/10.1023/A:1024068626366)).";
    // What is claimed comes first: a narrow screen shows no more.
    let first = ["Positives", "Negatives", "Gain", "Detectable?"].map(str::to_owned);
    let columns = first.into_iter().chain(Predictors::ALL.iter().map(ToString::to_string));
    let columns: Vec<String> = columns.chain(["P-mass".to_owned()]).collect();
    let mut table = Table::new("What tells them apart", text, &["Contrast", "Run"], &columns);
    rows(&mut table, runs, |_, of| {
        let area = |evidence| estimate(of.areas.get(evidence).map(|area| area.area));
        let mut cells = vec![
            taken(of.positives, of.of[0]).into(),
            taken(of.negatives, of.of[1]).into(),
            difference(of.gain),
            claim(of).into(),
        ];
        cells.extend(Predictors::ALL.iter().map(area));
        cells.push(of.by_mass.map_or(NOTHING.into(), share).into());
        cells
    });
    table
}

/// How many, and of how many if that is more.
fn taken(number: usize, of: usize) -> String {
    if number == of { count(number) } else { format!("{} of {}", count(number), count(of)) }
}

/// What may be said.
fn claim(of: &Contrasted) -> String {
    match (of.why_not, of.detectable) {
        (Some(WhyNot::Few), _) => format!("not shown: fewer than {} of a kind", Hidden::LEAST),
        (Some(WhyNot::FewGroups), _) => {
            format!("not shown: fewer than {} groups of a kind", Hidden::LEAST_GROUPS)
        }
        (Some(WhyNot::Uneven), _) => {
            let least = Hidden::LEARNT;
            format!(
                "not shown: a fold has none of a kind, or leaves fewer than {least} to learn from"
            )
        }
        (None, Some(true)) => "yes".into(),
        (None, Some(false)) => "not shown to say more than the scalars".into(),
        (None, None) => NOTHING.into(),
    }
}

fn by_block(runs: &[Summary]) -> Table {
    let text = "The AUROC of the states after one block alone, with the block's number: a quarter, \
        half, three quarters and all of them.";
    let most = runs.iter().filter_map(|run| Some(run.hidden.as_ref()?.blocks.numbers().len()));
    let columns: Vec<String> =
        (1..=most.max().unwrap_or(0)).map(|i| format!("State {i}")).collect();
    let mut table = Table::new("Over depth", text, &["Contrast", "Run"], &columns);
    rows(&mut table, runs, |hidden, of| {
        let numbers = hidden.blocks.numbers();
        let cell = |place: usize| {
            let mut cell = estimate(of.by_block.get(place).map(|area| area.area));
            if let (Some(number), true) = (numbers.get(place), cell.value != NOTHING) {
                cell.value = format!("{number}: {}", cell.value);
            }
            cell
        };
        (0..columns.len()).map(cell).collect()
    });
    table
}

fn chosen(runs: &[Summary]) -> Table {
    let text = "The blocks and the penalties λ that were chosen, fold by fold, without a look at the \
        fold that is scored; and from how many answers each fold's model has learnt.";
    let names = Predictors::ALL.iter().map(ToString::to_string);
    let columns: Vec<String> = names.chain(["Learnt from".to_owned()]).collect();
    let mut table = Table::new("What was chosen", text, &["Contrast", "Run"], &columns);
    rows(&mut table, runs, |_, of| {
        let cell = |evidence| of.areas.get(evidence).map_or(NOTHING.into(), |a| told(&a.chosen));
        let learnt: Vec<String> = of.learnt.iter().map(|&n| count(n)).collect();
        let learnt = if learnt.is_empty() { NOTHING.into() } else { learnt.join("; ") };
        Predictors::ALL.iter().map(cell).chain([learnt]).map(Cell::from).collect()
    });
    table
}

/// As `8, 8, 15, 8, 8; λ 10, 1, 1, 0.1, 1`.
fn told(chosen: &[Chosen]) -> String {
    let lambdas: Vec<String> = chosen.iter().map(|chosen| chosen.lambda.to_string()).collect();
    let blocks: Vec<String> =
        chosen.iter().filter_map(|chosen| Some(chosen.block?.to_string())).collect();
    let blocks = if blocks.is_empty() { String::new() } else { blocks.join(", ") + "; " };
    format!("{blocks}λ {}", lambdas.join(", "))
}

/// Those of a run that are shown.
pub(in super::super) fn shown(run: &Summary) -> Vec<(Contrast, &Contrasted, &Hidden)> {
    let Some(hidden) = &run.hidden else { return Vec::new() };
    let contrasts = hidden.contrasts.iter().filter(|(_, of)| of.why_not.is_none());
    contrasts.map(|(&contrast, of)| (contrast, of, hidden)).collect()
}
