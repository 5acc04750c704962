"""softmax → scatter_add → argmax in Triton: three kernels and the zeroing of the masses.

Each chunk of a row leaves its maximum and Σ exp; each chunk then adds its probabilities to the
masses, in f32, by atomics; and one program a row finds the largest mass.
"""

import torch
import triton
import triton.language as tl

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
    ids, concepts = inputs.ids_32, inputs.concepts

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
