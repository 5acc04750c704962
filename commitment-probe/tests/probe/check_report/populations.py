"""Which answers a measure is of, and what is counted in them."""

from decimal import Decimal

import numpy as np

CONCEPT_DECODERS = ("spelling", "embedding", "aliases")
OTHER_DECODERS = (*CONCEPT_DECODERS, "phrases")
DECODERS = ("greedy", *OTHER_DECODERS)
VERDICTS = ("unmeasured", "right", "empty", "not_attempted", "cut", "wrong")
WRONG = ("hallucination", "commitment_failure", "strict_failure", "other_hallucination")
PARTS = ("commitment_failure", "other_hallucination", "right")
STEPS = ("first", "informative")
RATES = ("paper", "strict")


def single(number):
    """A number that was written from single precision, as it was."""
    return float(np.float32(float(number)))


def label(sample):
    """What samples that are not independent share: their group; without one, the question."""
    of_group = sample.get("group")
    return ("question", sample["id"]) if of_group is None else ("group", of_group)


def labelled(samples, value):
    """The value of each sample that has one, with the sample's label."""
    values = ((label(sample), value(sample)) for sample in samples)
    return [pair for pair in values if pair[1] is not None]


def is_wrong(sample):
    return sample["verdict"] == "wrong"


def is_right(sample):
    return sample["verdict"] == "right"


def counted(samples):
    """The samples of all measures: those that are right or wrong."""
    return [sample for sample in samples if is_wrong(sample) or is_right(sample)]


def mass(sample, step):
    """The mass at a step, as the decimal that is written."""
    return sample[step]["mass"]


def right_winner(sample, step):
    """Whether the winner at a step is right so far."""
    of_step = sample[step]
    return of_step["is_own"] if step == "first" else of_step["winner_is_right"]


def counts(sample, step, rate, tau):
    """Whether a rate at a step counts this wrong answer."""
    enough = mass(sample, step) >= tau
    return enough and not (rate == "strict" and right_winner(sample, step))


def null(sample, step, rate, tau):
    """The share of a question's exchanges that would have counted; none if it has no exchange."""
    flags = [exchange_counts(other, step, rate, tau) for other in sample["exchanged"]]
    return sum(flags) / len(flags) if flags else None


def exchange_counts(other, step, rate, tau):
    """Whether a rate at a step would count an answer with the forms of this other question."""
    of_mass, of_winner = (
        ("mass", "is_own") if step == "first" else ("informative_mass", "winner_is_right")
    )
    return other[of_mass] >= tau and not (rate == "strict" and other[of_winner])


def by_outcome(samples, tau):
    """The samples that are right or wrong, by the outcome of the greedy answer; in their order."""
    samples = counted(samples)
    wrong = [sample for sample in samples if is_wrong(sample)]
    failures = [sample for sample in wrong if counts(sample, "first", "paper", tau)]
    return {
        "all": samples,
        "hallucination": wrong,
        "commitment_failure": failures,
        "strict_failure": [sample for sample in wrong if counts(sample, "first", "strict", tau)],
        "other_hallucination": [
            sample for sample in wrong if not counts(sample, "first", "paper", tau)
        ],
        "right": [sample for sample in samples if is_right(sample)],
    }


def tau_of(summary):
    """The threshold that a summary states."""
    return Decimal(summary["tau"])
