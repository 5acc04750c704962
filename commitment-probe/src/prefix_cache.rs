//! A decoder of concept-mass-models that reads what sequences have in common once.

use std::collections::HashMap;

use candle_core::{DType, Device, Result, Tensor, bail};
use concept_mass::phrase::NextLogits;
use concept_mass_models::{Model, Output, Pass};

use crate::in_process::LogitsModel;
use crate::model::States;

/// The most tokens of a pass. More would not be read faster, and take memory.
const MAX_PASS: usize = 256;

/// Gives the logits of a [`Model`], which reads what sequences have in common once. All that it has
/// read is one tree of tokens; every sequence goes on from where it leaves the tree, so answers,
/// forms and samples branch from a prompt that is read once, and sequences of one call, whatever
/// their lengths, are read in passes of up to 256 tokens without any padding.
///
/// The tree has the [preamble](Self::with_preamble), the sequences of the first call since
/// [`begin`](LogitsModel::begin), which are the prompts, and what has been read after these; that is
/// forgotten by a call that continues none of it.
///
/// What is kept depends on the calls since `begin`, and on the preamble, alone. On a CPU, in `f32` and
/// with heads whose width is a multiple of 16, the results do not depend even on that: a sequence has
/// the same logits whatever else was read.
///
/// A text that is longer than [`Model::longest_branch`] shares nothing with others, and is read from
/// its beginning each time.
///
/// ```
/// use candle_core::Device;
/// use commitment_probe::PrefixCache;
/// use concept_mass::phrase::NextLogits;
///
/// let loaded = concept_mass_models::load(&concept_mass_tiny::folder(), None, &Device::Cpu, None)?;
/// let mut model = PrefixCache::new(loaded.model, &Device::Cpu, Some(loaded.positions));
/// model.next_logits(&[vec![5, 7, 9], vec![5, 7]])?; // reads three tokens
/// let logits = model.next_logits(&[vec![5, 7, 9, 1], vec![5, 7, 9, 2]])?; // reads 1 and 2
/// assert_eq!(logits.dim(0)?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PrefixCache {
    model: Model,
    device: Device,
    context: Option<usize>,
    tree: Tree,
    /// How many tokens of the tree are the preamble's,
    preamble: usize,
    /// and how many that and the prompts', once these are read.
    prompts: Option<usize>,
}

/// What the model has read: a token in each column of its cache.
#[derive(Debug, Default)]
struct Tree {
    /// The token of each column, and the column of the token that it follows.
    tokens: Vec<(u32, Option<usize>)>,
    /// The column of each token, by the column that it follows. Of a token that has been read again
    /// for its logits, the first.
    columns: HashMap<(Option<usize>, u32), usize>,
}

/// What a model says of sequences.
struct Outputs {
    /// `[N, V]`.
    logits: Tensor,
    /// Of each block that was asked for, `[N, D]`.
    states: Vec<Tensor>,
}

/// What a call reads.
struct Reading {
    /// The column of each sequence's last token.
    last: Vec<usize>,
    /// The last column of the tree, of those before the call, that a sequence goes on from.
    known: Option<usize>,
}

impl Tree {
    fn len(&self) -> usize {
        self.tokens.len()
    }

    fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.tokens.truncate(len);
            self.columns.retain(|_, column| *column < len);
        }
    }

    /// Adds what is not there yet of `sequences`, and the last token of each in any case.
    fn grow(&mut self, sequences: &[Vec<u32>]) -> Reading {
        let before = self.len();
        // The last tokens that are read again, by their first columns.
        let mut again: HashMap<usize, usize> = HashMap::new();
        let mut known = None;
        // The sequence before, and its columns: neighbours mostly begin alike.
        let (mut previous, mut path): (&[u32], Vec<usize>) = (&[], Vec::new());
        let mut last = Vec::new();
        for sequence in sequences {
            let alike = previous.iter().zip(sequence).take_while(|(a, b)| a == b).count();
            path.truncate(alike.min(sequence.len() - 1).min(path.len().saturating_sub(1)));
            for (i, &token) in sequence.iter().enumerate().skip(path.len()) {
                let at = path.last().copied();
                let is_last = i + 1 == sequence.len();
                path.push(match self.columns.get(&(at, token)) {
                    Some(&column) if column < before && is_last => {
                        *again.entry(column).or_insert_with(|| add(&mut self.tokens, token, at))
                    }
                    Some(&column) => column,
                    None => {
                        let column = add(&mut self.tokens, token, at);
                        self.columns.insert((at, token), column);
                        column
                    }
                });
            }
            known = known.max(path.iter().rev().find(|&&column| column < before).copied());
            last.extend(path.last().copied());
            previous = sequence;
        }
        Reading { last, known }
    }
}

