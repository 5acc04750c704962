//! What a step of a batch server takes, in decisions: filters, penalties, masks, and maps of the rows' own.

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use concept_mass::sample::{
    BatchSampler, Penalties, RowSampler, RowState, SamplingParams, TokenMask, sample_batch,
    sample_batch_masked,
};
use concept_mass::{ConceptMap, MapSet};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::common::Pooling;
use crate::report::{Counters, Report};
use crate::row::{Shape, typical_rows};
use crate::{BATCH, VOCAB_SIZE};

/// The largest probability of the rows that are like a model's.
const P_MAX: f64 = 0.39;

/// What the requests of a batch ask for.
#[derive(Clone)]
struct Asked {
    params: SamplingParams,
    seen: usize,
    is_masked: bool,
}

impl Asked {
    fn by(params: SamplingParams) -> Self {
        Self { params, seen: 0, is_masked: false }
    }

    /// Everything at once.
    fn all(seen: usize) -> Result<Self> {
        let penalties = Penalties { repetition: 1.1, presence: 0.2, frequency: 0.1 };
        let params = SamplingParams::at(1.0)?.with_top_k(40)?.with_top_p(0.9)?.with_min_p(0.01)?;
        Ok(Self { params: params.with_penalties(penalties)?, seen, is_masked: true })
    }
}

/// The argument that asks for this table alone.
pub const ALONE: &str = "steps";

/// What was counted for a step.
struct Step {
    name: String,
    counters: Counters,
}

/// Steps of a batch, and of one row.
pub struct Steps {
    /// A decision over the same batch, under the sparse map.
    decide: Counters,
    batches: Vec<Step>,
    decide_one: Counters,
    rows: Vec<Step>,
    /// Of a batch whose rows have maps of their own.
    each: Counters,
}

impl Steps {
    pub fn count(report: &Report, device: &Device) -> Result<Self> {
        let typical = typical_rows(BATCH, VOCAB_SIZE, P_MAX, DType::BF16)?.to_device(device)?;
        let sparse = vec![Pooling::Sparse.map(VOCAB_SIZE)];
        let dense = vec![Pooling::Dense.map(VOCAB_SIZE)];
        let top_p = |temperature| -> Result<Asked> {
            Ok(Asked::by(SamplingParams::at(temperature)?.with_top_p(0.9)?))
        };
        let of = |name: &str, asked: &Asked, maps: &[ConceptMap], logits: &Tensor| {
            let counters = count(report, asked, maps, logits)?;
            Ok::<_, anyhow::Error>(Step { name: name.to_owned(), counters })
        };
        let batches = vec![
            of("greedy, sparse", &Asked::by(SamplingParams::greedy()), &sparse, &typical)?,
            of("at 1, sparse", &Asked::by(SamplingParams::at(1.0)?), &sparse, &typical)?,
            of("at .7, sparse", &Asked::by(SamplingParams::at(0.7)?), &sparse, &typical)?,
            of("everything, 1,000 seen, sparse", &Asked::all(1000)?, &sparse, &typical)?,
            of("everything, 32,000 seen, sparse", &Asked::all(32_000)?, &sparse, &typical)?,
            of(TOP_P, &top_p(1.0)?, &sparse, &typical)?,
            of("top_p .9 at 1, no map", &top_p(1.0)?, &[], &typical)?,
            of("top_p .9 at 1, dense", &top_p(1.0)?, &dense, &typical)?,
            of("top_p .9 at .7, dense", &top_p(0.7)?, &dense, &typical)?,
            of("top_p .9 at 1.5, dense", &top_p(1.5)?, &dense, &typical)?,
        ];
        let row = |shape: Shape| -> Result<Tensor> {
            Ok(shape.logits(VOCAB_SIZE, DType::BF16)?.unsqueeze(0)?.to_device(device)?)
        };
        let mut rows = Vec::new();
        let everything = Asked::all(1000)?;
        let shapes = [0.39, 0.11, 0.04].map(|p_max| Shape::Typical { p_max });
        for shape in shapes.into_iter().chain([Shape::Equal, Shape::Noise]) {
            let logits = row(shape)?;
            let name = match shape {
                Shape::Typical { p_max } => format!("p_max {p_max}"),
                flat => flat.name().to_owned(),
            };
            rows.push(of(&format!("everything, {name}"), &everything, &sparse, &logits)?);
            rows.push(of(&format!("top_p .9, {name}"), &top_p(1.0)?, &sparse, &logits)?);
        }
        let each = count(report, &top_p(1.0)?, &maps_of_every_size(), &typical)?;
        let tables = sparse[0].to_device(device)?;
        let (_, decide) = report.of(|| Ok(tables.decide(&typical)?.tokens()?))?;
        let one = row(Shape::Typical { p_max: P_MAX })?;
        let (_, decide_one) = report.of(|| Ok(tables.decide(&one)?.tokens()?))?;
        Ok(Self { decide, batches, decide_one, rows, each })
    }

    /// What was counted for a batch.
    pub fn get(&self, name: &str) -> &Counters {
        let step = self.batches.iter().find(|step| step.name == name);
        &step.expect("it was counted").counters
    }

