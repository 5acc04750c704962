"""A summary by the definitions: what each of its fields should hold, of the samples of a run."""

import itertools
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from sklearn.calibration import calibration_curve

from expected import NULL, Exactly, Near, Parameter
from recomputed import auroc, difference, mean, plain_mean, proportion

BINS = 10
TOKEN_DECODERS = ("spelling", "embedding", "aliases")
DECODERS = (*TOKEN_DECODERS, "phrases")
KNOWING_DECODERS = ("aliases", "phrases")


def single(number):
    """A number that was written from single precision, as it was."""
    return float(np.float32(float(number)))


@dataclass(frozen=True)
class Groups:
    """The samples of a run by what became of the greedy answer."""

    tau: Decimal
    all: list
    hallucinations: list
    failures: list
    others: list
    right: list


def is_failure(sample, tau):
    """Whether the sample is a hallucination whose P-mass, as it is written, is `tau` or more."""
    return not sample["right"] and sample["first"]["mass"] >= tau


def group(samples, tau):
    """Sorts the samples into groups; each keeps their order."""
    wrong = [sample for sample in samples if not sample["right"]]
    return Groups(
        tau=tau,
        all=samples,
        hallucinations=wrong,
        failures=[sample for sample in wrong if is_failure(sample, tau)],
        others=[sample for sample in wrong if not is_failure(sample, tau)],
        right=[sample for sample in samples if sample["right"]],
    )


def thresholds(groups, taus):
    """Commitment failures at each threshold."""
    return [threshold(groups.hallucinations, tau) for tau in taus]


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


def concentration(groups, caliper):
    """How the vote is split in failures and in right answers."""
    failures = with_concentration(groups.failures, groups.tau)
    right = with_concentration(groups.right, groups.tau)
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
        name: mean([single(sample["first"]["probability"]) for sample in getattr(groups, name)])
        for name in ("hallucinations", "failures", "right")
    }


def second_entropies(samples, valid):
    """The entropies of the second tokens that follow a valid prefix, or that do not."""
    seconds = [sample["second"] for sample in samples if sample["second"] is not None]
    return [single(second["entropy"]) for second in seconds if second["valid"] is valid]


def phrase_masses(samples):
    """The phrase mass of the right concept in each sample."""
    return [float(sample["phrases"]["mass"]) for sample in samples]


def second_token(groups):
    """What the second token tells."""
    phrase_failures = [sample["first"]["begins_answer"] for sample in groups.hallucinations]
    return {
        "valid": mean(second_entropies(groups.all, True)),
        "invalid": mean(second_entropies(groups.all, False)),
        "phrase_failures": Exactly(sum(phrase_failures)),
        "phrase_failure_rate": proportion(phrase_failures),
        "phrase_mass_failures": mean(phrase_masses(groups.failures)),
        "phrase_mass_right": mean(phrase_masses(groups.right)),
    }


def decision_score(decoder):
    """The score of a decoder: its entropy over concepts."""
    return lambda sample: single(sample[decoder]["entropy"])


def semantic_score(sample):
    """The semantic entropy of the sampled answers, if there are any."""
    sampled = sample["sampled"]
    return None if sampled is None else float(sampled["semantic_entropy"])


def scores():
    """What tells hallucinations from right answers: the more, the likelier."""
    return {
        "max probability": lambda sample: -single(sample["first"]["probability"]),
        "token entropy": lambda sample: single(sample["first"]["token_entropy"]),
        **{f"concept entropy ({name})": decision_score(name) for name in TOKEN_DECODERS},
        "semantic entropy": semantic_score,
    }


def detectors(groups):
    """How well each score tells each kind of wrong answers."""
    return [{"name": Exactly(name), **detector(groups, score)} for name, score in scores().items()]


def detector(groups, score):
    """How well one score tells each kind of wrong answers."""

    def known(samples):
        return [value for value in map(score, samples) if value is not None]

    return {
        name: auroc(known(getattr(groups, name)), known(groups.right))
        for name in ("hallucinations", "failures", "others")
    }


def confidences(samples):
    """Pairs of a confidence and whether it was justified, by what the confidence is in."""
    return {
        "token": [(single(s["first"]["probability"]), s["right"]) for s in samples],
        **{
            f"concept ({name})": [(single(s[name]["mass"]), s[name]["right"]) for s in samples]
            for name in TOKEN_DECODERS
        },
        "phrase": [(float(s["phrases"]["winner_mass"]), s["phrases"]["right"]) for s in samples],
    }


