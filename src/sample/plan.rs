use super::sampling::Sampling;

/// What a call does with every row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Plan {
    /// Emits the winner.
    Decide,
    /// Emits the winner after the step's pooling.
    DecideByStep,
    /// Draws on the device, with noise.
    Draw { temperature: f64 },
    /// Weighs the concepts on the host, and draws one of those that the filter leaves.
    Weigh { temperature: f64, filter: Filter },
}

/// Which concepts are left to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Filter {
    pub(super) k: Option<usize>,
    pub(super) p: Option<f64>,
}

impl Plan {
    /// The plan for a sampler that pools each step's likeliest concepts, or does not.
    pub(super) fn of(sampling: &Sampling, by_step: bool) -> Self {
        let weigh = |temperature, k, p| Self::Weigh { temperature, filter: Filter { k, p } };
        let decide = if by_step { Self::DecideByStep } else { Self::Decide };
        match *sampling {
            Sampling::ArgMax => decide,
            Sampling::GumbelSoftmax { temperature } if temperature <= 0.0 => decide,
            // The step's concepts are known on the host only.
            Sampling::GumbelSoftmax { temperature } if by_step => weigh(temperature, None, None),
            Sampling::GumbelSoftmax { temperature } => Self::Draw { temperature },
            Sampling::All { temperature } => weigh(temperature, None, None),
            Sampling::TopK { k, temperature } => weigh(temperature, Some(k), None),
            Sampling::TopP { p, temperature } => weigh(temperature, None, Some(p)),
            Sampling::TopKThenTopP { k, p, temperature } => weigh(temperature, Some(k), Some(p)),
        }
    }
}
