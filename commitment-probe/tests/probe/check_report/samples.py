"""Facts within the samples: whether answers are right, entropies, masses, exchanges."""

import string
from collections import Counter

from scipy import stats

from populations import OTHER_DECODERS
from probabilities import check_probabilities, differs, is_not_near, not_if

ENTROPY_TOLERANCE = 1e-12
MOST_EXCHANGES = 10
WORDS_BEYOND_FORM = 2

ARTICLES = {"a", "an", "the"}
DROPPED = str.maketrans("", "", string.punctuation + "‘’“”„«»´…–—")


def normalise(text):
    """An answer without what does not count: case, punctuation, articles, and spaces."""
    words = text.lower().translate(DROPPED).split()
    return " ".join(word for word in words if word not in ARTICLES)


def key(text):
    """The normalised answer, or its words if that leaves none."""
    return normalise(text) or " ".join(text.lower().split())


def other_endings(word):
    """A word in the plural and in the singular, by the rules of English."""
    if word.endswith("y"):
        others = [f"{word}s", f"{word[:-1]}ies"]
    elif word.endswith("s"):
        others = [f"{word}es"]
    else:
        others = [f"{word}s", f"{word}es"]
    for ending, instead in (("s", ""), ("es", ""), ("ies", "y")):
        if word.endswith(ending):
            others.append(word.removesuffix(ending) + instead)
    princess = word.endswith("ss")
    return [
        other
        for other in others
        if min(len(other), len(word)) > 2 and not (princess and len(other) < len(word))
    ]


def keys(forms, endings):
    """The normalised forms; with other endings of their last words, if these are forgiven."""
    found = {key(form) for form in forms}
    for form in list(found) if endings else []:
        before, _, last = form.rpartition(" ")
        if last.isalpha():
            found |= {f"{before} {other}".strip() for other in other_endings(last)}
    return found


def entropy_of_clusters(answers):
    """The entropy over clusters, by their counts."""
    counts = Counter(answer["cluster"] for answer in answers)
    return float(stats.entropy(list(counts.values())))


def check_sample(sample, question, questions, endings):
    """Yields for each fact of a sample its name and what is wrong with it, if anything is."""
    yield "question", differs(sample["question"], question["question"])
    yield "group", differs(sample.get("group"), question.get("group"))
    yield "forms", differs(sample["forms"], question["answers"])
    yield "prompt_tokens", not_if(sample["prompt_tokens"] < 1, "the prompt has no token")
    yield from check_verdict(sample)
    yield from check_answers(sample, keys(question["answers"], endings))
    yield from check_localised(sample, question["answers"])
    yield from check_exchanged(sample, question, questions)
    yield from check_probabilities(sample)
    if sample["sampled"] is not None:
        yield from check_sampled(sample["sampled"])


def check_verdict(sample):
    """Whether the verdict is that of the scorer, and of what can be seen of the answer."""
    verdict, scorer, accepted = sample["verdict"], sample["scorer"], sample["accepted"]
    blank = not sample["answer"].strip()
    # A grader need not be asked of an answer that is not there.
    needless = verdict in ("unmeasured", "empty")
    silent = scorer not in accepted and not needless
    yield "scorer", not_if(silent, f"{scorer} accepts or refuses nothing")
    if verdict != "unmeasured":
        yield "verdict", differs(verdict == "right", accepted.get(scorer, False), of=verdict)
        yield "informative.cuts", not_if(sample["informative"]["cuts"] < 1, "there is no cut")
        yield "first.firsts", not_if(sample["first"]["firsts"] < 1, "no token begins a form")
    if verdict == "empty":
        seen = any(character.isalnum() for character in sample["answer"])
        yield "answer", not_if(seen, f"{sample['answer']!r} is not empty")
    elif verdict not in ("unmeasured", "right"):
        yield "answer", not_if(blank, f"{sample['answer']!r} is empty")


