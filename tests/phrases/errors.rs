//! What cannot be voted on, and models that give what they should not.

use std::{cell::RefCell, rc::Rc};

use candle_core::{DType, Device, Result, Tensor};
use concept_mass::map::MapError;
use concept_mass::phrase::PhraseError;
use concept_mass::reduce::BadRowReason;
use concept_mass::{
    map::OnConflict,
    phrase::{CachedForward, CachedModel, NextLogits, PhraseTrie, SharedPrompt},
    source::{Aliases, Vocabulary},
};

use super::toy::Toy;

fn tiny() -> Vocabulary {
    Vocabulary::load(concept_mass_tiny::folder().join("tokenizer.json"), 1152).unwrap()
}

#[test]
fn unfit_phrases_are_refused() {
    let builder = || PhraseTrie::builder(5).phrase("a", [1, 2]).unwrap();
    let error = builder().phrase("b", []).unwrap_err();
    assert!(matches!(&error, PhraseError::EmptyPhrase { concept } if concept == "b"), "{error}");
    let error = builder().phrase("b", [1, 5]).unwrap_err();
    assert!(
        matches!(error, PhraseError::Map(MapError::TokenOutOfRange { token: 5, .. })),
        "{error}"
    );
    let error = builder().ends([5]).unwrap_err();
    assert!(error.to_string().contains("token 5 of the ends is out of range"), "{error}");
    let error = builder().phrase("b", [1, 2]).unwrap_err().to_string();
    assert!(error.contains("[1, 2] is said to mean \"a\" and \"b\""), "{error}");
    let error = builder().ends([2]).unwrap().build().unwrap_err();
    assert!(
        matches!(&error, PhraseError::EndInPhrase { token: 2, concept } if concept == "a"),
        "{error}"
    );
    let error = PhraseTrie::builder(5).build().unwrap_err();
    assert!(matches!(error, PhraseError::NoPhrases), "{error}");
    let error = PhraseTrie::builder(0).phrase("a", [0]).unwrap_err();
    assert!(
        matches!(error, PhraseError::Map(MapError::VocabularySize { vocab_size: 0 })),
        "{error}"
    );
}

#[test]
fn a_form_of_two_concepts_is_refused_left_out_or_the_firsts() {
    let aliases = Aliases::new()
        .concept("UK", ["Britain", "UK"])
        .and_then(|a| a.concept("island", ["Great Britain", "Britain"]))
        .unwrap();
    let firsts = aliases.after(&tiny(), "A:\n").unwrap();
    let error = firsts.phrases(OnConflict::Refuse).unwrap_err();
    assert!(matches!(error, PhraseError::PhraseInTwoConcepts { .. }), "{error}");
    let phrases = |policy| firsts.phrases(policy).unwrap().build().unwrap();
    assert_eq!(phrases(OnConflict::LeaveOut).phrases().len(), 2);
    let first = phrases(OnConflict::First);
    assert_eq!(first.phrases().iter().filter(|phrase| phrase.concept == 0).count(), 2);
    assert_eq!(first.phrases().len(), 3);
}

#[test]
fn the_end_of_the_sequence_within_a_form_is_refused() {
    let vocabulary = tiny();
    let aliases = Aliases::new().concept("a", ["Saint<|end|>Paul"]).unwrap();
    let builder = aliases.after(&vocabulary, "A:").unwrap().phrases(OnConflict::Refuse).unwrap();
    let end = vocabulary.encode("<|end|>").unwrap();
    let error = builder.ends(end).unwrap().build().unwrap_err();
    assert!(matches!(error, PhraseError::EndInPhrase { token: 0, .. }), "{error}");
}

