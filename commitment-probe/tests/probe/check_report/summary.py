"""A summary by the definitions: what each of its fields should hold, given the samples of a run."""

import itertools
from collections import Counter
from decimal import Decimal

import numpy as np
from sklearn.calibration import calibration_curve

from expected import NULL, Exactly, Near, Parameter
from recomputed import auroc, difference, mean, plain_mean, proportion

BINS = 10
CONCEPT_DECODERS = ("spelling", "embedding", "aliases")
OTHER_DECODERS = (*CONCEPT_DECODERS, "phrases")
DECODERS = ("greedy", *OTHER_DECODERS)


def single(number):
    """A number that was written from single precision, as it was."""
    return float(np.float32(float(number)))


def is_failure(sample, tau):
    """Whether the sample is a hallucination whose P-mass, as it is written, is `tau` or more."""
    return not sample["right"] and sample["first"]["mass"] >= tau


def group(samples, tau):
    """The samples by the outcome of the greedy answer; each group keeps their order."""
    wrong = [sample for sample in samples if not sample["right"]]
    return {
        "all": samples,
        "hallucination": wrong,
        "commitment_failure": [sample for sample in wrong if is_failure(sample, tau)],
        "other_hallucination": [sample for sample in wrong if not is_failure(sample, tau)],
        "right": [sample for sample in samples if sample["right"]],
    }


WRONG = ("hallucination", "commitment_failure", "other_hallucination")
PARTS = ("commitment_failure", "other_hallucination", "right")


def thresholds(groups, taus):
    """Commitment failures at each threshold."""
    return [threshold(groups["hallucination"], tau) for tau in taus]


def threshold(hallucinations, tau):
    """Commitment failures at one threshold."""
    failures = [is_failure(sample, tau) for sample in hallucinations]
    return {
        "tau": Parameter(0, 1),
        "failures": Exactly(sum(failures)),
        "rate": proportion(failures),
    }


def with_concentration(samples, tau):
    """Those whose P-mass reaches the threshold and is shared out in some way."""
    return [
        sample
        for sample in samples
        if sample["first"]["mass"] >= tau and sample["first"]["concentration"] is not None
    ]


def concentrations(samples):
    """The concentration of each sample."""
    return [single(sample["first"]["concentration"]) for sample in samples]


def concentration(groups, tau, caliper):
    """How the vote is split in failures and in right answers."""
    failures = with_concentration(groups["commitment_failure"], tau)
    right = with_concentration(groups["right"], tau)
    pairs = match(failures, right, caliper)
    return {
        **compare_concentrations(failures, right),
        "matched": {
            "caliper": Parameter(0, 1),
            "pairs": Exactly(len(pairs)),
            **compare_concentrations([pair[0] for pair in pairs], [pair[1] for pair in pairs]),
        },
    }


def compare_concentrations(failures, right):
    """The means of the two groups and what is between them."""
    failures, right = concentrations(failures), concentrations(right)
    return {
        "failures": mean(failures),
        "right": mean(right),
        "difference": difference(right, failures),
    }


def match(failures, right, caliper):
    """Pairs of a failure and a right answer of nearly the same P-mass, the nearest first.

    The P-masses are decimals, so that a difference of just the caliper is just that.
    """
    candidates = sorted(
        (abs(failure["first"]["mass"] - answer["first"]["mass"]), i, j)
        for (i, failure), (j, answer) in itertools.product(enumerate(failures), enumerate(right))
    )
    pairs, used_failures, used_right = [], set(), set()
    for distance, i, j in candidates:
        if distance <= caliper and i not in used_failures and j not in used_right:
            pairs.append((failures[i], right[j]))
            used_failures.add(i)
            used_right.add(j)
    return pairs


def confidence(groups):
    """How sure the model is of its first token."""
    return {
        outcome: mean([single(sample["first"]["probability"]) for sample in samples])
        for outcome, samples in groups.items()
    }


