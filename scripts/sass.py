"""Reads what scripts/sass.sh made: WORK/abi.cuh, WORK/FILE.BUILD.log, of ptxas, and
WORK/FILE.BUILD.sass."""

import re
import sys
from pathlib import Path

BUILDS = {"sm_80": "sm_80", "sm_90": "sm_90", "ptx_90": "sm_90 from build.rs's PTX"}
MOST_PER_LOGIT = {"decide_bf16": 10.0}
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
    """The instructions of a tile on the fast path: from the start of the basic block with all of a
    lane's sixteen-byte loads, which is where aligned tiles go, to the store of the tile's sums.

    Every logit has one exponential, so there must be 32 of them; and no branch but forward ones
    that are always taken; BRA.DIV, which a warp that is together does not take; and the one over
    the store, which lane 0 does not take. Else this is not the path that is meant, or not all of
    it.
    """
    loads = PER_LANE * (4 if kernel.endswith("f32") else 2) // 16
    at = block = in_block = 0
    while in_block < loads:
        if lines[at].endswith(":") or "BRA" in lines[at]:
            block, in_block = at + 1, 0
        in_block += "LDG.E.128" in lines[at]
        at += 1
    path, at = [], block
    while not any("STG.E.128" in line for line in path[-1:]):
        line = lines[at]
        at += 1
        if line.endswith(":"):
            continue
        path.append(line)
        if "BRA" in line and "BRA.DIV" not in line:
            condition, target = re.fullmatch(r"(.*)BRA `\((\.L_x_\d+)\)", line).groups()
            if not condition:
                at = lines.index(target + ":", at)
            else:
                over = lines[at : lines.index(target + ":", at)]
                stores = any("STG.E.128" in skipped for skipped in over)
                assert stores and "EX2" not in str(over), f"{kernel}: the fast path branches: {line}"
    assert sum("LDG" in line for line in path) == loads, f"{kernel}: other loads on the fast path"
    exponentials = sum("MUFU.EX2" in line for line in path)
    assert exponentials == PER_LANE, f"{kernel}: {exponentials} exponentials on the fast path"
    return len(path)


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
            if kernel.startswith("decide_"):  # and not the same without the search
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
        if max(per_logit) > MOST_PER_LOGIT.get(kernel, max(per_logit)):
            wrong.append(f"{kernel} takes {max(per_logit):.2f} instructions a logit")
    if wrong:
        sys.exit("\n".join(wrong))


main(Path(sys.argv[1]))
