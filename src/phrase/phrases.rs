use std::{collections::HashSet, sync::Arc};

use candle_core::Device;

use super::model::{NextLogits, PhraseCost};
use super::next::{MAX_BATCH, ask, ln_probabilities, padded};
use super::rollouts::at_least_1;
use crate::ln::{ln_difference, ln_sum};
use crate::phrase::{PhraseError, PhraseTrie, PhraseVote};
use crate::{BadRow, ConceptMap, DeviceMap};

/// A [`PhraseTrie`] on a device, ready for votes of a model there; cheap to clone.
///
/// ```
/// use candle_core::{Device, Result, Tensor};
/// use concept_mass::phrase::{NextLogits, PhraseTrie};
///
/// /// After `Adam`, `Lambert` is likelier than `Smith`; but `Smith` may also be said alone.
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
/// assert_eq!(vote.winner(), Some(0));
/// assert_eq!(vote.answer(), Some(&[adam, smith][..])); // its likeliest phrase
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct DevicePhrases {
    trie: Arc<PhraseTrie>,
    /// Every token a concept of its own, to reduce the logits with.
    tokens: DeviceMap,
    /// The ways from the root along which logits are needed, none of them the beginning of another.
    rows: Arc<[Row]>,
    max_batch: usize,
}

/// A way from the root.
#[derive(Debug, Clone)]
struct Row {
    path: Vec<u32>,
    /// From the root on: one more than the path has tokens.
    nodes: Vec<usize>,
}

impl PhraseTrie {
    /// Puts the phrases on the device of the logits.
    ///
    /// # Errors
    ///
    /// As for [`ConceptMap::to_device`].
    pub fn to_device(&self, device: &Device) -> Result<DevicePhrases, PhraseError> {
        Ok(DevicePhrases {
            tokens: ConceptMap::singletons(self.vocab_size())?.to_device(device)?,
            rows: rows(self).into(),
            trie: Arc::new(self.clone()),
            max_batch: MAX_BATCH,
        })
    }
}