def check_answers(sample, forms):
    """Whether the exact scorer says what normalised forms do; of all answers, if it is used."""
    decisions = sample["decisions"]
    if sample["verdict"] == "unmeasured":
        strange = sorted(set(decisions) - set(OTHER_DECODERS))
        yield "decisions", not_if(strange, f"there is no decoder {strange}")
    else:
        yield "decisions", differs(sorted(decisions), sorted(OTHER_DECODERS))
    answers = [("accepted.exact", sample["answer"], sample["accepted"].get("exact"))]
    if sample["scorer"] == "exact":
        answers += [
            (f"decisions.{name}.right", decision["answer"], decision["right"])
            for name, decision in decisions.items()
        ]
        sampled = [] if sample["sampled"] is None else sample["sampled"]["answers"]
        answers += [
            (f"sampled.answers[{i}].right", answer["text"], answer["right"])
            for i, answer in enumerate(sampled)
        ]
    for name, text, right in answers:
        yield name, differs(right, key(text) in forms, of=text)


def check_localised(sample, forms):
    """Whether an answer that is not right is as short as it has to be.

    Words are those between spaces, as they are or normalised.
    """
    if sample["verdict"] in ("right", "unmeasured"):
        return
    of_counts = []
    for words in (str.split, lambda text: key(text).split()):
        longest = max(len(words(form)) for form in forms)
        of_counts.append(len(words(sample["answer"])) <= longest + WORDS_BEYOND_FORM)
    wrong = sample["localised"] not in of_counts
    yield "localised", not_if(wrong, f"{sample['localised']} of {sample['answer']!r}")


def check_exchanged(sample, question, questions):
    """Whether the forms are those of other questions, which share none with this one."""
    exchanged = sample["exchanged"]
    ids = [other["id"] for other in exchanged]
    yield "exchanged", not_if(len(ids) > MOST_EXCHANGES, f"{len(ids)} of them")
    yield "exchanged", not_if(len(set(ids)) < len(ids), "one question twice")
    own = folded(question)
    for i, id_ in enumerate(ids):
        name = f"exchanged[{i}].id"
        if id_ == sample["id"]:
            yield name, "it is the question itself"
        elif id_ not in questions:
            yield name, f"no question has the id {id_!r}"
        else:
            both = own & folded(questions[id_])
            yield name, not_if(both, f"{id_!r} has the forms {sorted(both)}, too")


def folded(question):
    """The forms of a question without regard to case."""
    return {form.casefold() for form in question["answers"]}


def check_sampled(sampled):
    """Whether clusters are numbered in order of appearance and have the stated entropy."""
    clusters = [answer["cluster"] for answer in sampled["answers"]]
    appeared = list(dict.fromkeys(clusters))
    yield "sampled.clusters", differs(appeared, list(range(len(appeared))))
    if clusters:
        entropy = entropy_of_clusters(sampled["answers"])
        told = is_not_near(sampled["entropy"], entropy, ENTROPY_TOLERANCE)
        yield "sampled.entropy", told


def check_run(run):
    """Counts the facts of a run's samples that were checked and lists those that are wrong."""
    questions = {question["id"]: question for question in run.questions}
    times = Counter(sample["id"] for sample in run.samples)
    scorers = {sample["scorer"] for sample in run.samples}
    facts = [("all samples", "scorer", not_if(len(scorers) > 1, f"there are {sorted(scorers)}"))]
    for sample in run.samples:
        id_ = sample["id"]
        facts.append((id_, "id", None if times[id_] == 1 else f"{times[id_]} samples of it"))
        if id_ in questions:
            of_sample = check_sample(sample, questions[id_], questions, run.settings.get("endings", False))
        else:
            of_sample = [("id", "no question has it")]
        facts += [(id_, name, problem) for name, problem in of_sample]
    wrong = [f"{run.name}: {id_}: {name}: {problem}" for id_, name, problem in facts if problem]
    return len(facts), wrong
