//! The ways to choose a token that are measured.

use candle_transformers::generation;
use concept_mass::Sampling;
use concept_mass::sample::{Penalties, SampleError, SamplingParams};

pub const TEMPERATURE: f64 = 0.8;
pub const K: usize = 40;
pub const P: f64 = 0.9;
pub const MIN_P: f64 = 0.05;
pub const PENALTIES: Penalties = Penalties { repetition: 1.1, presence: 0.1, frequency: 0.1 };

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// The likeliest token, and nothing else, of a map that pools nothing.
    Greedy,
    /// The decision: the likeliest concept, its representative, and their probabilities.
    Decision,
    All,
    TopK,
    TopP,
    TopKThenTopP,
    MinP,
    Gumbel,
    /// Top-k, top-p and min-p, after penalties on a thousand tokens and a mask.
    Everything,
}

pub const MODES: [Mode; 9] = [
    Mode::Greedy,
    Mode::Decision,
    Mode::All,
    Mode::TopK,
    Mode::TopP,
    Mode::TopKThenTopP,
    Mode::MinP,
    Mode::Gumbel,
    Mode::Everything,
];

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Greedy => "greedy",
            Mode::Decision => "decision",
            Mode::All => "all",
            Mode::TopK => "top-k",
            Mode::TopP => "top-p",
            Mode::TopKThenTopP => "top-k-top-p",
            Mode::MinP => "min-p",
            Mode::Gumbel => "gumbel",
            Mode::Everything => "everything",
        }
    }

    /// The modes that candle has, too.
    pub fn sampling(self) -> Option<Sampling> {
        let temperature = TEMPERATURE;
        Some(match self {
            Mode::Greedy => Sampling::ArgMax,
            Mode::All => Sampling::All { temperature },
            Mode::TopK => Sampling::TopK { k: K, temperature },
            Mode::TopP => Sampling::TopP { p: P, temperature },
            Mode::TopKThenTopP => Sampling::TopKThenTopP { k: K, p: P, temperature },
            Mode::Gumbel => Sampling::GumbelSoftmax { temperature },
            Mode::Decision | Mode::MinP | Mode::Everything => return None,
        })
    }

    /// candle's own word for it.
    pub fn candle(self) -> Option<generation::Sampling> {
        let temperature = TEMPERATURE;
        Some(match self {
            Mode::Greedy => generation::Sampling::ArgMax,
            Mode::All => generation::Sampling::All { temperature },
            Mode::TopK => generation::Sampling::TopK { k: K, temperature },
            Mode::TopP => generation::Sampling::TopP { p: P, temperature },
            Mode::TopKThenTopP => generation::Sampling::TopKThenTopP { k: K, p: P, temperature },
            Mode::Gumbel => generation::Sampling::GumbelSoftmax { temperature },
            Mode::Decision | Mode::MinP | Mode::Everything => return None,
        })
    }

    /// What candle's names have no word for.
    pub fn params(self) -> Result<Option<SamplingParams>, SampleError> {
        let params = SamplingParams::at(TEMPERATURE)?.with_min_p(MIN_P)?;
        Ok(match self {
            Mode::MinP => Some(params),
            Mode::Everything => {
                Some(params.with_top_k(K)?.with_top_p(P)?.with_penalties(PENALTIES)?)
            }
            _ => None,
        })
    }

    /// Which concepts are left to draw from.
    pub fn filter(self) -> Filter {
        match self {
            Mode::Greedy | Mode::Decision => Filter { k: Some(1), ..Filter::NONE },
            Mode::All | Mode::Gumbel => Filter::NONE,
            Mode::TopK => Filter { k: Some(K), ..Filter::NONE },
            Mode::TopP => Filter { p: Some(P), ..Filter::NONE },
            Mode::TopKThenTopP => Filter { k: Some(K), p: Some(P), ..Filter::NONE },
            Mode::MinP => Filter { min_p: Some(MIN_P), ..Filter::NONE },
            Mode::Everything => Filter { k: Some(K), p: Some(P), p_of_k: true, min_p: Some(MIN_P) },
        }
    }
}

/// Filters, in the order in which they apply.
#[derive(Clone, Copy, Debug)]
pub struct Filter {
    pub k: Option<usize>,
    pub p: Option<f64>,
    /// Whether `p` is a share of what `k` left, and not of all.
    pub p_of_k: bool,
    pub min_p: Option<f64>,
}

impl Filter {
    pub const NONE: Self = Self { k: None, p: None, p_of_k: false, min_p: None };
}
