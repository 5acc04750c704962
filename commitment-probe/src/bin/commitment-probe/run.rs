//! A run: puts every question of a list to a model, and stores what is measured.

use std::{
    collections::HashSet,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use commitment_probe::{
    Asked, HiddenWriter, InProcess, PrefixCache, Prober, Question, Sample, Schema, doubt,
};
use concept_mass::source::{Embedding, Piece, Vocabulary};
use concept_mass_models::{Chat, Loaded};
use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::args::{RunArgs, TAU};
use crate::fnv::Fnv;
use crate::folder::{Folder, ModelFacts};
use crate::hidden::Hidden;
use crate::list::{Item, list};
use crate::program::Program;
use crate::prompt::{ChatOptions, Format, Prompt, Turns};
use crate::settings::Settings;
use crate::source::Source;

/// Asks all questions that have no sample yet.
pub fn run(args: &RunArgs) -> Result<()> {
    ensure!(args.limit != Some(0), "--limit 0 asks nothing; give 1 or more, or leave it out");
    let (items, left_out) = list(args)?;
    let items = pick(items, args.limit, args.seed);
    let source = Source::model(&args.model, args.tokenizer.is_none())?;
    let settings = Settings::new(args, &source, &items, left_out)?;
    let options = settings.options()?;
    if let Some(note) = left_out.note(args.preset.is_some()) {
        eprintln!("note: of {}: {note}", args.questions.display());
    }
    let questions: Vec<Question> = items.iter().map(|item| item.question.clone()).collect();
    let (mut folder, done) = Folder::open(&args.out, &settings, &questions)?;
    let has_states = !args.hidden || HiddenWriter::is_finished(&args.out);
    if done.len() == questions.len() && has_states {
        return Ok(());
    }

    let device = device(args)?;
    let dtype = args.dtype.map(Into::into);
    let model = source.fetch()?;
    let loaded = concept_mass_models::load(&model, args.tokenizer.as_deref(), &device, dtype)?;
    let vocabulary = Vocabulary::new(loaded.tokenizer.clone(), loaded.vocab_size)
        .with_context(|| format!("cannot use the tokenizer of {}", args.model.display()))?;
    let prompts = Prompts::new(&loaded, &settings, &args.model)?;
    let texts = Texts::new(&items, &prompts.question, &vocabulary)?;
    folder.describe(&facts(&loaded, &texts, &vocabulary))?;
    let Loaded { model, vocab_size, positions, ends, .. } = loaded;
    let (embedding, num_blocks) = (model.embedding()?, model.num_blocks());
    let mut hidden = None;
    if args.hidden {
        let asked = questions.iter().zip(texts.0.iter().map(|(_, tokens)| &tokens[..]));
        hidden = Some(Hidden::open(&args.out, num_blocks, &embedding, asked)?);
    }
    let embedding = Embedding::new(&embedding)?;
    let model = PrefixCache::new(model, &device, Some(positions));
    let model = model.with_preamble(texts.beginning())?;
    let model = InProcess::new(model, vocab_size, &device, args.batch.saturating_mul(ROWS))?;
    let mut prober = Prober::new(model, vocabulary.clone(), &ends, options)?;
    prober = prober.with_embedding(embedding)?;
    if let Some(command) = &args.judge {
        prober = prober.with_judge(Program::start("judge", command)?);
    }
    if let Some(command) = &args.grader {
        prober = prober.with_grader(Program::start("grader", command)?);
    }
    if settings.p_true {
        prober = prober.with_doubts(move |question, answer| {
            let text = prompts.doubt.text(&doubt(question, answer), &[])?;
            let tokens = prompts.doubt.tokens(&vocabulary, &text)?;
            Ok((text, tokens))
        });
    }
    // That a prompt is too long must not be found hours later.
    for (question, (_, tokens)) in questions.iter().zip(&texts.0) {
        let fits = prober.check_prompt(tokens.len());
        fits.with_context(|| format!("cannot ask question {}", question.id()))?;
    }
    let plan = prober.plan(texts.asked(&questions))?;
    let mut progress = Progress::new(&args.out, questions.len(), &done);
    let done: HashSet<String> = done.into_iter().map(|sample| sample.id).collect();
    for batch in texts.batches(args.batch) {
        let is_done = |&i: &usize| done.contains(questions[i].id());
        let is_measured = batch.iter().all(is_done);
        // A batch that was cut short is measured again in full: its rows may affect each other's
        // last bits.
        let samples = if is_measured { Ok(Vec::new()) } else { prober.measure(&plan, &batch) };
        let samples = samples.with_context(|| {
            let ids: Vec<_> = batch.iter().map(|&i| questions[i].id()).collect();
            format!("cannot measure the batch of questions {}", ids.join(", "))
        })?;
        // Before the samples: what has a sample has its states.
        if let Some(hidden) = &mut hidden {
            hidden.add(prober.model(), &batch, &questions, |i| texts.0[i].1.clone())?;
        }
        for sample in samples.iter().filter(|sample| !done.contains(&sample.id)) {
            folder.append(sample)?;
            progress.add(sample);
        }
        progress.tell();
    }
    progress.finish();
    hidden.map_or(Ok(()), Hidden::finish)
}

/// `limit` of the questions, chosen at random by `seed`, in their order. What else is in the list makes
/// no difference to the order in which they are drawn.
fn pick(items: Vec<Item>, limit: Option<usize>, seed: u64) -> Vec<Item> {
    let Some(limit) = limit.filter(|&limit| limit < items.len()) else { return items };
    let number = |item: &Item| {
        let mut hash = Fnv::new();
        hash.write(item.question.id().as_bytes());
        StdRng::seed_from_u64(seed ^ hash.number()).random::<u64>()
    };
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_cached_key(|&i| number(&items[i]));
    let drawn: HashSet<usize> = order.into_iter().take(limit).collect();
    let items = items.into_iter().enumerate();
    items.filter(|(i, _)| drawn.contains(i)).map(|(_, item)| item).collect()
}

fn device(args: &RunArgs) -> Result<Device> {
    if !args.cuda {
        return Ok(Device::Cpu);
    }
    ensure!(cfg!(feature = "cuda"), "--cuda needs a program built with --features cuda");
    Device::new_cuda(0).context("cannot use the first CUDA device")
}

fn facts(loaded: &Loaded, texts: &Texts, vocabulary: &Vocabulary) -> ModelFacts {
    let (text, tokens) = texts.0.first().map_or(("", &[][..]), |(text, tokens)| (text, tokens));
    ModelFacts {
        schema: Schema,
        architecture: loaded.architecture.clone(),
        num_parameters: loaded.num_parameters,
        stored_as: loaded.stored_as.clone(),
        computed_in: loaded.model.dtype().as_str().to_owned(),
        activations: Some(activations(loaded).to_owned()),
        vocab_size: loaded.vocab_size,
        positions: loaded.positions,
        first_prompt: as_read(vocabulary, text, tokens),
    }
}

/// The precision of what the model's matrices multiply.
fn activations(loaded: &Loaded) -> &'static str {
    if loaded.rounds_activations {
        "rounded to 8 bits by candle's kernels"
    } else {
        loaded.model.dtype().as_str()
    }
}

