"""Other decoders, calibration and temperature: what a summary should hold of them."""

from collections import Counter

import numpy as np
from sklearn.calibration import calibration_curve

from estimates import mean, plain_mean, share
from expected import NULL, Exactly, Near
from populations import DECODERS, OTHER_DECODERS, PARTS, is_right, labelled, single

BINS = 10


def confidence_in(decoder, sample):
    """How sure a decoder is of its answer, and whether that is right."""
    if decoder == "greedy":
        return single(sample["first"]["probability"]), is_right(sample)
    decision = sample["decisions"][decoder]
    return float(decision["mass"]), decision["right"]


def confidences(decoder, samples):
    """The same of each sample that has the decoder's decision."""
    return [
        confidence_in(decoder, sample)
        for sample in samples
        if decoder == "greedy" or decoder in sample["decisions"]
    ]


def calibration(samples):
    """The calibration of each decoder."""
    return {decoder: calibration_of(confidences(decoder, samples)) for decoder in DECODERS}


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

    def right(sample):
        return sample["decisions"][name]["right"] if name in sample["decisions"] else None

    broken = [(of, not kept) for of, kept in labelled(groups["right"], right)]
    return {
        "right": {outcome: share(labelled(of, right)) for outcome, of in groups.items()},
        "recovered": Exactly(sum(flag for _, flag in labelled(groups["hallucination"], right))),
        "broken": Exactly(sum(flag for _, flag in broken)),
        "broken_rate": share(broken),
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
            "mass": {part: plain_mean(masses_at(groups[part], degree)) for part in PARTS},
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
        "judged": Exactly(samples[0]["judged"]),
        "shares": {outcome: sampled_shares(of) for outcome, of in groups.items()},
    }


def sampled_shares(samples):
    """How many of the sampled answers of a group are right; a question's are not independent."""

    def of_question(value):
        def of(sample):
            found = sample["sampled"]
            return value(found) if found is not None and found["answers"] else None

        return labelled(samples, of)

    def flags(found):
        return [answer["right"] for answer in found["answers"]]

    return {
        "answers": mean(of_question(lambda found: float(np.mean(flags(found))))),
        "majority": share(of_question(lambda found: majority_is_right(found["answers"]))),
        "any": share(of_question(lambda found: any(flags(found)))),
        "entropy": mean(of_question(lambda found: float(found["entropy"]))),
    }


def majority_is_right(answers):
    """Whether the first answer of the largest cluster is right; of equals, the first to appear."""
    largest, _ = Counter(answer["cluster"] for answer in answers).most_common(1)[0]
    return next(answer["right"] for answer in answers if answer["cluster"] == largest)
