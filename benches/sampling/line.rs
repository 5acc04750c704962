//! The lines of the table: what is asked in each, whether the answers are right, and their times.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use candle_core::{DType, Device, Tensor};
use concept_mass::{ConceptMap, DeviceMap};

use super::mode::{MODES, Mode};
use super::oracle::{Kept, Oracle};
use super::past::Past;
use super::rivals::{Candle, Floor, Ours, Rival, median, uniforms};
use super::row::Shape;
use super::torch::Torch;
use crate::common::Pooling;

/// The maps: one that pools nothing, a few, most at even distances, and most at random.
pub const MAPS: [Option<Pooling>; 4] =
    [None, Some(Pooling::Sparse), Some(Pooling::Dense), Some(Pooling::Scattered)];

/// So many answers of each rival are checked.
const ANSWERS: usize = 12;

/// What the lines of a row and a map have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Case {
    pub vocab_size: usize,
    pub dtype: DType,
    pub shape: Shape,
    pub pooling: Option<Pooling>,
}

/// A line, measured; times are in microseconds.
#[derive(Clone, Copy)]
pub struct Line {
    pub case: Case,
    pub mode: Mode,
    /// How many concepts the filters leave to draw from.
    pub left: usize,
    pub ours: f64,
    pub floor: Option<f64>,
    pub candle: Option<f64>,
    pub torch: Option<f64>,
}

/// How long a line is measured.
#[derive(Clone, Copy)]
pub struct Effort {
    pub bursts: usize,
    pub burst: Duration,
    pub line: Duration,
}

impl Effort {
    /// One call each: for the answers alone.
    pub const CHECK: Self = Self { bursts: 1, burst: Duration::ZERO, line: Duration::ZERO };

    /// For lines that are to be looked at.
    pub const MEASURE: Self =
        Self { bursts: 3, burst: Duration::from_millis(8), line: Duration::from_millis(200) };

    /// For lines about which something is promised.
    pub const CLAIM: Self = Self { bursts: 7, line: Duration::from_millis(400), ..Self::MEASURE };
}

impl Case {
    /// As in `128256/f32/p.4/dense`.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.vocab_size, self.dtype.as_str(), self.row_and_map())
    }

    pub fn row_and_map(&self) -> String {
        format!("{}/{}", self.shape.name(), map_name(self.pooling))
    }

    /// Greedy sampling by a map that pools is the decision.
    pub fn modes(&self) -> impl Iterator<Item = Mode> {
        let pools = self.pooling.is_some();
        MODES.into_iter().filter(move |&mode| !(pools && mode == Mode::Greedy))
    }
}

pub fn map_name(pooling: Option<Pooling>) -> String {
    pooling.map_or("nothing".to_owned(), |pooling| format!("{pooling:?}").to_lowercase())
}

pub fn map(pooling: Option<Pooling>, vocab_size: usize) -> anyhow::Result<DeviceMap> {
    let map = match pooling {
        None => ConceptMap::singletons(vocab_size)?,
        Some(pooling) => pooling.map(vocab_size),
    };
    Ok(map.to_device(&Device::Cpu)?)
}

/// What the rivals work on, and what they should find.
pub struct Inputs<'a> {
    case: Case,
    map: &'a DeviceMap,
    logits: Tensor,
    past: Past,
    oracle: Oracle,
    /// After penalties and mask.
    changed: Oracle,
}

impl<'a> Inputs<'a> {
    pub fn new(case: Case, map: &'a DeviceMap) -> anyhow::Result<Self> {
        let logits = case.shape.logits(case.vocab_size, case.dtype)?;
        let in_f64 = logits.to_dtype(DType::F64)?.to_vec1()?;
        let past = Past::of(&in_f64);
        let oracle = Oracle::new(map.map(), &in_f64)?;
        let changed = Oracle::new(map.map(), &past.apply(&in_f64))?;
        Ok(Self { case, map, logits, past, oracle, changed })
    }

