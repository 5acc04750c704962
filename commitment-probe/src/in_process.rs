//! A model in this process: its logits, and the crate's kernels.

use std::{collections::HashMap, fmt, mem};

use candle_core::{DType, Device, Tensor};
use concept_mass::{
    ConceptMap, Decision, DeviceMap, Noise, Row, phrase::NextLogits, reduce::ReduceError,
};

use crate::model::{LanguageModel, Sampling, Start, States, Step, Until};
use crate::{Error, Result};
use rayon::prelude::*;

/// What gives logits, and may have more to offer.
///
/// ```
/// use candle_core::{DType, Device, Result, Tensor};
/// use commitment_probe::{InProcess, LanguageModel, LogitsModel};
/// use concept_mass::phrase::NextLogits;
///
/// /// Knows nothing.
/// struct Even;
///
/// impl NextLogits for Even {
///     fn next_logits(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
///         Tensor::zeros((sequences.len(), 4), DType::F32, &Device::Cpu)
///     }
/// }
///
/// impl LogitsModel for Even {}
///
/// let mut model = InProcess::new(Even, 4, &Device::Cpu, 16)?;
/// assert!((model.all(&[vec![1]])?[0][2] - 0.25f64.ln()).abs() < 1e-7);
/// # Ok::<(), commitment_probe::Error>(())
/// ```
pub trait LogitsModel: NextLogits {
    /// Other questions follow; see [`LanguageModel::begin`].
    fn begin(&mut self) {}

    /// Whether the sequences of one call may have any lengths; otherwise they are equally long.
    fn takes_any_lengths(&self) -> bool {
        false
    }

    /// The states of blocks; see [`LanguageModel::states`].
    ///
    /// # Errors
    ///
    /// Those of the model.
    fn states(
        &mut self,
        sequences: &[Vec<u32>],
        blocks: &[usize],
    ) -> candle_core::Result<Option<States>> {
        let _ = (sequences, blocks);
        Ok(None)
    }
}

/// Answers the questions of [`LanguageModel`] by logits `[N, V]`, which are reduced where they are.
///
/// ```
/// use candle_core::Device;
/// use commitment_probe::{Continued, InProcess, LanguageModel, PrefixCache};
///
/// let loaded = concept_mass_models::load(&concept_mass_tiny::folder(), None, &Device::Cpu, None)?;
/// let model = PrefixCache::new(loaded.model, &Device::Cpu, Some(loaded.positions));
/// let mut model = InProcess::new(model, loaded.vocab_size, &Device::Cpu, 16)?;
/// let (token, ln) = model.likeliest(&[vec![5, 7, 9]], 1)?[0][0];
/// let asked = Continued { prompt: &[5, 7, 9], continuations: vec![vec![token]] };
/// assert!((model.score(&[asked], &[])?[0][0] - ln).abs() < 1e-5);
/// assert!(ln < 0.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct InProcess<M> {
    model: M,
    device: Device,
    /// Counts tokens.
    tokens: DeviceMap,
    batch: usize,
}

/// Without the model.
impl<M> fmt::Debug for InProcess<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, tokens, batch, .. } = self;
        let mut debug = f.debug_struct("InProcess");
        debug.field("vocab_size", &tokens.map().vocab_size()).field("device", device);
        debug.field("batch", batch).finish_non_exhaustive()
    }
}

impl<M: LogitsModel> InProcess<M> {
    /// Takes a model of `vocab_size` tokens whose logits are on `device`, and which reads at most
    /// `batch` sequences at once, 1 at least.
    ///
    /// # Errors
    ///
    /// [`Error::ProbeOption`] for a `batch` of 0; [`Error::ConceptMass`] for a vocabulary without
    /// tokens, and those of the device.
    pub fn new(model: M, vocab_size: usize, device: &Device, batch: usize) -> Result<Self> {
        if batch == 0 {
            let requirement = "it must be 1 or more";
            return Err(Error::ProbeOption { option: "batch", value: "0".into(), requirement });
        }
        let tokens = ConceptMap::singletons(vocab_size)?.to_device(device)?;
        Ok(Self { model, device: device.clone(), tokens, batch })
    }

    /// The model.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The logits `[N, V]` after sequences, in `f32`: a model may compute in `f64`.
    fn ask(&mut self, sequences: &[Vec<u32>]) -> Result<Tensor> {
        let (asked, vocab_size) = (sequences.len(), self.vocab_size());
        let logits = self.model.next_logits(sequences)?;
        if logits.dims() != [asked, vocab_size] {
            let got = logits.shape().clone();
            return Err(Error::ModelOutput { sequences: asked, vocab_size, got });
        }
        Ok(logits.to_dtype(DType::F32)?)
    }

