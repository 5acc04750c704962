use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::map::{TokenSets, TokenSetsBuilder, check_token, check_vocab_size};
use crate::phrase::PhraseError;

/// The most tokens that a phrase may have.
pub const MAX_PHRASE_LENGTH: usize = 1 << 16;

/// Concepts as sets of token sequences, the phrases in which they may be said.
///
/// Phrases that begin alike share their beginning, so that a model is asked once for what follows
/// it. A phrase may be the beginning of another: to say `New York Times` is not to say `New York`;
/// see [`DevicePhrases::vote`](crate::phrase::DevicePhrases::vote) for how that is counted.
///
/// ```
/// use concept_mass::phrase::PhraseTrie;
///
/// let (adam, smith, lambert) = (7, 19, 31);
/// let trie = PhraseTrie::builder(100)
///     .phrase("Adam Smith", [adam, smith])?
///     .phrase("Adam Smith", [smith])?
///     .phrase("Adam Lambert", [adam, lambert])?
///     .build()?;
/// assert_eq!((trie.num_concepts(), trie.depth()), (2, 2));
///
/// // What may come next, and what it may lead to:
/// let sets = trie.token_sets(&[adam]).unwrap();
/// assert_eq!((sets.name(0), sets.tokens(0)), (Some("Adam Smith"), Some(&[smith][..])));
/// # Ok::<(), concept_mass::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct PhraseTrie {
    vocab_size: usize,
    names: Vec<String>,
    phrases: Vec<Phrase>,
    /// The root first; a node's parent before it.
    pub(crate) nodes: Vec<Node>,
    /// What ends an answer; may be empty.
    pub(crate) ends: BTreeSet<u32>,
}

/// One of a concept's token sequences; from [`PhraseTrie::phrases`].
///
/// Phrases are in the order in which ties between them are decided: by concept, then by tokens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Phrase {
    /// The concept that it says, `0..C`.
    pub concept: u32,
    /// Its tokens, from 1 to [`MAX_PHRASE_LENGTH`].
    pub tokens: Vec<u32>,
}

/// A beginning of phrases: the tokens on the way from the root.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub parent: usize,
    /// The last token; the root has none, and a 0 here.
    pub token: u32,
    pub depth: usize,
    /// By their tokens.
    pub children: BTreeMap<u32, usize>,
    /// The phrase that is complete here.
    pub phrase: Option<usize>,
}

impl PhraseTrie {
    /// Starts a trie for a vocabulary of `vocab_size` tokens, the width of the logits.
    pub fn builder(vocab_size: usize) -> PhraseTrieBuilder {
        let root = Node { parent: 0, token: 0, depth: 0, children: BTreeMap::new(), phrase: None };
        let (names, phrases, ends) = (Vec::new(), Vec::new(), BTreeSet::new());
        let trie = Self { vocab_size, names, phrases, nodes: vec![root], ends };
        PhraseTrieBuilder { trie, ids: HashMap::new() }
    }

    /// `V`: the number of tokens of the vocabulary.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// `C`: the number of concepts.
    pub fn num_concepts(&self) -> usize {
        self.names.len()
    }

    /// The name of `concept`.
    pub fn name(&self, concept: u32) -> Option<&str> {
        self.names.get(concept as usize).map(String::as_str)
    }

    /// The concept called `name`, in `O(C)`.
    pub fn find(&self, name: &str) -> Option<u32> {
        self.names.iter().position(|n| n == name).map(|c| c as u32)
    }

    /// All phrases, in the order in which they were added.
    pub fn phrases(&self) -> &[Phrase] {
        &self.phrases
    }

    /// The tokens of the longest phrase.
    pub fn depth(&self) -> usize {
        self.nodes.iter().map(|node| node.depth).max().unwrap_or(0)
    }

    /// What may follow `prefix`: for each concept that may still be said, the set of tokens that lead
    /// to it; `None` if no phrase continues `prefix`.
    ///
    /// For an empty prefix, these are the concepts' first tokens.
    pub fn token_sets(&self, prefix: &[u32]) -> Option<TokenSets> {
        let step = |node: usize, token: &u32| self.nodes[node].children.get(token).copied();
        let node = prefix.iter().try_fold(0, step)?;
        let mut tokens = BTreeMap::<u32, Vec<u32>>::new();
        for (&token, &child) in &self.nodes[node].children {
            for concept in self.concepts_below(child) {
                tokens.entry(concept).or_default().push(token);
            }
        }
        let builder = TokenSets::builder(self.vocab_size);
        let set = |builder: TokenSetsBuilder, (concept, tokens): (u32, Vec<u32>)| {
            builder.set(&self.names[concept as usize], tokens)
        };
        let sets = tokens.into_iter().try_fold(builder, set).and_then(|b| b.build()).ok()?;
        (!sets.is_empty()).then_some(sets)
    }

    fn concepts_below(&self, node: usize) -> Vec<u32> {
        let mut concepts = Vec::new();
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            let Node { phrase, children, .. } = &self.nodes[node];
            concepts.extend(phrase.map(|phrase| self.phrases[phrase].concept));
            open.extend(children.values());
        }
        concepts.sort_unstable();
        concepts.dedup();
        concepts
    }
}

