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


class Parameter(Between):
    """A number that the report chooses, not one that follows from the samples."""

    def __str__(self):
        return f"a parameter {super().__str__()}"


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
        if isinstance(expected, dict) and isinstance(found, dict):
            self.compare_members(found, expected, path)
        elif isinstance(expected, list) and isinstance(found, list):
            self.compare_members(dict(enumerate(found)), dict(enumerate(expected)), path)
        elif isinstance(expected, (dict, list)) or isinstance(found, (dict, list)):
            self.mismatches.append(f"{path}: {brief(found)}, but {brief(expected)} is expected")
        else:
            self.compare_leaf(found, expected, path)

    def compare_members(self, found, expected, path):
        """Compares the members of an object or an array."""
        for key in dict.fromkeys([*expected, *found]):
            of_key = f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}".lstrip(".")
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
    if part is None or isinstance(part, (bool, str)):
        return json.dumps(part, ensure_ascii=False)
    return str(part)
