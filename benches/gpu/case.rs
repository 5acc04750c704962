//! The points of the benchmark.

use candle_core::DType;
use concept_mass::ConceptMap;

use super::rival::Rival;
use crate::common::Pooling;
use crate::common::spellings::spellings;

/// All input sets together are at most so large, unless two are larger.
const MAX_BYTES: usize = 512 << 20;

/// The largest probability of most rows.
const USUAL_P_MAX: f64 = 0.39;

/// One point of the benchmark.
#[derive(Clone, Copy, PartialEq)]
pub struct Case {
    pub vocab_size: usize,
    pub batch: usize,
    pub dtype: DType,
    pub map: Map,
    /// The largest probability of a row.
    pub p_max: f64,
    /// Whether the same logits are read again and again, so that the second-level cache has them, as
    /// after the kernel that computes them; or others each time, from memory.
    pub hot: bool,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Map {
    Pooling(Pooling),
    /// As a spelling map has them, with one concept of so many tokens and none larger.
    Spellings(usize),
}

use Map::Spellings;
const SPARSE: Map = Map::Pooling(Pooling::Sparse);

/// Not all combinations, but a line along each axis, what matters most first.
pub fn cases() -> Vec<Case> {
    let usual = |vocab_size, batch, map| Case {
        vocab_size,
        batch,
        dtype: DType::BF16,
        map,
        p_max: USUAL_P_MAX,
        hot: false,
    };
    let mut cases = Vec::new();
    for map in [SPARSE, Spellings(62)] {
        cases.extend([1, 64, 8, 256].map(|batch| usual(131_072, batch, map)));
    }
    cases.extend([1, 8, 64].map(|batch| Case { hot: true, ..usual(131_072, batch, SPARSE) }));
    for p_max in [0.39, 0.11, 0.04] {
        for largest in [4, 62, 114] {
            let rows = |batch| Case { p_max, ..usual(128_256, batch, Spellings(largest)) };
            cases.extend([1, 64].map(rows));
        }
    }
    for batch in [1, 64] {
        cases.push(usual(151_936, batch, Spellings(114)));
        cases.push(Case { dtype: DType::F32, ..usual(131_072, batch, SPARSE) });
        for pooling in [Pooling::Dense, Pooling::Scattered] {
            cases.push(usual(131_072, batch, Map::Pooling(pooling)));
        }
        cases.extend([32_000, 262_144].map(|vocab_size| usual(vocab_size, batch, SPARSE)));
    }
    cases
}

impl Map {
    pub fn name(self) -> String {
        match self {
            Map::Pooling(pooling) => format!("{pooling:?}").to_lowercase(),
            Spellings(largest) => format!("spellings{largest}"),
        }
    }

    pub fn of(self, vocab_size: usize) -> ConceptMap {
        match self {
            Map::Pooling(pooling) => pooling.map(vocab_size),
            Spellings(largest) => spellings(vocab_size, largest),
        }
    }
}

impl Case {
    /// As in `131072/b64/bf16/sparse`, or `128256/b64/bf16/spellings62/p.11`, or with `/hot` at the
    /// end.
    pub fn name(&self) -> String {
        let Self { vocab_size, batch, dtype, map, p_max, hot } = self;
        let mut name = format!("{vocab_size}/b{batch}/{}/{}", dtype.as_str(), map.name());
        if *p_max != USUAL_P_MAX {
            name += &format!("/p{p_max}").replace("p0.", "p.");
        }
        if *hot {
            name += "/hot";
        }
        name
    }

    /// What is measured here. A replay reads the logits that were there when it was recorded; to
    /// those rivals that look at every token alike, p_max makes no difference; and what samples
    /// plain tokens, in bf16, knows no map.
    pub fn rivals(&self) -> impl Iterator<Item = Rival> {
        let (hot, usual) = (self.hot, self.p_max == USUAL_P_MAX);
        let samples = usual && !hot && self.map == SPARSE && self.dtype == DType::BF16;
        Rival::ALL.into_iter().chain(Rival::SAMPLERS).filter(move |rival| match rival {
            Rival::Replay => hot,
            Rival::CandleChain | Rival::Host => usual && !hot,
            Rival::Sampler(..) | Rival::CandleProbs => samples,
            _ => true,
        })
    }

    /// The bytes of the logits of one call.
    pub fn bytes(&self) -> usize {
        self.batch * self.vocab_size * self.dtype.size_in_bytes()
    }

    /// One input set, or as many as, taken in turn, are never in the second-level cache when it is
    /// their turn again.
    pub fn sets(&self, l2_bytes: usize) -> usize {
        if self.hot {
            return 1;
        }
        let max = (MAX_BYTES / self.bytes()).max(2);
        (2 * l2_bytes / self.bytes() + 1).clamp(2, max)
    }
}
