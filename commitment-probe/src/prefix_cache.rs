//! A decoder of concept-mass-models that reads what sequences have in common once.

use candle_core::{DType, Device, Result, Tensor, bail};
use concept_mass::phrase::NextLogits;
use concept_mass_models::{Cache, Model, Pass};

use crate::in_process::LogitsModel;
use crate::model::States;

/// Gives the logits of a [`Model`], and keeps the keys and values of what it has read: of the first
/// sequences since [`begin`](LogitsModel::begin), which are the prompts, and of the last ones. From
/// these every sequence is continued that begins alike, so answers, forms and samples branch from a
/// prompt that is read once.
///
/// What is kept depends on the calls since `begin`, and on the [preamble](Self::with_preamble), alone.
/// So do the last bits of the results, which depend on what is read together.
///
/// ```
/// use candle_core::Device;
/// use commitment_probe::PrefixCache;
/// use concept_mass::phrase::NextLogits;
///
/// let loaded = concept_mass_models::load(&concept_mass_tiny::folder(), None, &Device::Cpu, None)?;
/// let mut model = PrefixCache::new(loaded.model, &Device::Cpu, Some(loaded.positions));
/// model.next_logits(&[vec![5, 7, 9]])?;
/// let logits = model.next_logits(&[vec![5, 7, 9, 1], vec![5, 7, 9, 2]])?; // reads 1 and 2
/// assert_eq!(logits.dim(0)?, 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct PrefixCache {
    model: Model,
    device: Device,
    context: Option<usize>,
    /// What all prompts begin with, if that has been read.
    preamble: Option<Kept>,
    /// The first sequences since `begin`.
    prompts: Option<Kept>,
    /// The last ones.
    last: Option<Kept>,
}

/// Sequences, and what the model keeps of them.
#[derive(Debug, Clone)]
struct Kept {
    sequences: Vec<Vec<u32>>,
    cache: Cache,
}

/// How sequences continue what is kept.
struct Continued {
    /// The row that each goes on from.
    rows: Vec<usize>,
    /// How many tokens of every one have been read.
    known: usize,
}

impl PrefixCache {
    /// Takes a model on `device` that reads at most `context` tokens; `None` if it has no limit.
    pub fn new(model: Model, device: &Device, context: Option<usize>) -> Self {
        let device = device.clone();
        Self { model, device, context, preamble: None, prompts: None, last: None }
    }

    /// Reads `tokens`, with which all later prompts begin, and keeps them for good.
    ///
    /// # Errors
    ///
    /// Those of the model.
    pub fn with_preamble(mut self, tokens: &[u32]) -> Result<Self> {
        if !tokens.is_empty() {
            self.next_logits(&[tokens.to_vec()])?;
            self.preamble = self.last.take().or(self.prompts.take());
        }
        Ok(self)
    }

    /// Puts the model where it can go on with `sequences`; returns how many tokens of each it has
    /// read then.
    fn resume(&mut self, sequences: &[Vec<u32>]) -> Result<usize> {
        let kept = [&self.last, &self.prompts, &self.preamble];
        let best = (0..kept.len())
            .filter_map(|i| Some((i, kept[i].as_ref()?.continued(sequences))))
            .rev()
            .max_by_key(|(_, continued)| continued.known);
        let Some((from, Continued { rows, known })) = best.filter(|(_, best)| best.known > 0)
        else {
            self.model.reset();
            return Ok(0);
        };
        // What was read last is continued in place, without a copy, as nobody else looks at it.
        let cache = match from {
            0 => self.last.take(),
            1 => self.prompts.clone(),
            _ => self.preamble.clone(),
        };
        let Some(Kept { mut cache, .. }) = cache else { bail!("nothing is kept") };
        cache.truncate(known);
        if !rows.iter().copied().eq(0..cache.num_rows()) {
            cache = cache.select(&rows)?;
        }
        self.model.set_cache(cache)?;
        Ok(known)
    }

    fn read(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        let known = self.resume(sequences)?;
        match self.forward(sequences, known) {
            // A model may scale all positions anew where a text grows long (LongRoPE): what it has
            // read before is of no use then.
            Err(_) if known > 0 => {
                self.model.reset();
                self.forward(sequences, 0)
            }
            read => read,
        }
    }

    fn forward(&mut self, sequences: &[Vec<u32>], known: usize) -> Result<Tensor> {
        let new = sequences.iter().flat_map(|sequence| &sequence[known..]);
        let new: Vec<u32> = new.copied().collect();
        let tokens = Tensor::from_vec(new, (sequences.len(), ()), &self.device)?;
        self.model.forward(&tokens, known)?.reshape((sequences.len(), ()))
    }
}

