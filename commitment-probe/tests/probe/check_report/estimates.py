"""Estimates by NumPy, SciPy, statsmodels and scikit-learn: what their fields should hold.

Every value comes with its label, the group of its question; the ungrouped methods are expected
where each value has a label of its own.
"""

import math

import numpy as np
from scipy import optimize, stats
from sklearn.metrics import roc_auc_score
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.proportion import proportion_confint

from expected import NULL, AnyOf, Between, Exactly, MayLack, Near
from resampling import (
    FEW,
    SEED,
    SHARE_OF_CLUSTERED,
    SHARE_OF_FEW,
    Z,
    clustered_bounds,
    constant_bounds,
    resampled_areas,
    resampled_bounds,
    resampled_means,
    resampled_ratios,
)

EXACT = 1e-9
SIGN_CHANGES = 20_000
SIGN_CHANGES_OF_REPORT = 1999
SIGN_ERRORS = 5
NEWCOMBE_TOLERANCE = 1e-6
DESIGN_EFFECT_TOLERANCE = 0.3
# With fewer groups of one kind than this, a bootstrap over groups may have too little to draw, and
# another interval with a design effect may stand in its place.
FEW_GROUPS = 5


def estimate(value, n, method, bounds, effect=None):
    """The fields of an estimate."""
    fields = {
        "value": Near(float(value), absolute=1e-12),
        **bounds,
        "n": Exactly(n),
        "method": Exactly(method),
    }
    return fields if effect is None else {**fields, "design_effect": effect}


def numbered(labels):
    """The labels as numbers from 0, and how many there are."""
    names = {}
    return np.array([names.setdefault(label, len(names)) for label in labels]), len(names)


def least_size(groups, count):
    """The number of independent values if those of a group are all alike (Kish, 1965)."""
    sizes = np.bincount(groups, minlength=count)
    return len(groups) ** 2 / float(np.sum(sizes.astype(float) ** 2))


def design_effects(influences, groups, count):
    """The variance under the groups over that of independent values.

    With and without the correction for the number of groups, which a bootstrap does not make.
    """
    ones = np.ones((len(influences), 1))
    of_groups = OLS(influences, ones).fit(cov_type="cluster", cov_kwds={"groups": groups})
    independent = OLS(influences, ones).fit()
    effect = float(of_groups.cov_params()[0, 0] / independent.cov_params()[0, 0])
    return effect, effect * (count - 1) / count


def within(effects):
    """A design effect that is one of these, within the tolerance."""
    return Between(
        min(effects) * (1 - DESIGN_EFFECT_TOLERANCE) - EXACT,
        max(effects) * (1 + DESIGN_EFFECT_TOLERANCE) + EXACT,
    )


def mean(labelled):
    """The mean of labelled values and its interval; null of nothing."""
    labelled = list(labelled)
    if not labelled:
        return NULL
    labels, values = zip(*labelled)
    values = np.array(values, dtype=float)
    groups, count = numbered(labels)
    if count < len(values):
        return grouped_mean(values, groups, count)
    return ungrouped_mean(values)


def ungrouped_mean(values, effect=None):
    """The mean of values that are taken for independent."""
    value = float(np.mean(values))
    if np.all(values == values[0]):
        bounds = constant_bounds(float(values[0]))
    else:
        jackknife = (np.sum(values) - values) / (len(values) - 1)
        bounds = resampled_bounds(value, resampled_means(values), jackknife)
    return estimate(value, len(values), "bca", bounds, effect)


def grouped_mean(values, groups, count):
    """The mean of values of groups; of a single group, nothing is known of others."""
    return NULL if count < 2 else clustered_mean(values, groups, count)


def clustered_mean(values, groups, count):
    """The mean of values of several groups, by a bootstrap over these."""
    value, n = float(np.mean(values)), len(values)
    sums = np.bincount(groups, weights=values)
    sizes = np.bincount(groups).astype(float)
    if np.allclose(sums / sizes, value, rtol=1e-13, atol=0):
        return mean_of_equal_groups(values)
    jackknife = (np.sum(sums) - sums) / (n - sizes)
    effects = design_effects(values - value, groups, count)
    replicates = resampled_ratios(sums, sizes)
    possible = np.min(sums / sizes), np.max(sums / sizes)
    effective = math.floor(n**2 / float(np.sum(sizes**2)))
    _, alike = np.unique(np.round(sums / sizes, 12), return_counts=True)
    share = SHARE_OF_FEW if count - np.max(alike) < FEW else SHARE_OF_CLUSTERED
    bounds = clustered_bounds(value, replicates, jackknife, count, possible, effective, share)
    return estimate(value, n, "clustered", bounds, within(effects))


