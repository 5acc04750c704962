"""The rivals in Triton.

`fused` is softmax → scatter_add → argmax: three kernels and the zeroing of the masses. Each chunk of a
row leaves its maximum and Σ exp; each chunk then adds its probabilities to the masses, in f32, by
atomics; and one program a row finds the largest mass.

`top_p` draws a token from the likeliest ones that have TOP_P together, without sorting them, in the
manner of FlashInfer: see `_top_p`.
"""

import itertools

import torch
import triton
import triton.language as tl

from gpu_rivals_torch import TOP_P

CHUNK = 4096


@triton.jit
def _sums(logits, maxima, sums, size, chunks, CHUNK: tl.constexpr):
    row, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    tokens = chunk * CHUNK + tl.arange(0, CHUNK)
    x = tl.load(logits + row * size + tokens, tokens < size, float("-inf")).to(tl.float32)
    largest = tl.max(x, 0)
    tl.store(maxima + row * chunks + chunk, largest)
    tl.store(sums + row * chunks + chunk, tl.sum(tl.exp(x - largest), 0))


@triton.jit
def _masses(logits, maxima, sums, ids, masses, size, chunks, concepts,
            CHUNK: tl.constexpr, CHUNKS: tl.constexpr):
    row, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1)
    all_chunks = tl.arange(0, CHUNKS)
    of_chunks = tl.load(maxima + row * chunks + all_chunks, all_chunks < chunks, float("-inf"))
    parts = tl.load(sums + row * chunks + all_chunks, all_chunks < chunks, 0.0)
    largest = tl.max(of_chunks, 0)
    total = tl.sum(parts * tl.exp(of_chunks - largest), 0)
    tokens = chunk * CHUNK + tl.arange(0, CHUNK)
    inside = tokens < size
    x = tl.load(logits + row * size + tokens, inside, float("-inf")).to(tl.float32)
    concept = tl.load(ids + tokens, inside, 0)
    tl.atomic_add(masses + row * concepts + concept, tl.exp(x - largest) / total, inside,
                  sem="relaxed")


@triton.jit
def _winner(masses, winners, concepts, CHUNK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    best = tl.full((CHUNK,), -1.0, tl.float32)
    place = tl.zeros((CHUNK,), tl.int32)
    for begin in range(0, concepts, CHUNK):
        i = begin + tl.arange(0, CHUNK)
        mass = tl.load(masses + row * concepts + i, i < concepts, -1.0)
        place = tl.where(mass > best, i, place)
        best = tl.maximum(mass, best)
    largest = tl.max(best, 0)
    tl.store(winners + row, tl.min(tl.where(best == largest, place, 2147483647), 0))


def fused(inputs):
    """A call that gives the winning concept of each row."""
    ids, concepts = inputs.ids.to(torch.int32), inputs.concepts

    def call(logits):
        batch, size = logits.shape
        chunks = triton.cdiv(size, CHUNK)
        new = dict(dtype=torch.float32, device=logits.device)
        maxima, sums = torch.empty(batch, chunks, **new), torch.empty(batch, chunks, **new)
        masses = torch.zeros(batch, concepts, **new)
        winners = torch.empty(batch, dtype=torch.int64, device=logits.device)
        _sums[(batch, chunks)](logits, maxima, sums, size, chunks, CHUNK=CHUNK, num_warps=8)
        _masses[(batch, chunks)](logits, maxima, sums, ids, masses, size, chunks, concepts,
                                 CHUNK=CHUNK, CHUNKS=triton.next_power_of_2(chunks), num_warps=8)
        _winner[(batch,)](masses, winners, concepts, CHUNK=CHUNK, num_warps=8)
        return winners

    return call


# Draws from the tokens whose probability is above `low`, at first from all. A token is kept if those
# that are likelier have less than `top_p` together. Else all as likely as it, or less so, are out, and
# maybe more: half-way to `high`, which is known to be too high a bound, is tried at the same time. The
# probability that `low` leaves shrinks, by half a round on average; `MAX_ROUNDS` only bounds the loop.
@triton.jit
def _top_p(probabilities, tokens, size, top_p, seed, MAX_ROUNDS: tl.constexpr, CHUNK: tl.constexpr):
    row = tl.program_id(0)
    of_row = probabilities + row.to(tl.int64) * size
    low = tl.full([], 0.0, tl.float32)
    high = tl.full([], 1.0, tl.float32)
    left = tl.full([], 1.0, tl.float32)
    token = tl.full([], -1, tl.int32)
    rounds = tl.full([], 0, tl.int32)
    is_kept = tl.full([], 0, tl.int32)
    while (rounds < MAX_ROUNDS) & (is_kept == 0):
        uniform = tl.rand(seed, row * MAX_ROUNDS + rounds) * left
        # The first token up to which they add up to more than `uniform`; if rounding leaves none, the
        # last one.
        token = tl.full([], -1, tl.int32)
        last = tl.full([], -1, tl.int32)
        before = tl.full([], 0.0, tl.float32)
        begin = tl.full([], 0, tl.int32)
        while (begin < size) & (token < 0):
            i = begin + tl.arange(0, CHUNK)
            p = tl.load(of_row + i, i < size, 0.0)
            p = tl.where(p > low, p, 0.0)
            crosses = (before + tl.cumsum(p, 0) > uniform) & (p > 0.0)
            first = tl.min(tl.where(crosses, i, size), 0)
            token = tl.where(first < size, first, token)
            last = tl.maximum(last, tl.max(tl.where(p > 0.0, i, -1), 0))
            before += tl.sum(p, 0)
            begin += CHUNK
        token = tl.where(token < 0, last, token)
        pivot = tl.load(of_row + token)
        middle = (pivot + high) / 2
        above = tl.full([], 0.0, tl.float32)
        above_middle = tl.full([], 0.0, tl.float32)
        for begin_again in range(0, size, CHUNK):
            i = begin_again + tl.arange(0, CHUNK)
            p = tl.load(of_row + i, i < size, 0.0)
            above += tl.sum(tl.where(p > pivot, p, 0.0), 0)
            above_middle += tl.sum(tl.where(p > middle, p, 0.0), 0)
        is_kept = tl.where(above < top_p, 1, 0)
        is_between = above_middle < top_p
        low = tl.where(is_between, pivot, middle)
        high = tl.where(is_between, middle, high)
        left = tl.where(is_between, above, above_middle)
        rounds += 1
    tl.store(tokens + row, token)


def top_p(inputs):
    """A call that draws a token of each row, another one each time."""
    seeds = itertools.count()

    def call(logits):
        batch, size = logits.shape
        probabilities = torch.softmax(logits, -1, dtype=torch.float32)
        tokens = torch.empty(batch, dtype=torch.int32, device=logits.device)
        _top_p[(batch,)](probabilities, tokens, size, TOP_P, next(seeds), MAX_ROUNDS=32,
                         CHUNK=CHUNK, num_warps=16)
        return tokens

    return call
