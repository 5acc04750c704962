//! What is measured.

use crate::samplers::{Filter, Way};

/// What answers a question about logits, or the floor under all of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rival {
    /// [`DeviceMap::decide`](concept_mass::DeviceMap::decide).
    Decide,
    /// The same, replayed from a CUDA graph.
    Replay,
    /// [`DeviceMap::reduce`](concept_mass::DeviceMap::reduce).
    Reduce,
    /// [`DeviceMap::masses`](concept_mass::DeviceMap::masses).
    Masses,
    /// [`DeviceMap::pool`](concept_mass::DeviceMap::pool).
    Pool,
    /// [`DeviceTokenSets::measure`](concept_mass::reduce::DeviceTokenSets::measure), of the pooled
    /// concepts.
    Measure,
    /// [`DeviceMap::sample`](concept_mass::DeviceMap::sample) at temperature 1.
    Sample,
    /// The same at temperature .7.
    SampleCold,
    /// Reads all logits, and does nothing with them.
    Floor,
    /// Plain argmax over tokens, by a kernel that does nothing else.
    Argmax,
    /// candle: softmax → index_add into concepts → argmax.
    CandleChain,
    /// The copy to the host, and the reduction there. Measured by the host's clock.
    Host,
    /// Another way to sample plain tokens on the device: see [`samplers`](crate::samplers).
    Sampler(Way, Filter),
    /// What candle's processor does before the host looks for a token: each row's probabilities, on
    /// the host. Measured by the host's clock.
    CandleProbs,
}

impl Rival {
    /// Those that know meanings, and what they are measured against.
    pub const ALL: [Rival; 12] = [
        Rival::Decide,
        Rival::Replay,
        Rival::Reduce,
        Rival::Masses,
        Rival::Pool,
        Rival::Measure,
        Rival::Sample,
        Rival::SampleCold,
        Rival::Floor,
        Rival::Argmax,
        Rival::CandleChain,
        Rival::Host,
    ];

    /// Those that sample plain tokens with top_k or top_p, whatever the map is.
    pub const SAMPLERS: [Rival; 7] = [
        Rival::Sampler(Way::FlashInfer, Filter::TopKTopP),
        Rival::Sampler(Way::FlashInferSplit, Filter::TopKTopP),
        Rival::Sampler(Way::AttentionRs, Filter::TopKTopP),
        Rival::Sampler(Way::FlashInfer, Filter::TopP),
        Rival::Sampler(Way::FlashInferSplit, Filter::TopP),
        Rival::Sampler(Way::AttentionRs, Filter::TopP),
        Rival::CandleProbs,
    ];

    /// Whether the host waits for the device in each call, and its clock measures.
    pub fn is_of_the_host(self) -> bool {
        matches!(self, Rival::Host | Rival::CandleProbs)
    }

    pub fn name(self) -> String {
        let name = match self {
            Rival::Decide => "decide",
            Rival::Replay => "decide, replayed",
            Rival::Reduce => "reduce",
            Rival::Masses => "masses",
            Rival::Pool => "pool",
            Rival::Measure => "measure",
            Rival::Sample => "sample",
            Rival::SampleCold => "sample at .7",
            Rival::Floor => "floor",
            Rival::Argmax => "argmax",
            Rival::CandleChain => "candle chain",
            Rival::Host => "copy + CPU",
            Rival::Sampler(way, filter) => return format!("{}, {}", way.name(), filter.name()),
            Rival::CandleProbs => "candle's probabilities",
        };
        name.to_owned()
    }
}
