#!/usr/bin/env python3
"""What PyTorch and Triton take for the decision that the bench `gpu_reduction` measures.

    python3 benches/gpu_rivals.py                                  # everything
    python3 benches/gpu_rivals.py 131072/b64/bf16 --json rivals.json
    python3 benches/gpu_rivals.py --against gpu_reduction.json     # and how many times `decide` that is
    python3 benches/gpu_rivals.py --quick --device cpu 32000/b1/   # the answers only

The chain is softmax, scatter_add of the probabilities into concepts, argmax over concepts: eager,
under torch.compile, and as three kernels in Triton. Points, logits and maps are as in the bench
(by other random numbers), as is the way of timing: the device is kept busy while calls are queued,
several input sets are taken in turn, so that its cache does not answer for its memory, and the
median of several bursts counts. Every answer is checked in f64 before it is timed.
"""

import argparse
import importlib.util
import json
import statistics
import sys
import time

import torch

VOCAB_SIZES = [32_000, 131_072, 262_144]
BATCHES = [1, 8, 64, 256]
DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
POOLINGS = ["sparse", "dense", "scattered"]

DISTINCT_ROWS = 16
MOST_BYTES = 512 << 20

# As in benches/gpu/timer.rs.
MOST_CALLS = 64
BURST = 2e3
MOST_BUSY = 250_000_000
MOST_BURSTS = 15
FEWEST_BURSTS = 3
SECONDS_PER_RIVAL = 0.5


def concept_ids(vocab_size, pooling, random):
    """The concept of each token, and the number of concepts; as `Pooling::map` of the benches."""
    if pooling == "sparse":
        ids = torch.arange(vocab_size)
        pooled = torch.randperm(vocab_size, generator=random)[:1000].view(-1, 4)
        ids[pooled] = pooled.min(dim=1, keepdim=True).values
    else:
        concepts = min(50_000, int(vocab_size / 2.6))
        if pooling == "dense":
            ids = torch.arange(vocab_size) % concepts
        else:
            ids = torch.randint(concepts, (vocab_size,), generator=random)
    values, ids = torch.unique(ids, return_inverse=True)
    return ids, len(values)


def model_like_rows(vocab_size, random):
    """A bell of standard deviation 2.5, and a few candidates up to 18 above its middle."""
    rows = 2.5 * torch.randn(DISTINCT_ROWS, vocab_size, generator=random)
    for row in rows:
        places = torch.randperm(vocab_size, generator=random)[:20]
        row[places] = 18.0 - 0.5 * torch.arange(20.0)
    return rows


