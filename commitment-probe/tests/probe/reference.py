#!/usr/bin/env python3
"""The statistics of commitment-probe/src/stats as SciPy, scikit-learn and statsmodels compute them.

    cd commitment-probe/tests/probe
    pip install -r requirements.txt
    python3 reference.py reference.json           # writes the file
    python3 reference.py --check reference.json   # compares the file

Every case has a name, the input, and what is expected; `null` where there is no number, which is
what the crate promises for it and not what the libraries do. All inputs are written out here or
drawn from seeded generators, and so are the resamples of the bootstrap.
"""

import argparse
import json
import math
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np
from scipy import optimize, stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score
from statsmodels.stats.contingency_tables import mcnemar as mcnemar_of_table
from statsmodels.stats.proportion import proportion_confint

RESAMPLES = 9999


def draw(seed, n, shift=0.0, digits=3, kind="normal"):
    """Numbers with few digits, so that they are the same in every reader of JSON."""
    rng = np.random.default_rng(seed)
    values = {
        "normal": lambda: rng.normal(size=n),
        "uniform": lambda: rng.uniform(size=n),
        "skewed": lambda: rng.lognormal(size=n),
        "rare": lambda: (rng.uniform(size=n) < 0.1).astype(float),
        "confident": lambda: rng.beta(4, 1.2, size=n),
    }[kind]()
    return np.round(values + shift, digits).tolist()


def spread(seed, n, shift=0.0):
    """Numbers of which no two are equal, here or in another spread."""
    rng = np.random.default_rng(seed)
    places = rng.choice(20_000, size=n, replace=False) * 16 + seed % 16
    return np.round(places / 160_000 - 1 + shift, 7).tolist()


# Two samples each; those of ranks and of AUROC are the same.
TWO_SAMPLES = {
    "both empty": ([], []),
    "the first empty": ([], [0.1, 0.2]),
    "the second empty": ([0.1, 0.2], []),
    "one and one": ([2.0], [1.0]),
    "one and one, equal": ([1.0], [1.0]),
    "one among twenty": ([0.01], spread(1, 20)),
    "one below all": ([-5.0], spread(1, 20)),
    "three and four": ([0.1, 0.7, 0.4], [0.2, 0.3, 0.9, 0.8]),
    "the largest difference of five": ([6.0, 7.0, 8.0, 9.0, 10.0], [1.0, 2.0, 3.0, 4.0, 5.0]),
    "the same the other way round": ([1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]),
    "in the middle": ([2.0, 3.0], [1.0, 4.0]),
    "eight and eight": (spread(2, 8), spread(3, 8)),
    "eight and eight, shifted": (spread(2, 8, 0.9), spread(3, 8)),
    "eight and nine": (spread(2, 8), spread(4, 9)),
    "nine and nine": (spread(5, 9), spread(4, 9)),
    "nine and nine, shifted": (spread(5, 9, 0.7), spread(4, 9)),
    "eight of three hundred": (spread(6, 8, 0.5), spread(7, 300)),
    "eight below three hundred": (spread(6, 8, -3.0), spread(7, 300)),
    "five of a thousand": (spread(8, 5, 0.6), spread(9, 1000)),
    "a thousand and three": (spread(9, 1000), spread(10, 3, 0.9)),
    "few, with one tie": ([0.1, 0.5, 0.9], [0.5, 0.7, 1.0]),
    "few, with ties within one": ([0.1, 0.1, 0.9], [0.5, 0.7, 1.0]),
    "zeros of both signs": ([0.0, -0.0, 1.0], [-0.0, 0.0, -1.0]),
    "two values": ([1.0] * 10 + [0.0] * 2, [1.0] * 3 + [0.0] * 9),
    "all equal": ([0.3] * 5, [0.3] * 7),
    "all equal, many": ([1.0] * 40, [1.0] * 50),
    "forty and sixty": (spread(11, 40), spread(12, 60)),
    "forty and sixty, shifted": (spread(11, 40, 0.5), spread(12, 60)),
    "shifted, p about 1e-12": (spread(13, 70, 0.83), spread(14, 80)),
    "shifted, with ties": (draw(15, 100, 1.0, 1), draw(16, 120, 0.0, 1)),
    "many ties": (draw(17, 250, 0.2, 0), draw(18, 300, 0.0, 0)),
    "sixty above sixty": ((np.arange(60.0) + 100).tolist(), np.arange(60.0).tolist()),
    "sixty below sixty": (np.arange(60.0).tolist(), (np.arange(60.0) + 100).tolist()),
    "far apart, with ties": ([5.0] * 80 + [4.0] * 3, [1.0] * 90 + [4.0] * 2),
    "skewed": (draw(19, 60, 0.0, 3, "skewed"), draw(20, 45, 0.3, 3, "skewed")),
    "twelve of six hundred": (draw(21, 12, 0.8), draw(22, 600)),
    "huge and tiny": ([1e300, 1e-300, -1e300, 5e-324], [0.0, 1e299, -1e-300]),
}

