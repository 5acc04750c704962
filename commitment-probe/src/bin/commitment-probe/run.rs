//! A run: puts every question of a list to a model, and stores what is measured.

use std::{collections::HashSet, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use candle_core::Device;
use commitment_probe::{Asked, InProcess, PrefixCache, Prober, Question, Sample, doubt};
use concept_mass::source::{Embedding, Vocabulary};
use concept_mass_models::{Chat, Loaded};
use indicatif::{ProgressBar, ProgressStyle};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::args::{RunArgs, TAU};
use crate::fnv::Fnv;
use crate::folder::{Folder, ModelFacts};
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
    if done.len() == questions.len() {
        return Ok(());
    }

    let device = device(args)?;
    let dtype = args.dtype.map(Into::into);
    let model = source.fetch()?;
    let loaded = concept_mass_models::load(&model, args.tokenizer.as_deref(), &device, dtype)?;
    folder.describe(&ModelFacts::new(loaded.num_parameters))?;
    let vocabulary = Vocabulary::new(loaded.tokenizer.clone(), loaded.vocab_size)
        .with_context(|| format!("cannot use the tokenizer of {}", args.model.display()))?;
    let prompts = Prompts::new(&loaded, &settings, &args.model)?;
    let texts = Texts::new(&items, &prompts.question, &vocabulary)?;
    let Loaded { model, vocab_size, positions, ends, .. } = loaded;
    let embedding = Embedding::new(&model.embedding()?)?;
    let model = PrefixCache::new(model, &device, Some(positions));
    let model = model.with_preamble(texts.beginning())?;
    let model = InProcess::new(model, vocab_size, &device, args.batch)?;
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
    // The longest prompts come last: that they are too long must not be found hours later.
    for (question, (_, tokens)) in questions.iter().zip(&texts.0) {
        let fits = prober.check_prompt(tokens.len());
        fits.with_context(|| format!("cannot ask question {}", question.id()))?;
    }
    let plan = prober.plan(texts.asked(&questions))?;
    let mut progress = Progress::new(&args.out, questions.len(), &done);
    let done: HashSet<String> = done.into_iter().map(|sample| sample.id).collect();
    for batch in texts.batches(args.batch) {
        let is_done = |&i: &usize| done.contains(questions[i].id());
        if batch.iter().all(is_done) {
            continue;
        }
        // A batch that was cut short is measured again in full: its rows may affect each other's
        // last bits.
        let samples = prober.measure(&plan, &batch).with_context(|| {
            let ids: Vec<_> = batch.iter().map(|&i| questions[i].id()).collect();
            format!("cannot measure the batch of questions {}", ids.join(", "))
        })?;
        for sample in samples.iter().filter(|sample| !done.contains(&sample.id)) {
            folder.append(sample)?;
            progress.add(sample);
        }
    }
    progress.finish();
    Ok(())
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

    /// The questions in batches of prompts of one length. The batches do not depend on what is done.
    fn batches(&self, max_size: usize) -> Vec<Vec<usize>> {
        let length = |i: usize| self.0[i].1.len();
        let mut places: Vec<usize> = (0..self.0.len()).collect();
        places.sort_by_key(|&i| length(i));
        let alike = places.chunk_by(|&a, &b| length(a) == length(b));
        alike.flat_map(|alike| alike.chunks(max_size).map(<[usize]>::to_vec)).collect()
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

/// A progress bar with the time that is left, and the results so far.
struct Progress {
    bar: ProgressBar,
    samples: usize,
    wrong: usize,
    failures: usize,
}

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
        let mut progress = Self { bar, samples: 0, wrong: 0, failures: 0 };
        done.iter().for_each(|sample| progress.add(sample));
        progress
    }

    fn add(&mut self, sample: &Sample) {
        self.samples += 1;
        self.wrong += usize::from(sample.is_wrong());
        self.failures += usize::from(sample.is_failure(TAU));
        let Self { bar, samples, wrong, failures } = self;
        bar.set_position(*samples as u64);
        bar.set_message(format!("{wrong} wrong, {failures} of them commitment failures"));
    }

    fn finish(&self) {
        self.bar.finish();
    }
}
