//! Count meanings, not tokens.
//!
//! Ask a language model for the cathedral on Red Square, and it may give 24 % to `Saint`, 13 % to
//! `St` and 12 % to `C`(athedral), which all begin the right answer, and still say `Moscow`, because
//! that one wrong token has 31 %. This crate adds up the probability of each *concept*, a set of
//! tokens that begin one meaning, and decides for the largest, directly on the logits.
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
//! // The vote in full:
//! let row = map.reduce(&logits)?.rows()?[0]?;
//! assert_eq!(row.greedy, moscow);
//! assert_eq!(map.map().name(row.winner), Some("Saint Basil's Cathedral"));
//! assert!((row.mass - 0.49).abs() < 1e-6);
//!
//! // What a decode loop needs, as a tensor on the device of the logits:
//! assert_eq!(map.decide(&logits)?.tokens()?.to_vec1::<u32>()?, [saint]);
//!
//! // Or a sampler with the interface of candle's LogitsProcessor:
//! let mut sampler = ConceptSampler::from_sampling(42, Sampling::ArgMax, map)?;
//! assert_eq!(sampler.sample(&logits)?, saint);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Overview
//!
//! ```text
//! aliases, spelling,
//! embedding, judge ──▶ ConceptMap ──to_device──▶ DeviceMap ┐
//!                                                          ├─ reduce ─▶ Row
//! logits [V] or [B, V] ────────────────────────────────────┤
//!                                                          ├─ sample ─▶ token
//! parameters, seed ────────────────────────────────────────┘
//! ```
//!
//! - [`source`] makes maps: [`Aliases`](source::Aliases) from a list of the possible answers and
//!   how each is spelt, [`Spelling`](source::Spelling) from all tokens that spell the same word,
//!   [`Judge`](source::Judge) from a function of your own, and [`Embedding`](source::Embedding) from
//!   the model's own matrix. All but the last need the feature `tokenizers`, which is on by default.
//! - [`map`] has the [`ConceptMap`], a partition of the vocabulary into concepts, which can be laid
//!   [over](ConceptMap::over) another map and saved as JSON, and [`TokenSets`], whose mass is
//!   measured whether they win or not.
//! - [`mod@reduce`] puts a map on a device ([`DeviceMap`]), or many of which each row of a batch has
//!   its own ([`MapSet`]), and has its operations, which give a
//!   [`Row`] of numbers for each row of logits.
//! - [`mod@sample`] has the samplers. A [`ConceptSampler`] is candle's `LogitsProcessor` over concepts;
//!   [`sample_batch`](sample::sample_batch) is for a batch of requests, each with its own
//!   [`SamplingParams`](sample::SamplingParams), map and seed; a
//!   [`BatchSampler`](sample::BatchSampler) also keeps these for an inference engine, in slots, and
//!   verifies drafts. Under a map that pools nothing, they are samplers over tokens.
//! - [`phrase`] decides between whole answers when a first token cannot.
//! - [`mod@reference`] computes the same results in `f64` by their definitions, to test against.
//!
//! # CUDA
//!
//! With the feature `cuda`, a map on a CUDA device reduces the tensors of that device in place. No
//! operation of a [`DeviceMap`] waits for the device, or copies logits or results to the host:
//! results are tensors on the device, and the rows of a [`Reduction`](reduce::Reduction) are copied
//! when you ask for them. (`ConceptSampler` and `sample_batch` give tokens to the host; a
//! `BatchSampler` leaves them on the device.)
//!
//! All of them can be captured into a CUDA graph, without a call before to warm up, and so can the step
//! of a `BatchSampler`.
//! [`reduce::threads`] says how, and what threads and streams have to heed.
//!
//! # Guarantees
//!
//! Logits are `f32`, `f16` or `bf16`; sums are accumulated in `f32` or `f64`. Against the oracle in
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
//! - **Ties** go to the lowest concept, and within it to the lowest token. Equal logits always tie;
//!   masses tie if `f32` cannot tell them apart, or, where concepts are weighed for a draw, their
//!   logarithms.
//! - **Determinism:** on one processor or GPU, the same row gives the same bits on every run,
//!   whatever its place in the batch, the layout of the tensor and the number of threads. Only
//!   [`DeviceMap::sample`] gives each place in the batch random numbers of its own, on purpose.
//! - **Seeds:** a draw takes one random number. What
//!   [`sample_batch`](sample::sample_batch) draws for a row follows from the row's logits, map,
//!   parameters, seed, step and counts alone, and a row whose [`RowState`](sample::RowState) is
//!   restored goes on as it would have. Another processor or device draws the same token unless the
//!   number falls within rounding of a boundary between two concepts. What a seed draws may change
//!   between versions that differ in the first number that is not 0, and the changelog then says so;
//!   not otherwise. docs/SAMPLING.md has the order in which probabilities are summed up.
//! - **Bad rows:** `-inf` is probability 0. A NaN, a `+inf` or a row of nothing but `-inf` makes that
//!   row a [`BadRow`] and does not affect any other row.
//! - **Errors:** wrong shapes, dtypes, devices, ids and sizes are typed [errors](enum@Error) that
//!   name the offending value. Nothing panics, and no number that you pass sets the size of an
//!   allocation before it is checked.

mod error;
mod ln;
pub mod map;
pub mod phrase;
pub mod reduce;
pub mod sample;
pub mod source;

pub use candle_core;

pub use error::{Error, Result};
pub use map::{ConceptMap, TokenSets};
pub use reduce::{BadRow, Decision, DeviceMap, MapId, MapSet, Noise, Row, reference};
pub use sample::{ConceptSampler, Sampling};

/// Compiles and runs the snippets of the README.
#[cfg(all(doctest, feature = "tokenizers"))]
#[doc = include_str!("../README.md")]
struct ReadmeSnippets;
