//! A vote on the terminal.

use std::{env, io::IsTerminal};

use super::vote::{Candidate, Count, Vote};
use crate::corpus::Forms;

/// The length of the longest bar, in characters.
const BAR: usize = 30;
/// The tokens of a concept take turns, so that the seams show.
const SHADES: [&str; 3] = ["█", "▓", "▒"];
/// A token is named that has this much of its concept.
const SHOWN: f32 = 0.01;
/// No label is longer, in characters.
const LABEL: usize = 26;

/// The one line in which a loop that counts meanings differs; see `decoder.rs`.
const PLAIN: &str = "- let mut sampler = LogitsProcessor::from_sampling(seed, Sampling::ArgMax);";
const AWARE: &str =
    "+ let mut sampler = ConceptSampler::from_sampling(seed, Sampling::ArgMax, map)?;";

/// Colours, where the reader can see and wants them.
#[derive(Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    /// Colours for a terminal, unless `NO_COLOR` is set; see <https://no-color.org>.
    pub fn for_stdout() -> Self {
        let unwanted = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self(std::io::stdout().is_terminal() && !unwanted)
    }

    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    pub fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// All there is to see of a vote; `right` are the right answers, where they are known.
pub fn page(vote: &Vote, right: Option<&Forms>, paint: Paint) -> String {
    let page = Page::new(vote, right, paint);
    let prompt = vote.prompt.lines().map(|line| format!("  {}\n", paint.bold(line)));
    format!(
        "\n{}\n{}\n{}\n  The loop differs in one line:\n\n  {}\n  {}\n\n",
        prompt.collect::<String>(),
        page.count("tokens", &vote.by_tokens),
        page.count("meanings", &vote.by_meanings),
        paint.red(PLAIN),
        paint.green(AWARE),
    )
}

struct Page<'a> {
    right: Option<&'a Forms>,
    paint: Paint,
    /// The concepts that win by tokens and by meanings.
    winners: [Option<u32>; 2],
    /// The widths of the columns of tokens and of concepts.
    widths: [usize; 2],
    /// The probability that the longest bar stands for.
    full: f32,
}

impl<'a> Page<'a> {
    fn new(vote: &'a Vote, right: Option<&'a Forms>, paint: Paint) -> Self {
        let counts = [&vote.by_tokens, &vote.by_meanings];
        let candidates = || counts.iter().flat_map(|count| &count.candidates);
        let width = |label: fn(&Candidate) -> String| {
            candidates().map(|candidate| label(candidate).chars().count()).max().unwrap_or(0)
        };
        Self {
            right,
            paint,
            winners: counts.map(|count| Some(count.candidates.first()?.concept)),
            widths: [width(spellings), width(meaning)],
            full: candidates().map(|candidate| candidate.mass).fold(0.0, f32::max),
        }
    }

    /// The answer, and a line for each candidate.
    fn count(&self, what: &str, count: &Count) -> String {
        let heading = self.paint.bold(&format!("Counting {what}, it answers:"));
        let candidates = count.candidates.iter().map(|candidate| self.candidate(candidate));
        let shown: f32 = count.candidates.iter().map(|candidate| candidate.mass).sum();
        let others = self.paint.dim(&self.columns("others", "", (1.0 - shown).max(0.0)));
        format!(
            "  {heading} {}\n{}{others}\n",
            marked(&count.answer, self.right, self.paint),
            candidates.map(|line| line + "\n").collect::<String>(),
        )
    }

    fn candidate(&self, candidate: &Candidate) -> String {
        let columns = self.columns(&spellings(candidate), &meaning(candidate), candidate.mass);
        let line = format!("{columns} {}", self.bar(candidate));
        let [said, meant] = self.winners;
        match Some(candidate.concept) {
            concept if concept == meant => self.paint.green(&line),
            concept if concept == said => self.paint.red(&line),
            _ => line,
        }
    }

    fn columns(&self, spellings: &str, meaning: &str, mass: f32) -> String {
        let [left, right] = self.widths;
        let mass = share(mass.into());
        format!("    {spellings:<left$}  {meaning:<right$}  {mass:>4}")
    }

    /// The probabilities of all tokens, end to end.
    fn bar(&self, candidate: &Candidate) -> String {
        let mut bar = String::new();
        let (mut sum, mut drawn) = (0.0, 0);
        for ((_, probability), shade) in candidate.tokens.iter().zip(SHADES.iter().cycle()) {
            sum += probability;
            let end = (sum / self.full * BAR as f32).round() as usize;
            bar += &shade.repeat(end.saturating_sub(drawn));
            drawn = end;
        }
        bar
    }
}

/// The tokens of a candidate that matter, as `Saint + St + C`.
fn spellings(candidate: &Candidate) -> String {
    let least = SHOWN * candidate.mass;
    let tokens = candidate.tokens.iter().filter(|(_, probability)| *probability >= least);
    let tokens: Vec<_> = tokens.map(|(token, _)| token.as_str()).collect();
    clip(&tokens.join(" + "), LABEL)
}

pub fn meaning(candidate: &Candidate) -> String {
    clip(candidate.name.as_deref().unwrap_or("–"), LABEL)
}

/// An answer, and whether it is right, where that is known.
pub fn marked(answer: &str, right: Option<&Forms>, paint: Paint) -> String {
    match right {
        None => answer.to_owned(),
        Some(right) if right.contains_key(answer) => paint.green(&format!("{answer} ✓")),
        Some(_) => paint.red(&format!("{answer} ✗")),
    }
}

/// A probability, as `.31`.
pub fn share(probability: f64) -> String {
    let text = format!("{probability:.2}");
    text.strip_prefix('0').unwrap_or(&text).to_owned()
}

/// The text in at most `width` characters.
pub fn clip(text: &str, width: usize) -> String {
    match text.char_indices().nth(width) {
        None => text.to_owned(),
        Some(_) => text.chars().take(width - 1).chain(['…']).collect(),
    }
}