    /// Checks the answers of a mode, then measures them: all rivals in turn, in short bursts.
    pub fn measure(
        &self,
        mode: Mode,
        effort: Effort,
        torch: Option<&mut Torch>,
    ) -> anyhow::Result<Line> {
        let mut rivals = self.rivals(mode, torch)?;
        let name = || format!("{}/{}", self.case.name(), mode.name());
        let kept = self.oracle(mode).kept(mode.filter());
        self.check_ours(mode, &kept, &mut rivals.ours).with_context(name)?;
        self.check_rivals(mode, &kept, &mut rivals).with_context(name)?;
        let [ours, floor, candle, torch] = rivals.times(effort)?;
        Ok(Line {
            case: self.case,
            mode,
            left: kept.count,
            ours: ours.context("a burst")?,
            floor,
            candle,
            torch,
        })
    }

    /// What torch has to know of them.
    pub fn tell(&self, torch: &mut Torch) -> anyhow::Result<()> {
        torch.set_row(&self.logits, self.case.pooling.map(|_| self.map.map()), &self.past)
    }

    fn oracle(&self, mode: Mode) -> &Oracle {
        if mode == Mode::Everything { &self.changed } else { &self.oracle }
    }

    fn rivals<'b>(
        &'b self,
        mode: Mode,
        torch: Option<&'b mut Torch>,
    ) -> anyhow::Result<Rivals<'b>> {
        let pools_nothing = self.case.pooling.is_none();
        Ok(Rivals {
            ours: Ours::new(mode, self.map, &self.logits, &self.past)?,
            floor: Floor::new(&self.logits)?,
            // It would draw tokens where a map asks for concepts.
            candle: if pools_nothing { Candle::new(mode, &self.logits) } else { None },
            torch,
        })
    }

    fn check_ours(&self, mode: Mode, kept: &Kept, ours: &mut Ours) -> anyhow::Result<()> {
        let oracle = self.oracle(mode);
        if let Some(decision) = ours.decide()? {
            return oracle.check_decision(&decision);
        }
        for uniform in uniforms().take(ANSWERS) {
            ours.prepare()?;
            let concept = oracle.concept_of(ours.token()?)?;
            match ours {
                _ if mode == Mode::Greedy => oracle.check_winner(concept)?,
                // Whose generator is candle's.
                Ours::Sampler { .. } => kept.check_draw(concept, uniform, 1e-4)?,
                _ => kept.check(concept)?,
            }
        }
        Ok(())
    }

    fn check_rivals(&self, mode: Mode, kept: &Kept, rivals: &mut Rivals) -> anyhow::Result<()> {
        let oracle = self.oracle(mode);
        if let Some(floor) = &rivals.floor {
            let log_z = floor.log_sum_exp().context("a floor")?;
            ensure!((log_z - self.oracle.log_z()).abs() < 1e-4, "the floor: {log_z}");
        }
        if let Some(candle) = &mut rivals.candle {
            for uniform in uniforms().take(ANSWERS) {
                let token = candle.token()?;
                match mode {
                    Mode::Greedy => oracle.check_largest(token),
                    // candle adds up in f32, token by token.
                    Mode::All | Mode::TopP => kept.check_draw(token, uniform, 0.01),
                    _ => kept.check(token),
                }
                .context("candle")?;
            }
        }
        if let Some(torch) = &mut rivals.torch {
            for concept in torch.set_mode(mode, ANSWERS)? {
                match mode {
                    Mode::Greedy => oracle.check_largest(concept),
                    Mode::Decision => oracle.check_winner(concept),
                    _ => kept.check(concept),
                }
                .context("torch")?;
            }
        }
        Ok(())
    }
}

/// Those that a line has.
struct Rivals<'a> {
    ours: Ours<'a>,
    floor: Option<Floor>,
    candle: Option<Candle>,
    torch: Option<&'a mut Torch>,
}

impl Rivals<'_> {
    /// Medians of their bursts, in the order of the fields.
    fn times(
        &mut self,
        Effort { bursts, burst, line }: Effort,
    ) -> anyhow::Result<[Option<f64>; 4]> {
        let mut times: [Vec<f64>; 4] = Default::default();
        let start = Instant::now();
        while times[0].len() < bursts || start.elapsed() < line {
            times[0].push(self.ours.burst(burst)?);
            if let Some(floor) = &mut self.floor {
                times[1].push(floor.burst(burst)?);
            }
            if let Some(candle) = &mut self.candle {
                times[2].push(candle.burst(burst)?);
            }
            if let Some(torch) = &mut self.torch {
                times[3].push(torch.burst(burst)?);
            }
        }
        Ok(times.map(|times| (!times.is_empty()).then(|| median(times))))
    }
}
