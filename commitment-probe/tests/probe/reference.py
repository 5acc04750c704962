#!/usr/bin/env python3
"""The statistics of commitment-probe/src/stats as SciPy and scikit-learn compute them.

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
from scipy import stats
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

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


def quick_auroc(positives, negatives):
    """The same, without scikit-learn's checks, for thousands of resamples."""
    negatives = np.sort(negatives)
    ends = [np.searchsorted(negatives, positives, side) for side in ("left", "right")]
    return sum(end.mean() for end in ends) / 2 / len(negatives)


def bootstrap(samples, statistic, seed):
    """The interval, of samples in which something varies."""
    result = stats.bootstrap(samples, statistic, n_resamples=RESAMPLES, method="percentile",
                             confidence_level=0.95, vectorized=False, paired=False,
                             rng=np.random.default_rng(seed))
    return [float(end) for end in result.confidence_interval]


def estimate(samples, value, statistic, seed):
    if value is None:
        return None
    n = sum(len(sample) for sample in samples)
    # Of one value there is nothing to draw, and SciPy refuses it.
    single = max(map(len, samples)) == 1
    low, high = (value, value) if single else bootstrap(samples, statistic, seed)
    return {"value": value, "low": low, "high": high, "n": n}


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
    low, high = (float(stats.binom.ppf(q, of, hits / of)) / of for q in (0.025, 0.975))
    return {"value": hits / of, "low": low, "high": high, "n": of}


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
        "auroc_estimate": two(
            FOR_AUROC, lambda p, n: estimate((p, n), auroc(p, n), quick_auroc, 1)
        ),
        "cohens_d": two(FOR_D, cohens_d),
        "mann_whitney": two(TWO_SAMPLES, mann_whitney),
        "mean": [
            {"name": name, "values": values,
             "expected": estimate((values,), math.fsum(values) / len(values) if values else None,
                                  np.mean, 2)}
            for name, values in FOR_MEANS.items()
        ],
        "share": [
            {"name": f"{hits} of {of}", "hits": hits, "of": of, "expected": share(hits, of)}
            for hits, of in SHARES
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
