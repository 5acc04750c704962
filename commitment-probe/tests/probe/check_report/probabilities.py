"""Whether the probabilities, masses and entropies of a sample fit each other."""

import math

from populations import CONCEPT_DECODERS, single

SINGLE_TOLERANCE = 1e-6
# What a sum of many probabilities in single precision may be off.
SUM_TOLERANCE = 1e-5
# The likeliest tokens of all that are listed, and those of the ones that begin a form.
COMPETING = 5


def check_probabilities(sample):
    """Yields for each fact its name and what is wrong with it, if anything is."""
    yield from check_ranges(sample)
    yield from check_first(sample["first"])
    yield from check_competing(sample["first"])
    yield from check_share(sample["first"], "first", "firsts")
    yield from check_share(sample["informative"], "informative", "cuts")
    yield from check_votes(sample)
    yield from check_entropies(sample)
    yield from check_sequence(sample)
    yield from check_later(sample)
    passed = sample["informative"]["passed"]
    yield "informative.passed", not_if(len(set(passed)) < len(passed), f"{passed} has one twice")
    for at in sample["at_temperature"]:
        if at["temperature"] == 1:
            expected = single(sample["first"]["mass"])
            yield "at_temperature[1].mass", is_not_near(at["mass"], expected, SINGLE_TOLERANCE)


def check_ranges(sample):
    """Whether masses and probabilities are from 0 to 1."""
    first, informative = sample["first"], sample["informative"]
    values = {
        "first.probability": first["probability"],
        "first.margin": first["margin"],
        "first.mass": first["mass"],
        "informative.mass": informative["mass"],
        "informative.conditional": informative["conditional"],
        "phrase_mass": sample["phrase_mass"],
        "p_true": sample["p_true"],
    }
    for name, decision in sample["decisions"].items():
        values[f"decisions.{name}.mass"] = decision["mass"]
    for at in sample["at_temperature"]:
        values[f"at_temperature[{at['temperature']}].mass"] = at["mass"]
    for i, other in enumerate(sample["exchanged"]):
        for name in ("mass", "informative_mass"):
            values[f"exchanged[{i}].{name}"] = other[name]
    for name, value in values.items():
        if value is not None:
            yield name, not_if(not 0 <= value <= 1, f"{value} is not from 0 to 1")


def check_share(step, name, size):
    """Whether the likeliest of the tokens, or cuts, has a possible share of the mass."""
    share, mass, count = step["concentration"], single(step["mass"]), step[size]
    name = f"{name}.concentration"
    if share is None or mass == 0:
        yield name, not_if((share is None) != (mass == 0), f"{share} of a mass of {mass}")
        return
    yield name, not_if(not 0 < share <= 1, f"{share} is not in (0, 1]")
    # The likeliest of n has an nth at least.
    least = (1 - SUM_TOLERANCE) / count if count else 1
    yield name, not_if(single(share) < least, f"{share} is less than that of one of {count}")


def check_first(first):
    """Whether the winner's probability fits the P-mass, and the share of its likeliest token."""
    share, mass, top = first["concentration"], single(first["mass"]), single(first["probability"])
    name = "first.probability"
    margin = first["margin"]
    yield "first.margin", not_if(margin > first["probability"], f"{margin} is more than {top}")
    ally = 0.0 if share is None else single(share) * mass
    if first["begins_answer"]:
        yield name, not_if(top > mass + SINGLE_TOLERANCE, f"{top} is more than the mass {mass}")
        yield name, is_not_near(top, ally, SINGLE_TOLERANCE)
        return
    yield name, not_if(ally > top * (1 + SINGLE_TOLERANCE), f"{top} is less than an ally's {ally}")
    # So that an ally has less than 1 - P-mass: a strict failure's concentration has a bound.
    over = top + mass > 1 + SUM_TOLERANCE
    yield name, not_if(over, f"{top} and, of other tokens, {mass} are more than 1")


