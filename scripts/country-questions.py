#!/usr/bin/env python3
"""Makes questions about countries, a few about each, as JSON lines that commitment-probe reads.

    scripts/country-questions.py OUT.jsonl --limit 60 --seed 0
    scripts/country-questions.py OUT.jsonl --all
    scripts/country-questions.py OUT.jsonl --all --countries package/countries.json

A line is {"id", "question", "answers": [forms], "group"}; the group is the country, since questions
about one country are not independent.  Countries are members of the United Nations.
They come in a random order, by the seed, each with up to four questions: of the capital, the
currency, the language or the demonym, and the region, the calling code or the top-level domain.
`--limit` stops after so many questions.  The same arguments give the same bytes.

The facts and all forms are those of "world-countries" 5.1.0 by Mohammed Le Doze and contributors
(https://github.com/mledoze/countries), which is made available under the Open Database License
(ODbL 1.0, https://opendatacommons.org/licenses/odbl/1-0/).  What this program writes is a database
derived from it: whoever publishes it has to keep this notice and that license.  Where the package
says nothing, or names several answers that are not the same, there is no question.

The package comes from npm, pinned by its hash, unless `--countries` names its `countries.json`.
"""

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tarfile
import tempfile
import unicodedata
from pathlib import Path

PACKAGE = "world-countries@5.1.0"
SHA256 = "329eb6ef4099ffb590219c9beb634bf489a5e4b10d8ab0ac52a58ebf7b9f8495"
MEMBER = "package/countries.json"

# Each country has a question of each kind at most, and of one of its alternatives.
KINDS = (("capital",), ("currency",), ("language", "demonym"), ("region", "code", "domain"))
CONTINENTS = {"Africa", "Asia", "Europe", "Oceania"}
# Countries whose names are said with an article; the package does not say so.
ENDS_WITH_ARTICLE = ("Islands", "Republic", "Emirates", "States", "Kingdom")
WITH_ARTICLE = {
    "Bahamas", "Comoros", "DR Congo", "Gambia", "Maldives", "Netherlands", "Philippines",
    "Republic of the Congo", "Seychelles",
}  # fmt: skip


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
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    return bare.replace("ʻ", "'") if bare.replace("ʻ", "'").isascii() else text


def forms(*texts):
    """Each form and its spelling without accents, in their order, none twice."""
    return list(dict.fromkeys(form for text in texts for form in (text, plain(text)) if form))


def name_in_sentence(country):
    """The country's name as it stands in a sentence."""
    name = country["name"]["common"]
    return f"the {name}" if name in WITH_ARTICLE or name.endswith(ENDS_WITH_ARTICLE) else name


def demonyms(country):
    """What the people of a country are called in English; they may have two words for it."""
    english = country["demonyms"].get("eng", {})
    return list(dict.fromkeys(filter(None, (english.get("m"), english.get("f")))))


def capital(country, name):
    """The capital; none of a country that has several."""
    if len(country["capital"]) != 1:
        return None
    city = country["capital"][0]
    return f"What is the capital of {name}?", forms(city, *of_city(city))


def of_city(city):
    """Other forms of a capital, which follow from how it is spelt."""
    if city.startswith("City of "):
        yield city.removeprefix("City of ")
    if city == "Washington D.C.":
        yield from ("Washington", "Washington, D.C.", "Washington DC")


def currency(country, name):
    """The currency, with and without whose it is; none of a country that has several."""
    if len(country["currencies"]) != 1:
        return None
    (currency,) = country["currencies"].values()
    full = currency["name"]
    owners = [*demonyms(country), country["name"]["common"]]
    short = [
        full[len(owner) + 1 :]
        for owner in owners
        if full.casefold().startswith(f"{owner} ".casefold())
    ]
    # A name that no country's stands before is written either way.
    common = short or ([] if " " in full else [full])
    return f"What is the currency of {name}?", forms(full, *(c for s in common for c in cases(s)))


def cases(name):
    """The name with a capital letter and without."""
    return name, name[0].lower() + name[1:], name[0].upper() + name[1:]


def language(country, name):
    """The official language; none of a country that has several."""
    if len(country["languages"]) != 1:
        return None
    (language,) = country["languages"].values()
    # "Persian (Farsi)" is three forms.
    first, _, second = language.rstrip(")").partition(" (")
    return f"What is the official language of {name}?", forms(first, second, language)


def demonym(country, name):
    """What a person from the country is called."""
    names = [name for name in demonyms(country) if "," not in name and " or " not in name]
    if not names:
        return None
    return f"What is a person from {name} called?", forms(*names)


def region(country, name):
    """The continent, where the region is one; the package has two in "Americas"."""
    if country["region"] not in CONTINENTS:
        return None
    return f"What is the continent of {name}?", forms(country["region"])


def code(country, name):
    """The calling code; none of a country that has several."""
    root, suffixes = country["idd"].get("root"), country["idd"].get("suffixes", [])
    if not root or len(suffixes) != 1:
        return None
    number = root + suffixes[0]
    return f"What is the international calling code of {name}?", forms(number, number.lstrip("+"))


def domain(country, name):
    """The top-level domain; none of a country that has several in Latin letters."""
    latin = [domain for domain in country["tld"] if domain.isascii()]
    if len(latin) != 1:
        return None
    return f"What is the country code top-level domain of {name}?", forms(
        latin[0], latin[0].lstrip(".")
    )


QUESTIONS = {
    "capital": capital,
    "currency": currency,
    "language": language,
    "demonym": demonym,
    "region": region,
    "code": code,
    "domain": domain,
}


def questions_of(country):
    """The questions about a country, by kind; those that the package answers."""
    made = {}
    for kind, make in QUESTIONS.items():
        question = make(country, name_in_sentence(country))
        if question is not None:
            text, answers = question
            made[kind] = {
                "id": f"{country['cca3'].lower()}-{kind}",
                "question": text,
                "answers": answers,
                "group": country["name"]["common"],
            }
    return made


def chosen(made, turn):
    """One question of each of the four kinds; which of its alternatives, the turn decides."""
    for alternatives in KINDS:
        there = [kind for kind in alternatives if kind in made]
        if there:
            yield made[there[turn % len(there)]]


def select(countries, limit, seed):
    """So many questions of countries at random, all kinds of each before the next country."""
    order = list(countries)
    random.Random(seed).shuffle(order)
    questions = [
        question
        for turn, country in enumerate(order)
        for question in chosen(questions_of(country), turn)
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
    members = [country for country in countries if country["unMember"]]
    questions = select(members, arguments.limit, arguments.seed)
    lines = [json.dumps(question, ensure_ascii=False) + "\n" for question in questions]
    arguments.out.write_text("".join(lines), encoding="utf-8")
    groups = {question["group"] for question in questions}
    print(f"{len(questions)} questions about {len(groups)} countries in {arguments.out}")


if __name__ == "__main__":
    main()