/// The text of a prompt after the special tokens that are in its tokens alone.
fn as_read(vocabulary: &Vocabulary, text: &str, tokens: &[u32]) -> String {
    let special = tokens.iter().map_while(|&token| match vocabulary.piece(token) {
        Piece::Special(special) => Some(special.as_str()),
        _ => None,
    });
    let special: String = special.collect();
    if text.starts_with(&special) { text.to_owned() } else { special + text }
}

/// What the model is asked in a run.
struct Prompts {
    question: Prompt,
    /// Whether an answer is true.
    doubt: Prompt,
}

/// How a model that continues texts is asked whether an answer is true; a chat model needs no more
/// than the question.
const DOUBT: &str = "{question}\nAnswer:";

impl Prompts {
    fn new(loaded: &Loaded, settings: &Settings, model: &Path) -> Result<Self> {
        let of = &settings.prompt;
        let format = of.format()?;
        if !of.chat {
            let doubt = Prompt::plain(Format::new(DOUBT)?);
            return Ok(Self { question: Prompt::plain(format), doubt });
        }
        let chat: &Chat = loaded.chat.as_ref().with_context(|| {
            format!("{} has no chat template; give a --template instead of --chat", model.display())
        })?;
        let turns = if of.one_turn { Turns::One } else { Turns::Each };
        let options = ChatOptions {
            system: of.system.clone(),
            thinking: of.thinking.into(),
            turns,
            prefill: None,
        };
        let doubt = Prompt::chat(chat, Format::new("{question}")?, options.clone())?;
        let options = ChatOptions { prefill: of.prefill.clone(), ..options };
        Ok(Self { question: Prompt::chat(chat, format, options)?, doubt })
    }
}

