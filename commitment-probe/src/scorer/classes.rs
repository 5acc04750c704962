//! What a character is to us.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup as Group, UnicodeGeneralCategory};

use super::tokens::Kind;

pub(super) fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '‐' | '‑' | '‒' | '–' | '−' | '⁃' | '⁻')
}

pub(super) fn is_mark(c: char) -> bool {
    c.general_category_group() == Group::Mark
}

pub(super) fn is_currency(c: char) -> bool {
    c.general_category() == GeneralCategory::CurrencySymbol
}

/// Whether it is of a word: a letter or its accent, a numeral that is no digit, or the sign of a
/// flat note.
pub(super) fn is_letter(c: char) -> bool {
    match c.general_category() {
        GeneralCategory::LetterNumber | GeneralCategory::OtherNumber => true,
        _ => c == '♭' || matches!(c.general_category_group(), Group::Letter | Group::Mark),
    }
}

/// Whether it is of a word or a number.
pub(super) fn is_word(c: char) -> bool {
    c.is_ascii_digit() || is_letter(c)
}

/// Whether it is a letter of Han, kana, Thai, Lao, Khmer or Myanmar, which are written without
/// spaces.
pub(super) fn is_unspaced(c: char) -> bool {
    matches!(c,
        '\u{0E01}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        | '\u{19E0}'..='\u{19FF}' | '\u{A9E0}'..='\u{A9FF}' | '\u{AA60}'..='\u{AA7F}'
        | '々'..='〇' | '〱'..='〵' | '\u{3041}'..='ゟ' | '\u{30A1}'..='ヺ' | 'ー'..='ヿ'
        | '\u{31F0}'..='\u{31FF}' | '\u{3400}'..='\u{4DBF}' | '\u{4E00}'..='\u{9FFF}'
        | '\u{F900}'..='\u{FAFF}' | '\u{FF66}'..='\u{FF9D}' | '\u{1AFF0}'..='\u{1B16F}'
        | '\u{20000}'..='\u{3FFFF}')
        && is_letter(c)
}

/// What a symbol is to us; none if it only separates.
pub(super) fn symbol(c: char) -> Option<Kind> {
    if c.is_ascii() && c != '$' {
        return None;
    }
    match (c, c.general_category()) {
        ('°' | '←'..='⇿' | '≈' | '∼' | '≃' | '≅' | '∽' | '⋅' | '∙', _) => None,
        ('‰' | '\u{1F3FB}'..='\u{1F3FF}', _) => Some(Kind::Mark),
        (_, GeneralCategory::CurrencySymbol | GeneralCategory::OtherSymbol) => Some(Kind::Mark),
        (_, GeneralCategory::MathSymbol) => Some(Kind::Word),
        _ => None,
    }
}
