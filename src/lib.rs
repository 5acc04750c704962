//! Count meanings, not tokens.
//!
//! A language model asked for the cathedral on Red Square may give 24 % to `Saint`, 13 % to `St`
//! and 12 % to `C`(athedral), half of its belief to the right answer, and still say `Moscow`,
//! because one wrong token has 31 %. This crate adds up the probability of each *meaning*, a
//! *concept*: a set of tokens that begin it; and takes the largest, directly on the logits.
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use concept_mass::{ConceptMap, ConceptSampler, Sampling};
//!
//! let (saint, st, c, moscow) = (0, 1, 2, 3);
//! let logits = Tensor::new(&[0.24f32, 0.13, 0.12, 0.31, 0.20], &Device::Cpu)?.log()?;
//!
//! let map = ConceptMap::builder(5)
//!     .concept("Saint Basil's Cathedral", [saint, st, c])?
//!     .build()?
//!     .to_device(logits.device())?;
//!
//! // All that there is to know about the vote:
//! let row = map.reduce(&logits)?.rows()?[0];
//! assert_eq!(row.greedy, moscow);
//! assert_eq!(map.map().name(row.winner), Some("Saint Basil's Cathedral"));
//! assert!((row.mass - 0.49).abs() < 1e-6);
//!
//! // Or in the place of candle's LogitsProcessor, in any generation loop:
//! let mut sampler = ConceptSampler::from_sampling(42, Sampling::ArgMax, map);
//! assert_eq!(sampler.sample(&logits)?, saint);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The way of the data
//!
//! ```text
//! aliases, spelling,
//! embedding, judge ──▶ ConceptMap ──to_device──▶ DeviceMap ┐
//!                                                          ├─ reduce ─▶ Row ─▶ ConceptSampler ─▶ token
//! logits [V] or [B, V] ────────────────────────────────────┘
//! ```
//!
//! - **Sources**, with the feature `tokenizers`: [`Aliases`], what may be answered and how it is
//!   spelt; [`Spelling`], one word however written; [`Judge`], whatever you do; each over a
//!   [`Vocabulary`]. And without it: [`Embedding`], the model's own matrix.
//! - **[`ConceptMap`]**: which tokens begin which meaning; a partition of the vocabulary, from a
//!   source, from named sets or dense ids; one laid [over](ConceptMap::over) another; saved as
//!   JSON. [`ProbeSet`]: sets to measure, which may overlap.
//! - **[`DeviceMap`]**: a map beside the logits, with the operations:
//!   [`reduce`](DeviceMap::reduce), [`decide`](DeviceMap::decide), [`draw`](DeviceMap::draw),
//!   [`masses`](DeviceMap::masses), [`pool`](DeviceMap::pool); and [`DeviceProbes::probe`].
//! - **[`Row`]**: what a reduction tells of a row: winner, runner-up, tokens, masses, entropies.
//! - **[`ConceptSampler`]**: candle's `LogitsProcessor`, counting meanings; those of the map, and
//!   with [`TopKPooling`] those of each step's likeliest tokens.
//! - **Phrases**, where a first token cannot decide: a [`PhraseTrie`] of whole answers, on which a
//!   model [votes](DevicePhrases::vote) by the chain rule; and [`OpenVocabulary`], which rolls the
//!   likeliest answers out where nobody has listed them. A model is a [`NextLogits`].
//! - **[`mod@reference`]**: the same by definition, in `f64`, to test against.
//!
//! # On a CUDA device
//!
//! With the feature `cuda`, a map put on a CUDA device reduces the tensors of that device where
//! they are. No operation waits for the device, or copies anything from or to the host; what comes
//! back is a tensor on the device, and a [`Reduction`] is copied when its rows are asked for. An
//! operation that a thread has done once can be recorded in a CUDA graph by it. The results lie in
//! memory of the graph, so instantiate it with `CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH`.
//! Like all of candle's work on a device, a graph must be replayed in order with what else its
//! thread does there.
//!
//! # What is promised
//!
//! Logits are `f32`, `f16` or `bf16`; sums are formed in `f32` and `f64`. Against the oracle in
//! [`mod@reference`], on the same rounded logits:
//!
//! | result | tolerance |
//! | --- | --- |
//! | masses and probabilities | 1e-5 absolute + 1e-4 relative |
//! | log Z | 1e-4, and the spacing of `f32` |
//! | entropies | 1e-3 nats |
//! | winner and runner-up | equal, unless the oracle's margin is under 1e-6 |
//! | greedy token; representative of the winner | equal |
//!
//! Ties go to the lowest id. The same row gives the same bits on every run on one processor or
//! GPU, whatever its place in the batch, the layout of the tensor and the number of threads; but a
//! draw has noise of its own at every place in the batch, on purpose. `-inf` is probability 0. A
//! NaN, a `+inf` or a row of nothing but `-inf` is told in that row's [`Status`], and no other row
//! is touched by it. Whatever is wrong with shapes, dtypes, devices or maps is a typed
//! [`enum@Error`] that names the offender.

mod concept;
mod decode;
mod error;
mod reduce;

#[cfg(feature = "tokenizers")]
pub use concept::{
    Aliases, Beginning, FirstTokens, Form, Judge, JudgeError, Piece, SharedToken, Spelling,
    Vocabulary,
};
pub use concept::{
    Builder, ConceptMap, Embedding, MAX_VOCAB_SIZE, MapStats, OnConflict, Phrase, PhraseTrie,
    PhraseTrieBuilder, ProbeSet, ProbeSetBuilder,
};
#[cfg(feature = "candle-transformers")]
pub use decode::CachedLlama;
pub use decode::{
    CachedForward, CachedModel, ConceptSampler, Continuation, DevicePhrases, Intervention,
    LongForm, NextLogits, OpenStep, OpenVocabulary, OpenVote, PhraseCost, PhraseVote, Rollouts,
    Sampling, SharedPrompt, TopKPooling,
};
pub use error::{Error, FileProblem, Result};
pub use reduce::{DeviceMap, DeviceProbes, Noise, Probed, Reduction, Row, Status, reference};
#[cfg(feature = "tokenizers")]
pub use tokenizers;
