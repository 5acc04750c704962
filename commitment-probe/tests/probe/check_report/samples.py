"""Facts within the samples: whether answers are right, entropies, masses."""

import math
import string
from collections import Counter

from scipy import stats

from summary import CONCEPT_DECODERS, OTHER_DECODERS, single

ENTROPY_TOLERANCE = 1e-12
SINGLE_TOLERANCE = 1e-6

ARTICLES = {"a", "an", "the"}
DROPPED = str.maketrans("", "", string.punctuation + "‘’“”„«»´…–—")


def normalise(text):
    """An answer without what does not count: case, punctuation, articles, and spaces."""
    words = text.lower().translate(DROPPED).split()
    return " ".join(word for word in words if word not in ARTICLES)


def entropy_of_clusters(answers):
    """The entropy over clusters, by their counts."""
    counts = Counter(answer["cluster"] for answer in answers)
    return float(stats.entropy(list(counts.values())))


def check_sample(sample, question):
    """Yields for each fact of a sample its name and what is wrong with it, if anything is."""
    yield "question", differs(sample["question"], question["question"])
    yield from check_answers(sample, {normalise(form) for form in question["answers"]})
    yield from check_masses(sample)
    yield from check_first(sample["first"])
    for at in sample["at_temperature"]:
        if at["temperature"] == 1:
            expected = single(sample["first"]["mass"])
            yield "at_temperature[1].mass", is_not_near(at["mass"], expected, SINGLE_TOLERANCE)
    if sample["sampled"] is not None:
        yield from check_sampled(sample["sampled"])


def check_answers(sample, forms):
    """Whether each answer is as right as the sample says."""
    answers = [("", sample["answer"], sample["right"])]
    decisions = sample["decisions"]
    yield "decisions", differs(sorted(decisions), sorted(OTHER_DECODERS))
    answers += [
        (f"decisions.{name}.", decision["answer"], decision["right"])
        for name, decision in decisions.items()
    ]
    sampled = [] if sample["sampled"] is None else sample["sampled"]["answers"]
    answers += [
        (f"sampled.answers[{i}].", answer["text"], answer["right"])
        for i, answer in enumerate(sampled)
    ]
    for prefix, text, right in answers:
        yield f"{prefix}right", differs(right, normalise(text) in forms, of=text)


def check_masses(sample):
    """Whether masses and shares are what they can be."""
    shares = {
        "first.probability": sample["first"]["probability"],
        "first.mass": sample["first"]["mass"],
        "phrase_mass": sample["phrase_mass"],
        **{
            f"decisions.{name}.mass": decision["mass"]
            for name, decision in sample["decisions"].items()
        },
        **{
            f"at_temperature[{at['temperature']}].mass": at["mass"]
            for at in sample["at_temperature"]
        },
    }
    for name, share in shares.items():
        yield name, None if 0 <= share <= 1 else f"{share} is not from 0 to 1"
    for name in CONCEPT_DECODERS:
        share = sample["decisions"][name]["vote"]["concentration"]
        of_vote = f"decisions.{name}.vote.concentration"
        yield of_vote, None if 0 < share <= 1 else f"{share} is not in (0, 1]"


def check_first(first):
    """Whether the concentration fits the P-mass and the probability of the first token."""
    share, mass, top = first["concentration"], single(first["mass"]), single(first["probability"])
    if share is None or mass == 0:
        wrong = (share is None) != (mass == 0)
        yield "first.concentration", f"{share} of a P-mass of {mass}" if wrong else None
        return
    yield "first.concentration", None if 0 < share <= 1 else f"{share} is not in (0, 1]"
    ally = single(share) * mass
    if first["begins_answer"]:
        yield "first.probability", is_not_near(top, ally, SINGLE_TOLERANCE)
    else:
        wrong = ally > top * (1 + SINGLE_TOLERANCE)
        yield "first.probability", f"{top} is less than an ally's {ally}" if wrong else None


def check_sampled(sampled):
    """Whether clusters are numbered in order of appearance and have the stated entropy."""
    clusters = [answer["cluster"] for answer in sampled["answers"]]
    appeared = list(dict.fromkeys(clusters))
    yield "sampled.clusters", differs(appeared, list(range(len(appeared))))
    entropy = entropy_of_clusters(sampled["answers"])
    told = sampled["semantic_entropy"]
    yield "sampled.semantic_entropy", is_not_near(told, entropy, ENTROPY_TOLERANCE)


def differs(found, expected, of=None):
    """What is wrong with a value that should be another; none if it is that."""
    about = "" if of is None else f" of {of!r}"
    return None if found == expected else f"{found!r}{about}, but {expected!r} is expected"


def is_not_near(found, expected, tolerance):
    """What is wrong with a number that should be near another; none if it is."""
    near = math.isclose(float(found), expected, rel_tol=tolerance, abs_tol=tolerance)
    return None if near else f"{found}, but {expected!r} is expected"


def check_run(run):
    """Counts the facts of a run's samples that were checked and lists those that are wrong."""
    questions = {question["id"]: question for question in run.questions}
    times = Counter(sample["id"] for sample in run.samples)
    facts = []
    for sample in run.samples:
        id_ = sample["id"]
        facts.append((id_, "id", None if times[id_] == 1 else f"{times[id_]} samples of it"))
        if id_ in questions:
            of_sample = check_sample(sample, questions[id_])
        else:
            of_sample = [("id", "no question has it")]
        facts += [(id_, name, problem) for name, problem in of_sample]
    wrong = [f"{run.name}: {id_}: {name}: {problem}" for id_, name, problem in facts if problem]
    return len(facts), wrong
