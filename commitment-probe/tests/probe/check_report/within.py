"""Areas under the ROC curve over pairs of one fold, and their intervals."""

import numpy as np

from estimates import FEW_GROUPS, least_size, newcombe
from expected import Between, Exactly, Near
from resampling import clustered_bounds, of_groups, resampled_bounds

# Scores that differ by rounding may put a pair into another order.
AREA_TOLERANCE = 1e-4


class Within:
    """Areas over pairs of one fold."""

    def __init__(self, of, labels, factor):
        self.labels, self.group, self.groups = labels, of.group, of.groups
        fold = of.fold
        self.pairs = (fold[labels][:, None] == fold[~labels][None, :]).astype(float)
        kinds = (self.group[labels], self.group[~labels])
        self.kinds = kinds
        self.fewest = min(len(set(of_kind)) for of_kind in kinds)
        self.factor = factor

    def wins(self, scores):
        above, below = scores[self.labels][:, None], scores[~self.labels][None, :]
        return self.pairs * ((above > below) + 0.5 * (above == below))

    def value(self, wins):
        return float(wins.sum() / self.pairs.sum())

    def resampled(self, wins):
        areas = []
        for rows in of_groups(self.groups):
            above, below = rows[:, self.kinds[0]], rows[:, self.kinds[1]]
            of = [np.einsum("rn,rn->r", above @ table, below) for table in (wins, self.pairs)]
            areas.append(of[0] / of[1])
        return np.concatenate(areas)

    def without(self, wins):
        areas = []
        for group in range(self.groups):
            keep = [of != group for of in self.kinds]
            pairs = self.pairs[keep[0]][:, keep[1]].sum()
            areas.append(wins[keep[0]][:, keep[1]].sum() / pairs)
        return np.array(areas)

    def estimate(self, value, replicates, jackknife, possible):
        if self.groups == len(self.labels):
            bounds = resampled_bounds(value, replicates, jackknife)
        else:
            bounds = clustered_bounds(value, replicates, jackknife, self.fewest, possible)
        method = "bca" if self.groups == len(self.labels) else "clustered"

        def wide(end):
            return min(max(value + self.factor * (end - value), possible[0]), possible[1])

        return self.fields(value, method, {
            name: Between(wide(of.least) - 1e-9, wide(of.most) + 1e-9)
            for name, of in bounds.items()
        })

    def fields(self, value, method, bounds):
        return {
            "value": Near(value, absolute=AREA_TOLERANCE),
            **bounds,
            "n": Exactly(len(self.labels)),
            "method": Exactly(method),
        }

    def area(self, scores):
        """The area with its interval."""
        wins = self.wins(scores)
        value = self.value(wins)
        if self.fewest < FEW_GROUPS or value in (0.0, 1.0):
            ends = newcombe(value, *(least_size(of, self.groups) for of in self.kinds))
            ends = [min(max(value + self.factor * (end - value), 0), 1) for end in ends]
            bounds = {name: Near(end, 1e-4, 1e-4) for name, end in zip(("low", "high"), ends)}
            return self.fields(value, "newcombe", bounds)
        return self.estimate(value, self.resampled(wins), self.without(wins), (0, 1))

    def gain(self, first, second):
        """The area by the second scores less that by the first."""
        wins = self.wins(second) - self.wins(first)
        return self.estimate(
            self.value(wins), self.resampled(wins), self.without(wins), (-1, 1)
        )
