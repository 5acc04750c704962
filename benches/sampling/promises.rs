//! What is promised of the lines at V = 128,256 in f32, and whether it is kept.

use candle_core::DType;

use super::line::Line;
use super::mode::{MODES, Mode};
use super::rivals::median;
use crate::common::Pooling;

/// Whether anything is promised there.
pub fn are_made_at(vocab_size: usize, dtype: DType) -> bool {
    vocab_size == 128_256 && dtype == DType::F32
}

/// The most floors that a mode may take.
fn floors(mode: Mode) -> f64 {
    match mode {
        Mode::Greedy => 0.8,
        Mode::Decision => 1.8,
        Mode::All | Mode::Gumbel => 2.5,
        Mode::TopK | Mode::MinP => 3.0,
        Mode::TopP | Mode::TopKThenTopP => 4.0,
        Mode::Everything => 5.0,
    }
}

/// How many times as long candle has to take, at least.
fn times_candle(mode: Mode) -> Option<f64> {
    Some(match mode {
        Mode::Greedy => 1.5,
        Mode::All => 10.0,
        Mode::TopK => 14.0,
        Mode::TopP => 40.0,
        Mode::TopKThenTopP => 11.0,
        Mode::Gumbel => 12.0,
        Mode::Decision | Mode::MinP | Mode::Everything => return None,
    })
}

/// What a dense map may cost, in the time of a sparse one.
fn dense_per_sparse(mode: Mode) -> f64 {
    if mode == Mode::Decision { 1.1 } else { 1.5 }
}

/// A promise about several lines.
struct Promise {
    what: String,
    limit: f64,
    /// Whether the limit is the most, and not the least.
    at_most: bool,
    /// Where it is measured, and what.
    measured: Vec<(String, f64)>,
}

impl Promise {
    fn is_kept(&self, value: f64) -> bool {
        if self.at_most { value <= self.limit } else { value >= self.limit }
    }

    fn print(&self) {
        let by_value = |a: &&(String, f64), b: &&(String, f64)| a.1.total_cmp(&b.1);
        let worst = match self.at_most {
            true => self.measured.iter().max_by(by_value),
            false => self.measured.iter().min_by(by_value),
        };
        let Some((place, value)) = worst else {
            return;
        };
        let word = if self.at_most { "at most" } else { "at least" };
        let lines = self.measured.len();
        let kept = self.measured.iter().filter(|(_, value)| self.is_kept(*value)).count();
        let verdict = if kept == lines { "kept" } else { "NOT kept" };
        let Self { what, limit, .. } = self;
        println!(
            "| {what} | {word} {limit} | {value:.2} | {place} | {verdict} | {kept} of {lines} |"
        );
    }
}

/// Prints the promises about those of these lines about which there are any.
pub fn print(lines: &[Line]) {
    let lines: Vec<Line> = lines
        .iter()
        .copied()
        .filter(|line| are_made_at(line.case.vocab_size, line.case.dtype))
        .collect();
    if lines.is_empty() {
        return;
    }
    println!(
        "\n### What is promised at V = 128256, f32\n\n\
         | what | limit | worst | where | | lines that keep it |\n| --- | ---: | ---: | --- | --- | ---: |"
    );
    let promises = [per_floor, candle_per_ours, dense, flat, flat_decisions];
    for promise in promises.iter().flat_map(|of_lines| of_lines(&lines)) {
        promise.print();
    }
}

fn is_dense(line: &Line) -> bool {
    matches!(line.case.pooling, Some(Pooling::Dense | Pooling::Scattered))
}

/// Of typical rows. Of a dense map only the decision: how much slower it may be otherwise is
/// [promised](dense) for itself.
fn per_floor(lines: &[Line]) -> Vec<Promise> {
    let of_mode = |mode: Mode| Promise {
        what: format!("{}, typical rows: ours ÷ floor", mode.name()),
        limit: floors(mode),
        at_most: true,
        measured: lines
            .iter()
            .filter(|line| line.mode == mode && !line.case.shape.is_flat())
            .filter(|line| mode == Mode::Decision || !is_dense(line))
            .filter_map(|line| Some((line.name(), line.per_floor()?)))
            .collect(),
    };
    MODES.into_iter().map(of_mode).collect()
}

/// Of typical rows; candle is there where the map pools nothing.
fn candle_per_ours(lines: &[Line]) -> Vec<Promise> {
    let of_mode = |mode: Mode| {
        Some(Promise {
            what: format!("{}, typical rows: candle ÷ ours", mode.name()),
            limit: times_candle(mode)?,
            at_most: false,
            measured: lines
                .iter()
                .filter(|line| line.mode == mode && !line.case.shape.is_flat())
                .filter_map(|line| Some((line.name(), line.candle_per_ours()?)))
                .collect(),
        })
    };
    MODES.into_iter().filter_map(of_mode).collect()
}

/// Of typical rows.
fn dense(lines: &[Line]) -> Vec<Promise> {
    let sparse = |dense: &Line| {
        let is_sparse = |line: &&Line| line.case.pooling == Some(Pooling::Sparse);
        let same = |line: &&Line| line.mode == dense.mode && line.case.shape == dense.case.shape;
        lines.iter().filter(is_sparse).find(same).map(|line| line.ours)
    };
    let of_mode = |mode: Mode| Promise {
        what: format!("{}, typical rows: a dense map ÷ a sparse one", mode.name()),
        limit: dense_per_sparse(mode),
        at_most: true,
        measured: lines
            .iter()
            .filter(|line| line.mode == mode && is_dense(line) && !line.case.shape.is_flat())
            .filter_map(|line| Some((line.name(), line.ours / sparse(line)?)))
            .collect(),
    };
    MODES.into_iter().map(of_mode).collect()
}

/// Relative to the median of the typical rows with the same map.
fn flat(lines: &[Line]) -> Vec<Promise> {
    let typical = |flat: &Line| {
        let same = |line: &&Line| line.mode == flat.mode && line.case.pooling == flat.case.pooling;
        let typical = lines.iter().filter(same).filter(|line| !line.case.shape.is_flat());
        let times: Vec<f64> = typical.map(|line| line.ours).collect();
        (!times.is_empty()).then(|| median(times))
    };
    let of_mode = |mode: Mode| Promise {
        what: format!("{}: a flat row ÷ a typical one", mode.name()),
        limit: 3.0,
        at_most: true,
        measured: lines
            .iter()
            .filter(|line| line.mode == mode && line.case.shape.is_flat())
            .filter_map(|line| Some((line.name(), line.ours / typical(line)?)))
            .collect(),
    };
    MODES.into_iter().map(of_mode).collect()
}

fn flat_decisions(lines: &[Line]) -> Vec<Promise> {
    let is_it = |line: &&Line| line.mode == Mode::Decision && line.case.shape.is_flat();
    let of_flat = lines.iter().filter(is_it).filter(|line| is_dense(line));
    vec![Promise {
        what: "decision, flat rows, a dense map: ours ÷ floor".to_owned(),
        limit: 3.5,
        at_most: true,
        measured: of_flat.filter_map(|line| Some((line.name(), line.per_floor()?))).collect(),
    }]
}
