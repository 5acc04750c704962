//! One form for both ways of asking: candle's modes and [`SamplingParams`].

use super::{
    Distribution, Emission, LogProbs, Penalties, RowState, Sampling, SamplingParams, TokenMask,
};
use crate::reduce::cpu::sample::{Adjust, AskedLogProbs, Concepts, Filter, Request, TopP};
use crate::reduce::cpu::{NO_ROW, accept_uniform, uniform};

/// What is done with a row.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings<'a> {
    /// 0 for the likeliest concept.
    pub(super) temperature: f64,
    pub(super) filter: Filter,
    penalties: Penalties,
    bias: &'a [(u32, f32)],
    /// Whether a map applies.
    pub(super) pooling: bool,
    pub(super) emission: Emission,
    pub(super) log_probs: Option<LogProbs>,
    /// Whether they are of one of candle's modes.
    pub(super) is_candles: bool,
}

impl<'a> Settings<'a> {
    /// Those of a sampler's way to choose; `emission` is that of candle's modes.
    pub(super) fn of_sampling(sampling: &'a Sampling, emission: Emission) -> Self {
        let of = |temperature, k, p: Option<f64>| {
            // As candle has it, 0 and 1 leave all.
            let p = p.filter(|&p| p > 0.0 && p < 1.0).map(|p| TopP { p, of_all: true });
            (temperature, Filter { k, p, min_p: 0.0 })
        };
        let (temperature, filter) = match *sampling {
            Sampling::ArgMax => of(0.0, None, None),
            Sampling::GumbelSoftmax { temperature } | Sampling::All { temperature } => {
                of(temperature, None, None)
            }
            Sampling::TopK { k, temperature } => of(temperature, Some(k), None),
            Sampling::TopP { p, temperature } => of(temperature, None, Some(p)),
            Sampling::TopKThenTopP { k, p, temperature } => of(temperature, Some(k), Some(p)),
            Sampling::Params(ref params) => return Self::of_params(params),
        };
        let (penalties, bias, pooling, log_probs) = (Penalties::NONE, &[][..], true, None);
        let is_candles = true;
        Self { temperature, filter, penalties, bias, pooling, emission, log_probs, is_candles }
    }

    pub(super) fn of_params(params: &'a SamplingParams) -> Self {
        let SamplingParams { temperature, top_k, top_p, min_p, penalties, .. } = *params;
        let SamplingParams { pooling, emission, log_probs, .. } = *params;
        let p = (top_p < 1.0).then_some(TopP { p: top_p, of_all: top_k.is_none() });
        let filter = Filter { k: top_k, p, min_p };
        let (bias, is_candles) = (&params.bias[..], false);
        Self { temperature, filter, penalties, bias, pooling, emission, log_probs, is_candles }
    }

    /// The changes to the logits of a row that has seen these tokens, and has this mask.
    pub(super) fn adjust(&self, seen: &'a [(u32, u32)], mask: Option<&'a [u32]>) -> Adjust<'a> {
        let Penalties { repetition, presence, frequency } = self.penalties;
        Adjust { repetition, presence, frequency, seen, bias: self.bias, mask }
    }

    /// Whether a random number decides.
    pub(super) fn draws(&self) -> bool {
        self.temperature > 0.0 || self.by_share()
    }

    /// Whether a concept's token is chosen by its share.
    pub(super) fn by_share(&self) -> bool {
        self.emission == Emission::ByShare
    }

    pub(super) fn asked_log_probs(&self) -> Option<AskedLogProbs> {
        let raw = |of| matches!(of, Distribution::Raw);
        self.log_probs.map(|LogProbs { n, of }| AskedLogProbs { n, raw: raw(of) })
    }
}

/// What is asked of row `row` of some logits for a request that has these parameters and this past.
pub(super) fn request<'a>(
    row: usize,
    params: &'a SamplingParams,
    concepts: Concepts<'a>,
    state: &'a RowState,
    mask: Option<&'a [u32]>,
) -> Request<'a> {
    let settings = Settings::of_params(params);
    Request {
        row,
        concepts,
        adjust: settings.adjust(state.seen(), mask),
        temperature: settings.temperature,
        filter: settings.filter,
        by_share: settings.by_share(),
        uniform: uniform(params.seed, state.step(), NO_ROW),
        log_probs: settings.asked_log_probs(),
    }
}

/// The uniform number by which a request accepts a drafted token at its present step.
pub(super) fn accepts_by(params: &SamplingParams, state: &RowState) -> f64 {
    accept_uniform(params.seed, state.step(), NO_ROW)
}

/// The words of a mask for a row.
pub(super) fn words<'a>(mask: Option<&TokenMask<'a>>, row: usize) -> Option<&'a [u32]> {
    mask.and_then(|mask| mask.of_row(row))
}
