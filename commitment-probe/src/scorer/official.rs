//! What the scripts decide by which results are published, written as they behave in Python.

use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// SQuAD v1.1's `evaluate-v1.1.py` (Rajpurkar et al., 2016).
pub(super) fn squad(answer: &str, forms: &[String]) -> bool {
    any_equal(answer, forms, |text| without_articles(&without_punctuation(&text.to_lowercase())))
}

/// `normalize_answer` of `orqa/utils/eval_utils.py` in google-research/language, which is SQuAD's
/// after a canonical decomposition (Lee et al., 2019). An accent parts a word there, so that à, too,
/// is taken for an article.
pub(super) fn nq_open(answer: &str, forms: &[String]) -> bool {
    any_equal(answer, forms, |text| {
        let decomposed: String = text.nfd().collect();
        without_articles(&without_punctuation(&decomposed.to_lowercase()))
    })
}

/// `triviaqa_evaluation.py` (Joshi et al., 2017), where punctuation becomes spaces.
pub(super) fn trivia_qa(answer: &str, forms: &[String]) -> bool {
    any_equal(answer, forms, |text| {
        let is_mark = |c: char| c.is_ascii_punctuation() || matches!(c, '‘' | '’' | '´');
        let lower = text.replace('_', " ").to_lowercase();
        without_articles(&lower.replace(is_mark, " "))
    })
}

/// `exact_match` of lm-eval 0.4.13 as its task `triviaqa` sets it.
pub(super) fn lm_eval_trivia_qa(answer: &str, forms: &[String]) -> bool {
    lm_eval(answer, forms, str::to_owned)
}

/// The same as its task `nq_open` sets it.
pub(super) fn lm_eval_nq_open(answer: &str, forms: &[String]) -> bool {
    lm_eval(answer, forms, without_leading_articles)
}

fn any_equal(answer: &str, forms: &[String], normalise: impl Fn(&str) -> String) -> bool {
    let answer = normalise(answer);
    forms.iter().any(|form| normalise(form) == answer)
}

/// Texts are kept in NumPy arrays, of which all items have the width of the longest: what becomes
/// longer in lower case, as İ does, is cut at that width, and zeros at the end are lost.
fn lm_eval(answer: &str, forms: &[String], prepare: fn(&str) -> String) -> bool {
    let width = |text: &String| text.chars().count();
    let compared = |text: &String, width: usize| -> String {
        let lower = text.trim_end_matches('\0').to_lowercase();
        let cut: String = lower.chars().take(width).collect();
        without_punctuation(&cut).trim_end_matches('\0').to_owned()
    };
    let answer = prepare(answer.trim_matches(is_space));
    let forms: Vec<String> = forms.iter().map(|form| prepare(form)).collect();
    let answer = compared(&answer, width(&answer));
    let widest = forms.iter().map(width).max().unwrap_or(0);
    forms.iter().any(|form| compared(form, widest) == answer)
}

/// `re.sub(r"\b(?:The |the |An |A |a |an )", "", text)`
fn without_leading_articles(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let (mut rest, mut in_word) = (text, false);
    while let Some(c) = rest.chars().next() {
        let article = ["The ", "the ", "An ", "A ", "a ", "an "]
            .into_iter()
            .find(|article| !in_word && rest.starts_with(article));
        if let Some(article) = article {
            rest = &rest[article.len()..];
            in_word = false;
        } else {
            kept.push(c);
            in_word = is_word(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    kept
}

/// `re.sub(r"\b(a|an|the)\b", " ", text)`, and white space as single spaces.
fn without_articles(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if is_word(c) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let word = &rest[..end];
            kept.push_str(if matches!(word, "a" | "an" | "the") { " " } else { word });
            rest = &rest[end..];
        } else {
            kept.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    let words: Vec<&str> = kept.split(is_space).filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn without_punctuation(text: &str) -> String {
    text.replace(|c: char| c.is_ascii_punctuation(), "")
}

/// `\w` of Python's `re`.
fn is_word(c: char) -> bool {
    use GeneralCategoryGroup::{Letter, Number};
    c == '_' || matches!(c.general_category_group(), Letter | Number)
}

/// `str.isspace`
fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1C}'..='\u{1F}')
}
