use std::{collections::HashMap, sync::Arc};

use candle_core::Device;

use super::model::{NextLogits, PhraseCost, ask, padded};
use crate::phrase::PhraseError;
use crate::reduce::DeviceTokenSets;
use crate::{
    TokenSets,
    phrase::{Phrase, PhraseTrie},
};

/// The rows of a batch, unless told otherwise.
const MAX_BATCH: usize = 64;

/// A [`PhraseTrie`] on a device, ready to have a model vote on its phrases there.
///
/// ```
/// use candle_core::{Device, Result, Tensor};
/// use concept_mass::phrase::{NextLogits, PhraseTrie};
///
/// /// After `Adam`, `Lambert` is likelier than `Smith`; but so much of the vote is on `Smith` alone.
/// struct Model;
/// impl NextLogits for Model {
///     fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
///         let rows = sequences.iter().flat_map(|sequence| match sequence[..] {
///             [3] => [0.6f32, 0.2, 0.0, 0.2], // the prompt
///             _ => [0.0, 0.4, 0.5, 0.1],      // and Adam
///         });
///         Tensor::from_iter(rows, &Device::Cpu)?.reshape((sequences.len(), 4))?.log()
///     }
/// }
///
/// let (adam, smith, lambert, prompt) = (0, 1, 2, 3);
/// let phrases = PhraseTrie::builder(4)
///     .phrase("Adam Smith", [adam, smith])?
///     .phrase("Adam Smith", [smith])?
///     .phrase("Adam Lambert", [adam, lambert])?
///     .build()?
///     .to_device(&Device::Cpu)?;
/// let vote = phrases.vote(&mut Model, &[prompt])?;
/// assert!((vote.mass(0) - (0.6 * 0.4 + 0.2)).abs() < 1e-6); // Adam Smith
/// assert!((vote.mass(1) - 0.6 * 0.5).abs() < 1e-6);
/// assert_eq!(vote.winner(), 0);
/// assert_eq!(vote.answer(), [adam, smith]); // its likeliest phrase
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct DevicePhrases {
    trie: Arc<PhraseTrie>,
    /// A probe for each token of a phrase, in the order of `columns`; and one for the ends, if
    /// there are any, last.
    sets: DeviceTokenSets,
    columns: HashMap<u32, usize>,
    /// The ways from the root along which logits are needed, none of them the beginning of another.
    rows: Vec<Row>,
    max_batch: usize,
}

/// A way from the root.
#[derive(Debug, Clone)]
struct Row {
    path: Vec<u32>,
    /// From the root on: one more than the path has tokens.
    nodes: Vec<usize>,
}

/// What a model thinks of the phrases of a trie; from [`DevicePhrases::vote`].
#[derive(Debug, Clone)]
pub struct PhraseVote {
    trie: Arc<PhraseTrie>,
    ln_probabilities: Vec<f64>,
    masses: Vec<f64>,
    cost: PhraseCost,
}

impl PhraseTrie {
    /// Puts the phrases on the device of the logits.
    ///
    /// # Errors
    ///
    /// As for [`ConceptMap::to_device`](crate::ConceptMap::to_device).
    pub fn to_device(&self, device: &Device) -> Result<DevicePhrases, PhraseError> {
        let mut columns = HashMap::new();
        let mut builder = TokenSets::builder(self.vocab_size());
        for node in &self.nodes[1..] {
            let next = columns.len();
            if *columns.entry(node.token).or_insert(next) == next {
                builder = builder.set(node.token.to_string(), [node.token])?;
            }
        }
        if !self.ends.is_empty() {
            builder = builder.set("end", self.ends.iter().copied())?;
        }
        Ok(DevicePhrases {
            sets: builder.build()?.to_device(device)?,
            rows: rows(self),
            trie: Arc::new(self.clone()),
            columns,
            max_batch: MAX_BATCH,
        })
    }
}

