"""What the rivals of gpu_rivals.py work on at one point, and what is right there."""

import torch

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}
DISTINCT_ROWS = 16
MAX_BYTES = 512 << 20
P_MAX = 0.39


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


def typical_rows(vocab_size, random):
    """A bell of standard deviation 2.5, and a thousand candidates that fall off by Zipf's law from 18
    above its middle, with the exponent that gives the largest probability; as benches/sampling/row.rs."""
    rows = 2.5 * torch.randn(DISTINCT_ROWS, vocab_size, generator=random)
    logs = torch.arange(1, 1001, dtype=torch.float64).log()
    for row in rows:
        places = torch.randperm(vocab_size, generator=random)[:1000]
        row[places] = float("-inf")
        bell = (row.double() - 18.0).exp().sum()
        low, high = 0.0, 10.0
        for _ in range(60):
            exponent = (low + high) / 2
            is_small = 1 / ((-exponent * logs).exp().sum() + bell) < P_MAX
            low, high = (exponent, high) if is_small else (low, exponent)
        row[places] = (18.0 - low * logs).float()
    return rows


class Inputs:
    def __init__(self, point, device, quick):
        vocab_size, batch, dtype, pooling, hot = point
        random = torch.Generator().manual_seed(vocab_size)
        ids, self.concepts = concept_ids(vocab_size, pooling, random)
        rows = typical_rows(vocab_size, random).to(DTYPES[dtype])
        self.dtype, self.batch = dtype, batch
        self.bytes = batch * vocab_size * rows.element_size()
        sets = 1 if hot else self.cold_sets(device, quick)
        places = torch.arange(sets * batch) % DISTINCT_ROWS
        self.logits = list(rows.to(device)[places.to(device)].view(sets, batch, vocab_size))
        self.ids = ids.to(device)
        self.wide_ids = self.ids.expand(batch, vocab_size)
        self.next = 0
        # The first set and the last, and of each row in f64: the probabilities, and the concept with
        # the largest mass.
        self.checked = []
        for of_set in {0, sets - 1}:
            probabilities = rows[places[of_set * batch : (of_set + 1) * batch]].double().softmax(-1)
            masses = torch.zeros(batch, self.concepts, dtype=torch.float64)
            winners = masses.index_add_(1, ids, probabilities).argmax(-1)
            self.checked.append((self.logits[of_set], probabilities, winners))

    def cold_sets(self, device, quick):
        """As many as, taken in turn, are never in the second-level cache when it is their turn again."""
        if quick or device.type != "cuda":
            return 2
        l2 = torch.cuda.get_device_properties(device).L2_cache_size
        return min(max(2 * l2 // self.bytes + 1, 2), max(MAX_BYTES // self.bytes, 2))

    def turn(self):
        self.next = (self.next + 1) % len(self.logits)
        return self.logits[self.next]
