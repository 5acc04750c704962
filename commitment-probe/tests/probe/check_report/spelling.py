"""Which forms are one answer, within bounds.

What the probe takes for one spelling has rules of its own, which the witness of its scorers checks.
Here two bounds hold them: forms that are surely one answer, and those that may be at all.
"""

import re
import unicodedata

ARTICLES = ("a", "an", "the")


def surely(form):
    """Equal for forms that are one answer by any rules: but for case and spaces they are the same."""
    return [" ".join(unicodedata.normalize("NFC", form).casefold().split())]


def broadly(form):
    """Forms that may be one answer have one of these in common."""
    text = unicodedata.normalize("NFKD", form.replace("&", " and ")).casefold()
    text = unicodedata.normalize("NFKD", text)
    values = [unicodedata.digit(c, None) for c in text]
    digits = "".join(str(value) for value in values if value is not None)
    if digits:
        # 5 million is 5,000,000; 1.50 is 1.5.
        return [digits.replace("0", "") or "0"]
    words = [letters(word) for word in re.split(r"[\W_]*\s[\W_]*|_", text)]
    words = [word for word in words if word]
    after_first = words[:]
    while after_first and after_first[0] in ARTICLES:
        after_first.pop(0)
    without = [word for word in words if word not in ARTICLES]
    keys = {"".join(of) for of in (words, after_first, without)} - {""}
    # Of nothing but punctuation.
    return sorted(keys) or [" ".join(text.split())]


def letters(word):
    """The letters of a word, without accents."""
    return "".join(c for c in word if unicodedata.category(c)[0] in "LN")


def check_classes(stated, sure, broad):
    """What is wrong with classes of answers that a report states, if anything is.

    `sure` are classes of those that must be together, and `broad` of those that may be.
    """
    for finer, coarser, what in (
        (sure, stated, "answers of one form are apart"),
        (stated, broad, "answers that share no form are together"),
    ):
        of = {}
        for one, other in zip(finer, coarser):
            if of.setdefault(one, other) != other:
                return what
    return None
