"""A summary by the definitions: what each of its fields should hold, given the samples of a run."""

import math
from collections import Counter

from estimates import auroc, mean, share
from expected import NULL, Exactly, Parameter
from failures import concentration, failures, thresholds
from hidden import expected_hidden
from others import calibration, decoders, temperature
from populations import (
    CONCEPT_DECODERS,
    PARTS,
    VERDICTS,
    WRONG,
    by_outcome,
    is_wrong,
    label,
    labelled,
    single,
    tau_of,
)

LEAST_LOCALISED = 0.8


def verdicts(samples):
    """How many answers have each verdict."""
    found = Counter(sample["verdict"] for sample in samples)
    return {verdict: Exactly(found[verdict]) for verdict in VERDICTS}


def group_count(samples):
    """The groups of questions, if any has one; then those without are groups of one."""
    if all(sample.get("group") is None for sample in samples):
        return NULL
    return Exactly(len({label(sample) for sample in samples}))


def by_scorer(samples):
    """The hallucination rate by each scorer that all samples have, but for empty answers."""
    asked = [set(sample["accepted"]) for sample in samples if sample["otherwise"] != "empty"]
    common = set.union(*(set(sample["accepted"]) for sample in samples)) if samples else set()
    common = common.intersection(*asked)

    def verdict(sample, scorer):
        if scorer not in sample["accepted"]:
            return None
        accepted = sample["accepted"][scorer] and sample["otherwise"] != "unmeasured"
        return "right" if accepted else sample["otherwise"]

    def wrong(scorer):
        by = {"right": False, "wrong": True}
        return labelled(samples, lambda sample: by.get(verdict(sample, scorer)))

    return {scorer: share(wrong(scorer)) for scorer in sorted(common)}


def cut_as_wrong(samples):
    """The hallucination rate if answers that were cut were wrong."""
    wrong = {"right": False, "wrong": True, "cut": True}
    return share(labelled(samples, lambda sample: wrong.get(sample["verdict"])))


def uninformative(samples):
    """The tokens that were passed over, and in how many questions."""
    met = Counter(token for sample in samples for token in set(sample["informative"]["passed"]))
    return {token: Exactly(count) for token, count in met.items()}


def winner_probability(sample):
    return single(sample["first"]["probability"])


def entropy_after(step):
    """The entropy at step 2 or 3, where what was said before it begins a form."""

    def entropy(sample):
        if len(sample["later"]) < step - 1:
            return None
        found = sample["later"][step - 2]
        begun = sample["first"]["begins_answer"] if step == 2 else found["valid"]
        return single(found["entropy"]) if begun and found["entropy"] is not None else None

    return entropy


def entropies(groups, step):
    """An entropy in right and in wrong answers, in nats and as a share of the largest."""
    nats = entropy_after(step)

    def of_largest(sample):
        entropy = nats(sample)
        return None if entropy is None else entropy / math.log(sample["vocab_size"])

    return {
        name: {"nats": mean(labelled(of, nats)), "share": mean(labelled(of, of_largest))}
        for name, of in (("right", groups["right"]), ("wrong", groups["hallucination"]))
    }


def later(groups):
    """What happens after the first token."""
    begun = labelled(groups["hallucination"], lambda sample: sample["first"]["begins_answer"])
    return {
        "second": entropies(groups, 2),
        "third": entropies(groups, 3),
        "phrase_failures": Exactly(sum(flag for _, flag in begun)),
        "phrase_failure_rate": share(begun),
        "phrase_mass": {
            part: mean(labelled(groups[part], lambda sample: float(sample["phrase_mass"])))
            for part in PARTS
        },
    }


def of_first(name, sign):
    return lambda sample: sign * single(sample["first"][name])


def vote_entropy(decoder):
    """The score of a decoder: its entropy over concepts."""

    def score(sample):
        vote = sample["decisions"].get(decoder, {}).get("vote")
        return None if vote is None else single(vote["entropy"])

    return score


def per_token(sample):
    sequence = sample["sequence"]
    if not sequence["tokens"]:
        return None
    return -float(sequence["ln_probability"]) / sequence["tokens"]


def cluster_entropy(judged):
    """The entropy over clusters, of samples whose clusters a judge made, or did not make."""

    def score(sample):
        found = sample["sampled"]
        return None if found is None or found["judged"] is not judged else float(found["entropy"])

    return score


SCORES = {
    "max_probability": of_first("probability", -1),
    "margin": of_first("margin", -1),
    "token_entropy": of_first("token_entropy", 1),
    **{f"concept_entropy_{name}": vote_entropy(name) for name in CONCEPT_DECODERS},
    "sequence": lambda sample: -float(sample["sequence"]["ln_probability"]),
    "sequence_per_token": per_token,
    "p_true": lambda sample: None if sample["p_true"] is None else -float(sample["p_true"]),
    "semantic_entropy": cluster_entropy(True),
    "lexical_cluster_entropy": cluster_entropy(False),
    "p_mass": of_first("mass", -1),
}


def detectors(groups):
    """How well each score tells each kind of wrong answers from right ones."""
    return {name: detector(groups, score) for name, score in SCORES.items()}


def detector(groups, score):
    """How well one score tells each kind of wrong answers from right ones."""

    def area(outcome):
        return auroc(labelled(groups[outcome], score), labelled(groups["right"], score))

    return {outcome: area(outcome) for outcome in WRONG}


def expected_summary(run, reported):
    """The summary that a run should have, given the threshold that it states."""
    tau = tau_of(reported)
    samples = run.samples
    groups = by_outcome(samples, tau)
    localised = [sample for sample in groups["all"] if sample["localised"]]
    enough = len(localised) >= LEAST_LOCALISED * len(groups["all"])
    outside = [sample for sample in groups["hallucination"] if not sample["first"]["begins_answer"]]
    hidden = expected_hidden(run, tau, reported["hidden"]) if "hidden" in reported else None
    if hidden is None and run.states is not None and groups["all"]:
        hidden = Exactly("what the states know")
    return {
        **({} if hidden is None else {"hidden": hidden}),
        "name": Exactly(run.name),
        "samples": Exactly(len(samples)),
        "planned": Exactly(len(run.questions)),
        "groups": group_count(samples),
        "verdicts": verdicts(samples),
        "scorer": Exactly(samples[0]["scorer"] if samples else None),
        "hallucination_rate": share(labelled(groups["all"], is_wrong)),
        "cut_as_wrong": cut_as_wrong(run.samples),
        "by_scorer": by_scorer(run.samples),
        "localised": share(labelled(groups["all"], lambda sample: sample["localised"])),
        "says_nothing": share(
            labelled(
                groups["all"], lambda of: of["first"]["text"] in of["informative"]["passed"]
            )
        ),
        "withheld": Exactly(not enough),
        "tau": Parameter(0, 1),
        "failures": failures(localised, tau),
        "all_failures": failures(groups["all"], tau),
        "thresholds": thresholds(localised, tau),
        "uninformative": uninformative(samples),
        "concentration": concentration(groups["all"], "first", tau),
        "informative_concentration": concentration(groups["all"], "informative", tau),
        "confidence": {
            outcome: mean(labelled(of, winner_probability)) for outcome, of in groups.items()
        },
        "wrong_winner_confidence": mean(labelled(outside, winner_probability)),
        "later": later(groups),
        "detectors": detectors(groups),
        "calibration": calibration(groups["all"]),
        "decoders": decoders(groups),
        "temperature": temperature(groups),
    }
