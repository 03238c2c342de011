"""Recurrent language models with the regularisers of AWD-LSTM and of the variational LSTM."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.errors import UserError, nearest
from lmjax.mixers.contract import Mixer
from lmjax.mixers.recurrent_layer import CELLS
from lmjax.mixers.variational_recurrence import MASKS, VariationalRecurrentLayer
from lmjax.models.recurrent_parts import recurrent_maker
from lmjax.models.rnn import RecurrentModel
from lmjax.nn.dropout import Dropout
from lmjax.nn.embeddings import TokenEmbedding
from lmjax.nn.extras import sow_loss
from lmjax.nn.initializers import symmetric_uniform
from lmjax.nn.options import by_name

RATES = (
    "dropout",
    "input_dropout",
    "layer_dropout",
    "embedding_dropout",
    "weight_dropout",
    "recurrent_dropout",
)
EMBEDDING_MASKS = ("batch", "row")
EMBEDDING_LIMIT = 0.1  # of the uniform draw, as in salesforce/awd-lstm-lm
# Names of the parameters that have weight dropout; `kernel` is all of QRNN's, whose layers have no
# other weights than those of their inputs.
DROPPED_WEIGHTS = ("recurrent_kernel", "kernel")


class AWDRecurrentModel(RecurrentModel):
    """A `RecurrentModel` with dropout of weights, whole words and, by fixed masks, of activations.

    Merity, Keskar and Socher (2018), sections 2 and 4. The last layer is as wide as the embedding
    if that is tied, unless it has a `last_width`. `first_options` are those of the first layer
    beside the `cell_options`. A mask is drawn once for all tokens of a row unless `locked` is
    False. With `recurrent_dropout` or `masks="per_gate"`, dropout is within the layers:
    `input_dropout` or `layer_dropout` of their inputs, as Gal and Ghahramani (2016) have it. While
    it is trained, it sows two auxiliary losses. Raises UserError for rates out of range, unknown
    masks, and masks that a cell has no place for.
    """

    first_options: Mapping[str, Any]
    last_width: int
    input_dropout: float
    layer_dropout: float
    embedding_dropout: float
    embedding_masks: str
    weight_dropout: float
    recurrent_dropout: float
    masks: str
    locked: bool
    activation_penalty: float
    temporal_penalty: float

    def __post_init__(self):
        self.first_options = by_name("model.first_options", self.first_options)
        for name in RATES:
            if not 0 <= getattr(self, name) < 1:
                value = getattr(self, name)
                raise UserError(f"model.{name} is {value}; it is at least 0 and below 1")
        for name, known in (("masks", MASKS), ("embedding_masks", EMBEDDING_MASKS)):
            if (value := getattr(self, name)) not in known:
                raise UserError(f"unknown model.{name} {value!r}: {nearest(value, known)}")
        if self._within_layers and not (self.cell in CELLS and self.locked):
            raise UserError(
                "model.recurrent_dropout and model.masks='per_gate' need model.locked=True and one "
                f"of the cells {', '.join(CELLS)}, not {self.cell!r}; change one of them"
            )
        super().__post_init__()

    @property
    def _within_layers(self) -> bool:
        """Whether a layer has masks of its own."""
        return self.masks == "per_gate" or bool(self.recurrent_dropout)

    @property
    def output_width(self) -> int:
        if self.last_width:
            return self.last_width
        return (self.embedding_width or self.width) if self.tied else self.width

    def setup(self):
        width = self.embedding_width or self.width
        initializer = symmetric_uniform(self.initialization or EMBEDDING_LIMIT)
        self.embedding = TokenEmbedding(self.vocabulary_size, width, initializer)
        self.mixers = self._make_mixers(initializer)
        time = (1,) if self.locked else ()
        self.drop_words = Dropout(self.embedding_dropout, of_model=False)
        self.drop_input = Dropout(self.input_dropout, time, of_model=False)
        self.drop_between = Dropout(self.layer_dropout, time, of_model=False)
        self.drop = Dropout(self.dropout, time)
        self.output_layer = self._make_output(initializer)
        nn.share_scope(self, self.output_layer)

    def _layer_maker(
        self, index: int, input_width: int, initializer: Initializer
    ) -> Callable[..., Mixer]:
        """The layer's weights are drawn by its own width, unless all weights are drawn alike."""
        width = self.output_width if index == self.layers - 1 else self.width
        if not self.initialization:
            initializer = symmetric_uniform(width**-0.5)
        options = self.cell_options if index else {**self.cell_options, **self.first_options}
        given = dict(width=width, input_width=input_width, forget_bias=self.forget_bias)
        make = recurrent_maker(self.cell, options, initializer, **given)
        if not self._within_layers:
            return make
        return partial(
            VariationalRecurrentLayer,
            **make.keywords,
            input_dropout=self.layer_dropout if index else self.input_dropout,
            recurrent_dropout=self.recurrent_dropout,
            masks=self.masks,
        )

    def _read_layers(
        self, tokens_BT, states, positions_BT, segment_ids_BT, deterministic
    ) -> tuple[jax.Array, list[Any]]:
        x_BTD, after = self._embed(tokens_BT, deterministic), []
        for index, (mixer, state) in enumerate(zip(self.mixers, states, strict=True)):
            if not self._within_layers:
                drop = self.drop_between if index else self.drop_input
                x_BTD = drop(x_BTD, deterministic=deterministic)
            context = positions_BT, segment_ids_BT, deterministic
            x_BTD, state = self._mix(mixer, x_BTD, state, *context)
            after.append(state)
        y_BTD = self.drop(x_BTD, deterministic=deterministic)
        if not deterministic:
            self._sow_penalties(x_BTD, y_BTD)
        return y_BTD, after

    def _embed(self, tokens_BT: jax.Array, deterministic: bool) -> jax.Array:
        """`x_BTD`, zeros for words that are dropped: in the whole batch, or in a row of it."""
        rows = len(tokens_BT) if self.embedding_masks == "row" else 1
        kept_BV = self.drop_words(
            jnp.ones((rows, self.vocabulary_size)), deterministic=deterministic
        )
        kept_BV = jnp.broadcast_to(kept_BV, (len(tokens_BT), self.vocabulary_size))
        kept_BT = jnp.take_along_axis(kept_BV, tokens_BT, axis=1, mode="clip")
        return self.embedding(tokens_BT) * kept_BT[..., None]

    def _mix(self, mixer: Mixer, x_BTD, state, *context) -> tuple[jax.Array, Any]:
        """The mixer's, of whose weights some are dropped: of all tokens the same."""
        *_, deterministic = context
        if deterministic or not self.weight_dropout:
            return mixer(x_BTD, state, *context)
        key = self.make_rng("dropout")
        dropped = nn.map_variables(
            lambda mixer, x_BTD, state: mixer(x_BTD, state, *context),
            "params",
            trans_in_fn=partial(_drop_weights, self.weight_dropout, key),
        )
        return dropped(mixer, x_BTD, state)

    def _sow_penalties(self, x_BTD: jax.Array, dropped_BTD: jax.Array) -> None:
        """Activation regularisation, and temporal activation regularisation (section 4.6)."""
        if self.activation_penalty:
            loss = self.activation_penalty * jnp.square(dropped_BTD).mean()
            sow_loss(self, "activation", loss)
        if self.temporal_penalty and x_BTD.shape[1] > 1:
            difference_BTD = x_BTD[:, 1:] - x_BTD[:, :-1]
            loss = self.temporal_penalty * jnp.square(difference_BTD).mean()
            sow_loss(self, "temporal_activation", loss)


def _drop_weights(rate: float, key: jax.Array, variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """The variables of a layer, its DROPPED_WEIGHTS with dropout."""

    def drop(path, leaf):
        if path[-1].key not in DROPPED_WEIGHTS:
            return leaf
        dropout = Dropout(rate, of_model=False, parent=None)
        return dropout.apply({}, leaf, deterministic=False, rngs={"dropout": key})

    return jax.tree_util.tree_map_with_path(drop, variables)
