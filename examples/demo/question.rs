//! A prompt, and what its answers may mean.

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::{Context, Result, bail};
use concept_mass::{
    ConceptMap, DeviceMap,
    map::OnConflict,
    phrase::PhraseTrie,
    sample::TopKPooling,
    source::{Aliases, FirstTokens, Spelling},
};

use super::Decoder;
use crate::corpus;

/// Where concepts come from, as the command line says it.
#[derive(Clone)]
pub enum Source {
    /// From a list of what may be meant: this file's, or the question's own.
    Aliases(Option<PathBuf>),
    /// From the spelling of the vocabulary.
    Spelling,
    /// From the model's own embedding, among the likeliest tokens.
    Embedding(TopKPooling),
}

impl Source {
    /// Reads `aliases`, `aliases FILE`, `spelling` or `embedding:K,T`.
    pub fn parse(words: &[String]) -> Result<Self> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["aliases"] => return Ok(Self::Aliases(None)),
            ["aliases", file] => return Ok(Self::Aliases(Some(file.into()))),
            ["spelling"] => return Ok(Self::Spelling),
            [word] => {
                let numbers = word.strip_prefix("embedding:").and_then(|rest| rest.split_once(','));
                if let Some((k, threshold)) = numbers
                    && let (Ok(k), Ok(threshold)) = (k.parse(), threshold.parse())
                {
                    return Ok(Self::Embedding(TopKPooling { k, threshold }));
                }
            }
            _ => {}
        }
        bail!(
            "--map {} is unknown; choose `aliases FILE`, `spelling`, or `embedding:K,T` with a \
             number of tokens K and a cosine T, as in embedding:20,0.5",
            words.join(" ")
        )
    }
}

/// What makes the maps of questions.
pub enum Concepts {
    /// A file's list for all questions, and what to do where its forms begin alike.
    Listed { file: PathBuf, aliases: Aliases, conflicts: OnConflict },
    /// Each question's own list.
    Own,
    /// The same map for all.
    Fixed(ConceptMap),
    /// Made at each step.
    Step(TopKPooling),
}

impl Concepts {
    pub fn new(source: &Source, conflicts: OnConflict, decoder: &Decoder) -> Result<Self> {
        Ok(match source {
            Source::Aliases(Some(file)) => {
                Self::Listed { file: file.clone(), aliases: Aliases::load(file)?, conflicts }
            }
            Source::Aliases(None) => Self::Own,
            Source::Spelling => Self::Fixed(Spelling::default().map(&decoder.text.vocabulary)?),
            Source::Embedding(pooling) => Self::Step(*pooling),
        })
    }

    /// `own` is the question's own list, if it has one.
    fn map(&self, decoder: &Decoder, prompt: &str, own: Option<&Aliases>) -> Result<ConceptMap> {
        match self {
            Self::Listed { .. } | Self::Own => {
                self.of_forms(decoder, prompt, own, |firsts, conflicts| Ok(firsts.map(conflicts)?))
            }
            Self::Fixed(map) => Ok(map.clone()),
            Self::Step(_) => Ok(ConceptMap::singletons(decoder.text.vocabulary.vocab_size())?),
        }
    }

    /// The whole forms, ended by what ends the model's answers.
    pub fn phrases(
        &self,
        decoder: &Decoder,
        prompt: &str,
        own: Option<&Aliases>,
    ) -> Result<PhraseTrie> {
        self.of_forms(decoder, prompt, own, |firsts, conflicts| {
            let phrases = firsts.phrases(conflicts)?;
            Ok(phrases.ends(decoder.ends().iter().copied())?.build()?)
        })
    }

    /// What is made of the forms of a list after `prompt`.
    fn of_forms<T>(
        &self,
        decoder: &Decoder,
        prompt: &str,
        own: Option<&Aliases>,
        make: impl FnOnce(FirstTokens, OnConflict) -> Result<T>,
    ) -> Result<T> {
        let vocabulary = &decoder.text.vocabulary;
        match (self, own) {
            (Self::Listed { file, aliases, conflicts }, _) => {
                let made = make(aliases.after(vocabulary, prompt)?, *conflicts);
                made.with_context(|| format!("cannot use {}", file.display()))
            }
            (Self::Own, Some(aliases)) => {
                make(aliases.after(vocabulary, prompt)?, OnConflict::Refuse)
            }
            (Self::Own, None) => bail!(
                "a model of your own has no list of aliases; choose --map `aliases FILE`, \
                 `spelling` or `embedding:K,T`"
            ),
            (Self::Fixed(_) | Self::Step(_), _) => {
                bail!("--phrases needs a list of answers: --map `aliases FILE`")
            }
        }
    }
}

/// The forms of a question of the corpus.
pub fn aliases(question: &corpus::Question) -> Result<Aliases> {
    let mut concepts = BTreeMap::<_, Vec<_>>::new();
    for (concept, form, _) in question.forms() {
        concepts.entry(concept).or_default().push(form);
    }
    concepts
        .into_iter()
        .try_fold(Aliases::new(), |aliases, (concept, forms)| Ok(aliases.concept(concept, forms)?))
}

/// A prompt and its map, ready to be decoded.
pub struct Question {
    pub prompt: String,
    pub tokens: Vec<u32>,
    pub map: DeviceMap,
    /// What is pooled beyond the map at the first step.
    pub step: Option<TopKPooling>,
}

impl Question {
    pub fn new(
        decoder: &Decoder,
        concepts: &Concepts,
        prompt: &str,
        own: Option<&Aliases>,
    ) -> Result<Self> {
        Ok(Self {
            prompt: prompt.to_owned(),
            tokens: decoder.text.encode(prompt)?,
            map: concepts.map(decoder, prompt, own)?.to_device(&decoder.device)?,
            step: match concepts {
                Concepts::Step(pooling) => Some(*pooling),
                _ => None,
            },
        })
    }
}
