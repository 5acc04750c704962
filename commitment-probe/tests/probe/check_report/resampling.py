"""Bootstraps, and how far another bootstrap of the same values may be from them."""

import functools
import math

import numpy as np
from scipy import stats

from expected import VALUE_TOLERANCE, Between, Near

SEED = 20260521
RESAMPLES = 9999
# Of so many groups fewer resamples do; the tails of few need more.
MANY_GROUPS = 50
RESAMPLES_OF_MANY_GROUPS = 2000
RESAMPLES_AT_ONCE = 500
RESAMPLES_OF_REPORT = 2000
Z = float(stats.norm.ppf(0.975))
# How many standard errors what the report's resamples give may be off.
ERRORS = 4
SHARE_OF_WIDTH = 0.15
SHARE_OF_CLUSTERED = 0.25
# The same where fewer groups than this differ from the others: a tail then rests on one of them.
FEW = 5
SHARE_OF_FEW = 0.4
# What sums of the same values in different orders may differ by.
ROUNDING = 1e-13


def bca_levels(bias, acceleration, z):
    """The levels of the quantiles that are the ends of a BCa interval (Efron, 1987)."""
    shifted = bias + np.array([-z, z])
    shrunk = 1 - acceleration * shifted
    inside = np.where(shrunk > 0, shrunk, 1)
    places = np.where(shrunk > 0, bias + shifted / inside, [-np.inf, np.inf])
    return stats.norm.cdf(places)


def bias_of(value, replicates):
    """The normal quantile of the share of replicates below the value, and its error.

    The error is that of a bootstrap of as many resamples as the report's.
    """
    slack = ROUNDING * max(abs(value), float(np.max(np.abs(replicates))))
    below = (np.mean(replicates < value - slack) + np.mean(replicates <= value + slack)) / 2
    least = 0.5 / RESAMPLES_OF_REPORT
    below = min(max(float(below), least), 1 - least)
    bias = float(stats.norm.ppf(below))
    error = math.sqrt(below * (1 - below) / RESAMPLES_OF_REPORT) / float(stats.norm.pdf(bias))
    return bias, error


def acceleration_of(jackknife):
    """A sixth of the skewness of what each observation moves the statistic by."""
    if not len(jackknife):
        return 0.0
    moved = np.mean(jackknife) - jackknife
    squares = np.sum(moved**2)
    if squares == 0:
        return 0.0
    return float(np.sum(moved**3) / (6 * squares**1.5))


def bca_interval(value, replicates, jackknife, z=Z):
    """The ends of the BCa interval, and between what each may lie in another bootstrap."""
    bias, error = bias_of(value, replicates)
    acceleration = acceleration_of(jackknife)
    levels = bca_levels(bias, acceleration, z)
    shifted = [bca_levels(bias + sign * ERRORS * error, acceleration, z) for sign in (-1, 1)]
    return ends_and_spread(
        replicates,
        levels,
        np.minimum(levels, np.minimum(*shifted)),
        np.maximum(levels, np.maximum(*shifted)),
    )


def percentile_interval(replicates, z=Z):
    """The same of the percentile interval."""
    levels = stats.norm.cdf([-z, z])
    return ends_and_spread(replicates, levels, levels, levels)


def ends_and_spread(replicates, levels, least, most):
    """The quantiles of these levels, and those of the levels that chance may bring about."""

    def error(levels):
        return ERRORS * np.sqrt(levels * (1 - levels) / RESAMPLES_OF_REPORT)

    wide = [np.clip(least - error(least), 0, 1), np.clip(most + error(most), 0, 1)]
    ends, below, above = np.quantile(replicates, np.stack([levels, *wide]))
    return [tuple(map(float, of_end)) for of_end in zip(ends, below, above)]


def resampled_bounds(value, replicates, jackknife):
    """The bounds of an interval that is the BCa interval of another bootstrap."""
    ends = bca_interval(value, replicates, jackknife)
    slack = SHARE_OF_WIDTH * (ends[1][0] - ends[0][0]) + VALUE_TOLERANCE
    return {
        name: Between(min(end - slack, below), max(end + slack, above))
        for name, (end, below, above) in zip(("low", "high"), ends)
    }


def clustered_bounds(
    value, replicates, jackknife, groups, possible, effective=None, share=SHARE_OF_CLUSTERED
):
    """The bounds of an interval that another bootstrap over the same groups gives.

    It may be the percentile or the BCa interval, and may be expanded for few groups, of which the
    bootstrap alone is too sure (Hesterberg, 2015); groups of unequal size count as the `effective`
    number of equal ones.  A bound may be off by a `share` of its distance.  No resample is outside
    of what is `possible`.
    """
    levels = [Z]
    for number in (groups, effective or groups):
        number = max(number, 2)
        levels.append(float(stats.t.ppf(0.975, number - 1)) * math.sqrt(number / (number - 1)))
    intervals = [percentile_interval(replicates, z) for z in levels]
    intervals += [bca_interval(value, replicates, jackknife, z) for z in levels]
    bounds = {}
    for name, sign, extreme, ends in zip(("low", "high"), (-1, 1), possible, zip(*intervals)):
        away = [sign * (of_end[0] - value) for of_end in ends]
        by_chance = [sign * (place - value) for of_end in ends for place in of_end]
        nearest = min(*(end - share * abs(end) for end in away), *by_chance)
        farthest = max(*(end + share * abs(end) for end in away), *by_chance)
        most = sign * (extreme - value)
        places = [
            value + sign * (min(distance, most) + slack)
            for distance, slack in ((nearest, -VALUE_TOLERANCE), (farthest, VALUE_TOLERANCE))
        ]
        bounds[name] = Between(float(min(places)), float(max(places)))
    return bounds


def constant_bounds(value):
    """The bounds of a statistic that no resample can change."""
    return {"low": Near(value), "high": Near(value)}


@functools.lru_cache(maxsize=8)
def draws(n, resamples, seed=SEED):
    """How often each of `n` things is drawn, in a row for each resample."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(n, np.full(n, 1 / n), size=resamples).astype(np.uint16)


def in_parts(n, resamples):
    """The same, some rows at a time, as numbers that are fast to multiply."""
    rows = draws(n, resamples)
    for start in range(0, resamples, RESAMPLES_AT_ONCE):
        yield rows[start : start + RESAMPLES_AT_ONCE].astype(float)


def resampled_means(values):
    """The means of resamples of the values."""
    return np.concatenate([rows @ values for rows in in_parts(len(values), RESAMPLES)]) / len(
        values
    )


def of_groups(count):
    """The resamples of so many groups, some at a time."""
    return in_parts(count, RESAMPLES if count < MANY_GROUPS else RESAMPLES_OF_MANY_GROUPS)


def resampled_ratios(sums, sizes):
    """The means of resamples of whole groups, by the groups' sums and sizes."""
    return np.concatenate([(rows @ sums) / (rows @ sizes) for rows in of_groups(len(sums))])


def resampled_areas(wins, positives, negatives, groups):
    """The areas under the ROC curve of resamples of whole groups that have both classes.

    `wins` says how much each positive is above each negative; the others give their groups.
    """
    areas = []
    for rows in of_groups(groups):
        of_positives, of_negatives = rows[:, positives], rows[:, negatives]
        pairs = of_positives.sum(axis=1) * of_negatives.sum(axis=1)
        above = np.einsum("rn,rn->r", of_positives @ wins, of_negatives)
        areas.append(above[pairs > 0] / pairs[pairs > 0])
    return np.concatenate(areas)
