//! The critical path of one row's decision, beside that of a bare argmax, by the emulator's model
//! of latency: rows of every entropy, maps with small and large concepts.

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use concept_mass::{ConceptMap, reference};
use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom};

use crate::VOCAB_SIZE;
use crate::common::{Pooling, probability_is};
use crate::kernels::Kernels;
use crate::report::{Counters, Report};
use crate::row::Shape;

/// The rows, by their largest probability.
const SHAPES: [Shape; 5] = [
    Shape::Typical { p_max: 0.39 },
    Shape::Typical { p_max: 0.11 },
    Shape::Typical { p_max: 0.04 },
    Shape::Equal,
    Shape::Noise,
];

/// The tokens of the largest concept of each map that is like a vocabulary's spellings.
const LARGEST: [usize; 4] = [4, 8, 62, 114];

/// What was counted for a row and a map.
pub struct Path {
    pub map: String,
    pub shape: Shape,
    pub decide: Counters,
}

pub struct Paths {
    pub argmax: Counters,
    pub paths: Vec<Path>,
}

/// A row like a language model's, with this largest probability.
#[expect(non_snake_case, reason = "it stands for a shape")]
pub fn Typical(p_max: f64) -> Shape {
    Shape::Typical { p_max }
}

impl Paths {
    /// What was counted for one of the rows and one of the maps.
    pub fn get(&self, map: &str, shape: Shape) -> &Counters {
        let path = self.paths.iter().find(|path| path.map == map && path.shape == shape);
        &path.expect("it was counted").decide
    }

    pub fn count(report: &Report, device: &Device) -> Result<Self> {
        let kernels = Kernels::load(device.as_cuda_device()?, 1)?;
        let mut maps = vec![
            ("sparse".to_owned(), Pooling::Sparse.map(VOCAB_SIZE)),
            ("dense".to_owned(), Pooling::Dense.map(VOCAB_SIZE)),
        ];
        maps.extend(LARGEST.map(|n| (format!("spellings to {n}"), spellings(VOCAB_SIZE, n))));
        let peaked = logits(SHAPES[0], device)?;
        let (_, argmax) = report.of(|| Ok(kernels.argmax(&peaked)?))?;
        let mut paths = Vec::new();
        for (name, map) in maps {
            let on_device = map.to_device(device)?;
            for shape in SHAPES {
                let logits = logits(shape, device)?;
                let (decisions, decide) = report.of(|| Ok(on_device.decide(&logits)?))?;
                let decision = decisions.rows()?[0]?;
                let exact = logits.get(0)?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
                let oracle = reference::reduce(&map, &exact)?;
                ensure!(probability_is(decision.mass, oracle.mass), "{decision:?}, not {oracle:?}");
                ensure!(decision.greedy == oracle.greedy, "{decision:?}, not {oracle:?}");
                paths.push(Path { map: name.clone(), shape, decide });
            }
        }
        Ok(Self { argmax, paths })
    }

    pub fn print(&self) {
        println!(
            "\n| map, row | critical path | of it tail | ÷ argmax's | busiest block \
             | warp-instructions | distinct bytes ÷ logits' |\n| --- | ---: | ---: | ---: | ---: \
             | ---: | ---: |"
        );
        print("argmax", &self.argmax, &self.argmax);
        for Path { map, shape, decide } in &self.paths {
            print(&format!("{map}, {}", name(*shape)), decide, &self.argmax);
        }
    }
}

fn print(name: &str, of: &Counters, argmax: &Counters) {
    let cycles = of.get("critical_path_cycles");
    println!(
        "| {name} | {cycles} | {} | {:.2} | {} | {} | {:.2} |",
        of.get("tail_cycles"),
        cycles / argmax.get("critical_path_cycles"),
        of.get("busiest_block_warp_instructions"),
        of.get("warp_instructions"),
        of.get("distinct_read_bytes") / (VOCAB_SIZE * DType::BF16.size_in_bytes()) as f64,
    );
}

fn name(shape: Shape) -> String {
    match shape {
        Shape::Typical { p_max } => format!("p_max {p_max}"),
        flat => format!("{flat:?}").to_lowercase(),
    }
}

fn logits(shape: Shape, device: &Device) -> Result<Tensor> {
    Ok(shape.logits(VOCAB_SIZE, DType::BF16)?.unsqueeze(0)?.to_device(device)?)
}

/// Half of the vocabulary in concepts of so many tokens at most, whose sizes are as often as in the
/// spelling map of Llama 3.1's vocabulary; those above eight, which are 1 in 240, are spread evenly on
/// the scale of logarithms.
fn spellings(vocab_size: usize, largest: usize) -> ConceptMap {
    const SHARES: [(usize, f64); 8] = [
        (2, 0.6064),
        (3, 0.1602),
        (4, 0.1297),
        (5, 0.0407),
        (6, 0.0322),
        (7, 0.0189),
        (8, 0.0075),
        (9, f64::INFINITY),
    ];
    let mut rng = StdRng::seed_from_u64(largest as u64);
    let mut tokens: Vec<u32> = (0..vocab_size as u32).collect();
    tokens.shuffle(&mut rng);
    let mut rest = &tokens[..vocab_size / 2];
    let mut builder = ConceptMap::builder(vocab_size);
    let mut size = largest;
    while rest.len() > largest {
        let (concept, others) = rest.split_at(size);
        builder = builder.unnamed(concept.iter().copied()).expect("disjoint");
        rest = others;
        let mut uniform: f64 = rng.random();
        size = 0;
        for (of, share) in SHARES {
            size = of;
            uniform -= share;
            if uniform < 0.0 {
                break;
            }
        }
        if size > 8 {
            size = (9.0 * (largest as f64 / 9.0).powf(rng.random())).round() as usize;
        }
        size = size.min(largest);
    }
    builder.build().expect("a valid map")
}
