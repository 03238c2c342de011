"""Peer: decoding by hand in PyTorch: a GPT-2 with a key-value cache, or torch.nn.LSTM.

python torch_generate.py --layers 12 --heads 12 --width 768 --vocab 50257 --context 1024 --batch 1
python torch_generate.py --lstm --layers 2 --width 650 --vocab 10000 --batch 16 --sample
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn

SIZES = dict(layers=12, heads=12, width=768, vocab=50257, context=1024, batch=1)
LENGTHS = dict(prompt=16, tokens=256, steps=5, threads=2)


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x, cache, begin):
        rows, length, width = x.shape
        q, k, v = (
            part.view(rows, length, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).split(width, dim=-1)
        )
        end = begin + length
        keys, values = cache
        keys[:, :, begin:end], values[:, :, begin:end] = k, v
        y = F.scaled_dot_product_attention(
            q, keys[:, :, :end], values[:, :, :end], is_causal=length > 1
        )
        x = x + self.out(y.transpose(1, 2).reshape(rows, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


class GPT(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.tokens = nn.Embedding(a.vocab, a.width)
        self.positions = nn.Embedding(a.context, a.width)
        self.blocks = nn.ModuleList(Block(a.width, a.heads) for _ in range(a.layers))
        self.norm = nn.LayerNorm(a.width)
        for weights in self.parameters():
            if weights.ndim == 2:
                nn.init.normal_(weights, std=0.02)
        self.sizes = a

    def start(self, rows, length):
        a = self.sizes
        shape = 2, rows, a.heads, length, a.width // a.heads
        return [torch.zeros(shape) for _ in self.blocks], 0

    def forward(self, tokens, state):
        caches, begin = state
        end = begin + tokens.shape[1]
        x = self.tokens(tokens) + self.positions.weight[begin:end]
        for block, cache in zip(self.blocks, caches, strict=True):
            x = block(x, cache, begin)
        return F.linear(self.norm(x[:, -1]), self.tokens.weight), (caches, end)


class LSTM(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.tokens = nn.Embedding(a.vocab, a.width)
        self.layers = nn.LSTM(a.width, a.width, a.layers, batch_first=True)
        self.output = nn.Linear(a.width, a.vocab)

    def start(self, rows, length):
        return None

    def forward(self, tokens, state):
        x, state = self.layers(self.tokens(tokens), state)
        return self.output(x[:, -1]), state


@torch.inference_mode()
def decode(model, prompts, length, sample):
    state = model.start(len(prompts), prompts.shape[1] + length)
    tokens, found = prompts, []
    for _ in range(length):
        logits, state = model(tokens, state)
        if sample:
            tokens = torch.multinomial(torch.softmax(logits, dim=-1), 1)
        else:
            tokens = logits.argmax(dim=-1, keepdim=True)
        found.append(tokens)
    return torch.cat(found, dim=1)


def main():
    p = argparse.ArgumentParser(description=__doc__)
    for name, value in (SIZES | LENGTHS).items():
        p.add_argument(f"--{name}", type=int, default=value)
    p.add_argument("--lstm", action="store_true")
    p.add_argument("--sample", action="store_true", help="draw; else the most probable token")
    p.add_argument(
        "--no_mkldnn", action="store_true", help="without oneDNN: a faster torch.nn.LSTM"
    )
    a = p.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    torch.backends.mkldnn.enabled = not a.no_mkldnn
    model = (LSTM if a.lstm else GPT)(a).eval()
    prompts = torch.randint(0, a.vocab, (a.batch, a.prompt))
    decode(model, prompts, a.tokens, a.sample)
    times = []
    for _ in range(a.steps):
        begin = time.perf_counter()
        decode(model, prompts, a.tokens, a.sample)
        times.append((time.perf_counter() - begin) / a.tokens)
    median = statistics.median(times)
    print(
        json.dumps(
            {
                "name": f"torch generate {'lstm' if a.lstm else 'gpt'} sample={a.sample} "
                f"mkldnn={not a.no_mkldnn}",
                "ms_per_step": round(1e3 * median, 4),
                "tokens_per_s": round(a.batch / median),
                "steps": a.steps * a.tokens,
                "threads": a.threads,
                "torch": torch.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
