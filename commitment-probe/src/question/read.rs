//! A row to a question, by its layout.

use std::collections::BTreeMap;

use super::{
    Layout, Unchecked, UnfitQuestion, forms, literal, natural, nest::Place, row::Row, value::Value,
};

/// What data sets write where they give no answer.
const PLACEHOLDER: &str = "<unk>";

/// What a row holds.
pub(super) enum Found {
    /// A question, and whether its id is no more than a number in its file.
    Question(Unchecked, bool),
    /// A question that has no answer, as its layout allows.
    Unanswered,
    /// A question whose field for the answer is missing.
    Unlabelled(UnfitQuestion),
}

/// The layout of a row, by the names of its fields; by their values where the names are the same.
pub(super) fn layout(row: &Row) -> Option<Layout> {
    let has = |names: &[&str]| row.has_all(names);
    let has_id = IDS.iter().any(|name| row.has(name));
    let has_number = row.is_nested("question") || row.has("exampleid") || row.has("questiontext");
    Some(if has(&["annotations"]) && has_number && !row.has("answer") && !row.has("answers") {
        Layout::NaturalQuestions
    } else if has(&["utterance", "targetvalue"]) {
        Layout::WebQuestions
    } else if has(&["question", "possibleanswers"]) || has(&["question", "prop", "obj"]) {
        Layout::PopQa
    } else if has(&["problem", "answer"]) {
        Layout::SimpleQa
    } else if has(&["input", "output"]) && !row.has("instruction") {
        Layout::Kilt
    } else if has(&["question", "answerstext"]) {
        Layout::Squad
    } else if has(&["question", "answervalue"]) {
        Layout::TriviaQa
    } else if has(&["question", "answers"]) {
        of_answers(row, has_id)
    } else if has(&["question", "answer"]) && !is_choice(row) {
        let is_trivia =
            row.is_nested("answer") && matches!(row.get("answer"), Ok(Some(Value::Map(_))));
        if is_trivia || row.has("questionsource") { Layout::TriviaQa } else { Layout::NqOpen }
    } else if has(&["question", "questionid"]) {
        Layout::TriviaQa
    } else if has(&["input", "id"]) {
        Layout::Kilt
    } else {
        return None;
    })
}

fn of_answers(row: &Row, has_id: bool) -> Layout {
    let first_is_object = |value: &Value| match value {
        Value::List(items) => matches!(items.first(), Some(Value::Map(_))),
        value => matches!(value, Value::Map(_)),
    };
    let is_own = row.has("others") || row.has("normalised") || row.has("group");
    if !is_own && row.get("answers").is_ok_and(|v| v.as_ref().is_some_and(first_is_object)) {
        Layout::Squad
    } else if row.has("url") {
        Layout::WebQuestions
    } else if has_id || is_own {
        Layout::Own
    } else {
        Layout::EntityQuestions
    }
}

/// Whether the answer is the number of a choice, not an answer.
fn is_choice(row: &Row) -> bool {
    row.has("choices") || row.has("options")
}

/// Reads a row, the `number`th of its file.
pub(super) fn read(
    row: &Row,
    place: &Place,
    number: usize,
) -> Result<(Layout, Found), UnfitQuestion> {
    let layout = match layout(row) {
        Some(layout) => place.layout.unwrap_or(layout),
        // In SQuAD's test set, nothing but questions.
        None if place.layout == Some(Layout::Squad) && row.has("question") => Layout::Squad,
        None => return Err(UnfitQuestion::unknown_layout(row.names())),
    };
    let (id, is_number) = id(row, layout, place, number)?;
    let found = if layout == Layout::NaturalQuestions {
        natural::read(row, id)?
    } else {
        check_whole(row, place)?;
        question(row, layout, id, is_number)?
    };
    Ok((layout, found))
}

/// What ids are called; the first that is there is it.
const IDS: [&str; 6] = ["id", "questionid", "qid", "exampleid", "uid", "originalindex"];

