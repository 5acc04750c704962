"""What country-questions.py knows besides the package: other usual English forms, and what it does
not ask.  All of it is by hand, from general knowledge, before any answer of a model was scored with
it; countries are ISO 3166-1 alpha-3 codes."""

# Ends of the names that are said with an article.
WITH_ARTICLE = (
    "Islands", "Republic", "Emirates", "States", "Kingdom", "Bahamas", "Comoros", "DR Congo",
    "Gambia", "Maldives", "Micronesia", "Netherlands", "Philippines", "Republic of the Congo",
    "Seychelles",
)  # fmt: skip

# Names of countries besides the package's; the first is that of the question.
NAMES = {
    "ATG": ["Antigua and Barbuda", "Antigua"],
    "BIH": ["Bosnia and Herzegovina", "Bosnia"],
    "CPV": ["Cape Verde", "Cabo Verde"],
    "FSM": ["Federated States of Micronesia", "FSM"],
    "GBR": ["United Kingdom", "Britain"],
    "KOR": ["South Korea", "Korea"],
    "LAO": ["Laos", "Lao PDR"],
    "NZL": ["New Zealand", "NZ"],
    "STP": ["São Tomé and Príncipe", "São Tomé"],
    "TTO": ["Trinidad and Tobago", "Trinidad"],
    "TUR": ["Turkey"],
    "USA": ["United States", "America", "U.S."],
    "VCT": ["Saint Vincent and the Grenadines", "Saint Vincent"],
}

# What is not asked, by kind: the answer is disputed, there are several that the package does not
# name, or it has changed in the last years.
CAPITAL = set("BDI BEN BOL CIV GNQ ISR LKA NRU SWZ YEM".split())
DISPUTED = {
    # The seat of government is elsewhere, or the capital was moved, is not recognised, or is none by
    # law.
    "capital": CAPITAL,
    # And which Congo, or Korea, a bare name means.
    "country": {*CAPITAL, "COD", "COG", "KOR", "PRK"},
    # The euro came in 2026.
    "currency": {"BGR"},
    # Official beside another one, by custom only, or no longer.
    "language": set("AUS BFA DZA ECU ETH GBR MEX MKD MLI NER USA".split()),
    # On two, or counted to either.
    "continent": set("ARM AZE CYP EGY GEO IDN KAZ RUS TLS TUR".split()),
}

# Other spellings and names of capitals.
CAPITALS = {
    "Antananarivo": ["Tananarive"],
    "Ashgabat": ["Ashkhabad"],
    "Asmara": ["Asmera"],
    "Astana": ["Nur-Sultan"],
    "Beijing": ["Peking"],
    "Bern": ["Berne"],
    "Bogotá": ["Santa Fe de Bogotá"],
    "Brussels": ["Bruxelles"],
    "Chișinău": ["Kishinev"],
    "Dhaka": ["Dacca"],
    "Hanoi": ["Ha Noi"],
    "Kathmandu": ["Katmandu"],
    "Kyiv": ["Kiev", "Kyyiv"],
    "Lisbon": ["Lisboa"],
    "Naypyidaw": ["Naypyitaw", "Nay Pyi Taw"],
    "New Delhi": ["Delhi"],
    "Pyongyang": ["P'yongyang"],
    "Riyadh": ["Riyad"],
    "Rome": ["Roma"],
    "Santiago": ["Santiago de Chile"],
    "South Tarawa": ["Tarawa", "Bairiki"],
    "Tehran": ["Teheran"],
    "Thimphu": ["Thimpu"],
    "Ulan Bator": ["Ulaanbaatar", "Ulan-Bataar"],
    "Vienna": ["Wien"],
    "Warsaw": ["Warszawa"],
    "Washington D.C.": ["Washington", "Washington, D.C.", "Washington DC"],
    "Yerevan": ["Erevan"],
}

