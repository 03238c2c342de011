"""What every way of making batches of a stream is."""

from lmjax.data.batch import Batch
from lmjax.data.streams import TokenStream


class Batching:
    """A way through the stream, made of `(stream, data, seed)`, of `rows` rows of `length`."""

    steps_per_epoch: int  # in which about as many targets are seen as the stream has

    def __init__(self, stream: TokenStream, data, seed: int):
        self.stream, self.rows, self.length = stream, data.batch_size, data.length
        self.seed = seed

    @staticmethod
    def fewest_tokens(data) -> int:
        """How many tokens the stream must have."""
        return 1

    @staticmethod
    def lengths_vary(data) -> bool:
        """Whether a batch may be shorter than another, so that runs are not in step."""
        return False

    @property
    def tokens_per_step(self) -> int:
        """The targets of a batch, on average."""
        return self.rows * self.length

    def batch(self, step: int) -> Batch:
        """The batch of a step, a function of `(seed, step)` alone."""
        raise NotImplementedError

    def distinct_targets(self, steps: int) -> int:
        """How many of the stream's targets are seen at least once in the first `steps`."""
        raise NotImplementedError

    def remarks(self) -> list[str]:
        """What is to be said of the batches before training: what is left out, and padding."""
        return []


class WrappedBatches(Batching):
    """The batches of another way through the stream, each made into another one."""

    def __init__(self, inner: Batching, seed: int):
        self._inner, self.seed = inner, seed
        self.steps_per_epoch = inner.steps_per_epoch

    @property
    def tokens_per_step(self) -> int:
        return self._inner.tokens_per_step

    def distinct_targets(self, steps: int) -> int:
        return self._inner.distinct_targets(steps)

    def remarks(self) -> list[str]:
        return self._inner.remarks()
