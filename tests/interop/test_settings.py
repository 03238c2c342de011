import pytest

from lmjax.config import model_config
from lmjax.errors import UserError
from lmjax.interop.gpt2 import FIXED, to_model, to_settings
from lmjax.interop.settings import Settings

GPT2 = {"model_type": "gpt2", "n_layer": 2, "n_embd": 8, "n_head": 2}


def model(**fields):
    config = model_config("transformer")
    config.update({**FIXED, **fields})
    return config


def test_what_is_missing_is_as_theirs_by_default():
    found = to_model(Settings(GPT2, "config.json"))
    assert found == {
        **FIXED,
        **{"layers": 2, "width": 8, "heads": 2, "feed_forward_width": 0, "context_length": 1024},
        **{"feed_forward": "gelu", "dropout": 0.1, "tied": True, "norm_epsilon": 1e-5},
    }


@pytest.mark.parametrize("feed_forward", ["gelu", "gelu_exact"])
@pytest.mark.parametrize("width", [0, 24])
def test_there_and_back_is_the_same(feed_forward, width):
    ours = model(
        **{"layers": 3, "width": 12, "feed_forward": feed_forward, "feed_forward_width": width},
        **{"tied": False, "norm_epsilon": 1e-6},
    )
    again = to_model(Settings(to_settings(ours, 50), "config.json"))
    assert again.items() <= ours.to_dict().items()


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"activation_function": "relu"}, "activation_function 'relu' is none of ours"),
        ({"layer_norm_epsilon": 0.0}, "'layer_norm_epsilon' should be: positive number, not 0.0"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ({"n_layer": "2"}, "'n_layer' should be: size, not '2'"),
        ({"n_layer": None}, "'n_layer' should be: size"),
        ({"attn_pdrop": 0.5}, "resid_pdrop 0.1, embd_pdrop 0.1, attn_pdrop 0.5"),
        ({"tie_word_embeddings": ["yes"]}, "tie_word_embeddings"),
    ],
)
def test_what_we_lack_is_refused_by_name(fields, told):
    with pytest.raises(UserError, match=told):
        to_model(Settings({**GPT2, **fields}, "config.json"))


@pytest.mark.parametrize(("field", "value"), [("bias", False), ("position", "sinusoidal")])
def test_a_model_that_is_no_gpt2_is_not_exported(field, value):
    with pytest.raises(UserError, match=f"model.{field} is {value!r}"):
        to_settings(model(**{field: value}), 50)


def test_a_gpt2_has_no_options_of_attention():
    ours = model()
    ours.mixers.attention = {"chunk": 64}
    to_settings(ours, 50)
    ours.mixers.attention.score_cap = 30.0
    with pytest.raises(UserError, match="attention's option score_cap is 30.0"):
        to_settings(ours, 50)


def test_fields_that_nothing_was_made_of_are_known():
    settings = Settings({**GPT2, "torch_dtype": "float32", "sliding_window": 4}, "config.json")
    to_model(settings)
    assert settings.unread == ["sliding_window"]
