//! What a score tells apart, in groups that are drawn whole.

use super::bootstrap::Draws;
use super::groups::least_size;

/// Fewer groups of a kind than this are too few for the bootstrap.
pub(super) const FEW: usize = 5;

/// All that is scored, fold by fold in ascending order of the scores.
pub(super) struct Members {
    sorted: Vec<Member>,
    /// How many positives and how many negatives each group has.
    sizes: Vec<[u64; 2]>,
}

/// One of them.
pub(super) struct Member {
    /// Only pairs within one fold are compared.
    pub fold: usize,
    /// The place of its score among the distinct ones of its fold; of other folds, there are others.
    pub level: usize,
    /// 0 for a positive, 1 for a negative.
    pub kind: usize,
    pub group: usize,
}

impl Members {
    /// Those of groups that are numbered from 0, of which there are so many.
    pub fn new(members: impl IntoIterator<Item = Member>, groups: usize) -> Self {
        let mut sorted: Vec<Member> = members.into_iter().collect();
        sorted.sort_unstable_by_key(|m| (m.fold, m.level, m.kind, m.group));
        let mut sizes = vec![[0; 2]; groups];
        sorted.iter().for_each(|member| sizes[member.group][member.kind] += 1);
        Self { sorted, sizes }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// The number of groups.
    pub fn groups(&self) -> usize {
        self.sizes.len()
    }

    /// How many groups have members of the rarer kind.
    pub fn fewest(&self) -> usize {
        let groups = |kind: usize| self.sizes.iter().filter(|sizes| sizes[kind] > 0).count();
        groups(0).min(groups(1))
    }

    /// How many positives, and how many negatives, the groups are worth at least.
    pub fn least(&self) -> [f64; 2] {
        [0, 1].map(|kind| least_size(self.sizes.iter().map(|sizes| sizes[kind] as f64)))
    }

    /// The area under the ROC curve over the pairs of each fold, where the members of a group count
    /// so many times; `None` if no fold has both kinds.
    pub fn area(&self, times: &[u64]) -> Option<f64> {
        // Twice the pairs in which the positive is the higher, as of `twice_u`, and twice all pairs.
        let (mut twice, mut pairs) = (0, 0);
        for fold in self.sorted.chunk_by(|x, y| x.fold == y.fold) {
            let (mut above, mut below) = (0, 0);
            for level in fold.chunk_by(|x, y| x.level == y.level) {
                let mut counts = [0; 2];
                level.iter().for_each(|member| counts[member.kind] += times[member.group]);
                twice += counts[0] * (2 * below + counts[1]);
                above += counts[0];
                below += counts[1];
            }
            pairs += 2 * above * below;
        }
        (pairs > 0).then(|| twice as f64 / pairs as f64)
    }
}

/// A statistic of how often each group counts, of groups that are drawn until it has a value.
pub(super) fn resampled(
    groups: usize,
    draws: &mut Draws,
    statistic: impl Fn(&[u64]) -> Option<f64>,
) -> f64 {
    let mut times = vec![0; groups];
    loop {
        times.fill(0);
        (0..groups).for_each(|_| times[draws.place(groups)] += 1);
        if let Some(value) = statistic(&times) {
            return value;
        }
    }
}

/// The statistic without each group; not where it has no value then.
pub(super) fn jackknife(groups: usize, statistic: impl Fn(&[u64]) -> Option<f64>) -> Vec<f64> {
    let mut times = vec![1; groups];
    let mut without = |group: usize| {
        times[group] = 0;
        let without = statistic(&times);
        times[group] = 1;
        without
    };
    (0..groups).filter_map(&mut without).collect()
}
