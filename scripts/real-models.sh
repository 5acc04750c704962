#!/usr/bin/env bash
# The study of docs/REAL-MODELS.md, from the models to the sheet of cases, in OUT_DIR:
#
#     scripts/real-models.sh OUT_DIR              # everything
#     LIMIT=60 scripts/real-models.sh OUT_DIR     # a small one, to see that it works
#
# A run that was stopped is resumed. Then two readers label OUT_DIR/cases/sheet.md by
# docs/real-models/RULES.md, each alone, as A.jsonl and B.jsonl in OUT_DIR/cases, and
#
#     scripts/labels.py compare OUT_DIR/cases OUT_DIR/cases/A.jsonl OUT_DIR/cases/B.jsonl
#     cp OUT_DIR/cases/* OUT_DIR/by-kind.md docs/real-models/
#     scripts/fill-tables.py docs/REAL-MODELS.md --report OUT_DIR
#
# put the labels and every number into the text.
set -euo pipefail
if [[ $# != 1 ]]; then
    echo "usage: $0 OUT_DIR" >&2
    exit 2
fi
mkdir -p "$1"
out=$(realpath "$1")
cd "$(dirname "$0")/.."
scripts=$PWD/scripts

cargo build --release
probe=$(realpath "${CARGO_TARGET_DIR:-target}")/release/commitment-probe

# Paths are relative from here on, since reports name them.
cd "$out"
if [[ ! -e models/gemma3.gguf ]]; then
    bash "$scripts/fetch-models.sh" models
fi
if [[ ! -e countries.jsonl ]]; then
    size=(--all)
    if [[ -n ${LIMIT-} ]]; then
        size=(--limit "$LIMIT")
    fi
    python3 "$scripts/country-questions.py" countries.jsonl "${size[@]}" --seed 1
fi

# ask NAME MODEL OPTION...: a run. Few answers are cut at 48 tokens; a plural is no other answer.
ask() {
    "$probe" run --model "models/$2.gguf" --questions countries.jsonl --out "$1" \
        --max-tokens 48 --endings --exchanges 10 --seed 1 --hidden "${@:3}"
}
ask smollm2-base smollm2 --samples 10
ask smollm2-chat smollm2 --chat --samples 4 # sentences, which take the longest
ask smollm2-prefill smollm2 --chat --prefill "The answer is:" --samples 10
ask gemma3-base gemma3 --samples 10

runs=(smollm2-base smollm2-chat smollm2-prefill gemma3-base)
"$probe" report "${runs[@]}" --out .
python3 "$scripts/by-kind.py" "${runs[@]}" >by-kind.md
python3 "$scripts/labels.py" draw "${runs[@]}" --out cases --seed 1
