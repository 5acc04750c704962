//! How long an answer is.

use super::{
    classes::{is_unspaced, is_word},
    fold::{GROUP, characters},
};

/// The number of words, as a person counts them: what stands between white space or long dashes and
/// has a letter or a digit. In scripts without spaces (Han, kana, Thai, Lao, Khmer, Myanmar), each
/// letter is one. Of a text of symbols alone, what stands between white space.
///
/// ```
/// use commitment_probe::num_words;
///
/// assert_eq!(num_words("It's Spider-Man, in the U.S.A. — 1,000.5 times!"), 7);
/// assert_eq!(num_words("東京タワー 2020"), 6);
/// assert_eq!((num_words(" "), num_words("∞")), (0, 1));
/// ```
pub fn num_words(text: &str) -> usize {
    let chars = characters(text);
    let separates = |c: &char| *c != GROUP && (c.is_whitespace() || matches!(c, '—' | '―'));
    let pieces = || chars.split(|c| separates(c)).filter(|piece| !piece.is_empty());
    let counted: usize = pieces().map(count).sum();
    if counted == 0 { pieces().count() } else { counted }
}

fn count(piece: &[char]) -> usize {
    let unspaced = piece.iter().filter(|&&c| is_letter_of_its_own(c)).count();
    let others = piece.split(|&c| is_unspaced(c));
    unspaced + others.filter(|run| run.iter().any(|&c| is_word(c))).count()
}

/// Whether it is a letter of a script without spaces, and no accent on one.
fn is_letter_of_its_own(c: char) -> bool {
    use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};
    is_unspaced(c) && c.general_category_group() != GeneralCategoryGroup::Mark
}
