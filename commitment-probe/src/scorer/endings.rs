//! Endings that are forgiven if the user says so.

use super::{text::Char, tokens::Join};

/// The characters of a form as they are, and with other endings of the last word: in the plural if
/// it may be a singular, and in the singular if it may be a plural. Only words of three letters or
/// more have one, and only by the rules of English: -s, -es, -y and -ies.
pub(super) fn with_other_endings(form: Vec<Char>) -> Vec<Vec<Char>> {
    let begins = form.iter().rposition(|c| matches!(c.join, Join::Soft | Join::Apart));
    let last: String = form[begins.unwrap_or(0)..].iter().map(|c| c.c).collect();
    let mut forms = vec![form];
    if !last.chars().all(char::is_alphabetic) {
        return forms;
    }
    for other in other_endings(&last) {
        let shared = last.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
        let Some(mut changed) = forms.first().cloned() else { continue };
        changed.truncate(changed.len() - (last.chars().count() - shared));
        let Some(&end) = changed.last() else { continue };
        changed.extend(other.chars().skip(shared).map(|c| Char { c, join: Join::Inside, ..end }));
        forms.push(changed);
    }
    forms
}

fn other_endings(word: &str) -> Vec<String> {
    let plural = |singular: &str| match singular.strip_suffix('y') {
        Some(stem) => vec![format!("{singular}s"), format!("{stem}ies")],
        None if singular.ends_with('s') => vec![format!("{singular}es")],
        None => vec![format!("{singular}s"), format!("{singular}es")],
    };
    let mut others = plural(word);
    let without =
        |ending: &str, instead: &str| Some(word.strip_suffix(ending)?.to_owned() + instead);
    others.extend([without("s", ""), without("es", ""), without("ies", "y")].into_iter().flatten());
    others.retain(|other| other.chars().count().min(word.chars().count()) > 2);
    // Princess is no plural.
    others.retain(|other| !(word.ends_with("ss") && other.len() < word.len()));
    others
}
