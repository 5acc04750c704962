"""What a report's evidence should be: the settings as the run's files have them, and the cases."""

from expected import NULL, Exactly, Near, is_number
from populations import counts, is_wrong, right_winner, tau_of

KINDS = (
    "strict_failure",
    "begins_right",
    "goes_wrong_later",
    "uninformative",
    "other_wrong",
    "not_attempted",
    "cut",
    "empty",
    "unmeasured",
)
MOST_SHOWN = 10
BITS = (1 << 64) - 1


def evidence(run, summary):
    """The evidence of a run, at the threshold that its summary states."""
    tau = tau_of(summary)
    seed = run.settings["seed"]
    return {
        "settings": as_written(run.settings),
        "model": as_written(run.model),
        "cases": {kind: cases(run.samples, kind, tau, seed) for kind in KINDS},
    }


def as_written(value):
    """A JSON value as it should be found; the version of a file's layout is left out."""
    if isinstance(value, dict):
        return {name: as_written(of) for name, of in value.items() if name != "schema"}
    if isinstance(value, list):
        return [as_written(of) for of in value]
    if value is None:
        return NULL
    if isinstance(value, float) and is_number(value):
        return Near(value)
    return Exactly(value)


def cases(samples, kind, tau, seed):
    """How many answers are of a kind, and which are shown."""
    ids = [sample["id"] for sample in samples if kind_of(sample, tau) == kind]
    chosen = sorted(ids, key=lambda id_: (rank(seed, id_), id_.encode()))[:MOST_SHOWN]
    return {"number": Exactly(len(ids)), "shown": [Exactly(id_) for id_ in chosen]}


def kind_of(sample, tau):
    """The kind of an answer; none of a right one."""
    if sample["verdict"] == "right":
        return None
    if not is_wrong(sample):
        return sample["verdict"]
    says_nothing = sample["first"]["text"] in sample["informative"]["passed"]
    if counts(sample, "first", "strict", tau):
        return "strict_failure"
    if counts(sample, "first", "paper", tau) and not says_nothing:
        return "begins_right"
    if right_winner(sample, "informative"):
        return "goes_wrong_later"
    return "uninformative" if says_nothing else "other_wrong"


def rank(seed, id_):
    """FNV-1a over the id, from the seed, and SplitMix64's finaliser."""
    number = 0xCBF29CE484222325 ^ seed
    for byte in id_.encode():
        number = (number ^ byte) * 0x100000001B3 & BITS
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        number = (number ^ number >> shift) * factor & BITS
    return number ^ number >> 31