#[test]
fn prompts_that_are_nothing_or_too_much_are_refused() {
    let trie = PhraseTrie::builder(5).phrase("a", [1, 2, 3]).unwrap();
    let open = trie.clone().build().unwrap().to_device(&Device::Cpu).unwrap();
    let closed = trie.ends([4]).unwrap().build().unwrap().to_device(&Device::Cpu).unwrap();
    let toy = &mut Toy::new(5, Device::Cpu); // reads twelve tokens
    let error = open.vote(toy, &[]).unwrap_err();
    assert!(matches!(error, PhraseError::EmptyPrompt), "{error}");
    // The last token of a phrase is not read, but where its end is asked for.
    assert!(open.vote(toy, &[0; 10]).is_ok() && closed.vote(toy, &[0; 9]).is_ok());
    for (phrases, prompt) in [(&open, 11), (&closed, 10)] {
        let error = phrases.vote(toy, &vec![0; prompt]).unwrap_err();
        assert!(matches!(error, PhraseError::TooLong { phrase: 3, context: 12, .. }), "{error}");
    }
}

/// Gives the same, whatever it is asked.
struct Given(Tensor);

impl NextLogits for Given {
    fn next_logits(&mut self, _: &[Vec<u32>]) -> Result<Tensor> {
        Ok(self.0.clone())
    }
}

#[test]
fn logits_that_are_none_are_refused() {
    let trie = PhraseTrie::builder(3).phrase("a", [1, 2]).unwrap().build().unwrap();
    let phrases = trie.to_device(&Device::Cpu).unwrap();
    let vote = |logits: &[f32], shape: &[usize], dtype: DType| {
        let logits = Tensor::from_slice(logits, shape, &Device::Cpu).unwrap();
        phrases.vote(&mut Given(logits.to_dtype(dtype).unwrap()), &[0])
    };
    for dtype in [DType::F64, DType::F32, DType::BF16, DType::F16] {
        let vote = vote(&[0.0; 3], &[1, 3], dtype).unwrap();
        assert!((vote.mass(0) - 1.0 / 9.0).abs() < 1e-6);
    }
    for shape in [&[3][..], &[3, 1], &[1, 1, 3]] {
        let error = vote(&[0.0; 3], shape, DType::F32).unwrap_err();
        assert!(matches!(error, PhraseError::ModelOutput { expected: (1, 3), .. }), "{error}");
    }
    let (nan, inf) = (f32::NAN, f32::INFINITY);
    for (bad, why) in [
        ([0.0, nan, 0.0], BadRowReason::Nan),
        ([0.0, inf, 0.0], BadRowReason::PosInf),
        ([nan, inf, 0.0], BadRowReason::NanAndPosInf),
        ([-inf; 3], BadRowReason::AllNegInf),
    ] {
        let error = vote(&bad, &[1, 3], DType::F32).unwrap_err();
        assert!(
            matches!(&error, PhraseError::Logits { after, reason } if after.is_empty() && *reason == why),
            "{error}"
        );
        assert!(error.to_string().contains(&why.to_string()), "{error}");
    }
    // A token that is masked is no error: the phrase cannot be said.
    let masked = [0.0, f32::NEG_INFINITY, 0.0];
    assert_eq!(vote(&masked, &[1, 3], DType::F32).unwrap().mass(0), 0.0);
}

/// Counts what it reads, and fails when told to.
#[derive(Default)]
struct Reader {
    read: Vec<(usize, usize)>,
    resets: usize,
    fails: bool,
}

impl CachedForward for Reader {
    fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor> {
        let (rows, columns) = tokens.dims2()?;
        self.read.push((offset, columns));
        if self.fails {
            candle_core::bail!("out of memory");
        }
        Tensor::zeros((rows, 1, 3), DType::F32, &Device::Cpu)
    }

    fn reset(&mut self) {
        self.resets += 1;
    }
}

