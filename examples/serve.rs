//! Continuous batching: requests with prompts, maps and parameters of their own come and go, share the
//! batches of a model, are preempted, and come back in other slots. Each must say what it says alone.
//!
//! ```sh
//! cargo run --release --example serve
//! cargo run --release --example serve -- --slots 2 --seed 7
//! cargo run --release --example serve --features cuda -- --cuda
//! ```

use std::process::ExitCode;

use anyhow::{Context, Error, Result, ensure};
use candle_core::{DType, Device, Tensor};
use clap::Parser;
use concept_mass::sample::{BatchSampler, Emission, Penalties, RowState, SamplingParams};
use concept_mass::source::{Spelling, Vocabulary};
use concept_mass::{ConceptMap, MapId, MapSet};
use concept_mass_models::{Cache, Loaded, Model};
use rand::{Rng, SeedableRng, rngs::StdRng};

use terminal::{exit, print};

#[path = "demo/terminal.rs"]
mod terminal;

#[derive(Parser)]
#[command(about = "Serve requests that come and go in the batches of one model")]
struct Args {
    /// How many requests are served at a time.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..))]
    slots: u16,
    /// The maximum number of tokens of an answer.
    #[arg(long, default_value_t = 16)]
    max_tokens: usize,
    /// Of who comes when, and who is preempted.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Run on the first CUDA device.
    #[arg(long)]
    cuda: bool,
}

/// What somebody asks for.
struct Request {
    prompt: String,
    tokens: Vec<u32>,
    params: SamplingParams,
    map: Map,
}

/// Which tokens are one concept of a request.
#[derive(Clone, Copy, PartialEq)]
enum Map {
    /// Those that spell the same word.
    Spelling,
    /// Every token is its own.
    None,
}

/// A request that has been started, and perhaps preempted since.
struct Progress {
    /// The tokens after the prompt.
    said: Vec<u32>,
    /// What the sampler remembers, while the request waits.
    state: RowState,
    /// The slots that it was in, in order.
    slots: Vec<usize>,
    is_done: bool,
}

/// A request in a slot: its index, its map, and what the model has read of it.
struct Running {
    request: usize,
    map: Option<MapId>,
    cache: Cache,
}

fn main() -> ExitCode {
    exit(run(&Args::parse()))
}

fn run(args: &Args) -> Result<()> {
    let device = if args.cuda { Device::new_cuda_with_stream(0)? } else { Device::Cpu };
    let folder = concept_mass_tiny::folder();
    let loaded = concept_mass_models::load(&folder, None, &device, Some(DType::F32))?;
    let requests = requests(&loaded)?;
    // One at a time, in a sampler of one slot.
    let mut alone = Vec::new();
    for request in &requests {
        let only = std::slice::from_ref(request);
        let mut served = Server::new(&loaded, only, 1, args, &device)?.serve(0.0)?;
        alone.push(served.remove(0));
    }
    let served = Server::new(&loaded, &requests, args.slots.into(), args, &device)?.serve(0.25)?;
    let line = |cells: [&str; 5]| {
        let [question, map, temperature, answer, slots] = cells;
        print(&format!("{question:<46}{map:<10}{temperature:<5}{answer:<34}{slots}\n"))
    };
    line(["question", "map", "T", "answer", "slots"])?;
    let mut preempted = 0;
    for ((request, progress), alone) in requests.iter().zip(&served).zip(&alone) {
        let answer = loaded.tokenizer.decode(&progress.said, true).map_err(Error::from_boxed)?;
        let question = request.prompt.trim_start_matches("Q: ").trim_end_matches("\nA:");
        let map = if request.map == Map::Spelling { "spelling" } else { "none" };
        let slots: Vec<String> = progress.slots.iter().map(ToString::to_string).collect();
        let temperature = request.params.temperature().to_string();
        let cut: String = question.chars().take(44).collect();
        line([&cut, map, &temperature, answer.trim(), &slots.join(" → ")])?;
        ensure!(
            progress.said == alone.said && progress.state == alone.state,
            "the answer to {question:?} differs from the one that the request has alone: {answer:?}"
        );
        preempted += progress.slots.len() - 1;
    }
    print(&format!(
        "All {} answers are those that each request has alone; requests were preempted {preempted} times.\n",
        requests.len()
    ))
}