impl NextLogits for PrefixCache {
    /// # Errors
    ///
    /// Those of the model; and an error if there are no sequences, if one is empty or longer than
    /// the context, or not as long as the others.
    fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        let Some(length) = sequences.first().map(Vec::len).filter(|&length| length > 0) else {
            bail!("a model reads one sequence at least, of one token at least");
        };
        if sequences.iter().any(|sequence| sequence.len() != length) {
            bail!("the sequences of one call must be equally long");
        }
        if let Some(context) = self.context.filter(|&context| length > context) {
            bail!("the sequences have {length} tokens, but the model reads at most {context}");
        }
        let logits = self.read(sequences)?;
        let kept = Kept { sequences: sequences.to_vec(), cache: self.model.cache().clone() };
        // The model's own would share the buffers, and they would be copied to be written to.
        self.model.reset();
        if self.prompts.is_none() {
            self.prompts = Some(kept);
        } else {
            self.last = Some(kept);
        }
        Ok(logits)
    }

    fn context(&self) -> Option<usize> {
        self.context
    }
}

impl LogitsModel for PrefixCache {
    fn begin(&mut self) {
        (self.prompts, self.last) = (None, None);
    }

    fn states(&mut self, sequences: &[Vec<u32>], blocks: &[usize]) -> Result<Option<States>> {
        let mut of = |sequence: &Vec<u32>| -> Result<Vec<Vec<f32>>> {
            if sequence.is_empty() {
                bail!("there is no state before the first token");
            }
            self.model.reset();
            let tokens = Tensor::new(&sequence[..], &self.device)?.unsqueeze(0)?;
            let read = self.model.read(&Pass::new(&tokens).states(blocks));
            self.model.reset();
            let last = |state: &Tensor| {
                let state = state.narrow(1, sequence.len() - 1, 1)?.flatten_all()?;
                state.to_dtype(DType::F32)?.to_vec1()
            };
            read?.states.iter().map(last).collect()
        };
        sequences.iter().map(&mut of).collect::<Result<_>>().map(Some)
    }
}

impl Kept {
    /// How `sequences` go on with these. At least one token of each is left to be read.
    fn continued(&self, sequences: &[Vec<u32>]) -> Continued {
        let common = |a: &[u32], b: &[u32]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
        let mut known = usize::MAX;
        let mut row_of = |sequence: &Vec<u32>| {
            let rows = self.sequences.iter().map(|row| common(row, sequence)).enumerate().rev();
            let (row, length) = rows.max_by_key(|&(_, length)| length).unwrap_or((0, 0));
            known = known.min(length).min(sequence.len().saturating_sub(1));
            row
        };
        let rows = sequences.iter().map(&mut row_of).collect();
        Continued { rows, known }
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

    #[test]
    fn what_branches_from_a_prompt_is_what_is_read_from_the_start() {
        let mut kept = model().with_preamble(&[5, 7]).unwrap();
        let calls: [&[&[u32]]; 7] = [
            &[&[5, 7, 9, 11], &[5, 7, 9, 12]],
            &[&[5, 7, 9, 12, 3], &[5, 7, 9, 11, 3], &[5, 7, 9, 12, 4]],
            &[&[5, 7, 9, 12, 4, 8]],
            &[&[5, 7, 9, 11, 2], &[5, 7, 9, 12, 2]],
            &[&[5, 7, 9, 11]],
            &[&[6, 7, 8]],
            &[&[5, 7, 9, 11, 2, 1], &[5, 7, 9, 11, 3, 1]],
        ];
        for sequences in calls {
            let got = logits(&mut kept, sequences);
            for (got, sequence) in got.iter().zip(sequences) {
                let want = &logits(&mut model(), &[sequence])[0];
                let apart = got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(apart < 1e-3, "{sequence:?} {apart}");
            }
        }
    }

    #[test]
    fn after_begin_nothing_of_before_is_left() {
        let (mut used, mut new) =
            (model().with_preamble(&[5, 7]).unwrap(), model().with_preamble(&[5, 7]).unwrap());
        logits(&mut used, &[&[5, 7, 9, 11, 12]]);
        logits(&mut used, &[&[5, 7, 9, 11, 12, 1], &[5, 7, 9, 11, 12, 2]]);
        used.begin();
        for sequences in [&[&[5, 7, 9, 11][..]][..], &[&[5, 7, 9, 11, 2], &[5, 7, 9, 11, 3]]] {
            assert_eq!(logits(&mut used, sequences), logits(&mut new, sequences));
        }
    }

    #[test]
    fn states_are_those_after_the_last_token() {
        let mut model = model();
        let sequences = [vec![5, 7, 9], vec![6]];
        let states = model.states(&sequences, &[0, 1]).unwrap().unwrap();
        for (states, sequence) in states.iter().zip(&sequences) {
            let tokens = Tensor::new(&sequence[..], &Device::Cpu).unwrap().unsqueeze(0).unwrap();
            model.model.reset();
            let read = model.model.read(&Pass::new(&tokens).states(&[0, 1])).unwrap();
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
