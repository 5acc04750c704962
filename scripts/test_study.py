#!/usr/bin/env python3
"""Tests of the scripts that draw, compare and fill for docs/REAL-MODELS.md, on made-up data; they
need scikit-learn and statsmodels.

    python3 scripts/test_study.py
"""

import contextlib
import importlib
import io
import json
import random
import tempfile
import unittest
from argparse import Namespace
from pathlib import Path

import numpy as np
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

by_kind = importlib.import_module("by-kind")
fill = importlib.import_module("fill-tables")
labels = importlib.import_module("labels")


def sample(i, mass=0.3, is_own=False, verdict="wrong"):
    """A sample with the fields that the scripts read."""
    token = lambda number, text, probability, begins: {
        "token": number,
        "text": text,
        "probability": probability,
        "begins_answer": begins,
        "is_own": begins,
    }
    first = {"token": 1, "text": " Mos", "probability": 0.25, "mass": mass, "is_own": is_own}
    first |= {
        "firsts": 4,
        "tokens": [token(1, " Mos", 0.25, is_own), token(2, " Saint", 0.2, True)],
    }
    vote = {"token": 2, "concentration": 0.6, "entropy": 2.0}
    return {
        "id": f"q{i}-cathedral",
        "question": f"Which | cathedral {i}?",
        "forms": ["Saint Basil's", "`St"],
        "answer": "Moscow",
        "verdict": verdict,
        "first": first,
        "decisions": {"aliases": {"answer": "Saint Petersburg", "vote": vote}},
        "sampled": {"temperature": 1.0, "answers": [{"text": "Kazan"}, {"text": "Kazan"}]},
        "phrase_mass": 0.1,
    }


def run(folder, name, model, samples):
    """A folder of results with these samples."""
    (folder / name).mkdir()
    (folder / name / "run.json").write_text(json.dumps({"files": {model: "1 byte"}}))
    lines = "".join(json.dumps(sample) + "\n" for sample in samples)
    (folder / name / "samples.jsonl").write_text(lines)
    return folder / name


def quietly(do, *arguments):
    """Does something that prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        do(*arguments)
    return printed.getvalue()


class Temporary(unittest.TestCase):
    """Tests in a folder of their own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)


class Kappa(unittest.TestCase):
    """Cohen's kappa and its interval are those of scikit-learn and statsmodels."""

    def test_equals_others(self):
        chance = random.Random(1)
        for n, agree in [(8, 0.5), (25, 0.8), (40, 0.2), (40, 0.95)] * 25:
            first = [chance.choice(labels.LABELS) for _ in range(n)]
            second = [a if chance.random() < agree else chance.choice(labels.LABELS) for a in first]
            value, error = labels.kappa(first, second)
            self.assertAlmostEqual(value, cohen_kappa_score(first, second), places=12)
            pairs = np.zeros((len(labels.LABELS), len(labels.LABELS)))
            for a, b in zip(first, second):
                pairs[labels.LABELS.index(a), labels.LABELS.index(b)] += 1
            with np.errstate(invalid="ignore"):  # A variance of 0 may be a little less.
                theirs = np.nan_to_num(cohens_kappa(pairs).std_kappa)
            self.assertAlmostEqual(error, theirs, places=7)

    def test_one_label_for_everything_has_none(self):
        self.assertIsNone(labels.kappa(["split"] * 3, ["split"] * 3))

    def test_of_opposites(self):
        value, _ = labels.kappa(["split", "open"], ["open", "split"])
        self.assertEqual(value, -1)

    def test_wilson(self):
        for successes, n in [(0, 5), (3, 7), (40, 40)]:
            theirs = proportion_confint(successes, n, method="wilson")
            for mine, other in zip(labels.wilson(successes, n), theirs):
                self.assertAlmostEqual(mine, other, places=12)


