#!/usr/bin/env python3
"""Strict failures, to be read one by one: draws them, and compares what two readers make of them.

    scripts/labels.py draw RUN_DIR... --out FOLDER        # FOLDER/sheet.md and FOLDER/cases.json
    scripts/labels.py compare FOLDER A.jsonl B.jsonl      # FOLDER/agreement.md

A strict failure is a wrong answer whose P-mass is τ or more and whose winner is not the right
concept's own (docs/MEASURES.md).  `draw` takes all of each model, and of more than `--limit` those
that come first by a hash of the seed, the run and the question.  The sheet has them in an order of
its own, under names that tell neither model nor prompt; which is which, cases.json says, and no
reader gets it.  A reader gets the sheet and docs/real-models/RULES.md, and writes a JSON object a
line: {"case": "case-01", "label": "split", "note": "why"}.

`compare` prints how often both readers say the same, Cohen's kappa (Cohen, 1960), and how many cases
each category has.  The interval of kappa is that of its asymptotic variance (Fleiss, Cohen and
Everitt, 1969); there is none where that is 0.  The interval of the share is Wilson's.
"""

import argparse
import hashlib
import json
import math
import sys
from collections import Counter
from pathlib import Path

# The categories of RULES.md, in the order in which they are tried; the last but one is what the
# paper means.
LABELS = ("acceptable", "question", "open", "elsewhere", "second", "split", "other")
# A normal quantile, for intervals of 95 %.
Z = 1.959963984540054


def lines(path):
    """The objects of a file of JSON lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]


def order(*parts):
    """A number that only these texts decide, for an order at random."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()


def is_strict_failure(sample, tau):
    """Whether a sample is one."""
    first = sample["first"]
    return sample["verdict"] == "wrong" and first["mass"] >= tau and not first["is_own"]


def failures(folder, tau):
    """A run's model, and its strict failures with the forms."""
    settings = json.loads((folder / "run.json").read_text("utf-8"))
    return json.dumps(settings["files"], sort_keys=True), [
        sample for sample in lines(folder / "samples.jsonl") if is_strict_failure(sample, tau)
    ]


def drawn(runs, limit, seed, tau):
    """The cases as (run, sample), at most so many of each model, in an order at random."""
    of_model = {}
    for folder in runs:
        model, samples = failures(folder, tau)
        of_model.setdefault(model, []).extend((folder.name, sample) for sample in samples)
    cases = []
    for mine in of_model.values():
        mine.sort(key=lambda case: order(seed, case[0], case[1]["id"]))
        cases += mine[:limit]
    cases.sort(key=lambda case: order("sheet", seed, case[0], case[1]["id"]))
    return cases, {folder.name: len(failures(folder, tau)[1]) for folder in runs}


def code(text):
    """A text as code in Markdown, on one line; a space at an end can be seen."""
    text = " ".join(text.splitlines()) if text.strip() else text
    bare = text.strip(" ")
    text = text[: len(text) - len(text.lstrip(" "))].replace(" ", "␣") + bare
    return "`" + (text or " ").replace("`", "ˋ").replace("|", "¦").replace("\n", "⏎") + "`"


def token_rows(first):
    """The table of a case's competing tokens."""
    yield "| token | probability | |"
    yield "| --- | ---: | --- |"
    for token in first["tokens"]:
        notes = ["**winner**"] if token["token"] == first["token"] else []
        if token["begins_answer"]:
            notes.append("in F")
        elif token["is_own"]:
            notes.append("spelt like the beginning of a form")
        yield f"| {code(token['text'])} | {token['probability']:.3f} | {', '.join(notes)} |"
    listed = [token["probability"] for token in first["tokens"] if token["begins_answer"]]
    if first["firsts"] > len(listed):
        rest = max(first["mass"] - sum(listed), 0)
        yield f"| {first['firsts'] - len(listed)} other tokens | {rest:.3f} | in F |"