class Inputs:
    """What the rivals work on at one point."""

    def __init__(self, case, device, quick):
        vocab_size, batch, dtype, pooling = case
        random = torch.Generator().manual_seed(vocab_size)
        ids, self.concepts = concept_ids(vocab_size, pooling, random)
        rows = model_like_rows(vocab_size, random).to(DTYPES[dtype])
        self.bytes = batch * vocab_size * rows.element_size()
        sets = 2
        if not quick and device.type == "cuda":
            l2 = torch.cuda.get_device_properties(device).L2_cache_size
            most = max(MOST_BYTES // self.bytes, 2)
            sets = min(max(2 * l2 // self.bytes + 1, 2), most)
        places = torch.arange(sets * batch) % DISTINCT_ROWS
        self.logits = rows.to(device)[places.to(device)].view(sets, batch, vocab_size)
        self.ids = ids.to(device)
        self.wide_ids = self.ids.expand(batch, vocab_size)
        self.ids_32 = self.ids.to(torch.int32)
        self.next = 0
        self.expected = [self.winners(rows[places[s * batch : (s + 1) * batch]], ids)
                         for s in (0, sets - 1)]

    def winners(self, logits, ids):
        """For each row, in f64: the mass of every concept, and the largest."""
        distinct = torch.softmax(logits[:DISTINCT_ROWS].double(), -1)
        masses = torch.zeros(len(distinct), self.concepts, dtype=torch.float64)
        masses.index_add_(1, ids, distinct)
        repeats = -(-len(logits) // len(distinct))
        return masses.argmax(-1).repeat(repeats)[: len(logits)]

    def turn(self):
        self.next = (self.next + 1) % len(self.logits)
        return self.logits[self.next]


def chain(logits, wide_ids, concepts):
    probabilities = torch.softmax(logits, -1)
    masses = torch.zeros(logits.shape[0], concepts, dtype=logits.dtype, device=logits.device)
    return masses.scatter_add(1, wide_ids, probabilities).argmax(-1)


def eager(inputs):
    return lambda logits: chain(logits, inputs.wide_ids, inputs.concepts)


def compiled(inputs):
    compile_ = torch.compile(chain, dynamic=False)
    return lambda logits: compile_(logits, inputs.wide_ids, inputs.concepts)


def argmax(inputs):
    return lambda logits: logits.argmax(-1)


def rivals_at(device):
    """Name, maker, and whether the answer is the winning concept."""
    rivals = [("torch eager", eager), ("torch.compile", compiled), ("torch argmax", argmax)]
    if device.type == "cuda" and importlib.util.find_spec("triton"):
        from gpu_rivals_triton import fused

        rivals.append(("triton", fused))
    return rivals


def is_right(name, call, inputs, dtype):
    """Whether the first and the last set are answered as in f64. Where probabilities are rounded
    to bf16, as the chain's are, it may well decide otherwise; that is told, and no error."""
    for logits, expected in zip((inputs.logits[0], inputs.logits[-1]), inputs.expected):
        if name == "torch argmax":
            largest = logits.gather(1, call(logits).view(-1, 1)).view(-1)
            right = bool((largest == logits.max(-1).values).all())
        else:
            right = bool((call(logits).cpu() == expected).all())
        if not right:
            if dtype == "bf16" and name != "triton":
                return False
            raise AssertionError(f"{name} is wrong")
    return True


class Course:
    """The bursts of one rival; see benches/gpu/timer.rs, which does the same."""

    def __init__(self, call, inputs, cycles_per_ns):
        self.call, self.inputs, self.cycles_per_ns = call, inputs, cycles_per_ns
        self.calls, self.busy, self.queued = 0, 2_000_000, True
        self.spent, self.microseconds = 0.0, []

    def is_enough(self):
        return len(self.microseconds) >= FEWEST_BURSTS and self.spent > SECONDS_PER_RIVAL

    def burst(self):
        begin = time.perf_counter()
        if self.calls == 0:
            self.time(1)
            self.calls = min(max(int(BURST / self.time(1)), 1), MOST_CALLS)
        self.microseconds.append(self.time(self.calls))
        self.spent += time.perf_counter() - begin

    def time(self, calls):
        """Microseconds a call."""
        torch.cuda.synchronize()
        while True:
            if self.queued:
                torch.cuda._sleep(int(self.busy * self.cycles_per_ns))
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            for _ in range(calls):
                self.call(self.inputs.turn())
            in_time = not start.query()
            end.record()
            torch.cuda.synchronize()
            if in_time or not self.queued:
                return start.elapsed_time(end) * 1e3 / calls
            self.busy *= 2
            self.queued = self.busy <= MOST_BUSY


def cycles_per_ns():
    """The unit of `torch.cuda._sleep`."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(1_000_000)
    start.record()
    torch.cuda._sleep(10_000_000)
    end.record()
    torch.cuda.synchronize()
    return 10_000_000 / (start.elapsed_time(end) * 1e6)


def measure(case, device, quick, clock):
    inputs = Inputs(case, device, quick)
    found, courses = {}, {}
    for name, make in rivals_at(device):
        try:
            call = make(inputs)
            right = is_right(name, call, inputs, case[2])
            found[name] = {"answers": "right" if right else "some differ: rounded to bf16"}
            courses[name] = Course(call, inputs, clock)
        except AssertionError:
            raise
        except Exception as error:  # Without a compiler for torch.compile, the others still count.
            found[name] = {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    if device.type == "cuda" and not quick:
        for _ in range(MOST_BURSTS):
            for course in courses.values():
                if not course.is_enough():
                    course.burst()
        for name, course in courses.items():
            microseconds = statistics.median(course.microseconds)
            found[name].update(
                microseconds=microseconds,
                gigabytes_per_second=inputs.bytes / microseconds / 1e3,
                queued=course.queued,
                bursts=len(course.microseconds),
            )
    return found


def cases():
    for vocab_size in VOCAB_SIZES:
        for batch in BATCHES:
            for dtype in DTYPES:
                for pooling in POOLINGS:
                    yield vocab_size, batch, dtype, pooling


def name_of(case):
    vocab_size, batch, dtype, pooling = case
    return f"{vocab_size}/b{batch}/{dtype}/{pooling}"


def cell(found):
    if "failed" in found:
        return "failed"
    if "microseconds" not in found:
        return found["answers"]
    return f"{found['microseconds']:.1f}" + ("" if found["queued"] else "*")


def decide_times(path):
    """Microseconds of `decide` at each point, from the JSON of gpu_reduction."""
    if path is None:
        return {}
    with open(path) as file:
        points = json.load(file)["points"]
    return {point["point"]: point["rivals"]["decide"]["microseconds"] for point in points}


def ratio(found, decide):
    if not decide or not found.get("microseconds"):
        return "n/a"
    return f"{found['microseconds'] / decide:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("filters", nargs="*", help="parts of the names of points")
    parser.add_argument("--quick", action="store_true", help="check answers, take no times")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--against", metavar="FILE", help="the JSON of gpu_reduction")
    arguments = parser.parse_args()

    device = torch.device(arguments.device)
    on_gpu = device.type == "cuda"
    decide = decide_times(arguments.against)
    names = [name for name, _ in rivals_at(device)]
    device_name = torch.cuda.get_device_name(device) if on_gpu else "CPU: answers only"
    print(f"{device_name}, PyTorch {torch.__version__}; medians of microseconds a call\n")
    print("| V/batch/dtype/map |", *(f"{name} |" for name in names),
          *(f"{name} ÷ decide |" for name in names))
    print("| --- |" + " ---: |" * (2 * len(names)))
    clock = cycles_per_ns() if on_gpu else None
    points = []
    for case in cases():
        name = name_of(case)
        if arguments.filters and not any(part in name for part in arguments.filters):
            continue
        torch.compiler.reset()  # Each point is compiled for its own shapes, however many there are.
        found = measure(case, device, arguments.quick, clock)
        print(f"| {name} |", *(f"{cell(found[n])} |" for n in names),
              *(f"{ratio(found[n], decide.get(name))} |" for n in names), flush=True)
        points.append({"point": name, "rivals": found})
        if arguments.json:
            result = {"device": device_name, "torch": torch.__version__, "points": points}
            with open(arguments.json, "w") as file:
                json.dump(result, file, indent=2)
    for point in points:
        for rival, found in point["rivals"].items():
            if "failed" in found:
                print(f"\n{point['point']}, {rival}: {found['failed']}")


if __name__ == "__main__":
    sys.exit(main())