/// Builds a [`PhraseTrie`]; from [`PhraseTrie::builder`], or from aliases by
/// [`FirstTokens::phrases`](crate::source::FirstTokens::phrases).
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct PhraseTrieBuilder {
    trie: PhraseTrie,
    ids: HashMap<String, u32>,
}

impl PhraseTrieBuilder {
    /// Adds a phrase that says the concept called `name`. A concept may have many; a phrase that is
    /// added to it twice counts once. A phrase has at most [`MAX_PHRASE_LENGTH`] tokens.
    ///
    /// # Errors
    ///
    /// [`PhraseError::EmptyPhrase`]; [`PhraseError::PhraseTooLong`];
    /// [`PhraseError::PhraseInTwoConcepts`];
    /// [`MapError::TokenOutOfRange`](crate::map::MapError::TokenOutOfRange);
    /// [`MapError::VocabularySize`](crate::map::MapError::VocabularySize).
    pub fn phrase(
        mut self,
        name: impl Into<String>,
        tokens: impl IntoIterator<Item = u32>,
    ) -> Result<Self, PhraseError> {
        let (name, trie) = (name.into(), &mut self.trie);
        let vocab_size = check_vocab_size(trie.vocab_size)?;
        let tokens = checked_phrase(&name, tokens, vocab_size)?;
        let next = trie.names.len() as u32;
        let concept = *self.ids.entry(name.clone()).or_insert(next);
        if concept == next {
            trie.names.push(name);
        }
        let mut node = 0;
        for &token in &tokens {
            let (child, depth) = (trie.nodes.len(), trie.nodes[node].depth + 1);
            let found = *trie.nodes[node].children.entry(token).or_insert(child);
            if found == child {
                let children = BTreeMap::new();
                trie.nodes.push(Node { parent: node, token, depth, children, phrase: None });
            }
            node = found;
        }
        match trie.nodes[node].phrase {
            None => {
                trie.nodes[node].phrase = Some(trie.phrases.len());
                trie.phrases.push(Phrase { concept, tokens });
            }
            Some(phrase) if trie.phrases[phrase].concept == concept => {}
            Some(phrase) => {
                let of = |concept: u32| trie.names[concept as usize].clone();
                let (first, second) = (of(trie.phrases[phrase].concept), of(concept));
                return Err(PhraseError::PhraseInTwoConcepts { tokens, first, second });
            }
        }
        Ok(self)
    }

    /// Names tokens that end an answer, in addition to those named before: the end of the sequence, a
    /// line break, a full stop.
    ///
    /// With ends, a phrase counts with the probability that one of them follows it. Without, it counts
    /// whatever follows, unless that makes it a longer phrase of the trie.
    ///
    /// # Errors
    ///
    /// [`MapError::TokenOutOfRange`](crate::map::MapError::TokenOutOfRange);
    /// [`MapError::VocabularySize`](crate::map::MapError::VocabularySize).
    pub fn ends(mut self, tokens: impl IntoIterator<Item = u32>) -> Result<Self, PhraseError> {
        let vocab_size = check_vocab_size(self.trie.vocab_size)?;
        add_ends(&mut self.trie.ends, tokens, vocab_size)?;
        Ok(self)
    }

    /// Makes the trie.
    ///
    /// # Errors
    ///
    /// [`PhraseError::NoPhrases`]; [`PhraseError::EndInPhrase`] if a phrase holds a token that ends an
    /// answer.
    pub fn build(self) -> Result<PhraseTrie, PhraseError> {
        let trie = self.trie;
        if trie.phrases.is_empty() {
            return Err(PhraseError::NoPhrases);
        }
        for Phrase { concept, tokens } in &trie.phrases {
            if let Some(&token) = tokens.iter().find(|token| trie.ends.contains(token)) {
                let concept = trie.names[*concept as usize].clone();
                return Err(PhraseError::EndInPhrase { token, concept });
            }
        }
        Ok(trie)
    }
}

/// The tokens of a phrase. They are checked one by one as they come, so that an iterator of any
/// length takes no more memory than the longest phrase.
fn checked_phrase(
    concept: &str,
    tokens: impl IntoIterator<Item = u32>,
    vocab_size: usize,
) -> Result<Vec<u32>, PhraseError> {
    let mut checked = Vec::new();
    for token in tokens {
        if checked.len() == MAX_PHRASE_LENGTH {
            return Err(PhraseError::PhraseTooLong { concept: concept.to_owned() });
        }
        checked.push(check_token(token, vocab_size, || format!("concept {concept:?}"))?);
    }
    match checked.is_empty() {
        true => Err(PhraseError::EmptyPhrase { concept: concept.to_owned() }),
        false => Ok(checked),
    }
}

/// Adds tokens that end an answer, one by one: they take no more memory than a vocabulary.
pub(super) fn add_ends(
    ends: &mut BTreeSet<u32>,
    tokens: impl IntoIterator<Item = u32>,
    vocab_size: usize,
) -> Result<(), PhraseError> {
    for token in tokens {
        ends.insert(check_token(token, vocab_size, || "the ends".to_owned())?);
    }
    Ok(())
}
