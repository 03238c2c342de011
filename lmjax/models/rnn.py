"""Recurrent language models: embedding, a stack of recurrent layers, softmax."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.mixers.contract import Mixer
from lmjax.mixers.recurrent_layer import CELLS
from lmjax.models.contract import Carry, LanguageModel, at_places
from lmjax.models.recurrent_parts import check_layers, recurrent_maker, recurrent_names
from lmjax.nn.dropout import Dropout
from lmjax.nn.embeddings import TokenEmbedding
from lmjax.nn.initializers import symmetric_uniform
from lmjax.nn.options import by_name
from lmjax.nn.output_layers import OutputLayer
from lmjax.nn.output_registry import output_maker
from lmjax.nn.segments import segment_starts


class RecurrentModel(LanguageModel):
    """A stack of recurrent layers, with dropout on all but the recurrent connections.

    Zaremba et al. (2014), section 3: all weights and biases are drawn uniformly, the output weights
    are their own. The carry holds each layer's state, and the segment and position of each row.
    `cell_options` are those of a cell that is a mixer, `output_options` of the output layer. Raises
    UserError for an unknown cell, output or option, sizes or a dropout out of range, a forget bias
    where no gate forgets, or tied weights of different widths.
    """

    cell: str
    cell_options: Mapping[str, Any]
    layers: int
    width: int
    embedding_width: int
    dropout: float
    tied: bool
    output: str
    output_options: Mapping[str, Any]
    initialization: float
    forget_bias: float

    takes_places = True

    def __post_init__(self):
        self.cell_options = by_name("model.cell_options", self.cell_options)
        self.output_options = by_name("model.output_options", self.output_options)
        super().__post_init__()
        sizes = self.layers, self.width, self.dropout, self.forget_bias
        check_layers(self.cell, *sizes, CELLS if self.cell in CELLS else recurrent_names())
        self._make_mixers(symmetric_uniform(0.0), parent=None)
        self._make_output(symmetric_uniform(0.0), parent=None)

    @property
    def output_width(self) -> int:
        """The width of what the output layer reads."""
        return self.width

    def setup(self):
        initializer = symmetric_uniform(self.initialization or self.width**-0.5)
        self.embedding = TokenEmbedding(
            self.vocabulary_size, self.embedding_width or self.width, initializer
        )
        self.mixers = self._make_mixers(initializer)
        self.drop = Dropout(self.dropout)
        self.output_layer = self._make_output(initializer)
        nn.share_scope(self, self.output_layer)

    def _make_output(self, initializer: Initializer, **parent: None) -> OutputLayer:
        make = output_maker(
            self.output,
            self.output_options,
            vocabulary_size=self.vocabulary_size,
            width=self.output_width,
            table_width=(self.embedding_width or self.width) if self.tied else 0,
            initializer=initializer,
            bias=True,
            prefix="output_",
            one_pass=True,
        )
        return make(**parent)

    def _make_mixers(self, initializer: Initializer, **parent: None) -> list[Mixer]:
        mixers, input_width = [], self.embedding_width or self.width
        for index in range(self.layers):
            mixers.append(self._layer_maker(index, input_width, initializer)(**parent))
            input_width = mixers[-1].width
        return mixers

    def _layer_maker(
        self, index: int, input_width: int, initializer: Initializer
    ) -> Callable[..., Mixer]:
        return recurrent_maker(
            self.cell,
            self.cell_options,
            initializer,
            width=self.width,
            input_width=input_width,
            forget_bias=self.forget_bias,
        )

    def initial_carry(self, batch_size: int, max_length: int) -> Carry:
        states = tuple(mixer.initial_carry(batch_size, max_length) for mixer in self.mixers)
        zeros_B = jnp.zeros(batch_size, jnp.int32)
        return {"states": states, "segment_id_B": zeros_B, "position_B": zeros_B}

    def __call__(
        self,
        tokens_BT,
        carry=None,
        *,
        segment_ids_BT=None,
        positions_BT=None,
        places_BP=None,
        deterministic=True,
    ):
        hidden_BTD, carry = self._read(tokens_BT, carry, segment_ids_BT, deterministic)
        hidden_BTD = at_places(hidden_BTD, places_BP)
        return self.output_layer.logits(hidden_BTD, self._table(), deterministic), carry

    def log_probs(
        self,
        tokens_BT,
        targets_BT,
        carry=None,
        *,
        segment_ids_BT=None,
        positions_BT=None,
        deterministic=True,
    ):
        hidden_BTD, carry = self._read(tokens_BT, carry, segment_ids_BT, deterministic)
        given = hidden_BTD, targets_BT, self._table(), deterministic
        return self.output_layer.log_probs(*given), carry

    def hidden_states(
        self,
        tokens_BT,
        carry=None,
        *,
        segment_ids_BT=None,
        positions_BT=None,
        deterministic=True,
    ):
        return self._read(tokens_BT, carry, segment_ids_BT, deterministic)

    def output_log_probs(self, hidden_BTD, targets_BT):
        return self.output_layer.log_probs(hidden_BTD, targets_BT, self._table())

    def _read(self, tokens_BT, carry, segment_ids_BT, deterministic) -> tuple[jax.Array, Carry]:
        """What the output layer reads, and the carry; positions are counted from the carry's."""
        before = self.initial_carry(len(tokens_BT), 0) if carry is None else carry
        segment_id_B, position_B = before["segment_id_B"], before["position_B"]
        positions_BT = position_B[:, None] + jnp.arange(tokens_BT.shape[1])[None, :]
        if segment_ids_BT is not None:
            starts_B = segment_id_B, jnp.zeros_like(position_B)
            positions_BT -= segment_starts(positions_BT, segment_ids_BT, starts_B)
            segment_id_B = segment_ids_BT[:, -1]
        context = positions_BT, segment_ids_BT, deterministic
        x_BTD, states = self._read_layers(tokens_BT, before["states"], *context)
        after = {
            "states": tuple(states),
            "segment_id_B": segment_id_B,
            "position_B": positions_BT[:, -1] + 1,
        }
        return x_BTD, None if carry is None else after

    def _read_layers(
        self, tokens_BT, states, positions_BT, segment_ids_BT, deterministic
    ) -> tuple[jax.Array, list[Carry]]:
        """What the output layer reads, and the layers' states."""
        x_BTD, after = self.embedding(tokens_BT), []
        for mixer, state in zip(self.mixers, states, strict=True):
            x_BTD = self.drop(x_BTD, deterministic=deterministic)
            x_BTD, state = mixer(x_BTD, state, positions_BT, segment_ids_BT, deterministic)
            after.append(state)
        return self.drop(x_BTD, deterministic=deterministic), after

    def _table(self) -> jax.Array | None:
        return self.embedding.table_VD if self.tied else None
