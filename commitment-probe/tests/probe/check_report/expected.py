"""What the fields of a report should hold, and the comparison of a whole report with it."""

import json
import math
from dataclasses import dataclass
from decimal import Decimal

VALUE_TOLERANCE = 1e-9
ROUNDING_OF_ZERO = 1e-15


def is_number(found):
    """Whether a JSON value is a number; `true` is none."""
    return isinstance(found, (int, float, Decimal)) and not isinstance(found, bool)


@dataclass(frozen=True)
class Exactly:
    """A count, a name, a truth value, or null."""

    value: object

    def accepts(self, found):
        return type(found) is type(self.value) and found == self.value

    def __str__(self):
        return json.dumps(self.value, ensure_ascii=False)


@dataclass(frozen=True)
class Near:
    """A number that rounding alone may change."""

    value: float
    relative: float = VALUE_TOLERANCE
    absolute: float = ROUNDING_OF_ZERO

    def accepts(self, found):
        return is_number(found) and math.isclose(
            float(found), self.value, rel_tol=self.relative, abs_tol=self.absolute
        )

    def __str__(self):
        return f"{self.value!r} (relative tolerance {self.relative:g})"


@dataclass(frozen=True)
class Between:
    """A number that chance may change within limits."""

    least: float
    most: float

    def accepts(self, found):
        return is_number(found) and self.least <= float(found) <= self.most

    def __str__(self):
        return f"from {self.least!r} to {self.most!r}"


@dataclass(frozen=True)
class Parameter(Between):
    """A number that the report chooses, not one that follows from the samples."""

    def __str__(self):
        return f"a parameter {super().__str__()}"


@dataclass(frozen=True)
class Texts:
    """Sentences, which no program can check; whether there have to be any, it can."""

    needed: bool

    def accepts(self, found):
        return all(type(text) is str and text for text in found) and (found or not self.needed)

    def __str__(self):
        return "a list of sentences" + (", one at least" if self.needed else "")


@dataclass(frozen=True)
class AnyOf:
    """What is right in one of several ways: those that the definitions leave open.

    An alternative may be a function that makes it, which is called only if those before it are not
    what is found.
    """

    alternatives: tuple

    def __init__(self, *alternatives):
        object.__setattr__(self, "alternatives", alternatives)

    def each(self):
        """The alternatives, each made when it is asked for."""
        for alternative in self.alternatives:
            yield alternative() if callable(alternative) else alternative


@dataclass(frozen=True)
class MayLack:
    """A member that an object may lack; if it has the member, it is this."""

    expected: object


NULL = Exactly(None)


class Comparison:
    """Walks a report beside what it should say."""

    def __init__(self):
        self.numbers = 0
        self.others = 0
        self.parameters = 0
        self.mismatches = []

    def compare(self, found, expected, path):
        """Compares a part of the report; whatever is on one side only is a mismatch."""
        if isinstance(expected, MayLack):
            expected = expected.expected
        if isinstance(expected, AnyOf):
            self.compare_alternatives(found, expected, path)
        elif isinstance(expected, Texts) and isinstance(found, list):
            self.compare_leaf(found, expected, path)
        elif isinstance(expected, dict) and isinstance(found, dict):
            self.compare_members(found, expected, path)
        elif isinstance(expected, list) and isinstance(found, list):
            self.compare_members(dict(enumerate(found)), dict(enumerate(expected)), path)
        elif isinstance(expected, (dict, list)) or isinstance(found, (dict, list)):
            self.mismatches.append(f"{path}: {brief(found)}, but {brief(expected)} is expected")
        else:
            self.compare_leaf(found, expected, path)

    def compare_alternatives(self, found, expected, path):
        """Compares with each alternative; if none agrees, the one that is nearest is reported."""
        nearest = None
        for alternative in expected.each():
            trial = Comparison()
            trial.compare(found, alternative, path)
            if nearest is None or len(trial.mismatches) < len(nearest.mismatches):
                nearest = trial
            if not nearest.mismatches:
                break
        self.numbers += nearest.numbers
        self.others += nearest.others
        self.parameters += nearest.parameters
        self.mismatches += nearest.mismatches

    def compare_members(self, found, expected, path):
        """Compares the members of an object or an array."""
        for key in dict.fromkeys([*expected, *found]):
            of_key = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".lstrip(".")
            if key not in found and isinstance(expected[key], MayLack):
                continue
            if key not in found:
                self.mismatches.append(f"{of_key}: missing; {brief(expected[key])} is expected")
            elif key not in expected:
                self.mismatches.append(f"{of_key}: {brief(found[key])} is not checked")
            else:
                self.compare(found[key], expected[key], of_key)

    def compare_leaf(self, found, expected, path):
        """Compares a number, a name, a truth value, or null."""
        if not expected.accepts(found):
            self.mismatches.append(f"{path}: {brief(found)}, but {expected} is expected")
        elif isinstance(expected, Parameter):
            self.parameters += 1
        elif is_number(found):
            self.numbers += 1
        else:
            self.others += 1


def brief(part):
    """A part of a report, or of what is expected, in a few words."""
    if isinstance(part, dict):
        return "an object of " + (", ".join(map(str, part)) or "nothing")
    if isinstance(part, list):
        return f"an array of {len(part)}"
    if isinstance(part, AnyOf):
        return brief(next(part.each()))
    if part is None or isinstance(part, (bool, str)):
        return json.dumps(part, ensure_ascii=False)
    return str(part)