FOR_D = {
    "both empty": ([], []),
    "one and many": ([1.0], [1.0, 2.0, 3.0]),
    "many and one": ([1.0, 2.0, 3.0], [1.0]),
    "two and two": ([1.0, 2.0], [3.0, 5.0]),
    "three and three": ([0.7, 0.8, 0.9], [0.2, 0.3, 0.4]),
    "equal means": ([1.0, 3.0], [0.0, 2.0, 4.0]),
    "no spread": ([0.1] * 3, [0.1] * 7),
    "no spread, different": ([0.1] * 3, [0.2] * 7),
    "spread in one": ([0.1] * 3, [0.2, 0.3, 0.2]),
    "ordinary": (draw(30, 40, 0.5), draw(31, 55)),
    "negative": (draw(32, 40, -1.5), draw(33, 25)),
    "imbalance": (draw(34, 3), draw(35, 500, 0.1)),
    "large": (draw(36, 400, 0.05), draw(37, 450)),
    "ties": (draw(38, 80, 0.4, 0), draw(39, 90, 0.0, 0)),
    "skewed": (draw(40, 30, 0.0, 3, "skewed"), draw(41, 50, 0.0, 3, "skewed")),
    "far from zero": ((np.arange(8) / 8 + 1e9).tolist(), (np.arange(9) / 4 + 1e9).tolist()),
    "tiny": ([1e-9, 2e-9, 4e-9], [3e-9, 5e-9]),
}

FOR_MEANS = {
    "nothing": [],
    "one": [0.4],
    "two": [0.0, 1.0],
    "all equal": [0.1] * 9,
    "all zero": [0.0] * 4,
    "ten": draw(50, 10),
    "fifty": draw(51, 50, 2.0),
    "negative": draw(52, 40, -7.0),
    "skewed": draw(53, 60, 0.0, 3, "skewed"),
    "skewed, few": draw(54, 12, 0.0, 3, "skewed"),
    "uniform": draw(55, 300, 0.0, 3, "uniform"),
    "rare": draw(56, 200, 0.0, 0, "rare"),
    "an outlier": [0.0] * 19 + [100.0],
    "large": draw(57, 1000, 0.5, 2),
}

FOR_AUROC = {
    "the first empty": ([], [0.1, 0.2]),
    "one and one": ([2.0], [1.0]),
    "separated": ([3.0, 4.0, 5.0], [0.0, 1.0, 2.0, 2.5]),
    "all equal": ([1.0] * 6, [1.0] * 5),
    "five and six": ([0.9, 0.2, 0.7, 0.6, 0.4], [0.1, 0.5, 0.3, 0.65, 0.25, 0.05]),
    "ordinary": (draw(60, 40, 0.7), draw(61, 60)),
    "below a half": (draw(62, 50, -0.5), draw(63, 50)),
    "nearly separated": (draw(64, 60, 2.5), draw(65, 60)),
    "ties": (draw(66, 80, 0.5, 0), draw(67, 70, 0.0, 0)),
    "imbalance": (draw(68, 10, 1.0), draw(69, 500)),
    "large": (draw(70, 300, 0.3, 2), draw(71, 400, 0.0, 2)),
}