def check_competing(first):
    """Whether the competing tokens are the likeliest ones, and fit the winner and the P-mass."""
    tokens = first["tokens"]
    name = "first.tokens"
    order = [-single(token["probability"]) for token in tokens]
    yield name, not_if(order != sorted(order), "the likeliest is not first")
    ids = [token["token"] for token in tokens]
    yield name, not_if(len(set(ids)) < len(ids), "one is there twice")
    most = 2 * COMPETING
    yield name, not_if(not 1 <= len(tokens) <= most, f"{len(tokens)} are not from 1 to {most}")
    over = sum(single(token["probability"]) for token in tokens) > 1 + SUM_TOLERANCE
    yield name, not_if(over, "together they are more than 1")
    winner = next((token for token in tokens if token["token"] == first["token"]), None)
    if winner is None:
        yield name, "the winner is not among them"
    else:
        for field in ("probability", "begins_answer", "is_own"):
            yield f"{name}.{field}", differs(winner[field], first[field], of=winner["text"])
        yield name, differs(order[0], -single(first["probability"]))
        bare = winner["text"].removeprefix(" ") or "␣"
        yield f"{name}.text", differs(bare, first["text"])
    if len(tokens) > 1:
        margin = order[1] - order[0]
        yield f"{name}[1]", is_not_near(first["margin"], margin, SINGLE_TOLERANCE)
    own = [token for token in tokens if token["begins_answer"]]
    least = min(COMPETING, first["firsts"])
    few = not least <= len(own) <= first["firsts"]
    yield name, not_if(few, f"{len(own)} of {first['firsts']} that begin a form")
    yield name, not_if(not all(token["is_own"] for token in own), "one begins a form, not its own")
    share, mass = first["concentration"], single(first["mass"])
    if share is not None:
        top = max(single(token["probability"]) for token in own)
        yield name, is_not_near(top, single(share) * mass, SINGLE_TOLERANCE)
    sum_ = sum(single(token["probability"]) for token in own)
    if len(own) == first["firsts"]:
        yield name, is_not_near(sum_, mass, SINGLE_TOLERANCE)
    yield name, not_if(sum_ > mass + SUM_TOLERANCE, f"of the forms' {sum_}, more than {mass}")


def check_votes(sample):
    """Whether concepts have a winner that can be."""
    for name in CONCEPT_DECODERS:
        vote = sample["decisions"].get(name, {}).get("vote")
        if vote is not None:
            share = vote["concentration"]
            of_vote = f"decisions.{name}.vote.concentration"
            yield of_vote, not_if(not 0 < share <= 1, f"{share} is not in (0, 1]")


def check_entropies(sample):
    """Whether entropies are from 0 to that of the uniform distribution over the vocabulary."""
    entropies = {"first.token_entropy": sample["first"]["token_entropy"]}
    for i, step in enumerate(sample["later"]):
        entropies[f"later[{i}].entropy"] = step["entropy"]
    for name, decision in sample["decisions"].items():
        vote = decision["vote"]
        entropies[f"decisions.{name}.vote.entropy"] = None if vote is None else vote["entropy"]
    most = math.log(sample["vocab_size"]) * (1 + SUM_TOLERANCE)
    for name, entropy in entropies.items():
        if entropy is not None:
            # A sum may round to a little less than 0.
            possible = -SUM_TOLERANCE <= entropy <= most
            yield name, not_if(not possible, f"{entropy} is not from 0 to {most}")


def check_sequence(sample):
    """Whether the answer is no likelier than its first token."""
    ln_probability = float(sample["sequence"]["ln_probability"])
    top = single(sample["first"]["probability"])
    most = (math.log(top) if top else -math.inf) + SINGLE_TOLERANCE
    over = ln_probability > most
    yield "sequence.ln_probability", not_if(over, f"{ln_probability} is more than {most}")


def check_later(sample):
    """Whether what is valid at a step was valid at the step before."""
    later, begun = sample["later"], sample["first"]["begins_answer"]
    yield "later", not_if(len(later) > 2, f"there are {len(later)} later steps")
    if later:
        yield "later[0].valid", differs(later[0]["valid"], begun)
    if len(later) > 1:
        valid = later[1]["valid"]
        yield "later[1].valid", not_if(valid and not later[0]["valid"], "an invalid one goes on")


def not_if(is_wrong, problem):
    """The problem, if there is one."""
    return problem if is_wrong else None


def differs(found, expected, of=None):
    """What is wrong with a value that should be another; none if it is that."""
    about = "" if of is None else f" of {of!r}"
    return None if found == expected else f"{found!r}{about}, but {expected!r} is expected"


def is_not_near(found, expected, tolerance):
    """What is wrong with a number that should be near another; none if it is."""
    near = math.isclose(float(found), expected, rel_tol=tolerance, abs_tol=tolerance)
    return None if near else f"{found}, but {expected!r} is expected"