/// The ways to the nodes from which something is to be read off that is not on another's way.
fn rows(trie: &PhraseTrie) -> Vec<Row> {
    let is_read = |node: usize| {
        let node = &trie.nodes[node];
        !node.children.is_empty() || node.phrase.is_some() && !trie.ends.is_empty()
    };
    let is_last = |&node: &usize| {
        is_read(node) && !trie.nodes[node].children.values().any(|&child| is_read(child))
    };
    let row = |node: usize| {
        let mut nodes = vec![node];
        let mut at = node;
        while at != 0 {
            at = trie.nodes[at].parent;
            nodes.push(at);
        }
        nodes.reverse();
        Row { path: nodes[1..].iter().map(|&node| trie.nodes[node].token).collect(), nodes }
    };
    let mut rows: Vec<Row> = (0..trie.nodes.len()).filter(is_last).map(row).collect();
    // Batches of like lengths, so that few rows wait for longer ones.
    rows.sort_by_key(|row| row.path.len());
    rows
}

impl DevicePhrases {
    /// The phrases themselves.
    pub fn trie(&self) -> &PhraseTrie {
        &self.trie
    }

    /// Sets the most rows that a forward pass may have; 64 unless told otherwise, and 1 at least.
    pub fn with_max_batch(mut self, rows: usize) -> Self {
        self.max_batch = rows.max(1);
        self
    }

    /// Lets `model` vote on what follows `prompt`, by the chain rule:
    /// `P(phrase) = Π P(token | prompt, tokens before)`.
    ///
    /// A concept's mass is the sum over its phrases. Of two phrases one of which begins with the
    /// other, what the longer has is not counted for the shorter: with
    /// [`ends`](crate::phrase::PhraseTrieBuilder::ends), since a phrase counts only as far as an end
    /// follows it; without, it is subtracted. So no answer counts twice, and the masses add up to 1
    /// at most.
    ///
    /// The model is asked, in batches of equally long sequences that go on from one call to the
    /// next, once for each token of the longest phrase (once more with ends): a sequence for each
    /// phrase that is no other's beginning. Of its logits, the probabilities of the trie's tokens
    /// are [probed](DeviceTokenSets::measure) on their device and copied, nothing else.
    ///
    /// # Errors
    ///
    /// [`PhraseError::EmptyPrompt`]; [`PhraseError::TooLong`] if the prompt and a phrase exceed
    /// [`NextLogits::context`]; [`PhraseError::ModelOutput`] if the logits are not `[N, V]`;
    /// [`PhraseError::Logits`] if they hold a NaN or `+inf`, or nothing but `-inf`; those of the
    /// model, and of [`DeviceTokenSets::measure`].
    pub fn vote(
        &self,
        model: &mut impl NextLogits,
        prompt: &[u32],
    ) -> Result<PhraseVote, PhraseError> {
        self.check(model, prompt)?;
        let mut scores = Scores {
            ln: vec![f64::NEG_INFINITY; self.trie.nodes.len()],
            ln_end: vec![0.0; self.trie.nodes.len()],
            cost: PhraseCost::default(),
        };
        scores.ln[0] = 0.0;
        for rows in self.rows.chunks(self.max_batch) {
            let depth = rows.iter().map(|row| row.path.len()).max().unwrap_or(0);
            for depth in 0..=depth {
                let probabilities = self.read(model, prompt, rows, depth, &mut scores.cost)?;
                for (row, probabilities) in rows.iter().zip(&probabilities) {
                    if let Some(&node) = row.nodes.get(depth) {
                        self.score(node, probabilities, &mut scores);
                    }
                }
            }
        }
        Ok(self.count(scores))
    }

    fn check(&self, model: &impl NextLogits, prompt: &[u32]) -> Result<(), PhraseError> {
        if prompt.is_empty() {
            return Err(PhraseError::EmptyPrompt);
        }
        // The last token of a phrase is not read, unless what ends it is asked for.
        let read = self.rows.last().map_or(0, |row| row.path.len());
        match model.context() {
            Some(context) if prompt.len() + read > context => {
                let (prompt, phrase) = (prompt.len(), self.trie.depth());
                Err(PhraseError::TooLong { prompt, phrase, context })
            }
            _ => Ok(()),
        }
    }

    /// The probabilities of the probes after `depth` tokens of every row.
    fn read(
        &self,
        model: &mut impl NextLogits,
        prompt: &[u32],
        rows: &[Row],
        depth: usize,
        cost: &mut PhraseCost,
    ) -> Result<Vec<Vec<f32>>, PhraseError> {
        let sequence = |row: &Row| {
            let path = &row.path[..depth.min(row.path.len())];
            padded([prompt, path].concat(), prompt.len() + depth)
        };
        let sequences: Vec<Vec<u32>> = rows.iter().map(sequence).collect();
        let logits = ask(model, &sequences, self.trie.vocab_size(), cost)?;
        let masses = self.sets.measure(&logits)?.masses.to_vec2::<f32>()?;
        let still_read = |row: usize| rows[row].nodes.len() > depth;
        match masses.iter().enumerate().find(|(i, m)| still_read(*i) && m[0].is_nan()) {
            Some((row, _)) => Err(PhraseError::Logits { after: rows[row].path[..depth].to_vec() }),
            None => Ok(masses),
        }
    }