def paragraphs(name, sample):
    """A case as its reader sees it."""
    first, aliases = sample["first"], sample["decisions"].get("aliases")
    yield f"## {name}"
    yield f"Question: {sample['question']}"
    yield f"Forms: {', '.join(map(code, sample['forms']))}"
    yield f"Said: {code(sample['answer'])}"
    yield f"P-mass {first['mass']:.3f}; winner {code(first['text'])} {first['probability']:.3f}"
    yield "\n".join(token_rows(first))
    begins = {token["token"] for token in first["tokens"] if token["begins_answer"]}
    if aliases and aliases["vote"] and aliases["vote"]["token"] in begins:
        yield f"If F's likeliest token is said, the answer is: {code(aliases['answer'])}"
    else:
        yield "If F's likeliest token is said, the answer is: not measured"
    sampled = sample["sampled"]
    if sampled:
        counted = Counter(answer["text"] for answer in sampled["answers"])
        texts = ", ".join(f"{code(text)} ×{n}" for text, n in sorted(counted.items()))
        yield f"Sampled at temperature {sampled['temperature']:g}: {texts}"
    yield f"The probability that the whole answer is a form: {sample['phrase_mass']:.3f}"


def draw(arguments):
    """Writes the sheet, and what its cases are."""
    cases, found = drawn(arguments.runs, arguments.limit, arguments.seed, arguments.tau)
    sheet, keys = ["# Strict failures"], []
    for i, (run, sample) in enumerate(cases, 1):
        name = f"case-{i:02}"
        sheet += paragraphs(name, sample)
        keys.append({"case": name, "run": run, "id": sample["id"]})
    about = {"seed": arguments.seed, "tau": arguments.tau, "limit": arguments.limit}
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "sheet.md").write_text("\n\n".join(sheet) + "\n", "utf-8")
    text = json.dumps({**about, "found": found, "cases": keys}, ensure_ascii=False, indent=1)
    (arguments.out / "cases.json").write_text(text + "\n", "utf-8")
    print(f"{len(cases)} cases in {arguments.out}; strict failures: {found}")


def labels_of(path, cases):
    """A reader's labels by case; every case has one, and it is a category."""
    labels = {}
    for line in lines(path):
        if line["case"] in labels:
            sys.exit(f"{path}: {line['case']} has two labels")
        if line["label"] not in LABELS:
            sys.exit(f"{path}: {line['case']}: {line['label']!r} is none of {', '.join(LABELS)}")
        labels[line["case"]] = line["label"]
    if missing := [case for case in cases if case not in labels]:
        sys.exit(f"{path}: no label for {', '.join(missing)}")
    if more := [case for case in labels if case not in cases]:
        sys.exit(f"{path}: there is no {', '.join(more)}")
    return [labels[case] for case in cases]


def kappa(first, second):
    """Cohen's kappa and its standard error; None where chance alone would always agree."""
    n, categories = len(first), sorted({*first, *second})
    pairs = Counter(zip(first, second))
    share = {pair: count / n for pair, count in pairs.items()}
    rows = {c: first.count(c) / n for c in categories}
    columns = {c: second.count(c) / n for c in categories}
    observed = sum(share.get((c, c), 0) for c in categories)
    expected = sum(rows[c] * columns[c] for c in categories)
    if math.isclose(expected, 1):
        return None
    value = (observed - expected) / (1 - expected)
    same = sum(
        share.get((c, c), 0) * (1 - (rows[c] + columns[c]) * (1 - value)) ** 2 for c in categories
    )
    different = (1 - value) ** 2 * sum(
        part * (columns[a] + rows[b]) ** 2 for (a, b), part in share.items() if a != b
    )
    variance = same + different - (value - expected * (1 - value)) ** 2
    return value, math.sqrt(max(variance, 0) / n) / (1 - expected)


