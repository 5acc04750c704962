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
    /// A peaked row under the sparse map that holds a NaN, or that begins at no multiple of 16 bytes.
    pub odd: Vec<(&'static str, Counters)>,
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
        let sparse = Pooling::Sparse.map(VOCAB_SIZE).to_device(device)?;
        let mut odd = Vec::new();
        for (name, logits) in odd_rows(&peaked)? {
            let (decisions, decide) = report.of(|| Ok(sparse.decide(&logits)?))?;
            ensure!(decisions.rows()?[0].is_err() == (name == "with a NaN"), "{name}");
            odd.push((name, decide));
        }
        Ok(Self { argmax, paths, odd })
    }

    /// What a row that is odd takes beside the peaked one.
    pub fn odd(&self, counter: &str) -> impl Iterator<Item = (&'static str, f64)> {
        let usual = self.get("sparse", SHAPES[0]).get(counter);
        self.odd.iter().map(move |(name, decide)| (*name, decide.get(counter) / usual))
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
        for (name, decide) in &self.odd {
            print(&format!("sparse, p_max .39, {name}"), decide, &self.argmax);
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

/// The peaked row with a NaN in its midst, and the same where its first logit is the second of a tensor.
fn odd_rows(peaked: &Tensor) -> Result<[(&'static str, Tensor); 2]> {
    let middle = VOCAB_SIZE / 2;
    let nan = peaked.narrow(1, 0, 1)?.affine(0.0, f64::NAN)?;
    let after = peaked.narrow(1, middle + 1, VOCAB_SIZE - middle - 1)?;
    let with_nan = Tensor::cat(&[&peaked.narrow(1, 0, middle)?, &nan, &after], 1)?;
    let longer = Tensor::cat(&[&nan, peaked], 1)?;
    Ok([("with a NaN", with_nan), ("misaligned", longer.narrow(1, 1, VOCAB_SIZE)?)])
}

fn logits(shape: Shape, device: &Device) -> Result<Tensor> {
    Ok(shape.logits(VOCAB_SIZE, DType::BF16)?.unsqueeze(0)?.to_device(device)?)
}