/// The id, and whether it is only a number.
fn id(
    row: &Row,
    layout: Layout,
    place: &Place,
    number: usize,
) -> Result<(String, bool), UnfitQuestion> {
    let first = if layout == Layout::TriviaQa { "questionid" } else { "id" };
    for name in [first].into_iter().chain(IDS) {
        if let Some(id) = row.text(name)? {
            return Ok((id, false));
        }
    }
    Ok((place.id.clone().unwrap_or_else(|| number.to_string()), true))
}

/// Fails if one of the fields that are read is cut short.
fn check_whole(row: &Row, place: &Place) -> Result<(), UnfitQuestion> {
    let read = TEXTS.iter().chain(&ANSWERS);
    let cut = |name: &&&str| place.cut.iter().any(|cut| super::value::plain(cut) == **name);
    match read.filter(|name| row.has(name)).find(cut) {
        Some(name) => Err(UnfitQuestion::CutShort { field: row.written(name).to_owned() }),
        None => Ok(()),
    }
}

/// What the text of a question is called.
const TEXTS: [&str; 4] = ["question", "utterance", "problem", "input"];

/// What its answers are called: all that are there are forms of the answer, except that
/// [`answers`] takes the object of a triple only where there is no list.
const ANSWERS: [&str; 9] = [
    "possibleanswers",
    "targetvalue",
    "answers",
    "answer",
    "answervalue",
    "answerstext",
    "answeraliases",
    "answerhumananswers",
    "output",
];

fn question(
    row: &Row,
    layout: Layout,
    id: String,
    is_number: bool,
) -> Result<Found, UnfitQuestion> {
    let is_false = |name| Ok::<_, UnfitQuestion>(row.get(name)? == Some(Value::Bool(false)));
    if row.get("isimpossible")? == Some(Value::Bool(true)) || is_false("answerable")? {
        return Ok(Found::Unanswered);
    }
    let text = text(row)?;
    let Answers { forms: answers, mut normalised, none } = answers(row, layout)?;
    let unlabelled = |placeholder| UnfitQuestion::Unlabelled {
        id: (!is_number).then(|| id.clone()),
        placeholder,
    };
    if !ANSWERS.iter().any(|name| row.has(name)) && !row.has("obj") {
        return Ok(Found::Unlabelled(unlabelled(None)));
    }
    if let Some(form) = answers.iter().find(|form| form.trim().eq_ignore_ascii_case(PLACEHOLDER)) {
        return Err(unlabelled(Some(form.trim().to_owned())));
    }
    if forms(answers.clone()).is_empty() {
        return match layout {
            _ if none => Ok(Found::Unanswered),
            // Whoever writes it has forgotten the answers.
            Layout::Own if row.is_nested("answers") => Err(UnfitQuestion::NoAnswers),
            // Some tasks of KILT have outputs that say where to look, and no more.
            Layout::Kilt => Ok(Found::Unlabelled(unlabelled(None))),
            _ => Err(unlabelled(None)),
        };
    }
    let others = others(row)?;
    let group = row.text("group")?;
    if let Some(value) = row.get("normalised")? {
        let mut own = Answers::default();
        own.add(value).map_err(|problem| row.wrong("normalised", problem))?;
        normalised.extend(own.forms);
    }
    let question = Unchecked { id, question: text, answers, others, group, normalised };
    Ok(Found::Question(question, is_number))
}

fn text(row: &Row) -> Result<String, UnfitQuestion> {
    for name in TEXTS {
        if let Some(text) = row.text(name)? {
            return Ok(text);
        }
    }
    Err(UnfitQuestion::NoText)
}

/// What is found in the fields of answers.
#[derive(Default)]
struct Answers {
    forms: Vec<String>,
    normalised: Vec<String>,
    /// Whether it is said that there is no answer: SQuAD's list of texts is there, and empty.
    none: bool,
}

