//! Natural Questions as it is published, and as the Hub has it: answers are places in a document.

use super::{Unchecked, UnfitQuestion, forms, read::Found, row::Row, value::Value};

/// Reads a row; there may be no short answer in it.
pub(super) fn read(row: &Row, id: String) -> Result<Found, UnfitQuestion> {
    let annotations = row.get("annotations")?;
    let spans = annotations.as_ref().map(short_answers).unwrap_or_default();
    let answers = if row.is_nested("question") {
        let texts = spans.iter().filter_map(|span| span.field("text"));
        forms(texts.flat_map(list).filter_map(|text| text.clone().into_text().ok()).collect())
    } else {
        let words = words(row)?;
        let answers = spans.iter().map(|span| answer(row, span, &words));
        forms(answers.collect::<Result<_, _>>()?)
    };
    if answers.is_empty() {
        return Ok(Found::Unanswered);
    }
    let question = match row.get("question")? {
        Some(question) => question.field("text").cloned(),
        None => row.get("questiontext")?,
    };
    let question = question.ok_or(UnfitQuestion::NoField { field: "question_text" })?;
    let question = question.into_text().map_err(|problem| row.wrong("questiontext", problem))?;
    let question = Unchecked { id, question, answers, ..Unchecked::default() };
    Ok(Found::Question(question, false))
}

/// The short answers of all who annotated: in a list of annotations, or in one of lists.
fn short_answers(annotations: &Value) -> Vec<&Value> {
    let of_all = list(annotations).filter_map(|annotation| annotation.field("shortanswers"));
    of_all.flat_map(list).collect()
}

/// The items of a list; or the value itself, if it is none.
fn list(value: &Value) -> impl Iterator<Item = &Value> {
    match value {
        Value::List(items) => items.as_slice(),
        value => std::slice::from_ref(value),
    }
    .iter()
}

/// The words of the document, to which short answers point.
fn words(row: &Row) -> Result<Vec<String>, UnfitQuestion> {
    if let Some(text) = row.text("documenttext")? {
        return Ok(text.split(' ').map(str::to_owned).collect());
    }
    let field = "document_text and no document_tokens";
    let tokens = row.get("documenttokens")?.ok_or(UnfitQuestion::NoField { field })?;
    let text = |token: &Value| match token.field("token") {
        Some(Value::Text(token)) => Ok(token.clone()),
        _ => Err(row.wrong("documenttokens", "one of them has no token")),
    };
    list(&tokens).map(text).collect()
}

/// A short answer, without the tags of the page.
fn answer(row: &Row, span: &Value, words: &[String]) -> Result<String, UnfitQuestion> {
    let place = |name| match span.field(name) {
        Some(Value::Number(number)) => number.parse::<usize>().ok(),
        _ => None,
    };
    let (Some(start), Some(end)) = (place("starttoken"), place("endtoken")) else {
        return Err(row.wrong("annotations", "a short answer has no start_token or end_token"));
    };
    let all = words.len();
    let words =
        words.get(start..end).ok_or(UnfitQuestion::ShortAnswer { start, end, words: all })?;
    let is_tag = |word: &&String| word.starts_with('<') && word.ends_with('>');
    let text: Vec<_> = words.iter().filter(|word| !is_tag(word)).cloned().collect();
    Ok(text.join(" "))
}
