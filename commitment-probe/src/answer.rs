//! Whether an answer is acceptable, and whether two answers are the same.

/// The answer in lower case, without punctuation and articles, with single spaces: answers that
/// differ only in these are the same.
///
/// This is the normalisation by which SQuAD and the open version of Natural Questions are scored
/// (Rajpurkar et al., 2016), with typographic quotation marks and the like counted as punctuation.
///
/// ```
/// use commitment_probe::normalise_answer;
///
/// assert_eq!(normalise_answer(" The “St. Basil's” Cathedral!"), "st basils cathedral");
/// assert_eq!(normalise_answer("U.S.A."), normalise_answer("usa"));
/// ```
pub fn normalise_answer(text: &str) -> String {
    let lower = text.to_lowercase();
    let bare: String = lower.chars().filter(|&c| !is_punctuation(c)).collect();
    let words = bare.split_whitespace().filter(|word| !matches!(*word, "a" | "an" | "the"));
    words.collect::<Vec<_>>().join(" ")
}

/// Whether `answer` is one of `forms`, both [normalised](normalise_answer).
///
/// An answer of nothing but articles, such as "The The", is compared word by word; an answer
/// without words is never acceptable.
///
/// ```
/// use commitment_probe::is_match;
///
/// assert!(is_match("the netherlands.", ["Netherlands", "Holland"]));
/// assert!(!is_match("New Holland", ["Netherlands", "Holland"]));
/// assert!(!is_match("", [""]));
/// ```
pub fn is_match(answer: &str, forms: impl IntoIterator<Item = impl AsRef<str>>) -> bool {
    let answer = key(answer);
    !answer.is_empty() && forms.into_iter().any(|form| key(form.as_ref()) == answer)
}

/// The normalised answer, or its words if normalisation leaves none.
pub(super) fn key(answer: &str) -> String {
    match normalise_answer(answer) {
        empty if empty.is_empty() => {
            answer.to_lowercase().split_whitespace().collect::<Vec<_>>().join(" ")
        }
        normalised => normalised,
    }
}

fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
        || matches!(c, '‘' | '’' | '“' | '”' | '„' | '«' | '»' | '´' | '…' | '–' | '—')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_punctuation_articles_and_spaces_are_dropped() {
        for (text, want) in [
            ("Paris", "paris"),
            ("  a   Tale of\tTwo Cities ", "tale of two cities"),
            ("Ørsted’s", "ørsteds"),
            ("the", ""),
            ("Theo", "theo"),
            ("…", ""),
        ] {
            assert_eq!(normalise_answer(text), want, "{text:?}");
        }
    }

    #[test]
    fn a_form_of_nothing_but_articles_is_matched_by_its_words() {
        assert!(is_match("The The", ["The  The"]));
        assert!(!is_match("The", ["A"]));
        assert!(!is_match(" ", ["", " "]));
        assert!(!is_match("Paris", [] as [&str; 0]));
    }
}
