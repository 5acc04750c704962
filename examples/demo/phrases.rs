//! The vote on whole answers, beside the vote on their first tokens.

use anyhow::{Result, ensure};
use candle_core::Tensor;
use concept_mass::{ConceptMap, ConceptSampler, Sampling, phrase::DevicePhrases, source::Aliases};

use super::{
    Concepts, Decoder, Paint,
    screen::{clip, marked, share},
};
use crate::corpus::{self, Corpus, Forms, Kind};

/// How many questions the phrases must decide, and a first token must not, for the example to show
/// what it is to show.
const ENOUGH: usize = 10;
const WIDTH: usize = 44;

/// A prompt, and whole answers to it.
pub struct Ballot {
    prompt: String,
    tokens: Vec<u32>,
    phrases: DevicePhrases,
}

/// What became of it.
pub struct Outcome {
    prompt: String,
    rows: Vec<Row>,
    /// By tokens, by the meanings of first tokens, and by phrases.
    answers: [String; 3],
    /// The forward passes, their largest batch, and the passes if each form were scored alone.
    cost: [usize; 3],
}

/// One concept, and what speaks for it.
struct Row {
    name: String,
    first: Vec<(String, f64)>,
    first_mass: f64,
    phrases: Vec<(String, f64)>,
    mass: f64,
}

impl Ballot {
    pub fn new(
        decoder: &Decoder,
        concepts: &Concepts,
        prompt: &str,
        own: Option<&Aliases>,
    ) -> Result<Self> {
        let trie = concepts.phrases(decoder, prompt, own)?;
        Ok(Self {
            prompt: prompt.to_owned(),
            tokens: decoder.text.encode(prompt)?,
            phrases: trie.to_device(&decoder.device)?,
        })
    }

    pub fn hold(&self, decoder: &mut Decoder) -> Result<Outcome> {
        let trie = self.phrases.trie();
        let logits = decoder.first_logits(&self.tokens)?;
        let probability = candle_nn::ops::softmax_last_dim(&logits)?.to_vec1::<f32>()?;
        let vote = decoder.vote(&self.phrases, &self.tokens)?;

        let firsts = trie.token_sets(&[]);
        let first_tokens = |concept: usize| {
            firsts.as_ref().and_then(|probes| probes.tokens(concept)).unwrap_or_default()
        };
        let probability = |token: u32| f64::from(probability[token as usize]);
        let rows = (0..trie.num_concepts()).map(|concept| {
            let first = first_tokens(concept).iter();
            let first: Vec<_> = first.map(|&t| (decoder.text.token(t), probability(t))).collect();
            let phrases = trie.phrases().iter().zip(vote.ln_probabilities());
            let own = phrases.filter(|(phrase, _)| phrase.concept as usize == concept);
            let own = own.map(|(phrase, ln)| Ok((decoder.text.answer(&phrase.tokens)?, ln.exp())));
            Ok(Row {
                name: trie.name(concept as u32).unwrap_or_default().to_owned(),
                first_mass: first.iter().map(|(_, p)| p).sum(),
                first,
                phrases: own.collect::<Result<_>>()?,
                mass: vote.mass(concept as u32),
            })
        });
        let mut rows: Vec<Row> = rows.collect::<Result<_>>()?;

        let by_first = |&a: &usize, &b: &usize| rows[a].first_mass.total_cmp(&rows[b].first_mass);
        let best = (0..rows.len()).rev().max_by(by_first).unwrap_or(0);
        let likelier = |a: &&u32, b: &&u32| probability(**a).total_cmp(&probability(**b));
        let first = first_tokens(best).iter().max_by(likelier).copied();
        let answers = [
            self.answer(decoder, &[])?,
            self.answer(decoder, first.as_slice())?,
            self.answer(decoder, vote.answer().unwrap_or_default())?,
        ];

        let ends = usize::from(!decoder.ends().is_empty());
        let alone = trie.phrases().iter().map(|phrase| phrase.tokens.len() + ends).sum();
        rows.sort_by(|a, b| b.mass.total_cmp(&a.mass));
        Ok(Outcome {
            prompt: self.prompt.clone(),
            rows,
            answers,
            cost: [vote.cost().passes, vote.cost().batch, alone],
        })
    }

