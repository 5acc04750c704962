//! What transformers says of tiny random models: see `tests/witness/make.py`, which writes them.

use std::{collections::HashMap, fs, path::Path};

use candle_core::{DType, Device, Tensor, safetensors};

use concept_mass_models::{Loaded, Model, Pass, load};

/// The folder that `make.py` has filled.
const FOLDER: &str = "CONCEPT_MASS_WITNESS";

const F32: f32 = 2e-5;
const BF16: f32 = 2e-2;

fn loaded(path: &Path, dtype: DType) -> Loaded {
    let tokenizer = concept_mass_tiny::folder().join("tokenizer.json");
    let loaded = load(path, Some(&tokenizer), &Device::Cpu, Some(dtype));
    loaded.unwrap_or_else(|error| panic!("{:#}", anyhow::Error::from(error)))
}

fn largest(a: &Tensor, b: &Tensor) -> f32 {
    let (a, b) = (a.to_dtype(DType::F32).unwrap(), b.to_dtype(DType::F32).unwrap());
    let all = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(a.dims(), b.dims());
    let differences = all(&a).into_iter().zip(all(&b)).map(|(a, b)| (a - b).abs());
    // A NaN is larger than anything.
    differences.fold(0.0, |largest, x| if x > largest || x.is_nan() { x } else { largest })
}

/// Asserts that `got` is `expected`; all complaints of a case are collected.
struct Case {
    name: String,
    expected: HashMap<String, Tensor>,
    complaints: Vec<String>,
}

impl Case {
    fn tokens(&self, name: &str) -> Tensor {
        self.expected[name].to_dtype(DType::U32).unwrap()
    }

    fn agree(&mut self, what: &str, got: &Tensor, expected: &Tensor, tolerance: f32) {
        let difference = largest(got, expected);
        if difference.is_nan() || difference > tolerance {
            self.complaints.push(format!("{}: {what} differs by {difference}", self.name));
        }
    }

    /// A model in `f32` says the same of every text, however it is read.
    fn check(&mut self, of: &str, model: &mut Model) {
        let tokens = self.tokens("tokens");
        let (first, length) = (tokens.narrow(0, 0, 1).unwrap(), tokens.dim(1).unwrap());
        let whole = self.expected["logits"].clone();
        let says = |what: &str| format!("{of}, {what}");

        for short in [1, 7] {
            let expected = self.expected[&format!("logits.{short}")].unsqueeze(0).unwrap();
            let part = first.narrow(1, 0, short).unwrap();
            model.reset();
            let got = model.read(&Pass::new(&part).all_positions()).unwrap().logits;
            self.agree(&says(&format!("{short} tokens")), &got, &expected, F32);
        }

        model.reset();
        let blocks: Vec<usize> = (0..model.num_blocks()).collect();
        let output = model.read(&Pass::new(&first).all_positions().states(&blocks)).unwrap();
        self.agree(&says("all tokens"), &output.logits.squeeze(0).unwrap(), &whole, F32);
        assert_eq!(output.states.len(), blocks.len());
        for (state, block) in output.states.iter().zip(blocks) {
            let name = format!("state.{block}");
            let expected = self.expected[&name].clone();
            // States are larger than logits: what a block adds is rounded as its sum is.
            let scale = largest(&expected, &expected.zeros_like().unwrap()).max(1.0);
            self.agree(&says(&name), &state.squeeze(0).unwrap(), &expected, F32 * scale);
        }

        // Cached: a prompt, three tokens, and one by one; from a spread and cut cache, too.
        let steps = self.expected["steps"].clone();
        let cuts = || std::iter::once((7, 10)).chain((10..length).map(|i| (i, i + 1)));
        for spread in [false, true] {
            model.reset();
            model.forward(&first.narrow(1, 0, 7).unwrap(), 0).unwrap();
            if spread {
                // Other tokens are read, and forgotten.
                model
                    .forward(&tokens.narrow(0, 1, 1).unwrap().narrow(1, 0, 5).unwrap(), 7)
                    .unwrap();
                let mut cache = model.cache().clone();
                cache.truncate(7);
                model.set_cache(cache.spread(3).unwrap()).unwrap();
            }
            let got = cuts().map(|(begin, end)| {
                let next = first.narrow(1, begin, end - begin).unwrap();
                let rows = if spread { 3 } else { 1 };
                let next = next.repeat((rows, 1)).unwrap();
                let logits = model.forward(&next, begin).unwrap();
                logits.narrow(0, rows - 1, 1).unwrap()
            });
            let got = Tensor::cat(&got.collect::<Vec<_>>(), 0).unwrap();
            let what = if spread { "from a spread and cut cache" } else { "from a cache" };
            self.agree(&says(what), &got, &steps, F32);
        }

        model.reset();
        let padding = [0, length - 20];
        // The script pads with tokens that are as good as others.
        let got = model.read(&Pass::new(&tokens).padding(&padding)).unwrap().logits;
        self.agree(&says("left-padded"), &got, &self.expected["padded"].clone(), F32);
    }

    fn check_far(&mut self, model: &mut Model, expected: &str, tolerance: f32) {
        let tokens = self.tokens("far.tokens");
        let got = model.read(&Pass::new(&tokens).all_positions()).unwrap().logits;
        let from = tokens.dim(1).unwrap() - 20;
        let got = got.narrow(1, from, 20).unwrap().squeeze(0).unwrap();
        self.agree(expected, &got, &self.expected[expected].clone(), tolerance);
    }
}

#[test]
#[ignore = "wants the folder that tests/witness/make.py fills, in CONCEPT_MASS_WITNESS"]
fn every_architecture_is_that_of_transformers() {
    let folder = std::env::var_os(FOLDER).unwrap_or_else(|| panic!("{FOLDER} is not set"));
    let folder = Path::new(&folder);
    let cases = fs::read(folder.join("cases.json")).unwrap();
    let cases: Vec<String> = serde_json::from_slice(&cases).unwrap();
    let mut complaints = Vec::new();
    for name in &cases {
        let dir = folder.join(name);
        let expected = safetensors::load(dir.join("expected.safetensors"), &Device::Cpu).unwrap();
        let mut case = Case { name: name.clone(), expected, complaints: Vec::new() };
        let mut model = loaded(&dir, DType::F32).model;
        case.check("safetensors", &mut model);
        model.reset();
        case.check_far(&mut model, "far.f32", F32);
        case.check_far(&mut loaded(&dir, DType::BF16).model, "far.bf16", BF16);
        let gguf = dir.join("model.gguf");
        if gguf.exists() {
            let mut model = loaded(&gguf, DType::F32).model;
            case.check("GGUF", &mut model);
            model.reset();
            case.check_far(&mut model, "far.f32", F32);
        }
        complaints.append(&mut case.complaints);
    }
    assert!(cases.len() > 20, "{cases:?}");
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
