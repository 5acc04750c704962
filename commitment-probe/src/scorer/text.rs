//! Whether a form is a text, begins it, or stands in it.

use std::iter;

use super::{
    classes::{is_letter, is_unspaced},
    endings::with_other_endings,
    fold::characters,
    tokens::{Join, Kind, Token, tokens},
};

/// Words that a sentence may have by chance. A form of one of them, such as *It* or *US*, stands in
/// a sentence only as the form is spelt.
const FUNCTION_WORDS: &[&str] = &[
    "a", "am", "an", "and", "are", "as", "at", "be", "but", "by", "can", "do", "for", "from", "he",
    "her", "him", "his", "how", "i", "if", "in", "is", "it", "its", "me", "may", "my", "no", "not",
    "of", "on", "or", "our", "she", "so", "that", "the", "them", "then", "there", "these", "they",
    "this", "those", "to", "up", "us", "was", "we", "what", "when", "where", "which", "who", "why",
    "will", "with", "you", "your",
];

/// Words that deny what follows them.
const DENIALS: &[&str] = &[
    "aint", "arent", "cannot", "cant", "couldnt", "didnt", "doesnt", "dont", "except", "hadnt",
    "hasnt", "havent", "isnt", "neither", "never", "nor", "not", "shouldnt", "unlike", "wasnt",
    "werent", "wont", "wouldnt",
];

/// Words that may stand between a denial and what it denies.
const BETWEEN: &[&str] = &[
    "a", "an", "at", "be", "been", "believe", "born", "built", "by", "called", "capital", "city",
    "die", "founded", "from", "in", "is", "it", "located", "made", "named", "of", "on", "that",
    "the", "think", "to", "was", "written", "year",
];

const QUOTES: [char; 10] = ['"', '\'', '“', '”', '‘', '’', '«', '»', '*', '_'];

/// Where in an answer a form has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the whole answer.
    Whole,
    /// The answer begins with it.
    Start,
    /// The answer contains it, and does not deny it.
    Anywhere,
}

/// A text as our own scorers see it.
#[derive(Debug, Clone)]
pub(super) struct Text<'a> {
    source: &'a str,
    pub tokens: Vec<Token>,
    /// What stands between white space, of a text without tokens.
    pub symbols: Vec<String>,
}

/// A character, how it follows the one before it, and the number of its token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Char {
    pub c: char,
    pub join: Join,
    pub token: usize,
}

/// Which tokens are compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub articles: bool,
    pub marks: bool,
}

impl<'a> Text<'a> {
    pub fn new(source: &'a str) -> Self {
        let tokens = tokens(source);
        let symbols = if tokens.is_empty() { symbols(source) } else { Vec::new() };
        Self { source, tokens, symbols }
    }

    /// Its tokens with their numbers. All are left if a view would leave none.
    pub fn viewed(&self, view: View) -> Vec<(usize, &Token)> {
        let articles = view.articles || self.tokens.iter().all(is_spelt_as_article);
        let kept = self.tokens.iter().enumerate().filter(|&(i, token)| {
            (view.marks || token.kind != Kind::Mark) && (articles || !self.is_article(i))
        });
        match kept.collect::<Vec<_>>() {
            none if none.is_empty() => self.tokens.iter().enumerate().collect(),
            kept => kept,
        }
    }

    /// Whether it is an article: an article by its spelling that stands before another word. The A
    /// of Vitamin A and of A-ha is none.
    fn is_article(&self, at: usize) -> bool {
        let free = |at: usize| self.tokens.get(at).is_some_and(|token| token.join == Join::Apart);
        is_spelt_as_article(&self.tokens[at]) && free(at) && free(at + 1)
    }

    fn has_marks(&self) -> bool {
        self.tokens.iter().any(|token| token.kind == Kind::Mark)
    }

    fn is_of_marks(&self) -> bool {
        self.tokens.iter().all(|token| token.kind == Kind::Mark)
    }

    fn without_trailing_article(&self) -> Self {
        let mut text = self.clone();
        if text.tokens.len() > 1 && text.tokens.last().is_some_and(|last| last.text == "the") {
            text.tokens.pop();
        }
        text
    }

    fn chars(&self, view: View) -> Vec<Char> {
        let mut chars = Vec::new();
        for (token, Token { text, join, .. }) in self.viewed(view) {
            let joins = iter::once(*join).chain(iter::repeat(Join::Inside));
            chars.extend(text.chars().zip(joins).map(|(c, join)| Char { c, join, token }));
        }
        chars
    }

