//! The critical path of one row's decision, beside that of a bare argmax, by the emulator's model
//! of latency: rows of every entropy, maps with small and large concepts.

use anyhow::{Result, ensure};
use candle_core::{DType, Device, Tensor};
use concept_mass::reference;

use crate::VOCAB_SIZE;
use crate::common::spellings::spellings;
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