class Draw(Temporary):
    """The sheet has strict failures alone, and does not tell whose they are."""

    def runs(self):
        strict = [sample(i) for i in range(30)]
        others = [
            sample(30, mass=0.19),
            sample(31, is_own=True),
            sample(32, verdict="right"),
            sample(33, verdict="cut"),
        ]
        return [
            run(self.folder, "small-base", "small.gguf", strict + others),
            run(self.folder, "small-chat", "small.gguf", strict[:20]),
            run(self.folder, "large-base", "large.gguf", strict[:3]),
        ]

    def draw(self, runs, limit=40, seed=0):
        out = self.folder / "cases"
        quietly(labels.draw, Namespace(runs=runs, out=out, limit=limit, seed=seed, tau=0.2))
        return json.loads((out / "cases.json").read_text()), (out / "sheet.md").read_text()

    def test_limit_is_of_a_model(self):
        about, _ = self.draw(self.runs())
        self.assertEqual(about["found"], {"small-base": 30, "small-chat": 20, "large-base": 3})
        drawn = [case["run"] for case in about["cases"]]
        self.assertEqual(len(drawn), 43)
        self.assertEqual(drawn.count("large-base"), 3)
        self.assertTrue(drawn.count("small-chat"))
        self.assertEqual(len({(case["run"], case["id"]) for case in about["cases"]}), 43)
        self.assertFalse(
            {f"q{i}-cathedral" for i in range(30, 34)} & {c["id"] for c in about["cases"]}
        )

    def test_seed_decides(self):
        runs = self.runs()
        first, again, other = self.draw(runs), self.draw(runs), self.draw(runs, seed=1)
        self.assertEqual(first, again)
        self.assertNotEqual(first[0]["cases"], other[0]["cases"])

    def test_others_do_not_change_who_is_drawn(self):
        runs = self.runs()
        of = lambda about: {c["id"] for c in about["cases"] if c["run"] == "large-base"}
        self.assertEqual(of(self.draw(runs, limit=2)[0]), of(self.draw(runs[2:], limit=2)[0]))

    def test_sheet(self):
        _, sheet = self.draw(self.runs())
        for secret in ("small", "large", "base", "chat", "q1-", "verdict"):
            self.assertNotIn(secret, sheet)
        for line in (
            "P-mass 0.300; winner `␣Mos` 0.250",
            "| `␣Mos` | 0.250 | **winner** |",
            "| `␣Saint` | 0.200 | in F |",
            "| 3 other tokens | 0.100 | in F |",
            "If F's likeliest token is said, the answer is: `Saint Petersburg`",
            "Sampled at temperature 1: `Kazan` ×2",
            "Forms: `Saint Basil's`, `ˋSt`",
        ):
            self.assertIn(line + "\n", sheet)

    def test_by_kind(self):
        counted = dict(by_kind.rows(self.runs()[0], 0.2))
        self.assertEqual(counted["cathedral"], [34, 1, 32, 31, 30])
        self.assertEqual(counted["all"], counted["cathedral"])


class Compare(Temporary):
    """Two readers are compared on the same cases, or not at all."""

    def setUp(self):
        super().setUp()
        cases = [{"case": f"case-{i:02}", "run": "ab"[i % 2], "id": f"{i}"} for i in range(1, 5)]
        text = json.dumps({"found": {"a": 2, "b": 7}, "cases": cases})
        (self.folder / "cases.json").write_text(text)

    def compare(self, first, second):
        for name, mine in (("A", first), ("B", second)):
            lines = [
                json.dumps({"case": f"case-{i:02}", "label": x}) for i, x in enumerate(mine, 1)
            ]
            (self.folder / f"{name}.jsonl").write_text("\n".join(lines))
        files = {
            name: self.folder / f"{file}.jsonl" for name, file in (("first", "A"), ("second", "B"))
        }
        quietly(labels.compare, Namespace(folder=self.folder, **files))
        return (self.folder / "agreement.md").read_text()

    def test_tables(self):
        text = self.compare(
            ["split", "open", "split", "second"], ["split", "open", "second", "second"]
        )
        for line in (
            "| in the run | 2 | 7 | 9 |",
            "| Both readers say the same | 3 |",
            "| As a share | .75 [.30, .95] |",
            "| `split` | 2 | 1 | 1 | 0 | 1 |",
            "| they differ |  |  | 1 | 0 | 1 |",
            "| all | 4 | 4 | 4 | 2 | 2 |",
            "| `split` | 0 | 1 | 1 |",
        ):
            self.assertIn(line + "\n", text)
        theirs = cohen_kappa_score(["s", "o", "s", "2"], ["s", "o", "2", "2"])
        self.assertIn(f"| Cohen's κ | {labels.number(theirs)} [", text)

    def test_perfect_agreement_has_no_interval(self):
        text = self.compare(*[["split", "open", "split", "second"]] * 2)
        self.assertIn("| Cohen's κ | 1.00 |\n", text)
        self.assertIn("one label for everything", self.compare(*[["split"] * 4] * 2))

    def test_labels_are_checked(self):
        for second in (["split"] * 3, ["split"] * 5, ["split"] * 3 + ["spilt"]):
            with self.assertRaises(SystemExit):
                self.compare(["split"] * 4, second)


