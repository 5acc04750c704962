//! Spelling: what is one character to us, however it is encoded.

use caseless::Caseless;
use unicode_normalization::{UnicodeNormalization, char::decompose_compatible};
use unicode_properties::{GeneralCategory, UnicodeGeneralCategory};

/// Stands for a narrow or no-break space between two digits. It is invisible, so that no text has
/// it once invisible characters are dropped.
pub(super) const GROUP: char = '\u{2063}';

/// Stands before the s of a genitive in the place of its apostrophe.
pub(super) const GENITIVE: char = '\u{2064}';

/// The characters by which texts are compared: compatibility forms (NFKC) with full case folding;
/// without apostrophes and invisible characters; digits of all scripts as ASCII digits.
///
/// An apostrophe between two digits stays as `'`, that of a genitive becomes [`GENITIVE`], a narrow space there becomes [`GROUP`], and
/// digits above the line after a digit begin with `^`, since each changes the number.
pub(super) fn characters(text: &str) -> Vec<char> {
    let visible = visible(text);
    let mut spelt = Vec::with_capacity(visible.len());
    for (i, &c) in visible.iter().enumerate() {
        let before = i.checked_sub(1).map(|i| visible[i]);
        let after_digit = before.is_some_and(is_digit);
        let between_digits = after_digit && visible.get(i + 1).copied().is_some_and(is_digit);
        match c {
            _ if is_apostrophe(c) && between_digits => spelt.push('\''),
            _ if is_apostrophe(c) => spelt.extend(is_genitive(&visible, i).then_some(GENITIVE)),
            '٫' if between_digits => spelt.push('.'),
            '\u{A0}' | '\u{2007}'..='\u{2009}' | '\u{202F}' if between_digits => spelt.push(GROUP),
            '©' | '®' | '™' | '℠' | 'ـ' => {}
            '″' | '‴' | '‶' | '‷' | '⁗' => spelt.push('"'),
            _ if is_superscript(c) && after_digit => spelt.extend(['^', c]),
            _ if after_digit && is_fraction(c) => spelt.extend([' ', c]),
            _ => spelt.push(ascii_digit(c)),
        }
    }
    folded(&spelt)
}

/// Compatibility caseless matching (D146 of the Unicode Standard, section 3.13), composed again.
fn folded(spelt: &[char]) -> Vec<char> {
    let chars = spelt.iter().copied().nfd().default_case_fold().nfkd().default_case_fold().nfkd();
    let mut kept: Vec<char> = Vec::with_capacity(spelt.len());
    for c in chars {
        // İ, which is folded to an i with a dot above, is the letter i.
        let dot_of_i = c == '\u{307}' && kept.last() == Some(&'i');
        let dropped = c != '\'' && is_apostrophe(c);
        if !dot_of_i && !dropped && c.general_category() != GeneralCategory::EnclosingMark {
            kept.push(match c {
                '⁄' | '∕' => '/',
                '∶' => ':',
                '♯' => '#',
                other => other,
            });
        }
    }
    kept.into_iter().nfc().collect()
}

/// All but the characters that nobody sees. Tags stay in a flag, whose country they say.
fn visible(text: &str) -> Vec<char> {
    let mut in_flag = false;
    let mut visible = Vec::with_capacity(text.len());
    for c in text.chars() {
        in_flag = c == '\u{1F3F4}' || in_flag && is_tag(c);
        if in_flag || !is_invisible(c) {
            visible.push(c);
        }
    }
    visible
}

/// Format characters, and others that are ignored when a text is drawn
/// (`Default_Ignorable_Code_Point`): soft hyphens, joiners, variation selectors, fillers.
fn is_invisible(c: char) -> bool {
    c.general_category() == GeneralCategory::Format
        || matches!(c,
            '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{17B4}' | '\u{17B5}' | '\u{180B}'..='\u{180F}'
            | '\u{2065}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}' | '\u{FFA0}'
            | '\u{FFF0}'..='\u{FFF8}' | '\u{E0000}'..='\u{E0FFF}')
}

pub(super) fn is_tag(c: char) -> bool {
    matches!(c, '\u{E0020}'..='\u{E007F}')
}

/// Apostrophes, single quotation marks, primes, and the letters that look like them, such as the
/// ʻokina.
pub(super) fn is_apostrophe(c: char) -> bool {
    matches!(
        c,
        '\'' | '`' | '´' | '‘' | '’' | '‚' | '‛' | '′' | '‵' | '‹' | '›' | 'ʹ'
            ..='ʿ' | 'ˈ' | 'ˊ' | 'ˋ' | '՚' | '׳' | 'Ꞌ' | 'ꞌ' | '＇' | '｀' | '\u{374}' | '\u{1FBF}'
    )
}

/// Whether an apostrophe stands before the s at the end of a word of letters.
fn is_genitive(chars: &[char], at: usize) -> bool {
    let after = |distance: usize| chars.get(at + distance).copied();
    let ends = !after(2).is_some_and(|c| c.is_alphanumeric() || is_apostrophe(c));
    let in_word = at > 0 && (chars[at - 1].is_alphabetic() || chars[at - 1] == '.');
    in_word && matches!(after(1), Some('s' | 'S')) && ends
}

fn is_superscript(c: char) -> bool {
    matches!(c, '²' | '³' | '¹' | '⁰' | '⁴'..='⁹' | '⁻')
}

/// Whether it is a fraction in one character, such as ½.
fn is_fraction(c: char) -> bool {
    let mut fraction = false;
    decompose_compatible(c, |part| fraction |= part == '⁄');
    fraction
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit() || !c.is_ascii() && c.general_category() == GeneralCategory::DecimalNumber
}

/// The ASCII digit of the same value, of a decimal digit. Those of a script follow each other from
/// zero to nine, and so do scripts that adjoin.
fn ascii_digit(c: char) -> char {
    if c.is_ascii() || !is_digit(c) {
        return c;
    }
    let below = (1..u32::from(c)).map_while(|n| char::from_u32(u32::from(c) - n));
    let value = below.take_while(|&c| is_digit(c)).count() % 10;
    u32::try_from(value).ok().and_then(|value| char::from_digit(value, 10)).unwrap_or(c)
}
