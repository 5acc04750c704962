//! The first token that says something: which tokens do not, and where a form is cut.

use std::collections::{BTreeSet, HashMap};

use concept_mass::source::{Piece, Vocabulary};

/// A token that begins the answers of this share of a run's other questions says nothing.
const COMMON: f64 = 0.05;

/// A token sequence, cut after its first informative token; all of it if it has none.
pub(super) type Cut = Vec<u32>;

/// Which tokens say nothing in one question.
pub(super) struct Uninformative<'a> {
    pub vocabulary: &'a Vocabulary,
    /// Of each token, how many of the run's questions have an answer that it begins.
    pub begun: &'a HashMap<u32, usize>,
    /// The run's other questions.
    pub others: usize,
    /// The tokens that begin this question's own answer.
    pub own: &'a [u32],
}

impl Uninformative<'_> {
    /// Of the first of `tokens`.
    fn is_first(&self, tokens: &[u32]) -> bool {
        let Some((&token, rest)) = tokens.split_first() else { return false };
        let piece = self.vocabulary.piece(token);
        // The "A" of "Azerbaijan" is no article.
        let ends_word = || {
            let next = rest.first().map(|&next| self.vocabulary.piece(next).bytes());
            next.is_none_or(|next| !next.first().is_some_and(u8::is_ascii_alphabetic))
        };
        says_nothing(piece) || self.is_common(token) || is_article(piece) && ends_word()
    }

    fn is_common(&self, token: u32) -> bool {
        let own = usize::from(self.own.binary_search(&token).is_ok());
        let begun = self.begun.get(&token).copied().unwrap_or(0).saturating_sub(own);
        begun > 0 && begun as f64 >= COMMON * self.others as f64
    }

    /// How many tokens say nothing before one does, or before the end.
    pub fn passed(&self, tokens: &[u32]) -> usize {
        (0..tokens.len()).take_while(|&i| self.is_first(&tokens[i..])).count()
    }

    pub fn cut<'t>(&self, tokens: &'t [u32]) -> &'t [u32] {
        &tokens[..tokens.len().min(self.passed(tokens) + 1)]
    }

    /// The distinct cuts of `forms`, none of which begins with another.
    pub fn cuts<'t>(&self, forms: impl IntoIterator<Item = &'t Vec<u32>>) -> BTreeSet<Cut> {
        let all: BTreeSet<Cut> = forms.into_iter().map(|form| self.cut(form).to_vec()).collect();
        let is_outer = |cut: &Cut| (1..cut.len()).all(|length| !all.contains(&cut[..length]));
        all.iter().filter(|cut| is_outer(cut)).cloned().collect()
    }
}

/// Whether a token says nothing whatever the question: it is blank or has punctuation alone, a
/// number, or a part of a character.
fn says_nothing(piece: &Piece) -> bool {
    let Some(text) = piece.text() else { return true };
    let word = text.trim_matches(|c: char| !is_telling(c));
    word.is_empty() || word.chars().all(char::is_numeric)
}

/// Whether a token is spelt as an article is.
fn is_article(piece: &Piece) -> bool {
    let word = piece.text().unwrap_or_default().trim_matches(|c: char| !is_telling(c));
    ["a", "an", "the"].iter().any(|article| word.eq_ignore_ascii_case(article))
}

/// Whether a character is more than a space or punctuation: a letter, a digit, or a symbol such as
/// `+` or `€`.
fn is_telling(c: char) -> bool {
    let is_symbol = |c: char| !c.is_ascii() && !c.is_whitespace() && !c.is_control();
    c.is_alphanumeric() || "+=<>$%&@#^|~".contains(c) || is_symbol(c) && !is_quote(c)
}

/// Quotation marks, brackets and dashes beyond ASCII, and what is invisible.
fn is_quote(c: char) -> bool {
    matches!(
        c,
        '\u{AB}' | '\u{BB}' | '\u{B4}' | '\u{B7}' | '\u{BF}' | '\u{A1}' | '\u{AD}'
            | '\u{2010}'..='\u{203E}' | '\u{2060}'..='\u{206F}' | '\u{200B}'..='\u{200F}'
            | '\u{3000}'..='\u{3003}' | '\u{3008}'..='\u{301F}' | '\u{FE00}'..='\u{FE0F}'
            | '\u{FEFF}' | '\u{FF01}' | '\u{FF08}' | '\u{FF09}' | '\u{FF0C}' | '\u{FF0E}'
            | '\u{2581}'
    )
}
