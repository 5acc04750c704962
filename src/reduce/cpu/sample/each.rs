//! What is done for several inputs, each with a row of its own.

use rayon::prelude::*;

use super::{SCRATCH, Scratch, Undrawn};
use crate::reduce::cpu::logit::Logit;
use crate::reduce::cpu::rows::{Operation, Rows};
use crate::reduce::cpu::simd::Isa;

/// What is done with a row, for some input.
pub(super) trait Each<W>: Sync {
    type Output: Send;

    fn of<I: Isa, T: Logit>(
        &self,
        isa: I,
        row: &[T],
        input: &W,
        scratch: &mut Scratch,
    ) -> Result<Self::Output, Undrawn>;
}

/// Does it for every input, with the row that the input names.
pub(super) struct OfRows<'a, W, R, E> {
    pub(super) of: &'a [W],
    pub(super) row: R,
    pub(super) each: E,
}

impl<W: Sync, R: Fn(&W) -> usize + Sync, E: Each<W>> Operation for OfRows<'_, W, R, E> {
    type Output = Vec<Result<E::Output, Undrawn>>;

    fn run<I: Isa, T: Logit>(self, isa: I, rows: Rows<'_, T>) -> Self::Output {
        let each = |input: &W| {
            let row = rows.get((self.row)(input));
            SCRATCH.with_borrow_mut(|scratch| self.each.of(isa, row, input, scratch))
        };
        if rows.are_worth_a_fork() {
            self.of.par_iter().map(each).collect()
        } else {
            self.of.iter().map(each).collect()
        }
    }
}
