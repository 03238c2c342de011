"""Sources up to the model's longest context are translated, and longer ones are named."""

import jax
import pytest

from lmjax.config import model_config, objective_config
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.errors import UserError
from lmjax.generation.beam import Beam
from lmjax.generation.translate import translate
from lmjax.models.registry import build_model
from lmjax.objectives.registry import make_objective

CONTEXT = 10  # between 8 and 12, to which batches of sources are padded


@pytest.fixture(scope="module")
def translated():
    config, tokenizer = model_config("encoder_decoder"), ByteTokenizer(True)
    config.update(layers=1, width=8, heads=2, context_length=CONTEXT, dropout=0.0)
    model = build_model(config, tokenizer)
    tokens_BT = jax.numpy.zeros((1, 1), int)
    params = model.init(jax.random.key(0), tokens_BT, source_BS=tokens_BT)
    objective = make_objective(objective_config("seq2seq"), tokenizer)

    def of(*sources):
        end_id = tokenizer.end_id
        return translate(model, params, objective, tokenizer, sources, Beam(1), end_id=end_id)

    return of


def test_padding_takes_no_room(translated):
    alone, short = translated("a" * CONTEXT), translated("b")
    together = translated("a" * CONTEXT, "b")
    assert [row[0].tokens for row in together] == [alone[0][0].tokens, short[0][0].tokens]


def test_a_source_that_is_too_long_is_named(translated):
    with pytest.raises(UserError, match="source 2 takes 11 tokens, more than .* 10; shorten it"):
        translated("b", "a" * (CONTEXT + 1))
