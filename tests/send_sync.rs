//! All that is public can be sent to another thread, and shared among threads.

use concept_mass::*;

fn assert<T: Send + Sync + 'static>() {}

#[test]
fn all_public_types_are_send_and_sync() {
    assert::<Error>();
    assert::<(ConceptMap, map::ConceptMapBuilder, map::MapStats, map::OnConflict)>();
    assert::<(TokenSets, map::TokenSetsBuilder, map::MapError, map::FileProblem)>();
    assert::<(source::Embedding, source::SourceError)>();
    assert::<(DeviceMap, reduce::DeviceTokenSets, reduce::SetMasses, reduce::Reduction)>();
    assert::<(Row, Decision, BadRow, reduce::ReduceError, Noise, reference::ReferenceRow)>();
    assert::<(reduce::Decisions, reduce::RunnerUp, reduce::BadRowReason, reduce::SetMass)>();
    assert::<(MapSet, MapId, sample::BatchSampler, sample::SampledBatch)>();
    assert::<(sample::Draft, sample::AcceptSpelling, sample::Verified, sample::VerifiedBatch)>();
    assert::<phrase::OpenVocabulary>();
    assert::<(ConceptSampler, Sampling, sample::TopKPooling, sample::SampleError)>();
    assert::<(phrase::Phrase, phrase::PhraseTrie, phrase::PhraseTrieBuilder)>();
    assert::<(phrase::DevicePhrases, phrase::PhraseVote, phrase::PhraseCost)>();
    assert::<(phrase::Continuation, phrase::OpenVote, phrase::Rollouts, phrase::PhraseError)>();
}

#[cfg(feature = "tokenizers")]
#[test]
fn so_are_those_of_text() {
    use source::{Aliases, Beginning, FirstTokens, Form, Piece, SharedToken, Spelling, Vocabulary};
    assert::<(Aliases, Beginning, FirstTokens, Form, Piece, SharedToken, Spelling, Vocabulary)>();
    assert::<source::JudgeError>();
}
