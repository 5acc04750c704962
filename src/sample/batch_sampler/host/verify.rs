//! Drafts that are verified on the host: all rows of a batch, position by position.

use super::super::Step;
use super::super::verify::{AcceptSpelling, Drafted, Verified};
use super::{HostSlots, Masks, Served, served_rows};
use crate::reduce::NO_TOKEN;
use crate::reduce::cpu::sample::{
    Drawn, Left, Proposal, Request, Undrawn, Verdict, left_of_rows, sample_rows, verify_rows,
};
use crate::reduce::logits::Logits;
use crate::reduce::numbers::numbers_on_host;
use crate::sample::error::Failure;
use crate::sample::settings::accepts_by;
use crate::sample::{RowState, SampleError};

impl HostSlots {
    /// The tokens of each row, which its slot counts, or why there are none.
    pub(in super::super) fn verify(
        &mut self,
        step: &Step<'_>,
        drafted: &Drafted<'_>,
    ) -> Result<Vec<Result<Verified, Failure>>, SampleError> {
        let tokens = numbers_on_host(drafted.tokens)?;
        let mut rows: Vec<Result<Row<'_>, Failure>> = Vec::new();
        for (row, served) in served_rows(step)?.into_iter().enumerate() {
            let draft = &tokens[row * drafted.len..][..drafted.len];
            rows.push(served.and_then(|served| {
                let state = self.states[served.index].clone();
                Ok(Row { draft: draft_of_row(draft, step)?, ..Row::new(row, served, state) })
            }));
        }
        let of_draft = drafted.logits.as_ref().map(Logits::on_host).transpose()?;
        let batch = Batch {
            masks: Masks::of(step)?,
            target: step.logits.on_host()?,
            draft: of_draft,
            len: drafted.len,
            any_spelling: drafted.accept_spelling == AcceptSpelling::Yes,
        };
        for position in 0..=drafted.len {
            batch.decide(position, &mut rows)?;
        }
        let finish = |row: Result<Row<'_>, Failure>| {
            let Row { served, state, accepted, emitted, .. } = row?;
            self.states[served.index] = state;
            Ok(Verified::new(accepted, emitted))
        };
        Ok(rows.into_iter().map(finish).collect())
    }
}

/// The tokens of a row's draft, which ends before the first that is none.
fn draft_of_row<'a>(tokens: &'a [u32], step: &Step<'_>) -> Result<&'a [u32], Failure> {
    let len = tokens.iter().position(|&token| token == NO_TOKEN).unwrap_or(tokens.len());
    let draft = &tokens[..len];
    match draft.iter().position(|&token| token as usize >= step.logits.width()) {
        Some(position) => Err(Failure::DraftToken { position, token: draft[position] }),
        None => Ok(draft),
    }
}

/// A row, and how far it has come.
struct Row<'a> {
    row: usize,
    served: Served<'a>,
    /// What the request remembers after the tokens that were emitted.
    state: RowState,
    draft: &'a [u32],
    emitted: Vec<u32>,
    accepted: usize,
    is_done: bool,
}

impl<'a> Row<'a> {
    /// Without a draft.
    fn new(row: usize, served: Served<'a>, state: RowState) -> Self {
        Self { row, served, state, draft: &[], emitted: Vec::new(), accepted: 0, is_done: false }
    }

    fn emit(&mut self, token: u32, is_drafted: bool) {
        self.state.advance(token);
        self.emitted.push(token);
        self.accepted += usize::from(is_drafted);
        self.is_done = !is_drafted;
    }
}

/// What all rows of a batch have in common, on the host.
struct Batch {
    masks: Masks,
    /// `[B · (K + 1), V]`
    target: Logits,
    /// `[B · K, V]`
    draft: Option<Logits>,
    /// `K`
    len: usize,
    any_spelling: bool,
}

impl Batch {
    /// Decides a position of every row that has come to it.
    fn decide(
        &self,
        position: usize,
        rows: &mut [Result<Row<'_>, Failure>],
    ) -> Result<(), SampleError> {
        let (mut proposals, mut requests) = (Vec::new(), Vec::new());
        let (mut proposing, mut sampling) = (Vec::new(), Vec::new());
        let mut drafts = self.left_of_drafts(position, rows)?;
        for (i, row) in rows.iter().enumerate() {
            let Ok(row) = row else { continue };
            if row.is_done {
                continue;
            }
            let request = self.request(row, position, self.len + 1);
            let Some(&token) = row.draft.get(position) else {
                requests.push(request);
                sampling.push(i);
                continue;
            };
            let accept = accepts_by(&row.served.slot.params, &row.state);
            let draft = std::mem::take(&mut drafts[i]);
            let any_spelling = self.any_spelling;
            proposals.push(Proposal { request, token, draft, accept, any_spelling });
            proposing.push(i);
        }
        let verdicts = verify_rows(&proposals, &self.target)?;
        let sampled = sample_rows(&requests, &self.target)?;
        drop((proposals, requests));
        let verdicts = verdicts.into_iter().map(|verdict| {
            verdict.map(|verdict| match verdict {
                Verdict::Drafted(token) => (token, true),
                Verdict::Own(token) => (token, false),
            })
        });
        let sampled =
            sampled.into_iter().map(|drawn| drawn.map(|Drawn { token, .. }| (token, false)));
        for (i, emitted) in
            proposing.into_iter().zip(verdicts).chain(sampling.into_iter().zip(sampled))
        {
            match emitted {
                Ok((token, is_drafted)) => {
                    if let Ok(row) = &mut rows[i] {
                        row.emit(token, is_drafted);
                    }
                }
                Err(why) => rows[i] = Err(Failure::Undrawn(why)),
            }
        }
        Ok(())
    }

    /// The distributions from which the tokens of a position were drawn, by row; empty for those that
    /// were not drawn. A row fails whose draft has unfit logits.
    fn left_of_drafts(
        &self,
        position: usize,
        rows: &mut [Result<Row<'_>, Failure>],
    ) -> Result<Vec<Left>, SampleError> {
        let mut of_rows = vec![Left::new(); rows.len()];
        let Some(logits) = &self.draft else { return Ok(of_rows) };
        let is_drawn = |row: &Row<'_>| {
            !row.is_done && position < row.draft.len() && row.served.slot.params.temperature > 0.0
        };
        let ok = rows.iter().enumerate().filter_map(|(i, row)| Some((i, row.as_ref().ok()?)));
        let (drawn, requests): (Vec<_>, Vec<_>) = ok
            .filter(|(_, row)| is_drawn(row))
            .map(|(i, row)| (i, self.request(row, position, self.len)))
            .unzip();
        let left = left_of_rows(&requests, logits)?;
        drop(requests);
        for (i, left) in drawn.into_iter().zip(left) {
            match left {
                Ok(left) => of_rows[i] = left,
                // What is allowed the draft holds impossible, so that its token was not drawn from it.
                Err(Undrawn::NothingAllowed) => {}
                Err(Undrawn::Bad(reason)) => {
                    rows[i] = Err(Failure::DraftLogits { position, reason });
                }
            }
        }
        Ok(of_rows)
    }

    /// What a row asks of its logits at a position, of which the tensor has so many for each row.
    fn request<'a>(&'a self, row: &'a Row<'_>, position: usize, positions: usize) -> Request<'a> {
        let mask = self.masks.of_row(row.row * (self.len + 1) + position);
        let request = row.served.request(row.row * positions + position, &row.state, mask);
        Request { log_probs: None, ..request }
    }
}