fn requests(loaded: &Loaded) -> Result<Vec<Request>> {
    let penalties = Penalties { repetition: 1.1, presence: 0.1, frequency: 0.1 };
    let at = SamplingParams::at;
    let by_share = at(1.0)?.with_emission(Emission::ByShare);
    let asked = [
        ("Which cathedral did Ivan the Terrible build on Red Square?", Map::Spelling, at(0.0)?),
        ("Which medal does the winner of a race get?", Map::Spelling, at(0.0)?),
        ("Which medal does the winner of a race get?", Map::None, at(0.0)?),
        ("Who wrote The Wealth of Nations?", Map::None, at(0.8)?.with_top_k(20)?),
        ("What is the highest mountain on Earth?", Map::Spelling, at(0.7)?.with_top_p(0.9)?),
        ("Which cathedral did Ivan the Terrible build on Red Square?", Map::None, at(1.0)?),
        ("Which country has Amsterdam as its capital?", Map::Spelling, at(0.9)?.with_min_p(0.05)?),
        ("In which city does the Statue of Liberty stand?", Map::Spelling, by_share),
        ("Who wrote The Adventures of Tom Sawyer?", Map::None, at(1.2)?.with_penalties(penalties)?),
    ];
    let request = |(seed, (question, map, params)): (u64, (&str, Map, SamplingParams))| {
        let prompt = format!("Q: {question}\nA:");
        let tokens = loaded.tokenizer.encode(prompt.as_str(), true).map_err(Error::from_boxed)?;
        Ok(Request {
            prompt,
            tokens: tokens.get_ids().to_vec(),
            params: params.with_seed(seed),
            map,
        })
    };
    (1..).zip(asked).map(request).collect()
}

/// An engine: a model, a sampler with a slot for each request that it serves at a time, and a queue.
struct Server<'a> {
    model: Model,
    ends: &'a [u32],
    device: &'a Device,
    requests: &'a [Request],
    max_tokens: usize,
    sampler: BatchSampler,
    spelling: ConceptMap,
    slots: Vec<Option<Running>>,
    progress: Vec<Progress>,
    /// The requests that wait, the next one first.
    queue: Vec<usize>,
    rng: StdRng,
}

impl<'a> Server<'a> {
    fn new(
        loaded: &'a Loaded,
        requests: &'a [Request],
        slots: usize,
        args: &Args,
        device: &'a Device,
    ) -> Result<Self> {
        let vocabulary = Vocabulary::new(loaded.tokenizer.clone(), loaded.vocab_size)?;
        let spelling = Spelling::default().map(&vocabulary)?;
        let maps = MapSet::new(loaded.vocab_size, slots, device)?;
        let new = |request: &Request| {
            let state = RowState::new(0, request.tokens.iter().map(|&token| (token, 1)));
            Progress { said: Vec::new(), state, slots: Vec::new(), is_done: false }
        };
        Ok(Self {
            model: loaded.model.clone(),
            ends: &loaded.ends,
            device,
            requests,
            max_tokens: args.max_tokens,
            sampler: BatchSampler::new(maps, slots)?,
            spelling,
            slots: (0..slots).map(|_| None).collect(),
            progress: requests.iter().map(new).collect(),
            queue: (0..requests.len()).collect(),
            rng: StdRng::seed_from_u64(args.seed),
        })
    }

