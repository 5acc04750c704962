#!/usr/bin/env python3
"""Makes questions about countries, a few about each, as JSON lines that commitment-probe reads.

    scripts/country-questions.py OUT.jsonl --limit 60 --seed 0
    scripts/country-questions.py OUT.jsonl --all
    scripts/country-questions.py OUT.jsonl --all --countries package/countries.json

A line is {"id", "question", "answers": [forms], "group"}; the group is the country, since questions
about one country are not independent.  Countries are those that the package marks as members of the
United Nations: the 193, and the Vatican City, which is an observer.  They come in a random order, by
the seed, each with up to four questions: of the capital or of which country a capital is one, of the
currency, of the language or the continent, and of the calling code or the top-level domain.  Where
one of these has no answer that nobody disputes, another stands in.  `--limit` stops after so
many questions.  The same arguments give the same bytes.

The facts and most forms are those of "world-countries" 5.1.0 by Mohammed Le Doze and contributors
(https://github.com/mledoze/countries), which is made available under the Open Database License
(ODbL 1.0, https://opendatacommons.org/licenses/odbl/1-0/).  What this program writes is a database
derived from it: whoever publishes it has to keep this notice and that license.  Other usual English
forms, and what is not asked since it is disputed or has changed, are in country_forms.py.  Where the
package says nothing, or names several answers that are not the same, there is no question; nor where
the question would have the answer in it.

The package comes from npm, pinned by its hash, unless `--countries` names its `countries.json`.
"""

import argparse
import functools
import hashlib
import json
import random
import re
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
from pathlib import Path

from country_forms import ADJECTIVES, CAPITALS, DISPUTED, LANGUAGES, NAMES, UNITS, WITH_ARTICLE

PACKAGE = "world-countries@5.1.0"
SHA256 = "329eb6ef4099ffb590219c9beb634bf489a5e4b10d8ab0ac52a58ebf7b9f8495"
MEMBER = "package/countries.json"

# Each country has a question of one alternative of each kind, as far as there are any, and up to
# this many in all: what stands in comes in this order.
KINDS = (("capital", "country"), ("currency",), ("language", "continent"), ("code", "domain"))
STAND_INS = ("continent", "language", "domain", "code", "country", "capital", "olympic")
PER_COUNTRY = 4
# The package has two continents in "Americas"; what it calls by their names is on them for everybody.
# Oceania is not asked for: the continent is called Australia as well.
CONTINENTS = {"Africa", "Asia", "Europe", "North America", "South America"}
# Letters that have no decomposition.
UNDECOMPOSED = str.maketrans({"ł": "l", "đ": "d", "ı": "i", "ʻ": "'", "‘": "'", "ʼ": "'"})


def fetch():
    """The text of the pinned package's countries."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", "--pack-destination", folder, PACKAGE],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        (path,) = Path(folder).glob("*.tgz")
        found = hashlib.sha256(path.read_bytes()).hexdigest()
        if found != SHA256:
            sys.exit(f"{PACKAGE} has the SHA-256 {found}, and {SHA256} is expected")
        with tarfile.open(path) as package:
            return package.extractfile(MEMBER).read().decode("utf-8")


def plain(text):
    """The text without accents, if that is all that keeps it from ASCII."""
    decomposed = unicodedata.normalize("NFKD", text.translate(UNDECOMPOSED))
    bare = "".join(c for c in decomposed if not unicodedata.combining(c))
    return bare if bare.isascii() else text


def forms(*texts):
    """Each form, its spelling without accents, and a saint's in all ways; in order, none twice."""
    spelt = (form for text in texts for form in (text, plain(text)) if form)
    return list(dict.fromkeys(form for text in spelt for form in of_saint(text)))


def of_saint(text):
    """A name with Saint, St. and St, whichever it has."""
    beginning, saint, rest = re.match(r"(.*?)\b(Saint |St\. |)(.*)", text, re.DOTALL).groups()
    if not saint or beginning:
        return [text]
    return [text, *(f"{other} {rest}" for other in ("Saint", "St.", "St"))]


