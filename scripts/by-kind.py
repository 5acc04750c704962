#!/usr/bin/env python3
"""Counts a run's answers by the kind of the question, which ends its id: npl-capital.

    scripts/by-kind.py RUN_DIR... [--tau 0.2]    # a table in Markdown

Commitment failures and strict ones are those of all wrong answers, at the first step
(docs/MEASURES.md).  These are counts alone, without intervals: they show where a rate comes from.
"""

import argparse
import json
from pathlib import Path

COLUMNS = ("Questions", "Right", "Wrong", "Commitment failures", "Strict failures")


def counts(sample, tau):
    """What a sample is counted as, in the order of the columns."""
    first, is_wrong = sample["first"], sample["verdict"] == "wrong"
    is_failure = is_wrong and first["mass"] >= tau
    is_strict = is_failure and not first["is_own"]
    return (1, sample["verdict"] == "right", is_wrong, is_failure, is_strict)


def rows(folder, tau):
    """The counts of a run by kind, the kind with most questions first, and all."""
    kinds = {}
    for line in (folder / "samples.jsonl").read_text("utf-8").splitlines():
        sample = json.loads(line)
        kinds.setdefault(sample["id"].rpartition("-")[2], []).append(counts(sample, tau))
    sums = {kind: [sum(column) for column in zip(*mine)] for kind, mine in kinds.items()}
    yield from sorted(sums.items(), key=lambda row: (-row[1][0], row[0]))
    yield "all", [sum(column) for column in zip(*sums.values())]


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN_DIR")
    parser.add_argument("--tau", type=float, default=0.2)
    arguments = parser.parse_args()
    print(f"| Run | Kind | {' | '.join(COLUMNS)} |")
    print(f"| --- | --- |{' ---: |' * len(COLUMNS)}")
    for folder in arguments.runs:
        name = folder.name
        for kind, numbers in rows(folder, arguments.tau):
            print(f"| {name} | {kind} | {' | '.join(map(str, numbers))} |")
            name = ""


if __name__ == "__main__":
    main()