fn answers(row: &Row, layout: Layout) -> Result<Answers, UnfitQuestion> {
    let mut answers = Answers::default();
    let triple = ["obj", "oaliases"]
        .iter()
        .filter(|_| layout == Layout::PopQa && !row.has("possibleanswers"));
    for name in ANSWERS.iter().chain(triple) {
        let Some(value) = row.get(name)? else { continue };
        answers.add_field(name, value).map_err(|problem| row.wrong(name, problem))?;
    }
    for name in ["answernormalizedvalue", "answernormalizedaliases"] {
        let Some(value) = row.get(name)? else { continue };
        let mut more = Answers::default();
        more.add_field(name, value).map_err(|problem| row.wrong(name, problem))?;
        answers.normalised.extend(more.forms);
    }
    Ok(answers)
}

impl Answers {
    /// Adds what a field holds.
    fn add_field(&mut self, name: &str, value: Value) -> Result<(), String> {
        match value {
            Value::Text(text) if name == "targetvalue" => match literal::descriptions(&text) {
                Some(descriptions) => self.forms.extend(descriptions),
                None => return Err("it is not like (list (description …) …)".into()),
            },
            Value::Text(text) => match literal::nested(&text).filter(|list| is_answers(name, list))
            {
                Some(list) => return self.add(list),
                None => self.forms.push(text),
            },
            value => return self.add(value),
        }
        Ok(())
    }

    /// Adds a text, a number, or those in a list or an object.
    fn add(&mut self, value: Value) -> Result<(), String> {
        match value {
            Value::Null => {}
            Value::List(items) => {
                for item in items {
                    match item {
                        Value::Map(_) => self.add_object(&item)?,
                        Value::Null => {}
                        item => self.forms.push(item.into_text()?),
                    }
                }
            }
            Value::Map(_) => self.add_object(&value)?,
            value => self.forms.push(value.into_text()?),
        }
        Ok(())
    }

    /// Adds the forms in an object: TriviaQA's, SQuAD's or KILT's.
    fn add_object(&mut self, object: &Value) -> Result<(), String> {
        let texts = |name| -> Result<Vec<String>, String> {
            let mut texts = Self::default();
            match object.field(name) {
                // An object in it would be none of these layouts, and could go on forever.
                Some(Value::Map(_)) => return Err(format!("its {name} is an object, not a text")),
                Some(Value::List(items)) if items.iter().any(|i| matches!(i, Value::Map(_))) => {
                    return Err(format!("its {name} has an object in it"));
                }
                Some(value) => texts.add(value.clone())?,
                None => {}
            }
            Ok(texts.forms)
        };
        for name in ["value", "text", "answer", "aliases", "humananswers"] {
            self.forms.extend(texts(name)?);
        }
        for name in ["normalizedvalue", "normalizedaliases"] {
            self.normalised.extend(texts(name)?);
        }
        self.none |= matches!(object.field("text"), Some(Value::List(items)) if items.is_empty());
        Ok(())
    }
}

/// Whether a list or an object that was written as the text of a field is meant as one: a single
/// answer may be a text in brackets.
fn is_answers(name: &str, value: &Value) -> bool {
    match value {
        Value::List(items) => {
            name != "answer" || items.iter().all(|item| matches!(item, Value::Text(_)))
        }
        value => ["value", "text", "answer"].iter().any(|name| value.field(name).is_some()),
    }
}

fn others(row: &Row) -> Result<BTreeMap<String, Vec<String>>, UnfitQuestion> {
    let fields = match row.get("others")? {
        None | Some(Value::Null) => return Ok(BTreeMap::new()),
        Some(Value::Text(text)) => literal::nested(&text).unwrap_or(Value::Text(text)),
        Some(value) => value,
    };
    let Value::Map(fields) = fields else {
        let problem = format!("it is {}, not an object", fields.kind());
        return Err(row.wrong("others", problem));
    };
    let mut others = BTreeMap::new();
    for (name, value) in fields {
        let mut answers = Answers::default();
        answers.add(value).map_err(|problem| row.wrong("others", problem))?;
        others.entry(name).or_insert_with(Vec::new).extend(answers.forms);
    }
    Ok(others)
}
