//! All that is public can be sent to another thread, and shared among threads.

use commitment_probe::{stats::*, *};

fn assert<T: Send + Sync + 'static>() {}

/// Of any model, such as this one.
struct Model;

#[test]
fn all_public_types_are_send_and_sync() {
    assert::<(Error, QuestionProblem, UnfitQuestion, Question, Questions, Layout, Schema)>();
    assert::<(Prober<Model>, InProcess<Model>, PrefixCache, ProbeOptions, Stops)>();
    assert::<(Asked<'static>, Plan<'static>, Start<'static>, Step, Sampling)>();
    assert::<(Sample, FirstStep, LaterStep, Informative, Exchanged, Sequence, Decision)>();
    assert::<(Vote, AtTemperature, Sampled, SampledAnswer, Grade, Scorer, Accepted<'static>)>();
    assert::<(Decoder, Detector, Outcome, Verdict, Report, Comparison, Paired, Trends)>();
    assert::<(Summary, Threshold, Failures, Rates, Rate, Concentration, Matched, Pair, Member)>();
    assert::<(Later, Entropies, Entropy, DecoderSummary, Temperature, MassAt)>();
    assert::<(Competing, Kind, Evidence, Cases, Pages)>();
    assert::<(SampledSummary, SampledShares, Compared<'static>)>();
    assert::<(Estimate, Method, RankTest, SignedRankTest, Trend, Calibration, Bin)>();
}
