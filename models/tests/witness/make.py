"""Tiny random models of every architecture that the decoder knows, and what transformers says of them.

    python models/tests/witness/make.py FOLDER

Writes, for each case, a folder of its own with the model as transformers saves it, the same weights
as `model.gguf`, and `expected.safetensors`. The test `witness` of concept-mass-models reads them from
the folder that CONCEPT_MASS_WITNESS names. Needs what ../requirements.txt lists.
"""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import (
    Gemma2Config, Gemma3TextConfig, LlamaConfig, MistralConfig, Olmo2Config, Phi3Config,
    Qwen2Config, Qwen3Config, SmolLM3Config, AutoModelForCausalLM,
)

VOCAB = 1160
# Beyond the window, the length that stretched models were "trained" with, and, for bf16, the
# positions that angles in bf16 cannot tell apart.
SHORT, LONG, WINDOW, TRAINED, FAR = 7, 40, 12, 16, 330

SIZES = dict(
    vocab_size=VOCAB, hidden_size=64, intermediate_size=96, num_hidden_layers=4,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512,
    bos_token_id=None, eos_token_id=0, pad_token_id=None,
)
UNTIED = dict(tie_word_embeddings=False)


def rope(kind, **more):
    """`rope_parameters` of a model whose θ is not the usual one."""
    return dict(rope_parameters=dict(rope_type=kind, rope_theta=5000.0, **more))


FACTORS = dict(
    short_factor=[1.0 + 0.05 * i for i in range(8)], long_factor=[1.5 + 0.4 * i for i in range(8)]
)
LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)

CASES = {
    "llama": LlamaConfig(**SIZES, **UNTIED, **rope("default")),
    "llama-tied": LlamaConfig(**SIZES, tie_word_embeddings=True),
    "llama-biases": LlamaConfig(**SIZES, **UNTIED, attention_bias=True, mlp_bias=True),
    "llama-wide-heads": LlamaConfig(**SIZES, **UNTIED, head_dim=32),
    "llama-linear": LlamaConfig(**SIZES, **UNTIED, **rope("linear", factor=4.0)),
    "llama-dynamic": LlamaConfig(
        **{**SIZES, "max_position_embeddings": TRAINED}, **UNTIED, **rope("dynamic", factor=32.0)),
    "llama-llama3": LlamaConfig(**SIZES, **UNTIED, **rope("llama3", **LLAMA3)),
    "llama-yarn": LlamaConfig(
        **SIZES, **UNTIED, **rope("yarn", factor=8.0, original_max_position_embeddings=64)),
    "llama-yarn-told": LlamaConfig(
        **SIZES, **UNTIED, **rope("yarn", factor=8.0, original_max_position_embeddings=64,
                                  attention_factor=0.9, beta_fast=16.0, beta_slow=2.0)),
    "llama-yarn-mscale": LlamaConfig(
        **SIZES, **UNTIED, **rope("yarn", factor=6.0, original_max_position_embeddings=64,
                                  mscale=0.8, mscale_all_dim=0.5, truncate=False)),
    "llama-longrope": LlamaConfig(
        # Less than any text but the shortest: transformers lets a cache mix both kinds of factors.
        **SIZES, **UNTIED, **rope("longrope", factor=4.0, **FACTORS,
                                  original_max_position_embeddings=5)),
    "mistral": MistralConfig(**SIZES, **UNTIED, sliding_window=None),
    "mistral-window": MistralConfig(**SIZES, **UNTIED, sliding_window=WINDOW),
    "smollm3": SmolLM3Config(**SIZES, **rope("default")),
    "smollm3-told": SmolLM3Config(**SIZES, no_rope_layers=[1, 0, 1, 0], **rope("default")),
    "qwen2": Qwen2Config(**SIZES, tie_word_embeddings=True),
    "qwen2-window": Qwen2Config(
        **SIZES, **UNTIED, use_sliding_window=True, sliding_window=WINDOW, max_window_layers=2),
    "qwen3": Qwen3Config(**SIZES, **UNTIED, head_dim=32),
    "qwen3-yarn": Qwen3Config(
        **SIZES, tie_word_embeddings=True, head_dim=16,
        # Not the ratio of positions, as in the real Qwen3.
        **rope("yarn", factor=3.0, original_max_position_embeddings=128)),
    "gemma2": Gemma2Config(
        **SIZES, head_dim=32, query_pre_attn_scalar=32, sliding_window=WINDOW,
        attn_logit_softcapping=5.0, final_logit_softcapping=3.0),
    "gemma3": Gemma3TextConfig(
        **{**SIZES, "num_hidden_layers": 7}, head_dim=32, query_pre_attn_scalar=32,
        sliding_window=WINDOW),
    "gemma3-linear": Gemma3TextConfig(
        **{**SIZES, "num_hidden_layers": 7}, head_dim=32, query_pre_attn_scalar=32,
        sliding_window=WINDOW,
        rope_parameters=dict(
            full_attention=dict(rope_type="linear", factor=8.0, rope_theta=1e6),
            sliding_attention=dict(rope_type="default", rope_theta=1e4))),
    "phi3": Phi3Config(**SIZES, **UNTIED, sliding_window=WINDOW),
    "phi3-longrope": Phi3Config(
        **SIZES, tie_word_embeddings=True, original_max_position_embeddings=128,
        rope_parameters=dict(
            rope_type="longrope", rope_theta=1e4, partial_rotary_factor=0.75,
            short_factor=FACTORS["short_factor"][:6], long_factor=FACTORS["long_factor"][:6])),
    "olmo2": Olmo2Config(**SIZES, **UNTIED),
}