def wilson(successes, n):
    """Wilson's 95 % interval of a share."""
    z2 = Z**2
    middle = (successes + z2 / 2) / (n + z2)
    half = Z / (n + z2) * math.sqrt(successes * (n - successes) / n + z2 / 4)
    return max(middle - half, 0), min(middle + half, 1)


def number(value):
    """A number below 1 with two decimals, as the report has it."""
    text = f"{abs(value):.2f}".removeprefix("0")
    return f"−{text}" if value < 0 and float(text) else text


def interval(value, low, high):
    """A number with its interval."""
    return f"{number(value)} [{number(low)}, {number(high)}]"


def table(head, rows):
    """A table in Markdown: the first column is text, the others are numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def agreement(found, cases, first, second):
    """What two readers say, as Markdown."""
    n = len(cases)
    of_run = lambda chosen, run: sum(c["run"] == run and x for c, x in zip(cases, chosen))
    drawn_of = [of_run([True] * n, run) for run in found]
    yield table(
        ["Strict failures", *found, "All"],
        [["in the run", *found.values(), sum(found.values())], ["read", *drawn_of, n]],
    )
    same = sum(a == b for a, b in zip(first, second))
    measured = kappa(first, second)
    if measured is None:
        of_chance = "–, since both readers have one label for everything"
    else:
        value, error = measured
        half = Z * error
        inside = (max(value - half, -1), min(value + half, 1))
        of_chance = interval(value, *inside) if error > 1e-9 else number(value)
    yield table(
        ["Cases", str(n)],
        [
            ["Both readers say the same", same],
            ["As a share", interval(same / n, *wilson(same, n))],
            ["Cohen's κ", of_chance],
        ],
    )
    rows = []
    for label in LABELS:
        both = [a == b == label for a, b in zip(first, second)]
        rows.append(
            [f"`{label}`", first.count(label), second.count(label), sum(both)]
            + [of_run(both, run) for run in found]
        )
    differ = [a != b for a, b in zip(first, second)]
    rows.append(["they differ", "", "", sum(differ), *(of_run(differ, run) for run in found)])
    rows.append(["all", n, n, n, *drawn_of])
    yield table(["Label", "Reader A", "Reader B", "Both", *(f"Both: {run}" for run in found)], rows)
    used = [label for label in LABELS if label in first or label in second]
    pairs = Counter(zip(first, second))
    rows = [[f"`{a}`", *(pairs[a, b] for b in used)] for a in used]
    yield table(["Reader A ↓, reader B →", *(f"`{b}`" for b in used)], rows)


def compare(arguments):
    """Writes how two readers agree."""
    about = json.loads((arguments.folder / "cases.json").read_text("utf-8"))
    cases = about["cases"]
    if not cases:
        sys.exit(f"there is no case in {arguments.folder}")
    names = [case["case"] for case in cases]
    first, second = labels_of(arguments.first, names), labels_of(arguments.second, names)
    text = "\n\n".join(agreement(about["found"], cases, first, second)) + "\n"
    (arguments.folder / "agreement.md").write_text(text, "utf-8")
    print(text, end="")


def main():
    """Does what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    commands = parser.add_subparsers(required=True)
    draws = commands.add_parser("draw", help="draw the cases, and write the sheet")
    draws.add_argument("runs", type=Path, nargs="+", metavar="RUN_DIR")
    draws.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    draws.add_argument("--limit", type=int, default=40, help="at most so many cases of a model")
    draws.add_argument("--seed", type=int, default=0)
    draws.add_argument("--tau", type=float, default=0.2)
    draws.set_defaults(does=draw)
    compares = commands.add_parser("compare", help="compare the labels of two readers")
    compares.add_argument("folder", type=Path, metavar="FOLDER")
    compares.add_argument("first", type=Path, metavar="A.jsonl")
    compares.add_argument("second", type=Path, metavar="B.jsonl")
    compares.set_defaults(does=compare)
    arguments = parser.parse_args()
    arguments.does(arguments)


if __name__ == "__main__":
    main()