class Fill(Temporary):
    """Tables and values come to their marks, and nothing is forgotten."""

    report = {
        "runs": [
            {"name": "base", "samples": 1775, "rate": {"value": 0.125, "low": -0.01, "high": 1.0}}
        ],
        "comparisons": [{"second": "chat", "p": 0.04}],
    }
    markdown = (
        "# Title\n\ntext\n\n## A\n\nWarnings:\n\n- one\n\n### B\n\n| b |\n\n### C\n\n| c |\n\n"
        "## D\n\n| d |\n\n## E\n\n| e |\n"
    )
    text = (
        "<!-- = runs.base.samples -->?<!-- / --> <!-- = runs.base.rate --><!-- / -->"
        "<!-- = runs.base.rate % --><!-- / --> <!-- = comparisons.chat.p --><!-- / -->\n"
        "<!-- TABLE A / Warnings -->\n<!-- END -->\n<!-- TABLE A / C -->\nold\n<!-- END -->\n"
        "<!-- TABLE A / B -->\n<!-- END -->\n<!-- TABLE D -->\n<!-- END -->\n"
        "<!-- FILE more.md -->\n<!-- END -->\n<!-- ELSEWHERE E -->\n"
    )

    def fill(self, text):
        (self.folder / "more.md").write_text("more\n")
        return fill.filled(text, self.folder, fill.sections(self.markdown), self.report)

    def test_all_is_filled_and_stays(self):
        text = self.fill(self.text)
        self.assertIn(
            "-->1,775<!-- / --> <!-- = runs.base.rate -->.12 [−.01, 1.00]<!-- / -->", text
        )
        self.assertIn("-->12 %<!-- / --> <!-- = comparisons.chat.p -->.04<!-- / -->", text)
        self.assertIn("<!-- TABLE A / C -->\n\n| c |\n\n<!-- END -->", text)
        self.assertIn("Warnings:\n\n- one\n\n<!-- END -->", text)
        self.assertIn("\n\nmore\n\n<!-- END -->", text)
        self.assertNotIn("old", text)
        self.assertEqual(self.fill(text), text)

    def test_what_is_missing_is_refused(self):
        for old, new in (
            ("TABLE D", "TABLE F"),
            ("<!-- TABLE D -->\n<!-- END -->\n", ""),
            ("ELSEWHERE E", "ELSEWHERE F"),
            ("runs.base.samples", "runs.chat.samples"),
            ("runs.base.samples", "runs.base"),
            ("runs.base.samples", "runs.base.name"),
        ):
            with self.assertRaises(fill.Missing):
                self.fill(self.text.replace(old, new))

    def test_the_studys_text_has_whole_marks(self):
        text = (Path(__file__).parent.parent / "docs/REAL-MODELS.md").read_text("utf-8")
        marks = text.count("<!-- TABLE ") + text.count("<!-- FILE ")
        self.assertEqual(len(fill.BLOCK.findall(text)), marks)
        self.assertEqual(text.count("<!-- END -->"), marks)
        self.assertEqual(len(fill.VALUE.findall(text)), text.count("<!-- = "))


if __name__ == "__main__":
    unittest.main()
