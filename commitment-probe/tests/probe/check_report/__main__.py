"""Checks a report of measurement runs against a second computation of all that it says.

    python3 commitment-probe/tests/probe/check_report REPORT.json RUN_DIR...

The report is an object with a `schema` version and with summaries as its `runs`, one for each run
directory and in the same order, and with the `evidence` of each; where there are several, with
`comparisons`, and where their models have three sizes or more, with `trends`; a `note` is not
checked.  Every number is computed again from the directories' `samples.jsonl` and
`questions.jsonl` with NumPy, SciPy, statsmodels and scikit-learn.  Facts within the samples (whether an answer is right, how large the entropy of
counts is, whether probabilities fit each other) are checked, too.

Prints every mismatch with the path of its field and exits with 1 if there is one, and with 2 if a
file has another schema than this program knows.  An unknown field is a mismatch: a number that is
added to the report cannot go unchecked.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from comparisons import LEAST_SIZES, comparisons, trends
from evidence import evidence
from expected import Comparison, Exactly
from samples import check_run
from states import load_states
from summary import expected_summary

SCHEMA = 3


class UnknownSchema(Exception):
    """A file of another schema than this program knows."""


def check_schema(value, where):
    """Fails if a record of a file is not of the known schema."""
    found = value.get("schema")
    if type(found) is not int or found != SCHEMA:
        raise UnknownSchema(f"{where} has schema {found}, and this program knows schema {SCHEMA}")


@dataclass(frozen=True)
class Run:
    """The contents of a run directory."""

    name: str
    samples: list
    questions: list
    settings: dict
    model: dict
    states: object = None

    @property
    def parameters(self):
        """The size of the model; none if it was never read."""
        return self.model.get("num_parameters")


def read_lines(path):
    """The values of a file of JSON lines; numbers with a point are the decimals that they show."""
    lines = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line, parse_float=Decimal) for line in lines if line.strip()]


def read_run(directory):
    """Reads a run directory."""
    settings = json.loads((directory / "run.json").read_text(encoding="utf-8"))
    check_schema(settings, directory / "run.json")
    facts = directory / "model.json"
    model = json.loads(facts.read_text(encoding="utf-8")) if facts.exists() else {}
    if model:
        check_schema(model, facts)
    samples = read_lines(directory / "samples.jsonl")
    for i, sample in enumerate(samples):
        check_schema(sample, f"line {i + 1} of {directory / 'samples.jsonl'}")
    return Run(
        name=directory.resolve().name,
        samples=samples,
        questions=read_lines(directory / "questions.jsonl"),
        settings=settings,
        model=model,
        states=load_states(directory),
    )


def read_report(path):
    """Reads a report: the whole, and the summaries in it."""
    report = json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    check_schema(report, path)
    return report, report["runs"]


def expected_report(report, runs):
    """The report that these runs should have, given the parameters that it states."""
    summaries = report["runs"]
    expected = {
        "schema": Exactly(SCHEMA),
        "runs": [expected_summary(run, summary) for run, summary in zip(runs, summaries)],
        "evidence": [evidence(run, summary) for run, summary in zip(runs, summaries)],
    }
    if "note" in report:
        expected["note"] = Exactly(str(report["note"]))
    if len(runs) > 1:
        expected["comparisons"] = comparisons(runs, summaries)
    if "trends" in report or len(sizes(runs)) >= LEAST_SIZES:
        expected["trends"] = trends(runs, summaries, report.get("trends"))
    return expected


def sizes(runs):
    """The sizes of the runs' models, as far as the runs state them."""
    return {run.parameters for run in runs if run.parameters is not None}


def parse_arguments():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument(
        "--made-up", action="store_true", help="the samples are made up: check the report alone"
    )
    parser.add_argument("report", type=Path, metavar="REPORT.json")
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN_DIR")
    return parser.parse_args()


def main():
    """Checks the report that the command line names; returns the exit status."""
    arguments = parse_arguments()
    try:
        report, summaries = read_report(arguments.report)
        runs = [read_run(directory) for directory in arguments.runs]
    except UnknownSchema as problem:
        print(problem)
        return 2
    if len(summaries) != len(runs):
        print(f"{len(summaries)} summaries, but {len(runs)} run directories")
        return 1
    comparison = Comparison()
    comparison.compare(report, expected_report(report, runs), "")
    checks = [] if arguments.made_up else [check_run(run) for run in runs]
    facts = sum(checked for checked, _ in checks)
    wrong_facts = [problem for _, wrong in checks for problem in wrong]
    for problem in [*comparison.mismatches, *wrong_facts]:
        print(problem)
    print(
        f"{comparison.others} names, truth values, and nulls agree; "
        f"{comparison.parameters} parameters are not checked"
    )
    print(f"{facts - len(wrong_facts)} of {facts} facts of the samples agree")
    print(f"{comparison.numbers} numbers agree, {len(comparison.mismatches)} fields do not")
    return 1 if comparison.mismatches or wrong_facts else 0


if __name__ == "__main__":
    sys.exit(main())
