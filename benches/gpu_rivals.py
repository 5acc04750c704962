#!/usr/bin/env python3
"""What PyTorch, Triton and CUB take for what the bench `gpu_reduction` measures.

    python3 benches/gpu_rivals.py                                  # everything
    python3 benches/gpu_rivals.py 131072/b64/bf16 --json rivals.json
    python3 benches/gpu_rivals.py --against gpu_reduction.json     # and how many times `decide` that is
    python3 benches/gpu_rivals.py --quick --device cpu 32000/b1/   # the answers only

The rivals are in gpu_rivals_torch.py, _triton.py and _cub.py. Points, maps and the kind of logits are
as in the bench (by other random numbers), as is the way of timing: the device is kept busy while calls
are queued, several input sets are taken in turn, so that its cache does not answer for its memory, and
the median of several bursts counts. Every answer is checked in f64 before it is timed.
"""

import argparse
import json
import statistics
import sys
import time

import torch

import gpu_rivals_torch as ways
from gpu_rivals_inputs import Inputs

# What the bench measures, too: V, B, dtype, map, and whether the logits are in the cache. What is at
# hand for a look comes first.
POINTS = [
    (32_000, 1, "bf16", "sparse", False),
    *((131_072, batch, "bf16", "sparse", False) for batch in (1, 64, 8, 256)),
    *((131_072, batch, "bf16", "sparse", True) for batch in (1, 64)),
    *((131_072, batch, "f32", "sparse", False) for batch in (1, 64)),
    *((131_072, batch, "bf16", map_, False) for batch in (1, 64) for map_ in ("dense", "scattered")),
]
# Compiling for a point takes longer than measuring all else there.
COMPILED = [point for point in POINTS if point[1] in (1, 64) and not point[4]
            and point[3] in ("sparse", "scattered")][:6]

# As in benches/gpu/timer.rs.
MAX_CALLS = 64
BURST = 2e3
MAX_BUSY = 250_000_000
MAX_BURSTS = 15
MIN_BURSTS = 3
SECONDS_PER_RIVAL = 0.1


def name_of(point):
    vocab_size, batch, dtype, map_, hot = point
    return f"{vocab_size}/b{batch}/{dtype}/{map_}" + ("/hot" if hot else "")


class Course:
    """The bursts of one rival; see benches/gpu/timer.rs, which does the same."""

    def __init__(self, call, inputs, cycles_per_ns):
        self.call, self.inputs, self.cycles_per_ns = call, inputs, cycles_per_ns
        self.calls, self.busy, self.queued = 0, 2_000_000, True
        self.spent, self.times = 0.0, []

    def is_enough(self):
        return len(self.times) >= MIN_BURSTS and self.spent > SECONDS_PER_RIVAL

    def burst(self):
        begin = time.perf_counter()
        if self.calls == 0:
            self.time(1)
            self.calls = min(max(int(BURST / self.time(1)[0]), 1), MAX_CALLS)
        self.times.append(self.time(self.calls))
        self.spent += time.perf_counter() - begin

    def time(self, calls):
        """Microseconds a call, on the device, and until it returns on the host."""
        torch.cuda.synchronize()
        while True:
            if self.queued:
                torch.cuda._sleep(int(self.busy * self.cycles_per_ns))
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            begin = time.perf_counter()
            for _ in range(calls):
                self.call(self.inputs.turn())
            host = (time.perf_counter() - begin) * 1e6 / calls
            in_time = not start.query()
            end.record()
            torch.cuda.synchronize()
            if in_time or not self.queued:
                return start.elapsed_time(end) * 1e3 / calls, host
            self.busy *= 2
            self.queued = self.busy <= MAX_BUSY

    def end(self):
        device, host = (statistics.median(times) for times in zip(*self.times))
        return {
            "microseconds": device,
            "host_microseconds": host,
            "gigabytes_per_second": self.inputs.bytes / device / 1e3,
            "queued": self.queued,
            "bursts": len(self.times),
        }


