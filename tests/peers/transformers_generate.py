"""Peer: decoding of a GPT-2 of random weights by transformers' `generate`, with its cache.

python transformers_generate.py --layers 12 --heads 12 --width 768 --vocab 50257 --batch 1
"""

import argparse
import json
import statistics
import time

import torch
import transformers
from transformers import GPT2Config, GPT2LMHeadModel

SIZES = dict(layers=12, heads=12, width=768, vocab=50257, context=1024, batch=1)
LENGTHS = dict(prompt=16, tokens=256, steps=5, threads=2)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    for name, value in (SIZES | LENGTHS).items():
        p.add_argument(f"--{name}", type=int, default=value)
    p.add_argument("--sample", action="store_true", help="draw; else the most probable token")
    p.add_argument("--attention", default="sdpa", choices=("sdpa", "eager"))
    a = p.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    transformers.utils.logging.set_verbosity_error()
    config = GPT2Config(
        vocab_size=a.vocab,
        n_positions=a.context,
        n_embd=a.width,
        n_layer=a.layers,
        n_head=a.heads,
        attn_implementation=a.attention,
        bos_token_id=0,
        eos_token_id=None,
        pad_token_id=0,
    )
    model = GPT2LMHeadModel(config).eval()
    prompts = torch.randint(0, a.vocab, (a.batch, a.prompt))
    settings = dict(
        attention_mask=torch.ones_like(prompts),
        min_new_tokens=a.tokens,
        max_new_tokens=a.tokens,
        do_sample=a.sample,
        top_k=0,
        use_cache=True,
    )

    def decode():
        begin = time.perf_counter()
        found = model.generate(prompts, **settings)
        assert found.shape == (a.batch, a.prompt + a.tokens)
        return (time.perf_counter() - begin) / a.tokens

    decode()
    median = statistics.median(decode() for _ in range(a.steps))
    print(
        json.dumps(
            {
                "name": f"transformers generate {a.attention} sample={a.sample}",
                "ms_per_step": round(1e3 * median, 4),
                "tokens_per_s": round(a.batch / median),
                "steps": a.steps * a.tokens,
                "threads": a.threads,
                "torch": torch.__version__,
                "transformers": transformers.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
