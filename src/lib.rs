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
//! let mut sampler = ConceptSampler::from_sampling(42, Sampling::ArgMax, map)?;
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
//! - [`source`]: where maps come from. [`Aliases`](source::Aliases), the answers that are possible
//!   and how each is spelt; [`Spelling`](source::Spelling), one word however it is written;
//!   [`Judge`](source::Judge), a function of your own; [`Embedding`](source::Embedding), the
//!   model's own matrix. All but the last need the feature `tokenizers`.
//! - [`map`]: the [`ConceptMap`], a partition of the vocabulary into concepts, which can be laid
//!   [over](ConceptMap::over) another and saved as JSON; and [`TokenSets`], whose mass is measured
//!   whether they win or not.
//! - [`mod@reduce`]: a map on a device ([`DeviceMap`]) and its operations, with a [`Row`] of numbers for
//!   each row of logits.
//! - [`mod@sample`]: the [`ConceptSampler`], candle's `LogitsProcessor` counting meanings.
//! - [`phrase`]: whole answers, where a first token cannot decide.
//! - [`mod@reference`]: the same operations by definition, in `f64`, to test against.
//!
//! # On a CUDA device
//!
//! With the feature `cuda`, a map put on a CUDA device reduces the tensors of that device where
//! they are. No operation waits for the device, or copies anything from or to the host; what comes
//! back is a tensor on the device, and a [`Reduction`](reduce::Reduction) is copied when its rows are asked for. An
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
//! NaN, a `+inf` or a row of nothing but `-inf` is told in that row's [`Status`](reduce::Status), and no other row
//! is touched by it. Whatever is wrong with shapes, dtypes, devices or maps is a typed
//! [`enum@Error`] that names the offender.

mod error;
pub mod map;
pub mod phrase;
pub mod reduce;
pub mod sample;
pub mod source;

pub use candle_core;

pub use error::{Error, Result};
pub use map::{ConceptMap, TokenSets};
pub use reduce::{DeviceMap, Noise, Row, reference};
pub use sample::{ConceptSampler, Sampling};
