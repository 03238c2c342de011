"""Continuing prompts with random parameters, beside the programs that people would use instead."""

import time
from dataclasses import dataclass
from types import SimpleNamespace

import flax.linen as nn
import jax
import numpy as np

from lmjax.checks.benchmarks.contract import Case, Result, Turns, in_turns
from lmjax.config import base_config
from lmjax.generation.generate import generate
from lmjax.generation.sampling import Sampler
from lmjax.models.registry import build_model
from lmjax.runs.speed import bytes_per_second


@dataclass(frozen=True)
class Decoding(Case):
    """`batch_size` random prompts, each continued by `tokens`; a step gives each row one."""

    family: str
    vocabulary_size: int
    batch_size: int
    model: dict
    peer_sizes: dict  # what the model is to a peer
    temperature: float = 1.0
    prompt: int = 16  # tokens
    tokens: int = 256

    takes_peers = True

    @property
    def about(self) -> str:
        sizes = ", ".join(f"{name} {value}" for name, value in self.model.items())
        drawn = "greedy" if self.temperature == 0 else "sampled"
        return (
            f"{self.tokens} tokens ({drawn}) after prompts of {self.prompt}, by the {self.family} "
            f"with {sizes}: B {self.batch_size}, V {self.vocabulary_size:,}, float32"
        )

    def measure(self, turns: Turns) -> Result:
        """Our continuation and the peers' in turns; the ceiling is reading the parameters once."""
        config = base_config(self.family)
        config.model.update(self.model)
        tokenizer = SimpleNamespace(vocabulary_size=self.vocabulary_size, end_id=None)
        model = build_model(config.model, tokenizer)
        start = np.zeros((1, 1), np.int32)
        params = nn.meta.unbox(jax.jit(model.init)(jax.random.key(0), start))
        shape = self.batch_size, self.prompt - 1  # generation begins with a token of its own
        prompts = np.random.default_rng(0).integers(0, self.vocabulary_size, shape).tolist()
        sampler = Sampler(temperature=self.temperature)

        def run() -> float:
            begin = time.perf_counter()
            found = generate(
                model, params, prompts, length=self.tokens, sampler=sampler, seed=0, start_id=0
            )
            if any(len(row) != self.tokens for row in found):
                raise RuntimeError("a continuation is too short")
            return 1e3 * (time.perf_counter() - begin) / self.tokens

        first = run() * self.tokens / 1e3
        flags = self.peer_sizes | {"vocab": self.vocabulary_size, "batch": self.batch_size}
        flags |= {"prompt": self.prompt, "tokens": self.tokens}
        flags |= {} if self.temperature == 0 else {"sample": True}
        rows, told = in_turns(run, turns, flags, "step")
        median = rows[0]["ms a step"]
        for row in rows:
            row["tokens a second"] = 1e3 * self.batch_size / row["ms a step"]
        read = sum(leaf.nbytes for leaf in jax.tree.leaves(params))
        if not config.model.tied:  # of a table for the input alone, a row is read
            read -= 4 * self.vocabulary_size * config.model.width
        rate = bytes_per_second()
        ceiling = 1e3 * read / rate
        notes = [
            f"ceiling {ceiling:.2f} ms: a step reads parameters of {read / 1e6:,.0f} MB, at the "
            f"{rate / 1e9:.0f} GB/s of a large sum; reached {ceiling / median:.0%} of it",
            f"first continuation, with compiling: {first:.1f} s",
            *told,
        ]
        return Result(self.name, self.about, rows, notes)


_GPT2 = dict(
    layers=12,
    heads=12,
    width=768,
    context_length=1024,
    position="learned",
    feed_forward="gelu",
    bias=True,
    tied=True,
)
_GPT2_PEER = dict(layers=12, heads=12, width=768, context=1024)
_LSTM = dict(layers=2, width=650)
DECODINGS = tuple(
    Decoding(f"decode_{name}_{rows}", family, vocabulary, rows, model, peer)
    for name, family, vocabulary, model, peer in (
        ("gpt2", "transformer", 50_257, _GPT2, _GPT2_PEER),
        ("lstm", "rnn", 10_000, _LSTM, _LSTM),
    )
    for rows in (1, 16)
)
