"""The splits of a generated task, and batches of them."""

import functools
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from lmjax.data.batch import CACHED_EPOCHS, Batch, Draw, ceil_divide
from lmjax.data.batching import Batching
from lmjax.data.cache import key_of
from lmjax.data.context import ContextPolicy
from lmjax.data.document_batches import bucket_length
from lmjax.data.documents import SPLITS
from lmjax.data.id_tokenizer import IdTokenizer
from lmjax.data.streams import Counts, Segments, TokenStream
from lmjax.data.synthetic.registry import make_task
from lmjax.data.synthetic.task import Examples, Task
from lmjax.errors import UserError

PREPARATION = 1  # raise it when a change of the code changes what is drawn
EPOCH = 100_000  # examples, where none is seen again
BATCHING = "examples"


@dataclass(frozen=True)
class ExampleStream(TokenStream):
    """The answers of a split, example by example; the segments are its lengths, shortest first."""

    task: Task | None = None
    longest: int = 0  # data.length
    lengths_G: tuple[int, ...] = ()
    examples_G: tuple[Examples, ...] = ()

    @property
    def segment_columns(self) -> dict[str, list]:
        return {"length": list(self.lengths_G)}


@functools.lru_cache(maxsize=8)
def example_splits(task: Task, longest: int) -> dict[str, ExampleStream]:
    """Train (a sample of what is trained on), validation and test; always the same ones."""
    return {split: _split(task, longest, split) for split in SPLITS}


def _split(task: Task, longest: int, split: str) -> ExampleStream:
    lengths_G = task.test_lengths(longest) if split == "test" else task.train_lengths(longest)
    shares_G = np.diff(np.linspace(0, task.evaluation_examples, len(lengths_G) + 1).astype(int))
    lengths_G, shares_G = lengths_G[shares_G > 0], shares_G[shares_G > 0]
    examples_G = tuple(
        task.draw(_generator(0, Draw.HELD_OUT, SPLITS.index(split), length), rows, length)
        for length, rows in zip(lengths_G.tolist(), shares_G.tolist(), strict=True)
    )
    answers_GN = [examples.answers_N for examples in examples_G]
    counted_GB = [examples.counts_BT.sum(axis=1) for examples in examples_G]
    tokens_N = np.concatenate(answers_GN)
    if not len(tokens_N):
        raise UserError(
            f"no place counts in any of {task.evaluation_examples} examples; raise data.length"
        )
    ends_M = np.cumsum(np.concatenate(counted_GB))
    starts_G = np.cumsum([0, *map(len, answers_GN[:-1])])
    named = [PREPARATION, type(task).__name__, asdict(task), longest, split]
    counts = Counts(tokens=len(tokens_N), documents=len(ends_M), segments=len(starts_G))
    return ExampleStream(
        tokens_N=tokens_N,
        document_starts_M=np.concatenate([[0], ends_M[:-1]]),
        counts=counts,
        fingerprint=f"{key_of(named)}-{key_of(task.vocabulary_size)}",
        start_id=0,
        segments=Segments(starts_G, *np.zeros((2, len(starts_G)), np.int64)),
        task=task,
        longest=longest,
        lengths_G=tuple(lengths_G.tolist()),
        examples_G=examples_G,
    )


def open_task(data) -> tuple[IdTokenizer, dict[str, ExampleStream]]:
    """The tokenizer and splits of the task that `config.data` names.

    Raises UserError for fields that are for texts, and as `make_task`.
    """
    if data.tokenizer != "ids" or data.batching != BATCHING:
        raise UserError(
            f"a generated task has data.tokenizer 'ids' and data.batching {BATCHING!r}, not "
            f"{data.tokenizer!r} and {data.batching!r}; set them, and objective.name to 'answers'"
        )
    for field, unset in (
        ("cleaning", ()),
        ("train_share", 1),
        ("folds", 0),
        ("special_tokens", ()),
        ("augmentation", ()),
        ("paraphrases", ""),
    ):
        if data[field] != unset:
            raise UserError(
                f"data.{field} is for texts, and a generated task is none; leave it out"
            )
    task = make_task(data)
    return IdTokenizer(task.vocabulary_size), example_splits(task, data.length)