def make(config):
    """A model whose every weight matters, and is exact in bf16."""
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            if name.endswith("norm.weight"):
                centre = 0.0 if config.model_type.startswith("gemma") else 1.0
                weight.copy_(centre + 0.2 * noise)
            elif "embed" in name or "lm_head" in name:
                # Logits of a tenth or so: what bf16 rounds is some percent of a logit.
                weight.copy_(noise / 128)
            elif name.endswith("bias"):
                weight.copy_(0.2 * noise)
            else:
                weight.copy_(noise / weight.shape[1] ** 0.5)
            weight.copy_(weight.bfloat16().float())
    return model.eval()


@torch.no_grad()
def expected(model, folder):
    """Logits in every way that they are asked for, by name."""
    generator = torch.Generator().manual_seed(2)
    tokens = torch.randint(0, VOCAB, (2, LONG), generator=generator)
    first = tokens[:1]
    out = {"tokens": tokens}
    for length in 1, SHORT:
        out[f"logits.{length}"] = model(first[:, :length]).logits[0]
    # Before the last norm, which transformers has already put the last block's state through.
    before_norm = []
    hook = model.model.norm.register_forward_pre_hook(lambda _, given: before_norm.append(given[0]))
    whole = model(first, output_hidden_states=True)
    hook.remove()
    out["logits"] = whole.logits[0]
    states = [*whole.hidden_states[1:-1], before_norm[0]]
    assert len(states) == model.config.num_hidden_layers
    out |= {f"state.{block}": state[0] for block, state in enumerate(states)}

    # A cached prompt, then several tokens at once, then one by one.
    cached = model(first[:, :SHORT], use_cache=True)
    steps = []
    for begin, end in (SHORT, SHORT + 3), *((i, i + 1) for i in range(SHORT + 3, LONG)):
        cached = model(first[:, begin:end], past_key_values=cached.past_key_values, use_cache=True)
        steps.append(cached.logits[0, -1])
    out["steps"] = torch.stack(steps)

    # Left-padded: the second row has fewer tokens, and is told the same as alone.
    mask = torch.ones_like(tokens)
    mask[1, : LONG - 20] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    out["padded"] = model(tokens, attention_mask=mask, position_ids=positions).logits[:, -1]
    if "dynamic" in str(model.config.rope_parameters):
        # transformers gives all rows the frequencies of the longest; and keeps those of the longest
        # text that it has read until it reads a short one.
        model(first[:, :1])
        out["padded"][1] = model(tokens[1:, LONG - 20 :]).logits[0, -1]

    # Only the last positions: those before are as good.
    far = torch.randint(0, VOCAB, (1, FAR), generator=generator)
    out["far.tokens"] = far
    out["far.f32"] = model(far).logits[0, -20:]
    # As it is loaded, frequencies stay in f32; model.bfloat16() would round them, too.
    half = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.bfloat16, attn_implementation="eager")
    out["far.bf16"] = half(far).logits[0, -20:].float()
    return {name: tensor.contiguous().clone() for name, tensor in out.items()}