def cases(name):
    """A name with a capital letter, and without one if it is a word."""
    is_word = name.isalpha() and not name.isupper()
    return name, *([name[0].lower() + name[1:]] if is_word else []), name[0].upper() + name[1:]


@functools.cache
def words(text):
    """A text's words, to compare them."""
    return re.findall(r"\w+", plain(text).casefold())


def has(text, part):
    """Whether a text has another in it, word by word."""
    text, part = words(text), words(part)
    return any(text[i : i + len(part)] == part for i in range(len(text)))


def is_latin(text):
    """Whether a text is in Latin letters, and none of them phonetic."""
    return plain(text).isascii()


def common(country):
    """What a country is called; not everybody knows Türkiye."""
    return NAMES.get(country["cca3"], [country["name"]["common"]])[0]


def in_sentence(country):
    """The country's name as it stands in a sentence."""
    name = common(country)
    return f"the {name}" if name.endswith(WITH_ARTICLE) else name


def names(country):
    """All that a country is called, in Latin letters; of codes those that are said."""
    code = country["cca2"] if country["cca2"] != "US" else None
    others = [name for name in country["altSpellings"] if "," not in name and name != code]
    mine = [*NAMES.get(country["cca3"], []), country["name"]["common"], country["name"]["official"]]
    return [name for name in (*mine, *others) if is_latin(name)]


def adjectives(country):
    """What stands before a country's currency: its people, its name, its initials."""
    english = country["demonyms"].get("eng", {})
    people = [one for one in (english.get("m"), english.get("f")) if one and "," not in one]
    initials = [name for name in names(country) if name.isupper()]
    mine = [*people, *ADJECTIVES.get(country["cca3"], [])]
    return list(dict.fromkeys((*mine, country["name"]["common"], *initials)))


