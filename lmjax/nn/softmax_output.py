"""The plain softmax over a vocabulary, of all tokens at once or a few at a time."""

import jax
import jax.numpy as jnp

from lmjax.nn.chunked_softmax import chunked_log_probs
from lmjax.nn.dense import product
from lmjax.nn.output_layers import OutputLayer, check_chunk, check_tied
from lmjax.nn.precision import wide_product
from lmjax.nn.softmax import log_probs_and_right, target_log_probs

CHOSEN = -1  # as a chunk: so many tokens as have about LOGITS together, in at most CHUNKS
LOGITS = 1 << 25  # 128 MiB, from which on fewer at a time are faster on CPU
CHUNKS = 32  # over several devices, each sums the gradient of the kernel over them


class Softmax(OutputLayer):
    """Logits are the product with a kernel. Raises UserError for a table of another width."""

    # Tokens whose logits are held at a time, in training and scoring; 0: all, -1: as is CHOSEN.
    chunk: int = CHOSEN

    def __post_init__(self):
        super().__post_init__()
        check_tied(bool(self.table_width), self.table_width, self.width)
        if self.chunk != CHOSEN:
            check_chunk(self.chunk)

    def setup(self):
        self.kernel_DV = self.bias_V = None
        if not self.table_width:
            shape_DV = self.width, self.vocabulary_size
            self.kernel_DV = self.parameter("kernel", ("embed", "vocab"), shape_DV)
        if self.bias:
            self.bias_V = self.parameter("bias", ("vocab",), (self.vocabulary_size,))

    def logits(self, hidden_BTD, table_VD=None, deterministic=True):
        hidden_ND = hidden_BTD.reshape(-1, self.width)
        kernel_DV = self._kernel(table_VD).astype(hidden_ND.dtype)
        # Each forms the gradient of a parameter in the parameter's own layout.
        multiply = product if table_VD is None else wide_product
        logits_NV = multiply(hidden_ND, kernel_DV)
        if self.bias_V is not None:
            logits_NV += self.bias_V[None, :]
        logits_BTV = logits_NV.reshape(*hidden_BTD.shape[:-1], self.vocabulary_size)
        if self.logits_cap:
            logits_BTV = self.logits_cap * jnp.tanh(logits_BTV / self.logits_cap)
        return logits_BTV

    def log_probs(self, hidden_BTD, targets_BT, table_VD=None, deterministic=True):
        kernel_DV = self._kernel(table_VD)
        if chunk := self._chunk(*targets_BT.shape):
            given = hidden_BTD, kernel_DV, self.bias_V, targets_BT
            return chunked_log_probs(*given, self.logits_cap, chunk)
        if self.one_pass:
            hidden_ND = hidden_BTD.reshape(-1, self.width)
            given = hidden_ND, kernel_DV, self.bias_V, targets_BT.reshape(-1)
            return target_log_probs(*given).reshape(targets_BT.shape)
        return log_probs_and_right(self.logits(hidden_BTD, table_VD), targets_BT)[0]

    def _chunk(self, rows: int, length: int) -> int:
        """The tokens whose logits are held at a time; 0: all."""
        if self.chunk != CHOSEN:
            return self.chunk
        most = LOGITS // self.vocabulary_size
        return 0 if rows * length <= most else max(most, rows * -(-length // CHUNKS))

    def _kernel(self, table_VD: jax.Array | None) -> jax.Array:
        return self.kernel_DV if table_VD is None else table_VD.T
