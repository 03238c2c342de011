"""What models share that are a head on a backbone: any family whose vectors of tokens they read."""

from collections.abc import Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp

from lmjax.data.batch import PADDING
from lmjax.errors import UserError
from lmjax.models.conditional import ConditionalModel, or_empty
from lmjax.models.contract import LanguageModel


@flax.struct.dataclass
class Encoded:
    """A source, as the backbone reads it."""

    hidden_BSD: jax.Array
    part_BS: jax.Array  # int32: 0 for tokens of the first text, 1 of the second, else PADDING

    def of_part(self, part: int) -> jax.Array:
        """`is_of_text_BS`: the places of one of both texts."""
        return self.part_BS == part

    @property
    def is_token_BS(self) -> jax.Array:
        """Where there is a token."""
        return self.part_BS != PADDING


class OnBackbone(ConditionalModel):
    """A model that predicts from the vectors which `backbone` gives of the tokens of a source.

    The backbone is of the source's vocabulary; of its parameters those alone are made that its
    vectors depend on. Where the tokenizer of the source has a class token, it is read before the
    source. The separator ends the first text of a pair. Raises UserError for a backbone that has
    no vectors of a source's tokens.
    """

    backbone: LanguageModel
    class_id: int | None
    separator_id: int | None

    @staticmethod
    def derived_fields(tokenizer: Any) -> dict[str, Any]:
        return {
            **ConditionalModel.derived_fields(tokenizer),
            "class_id": tokenizer.source.special_id("class"),
            "separator_id": tokenizer.source.special_id("separator"),
        }

    def __post_init__(self):
        super().__post_init__()
        if self.backbone.is_counted or self.backbone.reads == "source":
            raise UserError(
                "model.backbone gives no vectors of the tokens of a source; take a family that "
                "does, such as bert, rnn or transformer"
            )
        if self.backbone.reads == "each_side" and self.class_id is None:
            raise UserError(
                "model.backbone tells each place from the others alone, so that a source of one "
                "token would not be read; set data.special_tokens=('class',) for one before it"
            )

    @property
    def added_tokens(self) -> int:
        """How many are read beside those of a source."""
        return int(self.class_id is not None)

    @property
    def longest_context(self) -> int | None:
        """The most tokens of a source."""
        longest = self.backbone.longest_context
        return None if longest is None else longest - self.added_tokens

    @property
    def active_shares(self) -> Mapping[str, float]:
        return self.backbone.active_shares

    def encode(
        self,
        rows: int,
        source_BS: jax.Array | None,
        source_weights_BS: jax.Array | None,
        deterministic: bool,
        apart: bool = False,
    ) -> Encoded:
        """The sources of so many rows; the texts of a pair are read together, or each `apart`.

        Together, a backbone that tells texts apart is told which is which; apart, each stands
        behind a class token. Raises UserError for rows that are longer than it reads.
        """
        source_BS, weights_BS = or_empty(rows, source_BS, source_weights_BS)
        length, longest = source_BS.shape[1], self.longest_context
        if longest is not None and length > longest:
            raise UserError(
                f"{length} tokens of a source are more than {longest}, which the backbone reads at "
                "most; raise model.backbone.context_length or lower data.source_length"
            )
        tokens_BS, part_BS = read_rows(
            source_BS, weights_BS > 0, self.class_id, self.separator_id, apart
        )
        context = {}
        segment_BS = part_BS if apart else jnp.where(part_BS == PADDING, PADDING, 0)
        if self.backbone.takes_token_types and not apart:
            context["token_types_BT"] = jnp.clip(part_BS, 0, self.backbone.token_types - 1)
        hidden_BSD = self.backbone.hidden_BTD(
            tokens_BS, segment_ids_BT=segment_BS, deterministic=deterministic, **context
        )
        return Encoded(hidden_BSD, part_BS)


def read_rows(
    source_BS: jax.Array,
    is_token_BS: jax.Array,
    class_id: int | None,
    separator_id: int | None,
    apart: bool,
) -> tuple[jax.Array, jax.Array]:
    """`tokens_BS, part_BS` of what is read of sources: a class token, if there is one, is before.

    It is before the second text of a pair as well if that is read `apart`. The separator that ends
    the first text is of it; all that stands behind is of the second.
    """
    part_BS = jnp.zeros_like(source_BS)
    if separator_id is not None:
        ends_BS = (source_BS == separator_id) & is_token_BS
        part_BS = jnp.minimum(jnp.cumsum(ends_BS, axis=1) - ends_BS, 1).astype(jnp.int32)
    part_BS = jnp.where(is_token_BS, part_BS, PADDING)
    if class_id is None:
        return source_BS, part_BS
    first, second = ((0, 0), (1, 0)), ((0, 0), (2, 0))
    tokens_BS = jnp.pad(source_BS, first, constant_values=class_id)
    shifted_BS = jnp.pad(part_BS, first, constant_values=0)
    if not apart:
        return tokens_BS, shifted_BS
    # Tokens of the second text stand two places further on, behind two class tokens.
    more = ((0, 0), (0, 1))
    begins_B = jnp.where((part_BS == 1).any(axis=1), (part_BS == 0).sum(axis=1) + 1, -1)
    places_S = jnp.arange(source_BS.shape[1] + 2)
    is_class_BS = places_S[None] == begins_B[:, None]
    is_behind_BS = (places_S[None] > begins_B[:, None]) & (begins_B[:, None] >= 0)
    tokens_BS = jnp.where(
        is_behind_BS, jnp.pad(source_BS, second), jnp.pad(tokens_BS, more, constant_values=0)
    )
    part_BS = jnp.where(
        is_behind_BS,
        jnp.pad(part_BS, second, constant_values=PADDING),
        jnp.pad(shifted_BS, more, constant_values=PADDING),
    )
    return jnp.where(is_class_BS, class_id, tokens_BS), jnp.where(is_class_BS, 1, part_BS)