    /// What `probabilities` after `node` say of its children, and of an end there.
    fn score(&self, node: usize, probabilities: &[f32], scores: &mut Scores) {
        let ln = scores.ln[node];
        for (token, &child) in &self.trie.nodes[node].children {
            scores.ln[child] = ln + f64::from(probabilities[self.columns[token]]).ln();
        }
        if !self.trie.ends.is_empty() {
            scores.ln_end[node] = f64::from(probabilities[self.columns.len()]).ln();
        }
    }

    fn count(&self, scores: Scores) -> PhraseVote {
        let trie = &self.trie;
        let mut ln_probabilities = vec![0.0; trie.phrases().len()];
        let mut masses = vec![0.0; trie.num_concepts()];
        for (place, node) in trie.nodes.iter().enumerate() {
            let Some(phrase) = node.phrase else { continue };
            let ln = scores.ln[place] + scores.ln_end[place];
            ln_probabilities[phrase] = ln;
            masses[trie.phrases()[phrase].concept as usize] += ln.exp();
            if trie.ends.is_empty()
                && let Some(shorter) = self.phrase_before(place)
            {
                masses[trie.phrases()[shorter].concept as usize] -= ln.exp();
            }
        }
        // A difference of equals may come out below 0.
        masses.iter_mut().for_each(|mass| *mass = f64::max(*mass, 0.0));
        PhraseVote { trie: trie.clone(), ln_probabilities, masses, cost: scores.cost }
    }

    /// The longest phrase that is a beginning of the one at `node`.
    fn phrase_before(&self, mut node: usize) -> Option<usize> {
        while node != 0 {
            node = self.trie.nodes[node].parent;
            if let Some(phrase) = self.trie.nodes[node].phrase {
                return Some(phrase);
            }
        }
        None
    }
}

/// Of every node: the log of its probability, and of an end after it.
struct Scores {
    ln: Vec<f64>,
    ln_end: Vec<f64>,
    cost: PhraseCost,
}

impl PhraseVote {
    /// The probability that what follows the prompt says `concept`, in `[0, 1]`; 0 for a concept
    /// that there is not.
    pub fn mass(&self, concept: u32) -> f64 {
        self.masses.get(concept as usize).copied().unwrap_or(0.0)
    }

    /// The masses of all concepts.
    pub fn masses(&self) -> &[f64] {
        &self.masses
    }

    /// `ln P(phrase | prompt)` of all phrases, in the order of [`PhraseTrie::phrases`]; with ends,
    /// that one of them follows included.
    pub fn ln_probabilities(&self) -> &[f64] {
        &self.ln_probabilities
    }

    /// The concept with the largest mass; of equals, the lowest.
    pub fn winner(&self) -> u32 {
        let larger =
            |best: usize, c: usize| if self.masses[c] > self.masses[best] { c } else { best };
        (0..self.masses.len()).fold(0, larger) as u32
    }

    /// The likeliest phrase of `concept`; of equals, the first. `None` if there is no such concept.
    pub fn phrase(&self, concept: u32) -> Option<&Phrase> {
        let phrases = self.trie.phrases().iter().zip(&self.ln_probabilities);
        let mut of_concept = phrases.filter(|(phrase, _)| phrase.concept == concept);
        let first = of_concept.next()?;
        Some(of_concept.fold(first, |best, next| if next.1 > best.1 { next } else { best }).0)
    }

    /// The tokens to emit: the winner's likeliest phrase.
    ///
    /// Feed all of them to the model in the place of sampled ones, or the first one only, to leave
    /// the rest to the model.
    pub fn answer(&self) -> &[u32] {
        self.phrase(self.winner()).map_or(&[], |phrase| &phrase.tokens)
    }

    /// The phrases that were voted on.
    pub fn trie(&self) -> &PhraseTrie {
        &self.trie
    }

    /// What it took.
    pub fn cost(&self) -> PhraseCost {
        self.cost
    }
}