    /// The bytes of a batch, in those of a decision.
    pub fn distinct(&self, name: &str) -> f64 {
        distinct(self.get(name)) / distinct(&self.decide)
    }

    /// What a map for each row takes beside one for all: warp-instructions and bytes.
    pub fn maps_of_all_sizes(&self) -> [f64; 2] {
        let shared = self.get(TOP_P);
        let instructions = |of: &Counters| of.get("warp_instructions");
        [instructions(&self.each) / instructions(shared), distinct(&self.each) / distinct(shared)]
    }

    pub fn print(&self) {
        println!(
            "\n| a step | launches | warp-instructions ÷ a decision's | distinct bytes ÷ \
             | critical path ÷ |\n| --- | ---: | ---: | ---: | ---: |"
        );
        let line = |Step { name, counters }: &Step, decide: &Counters| {
            let ratio = |name| counters.get(name) / decide.get(name);
            println!(
                "| {name} | {} | {:.2} | {:.2} | {:.1} |",
                counters.get("launches"),
                ratio("warp_instructions"),
                distinct(counters) / distinct(decide),
                ratio("critical_path_cycles"),
            );
        };
        self.batches.iter().for_each(|step| line(step, &self.decide));
        self.rows.iter().for_each(|step| line(step, &self.decide_one));
    }
}

const TOP_P: &str = "top_p .9 at 1, sparse";

fn distinct(counters: &Counters) -> f64 {
    counters.get("distinct_read_bytes") + counters.get("distinct_written_bytes")
}

/// As many maps as rows, of 5 to 50,000 pooled tokens.
fn maps_of_every_size() -> Vec<ConceptMap> {
    let mut rng = StdRng::seed_from_u64(3);
    let mut tokens: Vec<u32> = (0..VOCAB_SIZE as u32).collect();
    let map = |i: usize| {
        let pooled = 5.0 * 1e4f64.powf(i as f64 / (BATCH - 1) as f64);
        tokens.shuffle(&mut rng);
        let builder = ConceptMap::builder(VOCAB_SIZE);
        let concepts = tokens[..pooled.round() as usize].chunks(5);
        let add = |b: concept_mass::map::ConceptMapBuilder, tokens: &[u32]| {
            b.unnamed(tokens.iter().copied()).expect("disjoint")
        };
        concepts.fold(builder, add).build().expect("a map")
    };
    (0..BATCH).map(map).collect()
}

/// Counts a step in which row i has the i-th of the maps, or the only one, or none; and checks it against
/// `sample_batch`.
fn count(report: &Report, asked: &Asked, maps: &[ConceptMap], logits: &Tensor) -> Result<Counters> {
    let (rows, device) = (logits.dim(0)?, logits.device());
    let mut rng = StdRng::seed_from_u64(5);
    let mut set = MapSet::new(VOCAB_SIZE, maps.len(), device)?;
    let ids = maps.iter().map(|map| set.insert(map)).collect::<Result<Vec<_>, _>>()?;
    let on_host =
        maps.iter().map(|map| map.to_device(&Device::Cpu)).collect::<Result<Vec<_>, _>>()?;
    let mut sampler = BatchSampler::new(set, rows)?;
    let mut alone = Vec::new();
    for row in 0..rows {
        let seen = (0..asked.seen).map(|_| (rng.random_range(0..VOCAB_SIZE as u32), 1));
        let state = RowState::new(9, seen);
        let params = asked.params.clone().with_seed(row as u64);
        let of_row = row.min(maps.len().saturating_sub(1));
        sampler.start(row, params.clone(), ids.get(of_row).copied(), state.clone())?;
        let mut sampler = match on_host.get(of_row) {
            Some(map) => RowSampler::new(params, map.clone())?,
            None => RowSampler::by_token(params, VOCAB_SIZE)?,
        };
        sampler.restore(state)?;
        alone.push(sampler);
    }
    let words = VOCAB_SIZE.div_ceil(32);
    let mask: Vec<u32> = (0..rows * words)
        .map(|_| rng.random::<u32>() | rng.random::<u32>() | rng.random::<u32>())
        .collect();
    let on_device = match asked.is_masked {
        true => Some(Tensor::from_slice(&mask, (rows, words), device)?),
        false => None,
    };
    let slots = sampler.slots(&(0..rows).collect::<Vec<_>>())?;
    let (sampled, counters) =
        report.of(|| Ok(sampler.sample(logits, &slots, on_device.as_ref())?))?;
    let logits = logits.to_device(&Device::Cpu)?;
    let want = match asked.is_masked {
        true => sample_batch_masked(&logits, &mut alone, TokenMask::new(&mask, words)?)?,
        false => sample_batch(&logits, &mut alone)?,
    };
    for (row, (got, want)) in sampled.rows()?.into_iter().zip(want).enumerate() {
        let (got, want) = (got?, want?);
        ensure!(got == want, "row {row}: {got:?}, not {want:?}");
    }
    Ok(counters)
}
