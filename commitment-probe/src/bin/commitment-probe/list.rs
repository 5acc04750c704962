//! What is asked: the questions of a file, the examples before each, and what is left out.

use std::{collections::HashMap, fs, path::Path};

use anyhow::{Context, Result, ensure};
use commitment_probe::{Question, Questions};
use serde::{Deserialize, Serialize};

use crate::args::RunArgs;
use crate::preset::Preset;
use crate::shots::{Choice, Shot, is_in_a_shot};
use crate::source::Source;

/// A question, and how it is put.
#[derive(Debug, Clone)]
pub struct Item {
    pub question: Question,
    /// Its text as it stands in the prompt, which in a preset keeps all white space.
    pub text: String,
    /// The examples before it.
    pub shots: Vec<Shot>,
}

/// What of a file is not asked, or should not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// Rows that were there before.
    pub duplicates: usize,
    /// Rows that by their layout have no answer.
    pub unanswered: usize,
    /// Questions that an example asks, or whose answer is one's. A preset asks them all the same, as
    /// its harness does.
    pub in_shots: usize,
}

impl LeftOut {
    /// What a reader must know of it, if anything.
    pub fn note(self, is_preset: bool) -> Option<String> {
        let Self { duplicates, unanswered, in_shots } = self;
        let asked = match is_preset {
            true => "are in an example, and were asked as the preset does",
            false => "are in an example, by text or answer, and were not asked",
        };
        let counts = [
            (duplicates, "rows are there twice, and were asked once"),
            (unanswered, "rows have no answer, and were not asked"),
            (in_shots, asked),
        ];
        let told = counts.into_iter().filter(|(count, _)| *count > 0);
        let told: Vec<String> = told.map(|(count, what)| format!("{count} {what}")).collect();
        (!told.is_empty()).then(|| told.join("; "))
    }
}

/// The questions of a run, in their order, before some are chosen.
pub fn list(args: &RunArgs) -> Result<(Vec<Item>, LeftOut)> {
    ensure!(
        args.preset.is_none() || args.shots.is_none() || args.num_shots.is_some(),
        "--preset shows no examples unless it is told how many; give --num-shots with --shots"
    );
    ensure!(
        args.until.iter().all(|stop| !stop.is_empty()),
        "--until \"\" would end every answer before it begins; give a text"
    );
    let file = Source::questions(&args.questions)?.fetch()?;
    let shots = args.shots.as_ref().map(|shots| Source::questions(shots)?.fetch()).transpose()?;
    let (items, left_out) = match args.preset {
        Some(preset) => of_preset(preset, &file, shots.as_deref(), args.num_shots.unwrap_or(0))?,
        None => of_questions(&file, shots_of(args, shots.as_deref())?)?,
    };
    ensure!(
        !items.is_empty(),
        "{} has no questions to ask{}",
        args.questions.display(),
        left_out.note(args.preset.is_some()).map_or(String::new(), |note| format!(": {note}"))
    );
    Ok((items, left_out))
}

/// The examples before every question.
fn shots_of(args: &RunArgs, file: Option<&Path>) -> Result<Vec<Shot>> {
    let all = match file {
        Some(file) => {
            let questions = Questions::load(file)?.questions.into_iter();
            Shot::all(questions.map(|q| (q.text().to_owned(), q.right().to_owned())).collect())?
        }
        // A template of the user's may have examples of its own.
        None if args.chat || args.template.is_some() => Vec::new(),
        None => Shot::general(),
    };
    let num = args.num_shots.unwrap_or(all.len());
    ensure!(
        num <= all.len(),
        "--num-shots {num} are more than there are: {}; give --shots FILE with as many questions",
        all.len()
    );
    let chosen = Choice::First.next(num, all.len(), |_| false)?;
    Ok(chosen.into_iter().map(|i| all[i].clone()).collect())
}

fn of_questions(file: &Path, shots: Vec<Shot>) -> Result<(Vec<Item>, LeftOut)> {
    let Questions { questions, duplicates, unanswered, .. } = Questions::load(file)?;
    let mut left_out = LeftOut { duplicates, unanswered, in_shots: 0 };
    let mut items = Vec::new();
    for question in questions {
        if is_in_a_shot(question.text(), question.answers(), &shots) {
            left_out.in_shots += 1;
            continue;
        }
        items.push(Item { text: question.text().to_owned(), question, shots: shots.clone() });
    }
    Ok((items, left_out))
}

/// The rows of a task of lm-evaluation-harness, each with the examples that it has there.
fn of_preset(
    preset: Preset,
    file: &Path,
    shots: Option<&Path>,
    num_shots: usize,
) -> Result<(Vec<Item>, LeftOut)> {
    let rows = |file: &Path| -> Result<_> {
        let text = fs::read_to_string(file);
        let text = text.with_context(|| format!("cannot read {}", file.display()))?;
        preset
            .rows(text.strip_prefix('\u{FEFF}').unwrap_or(&text))
            .with_context(|| format!("cannot use {}", file.display()))
    };
    let pool = shots.map(rows).transpose()?.unwrap_or_default();
    let mut choice = preset.choice();
    let mut left_out = LeftOut::default();
    let mut items = Vec::new();
    let mut ids: HashMap<String, usize> = HashMap::new();
    for (number, row) in rows(file)?.into_iter().enumerate() {
        let places = choice.next(num_shots, pool.len(), |place| pool[place] == row)?;
        let shots = places.into_iter().map(|place| pool[place].shot());
        let shots: Vec<Shot> = shots.collect::<Result<_>>()?;
        let id = row.id.clone().unwrap_or_else(|| (number + 1).to_string());
        // The data set has questions twice, which its harness asks twice.
        let times = ids.entry(id.clone()).and_modify(|times| *times += 1).or_insert(1);
        let id = if *times > 1 { format!("{id}#{times}") } else { id };
        let question = Question::new(id, &row.question, row.answers, Default::default())
            .with_context(|| {
                format!("cannot ask row {}; a test split has no labels", number + 1)
            })?;
        left_out.in_shots += usize::from(is_in_a_shot(question.text(), question.answers(), &shots));
        items.push(Item { question, text: row.question, shots });
    }
    Ok((items, left_out))
}
