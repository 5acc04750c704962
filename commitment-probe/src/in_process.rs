//! A model in this process: its logits, and the crate's kernels.

use std::fmt;

use candle_core::{DType, Device, Tensor};
use concept_mass::{ConceptMap, DeviceMap, Noise, Row, phrase::NextLogits, reduce::ReduceError};

use crate::model::{LanguageModel, Sampling, Start, States, Step, Until};
use crate::{Error, Result};

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
/// use commitment_probe::{InProcess, LanguageModel, PrefixCache};
///
/// let loaded = concept_mass_models::load(&concept_mass_tiny::folder(), None, &Device::Cpu, None)?;
/// let model = PrefixCache::new(loaded.model, &Device::Cpu, Some(loaded.positions));
/// let mut model = InProcess::new(model, loaded.vocab_size, &Device::Cpu, 16)?;
/// let (token, ln) = model.likeliest(&[vec![5, 7, 9]], 1)?[0][0];
/// assert_eq!(model.score(&[5, 7, 9], &[vec![token]], &[])?.len(), 1);
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

    /// The logits `[N, V]` after sequences of one length, in `f32`: a model may compute in `f64`.
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

    /// Asks for what follows each of `sequences`, in batches of one length, shortest first; `read`
    /// makes what is wanted of their places and logits, one of each.
    fn each<T>(
        &mut self,
        sequences: &[Vec<u32>],
        mut read: impl FnMut(&Self, &[usize], &Tensor) -> Result<Vec<T>>,
    ) -> Result<Vec<T>> {
        let mut found: Vec<Option<T>> = sequences.iter().map(|_| None).collect();
        let lengths: Vec<usize> = sequences.iter().map(Vec::len).collect();
        for places in batches(&lengths, self.batch) {
            let batch: Vec<Vec<u32>> = places.iter().map(|&i| sequences[i].clone()).collect();
            let logits = self.ask(&batch)?;
            for (&i, row) in places.iter().zip(read(self, &places, &logits)?) {
                found[i] = Some(row);
            }
        }
        Ok(found.into_iter().flatten().collect())
    }

    /// Continues `starts` of one length in lock step, each until it is over; `choose` makes a step
    /// of each row of logits. Whatever is over is asked no more.
    fn continue_each<T>(
        &mut self,
        starts: &[Start],
        until: &Until,
        mut choose: impl FnMut(&Self, &Tensor) -> Result<Vec<(u32, T)>>,
    ) -> Result<Vec<Vec<T>>> {
        let mut steps: Vec<Vec<T>> = starts.iter().map(|_| Vec::new()).collect();
        let begun = |start: &Start| [start.prompt, &start.begun].concat();
        let mut going: Vec<(usize, Vec<u32>)> = starts.iter().map(begun).enumerate().collect();
        let goes_on =
            |(i, all): &(usize, Vec<u32>)| !until.is_reached(&all[starts[*i].prompt.len()..]);
        going.retain(goes_on);
        while !going.is_empty() {
            let batch: Vec<Vec<u32>> = going.iter().map(|(_, all)| all.clone()).collect();
            let logits = self.ask(&batch)?;
            for ((i, all), (token, step)) in going.iter_mut().zip(choose(self, &logits)?) {
                all.push(token);
                steps[*i].push(step);
            }
            going.retain(goes_on);
        }
        Ok(steps)
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
        self.each(sequences, |this, _, logits| {
            this.rows(logits)?;
            Ok(logits.to_vec2::<f32>()?.iter().map(|row| log_softmax(row)).collect())
        })
    }

    /// The logits of the named tokens are copied to the host, and nothing else.
    fn named(&mut self, sequences: &[Vec<u32>], tokens: &[Vec<u32>]) -> Result<Vec<Vec<f64>>> {
        self.each(sequences, |this, places, logits| {
            let rows = this.rows(logits)?;
            let vocab_size = this.vocab_size();
            let mut wanted = Vec::new();
            for (at, (&i, row)) in places.iter().zip(&rows).enumerate() {
                // What is no token has another's logit here, and no probability below.
                let place = |token: &u32| {
                    (at * vocab_size) as i64 + i64::from(*token).min(vocab_size as i64 - 1)
                };
                wanted.extend([row.greedy].iter().chain(&tokens[i]).map(place));
            }
            let wanted = Tensor::new(wanted, logits.device())?;
            let logits = logits.contiguous()?.flatten_all()?.index_select(&wanted, 0)?;
            let mut logits = logits.to_vec1::<f32>()?.into_iter().map(f64::from);
            let read = places.iter().zip(&rows).map(|(&i, row)| {
                // Relative to the largest, whose probability is 1 / V at least: exact to f32.
                let largest = logits.next().unwrap_or_default();
                let ln_largest = f64::from(row.greedy_prob).ln();
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
        let mut found: Vec<Vec<Step>> = starts.iter().map(|_| Vec::new()).collect();
        let lengths: Vec<usize> = starts.iter().map(|s| s.prompt.len() + s.begun.len()).collect();
        for places in batches(&lengths, self.batch) {
            let batch: Vec<Start> = places.iter().map(|&i| starts[i].clone()).collect();
            let steps = self.continue_each(&batch, until, |this, logits| {
                let step = |row: Row| Step {
                    token: row.greedy,
                    ln_probability: f64::from(row.greedy_prob).ln(),
                    entropy: Some(row.token_entropy),
                };
                Ok(this.rows(logits)?.into_iter().map(|row| (row.greedy, step(row))).collect())
            })?;
            places.iter().zip(steps).for_each(|(&i, steps)| found[i] = steps);
        }
        Ok(found)
    }

    fn sample(&mut self, prompt: &[u32], how: &Sampling, until: &Until) -> Result<Vec<Vec<u32>>> {
        let mut noise = Noise::new(how.seed, &self.device)?;
        let mut samples = Vec::new();
        while samples.len() < how.samples {
            let rows = self.batch.min(how.samples - samples.len());
            let starts = vec![Start { prompt, begun: Vec::new() }; rows];
            samples.extend(self.continue_each(&starts, until, |this, logits| {
                let tokens = this.tokens.sample(logits, how.temperature, &mut noise)?;
                Ok(tokens.to_vec1::<u32>()?.into_iter().map(|token| (token, token)).collect())
            })?);
        }
        Ok(samples)
    }

    fn states(&mut self, sequences: &[Vec<u32>], blocks: &[usize]) -> Result<Option<States>> {
        Ok(self.model.states(sequences, blocks)?)
    }
}

/// The places of sequences of these lengths in batches of one length, shortest first.
fn batches(lengths: &[usize], max_size: usize) -> Vec<Vec<usize>> {
    let mut places: Vec<usize> = (0..lengths.len()).collect();
    places.sort_by_key(|&i| lengths[i]);
    let alike = places.chunk_by(|&a, &b| lengths[a] == lengths[b]);
    alike.flat_map(|alike| alike.chunks(max_size).map(<[usize]>::to_vec)).collect()
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
    fn probabilities_know_no_origin() {
        for largest in [-3e38, -3e7, 0.0, 1e4, 3e7, 3e38] {
            let ln = log_softmax(&[largest, f32::NEG_INFINITY, largest]);
            assert_eq!(ln, [0.5f64.ln(), f64::NEG_INFINITY, 0.5f64.ln()], "{largest}");
        }
        let ln = log_softmax(&[1e4 + 1.0, 1e4]);
        assert!((ln[0] - ln[1] - 1.0).abs() < 1e-12, "{ln:?}");
    }
}
