"""Which answers are held out together."""

from collections import Counter

from estimates import numbered
from spelling import broadly, check_classes, surely

FOLDS = 5


def linked(samples, keys):
    """The groups of samples that have a key in common, over any number of steps; numbered."""
    parents = list(range(len(samples)))

    def first(i):
        while parents[i] != i:
            i = parents[i]
        return i

    seen = {}
    for i, sample in enumerate(samples):
        for key in keys(sample):
            one, other = first(seen.setdefault(key, i)), first(i)
            parents[max(one, other)] = min(one, other)
    return list(numbered([first(i) for i in range(len(samples))])[0])


def of_entity(sample):
    return [] if sample.get("group") is None else [("entity", sample["group"])]


def by_form(keys):
    """What links samples that share a form, by the keys of a form."""
    return lambda sample: [("answer", key) for form in sample["forms"] for key in keys(form)]


def groupings(samples, stated):
    """The groups by answers, and those that are held out together, with their name.

    Which spellings are one answer the report states, within bounds.
    """
    answers = linked(samples, lambda sample: [stated.get(sample["id"])])
    wrong = check_classes(
        answers, linked(samples, by_form(surely)), linked(samples, by_form(broadly))
    )
    if wrong:
        return wrong
    numbers = {sample["id"]: answer for sample, answer in zip(samples, answers)}
    both = linked(samples, lambda of: [("answer", numbers[of["id"]]), *of_entity(of)])
    if FOLDS * max(Counter(both).values()) <= len(samples):
        return answers, both, "entity_and_answer"
    return answers, linked(samples, of_entity), "entity"
