//! The states of prompts, as a model has them.

use candle_core::{DType, Tensor};

use super::error::HiddenError;
use super::store::Blocks;
use crate::{LanguageModel, Result, States};

/// The states of `blocks` at the last token of each of `prompts`: `states[i][b]`, `[D]`, f32.
///
/// # Errors
///
/// [`HiddenError::NotShown`] if the model does not show its states; [`HiddenError::Shape`] if it shows
/// others than it was asked for; those of the model.
///
/// ```
/// use candle_core::Device;
/// use commitment_probe::{Blocks, InProcess, PrefixCache, read_states};
///
/// let loaded = concept_mass_models::load(&concept_mass_tiny::folder(), None, &Device::Cpu, None)?;
/// let blocks = Blocks::quarters(loaded.model.num_blocks());
/// let model = PrefixCache::new(loaded.model, &Device::Cpu, Some(loaded.positions));
/// let mut model = InProcess::new(model, loaded.vocab_size, &Device::Cpu, 16)?;
/// let states = read_states(&mut model, &[vec![5, 7, 9]], &blocks)?;
/// assert_eq!(states[0].len(), blocks.numbers().len());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_states(
    model: &mut impl LanguageModel,
    prompts: &[Vec<u32>],
    blocks: &Blocks,
) -> Result<States> {
    let states = model.states(prompts, &blocks.places())?.ok_or(HiddenError::NotShown)?;
    let asked = blocks.numbers().len();
    if states.len() != prompts.len() || states.iter().any(|of| of.len() != asked) {
        let what = format!("{} prompts and {asked} blocks", prompts.len());
        return Err(HiddenError::Shape { what }.into());
    }
    Ok(states)
}

/// The mean of the rows of `embedding`, `[V, D]`, that a prompt's `tokens` have: `[D]`, f32.
///
/// # Errors
///
/// [`Error::EmptyPrompt`](crate::Error::EmptyPrompt) without tokens; candle's for a token that has no
/// row.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use commitment_probe::mean_embedding;
///
/// let embedding = Tensor::new(&[[0f32, 2.0], [1.0, 4.0], [9.0, 9.0]], &Device::Cpu)?;
/// assert_eq!(mean_embedding(&embedding, &[0, 1])?, [0.5, 3.0]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn mean_embedding(embedding: &Tensor, tokens: &[u32]) -> Result<Vec<f32>> {
    if tokens.is_empty() {
        return Err(crate::Error::EmptyPrompt);
    }
    let tokens = Tensor::new(tokens, embedding.device())?;
    let rows = embedding.index_select(&tokens, 0)?.to_dtype(DType::F32)?;
    Ok(rows.mean(0)?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::{Error, Sampling, Start, Step, Until};

    /// Shows so many blocks of its states, or none.
    struct Shows(Option<usize>);

    impl LanguageModel for Shows {
        fn vocab_size(&self) -> usize {
            2
        }

        fn all(&mut self, _: &[Vec<u32>]) -> Result<Vec<Vec<f64>>> {
            Ok(Vec::new())
        }

        fn greedy(&mut self, _: &[Start], _: &Until) -> Result<Vec<Vec<Step>>> {
            Ok(Vec::new())
        }

        fn sample(&mut self, _: &[Sampling], _: &Until) -> Result<Vec<Vec<Vec<u32>>>> {
            Ok(Vec::new())
        }

        fn states(&mut self, sequences: &[Vec<u32>], _: &[usize]) -> Result<Option<States>> {
            Ok(self.0.map(|blocks| vec![vec![vec![0.0; 3]; blocks]; sequences.len()]))
        }
    }

    #[test]
    fn a_model_that_does_not_show_its_states_is_told_so() {
        let blocks = Blocks::quarters(4);
        let read = |shown| read_states(&mut Shows(shown), &[vec![0, 1]], &blocks);
        assert!(matches!(read(None), Err(Error::Hidden(HiddenError::NotShown))));
        assert!(matches!(read(Some(3)), Err(Error::Hidden(HiddenError::Shape { .. }))));
        assert_eq!(read(Some(4)).unwrap()[0].len(), 4);
    }

    #[test]
    fn an_embedding_that_lacks_a_token_is_an_error() {
        let embedding = Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap();
        assert_eq!(mean_embedding(&embedding, &[0, 0]).unwrap(), [1.0, 2.0]);
        assert!(mean_embedding(&embedding, &[1]).is_err());
        assert!(matches!(mean_embedding(&embedding, &[]), Err(Error::EmptyPrompt)));
    }
}