    /// The first token at which `form` is found, and the length of the form.
    pub fn find(&self, form: &Text<'_>, place: Place, endings: bool) -> Option<(usize, usize)> {
        let as_it_is = self.find_form(form, place, endings);
        if as_it_is.is_some() || !endings {
            return as_it_is;
        }
        let (bare, bare_form) = (self.without_trailing_article(), form.without_trailing_article());
        bare.find_form(&bare_form, place, endings)
    }

    fn find_form(&self, form: &Text<'_>, place: Place, endings: bool) -> Option<(usize, usize)> {
        // `<` is a symbol by itself and a word in `<-`.
        if place == Place::Whole && self.tokens.is_empty() != form.tokens.is_empty() {
            let words = super::own::words(form.source);
            return (super::own::words(self.source) == words).then_some((0, words.len()));
        }
        if form.tokens.is_empty() {
            return self.find_symbols(form, place);
        }
        // A sign that only one of both has is forgiven.
        let marks =
            self.has_marks() && form.has_marks() || self.is_of_marks() || form.is_of_marks();
        let of_view = |articles: bool| {
            let view = View { articles, marks };
            // Without its article, The Who is a word that sentences have by chance.
            let by_chance = is_function_word(&form.viewed(view)) && !self.has_as_spelt(form);
            let place = if by_chance { Place::Whole } else { place };
            let (answer, wanted) = (self.chars(view), form.chars(view));
            let forms = if endings { with_other_endings(wanted) } else { vec![wanted] };
            let found = forms.iter().filter_map(|form| self.find_chars(&answer, form, place));
            found.min_by_key(|&(at, length)| (at, usize::MAX - length))
        };
        let found = [true, false].into_iter().filter_map(of_view);
        found.min_by_key(|&(at, length)| (at, usize::MAX - length))
    }

    fn find_chars(&self, answer: &[Char], form: &[Char], place: Place) -> Option<(usize, usize)> {
        let length = form.len();
        if length == 0 {
            return None;
        }
        let last = answer.len().checked_sub(length)?;
        let starts = match place {
            Place::Whole if last > 0 => return None,
            Place::Whole | Place::Start => 0..=0,
            Place::Anywhere => 0..=last,
        };
        // C is no part of Objective-C, and Vienna one of Vienna's.
        let one_letter = matches!(form, [one] if is_letter(one.c) && !is_unspaced(one.c));
        let by_hyphen = |at: usize| ![at - 1, at].into_iter().any(|at| is_unspaced(answer[at].c));
        let parts = |at: usize, ends: bool| match answer.get(at).map(|c| c.join) {
            Some(_) if at == 0 => true,
            Some(Join::Soft) => !(one_letter && by_hyphen(at)),
            Some(Join::Genitive) => ends,
            None | Some(Join::Apart) => true,
            Some(Join::Inside | Join::Joint) => false,
        };
        for at in starts {
            let here = &answer[at..at + length];
            if !parts(at, false) || !parts(at + length, true) || here[0].c != form[0].c {
                continue;
            }
            let joined = |(a, b): (&Char, &Char)| a.c == b.c && may_stand_for(a.join, b.join);
            let alike = here[1..].iter().zip(&form[1..]).all(joined);
            if alike && !(place == Place::Anywhere && self.denies(here[0].token)) {
                return Some((here[0].token, length));
            }
        }
        None
    }

    /// Whether a denial stands before the token, in the same part of the sentence.
    fn denies(&self, mut at: usize) -> bool {
        while at > 0 && !self.tokens[at].after_stop {
            at -= 1;
            let text = self.tokens[at].text.as_str();
            let before = at.checked_sub(1).map_or("", |before| self.tokens[before].text.as_str());
            if text == "than" && self.is_emphatic(at) {
                return false;
            }
            let compared = matches!(
                (before, text),
                ("rather" | "other", "than")
                    | ("instead", "of")
                    | ("no", "longer")
                    | ("anything", "but")
            );
            if compared || DENIALS.contains(&text) {
                return true;
            }
            if !BETWEEN.contains(&text) {
                return false;
            }
        }
        false
    }

    /// Whether the "than" at this token is that of "none other than", which affirms.
    fn is_emphatic(&self, than: usize) -> bool {
        let back = |n: usize| than.checked_sub(n).map_or("", |i| self.tokens[i].text.as_str());
        let none = matches!(back(2), "none" | "no" | "nobody");
        back(1) == "other" && (none || back(2) == "one" && back(3) == "no")
    }

