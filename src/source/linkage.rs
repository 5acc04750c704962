//! Complete-linkage clustering of points of which only the close pairs are known.
//!
//! Two clusters are merged only if every pair across them is close, so a chain of near neighbours
//! does not become one cluster. A cluster therefore never reaches beyond a connected component of
//! the graph of close pairs, and each component is clustered by itself.

use kodama::{Method, linkage};

/// The largest number of points in a component: their distances take 4 n² / 2 bytes, here 134 MB.
pub(super) const MAX_COMPONENT: usize = 1 << 13;

/// Stands for the distance of two points that are not close; above the distance of any that are.
const FAR: f32 = 4.0;

/// Two points, the lower first, and their distance: a number less than [`FAR`], not NaN.
pub(super) type Pair = (u32, u32, f32);

/// The clusters of two or more of `n` points, as ascending places, ordered by the first.
///
/// Fails with the size of a component of more than [`MAX_COMPONENT`] points.
pub(super) fn complete(n: usize, close: &[Pair]) -> Result<Vec<Vec<usize>>, usize> {
    let mut components = Sets::new(n);
    for &(a, b, _) in close {
        components.join(a as usize, b as usize);
    }
    let components = components.groups();
    // The place of each point within its component, and the pairs of each component.
    let mut place = vec![(0, 0); n];
    for (c, points) in components.iter().enumerate() {
        points.iter().enumerate().for_each(|(i, &point)| place[point] = (c, i));
    }
    let mut pairs = vec![Vec::new(); components.len()];
    for &(a, b, distance) in close {
        let ((c, a), (_, b)) = (place[a as usize], place[b as usize]);
        pairs[c].push((a, b, distance));
    }
    let mut clusters = Vec::new();
    for (points, pairs) in components.iter().zip(&pairs) {
        let within = component(points.len(), pairs)?;
        clusters.extend(within.iter().map(|c| c.iter().map(|&i| points[i]).collect::<Vec<_>>()));
    }
    clusters.sort();
    Ok(clusters)
}

fn component(n: usize, pairs: &[(usize, usize, f32)]) -> Result<Vec<Vec<usize>>, usize> {
    if n > MAX_COMPONENT {
        return Err(n);
    }
    // The upper triangle of the matrix of distances, row by row.
    let mut distances = vec![FAR; n * (n - 1) / 2];
    for &(a, b, distance) in pairs {
        distances[a * (2 * n - a - 1) / 2 + b - a - 1] = distance;
    }
    let tree = linkage(&mut distances, n, Method::Complete);
    // Step i of the tree merges two clusters into cluster n + i. If it is not FAR, all pairs across
    // them are close.
    let mut clusters = Sets::new(2 * n - 1);
    for (i, step) in tree.steps().iter().enumerate().filter(|(_, step)| step.dissimilarity < FAR) {
        clusters.join(step.cluster1, n + i);
        clusters.join(step.cluster2, n + i);
    }
    let of_points = clusters.groups().into_iter().map(|set| {
        let points = set.into_iter().filter(|&member| member < n);
        points.collect()
    });
    Ok(of_points.collect())
}

/// Disjoint sets, each a tree whose root is its lowest member.
struct Sets(Vec<usize>);

impl Sets {
    fn new(n: usize) -> Self {
        Self((0..n).collect())
    }

    fn root(&mut self, mut member: usize) -> usize {
        while self.0[member] != member {
            self.0[member] = self.0[self.0[member]];
            member = self.0[member];
        }
        member
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
    }

    /// The sets of two or more, each in ascending order.
    fn groups(mut self) -> Vec<Vec<usize>> {
        let n = self.0.len();
        let mut groups = vec![Vec::new(); n];
        for member in 0..n {
            let root = self.root(member);
            groups[root].push(member);
        }
        groups.retain(|group| group.len() > 1);
        groups
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_chain_of_neighbours_is_not_one_cluster() {
        // Points on a line, one apart; close is at most one and a half.
        let chain: Vec<Pair> = (0..4).map(|i| (i, i + 1, 1.0)).collect();
        assert_eq!(complete(5, &chain), Ok(vec![vec![0, 1], vec![2, 3]]));
    }

    #[test]
    fn the_closest_come_first() {
        let pairs = [(0, 1, 0.3), (1, 2, 0.1), (3, 4, 0.2)];
        assert_eq!(complete(6, &pairs), Ok(vec![vec![1, 2], vec![3, 4]]));
        let triangle = [(0, 1, 0.3), (1, 2, 0.1), (0, 2, 0.3)];
        assert_eq!(complete(3, &triangle), Ok(vec![vec![0, 1, 2]]));
    }

    #[test]
    fn nothing_close_is_no_cluster() {
        assert_eq!(complete(0, &[]), Ok(vec![]));
        assert_eq!(complete(7, &[]), Ok(vec![]));
    }

    #[test]
    fn a_component_that_is_too_large_is_refused() {
        let n = MAX_COMPONENT + 1;
        let star: Vec<Pair> = (1..n as u32).map(|i| (0, i, 0.1)).collect();
        assert_eq!(complete(n, &star), Err(n));
    }

    /// By definition: join the two closest clusters, their distance being that of their farthest
    /// pair, while there are any.
    fn naive(n: usize, close: &[Pair]) -> Vec<Vec<usize>> {
        let mut clusters: Vec<Vec<usize>> = (0..n).map(|i| vec![i]).collect();
        let distance = |a: &usize, b: &usize| {
            let (a, b) = (*a.min(b) as u32, *a.max(b) as u32);
            close.iter().find(|pair| (pair.0, pair.1) == (a, b)).map_or(FAR, |pair| pair.2)
        };
        loop {
            let mut best = (FAR, 0, 0);
            for i in 0..clusters.len() {
                for j in i + 1..clusters.len() {
                    let pairs =
                        clusters[i].iter().flat_map(|a| clusters[j].iter().map(move |b| (a, b)));
                    // `max` passes over a NaN, but these are whole numbers over 100, and `FAR`.
                    let farthest = pairs.map(|(a, b)| distance(a, b)).fold(0.0, f32::max);
                    if farthest < best.0 {
                        best = (farthest, i, j);
                    }
                }
            }
            if best.0 == FAR {
                break;
            }
            let moved = clusters.remove(best.2);
            clusters[best.1].extend(moved);
        }
        clusters.retain(|cluster| cluster.len() > 1);
        clusters.iter_mut().for_each(|cluster| cluster.sort());
        clusters.sort();
        clusters
    }

    proptest! {
        #[test]
        fn clusters_are_those_of_the_definition(
            n in 2usize..14,
            distances in proptest::sample::subsequence((1..=91).collect::<Vec<u32>>(), 91).prop_shuffle(),
            density in 0.0f64..1.0,
        ) {
            // All distances differ, as ties may be broken either way.
            let pairs = (0..n as u32).flat_map(|a| (a + 1..n as u32).map(move |b| (a, b)));
            let close: Vec<Pair> = pairs
                .zip(distances)
                .filter(|(_, distance)| f64::from(*distance) <= 91.0 * density)
                .map(|((a, b), distance)| (a, b, distance as f32 / 100.0))
                .collect();
            prop_assert_eq!(complete(n, &close), Ok(naive(n, &close)));
        }
    }
}