/// Adds a token, and returns its column.
fn add(tokens: &mut Vec<(u32, Option<usize>)>, token: u32, after: Option<usize>) -> usize {
    tokens.push((token, after));
    tokens.len() - 1
}

impl PrefixCache {
    /// Takes a model on `device` that reads at most `context` tokens; `None` if it has no limit.
    pub fn new(mut model: Model, device: &Device, context: Option<usize>) -> Self {
        model.reset();
        let (device, tree) = (device.clone(), Tree::default());
        Self { model, device, context, tree, preamble: 0, prompts: None }
    }

    /// Reads `tokens`, with which all later prompts begin, and keeps them for good.
    ///
    /// # Errors
    ///
    /// Those of the model.
    pub fn with_preamble(mut self, tokens: &[u32]) -> Result<Self> {
        if !tokens.is_empty() {
            self.next_logits(&[tokens.to_vec()])?;
            (self.preamble, self.prompts) = (self.tree.len(), None);
        }
        Ok(self)
    }

    /// Forgets all but the first `len` tokens of the tree.
    fn truncate(&mut self, len: usize) {
        self.tree.truncate(len);
        self.model.cache_mut().truncate(len);
    }

    /// The logits `[N, V]` after `sequences`, and the states there of `blocks`, `[N, D]` each.
    fn read(&mut self, sequences: &[Vec<u32>], blocks: &[usize]) -> Result<Outputs> {
        self.check(sequences)?;
        let most = self.model.longest_branch().unwrap_or(usize::MAX);
        let (short, long): (Vec<usize>, Vec<usize>) =
            (0..sequences.len()).partition(|&i| sequences[i].len() <= most);
        if long.is_empty() {
            return self.read_together(sequences, blocks);
        }
        let mut all = Vec::new();
        if !short.is_empty() {
            let short: Vec<_> = short.iter().map(|&i| sequences[i].clone()).collect();
            all.push(self.read_together(&short, blocks)?);
        }
        for &i in &long {
            all.push(self.read_alone(&sequences[i], blocks)?);
        }
        let mut places = vec![0; sequences.len()];
        (0..).zip(short.into_iter().chain(long)).for_each(|(place, i)| places[i] = place);
        gathered(&all, &places, &self.device)
    }

    fn read_together(&mut self, sequences: &[Vec<u32>], blocks: &[usize]) -> Result<Outputs> {
        let kept = self.prompts.unwrap_or(self.preamble);
        let before = self.tree.len();
        let mut reading = self.tree.grow(sequences);
        if before > kept && reading.known.is_none_or(|column| column < kept) {
            self.truncate(kept);
            reading = self.tree.grow(sequences);
        }
        let from = self.model.cache().len();
        let read = self.passes(from, &reading.last, blocks);
        match &read {
            Ok(_) => _ = self.prompts.get_or_insert(self.tree.len()),
            Err(_) => self.truncate(from),
        }
        read
    }

    fn check(&self, sequences: &[Vec<u32>]) -> Result<()> {
        if sequences.is_empty() || sequences.iter().any(Vec::is_empty) {
            bail!("a model reads one sequence at least, of one token at least");
        }
        let longest = sequences.iter().map(Vec::len).max().unwrap_or(0);
        match self.context.filter(|&context| longest > context) {
            Some(context) => bail!(
                "a sequence has {longest} tokens, but the model reads at most {context} of one"
            ),
            None => Ok(()),
        }
    }