    /// Whether a form of one word that sentences have by chance is meant here: it stands alone between
    /// punctuation, or as it is spelt in quotation marks or capitals, in which a word within a
    /// sentence has no other reason to be.
    fn has_as_spelt(&self, form: &Text<'_>) -> bool {
        // The US, the U.S. and what is the U.S.'s are one.
        let bare = |word: &str| {
            let word = word.trim_matches(|c: char| !c.is_alphanumeric());
            let own = ["'s", "’s"].iter().find_map(|end| word.strip_suffix(end));
            own.unwrap_or(word).replace('.', "")
        };
        let word = bare(form.source.split_whitespace().next_back().unwrap_or_default());
        let capitals = word.chars().filter(|c| c.is_uppercase()).count();
        let all_capitals = capitals > 1 && !word.chars().any(char::is_lowercase);
        let is_common = matches!(word.as_str(), "I" | "An" | "The");
        let mut begins = true;
        let spelt = self.source.split_whitespace().any(|here| {
            let quoted = here.starts_with(QUOTES)
                && here.trim_end_matches(['.', ',', '!', '?']).ends_with(QUOTES);
            let ends = here.ends_with(['.', '!', '?', ':', '…']);
            let capital = capitals > 0 && !begins && (!is_common || ends);
            begins = ends;
            bare(here) == word && (quoted || all_capitals || capital)
        });
        spelt || self.has_alone(&word.to_lowercase())
    }

    /// Whether a word stands alone between punctuation.
    fn has_alone(&self, word: &str) -> bool {
        let stops = |at: usize| self.tokens.get(at).is_none_or(|token| token.after_stop);
        let mut tokens = self.tokens.iter().enumerate();
        // The answer is no.
        let is_said =
            |i: usize| word == "no" && matches!(self.tokens[i - 1].text.as_str(), "is" | "was");
        tokens.any(|(i, token)| {
            token.text == word && (i == 0 || stops(i) || is_said(i)) && stops(i + 1)
        })
    }

    /// A form of nothing but punctuation, such as `?` or `+`, is compared by what stands between
    /// white space.
    fn find_symbols(&self, form: &Text<'_>, place: Place) -> Option<(usize, usize)> {
        let wanted = &form.symbols;
        if wanted.is_empty() {
            return None;
        }
        let own = if self.tokens.is_empty() { self.symbols.clone() } else { symbols(self.source) };
        let bare = |symbol: &String| {
            let bare = symbol.trim_matches(|c: char| "\"“”«».,:;()[]*".contains(c));
            if bare.is_empty() { symbol.clone() } else { bare.to_owned() }
        };
        let found = |at: usize| {
            let here = own.get(at..at + wanted.len())?;
            let alike = here.iter().zip(wanted).all(|(a, b)| a == b || bare(a) == *b);
            alike.then_some((at, form.source.chars().count()))
        };
        match place {
            Place::Whole => (own == *wanted).then_some((0, wanted.len())),
            Place::Start => found(0),
            Place::Anywhere => (0..own.len()).find_map(found),
        }
    }
}

/// What stands between white space.
fn symbols(source: &str) -> Vec<String> {
    let chars: String = characters(source).into_iter().filter(|c| !c.is_control()).collect();
    let symbols: Vec<String> = chars.split_whitespace().map(str::to_owned).collect();
    if !symbols.is_empty() {
        return symbols;
    }
    // Apostrophes alone: a text is equal to itself.
    source
        .split_whitespace()
        .filter(|text| text.chars().any(super::fold::is_apostrophe))
        .map(str::to_owned)
        .collect()
}

/// Whether one text may have the first where the other has the second. Only what is surely two
/// words is never one.
fn may_stand_for(a: Join, b: Join) -> bool {
    !matches!((a, b), (Join::Inside, Join::Apart) | (Join::Apart, Join::Inside))
}

fn is_spelt_as_article(token: &Token) -> bool {
    matches!(token.text.as_str(), "a" | "an" | "the")
}

fn is_function_word(viewed: &[(usize, &Token)]) -> bool {
    // So are abbreviations that are spelt like one: U.S., I.T.
    let is_one = viewed.iter().skip(1).all(|(_, token)| token.join == Join::Joint);
    let word: String = viewed.iter().map(|(_, token)| token.text.as_str()).collect();
    is_one && FUNCTION_WORDS.contains(&word.as_str())
}