    /// The rows of logits; fails if one has no winner.
    fn rows(&self, logits: &Tensor) -> Result<Vec<Row>> {
        let rows = self.tokens.reduce(logits)?.rows()?;
        Ok(rows.into_iter().collect::<Result<_, _>>().map_err(ReduceError::from)?)
    }

    /// Asks for what follows each of `sequences`, `batch` at a time; of equal ones in a batch, one is
    /// asked for. `read` makes what is wanted of each of a batch's sequences: of their places and
    /// logits.
    fn each<T>(
        &mut self,
        sequences: &[Vec<u32>],
        mut read: impl FnMut(&Self, &Batch, &Tensor) -> Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        let mut found: Vec<Option<T>> = sequences.iter().map(|_| None).collect();
        let length = |i: usize| if self.model.takes_any_lengths() { 0 } else { sequences[i].len() };
        for batch in Batch::all(sequences, length, self.batch) {
            let distinct: Vec<Vec<u32>> = batch.distinct.iter().map(|s| s.to_vec()).collect();
            let logits = self.ask(&distinct)?;
            for (&i, row) in batch.places.iter().zip(read(self, &batch, &logits)?) {
                found[i] = Some(row);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Continues `starts`, of which there are `batch` at most, in lock step, each until it is over;
    /// `choose` makes a step of each of those that are asked for, by their places in `starts`.
    /// Whatever is over is asked no more. (More would not be asked at once, and a model that keeps
    /// what it read last would forget some for the others.)
    fn continue_each<T>(
        &mut self,
        starts: &[Start],
        until: &Until,
        mut choose: impl FnMut(&Self, &[usize], &[u32], &Tensor) -> Result<Vec<(u32, T)>>,
    ) -> Result<Vec<Vec<T>>> {
        let mut steps: Vec<Vec<T>> = starts.iter().map(|_| Vec::new()).collect();
        let begun = |start: &Start| [start.prompt, &start.begun].concat();
        let mut all: Vec<Vec<u32>> = starts.iter().map(begun).collect();
        let mut going: Vec<usize> = (0..starts.len()).collect();
        loop {
            going.retain(|&i| !until.is_reached(&all[i][starts[i].prompt.len()..]));
            if going.is_empty() {
                return Ok(steps);
            }
            let asked: Vec<Vec<u32>> = going.iter().map(|&i| all[i].clone()).collect();
            let chosen = self.each(&asked, |this, batch, logits| {
                let places: Vec<usize> = batch.places.iter().map(|&at| going[at]).collect();
                choose(this, &places, &batch.rows, logits)
            })?;
            for (&i, (token, step)) in going.iter().zip(chosen) {
                all[i].push(token);
                steps[i].push(step);
            }
        }
    }
}

impl<M: LogitsModel> LanguageModel for InProcess<M> {
    fn vocab_size(&self) -> usize {
        self.tokens.map().vocab_size()
    }

    fn context(&self) -> Option<usize> {
        self.model.context()
    }

    fn begin(&mut self) {
        self.model.begin();
    }

    fn all(&mut self, sequences: &[Vec<u32>]) -> Result<Vec<Vec<f64>>> {
        self.each(sequences, |this, batch, logits| {
            this.rows(logits)?;
            let rows = logits.to_vec2::<f32>()?;
            let rows: Vec<Vec<f64>> = rows.par_iter().map(|row| log_softmax(row)).collect();
            Ok(batch.rows.iter().map(|&row| rows[row as usize].clone()).collect())
        })
    }

    /// The logits of the named tokens are copied to the host, and nothing else.
    fn named(&mut self, sequences: &[Vec<u32>], tokens: &[Vec<u32>]) -> Result<Vec<Vec<f64>>> {
        self.each(sequences, |this, batch, logits| {
            let rows = this.tokens.decide(logits)?.rows()?.into_iter().collect::<Result<_, _>>();
            let rows: Vec<Decision> = rows.map_err(ReduceError::from)?;
            let vocab_size = this.vocab_size();
            let mut wanted = Vec::new();
            for (&i, &at) in batch.places.iter().zip(&batch.rows) {
                // What is no token has another's logit here, and no probability below.
                let place = |token: &u32| {
                    i64::from(at) * vocab_size as i64 + i64::from(*token).min(vocab_size as i64 - 1)
                };
                let greedy = rows[at as usize].greedy;
                wanted.extend([greedy].iter().chain(&tokens[i]).map(place));
            }
            let wanted = Tensor::new(wanted, logits.device())?;
            let logits = logits.contiguous()?.flatten_all()?.index_select(&wanted, 0)?;
            let mut logits = logits.to_vec1::<f32>()?.into_iter().map(f64::from);
            let read = batch.places.iter().zip(&batch.rows).map(|(&i, &at)| {
                // Relative to the largest, whose probability is 1 / V at least: exact to f32.
                let largest = logits.next().unwrap_or_default();
                let ln_largest = f64::from(rows[at as usize].greedy_prob).ln();
                let ln = |(logit, &token): (f64, &u32)| match (token as usize) < vocab_size {
                    true => logit - largest + ln_largest,
                    false => f64::NEG_INFINITY,
                };
                logits.by_ref().zip(&tokens[i]).map(ln).collect()
            });
            Ok(read.collect())
        })
    }

    fn greedy(&mut self, starts: &[Start], until: &Until) -> Result<Vec<Vec<Step>>> {
        let mut all = Vec::new();
        for starts in starts.chunks(self.batch) {
            all.extend(self.continue_each(starts, until, |this, _, rows, logits| {
                let of = this.rows(logits)?;
                let step = |&row: &u32| {
                    let row = &of[row as usize];
                    let ln_probability = f64::from(row.greedy_prob).ln();
                    let entropy = Some(row.token_entropy);
                    (row.greedy, Step { token: row.greedy, ln_probability, entropy })
                };
                Ok(rows.iter().map(step).collect())
            })?);
        }
        Ok(all)
    }

    /// Each prompt has noise of its own, so that no sample depends on what else is asked.
    fn sample(&mut self, asked: &[Sampling], until: &Until) -> Result<Vec<Vec<Vec<u32>>>> {
        let noise = asked.iter().map(|asked| Noise::new(asked.seed, &self.device));
        let mut noise: Vec<Noise> = noise.collect::<Result<_, _>>()?;
        let mut all: Vec<Vec<Vec<u32>>> = asked.iter().map(|_| Vec::new()).collect();
        let counts: Vec<usize> = asked.iter().map(|asked| asked.samples).collect();
        for portion in portions(&counts, self.batch) {
            let start = |&i: &usize| Start { prompt: asked[i].prompt, begun: Vec::new() };
            let starts: Vec<Start> = portion.iter().map(start).collect();
            let said = self.continue_each(&starts, until, |this, places, rows, logits| {
                let mut tokens = Vec::new();
                for places in places.chunk_by(|&a, &b| portion[a] == portion[b]) {
                    let i = portion[places[0]];
                    let rows = &rows[tokens.len()..][..places.len()];
                    let logits = logits.index_select(&Tensor::new(rows, logits.device())?, 0)?;
                    let drawn = this.tokens.sample(&logits, asked[i].temperature, &mut noise[i])?;
                    tokens.extend(drawn.to_vec1::<u32>()?);
                }
                Ok(tokens.into_iter().map(|token| (token, token)).collect())
            })?;
            portion.iter().zip(said).for_each(|(&i, said)| all[i].push(said));
        }
        Ok(all)
    }

    fn states(&mut self, sequences: &[Vec<u32>], blocks: &[usize]) -> Result<Option<States>> {
        Ok(self.model.states(sequences, blocks)?)
    }
}

/// So many of each, in portions of `max_size` at most: of each portion, whose they are. Those of one
/// are in one portion if they fit.
fn portions(counts: &[usize], max_size: usize) -> Vec<Vec<usize>> {
    let mut portions: Vec<Vec<usize>> = Vec::new();
    for (i, &count) in counts.iter().enumerate() {
        let mut left = count;
        while left > 0 {
            let size = left.min(max_size);
            match portions.last_mut() {
                Some(portion) if portion.len() + size <= max_size => portion.extend(vec![i; size]),
                _ => portions.push(vec![i; size]),
            }
            left -= size;
        }
    }
    portions
}

/// Sequences that are asked for at once.
#[derive(Default)]
struct Batch<'a> {
    /// Their places among all,
    places: Vec<usize>,
    /// and of each, its row of logits: the place of its equal among the distinct ones.
    rows: Vec<u32>,
    distinct: Vec<&'a [u32]>,
    /// The places of these.
    known: HashMap<&'a [u32], u32>,
}

impl<'a> Batch<'a> {
    /// All sequences in batches of `max_size` distinct ones at most, and of one `length` each,
    /// shortest first.
    fn all(
        sequences: &'a [Vec<u32>],
        length: impl Fn(usize) -> usize,
        max_size: usize,
    ) -> Vec<Self> {
        let mut places: Vec<usize> = (0..sequences.len()).collect();
        places.sort_by_key(|&i| length(i));
        let mut batches = Vec::new();
        for alike in places.chunk_by(|&a, &b| length(a) == length(b)) {
            let mut batch = Self::default();
            for &i in alike {
                let is_new = !batch.known.contains_key(&sequences[i][..]);
                if is_new && batch.distinct.len() == max_size {
                    batches.push(mem::take(&mut batch));
                }
                batch.add(i, &sequences[i]);
            }
            batches.push(batch);
        }
        batches
    }

    fn add(&mut self, place: usize, sequence: &'a [u32]) {
        let row = *self.known.entry(sequence).or_insert_with(|| {
            self.distinct.push(sequence);
            self.distinct.len() as u32 - 1
        });
        self.places.push(place);
        self.rows.push(row);
    }
}

/// `ln P` of every token, of a row of logits that has a winner.
///
/// In `f64` from the largest logit on. The row's own `log_z` is an `f32`, which at logits of
/// millions is too coarse to be subtracted.
fn log_softmax(logits: &[f32]) -> Vec<f64> {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - largest).exp()).sum();
    let ln_sum = sum.ln();
    logits.iter().map(|&logit| f64::from(logit) - largest - ln_sum).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn portions_have_all_and_divide_what_is_too_many() {
        assert_eq!(portions(&[2, 0, 3, 1], 4), [vec![0, 0], vec![2, 2, 2, 3]]);
        assert_eq!(portions(&[1, 5], 2), [vec![0], vec![1, 1], vec![1, 1], vec![1]]);
        assert!(portions(&[0], 3).is_empty());
    }

