"""Reads what scripts/sass.sh made: WORK/abi.cuh, WORK/FILE.BUILD.log, of ptxas, and
WORK/FILE.BUILD.sass."""

import math
import re
import sys
from pathlib import Path

BUILDS = {"sm_80": "sm_80", "sm_90": "sm_90", "ptx_90": "sm_90 from build.rs's PTX"}
# In any build, and in those for 9.0.
MOST_PER_LOGIT = {"decide_bf16": (10.0, 5.7), "survey_bf16": (10.0, 7.6)}
# A lane's logits of a tile.
PER_LANE = 0


def resources(log):
    """For each kernel: registers, bytes of shared memory, bytes spilled."""
    found = {}
    for part in log.split("Compiling entry function '")[1:]:
        number = lambda pattern: sum(map(int, re.findall(pattern, part)))
        spilled = number(r"(\d+) bytes spill") + number(r"(\d+) bytes stack frame")
        found[part.split("'")[0]] = (
            number(r"Used (\d+) registers"), number(r"(\d+) bytes smem"), spilled)
    return found


def kernels(sass):
    """For each kernel, its lines: labels as they are, instructions without their addresses."""
    found = {}
    for part in re.split(r"^\s*\.section\s+\.text\.", sass, flags=re.M)[1:]:
        lines = []
        for line in part.splitlines():
            if label := re.match(r"(\.L_x_\d+):", line):
                lines.append(label[1] + ":")
            elif instruction := re.match(r"\s*/\*[0-9a-f]+\*/\s+(.*?)\s*;", line):
                lines.append(instruction[1])
        found[re.match(r"\w+", part)[0]] = lines
    return found


def streaming(lines, kernel):
    """The instructions of a tile on the fast path: from the start of a basic block with all of a lane's
    sixteen-byte loads, which is where aligned tiles go, to the store of the tile's sums.

    Every logit has one exponential. Of the ways through the code with so many, all of whose branches go
    forwards, it is the shortest: a tile that subtracts its maximum first goes a longer one. There must
    be no other loads on it.
    """
    loads = PER_LANE * (4 if kernel.endswith("f32") else 2) // 16
    labels = {line[:-1]: at for at, line in enumerate(lines) if line.endswith(":")}

    # shortest[at][n]: instructions, and loads among them, from there to the store of the sums, with n
    # exponentials more.
    nowhere = [(math.inf, 0)] * (PER_LANE + 1)
    shortest = [nowhere] * (len(lines) + 1)
    for at, line in reversed(list(enumerate(lines))):
        branch = re.search(r"BRA(?!\.DIV).* `\((\.L_x_\d+)\)", line)
        if line.endswith(":"):
            shortest[at] = shortest[at + 1]
        elif re.search(r"STG\.E\.(64|128)", line):
            shortest[at] = [(1, 0)] + nowhere[1:]
        elif "EXIT" in line and not line.startswith("@"):
            shortest[at] = nowhere
        else:
            ways = [shortest[at + 1]] if not branch or line.startswith("@") else []
            if branch and labels[branch[1]] > at:
                ways.append(shortest[labels[branch[1]]])
            ways = [min(lengths) for lengths in zip(*ways)] or nowhere
            ways = [(length + 1, loaded + ("LDG" in line)) for length, loaded in ways]
            shortest[at] = [nowhere[0], *ways[:-1]] if "MUFU.EX2" in line else ways

    found = nowhere[0]
    at = block = in_block = 0
    for at, line in enumerate(lines):
        if line.endswith(":") or "BRA" in line:
            block, in_block = at + 1, 0
        in_block += "LDG.E.128" in line
        if in_block == loads:
            found = min(found, shortest[block][PER_LANE])
    length, loaded = found
    assert length < math.inf, f"{kernel}: there is no fast path"
    assert loaded == loads, f"{kernel}: other loads on the fast path"
    return length


def main(work):
    global PER_LANE
    header = (work / "abi.cuh").read_text()
    PER_LANE = int(re.search(r"PER_LANE = (\d+)u;", header)[1])
    used = {build: {} for build in BUILDS}
    counts = {build: {} for build in BUILDS}
    for build in BUILDS:
        for log in sorted(work.glob(f"*.{build}.log")):
            used[build] |= resources(log.read_text())
        for kernel, lines in kernels((work / f"decide.{build}.sass").read_text()).items():
            if kernel.startswith(("decide_", "survey_")):  # and not the same without the search
                counts[build][kernel] = streaming(lines, kernel)

    wrong = []
    print("| kernel | " + " | ".join(f"registers, {name}" for name in BUILDS.values())
          + " | shared memory | spilled |\n| --- |" + " ---: |" * (len(BUILDS) + 2))
    for kernel in used["sm_80"]:
        registers, shared, spilled = zip(*(used[build][kernel] for build in BUILDS))
        print(f"| {kernel} | " + " | ".join(map(str, registers))
              + f" | {max(shared)} | {max(spilled)} |")
        if max(spilled) > 0:
            wrong.append(f"{kernel} spills {max(spilled)} bytes")

    print("\n| instructions a logit | " + " | ".join(BUILDS.values())
          + " |\n| --- |" + " ---: |" * len(BUILDS))
    for kernel in counts["sm_80"]:
        per_logit = [counts[build][kernel] / PER_LANE for build in BUILDS]
        print(f"| {kernel} | " + " | ".join(f"{count:.2f}" for count in per_logit) + " |")
        most, most_on_9 = MOST_PER_LOGIT.get(kernel, (math.inf, math.inf))
        for build, count in zip(BUILDS, per_logit):
            if count > (most if build == "sm_80" else most_on_9):
                wrong.append(f"{kernel} takes {count:.2f} instructions a logit, {BUILDS[build]}")
    if wrong:
        sys.exit("\n".join(wrong))


main(Path(sys.argv[1]))
