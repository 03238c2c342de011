"""A training step of a GPT-2-style decoder in PyTorch: nanoGPT's architecture and its AdamW.

python torch_gpt.py --layers=4 --heads=4 --width=128 --time=64 --batch=12 --vocab=65 --compile
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x):
        rows, length, width = x.shape
        q, k, v = (
            part.view(rows, length, self.heads, -1).transpose(1, 2)
            for part in self.qkv(self.norm1(x)).split(width, 2)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(y.transpose(1, 2).reshape(rows, length, width))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, given):
        super().__init__()
        self.tokens = nn.Embedding(given.vocab, given.width)
        self.positions = nn.Embedding(given.time, given.width)
        blocks = (Block(given.width, given.heads) for _ in range(given.layers))
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(given.width, bias=False)
        self.head = nn.Linear(given.width, given.vocab, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens, targets):
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.tokens(tokens) + self.positions(places)
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        return F.cross_entropy(logits.flatten(0, 1).float(), targets.flatten())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = dict(layers=4, heads=4, width=128, time=64, batch=12, vocab=65, steps=40, threads=2)
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--bf16", action="store_true", help="autocast to bfloat16")
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(given.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = GPT(given).to(device)
    loss_of = torch.compile(model) if given.compile else model
    settings = dict(lr=1e-3, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    optimizer = torch.optim.AdamW(model.parameters(), **settings)
    data = torch.randint(0, given.vocab, (given.batch, given.time + 1), device=device)

    def step():
        with torch.autocast(device, dtype=torch.bfloat16, enabled=given.bf16):
            loss = loss_of(data[:, :-1], data[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()

    times = []
    for number in range(10 + given.steps):
        start = time.perf_counter()
        step()
        if number >= 10:
            times.append(1e3 * (time.perf_counter() - start))
    about = {
        "torch": torch.__version__,
        "device": device,
        "compile": given.compile,
        "bf16": given.bf16,
        "threads": torch.get_num_threads(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    print(json.dumps({**about, "ms_per_step": statistics.median(times), "steps": given.steps}))


if __name__ == "__main__":
    main()