#[test]
fn what_was_read_is_not_read_again_unless_it_is_of_no_use() {
    let mut model = CachedModel::new(Reader::default(), Device::Cpu, None);
    let ask = |model: &mut CachedModel<Reader>, sequences: &[&[u32]]| {
        let sequences: Vec<Vec<u32>> = sequences.iter().map(|s| s.to_vec()).collect();
        let shape = model.next_logits(&sequences).map(|logits| logits.dims().to_vec());
        (shape.ok(), *model.model().read.last().unwrap(), model.model().resets)
    };
    assert_eq!(ask(&mut model, &[&[1, 2], &[1, 2]]), (Some(vec![2, 3]), (0, 2), 1));
    assert_eq!(ask(&mut model, &[&[1, 2, 3], &[1, 2, 4]]), (Some(vec![2, 3]), (2, 1), 1));
    assert_eq!(ask(&mut model, &[&[1, 2, 3, 4, 5], &[1, 2, 4, 0, 0]]).1, (3, 2));
    // One of them goes elsewhere; there is one less; the same again, which has nothing to read.
    assert_eq!(ask(&mut model, &[&[1, 2, 3, 4, 5, 6], &[1, 2, 5, 0, 0, 0]]).1, (0, 6));
    assert_eq!(ask(&mut model, &[&[1, 2, 3, 4, 5, 6, 7]]).1, (0, 7));
    assert_eq!(ask(&mut model, &[&[1, 2, 3, 4, 5, 6, 7]]), (Some(vec![1, 3]), (0, 7), 4));
    // After a failure, and after the model was lent, nothing is known.
    model.model_mut().fails = true;
    assert_eq!(ask(&mut model, &[&[1, 2, 3, 4, 5, 6, 7, 8]]).1, (0, 8));
    model.model_mut().fails = false;
    assert_eq!(ask(&mut model, &[&[1, 2, 3, 4, 5, 6, 7, 8, 9]]), (Some(vec![1, 3]), (0, 9), 6));
}

/// The offset and the tokens of every pass.
type Passes = Rc<RefCell<Vec<(usize, Vec<u32>)>>>;

/// Counts what it reads, as do all of its copies.
#[derive(Clone, Default)]
struct Copied {
    read: Passes,
    /// What is in its own cache.
    cache: Vec<u32>,
}

impl CachedForward for Copied {
    fn forward(&mut self, tokens: &Tensor, offset: usize) -> Result<Tensor> {
        let tokens = tokens.squeeze(0)?.to_vec1::<u32>()?;
        assert_eq!(self.cache.len(), offset);
        self.cache.extend(&tokens);
        self.read.borrow_mut().push((offset, tokens));
        // What is known of a sequence is its sum.
        let sum: u32 = self.cache.iter().sum();
        Tensor::full(sum as f32, (1, 1, 3), &Device::Cpu)
    }

    fn reset(&mut self) {
        self.cache.clear();
    }
}

#[test]
fn a_prompt_is_read_once_for_all_rows() {
    let copied = Copied::default();
    let read = copied.read.clone();
    let mut model = SharedPrompt::new(copied, Device::Cpu, None);
    let mut ask = |sequences: &[&[u32]]| {
        let sequences: Vec<Vec<u32>> = sequences.iter().map(|s| s.to_vec()).collect();
        let logits = model.next_logits(&sequences).unwrap();
        assert_eq!(logits.dims(), [sequences.len(), 3]);
        for (sequence, logits) in sequences.iter().zip(logits.to_vec2::<f32>().unwrap()) {
            assert_eq!(logits[0], sequence.iter().sum::<u32>() as f32);
        }
        read.take()
    };
    assert_eq!(ask(&[&[1, 2], &[1, 2]]), [(0, vec![1, 2])]);
    assert_eq!(ask(&[&[1, 2, 3], &[1, 2, 4]]), [(2, vec![3]), (2, vec![4])]);
    assert_eq!(ask(&[&[1, 2, 3, 5], &[1, 2, 4, 6]]), [(2, vec![3, 5]), (2, vec![4, 6])]);
    // The text goes on, and the rows share more of it.
    assert_eq!(ask(&[&[1, 2, 3]]), [(2, vec![3])]);
    let rows = ask(&[&[1, 2, 3, 4, 5], &[1, 2, 3, 4, 6]]);
    assert_eq!(rows, [(3, vec![4]), (4, vec![5]), (4, vec![6])]);
    // The same again, another one, and rows that have nothing in common.
    assert_eq!(ask(&[&[1, 2, 3, 4]]), [(0, vec![1, 2, 3, 4])]);
    assert_eq!(ask(&[&[1, 9, 1]]), [(0, vec![1, 9, 1])]);
    assert_eq!(ask(&[&[1, 9], &[2, 9]]), [(0, vec![1, 9]), (0, vec![2, 9])]);
    assert_eq!(ask(&[&[5]]), [(0, vec![5])]);
}