    /// Reads the columns of the tree from `from` on; the output is that of the columns `last`.
    fn passes(&mut self, from: usize, last: &[usize], blocks: &[usize]) -> Result<Outputs> {
        let mut wanted: Vec<usize> = last.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let mut outputs = Vec::new();
        for first in (from..self.tree.len()).step_by(MAX_PASS) {
            let columns = first..self.tree.len().min(first + MAX_PASS);
            let (tokens, follow): (Vec<u32>, Vec<_>) =
                self.tree.tokens[columns.clone()].iter().copied().unzip();
            let tokens = Tensor::from_vec(tokens, (1, ()), &self.device)?;
            let here: Vec<usize> = wanted.iter().filter(|c| columns.contains(c)).copied().collect();
            let here: Vec<usize> = here.into_iter().map(|column| column - first).collect();
            let pass = Pass::new(&tokens).states(blocks);
            if here.is_empty() {
                self.model.read(&pass.follow(&[follow]))?;
            } else {
                outputs.push(Outputs::new(
                    self.model.read(&pass.follow(&[follow]).positions(&here))?,
                )?);
            }
        }
        let place = |column: &usize| wanted.binary_search(column).map_or(0, |place| place as u32);
        let places: Vec<u32> = last.iter().map(place).collect();
        gathered(&outputs, &places, &self.device)
    }

    /// The same for one text, in a cache of its own that is not kept.
    fn read_alone(&self, sequence: &[u32], blocks: &[usize]) -> Result<Outputs> {
        let mut model = self.model.clone();
        model.reset();
        let tokens = Tensor::new(sequence, &self.device)?.unsqueeze(0)?;
        let last = [sequence.len() - 1];
        Outputs::new(model.read(&Pass::new(&tokens).states(blocks).positions(&last))?)
    }
}

impl Outputs {
    /// Of one row's columns, `[1, P, …]`.
    fn new(output: Output) -> Result<Self> {
        let states = output.states.iter().map(|state| state.squeeze(0)).collect::<Result<_>>()?;
        Ok(Self { logits: output.logits.squeeze(0)?, states })
    }
}

/// The rows `places` of these, one after the other.
fn gathered(outputs: &[Outputs], places: &[u32], device: &Device) -> Result<Outputs> {
    let Some(first) = outputs.first() else { bail!("nothing was read") };
    let gather = |of: &dyn Fn(&Outputs) -> Tensor| {
        let all = Tensor::cat(&outputs.iter().map(of).collect::<Vec<_>>(), 0)?;
        if places.iter().copied().eq(0..all.dim(0)? as u32) {
            return Ok(all);
        }
        all.index_select(&Tensor::new(places, device)?, 0)
    };
    let logits = gather(&|output| output.logits.clone())?;
    let states = (0..first.states.len()).map(|i| gather(&|output| output.states[i].clone()));
    Ok(Outputs { logits, states: states.collect::<Result<_>>()? })
}

impl NextLogits for PrefixCache {
    /// Of sequences of any lengths.
    ///
    /// # Errors
    ///
    /// Those of the model; and an error if there are no sequences, or if one is empty or longer than
    /// the context.
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        Ok(self.read(sequences, &[])?.logits)
    }

    fn context(&self) -> Option<usize> {
        self.context
    }
}

impl LogitsModel for PrefixCache {
    fn begin(&mut self) {
        self.truncate(self.preamble);
        self.prompts = None;
    }

    fn takes_any_lengths(&self) -> bool {
        true
    }