def mean_of_equal_groups(values):
    """The mean where groups do not differ: without a width, or as if there were no groups."""
    value = float(np.mean(values))
    none = MayLack(Near(0.0, absolute=EXACT))
    constant = estimate(value, len(values), "clustered", constant_bounds(value), none)
    return AnyOf(constant, lambda: ungrouped_mean(values, none))


def share(labelled):
    """The share of what is true and its interval; null of nothing."""
    labelled = [(label, bool(flag)) for label, flag in labelled]
    if not labelled:
        return NULL
    labels, flags = zip(*labelled)
    groups, count = numbered(labels)
    n, hits = len(flags), sum(flags)
    if count == n:
        low, high = proportion_confint(hits, n, alpha=0.05, method="wilson")
        bounds = {"low": near(low), "high": near(high)}
        return estimate(hits / n, n, "wilson", bounds)
    values = np.array(flags, dtype=float)
    few = share_of_few_groups(hits / n, values, groups, count)
    if count < 2:
        return few
    clustered = clustered_mean(values, groups, count)
    of_kind = [len(set(groups[values == kind])) for kind in (0, 1)]
    differ = not isinstance(clustered, AnyOf)
    return clustered if differ and min(of_kind) >= FEW_GROUPS else AnyOf(few, clustered)


def near(bound):
    """A bound that is computed, not drawn."""
    return Near(float(bound), EXACT, absolute=1e-12)


def share_of_few_groups(value, values, groups, count):
    """The share with Wilson's interval of as many independent values as the groups are worth."""
    n = len(values)
    effects = [n / least_size(groups, count)]
    if 0 < value < 1 and count > 1:
        effects = [max(effect, 1) for effect in design_effects(values - value, groups, count)]
    bounds = [
        wilson(value, n / effect, z)
        for effect in effects
        for z in (Z, float(stats.t.ppf(0.975, max(count - 1, 1))))
    ]
    return estimate(value, n, "wilson", hull(bounds), within(effects))


def wilson(p, n, z):
    """Wilson's interval of a share of `n` trials, which need not be a whole number."""
    middle, half = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    return (middle - half) / (1 + z**2 / n), (middle + half) / (1 + z**2 / n)


def hull(intervals):
    """Bounds that are as far as those of one of these intervals."""
    lows, highs = zip(*intervals)
    return {
        name: Between(float(min(of_name)) - EXACT, float(max(of_name)) + EXACT)
        for name, of_name in (("low", lows), ("high", highs))
    }


def auroc(positives, negatives):
    """The area under the ROC curve of labelled scores; null if a class is empty."""
    positives, negatives = list(positives), list(negatives)
    if not positives or not negatives:
        return NULL
    labels, scores = zip(*positives, *negatives)
    scores = np.array(scores, dtype=float)
    m, n = len(positives), len(negatives)
    area = float(roc_auc_score(np.repeat([1, 0], [m, n]), scores))
    groups, count = numbered(labels)
    if count == m + n:
        return estimate(area, m + n, "newcombe", newcombe_bounds(area, m, n))
    return clustered_area(area, scores, groups, count, m)


def newcombe_bounds(area, m, n):
    """The bounds of Newcombe's interval."""
    return {
        name: Near(end, NEWCOMBE_TOLERANCE, absolute=NEWCOMBE_TOLERANCE)
        for name, end in zip(("low", "high"), newcombe(area, m, n))
    }


