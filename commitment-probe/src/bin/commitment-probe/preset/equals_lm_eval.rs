//! Requests and scores are those of lm-evaluation-harness itself, as `tests/probe/lm_eval/witness.py`
//! has recorded them; `CONCEPT_MASS_LM_EVAL` names the file.

use std::{collections::BTreeMap, env, fs};

use commitment_probe::Accepted;
use concept_mass_models::Chat;

use super::*;
use crate::prompt::{ChatOptions, Prompt, Turns};

/// Messages, apart by what none of them has.
const MESSAGES: &str =
    "{% for message in messages %}\u{1}{{ message.role }}\u{2}{{ message.content }}{% endfor %}";

#[derive(Deserialize)]
struct Witness {
    lm_eval: String,
    rows: BTreeMap<String, BTreeMap<String, String>>,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    preset: Preset,
    train: String,
    num_fewshot: usize,
    chat: Option<String>,
    limit: Option<usize>,
    samples: Vec<Recorded>,
}

#[derive(Deserialize)]
struct Recorded {
    doc_id: usize,
    context: String,
    until: Vec<String>,
    max_gen_toks: usize,
    raw: String,
    response: String,
    filtered: String,
    exact_match: f64,
}

/// A message to a chat's template.
#[derive(Deserialize)]
struct Said {
    role: String,
    content: String,
}

/// What was seen, so that no case is missing.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    requests: usize,
    right: usize,
    drawn_again: usize,
}

#[test]
#[ignore = "needs what tests/probe/lm_eval/witness.py writes"]
fn presets_equal_lm_eval() {
    let path = env::var("CONCEPT_MASS_LM_EVAL").expect("CONCEPT_MASS_LM_EVAL names a file");
    let witness: Witness = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(witness.lm_eval, "0.4.13");
    for preset in [Preset::LmEvalTriviaQa, Preset::LmEvalNqOpen] {
        let mut seen = Seen::default();
        let name = serde_json::to_value(preset).unwrap();
        let rows = &witness.rows[name.as_str().unwrap()];
        for run in witness.runs.iter().filter(|run| run.preset == preset) {
            run.check(rows, &mut seen);
        }
        println!("{name}: {seen:?}");
        assert!(seen.requests > 200 && seen.drawn_again > 0, "{seen:?}");
        assert!(seen.right > 50 && seen.right < seen.requests - 50, "{seen:?}");
    }
}

impl Run {
    fn check(&self, rows: &BTreeMap<String, String>, seen: &mut Seen) {
        let asked = self.preset.rows(&rows["test"]).unwrap();
        let pool = self.preset.rows(&rows[&self.train]).unwrap();
        let prompt = self.prompt();
        let mut choice = self.preset.choice();
        assert_eq!(self.samples.len(), self.limit.unwrap_or(asked.len()));
        for (i, (sample, row)) in self.samples.iter().zip(&asked).enumerate() {
            assert_eq!(sample.doc_id, i);
            let is_asked = |place: usize| pool[place] == *row;
            let mut first = choice.clone();
            let places = choice.next(self.num_fewshot, pool.len(), is_asked).unwrap();
            if self.num_fewshot > 0 {
                let mut drawn = first.next(self.num_fewshot, pool.len(), |_| false).unwrap();
                drawn.retain(|&place| !is_asked(place));
                seen.drawn_again += usize::from(!places.starts_with(&drawn));
            }
            let shots: Vec<Shot> =
                places.into_iter().map(|place| pool[place].shot().unwrap()).collect();
            let text = prompt.text(&row.question, &shots.iter().collect::<Vec<_>>()).unwrap();
            self.same_request(&text, sample);
            self.same_score(row, sample);
            seen.requests += 1;
            seen.right += usize::from(sample.exact_match > 0.0);
        }
    }

    fn prompt(&self) -> Prompt {
        let format = self.preset.format().unwrap();
        let turns = match self.chat.as_deref() {
            None => return Prompt::plain(format),
            Some("turns") => Turns::Each,
            Some(_) => Turns::One,
        };
        let chat = Chat { template: MESSAGES.to_owned(), bos: None, eos: None };
        Prompt::chat(&chat, format, ChatOptions { turns, ..ChatOptions::default() }).unwrap()
    }

    #[track_caller]
    fn same_request(&self, text: &str, sample: &Recorded) {
        if self.chat.is_none() {
            assert_eq!(text, sample.context);
        } else {
            let messages: Vec<Said> = serde_json::from_str(&sample.context).unwrap();
            let said = |Said { role, content }: &Said| format!("\u{1}{role}\u{2}{content}");
            assert_eq!(text, messages.iter().map(said).collect::<String>());
        }
        assert_eq!(self.preset.stops().texts(), sample.until);
        assert_eq!(Preset::MAX_TOKENS, sample.max_gen_toks);
    }

    #[track_caller]
    fn same_score(&self, row: &Row, sample: &Recorded) {
        // The text that a model's end is decoded to is a stop of lm-eval's; here it is a token.
        let said = sample.raw.split("</s>").next().unwrap();
        assert_eq!(self.preset.stops().cut(said).0, sample.response, "{:?}", sample.raw);
        let answer = self.preset.stops().answer(said);
        assert_eq!(answer, sample.filtered, "{:?}", sample.raw);
        let scorer = self.preset.scorer();
        let accepted = Accepted { forms: &row.answers, normalised: &[], endings: false };
        let verdict = scorer.accepts(answer, &accepted);
        assert_eq!(verdict, Some(sample.exact_match > 0.0), "{answer:?} {:?}", row.answers);
    }
}
