#!/usr/bin/env python3
"""Tests of country-questions.py, on the package, which npm fetches.

python3 scripts/test_countries.py
"""

import importlib
import json
import unittest

questions = importlib.import_module("country-questions")


class Questions(unittest.TestCase):
    """The questions about countries: how many, and that none gives its answer away."""

    @classmethod
    def setUpClass(cls):
        countries = json.loads(questions.fetch())
        cls.countries = sorted(countries, key=lambda country: country["cca3"])
        cls.all = questions.select(cls.countries, None, 1)

    def forms(self, name):
        (found,) = [question for question in self.all if question["id"] == name]
        return found["answers"]

    def made(self, code):
        (country,) = [country for country in self.countries if country["cca3"] == code]
        return questions.Atlas(self.countries).questions_of(country)

    def test_there_are_775(self):
        self.assertEqual(len(self.all), 775)
        self.assertEqual(len({question["id"] for question in self.all}), 775)
        self.assertEqual(len({question["group"] for question in self.all}), 194)
        self.assertEqual(len(questions.select(self.countries, None, 2)), 775)
        self.assertEqual(questions.select(self.countries, 60, 1), self.all[:60])

    def test_no_answer_is_in_its_question(self):
        for question in self.all:
            for form in question["answers"]:
                self.assertFalse(questions.has(question["question"], form), question)

    def test_forms_differ_and_are_not_empty(self):
        for question in self.all:
            forms = question["answers"]
            self.assertTrue(forms and all(form.strip() == form != "" for form in forms), question)
            self.assertEqual(len(forms), len(set(forms)), question)

    def test_other_spellings_are_forms(self):
        for code, kind, forms in (
            ("UKR", "capital", {"Kyiv", "Kiev"}),
            ("NLD", "country", {"Netherlands", "Holland"}),
            ("LCA", "country", {"Saint Lucia", "St. Lucia", "St Lucia"}),
            ("BRA", "country", {"Brazil", "Brasil"}),
            ("POL", "currency", {"Polish złoty", "Polish zloty", "zloty", "PLN"}),
            ("ECU", "currency", {"United States dollar", "US dollar", "dollar", "USD"}),
            ("NPL", "currency", {"Nepalese rupee", "Nepali rupee", "rupee"}),
            ("SEN", "currency", {"West African CFA franc", "CFA franc", "franc"}),
            ("AUT", "language", {"German"}),
            ("SVN", "language", {"Slovene", "Slovenian"}),
        ):
            self.assertLessEqual(forms, set(self.made(code)[kind]["answers"]), (code, kind))

    def test_what_is_disputed_is_not_asked(self):
        for code, kind in (
            ("BOL", "capital"),
            ("BOL", "country"),
            ("SGP", "capital"),
            ("GIN", "country"),
            ("RUS", "continent"),
            ("AUS", "continent"),
            ("USA", "language"),
            ("BGR", "currency"),
            ("JAM", "code"),
            ("VAT", "olympic"),
        ):
            self.assertNotIn(kind, self.made(code), (code, kind))


if __name__ == "__main__":
    unittest.main()