    /// A model that counts how many tokens it is given beyond what it was given last.
    struct Counting(Vec<Vec<u32>>, usize);

    impl NextLogits for Counting {
        fn next_logits(&mut self, sequences: &[Vec<u32>]) -> candle_core::Result<Tensor> {
            let common = |a: &[u32], b: &[u32]| a.iter().zip(b).take_while(|(a, b)| a == b).count();
            for sequence in sequences {
                let known = self.0.iter().map(|last| common(last, sequence)).max().unwrap_or(0);
                self.1 += sequence.len() - known.min(sequence.len() - 1);
            }
            self.0 = sequences.to_vec();
            Tensor::zeros((sequences.len(), 8), DType::F32, &Device::Cpu)
        }
    }

    impl LogitsModel for Counting {
        fn takes_any_lengths(&self) -> bool {
            true
        }
    }

    /// More samples than are asked for at once are not read over and over.
    #[test]
    fn every_token_of_a_sample_is_read_once() {
        let mut model = InProcess::new(Counting(vec![], 0), 8, &Device::Cpu, 4).unwrap();
        let prompts = [vec![1; 20], vec![2; 20], vec![3; 20]];
        let asked = prompts.each_ref().map(|prompt| Sampling {
            prompt,
            samples: 3,
            temperature: 1.0,
            seed: u64::from(prompt[0]),
        });
        let stops = crate::Stops::default();
        let until = Until { max_tokens: 30, ends: &[], stops: &stops, is_over: &|_| false };
        let said = model.sample(&asked, &until).unwrap();
        assert!(said.iter().all(|said| said.len() == 3 && said.iter().all(|s| s.len() == 30)));
        // Of each prompt, and of each sample but its last token.
        assert!(model.model().1 <= 3 * (20 + 3 * 29), "{}", model.model().1);
        // One by one, they are the same.
        for (asked, said) in asked.iter().zip(said) {
            let mut alone = InProcess::new(Counting(vec![], 0), 8, &Device::Cpu, 4).unwrap();
            assert_eq!(alone.sample(&[*asked], &until).unwrap(), [said]);
        }
    }

    #[test]
    fn probabilities_know_no_origin() {
        for largest in [-3e38, -3e7, 0.0, 1e4, 3e7, 3e38] {
            let ln = log_softmax(&[largest, f32::NEG_INFINITY, largest]);
            assert_eq!(ln, [0.5f64.ln(), f64::NEG_INFINITY, 0.5f64.ln()], "{largest}");
        }
        let ln = log_softmax(&[1e4 + 1.0, 1e4]);
        assert!((ln[0] - ln[1] - 1.0).abs() < 1e-12, "{ln:?}");
    }
}
