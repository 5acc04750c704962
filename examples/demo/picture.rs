//! A vote as a picture.

use super::{
    screen::{clip, meaning},
    vote::{Candidate, Count, Vote},
};

/// All lengths are in pixels.
const WIDTH: usize = 760;
const MARGIN: usize = 24;
/// The right end of the labels, and the left end of the bars.
const LABELS: usize = 258;
const BARS: usize = LABELS + 10;
/// Of the largest candidate.
const LONGEST: f32 = 420.0;
const ROW: usize = 28;
const BAR: usize = 20;
/// The part of a bar that a letter of a token takes, about.
const LETTER: f32 = 9.0;

/// The candidates of each count that are drawn.
const SHOWN: usize = 5;
/// The tokens of a concept take turns.
const OPACITIES: [f32; 3] = [1.0, 0.85, 0.7];

/// Readable on white and on black, as the reader's page may be either.
const STYLE: &str = "
text { font: 14px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #24292f }
.question { font-size: 17px; font-weight: 600 }
.heading { font-weight: 600 }
.token { font-size: 12px; fill: #fff; font-weight: 600 }
.meant { fill: #1a7f5a } .said { fill: #c43d3d } .other { fill: #8b949e }
@media (prefers-color-scheme: dark) { text { fill: #d7dee5 } .token { fill: #fff } }
";

/// The two counts, one above the other, as the text of an SVG file.
pub fn picture(vote: &Vote) -> String {
    let counts = [("tokens", &vote.by_tokens), ("meanings", &vote.by_meanings)];
    let winner = |count: &Count| count.candidates.first().map(|c| c.concept);
    let masses = counts.iter().flat_map(|(_, count)| &count.candidates).map(|c| c.mass);
    let colours = Colours { said: winner(&vote.by_tokens), meant: winner(&vote.by_meanings) };
    let scale = LONGEST / masses.fold(f32::MIN_POSITIVE, f32::max);

    let question = vote.prompt.lines().next().unwrap_or_default();
    let mut y = MARGIN + 16;
    let mut body = text(r#" class="question""#, MARGIN, y, question);
    for (what, count) in counts {
        y += ROW + 8;
        let heading = format!("Counting {what}, it answers: {}", count.answer);
        body += &text(r#" class="heading""#, MARGIN, y, &heading);
        y += 10;
        for candidate in count.candidates.iter().take(SHOWN) {
            body += &row(candidate, y, scale, &colours);
            y += ROW;
        }
    }
    let height = y + MARGIN / 2;
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img">
<title>A vote, counted by tokens and by meanings</title>
<style>{STYLE}</style>
{body}</svg>
"#
    )
}

/// Who is drawn how.
struct Colours {
    said: Option<u32>,
    meant: Option<u32>,
}

impl Colours {
    fn class(&self, candidate: &Candidate) -> &'static str {
        match Some(candidate.concept) {
            concept if concept == self.meant => "meant",
            concept if concept == self.said => "said",
            _ => "other",
        }
    }
}

/// A label, a bar in as many parts as the candidate has tokens, and its probability.
fn row(candidate: &Candidate, y: usize, scale: f32, colours: &Colours) -> String {
    let baseline = y + BAR - 5;
    let label = match candidate.name {
        Some(_) => meaning(candidate),
        None => clip(&candidate.tokens[0].0, 26),
    };
    let mut row = text(r#" text-anchor="end""#, LABELS, baseline, &label);
    let mut x = BARS as f32;
    for ((token, probability), opacity) in candidate.tokens.iter().zip(OPACITIES.iter().cycle()) {
        let length = probability * scale;
        let (class, left, width) = (colours.class(candidate), tenths(x), tenths(length));
        row += &format!(
            r#"<rect class="{class}" x="{left}" y="{y}" width="{width}" height="{BAR}" rx="2" opacity="{opacity}"/>"#
        );
        row.push('\n');
        if length >= LETTER * (token.chars().count() + 1) as f32 {
            row += &text(r#" class="token""#, (x + 6.0) as usize, baseline, token);
        }
        x += length;
    }
    let mass = format!("{:.0} %", 100.0 * candidate.mass);
    row + &text("", x as usize + 8, baseline, &mass)
}

/// A line of text; every attribute has a space before it.
fn text(attributes: &str, x: usize, y: usize, content: &str) -> String {
    format!("<text{attributes} x=\"{x}\" y=\"{y}\">{}</text>\n", escape(content))
}

fn escape(content: &str) -> String {
    let mut escaped = String::with_capacity(content.len());
    for character in content.chars() {
        match character {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            // XML has no way to write these.
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

fn tenths(length: f32) -> f32 {
    (10.0 * length).round() / 10.0
}