ARCHITECTURES = {"gemma3_text": "gemma3"}
# With rows as llama.cpp's NORM rotary embeddings want them.
INTERLEAVED = ("llama", "mistral", "smollm3")


def write_gguf(path, model):
    """The model as llama.cpp's converter writes it, all weights in f32."""
    config = model.config
    kind = config.model_type
    # llama.cpp has Mistral among the Llamas.
    name = "llama" if kind == "mistral" else ARCHITECTURES.get(kind, kind)
    arch = next(arch for arch, of in gguf.MODEL_ARCH_NAMES.items() if of == name)
    names = gguf.get_tensor_name_map(arch, config.num_hidden_layers)
    writer = gguf.GGUFWriter(path, name)
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_eos_token_id(0)
    window = getattr(config, "sliding_window", None)
    if window and kind != "qwen2":
        writer.add_sliding_window(window)
    if kind == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)

    params = config.rope_parameters
    params = params.get("full_attention", params)
    writer.add_rope_freq_base(params["rope_theta"])
    dims = int(head * params.get("partial_rotary_factor", 1.0))
    writer.add_rope_dimension_count(dims)
    scaling = params["rope_type"]
    if scaling == "linear":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(params["factor"])
    elif scaling == "yarn":
        writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
        writer.add_rope_scaling_factor(params["factor"])
        writer.add_rope_scaling_orig_ctx_len(params["original_max_position_embeddings"])
    elif scaling == "longrope":
        writer.add_rope_scaling_type(gguf.RopeScalingType.LONGROPE)
        writer.add_rope_scaling_orig_ctx_len(params["original_max_position_embeddings"])
        attention = model.model.rotary_emb.attention_scaling
        writer.add_rope_scaling_attn_factors(float(attention))
        for length in "long", "short":
            factors = np.array(params[f"{length}_factor"], dtype=np.float32)
            writer.add_tensor(f"rope_factors_{length}.weight", factors)
    elif scaling == "llama3":
        plain = params["rope_theta"] ** -(np.arange(0, dims, 2) / dims)
        factors = plain / model.model.rotary_emb.inv_freq.numpy()
        writer.add_tensor("rope_freqs.weight", factors.astype(np.float32))

    for name, weight in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        weight = weight.float().numpy()
        if kind.startswith("gemma") and name.endswith("norm.weight"):
            weight = weight + 1
        heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
        heads = heads.get(name.split(".")[-2])
        if kind in INTERLEAVED and heads:
            shape = weight.shape
            weight = weight.reshape(heads, 2, shape[0] // heads // 2, *shape[1:])
            weight = weight.swapaxes(1, 2).reshape(shape)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# What GGUF files cannot say.
NO_GGUF = (
    "llama-dynamic", "llama-yarn-told", "llama-yarn-mscale", "qwen2-window", "smollm3-told",
    "llama-longrope",
)


def main():
    folder = Path(sys.argv[1])
    torch.set_num_threads(2)
    for name, config in CASES.items():
        model = make(config)
        case = folder / name
        model.save_pretrained(case)
        if name not in NO_GGUF:
            write_gguf(case / "model.gguf", model)
        save_file(expected(model, case), case / "expected.safetensors")
        print(name, flush=True)
    (folder / "cases.json").write_text(json.dumps(list(CASES)))


main()
