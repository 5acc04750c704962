"""Commitment failures: rates, what chance gives, and the concentration of pairs."""

import math
from collections import Counter
from decimal import Decimal
from fractions import Fraction

from estimates import mean, share, signed_rank_test
from expected import NULL, AnyOf, Between, Exactly, Near
from populations import (
    RATES,
    STEPS,
    counts,
    exchange_counts,
    is_right,
    is_wrong,
    label,
    labelled,
    mass,
    null,
    right_winner,
    single,
)

# Besides that of the summary.
TAUS = (0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)
CALIPER = 0.05
CALIPER_SLACK = Decimal("1e-9")


def rates(wrong, step, tau):
    """Both rates at one step."""
    return {name: rate(wrong, step, name, tau) for name in RATES}


def rate(wrong, step, name, tau):
    """One rate among wrong answers, its null, and what it is in excess of that."""
    flags = labelled(wrong, lambda sample: counts(sample, step, name, tau))

    def excess(sample):
        chance = null(sample, step, name, tau)
        return None if chance is None else counts(sample, step, name, tau) - chance

    def chance(sample):
        return null(sample, step, name, tau)

    shared = shared_variance(wrong, chance, step, name, tau)
    return {
        "failures": Exactly(sum(flag for _, flag in flags)),
        "rate": share(flags),
        "null": widened(labelled(wrong, chance), shared, least=0.0),
        "excess": widened(labelled(wrong, excess), shared),
    }


def shared_variance(wrong, chance, step, name, tau):
    """What the nulls vary by since a question's forms are tried on several others.

    The variance by the question that the forms are from, less what it has in common with that by the
    question that was asked (Cameron, Gelbach and Miller, 2011).
    """
    nulls = [found for found in map(chance, wrong) if found is not None]
    middle = sum(nulls) / len(nulls) if nulls else 0.0
    sums, common = Counter(), 0.0
    for sample in wrong:
        for other in sample["exchanged"]:
            part = (exchange_counts(other, step, name, tau) - middle) / len(sample["exchanged"])
            sums[other["id"]] += part
            common += part**2
    return max(sum(of**2 for of in sums.values()) - common, 0.0)


def widened(values, shared, least=-1.0):
    """The mean and its interval, for so much more variance of the sum."""
    expected = mean(values)
    if expected is NULL or not shared:
        return expected
    middle = sum(value for _, value in values) / len(values)
    variance = sum((value - middle) ** 2 for _, value in values)
    factor = math.sqrt(1 + shared / variance) if variance else 1.0

    def end(bound):
        if isinstance(bound, Near):
            bound = Between(bound.value - 1e-9, bound.value + 1e-9)
        ends = [middle + (of - middle) * factor for of in (bound.least, bound.most)]
        low, high = (min(max(of, least), 1.0) for of in ends)
        return Between(low - 1e-12, high + 1e-12)

    def wide(fields):
        return {**fields, "low": end(fields["low"]), "high": end(fields["high"])}

    if isinstance(expected, AnyOf):
        return AnyOf(*(wide(fields) for fields in expected.each()))
    return wide(expected)


def conditional_mass(sample):
    found = sample["informative"]["conditional"]
    return None if found is None else single(found)


def failures(samples, tau):
    """Commitment failures among these samples."""
    wrong = [sample for sample in samples if is_wrong(sample)]
    return {
        "wrong": Exactly(len(wrong)),
        **{step: rates(wrong, step, tau) for step in STEPS},
        "conditional_mass": mean(labelled(wrong, conditional_mass)),
    }


def thresholds(samples, tau):
    """Commitment failures among these samples, at every threshold."""
    wrong = [sample for sample in samples if is_wrong(sample)]
    taus = sorted({*(Decimal(repr(of)) for of in TAUS), tau})
    return [
        {"tau": Near(float(of)), **{step: rates(wrong, step, of) for step in STEPS}} for of in taus
    ]


def with_concentration(samples, step, tau):
    """Those whose mass reaches the threshold and is shared out in some way."""
    return [
        sample
        for sample in samples
        if mass(sample, step) >= tau and sample[step]["concentration"] is not None
    ]


def concentration_of(step):
    return lambda sample: single(sample[step]["concentration"])


def concentration(samples, step, tau):
    """How the right concept is split in failures and in right answers."""
    failing = with_concentration(filter(is_wrong, samples), step, tau)
    strict = [sample for sample in failing if not right_winner(sample, step)]
    right = with_concentration(filter(is_right, samples), step, tau)
    of = concentration_of(step)

    def matched(distance):
        return matched_pairs(failing, right, match(failing, right, step, distance), step)

    return {
        "failures": mean(labelled(failing, of)),
        "strict": mean(labelled(strict, of)),
        "right": mean(labelled(right, of)),
        # Decimals at equal distances may not be so in binary: then either order is right.
        "matched": AnyOf(matched(decimal_distance), lambda: matched(binary_distance)),
    }


def decimal_distance(first, second):
    return abs(Decimal(first) - Decimal(second))


def binary_distance(first, second):
    return abs(Fraction(float(first)) - Fraction(float(second)))


def match(failing, right, step, distance):
    """Places of a failure and a right answer that are alike, the nearest first; in their order."""
    size = "firsts" if step == "first" else "cuts"
    limit = Decimal(repr(CALIPER)) + CALIPER_SLACK
    strata = {}
    for j, answer in enumerate(right):
        strata.setdefault(answer[step][size], []).append((j, mass(answer, step)))
    candidates = sorted(
        (distance(mass(failure, step), of_answer), i, j)
        for i, failure in enumerate(failing)
        for j, of_answer in strata.get(failure[step][size], [])
        if decimal_distance(mass(failure, step), of_answer) <= limit
    )
    pairs, used = {}, set()
    for _, i, j in candidates:
        if i not in pairs and j not in used:
            pairs[i] = j
            used.add(j)
    return sorted(pairs.items())


def matched_pairs(failing, right, places, step):
    """What pairs show; the group of a pair is that of its failure."""
    of = concentration_of(step)
    pairs = [(failing[i], right[j]) for i, j in places]
    paired = {i for i, _ in places}
    differences = [of(answer) - of(failure) for failure, answer in pairs]

    def of_pairs(values):
        return mean((label(failure), value) for (failure, _), value in zip(pairs, values))

    return {
        "caliper": Near(CALIPER),
        "unmatched": share((label(failure), i not in paired) for i, failure in enumerate(failing)),
        "failures": of_pairs([of(failure) for failure, _ in pairs]),
        "right": of_pairs([of(answer) for _, answer in pairs]),
        "difference": of_pairs(differences),
        "test": signed_rank_test(differences, [label(failure) for failure, _ in pairs]),
        "pairs": [
            {
                "failure": member(failure, step),
                "right": member(answer, step),
                "strict": Exactly(not right_winner(failure, step)),
            }
            for failure, answer in pairs
        ],
    }


def member(sample, step):
    """One of a pair."""
    return {
        "id": Exactly(sample["id"]),
        "mass": Near(float(mass(sample, step))),
        "concentration": Near(single(sample[step]["concentration"])),
    }
