"""Settings of T5 and Marian to our fields and back, and what of either side the other lacks."""

import pytest

from lmjax.config import model_config
from lmjax.errors import UserError
from lmjax.interop import gpt2, marian, t5
from lmjax.interop.settings import Settings
from lmjax.model_defaults import ENCODER_DECODERS

# As google-t5/t5-small, google/t5-v1_1-small and Helsinki-NLP's models state them.
T5 = dict(d_ff=2048, d_kv=64, d_model=512, num_heads=8, num_layers=6, n_positions=512)
T5_1_1 = dict(d_ff=1024, d_kv=64, d_model=512, num_heads=6, num_layers=8, num_decoder_layers=8)
T5_1_1 |= dict(feed_forward_proj="gated-gelu", tie_word_embeddings=False)
MARIAN = dict(
    d_model=512,
    encoder_layers=6,
    decoder_layers=6,
    encoder_attention_heads=8,
    decoder_attention_heads=8,
    encoder_ffn_dim=2048,
    decoder_ffn_dim=2048,
    max_position_embeddings=512,
    activation_function="swish",
    scale_embedding=True,
)


def model(**fields):
    config = model_config("encoder_decoder")
    config.update(fields)
    return config


@pytest.mark.parametrize(
    ("convention", "fields"),
    [(t5, T5), (t5, T5_1_1), (marian, MARIAN)],
    ids=["t5", "t5_v1_1", "marian"],
)
def test_there_and_back_is_the_same(convention, fields):
    ours = model(**convention.to_model(Settings(fields, "config.json")))
    again = Settings(convention.to_settings(ours, 50), "config.json")
    assert convention.to_model(again).items() <= ours.to_dict().items()
    assert set(again.unread) <= {"vocab_size", "attention_dropout"}


def test_each_t5_is_its_form_of_ours():
    for fields, name in ((T5, "t5"), (T5_1_1, "t5_v1_1")):
        found = t5.to_model(Settings(fields, "config.json"))
        assert ENCODER_DECODERS[name].items() <= found.items()


@pytest.mark.parametrize(
    ("convention", "fields", "told"),
    [
        (t5, T5 | {"feed_forward_proj": "gated-silu"}, "feed_forward_proj 'gated-silu' is none"),
        (t5, T5 | {"is_encoder_decoder": False}, "is_encoder_decoder is 'False'"),
        (t5, T5 | {"d_kv": None}, "'d_kv' should be"),
        (marian, MARIAN | {"decoder_ffn_dim": 8}, "encoder_ffn_dim 2048, decoder_ffn_dim 8"),
        (marian, MARIAN | {"activation_function": "tanh"}, "activation_function 'tanh' is none"),
    ],
)
def test_what_we_lack_is_refused_by_name(convention, fields, told):
    with pytest.raises(UserError, match=told):
        convention.to_model(Settings(fields, "config.json"))


@pytest.mark.parametrize(
    ("convention", "fields", "told"),
    [
        (t5, {}, "model.norm is 'layer_norm', and a T5 has 'rms_norm'"),
        (t5, {**ENCODER_DECODERS["t5"], "scaled_logits": False}, "model.scaled_logits is False"),
        (t5, {**ENCODER_DECODERS["t5"], "feed_forward": "gelu"}, "has 'relu' or 'gated_gelu'"),
        (marian, {"norm_order": "pre", "logits_bias": True}, "model.norm_order is 'pre'"),
        (marian, {"logits_bias": True, "feed_forward": "gated_gelu"}, "is 'gated_gelu', and a"),
    ],
)
def test_a_model_that_is_none_of_theirs_is_not_exported(convention, fields, told):
    with pytest.raises(UserError, match=told):
        convention.to_settings(model(**fields), 50)


def test_a_feed_forward_network_that_gpt2_lacks_is_not_exported_as_one():
    config = model_config("transformer")
    config.update(bias=True, feed_forward="relu")
    with pytest.raises(UserError, match="model.feed_forward is 'relu', and a GPT-2 has 'gelu'"):
        gpt2.to_settings(config, 50)
