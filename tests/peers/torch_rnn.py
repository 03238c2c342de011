"""A training step of a stacked recurrent language model in PyTorch: SGD, clipping, carried state.

python torch_rnn.py --cell=gru --layers=2 --width=200 --time=20 --batch=20 --vocab=10000
"""

import argparse
import json
import statistics
import time

import torch
import torch.nn.functional as F
from torch import nn


class Model(nn.Module):
    def __init__(self, cell, layers, width, vocab, dropout):
        super().__init__()
        self.tokens = nn.Embedding(vocab, width)
        self.rnn = getattr(nn, cell.upper())(width, width, layers, dropout=dropout)
        self.head = nn.Linear(width, vocab)
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens, targets, carry):
        y, carry = self.rnn(self.drop(self.tokens(tokens)), carry)
        logits = self.head(self.drop(y))
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten()), carry


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = dict(layers=2, width=200, time=20, batch=20, vocab=10000, steps=40, threads=2)
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--cell", choices=("lstm", "gru"), default="lstm")
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--no_mkldnn", action="store_true", help="without oneDNN")
    given = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(given.threads)
    torch.backends.mkldnn.enabled = not given.no_mkldnn
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = Model(given.cell, given.layers, given.width, given.vocab, given.dropout).to(device)
    loss_of = torch.compile(model) if given.compile else model
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0, fused=True)
    data = torch.randint(0, given.vocab, (given.time + 1, given.batch), device=device)
    zeros = torch.zeros(given.layers, given.batch, given.width, device=device)
    carry = (zeros, zeros) if given.cell == "lstm" else zeros

    def step(carry):
        loss, carry = loss_of(data[:-1], data[1:], carry)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        loss.item()
        return tuple(c.detach() for c in carry) if given.cell == "lstm" else carry.detach()

    times = []
    for number in range(5 + given.steps):
        start = time.perf_counter()
        carry = step(carry)
        if number >= 5:
            times.append(1e3 * (time.perf_counter() - start))
    about = {
        "torch": torch.__version__,
        "device": device,
        "cell": given.cell,
        "compile": given.compile,
        "mkldnn": not given.no_mkldnn,
        "threads": torch.get_num_threads(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }
    print(json.dumps({**about, "ms_per_step": statistics.median(times), "steps": given.steps}))


if __name__ == "__main__":
    main()