def second_entropies(samples, valid):
    """The entropies of the second tokens that follow a valid prefix, or that do not."""
    seconds = [sample["second"] for sample in samples if sample["second"] is not None]
    return [single(second["entropy"]) for second in seconds if second["valid"] is valid]


def phrase_masses(samples):
    """The phrase mass of the right concept in each sample."""
    return [float(sample["phrase_mass"]) for sample in samples]


def second_token(groups):
    """What happens after the first token."""
    phrase_failures = [sample["first"]["begins_answer"] for sample in groups["hallucination"]]
    return {
        "valid": mean(second_entropies(groups["all"], True)),
        "invalid": mean(second_entropies(groups["all"], False)),
        "phrase_failures": Exactly(sum(phrase_failures)),
        "phrase_failure_rate": proportion(phrase_failures),
        "phrase_mass": {outcome: mean(phrase_masses(groups[outcome])) for outcome in PARTS},
    }


def decision_score(decoder):
    """The score of a decoder: its entropy over concepts."""
    return lambda sample: single(sample["decisions"][decoder]["vote"]["entropy"])


def semantic_score(sample):
    """The semantic entropy of the sampled answers, if there are any."""
    sampled = sample["sampled"]
    return None if sampled is None else float(sampled["semantic_entropy"])


def scores():
    """The detectors: the higher the score, the likelier the answer is wrong."""
    return {
        "max_probability": lambda sample: -single(sample["first"]["probability"]),
        "token_entropy": lambda sample: single(sample["first"]["token_entropy"]),
        **{f"concept_entropy_{name}": decision_score(name) for name in CONCEPT_DECODERS},
        "semantic_entropy": semantic_score,
    }


def detectors(groups):
    """How well each score tells each kind of wrong answers from right ones."""
    return {name: detector(groups, score) for name, score in scores().items()}


def detector(groups, score):
    """How well one score tells each kind of wrong answers from right ones."""

    def known(samples):
        return [value for value in map(score, samples) if value is not None]

    return {
        outcome: auroc(known(groups[outcome]), known(groups["right"])) for outcome in WRONG
    }


def confidence_in(decoder, sample):
    """How sure a decoder is of its answer, and whether that is right."""
    if decoder == "greedy":
        return single(sample["first"]["probability"]), sample["right"]
    decision = sample["decisions"][decoder]
    return float(decision["mass"]), decision["right"]


def calibration(samples):
    """The calibration of each decoder."""
    return {
        decoder: calibration_of([confidence_in(decoder, sample) for sample in samples])
        for decoder in DECODERS
    }


def calibration_of(pairs):
    """The bins of one decoder's confidence, and the expected calibration error."""
    edges = np.arange(BINS + 1) / BINS
    sure = np.array([pair[0] for pair in pairs], dtype=float)
    right = np.array([pair[1] for pair in pairs], dtype=float)
    where = np.digitize(sure, edges[1:-1], right=True)
    bins = [
        {
            "low": Near(float(edges[i])),
            "high": Near(float(edges[i + 1])),
            "n": Exactly(int(np.sum(where == i))),
            "confidence": plain_mean(sure[where == i]),
            "accuracy": plain_mean(right[where == i]),
        }
        for i in range(BINS)
    ]
    return {"ece": calibration_error(sure, right, where), "bins": bins}


def calibration_error(sure, right, where):
    """The expected calibration error, computed from the samples and from the curve of a library."""
    if not len(sure):
        return NULL
    error = sum(abs(np.sum((right - sure)[where == i])) for i in range(BINS)) / len(sure)
    sizes = np.bincount(where, minlength=BINS)
    # The library refuses what rounding has put above 1, which the check of the samples reports.
    accuracy, certainty = calibration_curve(right, np.minimum(sure, 1), n_bins=BINS, pos_label=1)
    other = np.sum(sizes[sizes > 0] * np.abs(accuracy - certainty)) / len(sure)
    if np.max(sure) <= 1 and not Near(float(error)).accepts(float(other)):
        raise ArithmeticError(f"two calibration errors of the same samples: {error} and {other}")
    return Near(float(error))


