#!/usr/bin/env python3
"""What PyTorch takes for the tokens that the bench `cpu_sampling` samples.

    python3 -m venv torch && torch/bin/pip install torch==2.9.1
    export CONCEPT_MASS_TORCH_PYTHON=torch/bin/python
    RAYON_NUM_THREADS=1 cargo bench --bench cpu_sampling

The bench starts it, and asks by lines of JSON: constants, a row with its map, a mode, a burst. Each
is answered by one line. The chain is the usual one of a loop that samples on the host: logits to f32,
softmax, scatter_add into concepts unless the map pools nothing, mass^(1/T), a filter, multinomial;
on one thread. It ends with the concept's number; which token stands for it is left out.
"""

import json
import statistics
import sys
import time

import torch


class Chain:
    """The modes, each a method that gives the number of a concept."""

    def __init__(self, constants):
        self.t = constants["temperature"]
        self.k = constants["k"]
        self.p = constants["p"]
        self.min_share = constants["min_p"]
        self.repetition = constants["repetition"]
        self.presence = constants["presence"]
        self.frequency = constants["frequency"]

    def set_row(self, request):
        dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[request["dtype"]]
        self.logits = read(request["row"], dtype).view(1, -1)
        self.ids = None
        if request["map"]:
            self.ids = read(request["map"], torch.int32).long().view(1, -1)
            self.concepts = int(self.ids.max()) + 1
        words = read(request["mask"], torch.int32)
        bits = (words.view(-1, 1) >> torch.arange(32)) & 1
        self.banned = (bits == 0).view(1, -1)[:, : self.logits.shape[1]].clone()
        seen, counts = torch.tensor(request["seen"]).unique(return_counts=True)
        self.seen, self.counts = seen.view(1, -1), counts.float().view(1, -1)

    def masses(self, logits):
        """The probability of each concept."""
        probabilities = torch.softmax(logits.float(), -1)
        if self.ids is None:
            return probabilities
        masses = torch.zeros(1, self.concepts)
        return masses.scatter_add_(1, self.ids, probabilities)

    def weights(self, logits):
        """Those of the draw, which add up to 1."""
        if self.ids is None:
            return torch.softmax(logits.float() / self.t, -1)
        weights = self.masses(logits).pow_(1 / self.t)
        return weights.div_(weights.sum(-1, keepdim=True))

    def penalised(self):
        logits = self.logits.float()
        scores = logits.gather(1, self.seen)
        scores = torch.where(scores > 0, scores / self.repetition, scores * self.repetition)
        scores -= self.presence + self.frequency * self.counts
        return logits.scatter(1, self.seen, scores).masked_fill_(self.banned, -torch.inf)

    def top_k_weights(self, logits):
        weights = self.weights(logits)
        return weights.topk(min(self.k, weights.shape[1]), dim=-1)

    def greedy(self):
        return self.logits.float().argmax(-1)

    def decision(self):
        return self.masses(self.logits).argmax(-1)

    def all(self):
        return torch.multinomial(self.weights(self.logits), 1)

    def top_k(self):
        weights, ids = self.top_k_weights(self.logits)
        return ids.gather(1, torch.multinomial(weights, 1))

    def top_p(self):
        weights, ids = self.weights(self.logits).sort(dim=-1, descending=True)
        return ids.gather(1, torch.multinomial(self.nucleus(weights), 1))

    def top_k_top_p(self):
        weights, ids = self.top_k_weights(self.logits)
        return ids.gather(1, torch.multinomial(self.nucleus(weights), 1))

    def min_p(self):
        return torch.multinomial(self.not_small(self.weights(self.logits)), 1)

    def gumbel(self):
        weights = self.weights(self.logits)
        return weights.div_(torch.empty_like(weights).exponential_()).argmax(-1)

    def everything(self):
        weights, ids = self.top_k_weights(self.penalised())
        weights = self.nucleus(weights / weights.sum(-1, keepdim=True))
        return ids.gather(1, torch.multinomial(self.not_small(weights), 1))

    def nucleus(self, weights):
        """Of weights in descending order, the fewest that reach p."""
        before = weights.cumsum(-1) - weights
        return weights.masked_fill(before >= self.p, 0)

    def not_small(self, weights):
        least = self.min_share * weights.max(-1, keepdim=True).values
        return weights.masked_fill(weights < least, 0)


def read(path, dtype):
    with open(path, "rb") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=dtype)


def burst(call, seconds):
    """Microseconds a call."""
    begin = time.perf_counter()
    times = []
    while not times or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        call().item()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def main():
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
    chain, call = None, None
    with torch.inference_mode():
        for line in sys.stdin:
            request = json.loads(line)
            answer = None
            if "constants" in request:
                chain, answer = Chain(request["constants"]), torch.__version__
            elif "row" in request:
                chain.set_row(request)
            elif "mode" in request:
                call = getattr(chain, request["mode"].replace("-", "_"))
                answer = [call().item() for _ in range(request["answers"])]
            else:
                answer = burst(call, request["burst"])
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