def newcombe(area, m, n):
    """Newcombe's method 5 (2006): where the area is z standard errors from what it would be."""
    star = (m + n) / 2 - 1

    def beyond(theta):
        factor = 1 + star * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        variance = theta * (1 - theta) * factor / (m * n)
        return (area - theta) ** 2 - Z**2 * variance

    tiny = 1e-12
    low = 0 if area == 0 else optimize.brentq(beyond, 0, min(area, 1 - tiny), xtol=1e-14)
    high = 1 if area == 1 else optimize.brentq(beyond, max(area, tiny), 1, xtol=1e-14)
    return float(low), float(high)


def clustered_area(area, scores, groups, count, m):
    """The area under the ROC curve of scores of groups, by a bootstrap over the groups."""
    above, below = scores[:m, None], scores[None, m:]
    wins = (above > below) + 0.5 * (above == below)
    n = wins.shape[1]
    influences = np.concatenate([(wins.mean(axis=1) - area) / m, (wins.mean(axis=0) - area) / n])
    varies = count > 1 and np.any(np.abs(influences) > 1e-15)
    effects = design_effects(influences, groups, count) if varies else ()
    few = area_of_few_groups(area, groups, count, m)
    fewest = min(len(set(groups[:m])), len(set(groups[m:])))
    if area in (0, 1) or not varies or fewest < 2:
        return few
    replicates = resampled_areas(wins, groups[:m], groups[m:], count)
    jackknife = areas_without(wins, groups, count, m)
    share = 0.5 if fewest < 2 * FEW else SHARE_OF_CLUSTERED
    bounds = clustered_bounds(area, replicates, jackknife, fewest, possible=(0, 1), share=share)
    clustered = estimate(area, m + n, "clustered", bounds, within(effects))
    return clustered if fewest >= FEW_GROUPS else AnyOf(few, clustered)


def area_of_few_groups(area, groups, count, m):
    """The area with Newcombe's interval of as many independent scores as the groups are worth."""
    sizes = [least_size(of, count) for of in (groups[:m], groups[m:])]
    bounds = newcombe_bounds(area, *sizes)
    effect = Near(len(groups) / sum(sizes))
    return estimate(area, len(groups), "newcombe", bounds, effect)


def areas_without(wins, groups, count, m):
    """The area without each group; a group with all of one class leaves none."""
    areas = []
    for group in range(count):
        left = wins[groups[:m] != group][:, groups[m:] != group]
        if left.size:
            areas.append(float(left.mean()))
    return np.array(areas)


def plain_mean(values):
    """The mean without an interval; null of nothing."""
    values = list(values)
    return Near(float(np.mean(values))) if values else NULL


def signed_rank_test(differences, labels):
    """Wilcoxon's signed-rank test, two-sided; null of nothing."""
    differences = np.array(differences, dtype=float)
    if not len(differences):
        return NULL
    moved = int(np.count_nonzero(differences))
    if not moved:
        return {"w": Near(0.0), "p": Near(1.0), "n": Exactly(0)}

    def test(alternative):
        return stats.wilcoxon(
            differences,
            zero_method="wilcox",
            correction=False,
            method="auto",
            alternative=alternative,
        )

    p = Near(float(test("two-sided").pvalue), 1e-6, absolute=0)
    if len(set(labels)) < len(labels):
        moves = differences != 0
        ranks = stats.rankdata(np.abs(differences[moves])) * np.sign(differences[moves])
        p = p_of_signs([of for of, moved in zip(labels, moves) if moved], ranks)
    # Only the one-sided test gives the sum of the positive ranks; the two-sided one, the smaller.
    return {
        "w": Near(float(test("greater").statistic)),
        "p": p,
        "n": Exactly(moved),
    }


def p_of_signs(labels, values):
    """The p of a sum whose parts change their signs together in each group, which is at random."""
    groups, count = numbered(labels)
    sums = np.bincount(groups, weights=np.asarray(values, dtype=float))
    signs = np.random.default_rng(SEED).choice((-1.0, 1.0), size=(SIGN_CHANGES, count))
    as_far = np.abs(signs @ sums) >= abs(np.sum(sums)) - EXACT
    p = (1 + np.sum(as_far)) / (1 + SIGN_CHANGES)
    slack = SIGN_ERRORS * math.sqrt(p * (1 - p) / SIGN_CHANGES_OF_REPORT) + 1 / SIGN_CHANGES_OF_REPORT
    return Between(float(p - slack), float(p + slack))
