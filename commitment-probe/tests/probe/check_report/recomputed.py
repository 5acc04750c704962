"""The statistics of a summary by numpy, scipy, and scikit-learn, and how far intervals may differ."""

import math

import numpy as np
from scipy import stats
from sklearn.metrics import roc_auc_score

from expected import NULL, VALUE_TOLERANCE, Between, Exactly, Near

P_VALUE_TOLERANCE = 1e-6

SEED = 20260521
RESAMPLES = 9999
RESAMPLES_AT_ONCE = 1000
RESAMPLES_OF_REPORT = 2000
LEVELS = (0.025, 0.975)
# How many standard errors a quantile of the report's resamples may be off, as a level.
LEVEL_SLACK = 4 * math.sqrt(LEVELS[0] * LEVELS[1] / RESAMPLES_OF_REPORT)
MEAN_SHARE_OF_WIDTH = 0.15
PROPORTION_SHARE_OF_WIDTH = 0.10
PROPORTION_STEPS = 1.5


def interval(reference, of_width, absolute=0.0, spread=None):
    """The limits of a 95 % interval around the reference bounds.

    A bound may be off by a share of the interval's width and an absolute slack.  `spread` gives
    the span that its level's error allows, which for few samples is wider: there the resampled
    values lie far apart.
    """
    low, high = reference
    slack = of_width * (high - low) + absolute + VALUE_TOLERANCE
    spread = spread or ((low, low), (high, high))
    return {
        name: Between(float(min(bound - slack, least)), float(max(bound + slack, most)))
        for name, bound, (least, most) in zip(("low", "high"), reference, spread)
    }


def constant_interval(value):
    """The interval of a statistic that no resample can change."""
    return {"low": Near(value), "high": Near(value)}


def resampled_interval(statistics):
    """The limits of an interval, by the statistics of the reference's own resamples."""
    levels = [level + step for level in LEVELS for step in (-LEVEL_SLACK, 0, LEVEL_SLACK)]
    quantiles = np.quantile(statistics, levels)
    (low_least, low, low_most), (high_least, high, high_most) = quantiles.reshape(2, 3)
    spread = ((low_least, low_most), (high_least, high_most))
    return interval((low, high), MEAN_SHARE_OF_WIDTH, spread=spread)


def resample_counts(generator, n):
    """How often each of `n` values is drawn, in a row for each resample; some rows at a time."""
    for start in range(0, RESAMPLES, RESAMPLES_AT_ONCE):
        rows = min(RESAMPLES_AT_ONCE, RESAMPLES - start)
        yield generator.multinomial(n, np.full(n, 1 / n), size=rows)


def resampled_means(values):
    """The means of resamples of the values."""
    counts = resample_counts(np.random.default_rng(SEED), len(values))
    return np.concatenate([rows @ values / len(values) for rows in counts])


def resampled_aurocs(positives, negatives):
    """The areas under the ROC curve of resamples, drawn from each class by itself."""
    above = positives[:, None] > negatives[None, :]
    wins = above + 0.5 * (positives[:, None] == negatives[None, :])
    of_positives = resample_counts(np.random.default_rng(SEED), len(positives))
    of_negatives = resample_counts(np.random.default_rng(SEED + 1), len(negatives))
    return np.concatenate(
        [
            np.einsum("rp,rp->r", rows @ wins.T, columns)
            for columns, rows in zip(of_positives, of_negatives)
        ]
    ) / wins.size


def estimate(value, n, bounds):
    """The four fields of an estimate."""
    return {"value": Near(float(value)), **bounds, "n": Exactly(n)}


def mean(values):
    """The mean and its interval; null of nothing."""
    values = np.asarray(values, dtype=float)
    if not len(values):
        return NULL
    if np.all(values == values[0]):
        bounds = constant_interval(float(values[0]))
    else:
        bounds = resampled_interval(resampled_means(values))
    return estimate(np.mean(values), len(values), bounds)


def plain_mean(values):
    """The mean without an interval; null of nothing."""
    values = list(values)
    return Near(float(np.mean(values))) if values else NULL


def proportion(flags):
    """The share of what is true and its interval; null of nothing."""
    flags = list(flags)
    n, k = len(flags), sum(flags)
    if not n:
        return NULL
    share = k / n
    if k in (0, n):
        bounds = constant_interval(share)
    else:
        reference = stats.binom.ppf(LEVELS, n, share) / n
        bounds = interval(reference, PROPORTION_SHARE_OF_WIDTH, PROPORTION_STEPS / n)
    return estimate(share, n, bounds)


def auroc(positives, negatives):
    """The area under the ROC curve and its interval; null if a class is empty."""
    if not positives or not negatives:
        return NULL
    positives, negatives = np.asarray(positives), np.asarray(negatives)
    labels = np.repeat([1, 0], [len(positives), len(negatives)])
    area = roc_auc_score(labels, np.concatenate([positives, negatives]))
    areas = resampled_aurocs(positives, negatives)
    return estimate(area, len(labels), resampled_interval(areas))


def cohens_d(first, second):
    """The difference of the means in pooled standard deviations; null if there are none."""
    degrees = len(first) + len(second) - 2
    if min(len(first), len(second)) < 2:
        return NULL
    variance = (np.var(first) * len(first) + np.var(second) * len(second)) / degrees
    if variance == 0:
        return NULL
    return Near(float((np.mean(first) - np.mean(second)) / np.sqrt(variance)))


def rank_test(first, second):
    """Mann and Whitney's test; null if a group is empty."""
    if not first or not second:
        return NULL
    if len({*first, *second}) == 1:
        return {"u": Near(len(first) * len(second) / 2), "p": Near(1.0)}
    result = stats.mannwhitneyu(first, second, alternative="two-sided", method="auto")
    return {
        "u": Near(float(result.statistic)),
        "p": Near(float(result.pvalue), P_VALUE_TOLERANCE, absolute=0),
    }


def difference(first, second):
    """How far the first group is above the second."""
    return {"cohens_d": cohens_d(first, second), "rank_test": rank_test(first, second)}