def grouped(seed, groups, alike, kind="normal", largest=10):
    """Values in groups of different sizes, of which a part is common to the group."""
    rng = np.random.default_rng(seed)
    of = [g for g in range(groups) for _ in range(rng.integers(1, largest + 1))]
    common = draw(seed + 1000, groups, kind=kind)
    own = draw(seed + 2000, len(of), kind=kind)
    values = [round(alike * common[g] + (1 - alike) * x, 4) for g, x in zip(of, own)]
    # In no order, and by labels that are no places.
    order = rng.permutation(len(of))
    return [values[i] for i in order], [of[i] * 7 + 3 for i in order]


FOR_GROUPED_MEANS = {
    "fifteen groups": grouped(200, 15, 0.3),
    "eighteen groups": grouped(201, 18, 0.5),
    "twenty groups": grouped(202, 20, 0.5),
    "twenty groups, alike": grouped(203, 20, 0.9),
    "twenty groups, nothing common": grouped(204, 20, 0.0),
    "sixty groups": grouped(205, 60, 0.5),
    "two hundred groups": grouped(206, 200, 0.6),
    "skewed": grouped(207, 40, 0.5, "skewed"),
    "rates": ([float(x > 0.4) for x in grouped(208, 30, 0.5)[0]], grouped(208, 30, 0.5)[1]),
    "pairs": grouped(209, 80, 0.7, largest=2),
    "one large group": ([0.1 * i for i in range(30)], [0] * 10 + list(range(1, 21))),
}