def decoders(groups):
    """What each decoder would have changed."""
    return {name: decoder(groups, name) for name in OTHER_DECODERS}


def decoder(groups, name):
    """What one decoder would have changed."""

    def answers_rightly(samples):
        return [sample["decisions"][name]["right"] for sample in samples]

    broken = [not right for right in answers_rightly(groups["right"])]
    return {
        "right": {
            outcome: proportion(answers_rightly(samples)) for outcome, samples in groups.items()
        },
        "recovered": Exactly(sum(answers_rightly(groups["hallucination"]))),
        "broken": Exactly(sum(broken)),
        "broken_rate": proportion(broken),
    }


def temperature(groups):
    """What changes with the temperature."""
    return {"curve": curve(groups), "sampled": sampled(groups)}


def curve(groups):
    """The mean P-mass at each temperature that was measured, in the order of the samples."""
    measured = dict.fromkeys(
        at["temperature"] for sample in groups["all"] for at in sample["at_temperature"]
    )
    return [
        {
            "temperature": Near(float(degree)),
            "mass": {outcome: plain_mean(masses_at(groups[outcome], degree)) for outcome in PARTS},
        }
        for degree in measured
    ]


def masses_at(samples, degree):
    """The P-masses of the samples at one temperature."""
    return [
        single(at["mass"])
        for sample in samples
        for at in sample["at_temperature"]
        if at["temperature"] == degree
    ]


def sampled(groups):
    """The sampled answers; null if there are none."""
    samples = [sample["sampled"] for sample in groups["all"] if sample["sampled"] is not None]
    if not samples:
        return NULL
    return {
        "temperature": Near(float(samples[0]["temperature"])),
        "samples": Exactly(len(samples[0]["answers"])),
        "shares": {outcome: sampled_shares(of) for outcome, of in groups.items()},
    }


def sampled_shares(samples):
    """How many of the sampled answers of a group are right."""
    sampled_of = [sample["sampled"] for sample in samples if sample["sampled"] is not None]
    flags = [[answer["right"] for answer in of["answers"]] for of in sampled_of]
    return {
        "answers": mean([np.mean(of_question) for of_question in flags]),
        "majority": proportion(majority_is_right(of["answers"]) for of in sampled_of),
        "any": proportion(any(of_question) for of_question in flags),
        "semantic_entropy": mean([float(of["semantic_entropy"]) for of in sampled_of]),
    }


def majority_is_right(answers):
    """Whether the first answer of the largest cluster is right; of equals, the first to appear."""
    largest, _ = Counter(answer["cluster"] for answer in answers).most_common(1)[0]
    return next(answer["right"] for answer in answers if answer["cluster"] == largest)


def expected_summary(run, reported):
    """The summary that a run should have, given the parameters that it states."""
    tau = Decimal(reported["tau"])
    groups = group(run.samples, tau)
    taus = [Decimal(of["tau"]) for of in reported["thresholds"]]
    caliper = Decimal(reported["concentration"]["matched"]["caliper"])
    return {
        "name": Exactly(run.name),
        "samples": Exactly(len(run.samples)),
        "planned": Exactly(len(run.questions)),
        "hallucinations": Exactly(len(groups["hallucination"])),
        "hallucination_rate": proportion(not sample["right"] for sample in run.samples),
        "tau": Parameter(0, 1),
        "thresholds": thresholds(groups, taus),
        "concentration": concentration(groups, tau, caliper),
        "confidence": confidence(groups),
        "second_token": second_token(groups),
        "detectors": detectors(groups),
        "calibration": calibration(groups["all"]),
        "decoders": decoders(groups),
        "temperature": temperature(groups),
    }