class Atlas:
    """The countries of the package, and the questions about one of them."""

    def __init__(self, countries):
        self.countries = countries

    def capital(self, country):
        """The capital; none of a country that has several."""
        if len(country["capital"]) != 1:
            return None
        city = country["capital"][0]
        if has(city, common(country)):
            return None
        question = f"What is the capital of {in_sentence(country)}?"
        return question, forms(city, *CAPITALS.get(city, []))

    def country(self, country):
        """Which country a capital is one of: one that no other one has, whose name is in no other."""
        asked = self.capital(country)
        if asked is None:
            return None
        city, mine = asked[1][0], names(country)
        others = [o for o in self.countries if o["unMember"] and o is not country]
        if any(plain(city) in map(plain, other["capital"]) for other in others):
            return None
        if any(has(theirs, name) for o in others for theirs in names(o) for name in mine):
            return None
        return f"{city} is the capital of which country?", forms(*mine)

    def currency(self, country):
        """The currency, with and without whose it is, and its code; none if there are several."""
        if len(country["currencies"]) != 1:
            return None
        ((code, currency),) = country["currencies"].items()
        full = currency["name"]
        issuer, unit = self.issuer(full, country)
        units = [unit, *UNITS.get(full, UNITS.get(unit, []))]
        whose = [f"{owner} {unit}" for unit in units for owner in issuer]
        short = [case for unit in units for case in cases(unit)]
        return f"What is the currency of {in_sentence(country)}?", forms(full, *whose, *short, code)

    def issuer(self, full, country):
        """Whose a currency is, in all ways to say it, and what it is called without that."""
        is_of_a_union = full in UNITS and " " in full and full.split()[-2] in ("CFA", "Caribbean")
        for owner in () if is_of_a_union else (country, *self.countries):
            for whose in sorted(adjectives(owner), key=len, reverse=True):
                if full.casefold().startswith(f"{whose} ".casefold()):
                    return adjectives(owner), full[len(whose) + 1 :]
        # A union's, or the package does not say whose.
        return ([] if " " in full or full == "Euro" else adjectives(country)), full

    def language(self, country):
        """The official language; none of a country that has several."""
        if len(country["languages"]) != 1:
            return None
        (language,) = country["languages"].values()
        mine = [language, *LANGUAGES.get(language, [])]
        mine = [form for form in mine if "(" not in form]
        question = f"What is the official language of {in_sentence(country)}?"
        return question, forms(*mine, *(f"{form} language" for form in mine))

    def continent(self, country):
        """The continent, where nobody divides it otherwise."""
        for continent in (country["subregion"], country["region"]):
            if continent in CONTINENTS:
                return f"On which continent is {in_sentence(country)}?", forms(continent)
        return None

    def code(self, country):
        """The calling code; none of a country that has several, or shares +1 with others."""
        root, suffixes = country["idd"].get("root"), country["idd"].get("suffixes", [])
        if root in (None, "", "+1") or len(suffixes) != 1:
            return None
        digits = root.lstrip("+") + suffixes[0]
        question = f"What is the international calling code of {in_sentence(country)}?"
        return question, forms(f"+{digits}", digits, f"00{digits}")

    def domain(self, country):
        """The top-level domain; none of a country that has several in Latin letters."""
        latin = [domain for domain in country["tld"] if domain.isascii()]
        if len(latin) != 1:
            return None
        question = f"What is the country code top-level domain of {in_sentence(country)}?"
        return question, forms(latin[0], latin[0].lstrip("."))

    def olympic(self, country):
        """The code in the Olympic Games, which the Vatican City has not."""
        if not country["cioc"]:
            return None
        name = in_sentence(country)
        question = f"What is the three-letter country code of {name} in the Olympic Games?"
        return question, forms(country["cioc"])

    def questions_of(self, country):
        """The questions about a country, by kind: those with one answer, and not in the question."""
        made = {}
        for kind in dict.fromkeys(kind for kinds in (*KINDS, STAND_INS) for kind in kinds):
            question = getattr(self, kind)(country)
            if question is None or country["cca3"] in DISPUTED.get(kind, ()):
                continue
            text, answers = question
            if not any(has(text, form) for form in answers):
                made[kind] = {
                    "id": f"{country['cca3'].lower()}-{kind}",
                    "question": text,
                    "answers": answers,
                    "group": country["name"]["common"],
                }
        return made


def chosen(made, turn):
    """One question of each of the four kinds; which of its alternatives, the turn decides."""
    kinds = []
    for alternatives in KINDS:
        there = [kind for kind in alternatives if kind in made]
        if there:
            kinds.append(there[turn % len(there)])
    stand_ins = [kind for kind in STAND_INS if kind in made and kind not in kinds]
    return [made[kind] for kind in (*kinds, *stand_ins)[:PER_COUNTRY]]


def select(countries, limit, seed):
    """So many questions of countries at random, all kinds of each before the next country."""
    atlas = Atlas(countries)
    order = [country for country in countries if country["unMember"]]
    random.Random(seed).shuffle(order)
    questions = [
        question
        for turn, country in enumerate(order)
        for question in chosen(atlas.questions_of(country), turn)
    ]
    return questions if limit is None else questions[:limit]


def main():
    """Writes the questions that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("out", type=Path, metavar="OUT.jsonl")
    parser.add_argument("--countries", type=Path, help="the package's countries.json")
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--limit", type=int, help="the number of questions")
    size.add_argument("--all", action="store_true", help="up to four questions about every country")
    parser.add_argument("--seed", type=int, default=0, help="for the order of the countries")
    arguments = parser.parse_args()
    text = arguments.countries.read_text("utf-8") if arguments.countries else fetch()
    countries = sorted(json.loads(text), key=lambda country: country["cca3"])
    questions = select(countries, arguments.limit, arguments.seed)
    lines = [json.dumps(question, ensure_ascii=False) + "\n" for question in questions]
    arguments.out.write_text("".join(lines), encoding="utf-8")
    groups = {question["group"] for question in questions}
    print(f"{len(questions)} questions about {len(groups)} countries in {arguments.out}")


if __name__ == "__main__":
    main()
