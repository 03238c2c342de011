"""Tasks of formal languages: one drawn anew for each row, and brackets of several kinds."""

from dataclasses import dataclass

import numpy as np

from lmjax.data.synthetic.task import Examples, Task
from lmjax.errors import UserError

MOST_COUNTS = 1 << 20  # of a row: contexts x symbols


@dataclass(frozen=True)
class InContextNgram(Task):
    """What followed the last tokens most often, in a language that is another one in each row.

    After each context of `order` - 1 tokens, `successors` symbols may stand, any of them as likely,
    as after each state of the random automata of Akyurek et al. (2024), section 3. To be told is
    the symbol that has followed the context most often in the row so far, as their n-gram heads
    find it; where there is none, or more than one, nothing counts.
    """

    symbols: int = 18
    order: int = 2
    successors: int = 3

    def __post_init__(self):
        super().__post_init__()
        self.at_least("symbols", 2)
        self.at_least("order", 2)
        self.at_least("successors", 1)
        if self.successors > self.symbols or self.symbols**self.order > MOST_COUNTS:
            raise UserError(
                f"data.task_options: {self.successors} successors of {self.symbols} symbols, order "
                f"{self.order}; give at most as many successors as symbols, and fewer than "
                f"{MOST_COUNTS:,} n-grams"
            )

    @property
    def vocabulary_size(self) -> int:
        return self.symbols

    def check(self, longest: int) -> None:
        if longest < self.order + 1:
            raise UserError(f"data.length is {longest}; give more than the order {self.order}")

    def draw(self, generator: np.random.Generator, rows: int, length: int) -> Examples:
        symbols, contexts, each_B = self.symbols, self.symbols ** (self.order - 1), np.arange(rows)
        draws_BCV = generator.random((rows, contexts, symbols))
        allowed_BCN = np.argpartition(draws_BCV, self.successors - 1, axis=2)
        allowed_BCN = allowed_BCN[:, :, : self.successors]
        tokens_BT = generator.integers(symbols, size=(rows, length), dtype=np.int32)
        chosen_BT = generator.integers(self.successors, size=(rows, length))
        targets_BT, counts_BT = np.zeros_like(tokens_BT), np.zeros(tokens_BT.shape, bool)
        seen_BCV = np.zeros((rows, contexts, symbols), np.int32)
        context_B = np.zeros(rows, np.int64)
        for t in range(length):
            if t >= self.order - 1:
                tokens_BT[:, t] = allowed_BCN[each_B, context_B, chosen_BT[:, t]]
                seen_BCV[each_B, context_B, tokens_BT[:, t]] += 1
            context_B = (context_B * symbols + tokens_BT[:, t]) % contexts
            if t >= self.order - 1:
                seen_BV = seen_BCV[each_B, context_B]
                targets_BT[:, t] = seen_BV.argmax(axis=1)
                counts_BT[:, t] = (seen_BV == seen_BV.max(axis=1, keepdims=True)).sum(axis=1) == 1
        return Examples(tokens_BT, targets_BT, counts_BT)


@dataclass(frozen=True)
class Dyck(Task):
    """Which kind of bracket is closed, in a balanced row of `kinds` kinds (Dyck-k).

    0 is read where a bracket closes, and the kind k = 1, 2, ... where one opens; after each 0 the
    kind of the bracket that it closes is to be told. At most `depth` brackets are open at a time
    (the bounded languages of Hewitt et al. 2020).
    """

    kinds: int = 4
    depth: int = 8

    few_places = True

    def __post_init__(self):
        super().__post_init__()
        self.at_least("kinds", 1)
        self.at_least("depth", 1)

    @property
    def vocabulary_size(self) -> int:
        return self.kinds + 1

    def check(self, longest: int) -> None:
        if longest < 2 or longest % 2:
            raise UserError(f"data.length is {longest}; brackets in pairs are an even number")

    def draw(self, generator: np.random.Generator, rows: int, length: int) -> Examples:
        kind_BT = generator.integers(1, self.kinds + 1, (rows, length), np.int32)
        opens_BT = generator.random((rows, length)) < 0.5
        stack_BN = np.zeros((rows, self.depth), np.int32)
        depth_B, each_B = np.zeros(rows, np.int64), np.arange(rows)
        tokens_BT, targets_BT = np.zeros_like(kind_BT), np.zeros_like(kind_BT)
        for t in range(length):
            may_open_B = (depth_B < self.depth) & (depth_B < length - t)
            opens_B = may_open_B & (opens_BT[:, t] | (depth_B == 0))
            tokens_BT[:, t] = np.where(opens_B, kind_BT[:, t], 0)
            targets_BT[:, t] = np.where(opens_B, 0, stack_BN[each_B, depth_B - 1])
            stack_BN[each_B[opens_B], depth_B[opens_B]] = kind_BT[opens_B, t]
            depth_B += np.where(opens_B, 1, -1)
        return Examples(tokens_BT, targets_BT, tokens_BT == 0)
