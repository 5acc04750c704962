//! A run: puts every question of a list to a model, and stores what is measured.

use std::{collections::HashSet, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};
use commitment_probe::{Asked, ProbeOptions, Prober, Question, Sample};
use concept_mass::{
    phrase::{CachedForward, CachedModel},
    sample::TopKPooling,
    source::{Embedding, Vocabulary},
};
use concept_mass_models::{Loaded, Model};
use indicatif::{ProgressBar, ProgressStyle};
use rand::{SeedableRng, rngs::StdRng, seq::index};

use crate::args::{RunArgs, TAU};
use crate::folder::Folder;
use crate::judge::Program;
use crate::prompt::Prompt;
use crate::settings::Settings;
use crate::source::Source;

/// Asks all questions that have no sample yet.
pub fn run(args: &RunArgs) -> Result<()> {
    let options = options(args)?;
    ensure!(args.limit != Some(0), "--limit 0 asks nothing; give 1 or more, or leave it out");
    let questions = Question::load(Source::questions(&args.questions)?.fetch()?)?;
    ensure!(!questions.is_empty(), "{} has no questions", args.questions.display());
    let questions = pick(questions, args.limit, args.seed);
    let source = Source::model(&args.model, args.tokenizer.is_none())?;
    let settings = Settings::new(args, &source)?;
    let (mut folder, done) = Folder::open(&args.out, &settings, &questions)?;
    if done.len() == questions.len() {
        return Ok(());
    }

    let device = device(args)?;
    let dtype = args.dtype.map(Into::into);
    let model = source.fetch()?;
    let loaded = concept_mass_models::load(&model, args.tokenizer.as_deref(), &device, dtype)?;
    let vocabulary = Vocabulary::new(loaded.tokenizer.clone(), loaded.vocab_size)
        .with_context(|| format!("cannot use the tokenizer of {}", args.model.display()))?;
    let prompt = prompt(&loaded, &settings, &args.model)?;
    let texts = Texts::new(&questions, &prompt, &vocabulary)?;
    let mut prober = prober(loaded, vocabulary, options, args.judge.as_deref(), &device)?;
    // The longest prompts come last: that they are too long must not be found hours later.
    for (question, (_, tokens)) in questions.iter().zip(&texts.0) {
        let fits = prober.check_prompt(tokens.len());
        fits.with_context(|| format!("cannot ask question {}", question.id()))?;
    }
    let mut progress = Progress::new(&args.out, questions.len(), &done);
    let done: HashSet<String> = done.into_iter().map(|sample| sample.id).collect();
    for batch in texts.batches(args.batch) {
        let is_done = |&i: &usize| done.contains(questions[i].id());
        if batch.iter().all(is_done) {
            continue;
        }
        // A batch that was cut short is measured again in full: its rows may affect each other's
        // last bits.
        let asked: Vec<Asked> = batch.iter().map(|&i| texts.asked(&questions, i)).collect();
        let samples = prober.measure(&asked).with_context(|| {
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

/// `limit` of the questions, chosen at random by `seed`, in their order.
fn pick(questions: Vec<Question>, limit: Option<usize>, seed: u64) -> Vec<Question> {
    let Some(limit) = limit.filter(|&limit| limit < questions.len()) else { return questions };
    let mut rng = StdRng::seed_from_u64(seed);
    let drawn: HashSet<usize> =
        index::sample(&mut rng, questions.len(), limit).into_iter().collect();
    let questions = questions.into_iter().enumerate();
    questions.filter(|(i, _)| drawn.contains(i)).map(|(_, question)| question).collect()
}

fn device(args: &RunArgs) -> Result<Device> {
    if !args.cuda {
        return Ok(Device::Cpu);
    }
    ensure!(cfg!(feature = "cuda"), "--cuda needs a program built with --features cuda");
    Device::new_cuda(0).context("cannot use the first CUDA device")
}

fn prompt(loaded: &Loaded, settings: &Settings, model: &Path) -> Result<Prompt> {
    if !settings.chat {
        return Prompt::plain(&settings.template);
    }
    let chat = loaded.chat.as_ref().with_context(|| {
        format!("{} has no chat template; give a --template instead of --chat", model.display())
    })?;
    Prompt::chat(chat, &settings.template, settings.system.as_deref(), settings.thinking.into())
}

/// A loaded model, in the form that the core takes.
struct Cached(Model);

impl CachedForward for Cached {
    fn forward(&mut self, tokens: &Tensor, offset: usize) -> candle_core::Result<Tensor> {
        self.0.forward(tokens, offset)
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

/// What is measured; fails at once for an option out of range.
fn options(args: &RunArgs) -> Result<ProbeOptions> {
    let options = ProbeOptions {
        max_tokens: args.max_tokens,
        samples: args.samples,
        temperature: args.temperature,
        seed: args.seed,
        pooling: TopKPooling { k: args.top_k, threshold: args.threshold },
        batch: args.batch,
    };
    options.check()?;
    Ok(options)
}

fn prober(
    loaded: Loaded,
    vocabulary: Vocabulary,
    options: ProbeOptions,
    judge: Option<&str>,
    device: &Device,
) -> Result<Prober<CachedModel<Cached>>> {
    let Loaded { model, positions, ends, .. } = loaded;
    let embedding = Embedding::new(&model.embedding()?)?;
    let model = CachedModel::new(Cached(model), device.clone(), Some(positions));
    let prober = Prober::new(model, vocabulary, embedding, device, &ends, options)?;
    Ok(match judge {
        Some(command) => prober.with_judge(Program::start(command)?),
        None => prober,
    })
}

/// The prompts of all questions, as texts and as tokens.
struct Texts(Vec<(String, Vec<u32>)>);

impl Texts {
    fn new(questions: &[Question], prompt: &Prompt, vocabulary: &Vocabulary) -> Result<Self> {
        let text = |question: &Question| {
            let text = prompt.text(question.text())?;
            let tokens = prompt.tokens(vocabulary, &text)?;
            Ok((text, tokens))
        };
        questions.iter().map(text).collect::<Result<_>>().map(Self)
    }

    /// The questions in batches of prompts of one length. The batches do not depend on what is done.
    fn batches(&self, max_size: usize) -> Vec<Vec<usize>> {
        let length = |i: usize| self.0[i].1.len();
        let mut places: Vec<usize> = (0..self.0.len()).collect();
        places.sort_by_key(|&i| length(i));
        let alike = places.chunk_by(|&a, &b| length(a) == length(b));
        alike.flat_map(|alike| alike.chunks(max_size).map(<[usize]>::to_vec)).collect()
    }

    fn asked<'a>(&'a self, questions: &'a [Question], i: usize) -> Asked<'a> {
        let (prompt, tokens) = &self.0[i];
        Asked { question: &questions[i], prompt, tokens }
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
        self.wrong += usize::from(!sample.right);
        self.failures += usize::from(sample.is_failure(TAU));
        let Self { bar, samples, wrong, failures } = self;
        bar.set_position(*samples as u64);
        bar.set_message(format!("{wrong} wrong, {failures} of them commitment failures"));
    }

    fn finish(&self) {
        self.bar.finish();
    }
}