    fn states(&mut self, sequences: &[Vec<u32>], blocks: &[usize]) -> Result<Option<States>> {
        let prompts = self.prompts;
        let read = self.read(sequences, blocks);
        // It was no question: these are not what answers branch from.
        self.truncate(prompts.unwrap_or(self.preamble));
        self.prompts = prompts;
        let read = read?.states;
        let read = read.iter().map(|state| state.to_dtype(DType::F32)?.to_vec2::<f32>());
        let read: Vec<Vec<Vec<f32>>> = read.collect::<Result<_>>()?;
        let of = |i: usize| read.iter().map(|state| state[i].clone()).collect();
        Ok(Some((0..sequences.len()).map(of).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> PrefixCache {
        let folder = concept_mass_tiny::folder();
        let loaded = concept_mass_models::load(&folder, None, &Device::Cpu, None).unwrap();
        PrefixCache::new(loaded.model, &Device::Cpu, Some(loaded.positions))
    }

    fn logits(model: &mut PrefixCache, sequences: &[&[u32]]) -> Vec<Vec<f32>> {
        let sequences: Vec<Vec<u32>> = sequences.iter().map(|s| s.to_vec()).collect();
        model
            .next_logits(&sequences)
            .unwrap()
            .to_dtype(candle_core::DType::F32)
            .unwrap()
            .to_vec2()
            .unwrap()
    }

    /// In whatever order they are asked for, in one call or several: with the same bits.
    #[test]
    fn what_branches_from_a_prompt_is_what_is_read_from_the_start() {
        let mut kept = model().with_preamble(&[5, 7]).unwrap();
        // More than one pass takes.
        let long = [20, 21, 22].map(|first| (0..120).map(|i| first + i * 8).collect::<Vec<u32>>());
        let calls: [&[&[u32]]; 8] = [
            &[&[5, 7, 9, 11], &[5, 7, 9, 12], &[5, 7, 2], &[5, 7, 9, 12]],
            &[&[5, 7, 9, 12, 3], &[5, 7, 9, 11, 3, 8], &[5, 7, 9, 12, 4]],
            &[&[5, 7, 9, 12, 4, 8]],
            &[&[5, 7, 9, 11, 2], &[5, 7, 9, 12, 2], &[5, 7]],
            &[&[5, 7, 9, 11]],
            &[&[6, 7, 8], &long[0], &long[1], &long[2]],
            &[&[5, 7, 9, 11, 2, 1], &[5, 7, 9, 11, 3, 1]],
            &[&[5, 7, 9, 11, 2, 1, 6], &[5, 7, 9, 11, 3, 1, 6], &[5, 7, 9, 11, 3, 1]],
        ];
        for sequences in calls {
            let got = logits(&mut kept, sequences);
            for (got, sequence) in got.iter().zip(sequences) {
                assert_eq!(got, &logits(&mut model(), &[sequence])[0], "{sequence:?}");
            }
        }
    }

    /// Answers are read token by token, and nothing is read twice but the last token of a prompt.
    #[test]
    fn what_is_known_is_not_read_again() {
        let mut kept = model().with_preamble(&[5, 7]).unwrap();
        logits(&mut kept, &[&[5, 7, 9, 11], &[5, 7, 9, 12]]);
        assert_eq!(kept.tree.len(), 5);
        logits(&mut kept, &[&[5, 7, 9, 11, 1], &[5, 7, 9, 12, 1], &[5, 7, 9, 12]]);
        assert_eq!(kept.tree.len(), 5 + 3);
        logits(&mut kept, &[&[5, 7, 9, 11, 1, 2], &[5, 7, 9, 11, 1, 3]]);
        assert_eq!(kept.tree.len(), 5 + 3 + 2);
        // These continue none of it.
        logits(&mut kept, &[&[5, 7, 9, 11, 4, 4], &[5, 7, 9, 11, 4, 5]]);
        assert_eq!(kept.tree.len(), 5 + 3);
        kept.begin();
        assert_eq!((kept.tree.len(), kept.model.cache().len()), (2, 2));
        logits(&mut kept, &[&[5, 7, 9, 11]]);
        assert_eq!(kept.tree.len(), 4);
    }

    #[test]
    fn a_call_that_fails_changes_nothing() {
        let mut model = model();
        logits(&mut model, &[&[5, 7, 9]]);
        let before = model.tree.len();
        let too_long: Vec<u32> = vec![5; 100_000];
        for sequences in
            [vec![], vec![vec![]], vec![vec![5, 7, 9, 1], vec![1 << 30]], vec![too_long]]
        {
            assert!(model.next_logits(&sequences).is_err());
            assert_eq!((model.tree.len(), model.model.cache().len()), (before, before));
        }
        assert_eq!(
            logits(&mut model, &[&[5, 7, 9, 1]]),
            logits(&mut self::model(), &[&[5, 7, 9, 1]])
        );
    }

    #[test]
    fn states_are_those_after_the_last_token() {
        let mut model = model();
        let sequences = [vec![5, 7, 9], vec![6]];
        let states = model.states(&sequences, &[0, 1]).unwrap().unwrap();
        for (states, sequence) in states.iter().zip(&sequences) {
            let tokens = Tensor::new(&sequence[..], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            let mut alone = model.model.clone();
            alone.reset();
            let read = alone.read(&Pass::new(&tokens).states(&[0, 1])).unwrap();
            for (state, block) in states.iter().zip(&read.states) {
                let all = block.squeeze(0).unwrap().to_vec2::<f32>().unwrap();
                assert_eq!(Some(state), all.last());
            }
            assert_eq!(states.len(), 2);
        }
        model.begin();
        assert!(model.states(&[vec![]], &[0]).is_err());
    }
}
