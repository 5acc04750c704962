"""The rivals in PyTorch, and a list of all.

The chain is softmax, scatter_add of the probabilities into concepts, argmax over concepts: eager,
in a CUDA graph, under torch.compile, and with scatter_add replaced by a gather in the order of the
concepts, which is made once, and a sum over each one's segment."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import torch

TOP_P = 0.9


@dataclass
class Rival:
    """`make` gives, for inputs, a call from logits to answers; `check` says whether these are right."""

    name: str
    make: Callable
    check: Callable


def chain(logits, wide_ids, concepts):
    probabilities = torch.softmax(logits, -1)
    masses = torch.zeros(logits.shape[0], concepts, dtype=logits.dtype, device=logits.device)
    return masses.scatter_add(1, wide_ids, probabilities).argmax(-1)


def eager(inputs):
    return lambda logits: chain(logits, inputs.wide_ids, inputs.concepts)


def compiled(inputs):
    compile_ = torch.compile(chain, dynamic=False)
    return lambda logits: compile_(logits, inputs.wide_ids, inputs.concepts)


def replayed(inputs):
    """A graph for each input set, since a graph reads what it was recorded with. They share memory,
    so an answer is there until the next replay. (`torch.cuda.graph` would collect garbage before
    each of them, of which there may be hundreds.)"""
    run = eager(inputs)
    side, pool, graphs = torch.cuda.Stream(), torch.cuda.graph_pool_handle(), {}
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        run(inputs.logits[0])
        side.synchronize()
        for logits in inputs.logits:
            graph = torch.cuda.CUDAGraph()
            graph.capture_begin(pool)
            answer = run(logits)
            graph.capture_end()
            graphs[logits.data_ptr()] = graph, answer
    torch.cuda.current_stream().wait_stream(side)

    def call(logits):
        graph, answer = graphs[logits.data_ptr()]
        graph.replay()
        return answer

    return call


def sorted_segments(inputs):
    order = inputs.ids.argsort(stable=True)
    sizes = inputs.ids.bincount(minlength=inputs.concepts)
    offsets = torch.nn.functional.pad(sizes.cumsum(0), (1, 0))
    offsets = offsets.expand(inputs.batch, -1).contiguous()

    def call(logits):
        in_order = torch.softmax(logits, -1, dtype=torch.float32).index_select(1, order)
        masses = torch.segment_reduce(in_order, "sum", offsets=offsets, axis=1, unsafe=True)
        return masses.argmax(-1)

    return call


def argmax(inputs):
    return lambda logits: logits.argmax(-1)


def finds_winners(call, inputs):
    return "right" if all_right(call, inputs) else wrong()


def finds_winners_rounded(call, inputs):
    """Where probabilities are rounded to bf16, as the chain's are, it may well decide otherwise; that
    is told, and no error."""
    if all_right(call, inputs):
        return "right"
    return "some differ: rounded to bf16" if inputs.dtype == "bf16" else wrong()


def finds_the_largest(call, inputs):
    for logits, _, _ in inputs.checked:
        tokens = call(logits).view(-1, 1).long()
        if not (logits.gather(1, tokens).view(-1) == logits.max(-1).values).all():
            wrong()
    return "right"


def stays_in_the_nucleus(call, inputs):
    """A token may be drawn unless likelier ones alone have TOP_P."""
    for logits, probabilities, _ in inputs.checked:
        for _ in range(8):
            drawn = probabilities.gather(1, call(logits).cpu().view(-1, 1).long())
            likelier = (probabilities * (probabilities > drawn)).sum(-1)
            if not (likelier < TOP_P + 1e-4).all():
                wrong()
    return "right"


def all_right(call, inputs):
    return all((call(logits).cpu() == winners).all() for logits, _, winners in inputs.checked)


def wrong():
    raise AssertionError("an answer is wrong")


COMPILED = Rival("torch.compile", compiled, finds_winners_rounded)


def rivals_on(device):
    """The rivals that can be run there (but for the compiled one, which takes its time), and for the
    others why not."""
    rivals = [
        Rival("torch eager", eager, finds_winners_rounded),
        Rival("sorted segments", sorted_segments, finds_winners),
        Rival("torch argmax", argmax, finds_the_largest),
    ]
    skipped = {}
    if device.type != "cuda":
        no_gpu = "it needs a GPU"
        return rivals, {name: no_gpu for name in ("torch graph", "triton", "top-p", "CUB argmax")}
    rivals.insert(1, Rival("torch graph", replayed, finds_winners_rounded))
    if importlib.util.find_spec("triton"):
        import gpu_rivals_triton

        rivals.append(Rival("triton", gpu_rivals_triton.fused, finds_winners))
        rivals.append(Rival("top-p", gpu_rivals_triton.top_p, stays_in_the_nucleus))
    else:
        skipped |= {name: "Triton is not installed" for name in ("triton", "top-p")}
    if Path(__file__).with_name("libcub_argmax.so").exists():
        import gpu_rivals_cub

        rivals.append(Rival("CUB argmax", gpu_rivals_cub.argmax, finds_the_largest))
    else:
        skipped["CUB argmax"] = "scripts/pack-gpu.sh makes its library"
    return rivals, skipped
