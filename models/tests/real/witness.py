"""Asks transformers and llama.cpp what two real models say.

    pip install -r ../requirements.txt
    python witness.py SOURCES OUT

SOURCES holds smollm2.gguf and gemma3.gguf, as scripts/fetch-models.sh fetches them. Of each, OUT gets

    NAME.gguf       the file itself
    NAME-f32.gguf   the same with its weights dequantised, by which llama.cpp and candle compute alike
    NAME/           the weights of NAME.gguf as a Hugging Face folder: dequantised, f32
    NAME.json, NAME-f32.json
                    texts with their tokens, the greedy continuation by llama.cpp, and what follows each
                    of its tokens: the tokens with p > 1e-4, with their log-probabilities. llama.cpp
                    reads the GGUF file, and transformers the dequantised weights.
    NAME.safetensors
                    of each text, by its place, what every block has at its last token, `[L, D]`, before
                    the last norm: transformers', of the dequantised weights.

Then

    CONCEPT_MASS_REAL=OUT cargo test --release -p concept-mass-models --test models -- \\
        --ignored real_witness

compares.
"""

import json
import math
import shutil
import sys
import urllib.request
from pathlib import Path

import numpy as np
import torch
import xllamacpp
from gguf import GGUFReader, GGUFValueType, GGUFWriter, quants
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

HERE = Path(__file__).parent
STEPS = 12
# No token below is compared.
LEAST = 1e-4
# Entries of a distribution that llama.cpp is asked for; that they suffice is checked.
ENTRIES = 4000
SHOTS = (
    "Q: What is the capital of Italy?\nA: Rome\n"
    "Q: Who wrote Faust?\nA: Johann Wolfgang von Goethe\n"
    "Q: What currency does Japan use?\nA: Yen\n"
)
TEXTS = [
    "The capital of France is",
    "Q: What is the capital of France?\nA:",
    SHOTS + "Q: Who painted the Mona Lisa?\nA:",
    SHOTS + "Q: What is the capital of Kenya?\nA:",
    "<|im_start|>user\nWhat is the largest planet?<|im_end|>\n<|im_start|>assistant\n",
    "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "In 1969, 12 men… 3.14159 and 1,000,000 — the naïve café in 東京 said: “",
    # Longer than Gemma's window of 512 tokens.
    None,
]


class Llama:
    """llama.cpp with a model loaded."""

    def __init__(self, path):
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx, parameters.n_parallel = 2048, 1
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 2
        parameters.warmup = False
        parameters.hostnames, parameters.port = ["127.0.0.1"], 0
        self.server = xllamacpp.Server(parameters)

    def ask(self, path, **question):
        request = urllib.request.Request(
            self.server.listening_address + path,
            json.dumps(question).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)

    def tokens(self, text):
        question = {"content": text, "add_special": True, "parse_special": True}
        return self.ask("/tokenize", **question)["tokens"]

    def greedy(self, tokens):
        """The tokens that follow, and before each the log-probabilities of what may."""
        answer = self.ask(
            "/completion",
            prompt=tokens,
            n_predict=STEPS,
            temperature=0,
            n_probs=ENTRIES,
            ignore_eos=True,
            cache_prompt=False,
        )
        steps = answer["completion_probabilities"]
        for step in steps:
            step["top"] = {entry["id"]: entry["logprob"] for entry in step["top_logprobs"]}
            assert min(step["top"].values()) < math.log(LEAST)
        return [step["id"] for step in steps], [likely(step["top"]) for step in steps]


def likely(log_probs):
    return {token: value for token, value in log_probs.items() if value > math.log(LEAST)}


def follows(model, tokens, greedy):
    """What `model` says of the token after `tokens`, and after each of `greedy` but the last."""
    with torch.no_grad():
        logits = model(torch.tensor([tokens + greedy])).logits[0, len(tokens) - 1 : -1]
    log_probs = logits.double().log_softmax(-1)
    return [likely(dict(enumerate(row.tolist()))) for row in log_probs]


def states(model, tokens):
    """What each block has at the last token; transformers puts the last one's through a norm."""
    before_norm = []
    hook = model.model.norm.register_forward_pre_hook(lambda _, given: before_norm.append(given[0]))
    with torch.no_grad():
        found = model(torch.tensor([tokens]), output_hidden_states=True).hidden_states
    hook.remove()
    return torch.stack([state[0, -1] for state in [*found[1:-1], before_norm[0]]]).contiguous()


def dequantised(source, folder):
    model = AutoModelForCausalLM.from_pretrained(
        source.parent, gguf_file=source.name, dtype=torch.float32
    )
    # transformers does not save a model that was quantised, so its weights move to another.
    config = model.config
    del config.quantization_config
    plain = type(model)(config)
    plain.load_state_dict(model.state_dict())
    plain.save_pretrained(folder, max_shard_size="300MB")
    return plain.eval()


def in_f32(source, path):
    """Writes the model in `source` with its weights dequantised."""
    reader = GGUFReader(source)
    writer = GGUFWriter(path, reader.fields["general.architecture"].contents())
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name == "general.architecture":
            continue
        if field.types[0] == GGUFValueType.ARRAY:
            writer.add_array(name, field.contents())
        else:
            writer.add_key_value(name, field.contents(), field.types[0])
    for tensor in reader.tensors:
        data = quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, data.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    sources, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(2)
    prose = (HERE / "../../../assets/tiny/prose.txt").read_text()[:4000]
    for name in ["smollm2", "gemma3"]:
        source = sources / f"{name}.gguf"
        shutil.copy(source, out)
        in_f32(source, out / f"{name}-f32.gguf")
        model = dequantised(source, out / name)
        of_blocks = {}
        for file in [name, f"{name}-f32"]:
            llama = Llama(out / f"{file}.gguf")
            rows = []
            for text in TEXTS:
                text = text or prose
                tokens = llama.tokens(text)
                greedy, theirs = llama.greedy(tokens)
                own = follows(model, tokens, greedy)
                row = {"text": text, "tokens": tokens, "greedy": greedy}
                rows.append(row | {"llama.cpp": theirs, "transformers": own})
                of_blocks[str(len(rows) - 1)] = states(model, tokens)
            (out / f"{file}.json").write_text(json.dumps(rows))
            longest = max(len(row["tokens"]) for row in rows)
            print(f"{file}: {len(rows)} texts of up to {longest} tokens", flush=True)
        save_file(of_blocks, out / f"{name}.safetensors")


main()
