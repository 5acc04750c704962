//! What is measured.

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
}

impl Rival {
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

    pub fn name(self) -> &'static str {
        match self {
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
        }
    }
}
