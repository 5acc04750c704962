//! All that is public can be sent to another thread, and shared among threads.

use commitment_probe::{stats::*, *};

fn assert<T: Send + Sync + 'static>() {}

/// Of any model, such as this one.
struct Model;

#[test]
fn all_public_types_are_send_and_sync() {
    assert::<(Error, QuestionProblem, UnfitQuestion, Question, Schema)>();
    assert::<(Prober<Model>, ProbeOptions, Asked<'static>)>();
    assert::<(Sample, FirstStep, SecondStep, Decision, Vote, AtTemperature)>();
    assert::<(Sampled, SampledAnswer, Decoder, Detector, Outcome, Report)>();
    assert::<(Summary, Threshold, Concentration, Difference, Matched, SecondToken)>();
    assert::<(DecoderSummary, Temperature, MassAt, SampledSummary, SampledShares)>();
    assert::<(Estimate, RankTest, Calibration, Bin)>();
}
