"""Runs beside each other: the first with each other one, and rates by the size of the model."""

import math
from decimal import Decimal

import numpy as np
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from estimates import mean, p_of_signs
from expected import NULL, Between, Exactly, Near, Parameter, Texts
from populations import RATES, counted, counts, is_wrong, label, mass, tau_of
from resampling import SEED

PERMUTATIONS = 20000
PERMUTATIONS_AT_ONCE = 500
LEAST_SIZES = 3
LEAST_PERMUTATIONS = 500
# How many standard errors the p of a permutation test may be off.
ERRORS = 5


def by_id(samples):
    return {sample["id"]: sample for sample in samples}


def shared(runs, samples_of=lambda run: run.samples):
    """The samples of the questions that all runs have, in the order of the first."""
    of_runs = [by_id(samples_of(run)) for run in runs]
    ids = [id_ for id_ in of_runs[0] if all(id_ in others for others in of_runs)]
    return [[samples[id_] for samples in of_runs] for id_ in ids]


def comparisons(runs, summaries):
    """The first run beside each other one."""
    taus = [tau_of(summary) for summary in summaries]
    return [comparison((runs[0], run), (taus[0], tau)) for run, tau in zip(runs[1:], taus[1:])]


def comparison(runs, taus):
    """Two runs, question by question."""
    pairs = shared(runs, lambda run: counted(run.samples))
    of_wrong = [pair for pair in pairs if all(is_wrong(s) and s["localised"] for s in pair)]

    def failing(rate):
        return paired(
            of_wrong,
            [[counts(s, "first", rate, tau) for s, tau in zip(pair, taus)] for pair in of_wrong],
        )

    masses = mean((label(a), float(Decimal(mass(b, "first")) - mass(a, "first"))) for a, b in pairs)
    return {
        "first": Exactly(runs[0].name),
        "second": Exactly(runs[1].name),
        "shared": Exactly(len(shared(runs))),
        "warnings": Texts(must_warn(*runs)),
        "wrong": paired(pairs, [[is_wrong(sample) for sample in pair] for pair in pairs]),
        "mass": masses,
        "failures": failing("paper"),
        "strict": failing("strict"),
    }


def must_warn(first, second):
    """Whether the runs differ in their questions or scorers; a warning may have other reasons."""

    def asked(run):
        return {(sample["id"], sample["question"]) for sample in run.samples}

    def scorers(run):
        return {sample["scorer"] for sample in run.samples}

    return asked(first) != asked(second) or scorers(first) != scorers(second)


def paired(pairs, flags):
    """The difference of two shares over the same questions, and McNemar's exact test."""
    table = np.zeros((2, 2), dtype=int)
    for first, second in flags:
        table[int(first), int(second)] += 1
    return {
        "difference": mean(
            (label(pair[0]), int(second) - int(first))
            for pair, (first, second) in zip(pairs, flags)
        ),
        "only_first": Exactly(int(table[1, 0])),
        "only_second": Exactly(int(table[0, 1])),
        "p": mcnemar_p(table, [label(pair[0]) for pair in pairs], flags),
    }


def mcnemar_p(table, labels, flags):
    """The p of McNemar's exact test, or where questions have groups by these; null of no question."""
    if not table.sum():
        return NULL
    if len(set(labels)) < len(labels):
        return p_of_signs(labels, [int(second) - int(first) for first, second in flags])
    return Near(float(mcnemar(table, exact=True).pvalue), 1e-6, absolute=0)


def trends(runs, summaries, reported):
    """Whether rates rise with the size of the model."""
    sizes = reported.get("parameters") if isinstance(reported, dict) else None
    if not isinstance(sizes, list) or len(sizes) != len(runs):
        return {"parameters": [Parameter(1, math.inf) for _ in runs]}
    known = [place for place, size in enumerate(sizes) if type(size) is int and size > 0]
    taus = [tau_of(summary) for summary in summaries]
    return {
        "parameters": [size_of(run, size) for run, size in zip(runs, sizes)],
        **{
            name: trend(
                [runs[place] for place in known],
                [sizes[place] for place in known],
                [taus[place] for place in known],
                rate,
                reported.get(name),
            )
            for name, rate in zip(("failures", "strict"), RATES)
        },
    }


def size_of(run, reported):
    """The size of a run's model: what the run states, or what the report does."""
    if run.parameters is not None:
        return Exactly(run.parameters)
    return NULL if reported is None else Parameter(1, math.inf)


def trend(runs, sizes, taus, rate, reported):
    """The slope of a rate of localised wrong answers, and its p; null with fewer than three sizes."""
    wrong, failing = counts_of_groups(runs, taus, rate)
    rated = wrong.sum(axis=0) > 0
    if len(set(np.array(sizes)[rated])) < LEAST_SIZES:
        return NULL
    wrong, failing = wrong[:, rated], failing[:, rated]
    logs = np.log(np.array(sizes, dtype=float)[rated])
    slope = float(stats.linregress(logs, failing.sum(axis=0) / wrong.sum(axis=0)).slope)
    permutations = reported.get("permutations") if isinstance(reported, dict) else None
    several = type(permutations) is int and permutations > 0
    return {
        "slope": Near(slope, absolute=1e-12),
        "p": p_of_permutations(
            slopes(wrong, failing, logs), slope, permutations if several else PERMUTATIONS
        ),
        "runs": Exactly(len(logs)),
        "permutations": Parameter(LEAST_PERMUTATIONS, math.inf),
    }


def counts_of_groups(runs, taus, rate):
    """How many answers are wrong, and how many of them are failures, by group and by run."""
    names = {}
    found = [
        (names.setdefault(label(s), len(names)), place, counts(s, "first", rate, tau))
        for place, (run, tau) in enumerate(zip(runs, taus))
        for s in run.samples
        if is_wrong(s) and s["localised"]
    ]
    wrong, failing = np.zeros((2, len(names), len(runs)))
    for group, place, fails in found:
        wrong[group, place] += 1
        failing[group, place] += fails
    return wrong, failing


def slopes(wrong, failing, logs):
    """The slopes after permutations of the runs within each group."""
    generator = np.random.default_rng(SEED)
    centred = logs - np.mean(logs)
    found = []
    for _ in range(0, PERMUTATIONS, PERMUTATIONS_AT_ONCE):
        order = np.argsort(generator.random((PERMUTATIONS_AT_ONCE, *wrong.shape)), axis=2)
        of_wrong, of_failing = (
            np.take_along_axis(np.broadcast_to(table, order.shape), order, axis=2).sum(axis=1)
            for table in (wrong, failing)
        )
        with np.errstate(invalid="ignore"):
            rates = of_failing / of_wrong
        found.append(rates @ centred / np.sum(centred**2))
    found = np.concatenate(found)
    return found[np.isfinite(found)]


def p_of_permutations(slopes, slope, permutations):
    """The share of slopes that are as steep, within the errors of both tests."""
    steep = int(np.count_nonzero(np.abs(slopes) >= abs(slope) * (1 - 1e-9) - 1e-12))
    p = (steep + 1) / (len(slopes) + 1)
    error = ERRORS * math.sqrt(p * (1 - p) * (1 / permutations + 1 / len(slopes)))
    slack = error + 3 / permutations
    return Between(max(p - slack, 0.0), min(p + slack, 1.0))
