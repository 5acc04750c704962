//! The samplers of benches/kernels: how they are loaded and launched.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use candle_core::cuda_backend::cudarc::driver::{
    CudaFunction, CudaSlice, CudaStream, DevicePtr, LaunchConfig, PushKernelArg, sys,
};
use candle_core::cuda_backend::{CudaDevice, WrapErr};
use candle_core::{Storage, Tensor};
use half::bf16;

use super::{FILTERS, Filter, TEMPERATURE, Way};

const FLASHINFER: &str = include_str!(concat!(env!("OUT_DIR"), "/flashinfer.ptx"));
const SPLIT: &str = include_str!(concat!(env!("OUT_DIR"), "/flashinfer_split.ptx"));
const ATTENTION_RS: &str = include_str!(concat!(env!("OUT_DIR"), "/attention_rs.ptx"));

/// The logits of a load.
const PER_VECTOR: usize = 8;

/// Of flashinfer.cu: the threads of a block, and the logits of one of the softmax's.
const FLASHINFER_BLOCK: u32 = 1024;
const SLICE: usize = 8192;

/// Of flashinfer_split.cu: the threads of a block, its shared memory beside a part of the row, and
/// how many blocks a cluster may have.
const SPLIT_BLOCK: u32 = 256;
const SPLIT_SHARED: usize = 2048;
const CLUSTERS: [usize; 3] = [2, 4, 8];

/// Of attention_rs.cu: the threads of a block, its logits, and the lengths of the lists.
const ATTENTION_BLOCK: u32 = 256;
const ATTENTION_TILE: usize = 1024;
const LISTS: [usize; 4] = [32, 64, 128, MAX_K];
pub const MAX_K: usize = 256;

/// The samplers on a device, for logits in bf16.
pub struct Samplers {
    stream: Arc<CudaStream>,
    softmax_slices: CudaFunction,
    softmax_rows: CudaFunction,
    /// For each filter.
    reject: [CudaFunction; 2],
    /// For each size of a cluster and each filter, where FlashInfer has it.
    split: Option<[[CudaFunction; 2]; 3]>,
    multiprocessors: usize,
    /// The first stage and the second, for each length of lists.
    attention_rs: [[CudaFunction; 2]; 4],
}