/// The ways to the nodes whose logits are needed, except those on the way to another one.
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

    /// Sets the most rows of a forward pass, at least 1; the default is 64.
    ///
    /// # Errors
    ///
    /// [`PhraseError::Parameter`] if it is 0.
    pub fn with_max_batch(mut self, max_batch: usize) -> Result<Self, PhraseError> {
        self.max_batch = at_least_1("max_batch", max_batch)?;
        Ok(self)
    }

    /// Has `model` vote on what follows `prompt`, by the chain rule:
    /// `P(phrase) = Π P(token | prompt, tokens before)`.
    ///
    /// A concept's mass is the sum over its phrases. Where one phrase begins with another, what the
    /// longer one has does not count for the shorter one. With
    /// [`ends`](crate::phrase::PhraseTrieBuilder::ends), this is so because a phrase counts only with
    /// the probability that an end follows it; without, the longer phrase's probability is subtracted, and what is
    /// left is exact to about 1e-7 of the shorter phrase's probability. So no answer counts twice,
    /// and the masses add up to 1 at most.
    ///
    /// All sums and products are formed from logs, in `f64`; `ln P` of a token is formed relative to
    /// the largest logit of its row, however far below it the token is.
    ///
    /// The model is asked once for each token of the longest phrase (and once more with ends), in
    /// batches of equally long sequences, which grow from one call to the next. A batch has a
    /// sequence for each phrase with which no other phrase begins. The logits are reduced on their
    /// device; those of the trie's tokens are copied to the host, and nothing else. Logits after
    /// tokens that cannot follow the prompt do not matter.
    ///
    /// # Errors
    ///
    /// [`PhraseError::EmptyPrompt`]; [`PhraseError::TooLong`] if the prompt and a phrase exceed
    /// [`NextLogits::context`]; [`PhraseError::ModelOutput`] if the logits are not `[N, V]`;
    /// [`PhraseError::Logits`] if they hold a NaN or `+inf`, or nothing but `-inf`; those of the
    /// model, and of [`DeviceMap::decide`].
    pub fn vote(
        &self,
        model: &mut impl NextLogits,
        prompt: &[u32],
    ) -> Result<PhraseVote, PhraseError> {
        self.check(model, prompt)?;
        let mut scores = Scores {
            ln: vec![f64::NEG_INFINITY; self.trie.nodes.len()],
            ln_end: vec![0.0; self.trie.nodes.len()],
        };
        scores.ln[0] = 0.0;
        let mut cost = PhraseCost::default();
        for rows in self.rows.chunks(self.max_batch) {
            let depth = rows.iter().map(|row| row.path.len()).max().unwrap_or(0);
            for depth in 0..=depth {
                self.read(model, prompt, rows, depth, &mut scores, &mut cost)?;
            }
        }
        Ok(self.count(&scores, cost))
    }

    fn check(&self, model: &impl NextLogits, prompt: &[u32]) -> Result<(), PhraseError> {
        if prompt.is_empty() {
            return Err(PhraseError::EmptyPrompt);
        }
        // The last token of a phrase is read only if what follows it is asked for.
        let read = self.rows.last().map_or(0, |row| row.path.len());
        match model.context() {
            Some(context) if prompt.len().saturating_add(read) > context => {
                let (prompt, phrase) = (prompt.len(), self.trie.depth());
                Err(PhraseError::TooLong { prompt, phrase, context })
            }
            _ => Ok(()),
        }
    }

    /// Scores what may follow the first `depth` tokens of every row.
    fn read(
        &self,
        model: &mut impl NextLogits,
        prompt: &[u32],
        rows: &[Row],
        depth: usize,
        scores: &mut Scores,
        cost: &mut PhraseCost,
    ) -> Result<(), PhraseError> {
        let sequence = |row: &Row| {
            let path = &row.path[..depth.min(row.path.len())];
            padded([prompt, path].concat(), prompt.len() + depth)
        };
        let sequences: Vec<Vec<u32>> = rows.iter().map(sequence).collect();
        let logits = ask(model, &sequences, self.trie.vocab_size(), cost)?;
        // Rows that have come to their end wait for the others; what cannot be said has no sequel.
        let possible = |&node: &usize| scores.ln[node] > f64::NEG_INFINITY;
        let nodes: Vec<Option<usize>> =
            rows.iter().map(|row| row.nodes.get(depth).copied().filter(possible)).collect();
        // Rows that begin alike are at one node, whose tokens one of them reads.
        let mut seen = HashSet::new();
        let wanted = nodes.iter().map(|node| match *node {
            Some(node) if seen.insert(node) => self.wanted(node),
            _ => Vec::new(),
        });
        let wanted: Vec<Vec<u32>> = wanted.collect();
        let read = ln_probabilities(&logits, &self.tokens, &wanted)?;
        for (row, (node, read)) in rows.iter().zip(nodes.into_iter().zip(read)) {
            match (node, read) {
                (Some(node), Ok(lns)) if !lns.is_empty() => self.score(node, lns, scores),
                (Some(_), Err(BadRow { reason, .. })) => {
                    let after = row.path[..depth].to_vec();
                    return Err(PhraseError::Logits { after, reason });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The tokens whose probabilities after `node` matter: those that lead to its children; and
    /// behind them the ends, if a phrase is complete there.
    fn wanted(&self, node: usize) -> Vec<u32> {
        let node = &self.trie.nodes[node];
        let ends = node.phrase.map(|_| &self.trie.ends).into_iter().flatten();
        node.children.keys().chain(ends).copied().collect()
    }

    /// Scores the children of `node`, and an end there, by `ln P` of what is
    /// [`wanted`](Self::wanted).
    fn score(&self, node: usize, mut lns: Vec<f64>, scores: &mut Scores) {
        let children = &self.trie.nodes[node].children;
        let ends = lns.split_off(children.len());
        for (&child, ln) in children.values().zip(lns) {
            scores.ln[child] = scores.ln[node] + ln;
        }
        if !ends.is_empty() {
            scores.ln_end[node] = ln_sum(ends);
        }
    }

    fn count(&self, scores: &Scores, cost: PhraseCost) -> PhraseVote {
        let trie = &self.trie;
        let phrases = trie.phrases();
        let mut ln_probabilities = vec![f64::NEG_INFINITY; phrases.len()];
        // Of each phrase, `ln P` of those that begin with it, and with no longer phrase.
        let mut longer = vec![Vec::new(); phrases.len()];
        for (place, node) in trie.nodes.iter().enumerate() {
            let Some(phrase) = node.phrase else { continue };
            ln_probabilities[phrase] = scores.ln[place] + scores.ln_end[place];
            if trie.ends.is_empty()
                && let Some(shorter) = self.phrase_before(place)
            {
                longer[shorter].push(ln_probabilities[phrase]);
            }
        }
        let mut own = vec![Vec::new(); trie.num_concepts()];
        for ((phrase, &ln), longer) in phrases.iter().zip(&ln_probabilities).zip(longer) {
            own[phrase.concept as usize].push(ln_difference(ln, ln_sum(longer)));
        }
        // By rounding, all of the probability may be a little more than 1.
        let ln_masses = own.into_iter().map(|lns| ln_sum(lns).min(0.0)).collect();
        PhraseVote { trie: trie.clone(), ln_probabilities, ln_masses, cost }
    }

    /// The longest phrase that the one at `node` begins with.
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
}