def calibration(samples):
    """The calibration of each kind of confidence."""
    return [
        {"name": Exactly(name), **calibration_of(pairs)}
        for name, pairs in confidences(samples).items()
    ]


def calibration_of(pairs):
    """The bins of one kind of confidence, and the expected calibration error."""
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
    # The library refuses what rounding has put above 1, and the check of the samples tells of it.
    accuracy, certainty = calibration_curve(right, np.minimum(sure, 1), n_bins=BINS, pos_label=1)
    other = np.sum(sizes[sizes > 0] * np.abs(accuracy - certainty)) / len(sure)
    if np.max(sure) <= 1 and not Near(float(error)).accepts(float(other)):
        raise ArithmeticError(f"two calibration errors of the same samples: {error} and {other}")
    return Near(float(error))


def decoders(groups):
    """What each decoder would have changed."""
    return [{"name": Exactly(name), **decoder(groups, name)} for name in DECODERS]


def decoder(groups, name):
    """What one decoder would have changed."""

    def answers_rightly(samples):
        return [sample[name]["right"] for sample in samples]

    recovered = answers_rightly(groups.hallucinations)
    broken = [not right for right in answers_rightly(groups.right)]
    return {
        "knows_answers": Exactly(name in KNOWING_DECODERS),
        "right": proportion(answers_rightly(groups.all)),
        "recovered": Exactly(sum(recovered)),
        "recovered_hallucinations": proportion(recovered),
        "recovered_failures": proportion(answers_rightly(groups.failures)),
        "broken": Exactly(sum(broken)),
        "broken_rate": proportion(broken),
    }


def temperature(groups):
    """What temperature does."""
    return {"curve": curve(groups), "sampled": sampled(groups)}


def curve(groups):
    """The mean P-mass at each temperature that was measured, in the order of the samples."""
    measured = dict.fromkeys(
        at["temperature"] for sample in groups.all for at in sample["at_temperature"]
    )
    return [
        {
            "temperature": Near(float(degree)),
            **{
                name: plain_mean(masses_at(getattr(groups, name), degree))
                for name in ("failures", "others", "right")
            },
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
    """What the sampled answers come to; null if there are none."""
    draws = [sample["sampled"] for sample in groups.all if sample["sampled"] is not None]
    if not draws:
        return NULL
    return {
        "temperature": Near(float(draws[0]["temperature"])),
        "draws": Exactly(len(draws[0]["answers"])),
        **{
            name: sampled_shares(getattr(groups, name))
            for name in ("all", "failures", "others", "right")
        },
    }


def sampled_shares(samples):
    """How many of the sampled answers of a group are right."""
    draws = [sample["sampled"] for sample in samples if sample["sampled"] is not None]
    flags = [[answer["right"] for answer in draw["answers"]] for draw in draws]
    return {
        "answers": mean([np.mean(of_question) for of_question in flags]),
        "majority": proportion(majority_is_right(draw["answers"]) for draw in draws),
        "any": proportion(any(of_question) for of_question in flags),
        "semantic_entropy": mean([float(draw["semantic_entropy"]) for draw in draws]),
    }


def majority_is_right(answers):
    """Whether the first answer of the largest cluster is right; of equals, the first to appear."""
    largest, _ = Counter(answer["cluster"] for answer in answers).most_common(1)[0]
    return next(answer["right"] for answer in answers if answer["cluster"] == largest)


def expected_summary(run, reported):
    """All that the summary of a run should say, given the parameters that it names."""
    groups = group(run.samples, Decimal(reported["tau"]))
    taus = [Decimal(of["tau"]) for of in reported["thresholds"]]
    caliper = Decimal(reported["concentration"]["matched"]["caliper"])
    return {
        "name": Exactly(run.name),
        "samples": Exactly(len(run.samples)),
        "planned": Exactly(len(run.questions)),
        "hallucinations": Exactly(len(groups.hallucinations)),
        "hallucination_rate": proportion(not sample["right"] for sample in run.samples),
        "tau": Parameter(0, 1),
        "thresholds": thresholds(groups, taus),
        "concentration": concentration(groups, caliper),
        "confidence": confidence(groups),
        "second_token": second_token(groups),
        "detectors": detectors(groups),
        "calibration": calibration(groups.all),
        "decoders": decoders(groups),
        "temperature": temperature(groups),
    }
