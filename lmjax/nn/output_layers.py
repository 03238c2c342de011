"""What every output layer is: from what a model's last layer gives to probabilities of tokens."""

from typing import ClassVar

import flax.linen as nn
import jax
from jax.nn.initializers import Initializer

from lmjax.errors import UserError


class OutputLayer(nn.Module):
    """The log-probability of each token of a vocabulary, given a vector.

    Its kernel is the table of the model's embedding where that has a `table_width`, and given to
    its methods; otherwise its own. A subclass defines `logits` and `log_probs`, and is told what
    the model alone knows by the fields here; those that it adds are its options.
    """

    vocabulary_size: int
    width: int  # of what it reads
    table_width: int  # of the embedding whose table is the kernel; 0: it has a kernel of its own
    bias: bool  # a learned number for each token
    logits_cap: float  # c: logits are c tanh(logits / c); 0: as they are
    initializer: Initializer
    prefix: str  # of its parameters' names
    # The gradient by the logits of all tokens is formed by hand, in one pass over them.
    one_pass: bool

    orders_ids: ClassVar[bool] = False  # whether a more frequent token must have a smaller id

    def logits(
        self,
        hidden_BTD: jax.Array,
        table_VD: jax.Array | None = None,
        deterministic: bool = True,
    ) -> jax.Array:
        """`logits_BTV`, float32, whose softmax the probabilities are."""
        raise NotImplementedError

    def log_probs(
        self,
        hidden_BTD: jax.Array,
        targets_BT: jax.Array,
        table_VD: jax.Array | None = None,
        deterministic: bool = True,
    ) -> jax.Array:
        """`log_probs_BT` of the targets in nats, float32."""
        raise NotImplementedError

    def parameter(self, name: str, axes: tuple[str, ...], shape: tuple[int, ...]) -> jax.Array:
        """A parameter of that name behind the prefix, with the logical names of its axes."""
        initializer = nn.with_logical_partitioning(self.initializer, axes)
        return self.param(self.prefix + name, initializer, shape)


def check_tied(tied: bool, embedding_width: int, output_width: int) -> None:
    """Raises UserError if one table is to be both embedding and output weights, but can't be."""
    if tied and embedding_width != output_width:
        raise UserError(
            f"tied weights need embeddings as wide as what the softmax reads, {output_width}, "
            f"not {embedding_width}; set model.embedding_width={output_width} or "
            "model.tied=False"
        )


def check_chunk(chunk: int) -> None:
    """Raises UserError for a number of tokens that can't be worked on at a time."""
    if chunk < 0:
        raise UserError(f"option 'chunk' of an output layer is {chunk}; give 0, for all, or more")