impl Samplers {
    pub fn load(device: &CudaDevice) -> Result<Self> {
        let load = |module: &str, ptx: &str, name: &str| -> Result<CudaFunction> {
            Ok(device.get_or_load_custom_func(name, module, ptx)?.into_cuda_function())
        };
        let flashinfer = |name: &str| load("flashinfer", FLASHINFER, &format!("flashinfer_{name}"));
        let split = |blocks: usize| -> Result<[CudaFunction; 2]> {
            let of = |filter| {
                let name = format!("flashinfer_split_{}_{blocks}", suffix(filter));
                load("flashinfer_split", SPLIT, &name)
            };
            Ok([of(FILTERS[0])?, of(FILTERS[1])?])
        };
        let attention_rs = |k: usize| -> Result<[CudaFunction; 2]> {
            let stage = |stage: &str| {
                load("attention_rs", ATTENTION_RS, &format!("attention_rs_{stage}_{k}"))
            };
            Ok([stage("tiles")?, stage("rows")?])
        };
        let stream = device.cuda_stream();
        let attribute = |attribute| stream.context().attribute(attribute).w();
        use sys::CUdevice_attribute::*;
        // FlashInfer, too, has it for these alone.
        let has_split = attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)? == 9;
        Ok(Self {
            softmax_slices: flashinfer("softmax_slices")?,
            softmax_rows: flashinfer("softmax_rows")?,
            reject: [flashinfer(suffix(FILTERS[0]))?, flashinfer(suffix(FILTERS[1]))?],
            split: has_split.then(|| each(CLUSTERS, split)).transpose()?,
            multiprocessors: attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as usize,
            attention_rs: each(LISTS, attention_rs)?,
            stream,
        })
    }

    /// The ways that there are on this device.
    pub fn has(&self, way: Way) -> bool {
        way != Way::FlashInferSplit || self.split.is_some()
    }

    /// A token for each row, on the device. The same seed samples the same tokens.
    pub fn sample(
        &self,
        way: Way,
        logits: &Tensor,
        filter: Filter,
        seed: u64,
    ) -> Result<CudaSlice<u32>> {
        let (rows, width) = logits.dims2()?;
        let is_whole = logits.is_contiguous() && width.is_multiple_of(PER_VECTOR);
        ensure!(is_whole, "rows of whole vectors, one after the other");
        let (storage, layout) = logits.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else { panic!("the logits are on the device") };
        let first = storage.as_cuda_slice::<bf16>()?.device_ptr(&self.stream).0;
        let address = first + (layout.start_offset() * size_of::<bf16>()) as u64;
        let batch = Batch { address, rows, width, filter, seed };
        match way {
            Way::FlashInfer => self.reject(&batch),
            Way::FlashInferSplit => self.split(&batch),
            Way::AttentionRs => self.attention_rs(&batch),
        }
    }

    pub fn read(&self, tokens: &CudaSlice<u32>) -> Result<Vec<u32>> {
        let tokens = self.stream.clone_dtoh(tokens).w()?;
        self.stream.synchronize().w()?;
        Ok(tokens)
    }

    fn softmax(&self, batch: &Batch) -> Result<CudaSlice<f32>> {
        let Batch { address, rows, width, .. } = *batch;
        let slices = width.div_ceil(SLICE);
        let (row, inverse_temperature) = (width as u32, (1.0 / TEMPERATURE) as f32);
        // SAFETY: the first kernel writes all of these pairs, the second all of the probabilities.
        let mut parts = unsafe { self.stream.alloc::<f32>(2 * rows * slices) }.w()?;
        // SAFETY: see above.
        let mut probs = unsafe { self.stream.alloc::<f32>(rows * width) }.w()?;
        let mut launch = self.stream.launch_builder(&self.softmax_slices);
        launch.arg(&address).arg(&row).arg(&inverse_temperature).arg(&mut parts);
        // SAFETY: `rows` rows of `width` logits are at the address, in whole vectors, and there is a
        // pair for each block.
        unsafe { launch.launch(config((rows, slices), FLASHINFER_BLOCK, 0)) }.w()?;
        let mut launch = self.stream.launch_builder(&self.softmax_rows);
        launch.arg(&address).arg(&row).arg(&inverse_temperature).arg(&parts).arg(&mut probs);
        // SAFETY: as above, and there is a probability for each logit.
        unsafe { launch.launch(config((rows, 1), FLASHINFER_BLOCK, 0)) }.w()?;
        Ok(probs)
    }

    fn reject(&self, batch: &Batch) -> Result<CudaSlice<u32>> {
        let Batch { rows, width, filter, seed, .. } = *batch;
        let probs = self.softmax(batch)?;
        let mut tokens = self.tokens(rows)?;
        let (row, k, p) = (width as u32, batch.k(width), filter.p() as f32);
        let mut launch = self.stream.launch_builder(&self.reject[place(filter)]);
        launch.arg(&probs).arg(&row).arg(&k).arg(&p).arg(&seed).arg(&mut tokens);
        // SAFETY: there are `rows` rows of `width` probabilities, in whole vectors, and as many
        // tokens as blocks.
        unsafe { launch.launch(config((rows, 1), FLASHINFER_BLOCK, 0)) }.w()?;
        Ok(tokens)
    }

    fn split(&self, batch: &Batch) -> Result<CudaSlice<u32>> {
        let Batch { rows, width, filter, seed, .. } = *batch;
        let split = self.split.as_ref().context("clusters of blocks, as GPUs of 9.0 have them")?;
        let probs = self.softmax(batch)?;
        let mut tokens = self.tokens(rows)?;
        let size = self.cluster(rows, width);
        let blocks = CLUSTERS[size];
        // Whole loads.
        let part = width.div_ceil(blocks).next_multiple_of(4);
        let shared = SPLIT_SHARED + part * size_of::<f32>();
        let function = &split[size][place(filter)];
        use sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as SHARED;
        function.set_attribute(SHARED, shared as i32).w()?;
        let (row, part, k, p) = (width as u32, part as u32, batch.k(width), filter.p() as f32);
        let mut launch = self.stream.launch_builder(function);
        launch.arg(&probs).arg(&row).arg(&part).arg(&k).arg(&p).arg(&seed).arg(&mut tokens);
        // SAFETY: there are `rows` rows of `width` probabilities, in whole vectors, and as many
        // tokens as clusters; `blocks` parts make a row, and the shared memory holds one.
        unsafe { launch.launch(config((rows * blocks, 1), SPLIT_BLOCK, shared)) }.w()?;
        Ok(tokens)
    }

    /// Which of the clusters FlashInfer takes: the smallest whose parts are small enough for two
    /// blocks on a multiprocessor, and larger ones while half of the multiprocessors would idle.
    fn cluster(&self, rows: usize, width: usize) -> usize {
        const LARGEST: usize = 26_624;
        const SMALLEST: usize = 4_096;
        let last = CLUSTERS.len() - 1;
        let fits = CLUSTERS.iter().position(|blocks| width.div_ceil(*blocks) <= LARGEST);
        let mut size = fits.unwrap_or(last);
        while size < last
            && rows * CLUSTERS[size + 1] <= self.multiprocessors
            && width.div_ceil(CLUSTERS[size + 1]) >= SMALLEST
        {
            size += 1;
        }
        size
    }

    fn attention_rs(&self, batch: &Batch) -> Result<CudaSlice<u32>> {
        let Batch { address, rows, width, filter, seed } = *batch;
        let k = batch.k(MAX_K.min(width));
        let list = LISTS.iter().position(|&list| list >= k as usize).context("k is 256 at most")?;
        let [first, second] = &self.attention_rs[list];
        let tiles = width.div_ceil(ATTENTION_TILE);
        let count = rows * tiles * LISTS[list];
        // SAFETY: the first kernel writes all of both before the second reads them.
        let mut best = unsafe { self.stream.alloc::<f32>(count) }.w()?;
        // SAFETY: see above.
        let mut of_best = unsafe { self.stream.alloc::<u32>(count) }.w()?;
        let mut tokens = self.tokens(rows)?;
        let (row, inverse_temperature) = (width as u32, (1.0 / TEMPERATURE) as f32);
        let mut launch = self.stream.launch_builder(first);
        launch.arg(&address).arg(&row).arg(&inverse_temperature);
        launch.arg(&mut best).arg(&mut of_best);
        // SAFETY: `rows` rows of `width` logits are at the address, and each block has its place for
        // a list.
        unsafe { launch.launch(config((rows, tiles), ATTENTION_BLOCK, 0)) }.w()?;
        let (tiles, p) = (tiles as u32, filter.p() as f32);
        let mut launch = self.stream.launch_builder(second);
        launch.arg(&best).arg(&of_best).arg(&tiles).arg(&k).arg(&p).arg(&seed).arg(&mut tokens);
        // SAFETY: each row has `tiles` lists, of k tokens or more, and each block its token.
        unsafe { launch.launch(config((rows, 1), ATTENTION_BLOCK, 0)) }.w()?;
        Ok(tokens)
    }

    fn tokens(&self, rows: usize) -> Result<CudaSlice<u32>> {
        // SAFETY: the kernel that they are for writes each, and nothing reads them before.
        Ok(unsafe { self.stream.alloc(rows) }.w()?)
    }
}

/// What is sampled.
struct Batch {
    /// Of the first logit.
    address: u64,
    rows: usize,
    width: usize,
    filter: Filter,
    seed: u64,
}

impl Batch {
    fn k(&self, without: usize) -> u32 {
        self.filter.k().unwrap_or(without) as u32
    }
}

/// What is loaded for each of these.
fn each<const N: usize>(
    of: [usize; N],
    load: impl Fn(usize) -> Result<[CudaFunction; 2]>,
) -> Result<[[CudaFunction; 2]; N]> {
    let loaded = of.into_iter().map(load).collect::<Result<Vec<_>>>()?;
    Ok(loaded.try_into().expect("as many as were asked for"))
}

fn place(filter: Filter) -> usize {
    FILTERS.iter().position(|&of| of == filter).expect("it is one of them")
}

fn suffix(filter: Filter) -> &'static str {
    match filter {
        Filter::TopKTopP => "top_k_top_p",
        Filter::TopP => "top_p",
    }
}

fn config(grid: (usize, usize), block: u32, shared: usize) -> LaunchConfig {
    LaunchConfig {
        grid_dim: (grid.0 as u32, grid.1 as u32, 1),
        block_dim: (block, 1, 1),
        shared_mem_bytes: shared as u32,
    }
}
