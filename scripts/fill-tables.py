#!/usr/bin/env python3
"""Puts the tables of a report into a text, and its numbers, so that nobody copies them by hand.

    scripts/fill-tables.py docs/REAL-MODELS.md --report REPORT_DIR

What stands between two marks is replaced; the marks stay, so that the same command gives the same
file:

    <!-- TABLE Overview / Key figures -->    a section of REPORT_DIR/report.md, by its heading, or by
    <!-- END -->                             its two headings; "Overview / Warnings" are its warnings
    <!-- FILE real-models/agreement.md -->   a file, beside the text
    <!-- END -->
    <!-- = runs.base.failures.first.strict.rate -->.02<!-- / -->   a value of REPORT_DIR/report.json

`runs` are by name and `comparisons` by the name of the second run.  An estimate is written with its
interval; `%` at the end makes a share per cent, and without interval.  Every section of the report
must have its place in the text, or be named in `<!-- ELSEWHERE Cases -->`, and every value must be
there: otherwise this fails, and writes nothing.
"""

import argparse
import json
import re
import sys
from pathlib import Path

BLOCK = re.compile(r"<!-- (TABLE|FILE) (.+?) -->\n.*?<!-- END -->", re.DOTALL)
VALUE = re.compile(r"<!-- = (\S+?)( %)? -->.*?<!-- / -->", re.DOTALL)
ELSEWHERE = re.compile(r"<!-- ELSEWHERE (.+?) -->")


class Missing(Exception):
    """Something that the text asks for, or lacks."""


def sections(report):
    """The text below each heading of a report, by the heading, or the two headings."""
    found, section, name = {}, None, None
    for line in report.splitlines():
        if line.startswith("## "):
            section = name = line.removeprefix("## ")
        elif line.startswith("### "):
            name = f"{section} / {line.removeprefix('### ')}"
        elif name:
            found.setdefault(name, []).append(line)
    texts = {name: "\n".join(lines).strip() for name, lines in found.items()}
    # What stands before the first table of several.
    parents = {name.split(" / ")[0] for name in texts if " / " in name}
    named = {f"{name} / Warnings" if name in parents else name: texts[name] for name in texts}
    return {name: text for name, text in named.items() if text}


def value_at(report, path):
    """The value at a path of names and numbers."""
    here = {
        **report,
        "runs": {run["name"]: run for run in report["runs"]},
        "comparisons": {pair["second"]: pair for pair in report["comparisons"]},
    }
    for part in path.split("."):
        try:
            here = here[int(part)] if isinstance(here, list) else here[part]
        except (KeyError, IndexError, ValueError, TypeError):
            raise Missing(f"report.json has no {path}") from None
    return here


def number(value):
    """A number as the report has it: of a share or a probability, without the 0."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise Missing(f"{value!r} is no number")
    if isinstance(value, int):
        return f"{value:,}"
    text = f"{abs(value):.2f}"
    text = text.removeprefix("0")
    return f"−{text}" if value < 0 and float(text) else text


def written(value, as_share):
    """A value as it is written: an estimate with its interval, or a share in per cent."""
    estimate = value if isinstance(value, dict) else {"value": value}
    if "value" not in estimate:
        raise Missing(f"{value!r} is neither a number nor an estimate")
    if as_share:
        return f"{100 * estimate['value']:.0f} %"
    text = number(estimate["value"])
    if "low" in estimate:
        text += f" [{number(estimate['low'])}, {number(estimate['high'])}]"
    return text


def filled(text, folder, tables, report):
    """The text with everything in its place."""
    placed = set(ELSEWHERE.findall(text))

    def block(match):
        kind, name = match.groups()
        if kind == "FILE":
            content = (folder / name).read_text("utf-8").strip()
        elif name in tables:
            content = tables[name]
            placed.add(name)
        else:
            raise Missing(f"the report has no section {name}: it has {'; '.join(tables)}")
        return f"<!-- {kind} {name} -->\n\n{content}\n\n<!-- END -->"

    def value(match):
        path, as_share = match.group(1), match.group(2) or ""
        content = written(value_at(report, path), bool(as_share))
        return f"<!-- = {path}{as_share} -->{content}<!-- / -->"

    text = VALUE.sub(value, BLOCK.sub(block, text))
    unplaced = [name for name in tables if not {name, name.split(" / ")[0]} & placed]
    if unplaced:
        raise Missing(f"these have no place in the text: {'; '.join(unplaced)}")
    return text


def main():
    """Fills the text that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("text", type=Path, metavar="TEXT.md")
    parser.add_argument("--report", type=Path, required=True, metavar="REPORT_DIR")
    arguments = parser.parse_args()
    tables = sections((arguments.report / "report.md").read_text("utf-8"))
    report = json.loads((arguments.report / "report.json").read_text("utf-8"))
    text = arguments.text.read_text("utf-8")
    try:
        text = filled(text, arguments.text.parent, tables, report)
    except (Missing, FileNotFoundError) as error:
        sys.exit(f"{arguments.text}: {error}")
    arguments.text.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
