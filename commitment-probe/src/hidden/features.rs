//! What answers are told apart by. None of it knows what is right.

use super::nested::Table;
use super::store::HiddenState;
use crate::Decoder;
use crate::sample::Sample;

/// The state after one block, by its place, of each answer.
pub(super) fn states_of(of: &[HiddenState], block: usize) -> Table {
    let rows: Vec<f32> =
        of.iter().filter_map(|state| state.states.get(block)).flatten().copied().collect();
    Table { width: rows.len() / of.len().max(1), rows }
}

/// The mean embedding of each answer's prompt; and its number of tokens.
pub(super) fn prompts(samples: &[&Sample], of: &[HiddenState]) -> (Table, Table) {
    let rows: Vec<f32> = of.iter().flat_map(|state| &state.embedding).copied().collect();
    let embedding = Table { width: rows.len() / of.len().max(1), rows };
    let lengths = samples.iter().map(|sample| sample.prompt_tokens as f32).collect();
    (embedding, Table { rows: lengths, width: 1 })
}

/// A number of a sample, if it has it.
type Number<'a> = &'a dyn Fn(&Sample) -> Option<f32>;

/// The first step's entropies over tokens and over concepts, the latter if all answers have them, the
/// largest probability and the margin; and the square of each, so that a middle can stand out. The
/// state fixes the logits: whatever these say already is no news of the state.
pub(super) fn scalars(samples: &[&Sample]) -> Table {
    let concepts = |decoder: Decoder| {
        move |sample: &Sample| Some(sample.decisions.get(&decoder)?.vote?.entropy)
    };
    let (spelling, embedding) = (concepts(Decoder::Spelling), concepts(Decoder::Embedding));
    let all: [Number; 5] = [
        &|sample| Some(sample.first.token_entropy),
        &|sample| Some(sample.first.probability),
        &|sample| Some(sample.first.margin),
        &spelling,
        &embedding,
    ];
    let column = |number: &Number| samples.iter().map(|sample| number(sample)).collect();
    let columns: Vec<Vec<f32>> = all.iter().filter_map(column).collect();
    let row = |i: usize| {
        let values = columns.iter().map(move |column| column[i]);
        values.clone().chain(values.map(|x| x * x))
    };
    Table { rows: (0..samples.len()).flat_map(row).collect(), width: 2 * columns.len() }
}