# Of hits in so few groups, or misses, that the bootstrap has nothing to draw.
FOR_GROUPED_SHARES = {
    "no hits": ([0] * 30, [i // 3 for i in range(30)]),
    "all hits": ([1] * 30, [i // 3 for i in range(30)]),
    "no hits, of uneven groups": ([0] * 20, [0] * 10 + [1] * 4 + list(range(2, 8))),
    "one group": ([1, 0, 0, 1, 1], [4] * 5),
    "one group of misses": ([0] * 5, [4] * 5),
    "two groups": ([1, 0, 0, 1, 1], [4, 4, 4, 5, 5]),
    "two groups with one share": ([1, 0, 1, 0], [4, 4, 5, 5]),
    "hits in one group of ten": ([1] * 3 + [0] * 27, [i // 3 for i in range(30)]),
    "misses in two groups of ten": ([0, 1, 1, 0, 0, 1] + [1] * 24, [i // 3 for i in range(30)]),
    "hits in four groups": ([1, 0] * 4 + [0] * 60, [i // 2 for i in range(68)]),
    "one hit": ([0] * 99 + [1], [i // 5 for i in range(100)]),
}


def two_grouped(seed, groups, alike, shift, by_group):
    """Scores of two kinds, which are told apart by the group or within it."""
    values, of = grouped(seed, groups, alike)
    kinds = [g % 2 if by_group else i % 2 for i, g in enumerate(of)]
    scores = [round(x + shift * (1 - kind), 4) for x, kind in zip(values, kinds)]
    part = lambda of, kind: [x for x, k in zip(of, kinds) if k == kind]
    return part(scores, 0), part(scores, 1), [part(of, 0), part(of, 1)]


FOR_GROUPED_AUROC = {
    f"{groups} groups, {alike}, {shift}, {'by groups' if by_group else 'within'}":
        two_grouped(300 + groups, groups, alike, shift, by_group)
    for groups, alike, shift in [(14, 0.4, 0.5), (25, 0.7, 0.3), (40, 0.5, 1.5), (60, 0.6, 0.0),
                                 (90, 0.5, 0.8)]
    for by_group in (False, True)
}

# Of the differences within pairs.
FOR_PAIRS = {
    "nothing": [],
    "one": [0.3],
    "one zero": [0.0],
    "all zero": [0.0, -0.0, 0.0],
    "all zero, many": [0.0] * 60,
    "three": [0.3, -0.1, 0.2],
    "six of one sign": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
    "six of the other": [-0.1, -0.2, -0.3, -0.4, -0.5, -0.6],
    "twelve": spread(100, 12),
    "thirteen with ties": draw(101, 13, 0.3, 1),
    "thirteen with zeros": [0.0, 0.0] + spread(102, 11, 0.4),
    "fourteen with ties": draw(103, 13, 0.4, 1) + [0.4],
    "fourteen with a zero": [0.0] + spread(104, 13, 0.3),
    "fifty": spread(105, 50),
    "fifty, shifted": spread(105, 50, 0.3),
    "fifty, far shifted": spread(105, 50, 2.0),
    "fifty with a tie": spread(106, 48) + [0.5, -0.5],
    "fifty-one": spread(107, 51, 0.1),
    "fifty-one, one of them zero": spread(108, 50, 0.1) + [0.0],
    "many ties": draw(109, 300, 0.1, 0),
    "large": spread(110, 900, 0.05),
    "skewed": draw(111, 70, -1.2, 3, "skewed"),
}

# How many pairs are hits in the first alone, and in the second alone.
DISCORDANT = [
    (0, 0), (0, 1), (1, 0), (1, 1), (7, 1), (1, 7), (0, 12), (10, 11), (10, 10), (9, 30),
    (150, 201), (0, 1000), (499_000, 501_000), (49_990_000, 50_000_000),
]

SHARES = [
    (0, 0), (2, 1), (0, 1), (1, 1), (0, 10), (10, 10), (1, 2), (1, 3), (2, 3), (1, 40), (3, 40),
    (37, 40), (47, 100), (1, 1000), (16, 1000), (470, 1000), (999, 1000), (12_345, 100_000),
    (7, 1_000_000), (500_000, 1_000_000), (999_999_000, 1_000_000_000),
]

COUNTS = {
    "nothing": [],
    "zeros": [0, 0, 0],
    "one outcome": [7],
    "one of three": [0, 12, 0],
    "even": [5, 5],
    "even, of seven": [3] * 7,
    "uneven": [1, 2, 3, 4],
    "zeros between": [0, 4, 0, 1, 5, 0],
    "one against many": [1, 1_000_000_000],
    "large": np.random.default_rng(80).integers(0, 1000, 60).tolist(),
}

# Confidences, what is right, and the number of bins.
CALIBRATIONS = {
    "nothing": ([], [], 10),
    "no bins": ([0.5], [True], 0),
    "one": ([0.7], [False], 10),
    "one bin": ([0.2, 0.9, 0.4], [True, True, False], 1),
    "the ends": ([0.0, 1.0, 0.0, 1.0], [False, True, True, True], 4),
    "the edges of four": ([0.25, 0.5, 0.75, 1.0, 0.0], [True, False, True, True, False], 4),
    "the edges of ten": ([i / 10 for i in range(11)], [i % 3 == 0 for i in range(11)], 10),
    "beside the edges": ([0.2499999, 0.2500001, 0.5000001], [True, False, True], 4),
    "beyond 0 and 1": ([-0.5, 1.5, 1.0000001, 0.35], [False, True, False, True], 5),
    "perfect": ([0.5] * 10, [True, False] * 5, 10),
    "as wrong as can be": ([1.0, 0.0, 1.0], [False, True, False], 15),
    "all right": (draw(90, 20, 0.0, 3, "uniform"), [True] * 20, 10),
    "all wrong": (draw(91, 20, 0.0, 3, "uniform"), [False] * 20, 10),
    "all equal": ([0.85] * 30, [i % 4 != 0 for i in range(30)], 15),
    "confident": (draw(92, 400, 0.0, 3, "confident"), draw(93, 400, 0.0, 0, "uniform"), 15),
    "uniform": (draw(94, 300, 0.0, 3, "uniform"), draw(95, 300, 0.0, 0, "uniform"), 10),
    "more bins than values": (draw(96, 9, 0.0, 3, "uniform"), draw(97, 9, 0.0, 0, "uniform"), 100),
}


def labelled(positives, negatives):
    return [1] * len(positives) + [0] * len(negatives), positives + negatives


def auroc(positives, negatives):
    if not positives or not negatives:
        return None
    return float(roc_auc_score(*labelled(positives, negatives)))


def bootstrap(samples, statistic, seed, confidence=0.95, vectorized=False, paired=False):
    """The interval, of samples in which something varies."""
    result = stats.bootstrap(samples, statistic, n_resamples=RESAMPLES, method="BCa",
                             confidence_level=confidence, vectorized=vectorized, paired=paired,
                             rng=np.random.default_rng(seed))
    return [float(end) for end in result.confidence_interval]


def estimate(value, ends, n, method):
    low, high = ends
    return {"value": value, "low": float(low), "high": float(high), "n": n, "method": method}


def mean(values):
    if not values:
        return None
    value = math.fsum(values) / len(values)
    # Where nothing varies there is nothing to draw, and SciPy has no number for it.
    varied = len(set(values)) > 1
    ends = bootstrap((values,), np.mean, 2) if varied else (value, value)
    return estimate(value, ends, len(values), "bca")


def auroc_estimate(positives, negatives):
    """Newcombe's fifth method, by the roots of a polynomial of degree four:

    (θ - found)² m n c = z² θ (1 - θ) (c + N ((1 - θ) (1 + θ) + θ (2 - θ))), c = (2 - θ) (1 + θ).
    """
    found, (m, n) = auroc(positives, negatives), map(len, (positives, negatives))
    if found is None:
        return None
    t = np.polynomial.Polynomial([0.0, 1.0])
    half = (m + n) / 2 - 1
    z = stats.norm.ppf(0.975)
    common = (2 - t) * (1 + t)
    variance = t * (1 - t) * (common + half * ((1 - t) * (1 + t) + t * (2 - t)))
    gap = (t - found) ** 2 * m * n * common - z**2 * variance
    # Two of the roots are between 0 and 1: the ends.
    real = [root.real for root in gap.roots() if abs(root.imag) < 1e-9]
    ends = [root for root in real if -1e-9 < root < 1 + 1e-9]
    step = (max(ends) - min(ends)) * 1e-4
    low, high = (optimize.brentq(gap, end - step, end + step, xtol=1e-15)
                 for end in (min(ends), max(ends)))
    return estimate(found, (max(low, 0.0) if found else 0.0, high if found < 1 else 1.0), m + n,
                    "newcombe")


def expanded(groups):
    """The confidence for which SciPy's interval has Hesterberg's expanded percentiles."""
    z = math.sqrt(groups / (groups - 1)) * stats.t.ppf(0.975, groups - 1)
    return float(2 * stats.norm.cdf(z) - 1)


def sums_of(values, groups):
    """The sum and the size of each group."""
    labels = sorted(set(groups))
    sums = [math.fsum(x for x, g in zip(values, groups) if g == label) for label in labels]
    return np.array(sums), np.array([groups.count(label) for label in labels], dtype=float)


def design_effect(influences, groups):
    """By analysis of variance: that of the groups' totals over that of independent values."""
    totals, _ = sums_of(influences, groups)
    # Influences add up to 0, and so do their totals, up to rounding.
    grouped = len(totals) * np.var(totals, ddof=1)
    return float(grouped / (len(influences) * np.var(influences, ddof=1)))


def mean_of(values, groups):
    sums, sizes = sums_of(values, groups)
    value = math.fsum(values) / len(values)
    ratio = lambda sums, sizes, axis: sums.sum(axis=axis) / sizes.sum(axis=axis)
    confidence = expanded(max(math.floor(sizes.sum() ** 2 / (sizes**2).sum()), 2))
    ends = bootstrap((sums, sizes), ratio, 3, confidence, vectorized=True, paired=True)
    result = estimate(value, ends, len(values), "clustered")
    return result | {"design_effect": design_effect([x - value for x in values], groups)}


def share_of(hits, groups):
    """Of few groups with hits or with misses: statsmodels, of a sample that is as much smaller."""
    value, (sums, sizes) = sum(hits) / len(hits), sums_of(hits, groups)
    assert min((sums > 0).sum(), (sums < sizes).sum()) < 5
    if 0 < value < 1 and len(sums) > 1:
        effect = max(1.0, design_effect([x - value for x in hits], groups))
    else:
        effect = float((sizes**2).sum() / sizes.sum())
    n = len(hits) / effect
    t = stats.t.ppf(0.975, len(sums) - 1) if len(sums) > 1 else stats.norm.ppf(0.975)
    low, high = proportion_confint(value * n, n, alpha=2 * stats.norm.sf(t), method="wilson")
    ends = 0.0 if value == 0 else low, 1.0 if value == 1 else high
    return estimate(value, ends, len(hits), "wilson") | {"design_effect": effect}


def auroc_of(positives, negatives, groups):
    scores, of = np.array(positives + negatives), np.array(groups[0] + groups[1])
    positive = np.arange(len(scores)) < len(positives)
    labels = np.unique(of)
    members = {label: np.flatnonzero(of == label) for label in labels}

    def of_groups(drawn):
        places = np.concatenate([members[label] for label in drawn])
        ups, downs = scores[places[positive[places]]], np.sort(scores[places[~positive[places]]])
        ends = [np.searchsorted(downs, ups, side) for side in ("left", "right")]
        return sum(end.mean() for end in ends) / 2 / len(downs)

    value = auroc(positives, negatives)
    above = lambda p, q: float(p > q) + 0.5 * float(p == q)
    influences = [
        (np.mean([above(p, q) for q in negatives]) - value) / len(positives) for p in positives
    ] + [
        (np.mean([above(p, q) for p in positives]) - value) / len(negatives) for q in negatives
    ]
    fewest = min(len(set(labels)) for labels in groups)
    ends = bootstrap((labels,), of_groups, 4, expanded(fewest))
    result = estimate(value, ends, len(scores), "clustered")
    return result | {"design_effect": design_effect(influences, of.tolist())}


def wilcoxon(differences):
    if not differences:
        return None
    differences = np.array(differences)
    ranks = stats.rankdata(np.abs(differences[differences != 0]))
    w = float(ranks[differences[differences != 0] > 0].sum())
    n = int((differences != 0).sum())
    if n == 0:
        return {"w": 0.0, "p": 1.0, "n": 0}
    result = stats.wilcoxon(differences, zero_method="wilcox", correction=False,
                            alternative="two-sided", method="auto")
    assert math.isclose(result.statistic, min(w, n * (n + 1) / 2 - w))
    return {"w": w, "p": float(result.pvalue), "n": n}


def mcnemar(only_first, only_second):
    if only_first == only_second == 0:
        return 1.0
    table = [[5, only_first], [only_second, 5]]
    return float(mcnemar_of_table(table, exact=True).pvalue)


def mann_whitney(a, b):
    if not a or not b:
        return None
    result = stats.mannwhitneyu(a, b, alternative="two-sided", method="auto")
    return {"u": float(result.statistic), "p": float(result.pvalue)}


def cohens_d(a, b):
    """In fractions, so that only the root and the last division round."""
    if min(len(a), len(b)) < 2:
        return None
    means, squares = [], Fraction(0)
    for sample in (a, b):
        sample = [Fraction(x) for x in sample]
        mean = sum(sample) / len(sample)
        means.append(mean)
        squares += sum((x - mean) ** 2 for x in sample)
    if squares == 0:
        return None
    d = float(means[0] - means[1]) / math.sqrt(squares / (len(a) + len(b) - 2))
    # Student's t is d, but for the sizes of the samples. It rounds where values are far from zero.
    t = stats.ttest_ind(a, b, equal_var=True).statistic
    assert math.isclose(d, t * math.sqrt(1 / len(a) + 1 / len(b)), rel_tol=1e-6, abs_tol=1e-12)
    return d


def share(hits, of):
    if of == 0 or hits > of:
        return None
    low, high = proportion_confint(hits, of, alpha=0.05, method="wilson")
    # Rounding may leave an end beside 0 or 1.
    low, high = 0.0 if hits == 0 else low, 1.0 if hits == of else high
    return estimate(hits / of, (low, high), of, "wilson")


def entropy(counts):
    return float(stats.entropy(counts)) if sum(counts) else 0.0


def calibration(name, confidences, right, bins):
    confidences, right = np.clip(np.array(confidences), 0, 1), np.array(right, dtype=bool)
    edges = np.arange(bins + 1) / max(bins, 1)
    places = np.maximum(np.digitize(confidences, edges, right=True) - 1, 0)
    result, ece = [], 0.0
    for b in range(bins):
        here = places == b
        n = int(here.sum())
        confidence = float(confidences[here].mean()) if n else None
        accuracy = float(right[here].mean()) if n else None
        result.append({"low": float(edges[b]), "high": float(edges[b + 1]), "n": n,
                       "confidence": confidence, "accuracy": accuracy})
        if n:
            ece += n / len(confidences) * abs(accuracy - confidence)
    if len(confidences) and bins:
        curve = calibration_curve(right, confidences, n_bins=bins, pos_label=True)
        filled = [b for b in result if b["n"]]
        for key, theirs in zip(("accuracy", "confidence"), curve):
            assert np.allclose([b[key] for b in filled], theirs, rtol=1e-12), name
    return {"ece": ece if len(confidences) and bins else None, "bins": result}


def two(cases, function):
    return [{"name": name, "a": a, "b": b, "expected": function(a, b)}
            for name, (a, b) in cases.items()]


def everything():
    return {
        "auroc": two(TWO_SAMPLES, auroc),
        "auroc_estimate": two(FOR_AUROC, auroc_estimate),
        "auroc_of": [
            {"name": name, "positives": positives, "negatives": negatives, "groups": groups,
             "expected": auroc_of(positives, negatives, groups)}
            for name, (positives, negatives, groups) in FOR_GROUPED_AUROC.items()
        ],
        "mean_of": [
            {"name": name, "values": values, "groups": groups, "expected": mean_of(values, groups)}
            for name, (values, groups) in FOR_GROUPED_MEANS.items()
        ],
        "share_of": [
            {"name": name, "hits": [bool(hit) for hit in hits], "groups": groups,
             "expected": share_of(hits, groups)}
            for name, (hits, groups) in FOR_GROUPED_SHARES.items()
        ],
        "cohens_d": two(FOR_D, cohens_d),
        "mann_whitney": two(TWO_SAMPLES, mann_whitney),
        "mean": [
            {"name": name, "values": values,
             "expected": mean(values)}
            for name, values in FOR_MEANS.items()
        ],
        "share": [
            {"name": f"{hits} of {of}", "hits": hits, "of": of, "expected": share(hits, of)}
            for hits, of in SHARES
        ],
        "wilcoxon": [
            {"name": name, "differences": differences, "expected": wilcoxon(differences)}
            for name, differences in FOR_PAIRS.items()
        ],
        "mcnemar": [
            {"name": f"{first} and {second}", "only_first": first, "only_second": second,
             "expected": mcnemar(first, second)}
            for first, second in DISCORDANT
        ],
        "entropy": [
            {"name": name, "counts": counts, "expected": entropy(counts)}
            for name, counts in COUNTS.items()
        ],
        "calibration": [
            {"name": name, "confidences": confidences, "right": [bool(r) for r in right],
             "bins": bins, "expected": calibration(name, confidences, right, bins)}
            for name, (confidences, right, bins) in CALIBRATIONS.items()
        ],
    }


def text(reference):
    """One case to a line, so that a change shows which."""
    def lines(cases):
        return ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)

    groups = [f'"{group}": [\n{lines(cases)}\n]' for group, cases in reference.items()]
    return "{\n" + ",\n".join(groups) + "\n}\n"


def differences(where, ours, theirs):
    """Where a file, which is ours, is not what the libraries say, which is theirs."""
    if isinstance(ours, dict) and isinstance(theirs, dict) and ours.keys() == theirs.keys():
        pairs = [(f"{where}.{key}", ours[key], theirs[key]) for key in ours]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        name = lambda i: ours[i].get("name", i) if isinstance(ours[i], dict) else i
        pairs = [(f"{where}[{name(i)}]", ours[i], theirs[i]) for i in range(len(ours))]
    else:
        if isinstance(ours, float) and isinstance(theirs, float):
            same = math.isclose(ours, theirs, rel_tol=1e-12)
        else:
            same = type(ours) is type(theirs) and ours == theirs
        return [] if same else [f"{where}: {str(ours)[:80]}, not {str(theirs)[:80]}"]
    return [line for pair in pairs for line in differences(*pair)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare the file, do not write it")
    parser.add_argument("file", type=Path)
    arguments = parser.parse_args()
    # That all resamples are alike, or that a sample has one value, is what such cases are for.
    warnings.simplefilter("ignore")
    reference = everything()
    if not arguments.check:
        arguments.file.write_text(text(reference))
        return 0
    wrong = differences("", json.loads(arguments.file.read_text()), reference)
    print("\n".join(wrong) or f"{sum(map(len, reference.values()))} cases are what they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
