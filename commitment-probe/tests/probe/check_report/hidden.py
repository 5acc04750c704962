"""What hidden states know, by scikit-learn: regressions, what is chosen, and areas within folds."""

import math
from collections import Counter

import numpy as np
from sklearn.metrics import roc_auc_score

from draws import Draws
from estimates import numbered
from expected import NULL, Exactly, Near
from failures import binary_distance, match
from grouping import FOLDS, groupings
from populations import counted, counts, is_right, is_wrong, mass, single
from regressions import Scaled, scored
from within import Within

LAMBDAS = (1000.0, 100.0, 10.0, 1.0, 0.1, 0.01)
LEAST, MOST = 50, 1000
LEAST_GROUPS, LEARNT = 5, 20
CONTRASTS = ("wrong_right", "strict_right", "strict_other")
EVIDENCE = ("states", "scalars", "both", "prompt", "shuffled")
# Scores that differ by rounding may put a pair into another order, and so a choice may be as good
# as another by so much.
CHOICE_TOLERANCE = 1e-3


def expected_hidden(run, tau, reported):
    """What the states of a run know, in the folds that the report states."""
    states = run.states or ()
    samples = [sample for sample in counted(run.samples) if sample in states]
    if not samples:
        return None
    stated = reported.get("places") or {}
    found = groupings(samples, {name: of.get("answer") for name, of in stated.items()})
    if isinstance(found, str):
        return Exactly(found)
    answers, groups, grouping = found
    folds_of_group = {}
    places = {}
    for sample, answer, group in zip(samples, answers, groups):
        of = stated.get(sample["id"], {})
        fold, inner = folds_of_group.setdefault(group, (of.get("fold"), of.get("inner")))
        # All of a group are where its first is.
        places[sample["id"]] = {
            "fold": fold, "inner": inner, "answer": int(answer), "group": int(group)
        }
    valid = all(
        of[name] in range(FOLDS) for of in places.values() for name in ("fold", "inner")
    )
    return {
        "answers": Exactly(len(samples)),
        "blocks": {
            "numbers": [Exactly(number) for number in quarters(run.states.about["of"])],
            "of": Exactly(run.states.about["of"]),
        },
        "width": Exactly(run.states.about["width"]),
        "grouping": Exactly(grouping),
        "groups": Exactly(len(set(groups))),
        "largest": Exactly(max(Counter(groups).values())),
        "places": {
            name: {key: Exactly(value) for key, value in of.items()}
            for name, of in places.items()
        },
        "contrasts": {
            name: Contrast(run, samples, places, tau, number).expected(
                (reported.get("contrasts") or {}).get(name) or {}
            )
            for number, name in enumerate(CONTRASTS)
        } if valid else Exactly("every question in a fold"),
    }


def quarters(blocks):
    """A quarter, half, three quarters and all of so many blocks."""
    return sorted({math.ceil(blocks * k / 4) for k in range(1, 5)})