    /// Serves all requests. Before a step, each that runs is preempted with this probability.
    fn serve(mut self, preemption: f64) -> Result<Vec<Progress>> {
        while self.progress.iter().any(|progress| !progress.is_done) {
            for slot in 0..self.slots.len() {
                if self.slots[slot].is_some() && self.rng.random_bool(preemption) {
                    let request = self.stop(slot)?;
                    self.queue.push(request);
                }
            }
            // In a slot of no particular order.
            while let Some(slot) = self.free_slot()
                && !self.queue.is_empty()
            {
                let request = self.queue.remove(0);
                self.start(slot, request)?;
            }
            self.step()?;
        }
        Ok(self.progress)
    }

    fn free_slot(&mut self) -> Option<usize> {
        let free: Vec<usize> = (0..self.slots.len()).filter(|&i| self.slots[i].is_none()).collect();
        (!free.is_empty()).then(|| free[self.rng.random_range(0..free.len())])
    }

    /// Puts a request into a slot, with its map and what it remembers; the model has to read its text
    /// anew.
    fn start(&mut self, slot: usize, request: usize) -> Result<()> {
        let Request { params, map, .. } = &self.requests[request];
        let map = match map {
            Map::Spelling => Some(self.sampler.maps_mut().insert(&self.spelling)?),
            Map::None => None,
        };
        let progress = &mut self.progress[request];
        self.sampler.start(slot, params.clone(), map, progress.state.clone())?;
        progress.slots.push(slot);
        self.slots[slot] = Some(Running { request, map, cache: Cache::default() });
        Ok(())
    }

    /// Takes a request out of its slot, with its map, and drops what the model has read of it.
    fn stop(&mut self, slot: usize) -> Result<usize> {
        let running = self.slots[slot].take().context("the slot is free")?;
        let Running { request, map, .. } = running;
        self.progress[request].state = self.sampler.state(slot)?;
        self.sampler.end(slot)?;
        if let Some(map) = map {
            self.sampler.maps_mut().remove(map)?;
        }
        Ok(request)
    }

    /// One token for every request that runs.
    fn step(&mut self) -> Result<()> {
        let running: Vec<usize> =
            (0..self.slots.len()).filter(|&i| self.slots[i].is_some()).collect();
        let mut logits = Vec::new();
        for &slot in &running {
            logits.push(self.read(slot)?);
        }
        let logits = Tensor::cat(&logits, 0)?;
        let slot_of_row = self.sampler.slots(&running)?;
        let sampled = self.sampler.sample(&logits, &slot_of_row, None)?;
        for (&slot, sampled) in running.iter().zip(sampled.rows()?) {
            let token = sampled?.token;
            let Some(Running { request, .. }) = self.slots[slot] else { continue };
            let progress = &mut self.progress[request];
            let is_end = self.ends.contains(&token);
            if !is_end {
                progress.said.push(token);
            }
            if is_end || progress.said.len() == self.max_tokens {
                progress.is_done = true;
                self.stop(slot)?;
            }
        }
        Ok(())
    }

    /// Has the model read what is new to it of a request; gives the logits `[1, V]` of what follows.
    ///
    /// Each by itself, so that its logits are those that it has alone: a batch may be rounded
    /// otherwise, which is the model's affair and not the sampler's.
    fn read(&mut self, slot: usize) -> Result<Tensor> {
        let running = self.slots[slot].as_mut().context("the slot is free")?;
        let Running { request, cache, .. } = running;
        let (prompt, said) = (&self.requests[*request].tokens, &self.progress[*request].said);
        self.model.set_cache(std::mem::take(cache))?;
        let read = self.model.cache().len();
        let text: Vec<u32> = prompt.iter().chain(said).skip(read).copied().collect();
        let mut logits = None;
        // Token by token, again for the sake of rounding: the same whether it is read anew or not.
        for (i, token) in text.into_iter().enumerate() {
            let token = Tensor::new(&[[token]], self.device)?;
            logits = Some(self.model.forward(&token, read + i)?);
        }
        *cache = self.model.cache().clone();
        self.model.reset();
        logits.context("there is nothing new to read")
    }
}
