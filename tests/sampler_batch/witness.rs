//! A row that is sampled from, and what the chain says of it.

use candle_core::Tensor;
use concept_mass::DeviceMap;
use concept_mass::reduce::ReduceError;
use concept_mass::sample::{SampleError, Sampled, TokenMask, sample_batch, sample_batch_masked};
use rand::{Rng, rngs::StdRng};

use crate::common::chain::{Chain, Nothing, Request};
use crate::common::in_f64;
use crate::common::philox::Steps;

/// A draw that was right.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Whether its uniform was within rounding of a boundary, so that another would be right, too.
    pub is_open: bool,
    /// Whether its uniform was chosen for being near a boundary.
    pub is_near: bool,
}

/// Samples some tokens of one row of logits, which `rows` gives as often as it is asked for, and
/// checks each of them; or says what is wrong.
///
/// The request's seed must be that of `steps`.
pub fn check(
    map: &DeviceMap,
    rows: impl Fn(usize) -> Tensor,
    request: &Request,
    steps: &Steps,
    rng: &mut StdRng,
) -> Result<Vec<Check>, String> {
    let draws = Draws::new(map, &rows, request, steps, rng);
    let Draws { steps, .. } = &draws;
    let mut samplers: Vec<_> = steps.iter().map(|&(step, _)| request.row(map, step)).collect();
    let logits = rows(steps.len());
    let sampled = match &request.mask {
        Some(words) => {
            let of_rows = vec![Some(0); steps.len()];
            let mask = TokenMask::new(words, words.len()).unwrap().of_rows(&of_rows);
            sample_batch_masked(&logits, &mut samplers, mask)
        }
        None => sample_batch(&logits, &mut samplers),
    };
    let sampled = sampled.map_err(|error| error.to_string())?;
    for (i, (sampler, sampled)) in samplers.iter().zip(&sampled).enumerate() {
        let (state, step) = (sampler.state(), steps[i].0 + u64::from(sampled.is_ok()));
        let counted: u32 = state.seen().iter().map(|&(_, n)| n).sum();
        let want = request.seen.values().sum::<u32>() + u32::from(sampled.is_ok());
        if (state.step(), counted) != (step, want) {
            return Err(format!("{sampled:?} leaves {state:?}, which should be at {step}"));
        }
    }
    draws.judge(sampled)
}

/// Some draws from one row of logits, and what the chain says of them.
pub struct Draws {
    exact: Vec<f64>,
    chain: Result<Chain, Nothing>,
    /// The step of each, and its uniform.
    pub steps: Vec<(u64, f64)>,
}

impl Draws {
    /// `rows` gives the row as often as it is asked for.
    pub fn new(
        map: &DeviceMap,
        rows: &impl Fn(usize) -> Tensor,
        request: &Request,
        steps: &Steps,
        rng: &mut StdRng,
    ) -> Self {
        let exact = in_f64(&rows(1)).remove(0);
        let chain = Chain::of(map.map(), &exact, request);
        let uniforms = uniforms(chain.as_ref().ok(), rng);
        let steps = uniforms.into_iter().map(|uniform| steps.near(uniform)).collect();
        Self { exact, chain, steps }
    }

    /// Whether each is right, or what is wrong.
    pub fn judge(self, sampled: Vec<Result<Sampled, SampleError>>) -> Result<Vec<Check>, String> {
        let Self { exact, chain, steps } = self;
        let chain = match chain {
            Ok(chain) => chain,
            Err(nothing) => {
                let unlike = (0..).zip(&sampled).find(|(i, sampled)| !says(nothing, sampled, *i));
                return unlike
                    .map_or(Ok(vec![]), |unlike| Err(format!("{unlike:?}, not {nothing:?}")));
            }
        };
        let stretches = chain.stretches();
        let each = steps.iter().zip(sampled).enumerate().map(|(i, (&(step, uniform), sampled))| {
            let sampled = sampled.map_err(|error| error.to_string())?;
            let may = chain.drawn(&stretches, uniform);
            if !may.iter().any(|drawn| is_it(&sampled, (drawn.concept, drawn.token))) {
                let some = &may[..may.len().min(5)];
                return Err(format!("{sampled:?} at {uniform} (step {step}), not {some:?}"));
            }
            match chain.wrong_log_probs(&exact, &sampled) {
                Some(wrong) => Err(format!("{wrong}: {sampled:?}")),
                None => Ok(Check { is_open: may.len() > 1, is_near: i >= ANYWHERE }),
            }
        });
        each.collect()
    }
}

fn is_it(sampled: &Sampled, drawn: (u32, u32)) -> bool {
    (sampled.concept, sampled.token) == drawn
}

fn says(nothing: Nothing, sampled: &Result<Sampled, SampleError>, row: usize) -> bool {
    match (nothing, sampled) {
        (Nothing::BadRow, Err(SampleError::Reduce(ReduceError::BadRow(bad)))) => bad.row == row,
        (Nothing::Allowed, Err(SampleError::NothingAllowed { row: at })) => *at == row,
        _ => false,
    }
}

/// So many uniforms are anywhere.
const ANYWHERE: usize = 3;

/// Some uniforms anywhere, and those that say most: the ends of the unit interval, and of some
/// stretches.
fn uniforms(chain: Option<&Chain>, rng: &mut StdRng) -> Vec<f64> {
    let mut uniforms: Vec<f64> = (0..ANYWHERE).map(|_| rng.random()).collect();
    uniforms.extend([0.0, 1.0]);
    if let Some(chain) = chain {
        let stretches = chain.stretches();
        let is_wide = |from: f64, to: f64| from + 1e-5 < to;
        let wide: Vec<_> = stretches.iter().filter(|s| is_wide(s.start.high, s.end.low)).collect();
        for _ in 0..2.min(wide.len()) {
            let stretch = wide[rng.random_range(0..wide.len())];
            uniforms.extend([stretch.start.high + 2e-6, stretch.end.low - 6e-6]);
        }
    }
    uniforms
}
