//! What is counted: the operations of the crate, and candle's chain.

use anyhow::{Context, Result};
use candle_core::cuda_backend::cudarc::driver::sys;
use candle_core::{Device, Tensor};
use concept_mass::{
    ConceptMap, DeviceMap, Noise, TokenSets,
    reduce::{Decisions, DeviceTokenSets, Reduction},
};

use crate::common::candle_chain;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Operation {
    Decide,
    Reduce,
    Masses,
    Pool,
    Measure,
    /// At temperature .7, which needs the mass of every concept.
    Sample,
    /// At temperature 1.
    SampleAt1,
    /// candle: softmax → index_add into the concepts → argmax.
    Chain,
}

use Operation::*;

pub const OURS: [Operation; 7] = [Decide, Reduce, Masses, Pool, Measure, Sample, SampleAt1];

/// A map on the device, and the same as a collection of sets and as a tensor.
pub struct Map {
    pub tables: DeviceMap,
    sets: DeviceTokenSets,
    concept_ids: Tensor,
}

/// What an operation left on the device.
pub enum Output {
    Decisions(Decisions),
    Rows(Reduction),
    Tensors(Vec<Tensor>),
}

impl Map {
    /// The sets are the pooled concepts.
    pub fn new(map: ConceptMap, device: &Device) -> Result<Self> {
        let mut sets = TokenSets::builder(map.vocab_size());
        for concept in 0..map.num_concepts() as u32 {
            if let Some(tokens @ [_, _, ..]) = map.tokens(concept) {
                sets = sets.set(concept.to_string(), tokens.iter().copied())?;
            }
        }
        Ok(Self {
            sets: sets.build()?.to_device(device)?,
            concept_ids: Tensor::new(map.concept_ids(), device)?,
            tables: map.to_device(device)?,
        })
    }

    pub fn run(&self, operation: Operation, logits: &Tensor, noise: &mut Noise) -> Result<Output> {
        let Self { tables, sets, .. } = self;
        Ok(Output::Tensors(match operation {
            Decide => return Ok(Output::Decisions(tables.decide(logits)?)),
            Reduce => return Ok(Output::Rows(tables.reduce(logits)?)),
            Masses => vec![tables.masses(logits)?],
            Pool => vec![tables.pool(logits)?],
            Measure => {
                let measured = sets.measure(logits)?;
                vec![measured.masses, measured.concentrations]
            }
            Sample => vec![tables.sample(logits, 0.7, noise)?],
            SampleAt1 => vec![tables.sample(logits, 1.0, noise)?],
            Chain => vec![candle_chain(logits, &self.concept_ids, tables.map().num_concepts())?],
        }))
    }

    /// The bytes of `concept_of`, `rank_of`, `starts`, `members` and `ids` in kernels/abi.rs.
    pub fn bytes(&self) -> f64 {
        let map = self.tables.map();
        let stats = map.stats();
        let words = 2 * map.vocab_size() + 2 * stats.pooled_concepts + 1 + stats.pooled_tokens;
        (words * size_of::<u32>()) as f64
    }
}

/// How many kernels, copies and memsets `operation` puts in the stream: recorded as a CUDA graph,
/// which runs nothing. It must have run before.
pub fn stream_operations<T>(device: &Device, operation: impl FnOnce() -> Result<T>) -> Result<f64> {
    let stream = device.as_cuda_device()?.cuda_stream();
    stream.begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED)?;
    // The result is dropped within, as its memory is the graph's.
    let done = operation().map(drop);
    let graph = stream.end_capture(
        sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH,
    )?;
    done?;
    let owner = graph.context("something should have been launched")?;
    let graph = owner.cu_graph();
    let mut count = 0;
    // SAFETY: the graph lives; without a list only the number of its nodes is given.
    unsafe { sys::cuGraphGetNodes(graph, std::ptr::null_mut(), &mut count) }.result()?;
    let mut nodes = vec![std::ptr::null_mut(); count];
    // SAFETY: the list has place for as many.
    unsafe { sys::cuGraphGetNodes(graph, nodes.as_mut_ptr(), &mut count) }.result()?;
    let mut operations = 0.0;
    for node in nodes {
        use sys::CUgraphNodeType::*;
        let mut kind = CU_GRAPH_NODE_TYPE_EMPTY;
        // SAFETY: it is a node of a graph that lives.
        unsafe { sys::cuGraphNodeGetType(node, &mut kind) }.result()?;
        let counts =
            [CU_GRAPH_NODE_TYPE_KERNEL, CU_GRAPH_NODE_TYPE_MEMCPY, CU_GRAPH_NODE_TYPE_MEMSET];
        operations += f64::from(u8::from(counts.contains(&kind)));
    }
    Ok(operations)
}
