//! Our own scorers.

use super::{
    text::{Place, Text, View},
    tokens::{Join, Kind, Token},
};

/// The words of a text by which our own scorers compare.
///
/// - Letters are compared by compatibility (NFKC) and without case: ß is ss, İ is i, ς is σ. Dotless
///   ı is a letter of its own, and so is a letter with another accent.
/// - Invisible characters and apostrophes of all kinds are dropped; other punctuation separates
///   words, & is *and*, and a full stop of an abbreviation is dropped.
/// - A number is one word, by its value: with its sign (`-5`, `−5`, `minus 5`) and its decimal
///   fraction (`1.50` is `1.5`), without separators of thousands, in digits of any script, and times
///   what follows it, from a hundred to a trillion. The hyphen of a span is no sign. `1,5` is neither
///   15 nor 1.5, since nobody knows which.
/// - `C#`, `C++`, `A+`, `B−` and `.NET` keep their signs. Signs of currencies, % and emoji are words.
/// - Each letter of a script without spaces is a word.
/// - Articles before another word are dropped, unless nothing else is there.
///
/// A text of nothing but punctuation has what stands between its spaces.
///
/// ```
/// use commitment_probe::words;
///
/// assert_eq!(words("The U.S.A.’s 1,000.50 “Spider-Men”"), ["usas", "1000.5", "spider", "men"]);
/// assert_eq!(words("C# or C++?"), ["c#", "or", "c++"]);
/// assert_eq!(words("東京 2020"), ["東", "京", "2020"]);
/// assert_eq!(words("?!"), ["?!"]);
/// ```
pub fn words(text: &str) -> Vec<String> {
    spelt(text).into_iter().map(|(word, _)| word).collect()
}

/// The [words] of a text, and whether each is a letter of a script without spaces.
fn spelt(text: &str) -> Vec<(String, bool)> {
    let text = Text::new(text);
    let mut words: Vec<(String, bool)> = Vec::new();
    for (_, Token { text, kind, join, .. }) in text.viewed(View { articles: false, marks: true }) {
        match words.last_mut() {
            Some((last, _)) if matches!(join, Join::Joint | Join::Genitive) => last.push_str(text),
            _ => words.push((text.clone(), *kind == Kind::Unspaced)),
        }
    }
    words.extend(text.symbols.into_iter().map(|symbol| (symbol, false)));
    words
}

/// The [words] of an answer, with single spaces: answers that differ only in spelling are the same.
/// There are no spaces between letters of scripts without spaces.
///
/// ```
/// use commitment_probe::normalise_answer;
///
/// assert_eq!(normalise_answer(" The “St. Basil's” Cathedral!"), "st basils cathedral");
/// assert_eq!(normalise_answer("U.S.A."), normalise_answer("usa"));
/// assert_ne!(normalise_answer("1.5"), normalise_answer("15"));
/// ```
pub fn normalise_answer(text: &str) -> String {
    let mut joined = String::with_capacity(text.len());
    let mut last_unspaced: Option<bool> = None;
    for (word, unspaced) in spelt(text) {
        if last_unspaced.is_some_and(|last| !last || !unspaced) {
            joined.push(' ');
        }
        joined.push_str(&word);
        last_unspaced = Some(unspaced);
    }
    joined
}

/// What equal answers have in common; empty if and only if nothing is there.
pub(crate) fn key(answer: &str) -> String {
    normalise_answer(answer)
}

/// Whether `answer` is one of `forms`, but for spelling: by their [words], where a hyphen joins words
/// or separates them, articles may be missing, and so may the sign of a currency, a per cent sign or
/// an emoji in one of both.
///
/// An answer of nothing but articles, such as "The The", is compared word by word; an answer
/// without words is never acceptable.
///
/// ```
/// use commitment_probe::is_match;
///
/// assert!(is_match("the netherlands.", ["Netherlands", "Holland"]));
/// assert!(!is_match("New Holland", ["Netherlands", "Holland"]));
/// assert!(is_match("Spiderman", ["Spider-Man"]) && is_match("Spider Man", ["Spider-Man"]));
/// assert!(!is_match("-5", ["5"]) && !is_match("15", ["1.5"]));
/// assert!(!is_match("", [""]));
/// ```
pub fn is_match(answer: &str, forms: impl IntoIterator<Item = impl AsRef<str>>) -> bool {
    any(answer, forms, Place::Whole, false)
}

/// Whether `answer` begins with one of `forms`, at the boundary of a word. Articles and quotation
/// marks before it are ignored.
///
/// ```
/// use commitment_probe::begins_with;
///
/// assert!(begins_with("“The Netherlands”, also called Holland", ["Netherlands"]));
/// assert!(!begins_with("Catherine", ["Cat"]) && !begins_with("15", ["1"]));
/// ```
pub fn begins_with(answer: &str, forms: impl IntoIterator<Item = impl AsRef<str>>) -> bool {
    any(answer, forms, Place::Start, false)
}

/// The place of the form that the answer contains: of the one that begins first in it, and of these
/// the longest. None if it contains none.
///
/// A form is contained at boundaries of words: 5 is neither in 15 nor in 1.5 nor in −5, and *Cat* not
/// in *Catherine*, but *Vienna* in *Vienna's*. In scripts without spaces, each letter is a word.
///
/// A form is not counted where a denial stands directly before it: *not*, a verb in -n't, *cannot*,
/// *never*, *no longer*, *neither*, *nor*, *unlike*, *except*, *rather than*, *other than*, *instead
/// of* or *anything but*, with nothing between but articles, prepositions, forms of *to be*, and
/// *think it* or *believe that*. A denial that follows the form, as in *Vienna is wrong*, is not seen,
/// nor is one in another language.
///
/// A form of one word that sentences have by chance, such as *It*, *Who* or *US*, counts only in the
/// capitals of the form, and not where a sentence begins unless all of it is in capitals; or where it
/// stands alone between punctuation, as in *No, …*; or in quotation marks.
///
/// It takes time in proportion to the length of the answer times that of all forms.
///
/// ```
/// use commitment_probe::contained;
///
/// assert_eq!(contained("It is in New York City.", &["York", "New York", "NYC"]), Some(1));
/// assert_eq!(contained("答えは東京です", &["東京"]), Some(0));
/// assert_eq!(contained("It isn't in Vienna but in Graz.", &["Vienna"]), None);
/// ```
pub fn contained(answer: &str, forms: &[impl AsRef<str>]) -> Option<usize> {
    let answer = Text::new(answer);
    let found = forms.iter().enumerate().filter_map(|(place, form)| {
        let (at, length) = answer.find(&Text::new(form.as_ref()), Place::Anywhere, false)?;
        Some((at, usize::MAX - length, place))
    });
    found.min().map(|(_, _, place)| place)
}

/// Whether one of the forms has the place in the answer.
pub(super) fn any(
    answer: &str,
    forms: impl IntoIterator<Item = impl AsRef<str>>,
    place: Place,
    endings: bool,
) -> bool {
    let answer = Text::new(answer);
    forms.into_iter().any(|form| answer.find(&Text::new(form.as_ref()), place, endings).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_those_of_equal_answers() {
        for (a, b) in [("The U.S.A.", "usa"), ("１,０００", "1000"), ("İstanbul", "ISTANBUL")]
        {
            assert_eq!(key(a), key(b), "{a} {b}");
        }
        for (a, b) in [("1.5", "15"), ("C", "C#"), ("The The", "The"), ("?", "!"), ("’", "")] {
            assert_ne!(key(a), key(b), "{a} {b}");
        }
        assert_eq!(key(" \u{200B} "), "");
    }
}