def cycles_per_ns():
    """The unit of `torch.cuda._sleep`."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(1_000_000)
    start.record()
    torch.cuda._sleep(10_000_000)
    end.record()
    torch.cuda.synchronize()
    return 10_000_000 / (start.elapsed_time(end) * 1e6)


def measure(inputs, rivals, quick, clock):
    found, courses = {}, {}
    for rival in rivals:
        try:
            call = rival.make(inputs)
            found[rival.name] = {"answers": rival.check(call, inputs)}
            courses[rival.name] = Course(call, inputs, clock)
        except Exception as error:  # Whatever is wrong with one, the others still count.
            found[rival.name] = {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:200]}
    if clock and not quick:
        for _ in range(MAX_BURSTS):
            for course in courses.values():
                if not course.is_enough():
                    course.burst()
        for name, course in courses.items():
            found[name].update(course.end())
    return found


class Report:
    def __init__(self, device_name, arguments):
        self.path, self.decide = arguments.json, decide_times(arguments.against)
        self.result = {"device": device_name, "torch": torch.__version__, "skipped": {}, "points": {}}

    def begin(self, names):
        print("\n| V/batch/dtype/map |", *(f"{name} |" for name in names),
              *(f"{name} ÷ decide |" for name in names))
        print("| --- |" + " ---: |" * (2 * len(names)))

    def add(self, point, found):
        """Prints a line, and writes the JSON anew: a run that is cut short leaves what it has."""
        decide = self.decide.get(point)
        print(f"| {point} |", *(f"{cell(one)} |" for one in found.values()),
              *(f"{ratio(one, decide)} |" for one in found.values()), flush=True)
        self.result["points"].setdefault(point, {}).update(found)
        self.write()

    def skip(self, skipped):
        for name, reason in skipped.items():
            print(f"\n{name}: skipped, {reason}")
        self.result["skipped"] = skipped
        self.write()

    def end(self):
        """Prints the other table, and fails if an answer was wrong."""
        points = self.result["points"]
        names = list(dict.fromkeys(name for found in points.values() for name in found))
        if any("host_microseconds" in one for found in points.values() for one in found.values()):
            print("\nMicroseconds until a call returns, its work being queued\n")
            print("| V/batch/dtype/map |", *(f"{name} |" for name in names))
            print("| --- |" + " ---: |" * len(names))
            for point, found in points.items():
                host = [found.get(name, {}).get("host_microseconds") for name in names]
                print(f"| {point} |", *("– |" if one is None else f"{one:.1f} |" for one in host))
        for point, found in points.items():
            for rival, one in found.items():
                if "failed" in one:
                    print(f"\n{point}, {rival}: {one['failed']}")
        everything = (one.get("failed", "") for found in points.values() for one in found.values())
        return any(failed.startswith("AssertionError") for failed in everything)

    def write(self):
        if self.path:
            with open(self.path, "w") as file:
                json.dump(self.result, file, indent=2)


def decide_times(path):
    """Microseconds of `decide` at each point, from the JSON of gpu_reduction."""
    if path is None:
        return {}
    with open(path) as file:
        points = json.load(file)["points"]
    return {point["point"]: point["rivals"].get("decide", {}).get("microseconds") for point in points}


def cell(found):
    if "failed" in found:
        return "failed"
    if "microseconds" not in found:
        return found["answers"]
    return f"{found['microseconds']:.1f}" + ("" if found["queued"] else "*")


def ratio(found, decide):
    if not decide or not found.get("microseconds"):
        return "–"
    return f"{found['microseconds'] / decide:.1f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("filters", nargs="*", help="parts of the names of points")
    parser.add_argument("--quick", action="store_true", help="check answers, take no times")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--against", metavar="FILE", help="the JSON of gpu_reduction")
    arguments = parser.parse_args()

    def wanted(points):
        filters = arguments.filters or [""]
        return [point for point in points if any(part in name_of(point) for part in filters)]

    device = torch.device(arguments.device)
    on_gpu = device.type == "cuda"
    device_name = torch.cuda.get_device_name(device) if on_gpu else "CPU: answers only"
    print(f"{device_name}, PyTorch {torch.__version__}; medians of microseconds a call")
    clock = cycles_per_ns() if on_gpu else None
    report = Report(device_name, arguments)
    rivals, skipped = ways.rivals_on(device)
    report.skip(skipped)
    for some, points in ((rivals, POINTS), ([ways.COMPILED], COMPILED)):
        report.begin([rival.name for rival in some])
        for point in wanted(points):
            torch.compiler.reset()  # Each point is compiled for its own shapes, however many there are.
            inputs = Inputs(point, device, arguments.quick)
            report.add(name_of(point), measure(inputs, some, arguments.quick, clock))
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
