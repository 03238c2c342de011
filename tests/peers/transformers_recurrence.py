"""A training step of a modern recurrence by transformers, in PyTorch: Mamba, or gated DeltaNet.

python transformers_recurrence.py --mixer=mamba --layers=4 --width=128 --time=256 --batch=8

On a CPU transformers has no kernels of its own for them: this is what one gets without a GPU. Gated
DeltaNet is Qwen3-Next without its layers of full attention and without experts.
"""

import argparse
import json
import statistics
import time

import torch
import transformers
from torch import nn


def mamba(given):
    config = transformers.MambaConfig(
        vocab_size=given.vocab,
        hidden_size=given.width,
        num_hidden_layers=given.layers,
        state_size=16,
        use_cache=False,
    )
    return transformers.MambaForCausalLM(config)


def gated_delta_net(given):
    layers, heads = given.layers, given.heads
    config = transformers.Qwen3NextConfig(
        vocab_size=given.vocab,
        hidden_size=given.width,
        intermediate_size=given.inner,
        num_hidden_layers=layers,
        layer_types=["linear_attention"] * layers,
        mlp_only_layers=list(range(layers)),
        num_attention_heads=heads,
        num_key_value_heads=heads,
        head_dim=given.width // heads,
        linear_num_key_heads=heads,
        linear_num_value_heads=heads,
        linear_key_head_dim=given.width // heads,
        linear_value_head_dim=given.width // heads,
        linear_conv_kernel_dim=4,
        tie_word_embeddings=True,
        use_cache=False,
    )
    return transformers.Qwen3NextForCausalLM(config)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = dict(layers=4, heads=4, width=128, inner=384, time=256, batch=8, vocab=65)
    for name, value in (sizes | dict(steps=10, threads=2)).items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--mixer", choices=("mamba", "gated_delta_net"), required=True)
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(given.threads)
    transformers.utils.logging.set_verbosity_error()
    model = {"mamba": mamba, "gated_delta_net": gated_delta_net}[given.mixer](given).train()
    settings = dict(lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    optimizer = torch.optim.AdamW(model.parameters(), **settings)
    tokens = torch.randint(0, given.vocab, (given.batch, given.time + 1))

    def step():
        logits = model(input_ids=tokens[:, :-1]).logits
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()

    times = []
    for number in range(2 + given.steps):
        begin = time.perf_counter()
        step()
        if number >= 2:
            times.append(1e3 * (time.perf_counter() - begin))
    about = {"mixer": given.mixer, "transformers": transformers.__version__}
    about |= {"torch": torch.__version__, "parameters": sum(p.numel() for p in model.parameters())}
    print(json.dumps({**about, "ms_per_step": statistics.median(times), "steps": given.steps}))


if __name__ == "__main__":
    main()