    /// The answer that begins with `forced`, and goes on as the model likes.
    fn answer(&self, decoder: &mut Decoder, forced: &[u32]) -> Result<String> {
        let vocab_size = self.phrases.trie().vocab_size();
        let map = ConceptMap::singletons(vocab_size)?.to_device(&decoder.device)?;
        let mut sampler = ConceptSampler::from_sampling(0, Sampling::ArgMax, map)?;
        let mut forced = forced.iter().copied();
        let mut choose = |logits: &Tensor| match forced.next() {
            Some(token) => Ok(token),
            None => Ok(sampler.sample(logits)?),
        };
        decoder.answer(&self.tokens, &mut choose)
    }
}

impl Outcome {
    pub fn show(&self, right: Option<&Forms>, paint: Paint) -> String {
        let mut page = String::from("\n");
        for line in self.prompt.lines() {
            page += &format!("  {}\n", paint.bold(line));
        }
        let columns = |row: &Row| {
            let of = |mass: f64, parts: &[(String, f64)]| format!("{} {}", share(mass), sum(parts));
            [row.name.clone(), of(row.first_mass, &row.first), of(row.mass, &row.phrases)]
        };
        let headings = ["", "first tokens", "whole phrases"].map(String::from);
        let rows: Vec<_> = [headings].into_iter().chain(self.rows.iter().map(columns)).collect();
        let width = |i: usize| rows.iter().map(|row| row[i].chars().count()).max().unwrap_or(0);
        let (a, b) = (width(0), width(1));
        page.push('\n');
        for [name, first, phrases] in &rows {
            page += &format!("    {name:<a$}  {first:<b$}  {phrases}\n");
        }
        page.push('\n');
        for (what, answer) in
            ["tokens", "the meanings of first tokens", "phrases"].iter().zip(&self.answers)
        {
            let answer = marked(answer, right, paint);
            page +=
                &format!("  {} {answer}\n", paint.bold(&format!("Counting {what}, it answers:")));
        }
        let [passes, batch, alone] = self.cost;
        page + &format!(
            "\n  The phrases took {passes} forward passes of up to {batch} rows; each form alone \
             would take {alone} of one.\n\n"
        )
    }
}

/// All questions that are decided only after the first token.
pub fn table(
    decoder: &mut Decoder,
    concepts: &Concepts,
    corpus: &Corpus,
    paint: Paint,
) -> Result<String> {
    let mut table = String::from("\n");
    let mut recovered = 0;
    let line = |cells: [&str; 4]| {
        let [a, b, c, d] = cells;
        format!("  {:<WIDTH$}  {b:<20}  {c:<20}  {d:<22}", clip(a, WIDTH))
    };
    table += &paint.bold(&line(["question", "tokens", "first tokens", "phrases"]));
    table.push('\n');
    let questions: Vec<&corpus::Question> =
        corpus.questions.iter().filter(|question| question.kind == Kind::Phrase).collect();
    for question in &questions {
        let own = super::aliases(question)?;
        let ballot = Ballot::new(decoder, concepts, &corpus.prompt(question), Some(&own))?;
        let [tokens, first, phrases] = ballot.hold(decoder)?.answers;
        let is_right = [&tokens, &first, &phrases].map(|said| question.right().contains_key(said));
        recovered += usize::from(is_right == [false, false, true]);
        let verdict = match is_right {
            [false, false, true] => paint.green("recovered by phrases alone"),
            [_, _, true] => paint.dim("right"),
            _ => paint.red("wrong"),
        };
        table += &format!("{}  {verdict}\n", line([&question.question, &tokens, &first, &phrases]));
    }
    ensure!(recovered >= ENOUGH, "{table}\nonly {recovered} are recovered by phrases alone");
    Ok(format!("{table}\n  {recovered} of {} recovered by phrases alone\n\n", questions.len()))
}

/// The parts that matter, largest first: `Adam .61 + Smith .18`.
fn sum(parts: &[(String, f64)]) -> String {
    let mut parts: Vec<_> = parts.iter().filter(|(_, p)| *p >= 0.005).collect();
    parts.sort_by(|a, b| b.1.total_cmp(&a.1));
    let parts: Vec<_> = parts.iter().map(|(text, p)| format!("{text} {}", share(*p))).collect();
    if parts.is_empty() { String::new() } else { format!("= {}", parts.join(" + ")) }
}