/// Sequences that are read at once, for each question of a batch: there are several samples, and
/// forms, of each.
const ROWS: usize = 4;

/// The most tokens of a batch's prompts, all of whose keys and values are kept.
const MAX_TOKENS: usize = 8192;

/// The prompts of all questions, as texts and as tokens.
struct Texts(Vec<(String, Vec<u32>)>);

impl Texts {
    fn new(items: &[Item], prompt: &Prompt, vocabulary: &Vocabulary) -> Result<Self> {
        let text = |item: &Item| {
            let text = prompt.text(&item.text, &item.shots.iter().collect::<Vec<_>>())?;
            let tokens = prompt.tokens(vocabulary, &text)?;
            Ok((text, tokens))
        };
        items.iter().map(text).collect::<Result<_>>().map(Self)
    }

    /// The questions in batches, in their order: of `max_size` at most, and of not too many tokens
    /// that follow what all prompts begin with. The batches do not depend on what is done.
    fn batches(&self, max_size: usize) -> Vec<Vec<usize>> {
        let common = self.beginning().len();
        let mut batches: Vec<Vec<usize>> = Vec::new();
        let mut tokens = 0;
        for (i, (_, prompt)) in self.0.iter().enumerate() {
            let own = prompt.len() - common;
            match batches.last_mut() {
                Some(batch) if batch.len() < max_size && tokens + own <= MAX_TOKENS => {
                    batch.push(i);
                    tokens += own;
                }
                _ => {
                    batches.push(vec![i]);
                    tokens = own;
                }
            }
        }
        batches
    }

    /// The tokens that all prompts begin with, without the last of any.
    fn beginning(&self) -> &[u32] {
        let Some((_, first)) = self.0.first() else { return &[] };
        let common = |tokens: &Vec<u32>| {
            let alike = first.iter().zip(tokens).take_while(|(a, b)| a == b).count();
            alike.min(tokens.len().saturating_sub(1))
        };
        &first[..self.0.iter().map(|(_, tokens)| common(tokens)).min().unwrap_or(0)]
    }

    fn asked<'a>(&'a self, questions: &'a [Question]) -> Vec<Asked<'a>> {
        let asked = self.0.iter().zip(questions);
        asked.map(|((prompt, tokens), question)| Asked { question, prompt, tokens }).collect()
    }
}

/// The time that is left, and the results so far: in a bar, or where there is no terminal in lines.
struct Progress {
    bar: ProgressBar,
    samples: usize,
    wrong: usize,
    failures: usize,
    /// When this began, and with how many samples.
    began: (Instant, usize),
    /// When the last line was written.
    told: Option<Instant>,
}

/// How often a line is written at most.
const PAUSE: Duration = Duration::from_secs(10);

impl Progress {
    fn new(out: &Path, questions: usize, done: &[Sample]) -> Self {
        let bar = ProgressBar::new(questions as u64).with_position(done.len() as u64);
        let template = "{prefix} {wide_bar} {pos}/{len}, {eta} left; {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_prefix(out.display().to_string());
        bar.reset_eta();
        bar.enable_steady_tick(Duration::from_millis(200));
        let began = (Instant::now(), done.len());
        let mut progress = Self { bar, samples: 0, wrong: 0, failures: 0, began, told: None };
        done.iter().for_each(|sample| progress.add(sample));
        progress
    }

    fn add(&mut self, sample: &Sample) {
        self.samples += 1;
        self.wrong += usize::from(sample.is_wrong());
        self.failures += usize::from(sample.is_failure(TAU));
        self.bar.set_position(self.samples as u64);
        self.bar.set_message(self.results());
    }

    fn results(&self) -> String {
        let Self { wrong, failures, .. } = self;
        format!("{wrong} wrong, {failures} of them commitment failures")
    }

    /// Says how far it is, where nobody sees the bar.
    fn tell(&mut self) {
        if self.bar.is_hidden() && self.told.is_none_or(|told| told.elapsed() >= PAUSE) {
            let (out, all) = (self.bar.prefix(), self.bar.length().unwrap_or(0) as usize);
            let (began, before) = self.began;
            let left = all.saturating_sub(self.samples) as f64;
            let left = began.elapsed().mul_f64(left / (self.samples - before).max(1) as f64);
            let (samples, left) = (self.samples, HumanDuration(left));
            eprintln!("{out}: {samples} of {all}, {left} left; {}", self.results());
            self.told = Some(Instant::now());
        }
    }

    fn finish(&self) {
        self.bar.finish();
    }
}