class ExampleBatches(Batching):
    """Examples that are drawn as they are needed, those of a batch of one length.

    No batch is seen twice, unless `data.examples` says how many are drawn in all: then batches of
    so many come in a new order each epoch. Rows are padded to one of few lengths.
    """

    def __init__(self, stream: TokenStream, data, seed: int):
        super().__init__(stream, data, seed)
        if not isinstance(stream, ExampleStream):
            raise UserError(
                f"data.batching {BATCHING!r} is for generated tasks; set data.corpus='synthetic' "
                "and data.task"
            )
        self._task, self._lengths_G = stream.task, stream.task.train_lengths(data.length)
        self._repeats = data.examples > 0
        self.steps_per_epoch = ceil_divide(data.examples or EPOCH, self.rows)
        self._order = functools.lru_cache(CACHED_EPOCHS)(self._draw_order)

    @staticmethod
    def lengths_vary(data) -> bool:
        return True

    @property
    def tokens_per_step(self) -> int:
        """Tokens that are read, without padding."""
        lengths = [self._task.row_length(int(length)) for length in self._lengths_G]
        return max(1, round(self.rows * sum(lengths) / len(lengths)))

    def batch(self, step: int) -> Batch:
        if self._repeats:
            epoch, place = divmod(step, self.steps_per_epoch)
            step = int(self._order(epoch)[place])
        generator = _generator(self.seed, Draw.EXAMPLES, step)
        length = int(generator.choice(self._lengths_G))
        return drawn_batch(self._task, generator, self.rows, length, self.length)

    def distinct_targets(self, steps: int) -> int:
        distinct = min(steps, self.steps_per_epoch) if self._repeats else steps
        return distinct * self.tokens_per_step

    def _draw_order(self, epoch: int) -> np.ndarray:
        generator = _generator(self.seed, Draw.EXAMPLE_ORDER, epoch)
        return generator.permutation(self.steps_per_epoch)


def example_batches(
    stream: ExampleStream, policy: ContextPolicy, batch_size: int
) -> Iterator[tuple[Batch, np.ndarray]]:
    """Batches in which each answer has weight 1 once, and `places_BT` of all in the stream.

    Raises UserError for a context that reads on from example to example, or is too short.
    """
    if policy.kind != "documents":
        raise UserError(
            f"examples are read alone, and evaluation.context is {policy.kind!r}; set it to "
            "'documents'"
        )
    task, longest = stream.task, stream.lengths_G[-1]
    if task.row_length(longest) > policy.longest:
        raise UserError(
            f"an example of length {longest} is read in {task.row_length(longest)} tokens, and the "
            f"model takes in {policy.longest} at most; give it a longer context"
        )
    by_width: dict[int, list[Examples]] = {}
    for length, examples in zip(stream.lengths_G, stream.examples_G, strict=True):
        by_width.setdefault(padded_length(task, length, longest), []).append(examples)
    begin = 0
    for width, group in by_width.items():
        whole, places_BT = _batch(task, group, sum(len(e.tokens_BT) for e in group), width)
        places_BT += begin
        begin += int(whole.weights_BT.sum())
        for first in range(0, len(places_BT), batch_size):
            yield _part(whole, first, batch_size), _rows(places_BT, first, batch_size)


def drawn_batch(
    task: Task, generator: np.random.Generator, rows: int, length: int, longest: int
) -> Batch:
    """Examples of a length, in rows as they are padded where the longest are of another one."""
    examples = task.draw(generator, rows, length)
    return _batch(task, [examples], rows, padded_length(task, length, longest))[0]


def padded_length(task: Task, length: int, longest: int) -> int:
    """The tokens of a row, of examples of that length."""
    return min(bucket_length(task.row_length(length)), task.row_length(longest))


def _batch(task: Task, group: list[Examples], rows: int, width: int) -> tuple[Batch, np.ndarray]:
    """The batch of all rows, and `places_BT` of what counts among what counts in it."""
    tokens_BT, targets_BT, counts_BT = (
        np.concatenate([_padded(getattr(examples, name), width) for examples in group])
        for name in ("tokens_BT", "targets_BT", "counts_BT")
    )
    places_BP = None
    if task.few_places:
        count = int(counts_BT.sum(axis=1).max())
        places_BP = np.argsort(~counts_BT, axis=1, kind="stable")[:, :count].astype(np.int32)
    batch = Batch(
        tokens_BT=tokens_BT,
        targets_BT=targets_BT,
        weights_BT=counts_BT.astype(np.float32),
        segment_ids_BT=None,
        positions_BT=None,
        continues_B=np.zeros(rows, bool),
        places_BP=places_BP,
    )
    return batch, np.cumsum(counts_BT).reshape(counts_BT.shape) - 1


def _padded(array_BT: np.ndarray, width: int) -> np.ndarray:
    return np.pad(array_BT, ((0, 0), (0, width - array_BT.shape[1])))


def _part(batch: Batch, first: int, rows: int) -> Batch:
    parts = {
        name: _rows(array, first, rows) for name, array in vars(batch).items() if array is not None
    }
    return batch.replace(**parts)


def _rows(array: np.ndarray, first: int, rows: int) -> np.ndarray:
    """Rows from `first` on, and zeros where there are no more."""
    found = array[first : first + rows]
    return np.pad(found, [(0, rows - len(found)), *[(0, 0)] * (array.ndim - 1)])


def _generator(seed: int, draw: Draw, *numbers: int) -> np.random.Generator:
    return np.random.default_rng((seed, draw, *numbers))
