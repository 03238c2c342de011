"""Recurrent encoder-decoders, with or without attention over the source."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.errors import UserError, nearest
from lmjax.mixers.recurrence import State
from lmjax.mixers.recurrent_layer import find_cell
from lmjax.mixers.source_attention import SCORES
from lmjax.models.conditional import ConditionalModel, or_empty
from lmjax.models.contract import Carry
from lmjax.models.recurrent_decoder import LUONG, RecurrentDecoder
from lmjax.models.recurrent_encoder import RecurrentEncoder
from lmjax.models.recurrent_parts import check_layers
from lmjax.nn.dense import Dense
from lmjax.nn.dropout import Dropout
from lmjax.nn.embeddings import TokenEmbedding
from lmjax.nn.initializers import symmetric_uniform
from lmjax.nn.options import by_name
from lmjax.nn.output_layers import OutputLayer
from lmjax.nn.output_registry import output_maker

CHOICES = {
    "bridge": ("copy", "dense"),
    "context": ("initial", "every_step"),
    "attention": ("none", *SCORES),
}


class Seq2SeqModel(ConditionalModel):
    """An encoder of the source whose last states, over a bridge, are the decoder's first ones.

    Sutskever et al. (2014), Cho et al. (2014), Bahdanau et al. (2015), Luong et al. (2015); which
    of them, the fields say. The softmax reads the decoder's output, and beside it, where there is
    one, the context of this step and the embedding of the token before; with a `readout_width`,
    over a layer of that many maxima of two (Bahdanau et al. 2015, appendix A.2.2). Dropout is on
    embeddings and between layers. All parameters are drawn uniformly, but for the biases of bridge
    and readout, which are zeros at first. The carry holds the states, and what is attended to.
    Raises UserError for a value that is unknown or out of range, or has no effect beside others.
    """

    cell: str
    layers: int
    width: int
    embedding_width: int
    bidirectional: bool
    reverse_source: bool
    bridge: str
    context: str
    attention: str
    input_feeding: bool
    readout_width: int
    dropout: float
    tied: bool
    output: str
    output_options: Mapping[str, Any]
    initialization: float
    forget_bias: float

    def __post_init__(self):
        self.output_options = by_name("model.output_options", self.output_options)
        super().__post_init__()
        check_layers(self.cell, self.layers, self.width, self.dropout, self.forget_bias)
        for field, choices in CHOICES.items():
            if getattr(self, field) not in choices:
                hint = nearest(getattr(self, field), choices)
                raise UserError(f"unknown model.{field} {getattr(self, field)!r}: {hint}")
        for wrong, message in (
            (
                self.bidirectional and self.bridge == "copy",
                "the states of two directions can't be copied into those of one; set "
                "model.bridge=dense or model.bidirectional=False",
            ),
            (
                self.bidirectional and self.reverse_source,
                "a bidirectional encoder reads the source in reverse already; set "
                "model.reverse_source=False",
            ),
            (
                self.bidirectional and self.attention == "dot",
                "the dot product of a state with those of two directions is not defined; set "
                "model.attention=general or model.bidirectional=False",
            ),
            (
                self.attention != "none" and self.context == "every_step",
                "attention gives a context of its own at every step; set model.context=initial or "
                "model.attention=none",
            ),
            (
                self.input_feeding and self.attention not in LUONG,
                f"model.input_feeding feeds the output of attention {', '.join(LUONG)}, not of "
                f"{self.attention!r}; set it to False",
            ),
            (
                self.tied and self._has_context and not self.readout_width,
                "tied weights need a readout as wide as the embeddings; set model.readout_width="
                f"{self._embedding_width} or model.tied=False",
            ),
            (
                self.readout_width < 0,
                f"model.readout_width is {self.readout_width}; it is 0, for none, or above",
            ),
            (
                self.readout_width and self.attention in LUONG,
                f"attention {self.attention!r} has a readout as wide as the decoder; set "
                "model.readout_width=0",
            ),
        ):
            if wrong:
                raise UserError(message)
        self._make_output(parent=None)

    @property
    def _embedding_width(self) -> int:
        return self.embedding_width or self.width

    @property
    def _encoded_width(self) -> int:
        return self.width * (2 if self.bidirectional else 1)

    @property
    def _has_context(self) -> bool:
        """Whether the softmax reads a context and an embedding beside the decoder's output."""
        return self.context == "every_step" or self.attention == "additive"

    @property
    def _output_width(self) -> int:
        if self.readout_width or not self._has_context:
            return self.readout_width or self.width
        return self.width + self._encoded_width + self._embedding_width

    def setup(self):
        initializer = symmetric_uniform(self.initialization or self.width**-0.5)
        shared = dict(
            cell=self.cell,
            layers=self.layers,
            width=self.width,
            dropout=self.dropout,
            initializer=initializer,
            forget_bias=self.forget_bias,
        )
        self.source_embedding = TokenEmbedding(
            self.source_vocabulary_size, self._embedding_width, initializer
        )
        self.embedding = TokenEmbedding(self.vocabulary_size, self._embedding_width, initializer)
        self.encoder = RecurrentEncoder(
            bidirectional=self.bidirectional, reverse=self.reverse_source, **shared
        )
        self.decoder = RecurrentDecoder(
            encoded_width=self._encoded_width,
            attention=self.attention,
            input_feeding=self.input_feeding,
            **shared,
        )
        self.drop = Dropout(self.dropout)
        if self.bridge == "dense":
            axes = ("embed", "hidden")
            self.bridges = [
                Dense(self.width, axes, bias=True, initializer=initializer)
                for _ in range(self.layers * find_cell(self.cell).states)
            ]
        if self.readout_width:
            self.readout = Dense(
                2 * self.readout_width, ("embed", "hidden"), bias=True, initializer=initializer
            )
        self.output_layer = self._make_output()
        nn.share_scope(self, self.output_layer)

    def _make_output(self, **parent: None) -> OutputLayer:
        make = output_maker(
            self.output,
            self.output_options,
            vocabulary_size=self.vocabulary_size,
            width=self._output_width,
            table_width=self._embedding_width if self.tied else 0,
            initializer=symmetric_uniform(self.initialization or self.width**-0.5),
            bias=True,
            prefix="output_",
            one_pass=True,
        )
        return make(**parent)

    def initial_carry(self, batch_size, max_length, *, source_BS=None, source_weights_BS=None):
        return self._read_source(batch_size, source_BS, source_weights_BS, deterministic=True)

    def __call__(
        self,
        tokens_BT,
        carry=None,
        *,
        source_BS=None,
        source_weights_BS=None,
        deterministic=True,
    ):
        source = source_BS, source_weights_BS
        hidden_BTD, carry, _ = self._read(tokens_BT, carry, *source, deterministic)
        return self.output_layer.logits(hidden_BTD, self._table(), deterministic), carry

    def log_probs(
        self,
        tokens_BT,
        targets_BT,
        carry=None,
        *,
        source_BS=None,
        source_weights_BS=None,
        deterministic=True,
    ):
        source = source_BS, source_weights_BS
        hidden_BTD, carry, _ = self._read(tokens_BT, carry, *source, deterministic)
        given = hidden_BTD, targets_BT, self._table(), deterministic
        return self.output_layer.log_probs(*given), carry

    def alignments(self, tokens_BT, *, source_BS, source_weights_BS=None):
        if self.attention == "none":
            return super().alignments(tokens_BT)
        return self._read(tokens_BT, None, source_BS, source_weights_BS, deterministic=True)[2]

    def _read_source(self, batch_size, source_BS, source_weights_BS, deterministic) -> Carry:
        source_BS, source_weights_BS = or_empty(batch_size, source_BS, source_weights_BS)
        visible_BS = source_weights_BS > 0
        x_BSE = self.drop(self.source_embedding(source_BS), deterministic=deterministic)
        encoded_BSE, states = self.encoder(x_BSE, visible_BS, deterministic)
        return {
            "decoder": self.decoder.initial_state(self._over_bridge(states)),
            "memory": self.decoder.remember(encoded_BSE, visible_BS),
            "summary_BE": states[-1][0] if self.context == "every_step" else None,
        }

    def _over_bridge(self, states: tuple[State, ...]) -> tuple[State, ...]:
        if self.bridge == "copy":
            return states
        leaves, structure = jax.tree.flatten(states)
        return structure.unflatten(
            [jnp.tanh(bridge(x_BE)) for bridge, x_BE in zip(self.bridges, leaves, strict=True)]
        )

    def _read(
        self, tokens_BT, carry, source_BS, source_weights_BS, deterministic
    ) -> tuple[jax.Array, Carry, jax.Array | None]:
        """What the output layer reads, the carry, and the weights of the attention."""
        rows, length = tokens_BT.shape
        before = carry
        if carry is None:
            before = self._read_source(rows, source_BS, source_weights_BS, deterministic)
        x_BTE = self.drop(self.embedding(tokens_BT), deterministic=deterministic)
        summary_BE = before["summary_BE"]
        y_BTD, context_BTE, weights_BTS, state = self.decoder(
            x_BTE, before["decoder"], before["memory"], summary_BE, deterministic
        )
        if summary_BE is not None:
            shape_BTE = rows, length, self._encoded_width
            context_BTE = jnp.broadcast_to(summary_BE[:, None], shape_BTE)
        if self._has_context:
            y_BTD = jnp.concatenate([y_BTD, context_BTE, x_BTE], axis=-1)
        hidden_ND = y_BTD.reshape(rows * length, -1)
        if self.readout_width:
            hidden_ND = self.readout(hidden_ND).reshape(-1, self.readout_width, 2).max(axis=-1)
        hidden_BTD = hidden_ND.reshape(rows, length, -1)
        return hidden_BTD, None if carry is None else {**before, "decoder": state}, weights_BTS

    def _table(self) -> jax.Array | None:
        return self.embedding.table_VD if self.tied else None