def evenly(values):
    """At most so many of them."""
    n = min(len(values), MOST)
    return [values[i * len(values) // n] for i in range(n)]


class Contrast:
    """Two kinds of answers that are to be told apart."""

    def __init__(self, run, samples, places, tau, number):
        self.members, self.of = self.members_of(CONTRASTS[number], samples, tau)
        self.labels = np.array([label for _, label in self.members], dtype=bool)
        of = [samples[i] for i, _ in self.members]
        place = [places[sample["id"]] for sample in of]
        for name in ("fold", "inner", "answer", "group"):
            setattr(self, name, np.array([at[name] for at in place], dtype=int))
        self.group, self.groups = numbered(self.group)
        self.mass = np.array([float(mass(sample, "first")) for sample in of])
        self.numbers = quarters(run.states.about["of"])
        self.why_not = self.lacks()
        if not self.why_not:
            self.features(run.states, of)
            self.shuffled = self.shuffle(number)

    def lacks(self):
        """Why nothing can be shown; none if something can."""
        kinds = (self.labels, ~self.labels)
        if min(of.sum() for of in kinds) < LEAST:
            return "few"
        if min(len(set(self.group[of])) for of in kinds) < LEAST_GROUPS:
            return "few_groups"
        for fold in range(FOLDS):
            train, test = self.split(np.arange(len(self.labels)), self.fold == fold)
            for of in kinds:
                if of[train].sum() < LEARNT or not of[test].any():
                    return "uneven"
        return None

    def members_of(self, name, samples, tau):
        strict = [
            i for i, sample in enumerate(samples)
            if is_wrong(sample) and counts(sample, "first", "strict", tau)
        ]
        wrong = [i for i, sample in enumerate(samples) if is_wrong(sample)]
        right = [i for i, sample in enumerate(samples) if is_right(sample)]
        if name == "strict_right":
            enough = [i for i in right if samples[i]["first"]["mass"] >= tau]
            failing = [samples[i] for i in strict]
            others = [samples[i] for i in enough]
            pairs = [
                (strict[i], enough[j])
                for i, j in match(failing, others, "first", binary_distance)
            ]
            pairs = evenly(pairs)
            members = [member for i, j in pairs for member in ((i, True), (j, False))]
            return members, (len(strict), len(enough))
        positives, negatives = (wrong, right)
        if name == "strict_other":
            positives, negatives = strict, [i for i in wrong if i not in set(strict)]
        members = [(i, True) for i in evenly(positives)] + [(i, False) for i in evenly(negatives)]
        return sorted(members), (len(positives), len(negatives))

    def features(self, states, samples):
        of = [states.of(sample) for sample in samples]
        self.states = [
            np.array([rows[block] for rows, _ in of], dtype=float)
            for block in range(len(self.numbers))
        ]
        self.embedding = np.array([embedding for _, embedding in of], dtype=float)
        self.length = np.array([[sample["prompt_tokens"]] for sample in samples], dtype=float)
        columns = [
            [single(sample["first"][name]) for sample in samples]
            for name in ("token_entropy", "probability", "margin")
        ]
        for decoder in ("spelling", "embedding"):
            votes = [sample["decisions"].get(decoder, {}).get("vote") for sample in samples]
            if all(vote is not None for vote in votes):
                columns.append([single(vote["entropy"]) for vote in votes])
        columns = np.array(columns, dtype=np.float32).T
        self.scalars = np.hstack([columns, columns * columns]).astype(float)

    def shuffle(self, number):
        draws, shuffled = Draws(number), self.labels.copy()
        for cell in ((fold, inner) for fold in range(FOLDS) for inner in range(FOLDS)):
            here = np.flatnonzero((self.fold == cell[0]) & (self.inner == cell[1]))
            labels = list(self.labels[here])
            draws.shuffle(labels)
            shuffled[here] = labels
        return shuffled

    def split(self, of, out):
        """Of the places `of`, those to learn from and those that are `out`."""
        test, rest = of[out[of]], of[~out[of]]
        return rest[~np.isin(self.answer[rest], self.answer[test])], test

    def expected(self, reported):
        positives = int(self.labels.sum())
        expected = {
            "positives": Exactly(positives),
            "negatives": Exactly(len(self.labels) - positives),
            "of": [Exactly(n) for n in self.of],
            "why_not": Exactly(self.why_not),
            "learnt": [],
            "by_mass": NULL,
            "areas": {},
            "gain": NULL,
            "detectable": NULL,
            "by_block": [],
        }
        if self.why_not:
            return expected
        if not says_all(reported, len(self.numbers)):
            return expected | {"gain": Exactly("a number"), "areas": Exactly("areas")}
        everything = np.arange(len(self.labels))
        splits = [self.split(everything, self.fold == fold) for fold in range(FOLDS)]
        return expected | self.areas(splits, reported)

    def areas(self, splits, reported):
        """The areas of all evidence, with the report's choices where they are as good as any."""
        scores = {name: np.zeros(len(self.labels)) for name in EVIDENCE}
        blocks = [np.zeros(len(self.labels)) for _ in self.numbers]
        chosen = {name: [] for name in EVIDENCE}
        of_blocks = [[] for _ in self.numbers]
        for fold, (train, test) in enumerate(splits):
            scaled = Scaled(self, train)
            stated = {name: reported["areas"][name]["chosen"][fold] for name in EVIDENCE}
            own = float(stated["scalars"]["lambda"])
            for name, features, labels in (
                ("states", scaled.states, self.labels),
                ("scalars", [scaled.scalars], self.labels),
                ("both", scaled.both(own), self.labels),
                ("prompt", [scaled.prompt], self.labels),
                ("shuffled", scaled.states, self.shuffled),
            ):
                of_block = name in ("states", "both", "shuffled")
                areas = self.inner_areas(train, features, labels)
                place, penalty = self.stated(stated[name])
                right = nearly_best(areas, place, penalty)
                chosen[name].append(self.choice(right, of_block))
                scores[name][test] = scored(features[place], labels, penalty, train, test)
                if name == "states":
                    for block, by_lambda in enumerate(areas):
                        of = reported["by_block"][block]["chosen"][fold]
                        _, penalty = self.stated(of)
                        _, right = nearly_best([by_lambda], 0, penalty)
                        of_blocks[block].append(self.choice((block, right), True))
                        blocks[block][test] = scored(
                            features[block], labels, penalty, train, test
                        )
        learnt = [len(train) for train, _ in splits]
        factor = math.sqrt(1 + sum(len(test) / len(train) for train, test in splits))
        within = {
            name: Within(self, self.shuffled if name == "shuffled" else self.labels, factor)
            for name in EVIDENCE
        }
        by_mass = within["both"]
        return {
            "learnt": [Exactly(n) for n in learnt],
            "by_mass": Near(by_mass.value(by_mass.wins(self.mass))),
            "areas": {
                name: {"area": within[name].area(scores[name]), "chosen": chosen[name]}
                for name in EVIDENCE
            },
            "gain": within["both"].gain(scores["scalars"], scores["both"]),
            "detectable": Exactly(float(reported["gain"]["low"]) > 0),
            "by_block": [
                {"area": within["states"].area(of), "chosen": choices}
                for of, choices in zip(blocks, of_blocks)
            ],
        }

    def inner_areas(self, train, features, labels):
        """Of each block, the area within for each penalty."""
        splits = [self.split(train, self.inner == fold) for fold in range(FOLDS)]
        splits = [split for split in splits if len(set(labels[split[0]])) == 2]

        def area(of, penalty):
            wins = pairs = 0
            for learnt, out in splits:
                if len(set(labels[out])) == 2:
                    number = labels[out].sum() * (~labels[out]).sum()
                    scores = scored(of, labels, penalty, learnt, out)
                    wins += number * roc_auc_score(labels[out], scores)
                    pairs += number
            return wins / pairs if pairs else 0.0

        return [{penalty: area(of, penalty) for penalty in LAMBDAS} for of in features]

    def stated(self, chosen):
        """The place of the block that a report chose, and the penalty."""
        block = chosen["block"]
        place = self.numbers.index(block) if block in self.numbers else 0
        return place, float(chosen["lambda"])

    def choice(self, right, of_block):
        """What a report should have chosen."""
        block, penalty = right
        number = self.numbers[block] if of_block else None
        return {"block": Exactly(number), "lambda": Near(penalty)}


def says_all(reported, blocks):
    """Whether a contrast of a report says what was chosen and what was gained."""
    areas, by_block = reported.get("areas") or {}, reported.get("by_block") or []
    of = [areas.get(name) for name in EVIDENCE] + by_block
    enough = len(by_block) == blocks and "low" in (reported.get("gain") or {})
    return enough and all(area and len(area.get("chosen") or []) == FOLDS for area in of)


def nearly_best(areas, place, penalty):
    """This block and penalty, if no other has a larger area; else the first that has the largest."""
    best = max(area for by_lambda in areas for area in by_lambda.values())
    if areas[place].get(penalty, 0.0) >= best - CHOICE_TOLERANCE:
        return place, penalty
    return next(
        (block, of)
        for of in LAMBDAS
        for block, by_lambda in enumerate(areas)
        if by_lambda[of] == best
    )
