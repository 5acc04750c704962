"""The states of a run, as its files have them."""

import json

import numpy as np
from safetensors import safe_open


class States:
    """A run's `hidden.safetensors`."""

    def __init__(self, path):
        with safe_open(path, "numpy") as file:
            self.about = json.loads(file.metadata()["commitment_probe"])
            self.tensors = {name: file.get_tensor(name) for name in file.keys()}

    def of(self, sample):
        """The states and the mean embedding of a sample's prompt, as single precision."""
        states, embedding = (
            self.tensors[f"{name}/{sample['id']}"].astype(np.float32)
            for name in ("states", "embedding")
        )
        scale = self.tensors.get(f"scale/{sample['id']}")
        if scale is not None:
            states, embedding = states * scale[:-1, None], embedding * scale[-1]
        return states, embedding

    def __contains__(self, sample):
        return f"states/{sample['id']}" in self.tensors


class PartialStates(States):
    """The `hidden.part` of a run that is going on: lines, and numbers between them."""

    def __init__(self, content):
        end = content.index(b"\n")
        self.about, self.tensors = json.loads(content[:end]), {}
        rows, width = len(self.about["numbers"]) + 1, self.about["width"]
        length = 2 * rows * width
        at = end + 1
        while (end := content.find(b"\n", at)) >= 0 and end + 1 + length < len(content):
            head = json.loads(content[at:end])
            numbers = np.frombuffer(content, "<f2", rows * width, end + 1).reshape(rows, width)
            self.tensors[f"states/{head['id']}"] = numbers[:-1]
            self.tensors[f"embedding/{head['id']}"] = numbers[-1]
            self.tensors[f"scale/{head['id']}"] = np.array(head["scale"], dtype=np.float32)
            # After the numbers comes a line break.
            at = end + 1 + length + 1


def load_states(directory):
    """The states in the folder of a run, whether it is finished or not; none if it has none."""
    whole, part = directory / "hidden.safetensors", directory / "hidden.part"
    if whole.exists():
        return States(whole)
    content = part.read_bytes() if part.exists() else b""
    return PartialStates(content) if b"\n" in content else None