# Other names of official languages; what is in brackets in the package is written out here.
LANGUAGES = {
    "Austro-Bavarian German": ["German", "Austrian German", "Standard German"],
    "Bengali": ["Bangla"],
    "Burmese": ["Myanmar"],
    "Chinese": ["Mandarin", "Mandarin Chinese", "Standard Chinese", "Putonghua"],
    "Dzongkha": ["Bhutanese"],
    "Indonesian": ["Bahasa Indonesia", "Bahasa"],
    "Khmer": ["Cambodian"],
    "Lao": ["Laotian"],
    "Malay": ["Bahasa Melayu"],
    "Maldivian": ["Dhivehi", "Divehi"],
    "Moldavian": ["Moldovan", "Romanian"],
    "Mongolian": ["Khalkha Mongolian"],
    "Nepali": ["Nepalese"],
    "Persian (Farsi)": ["Persian", "Farsi"],
    "Slovene": ["Slovenian"],
    "Spanish": ["Castilian", "Castilian Spanish"],
}

# Other words for whose a currency is.
ADJECTIVES = {
    "AFG": ["Afghani"],
    "ARG": ["Argentinian", "Argentinean"],
    "BGD": ["Bangladesh"],
    "BIH": ["Bosnia-Herzegovina", "Bosnian"],
    "BRB": ["Bajan"],
    "BWA": ["Botswanan", "Batswana"],
    "COD": ["Congo"],
    "COM": ["Comorian"],
    "CPV": ["Cape Verdean", "Cabo Verdean"],
    "DJI": ["Djiboutian"],
    "DNK": ["Denmark"],
    "FJI": ["Fiji"],
    "GBR": ["UK", "English"],
    "GEO": ["Georgian"],
    "GHA": ["Ghana"],
    "HND": ["Honduras"],
    "ISL": ["Icelandic"],
    "KAZ": ["Kazakh", "Kazakhstan"],
    "KEN": ["Kenya"],
    "KGZ": ["Kyrgyz", "Kyrgyzstani"],
    "KOR": ["Korean"],
    "LAO": ["Lao"],
    "LBY": ["Libya"],
    "MDG": ["Madagascan"],
    "MDV": ["Maldivian"],
    "MNG": ["Mongol"],
    "MRT": ["Mauritania"],
    "NPL": ["Nepali"],
    "NZL": ["NZ"],
    "PHL": ["Philippine"],
    "PRK": ["Korean"],
    "SAU": ["Saudi"],
    "SUR": ["Surinamese", "Suriname"],
    "SYC": ["Seychelles"],
    "TJK": ["Tajik", "Tajikistani"],
    "TKM": ["Turkmenistani"],
    "TTO": ["Trinidad and Tobago", "TT"],
    "UZB": ["Uzbek"],
    "YEM": ["Yemen"],
}

# Other names of currencies, without whose they are; a currency's whole name goes first.
UNITS = {
    "Bosnia and Herzegovina convertible mark": ["mark"],
    "British pound": ["pound sterling", "sterling"],
    "Central African CFA franc": [
        "CFA franc", "Central African franc", "CFA", "franc CFA", "franc",
    ],
    "Chinese yuan": ["renminbi", "yuan renminbi", "RMB"],
    "Eastern Caribbean dollar": ["East Caribbean dollar", "EC dollar", "Caribbean dollar", "dollar"],
    "Guatemalan quetzal": ["quetzales"],
    "Iranian rial": ["riyal", "toman"],
    "Israeli new shekel": ["shekel", "sheqel", "new sheqel", "NIS"],
    "Lebanese pound": ["lira"],
    "Syrian pound": ["lira"],
    "Venezuelan bolívar soberano": ["bolívar", "bolivar", "bolívares"],
    "West African CFA franc": ["CFA franc", "West African franc", "CFA", "franc CFA", "franc"],
    "đồng": ["dong"],
    "denar": ["dinar"],
    "koruna": ["crown"],
    "króna": ["crown", "krona"],
    "krona": ["crown", "kronor"],
    "krone": ["crown", "kroner"],
    "leu": ["lei"],
    "lev": ["leva"],
    "metical": ["meticais"],
    "rial": ["riyal"],
    "riyal": ["rial"],
    "ruble": ["rouble"],
    "soʻm": ["som", "sum"],
    "tögrög": ["tugrik", "tugrug"],
    "złoty": ["zlotys"],
}  # fmt: skip
