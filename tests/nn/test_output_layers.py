"""Output layers: by their formulas, by chunks as whole, and without the logits of all tokens."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import meta
from jax.nn.initializers import normal

from lmjax.config import model_config
from lmjax.errors import UserError
from lmjax.models.registry import build_model
from lmjax.nn import softmax_output
from lmjax.nn.chunked_softmax import chunked_log_probs
from lmjax.nn.dropout import dropout_rate
from lmjax.nn.output_registry import output_maker

ROWS, LENGTH, WIDTH, VOCABULARY = 3, 7, 6, 13
KEYS = jax.random.split(jax.random.key(0), 5)
HIDDEN_BTD = jax.random.normal(KEYS[0], (ROWS, LENGTH, WIDTH))
TABLE_VD = jax.random.normal(KEYS[1], (VOCABULARY, WIDTH))
TARGETS_BT = jax.random.randint(KEYS[2], (ROWS, LENGTH), 0, VOCABULARY)
WEIGHTS_BT = jax.random.normal(KEYS[3], (ROWS, LENGTH)).at[0, 2].set(0.0)


def make(name, options, table_width=0, bias=True):
    """The layer and its parameters, large enough that probabilities differ."""
    sizes = dict(vocabulary_size=VOCABULARY, width=WIDTH, table_width=table_width)
    layer = output_maker(name, options, **sizes, initializer=normal(1.0), bias=bias)()
    table_VD = TABLE_VD[:, :table_width] if table_width else None
    variables = layer.init(KEYS[4], HIDDEN_BTD, table_VD, method="logits")
    return layer, meta.unbox(variables), table_VD


def values_and_gradients(log_probs, *arrays):
    log_probs_BT, pull = jax.vjp(log_probs, *arrays)
    return log_probs_BT, pull(WEIGHTS_BT)


def assert_close(found, expected, tolerance=2e-5):
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance),
        found,
        expected,
    )


@pytest.mark.parametrize("cap", [0.0, 2.0])
def test_a_chunked_softmax_is_the_whole_one(cap):
    """With 7 times of 3 rows in chunks of 2, and of 1 where the rows alone are more than asked."""
    bias_V = jax.random.normal(KEYS[4], (VOCABULARY,))

    def whole(hidden_BTD, kernel_DV, bias_V):
        logits_BTV = hidden_BTD @ kernel_DV + bias_V[None, None]
        logits_BTV = cap * jnp.tanh(logits_BTV / cap) if cap else logits_BTV
        found_BTV = jax.nn.log_softmax(logits_BTV)
        return jnp.take_along_axis(found_BTV, TARGETS_BT[..., None], axis=-1)[..., 0]

    given = HIDDEN_BTD, TABLE_VD.T, bias_V
    expected = values_and_gradients(whole, *given)
    for size in (6, 1):
        found = values_and_gradients(
            lambda *arrays, size=size: chunked_log_probs(*arrays, TARGETS_BT, cap, size), *given
        )
        assert_close(found, expected)


def test_a_chunked_softmax_in_bfloat16_sums_in_float32():
    narrow_BTD = HIDDEN_BTD.astype(jnp.bfloat16)
    given = narrow_BTD, TABLE_VD.T, None
    log_probs_BT, pull = jax.vjp(lambda *a: chunked_log_probs(*a, TARGETS_BT, 0.0, 6), *given)
    kernel_DV = TABLE_VD.T.astype(jnp.bfloat16).astype(jnp.float32)
    exact_BTV = jax.nn.log_softmax(narrow_BTD.astype(jnp.float32) @ kernel_DV)
    exact_BT = jnp.take_along_axis(exact_BTV, TARGETS_BT[..., None], axis=-1)[..., 0]
    assert_close(log_probs_BT, exact_BT, 1e-5)
    hidden_gradient_BTD, kernel_gradient_DV, _ = pull(WEIGHTS_BT)
    assert hidden_gradient_BTD.dtype == jnp.bfloat16 and kernel_gradient_DV.dtype == jnp.float32


def held_bytes(name, options, vocabulary_size=5000, length=1024, width=8):
    """Bytes that a compiled gradient holds beside its arguments and results."""
    sizes = dict(vocabulary_size=vocabulary_size, width=width, table_width=0)
    layer = output_maker(name, options, **sizes, initializer=normal(1.0))()
    hidden_BTD = jax.ShapeDtypeStruct((2, length, width), jnp.float32)
    targets_BT = jax.ShapeDtypeStruct((2, length), jnp.int32)
    variables = jax.eval_shape(
        lambda x: meta.unbox(layer.init(KEYS[0], x, method="logits")), hidden_BTD
    )

    def nats(variables, hidden_BTD, targets_BT):
        return -layer.apply(variables, hidden_BTD, targets_BT, method="log_probs").sum()

    program = jax.jit(jax.grad(nats, argnums=(0, 1))).lower(variables, hidden_BTD, targets_BT)
    return program.compile().memory_analysis().temp_size_in_bytes


def test_logits_of_all_tokens_are_never_held(monkeypatch):
    all_logits = 2 * 1024 * 5000 * 4
    assert held_bytes("softmax", {}) >= all_logits
    for name, options in (
        ("softmax", {"chunk": 64}),
        ("mixture_of_softmaxes", {"chunk": 64, "experts": 2}),
        ("adaptive_softmax", {"chunk": 64, "cutoffs": "1000", "projection_factor": 2.0}),
    ):
        assert held_bytes(name, options) < all_logits / 4, name
    monkeypatch.setattr(softmax_output, "LOGITS", 64 * 5000)
    assert held_bytes("softmax", {}) < all_logits / 4
    assert held_bytes("softmax", {"chunk": 0}) >= all_logits


@pytest.mark.parametrize("tied", [False, True])
def test_a_mixture_is_the_formula_of_the_paper(tied):
    layer, variables, table_VE = make(
        "mixture_of_softmaxes", {"experts": 4}, table_width=5 if tied else 0
    )
    kept = {name: np.asarray(leaf, np.float64) for name, leaf in variables["params"].items()}
    kernel_EV = kept["kernel"] if not tied else np.asarray(table_VE.T, np.float64)
    expected_BT = np.zeros((ROWS, LENGTH))
    for row, time in np.ndindex(ROWS, LENGTH):
        h_D = np.asarray(HIDDEN_BTD[row, time], np.float64)
        prior_X = np.exp(h_D @ kept["prior_kernel"])
        prior_X /= prior_X.sum()
        probability = 0.0
        for expert in range(4):
            latent_E = np.tanh(h_D @ kept["latent_kernel"][:, expert] + kept["latent_bias"][expert])
            p_V = np.exp(latent_E @ kernel_EV + kept["bias"])
            probability += prior_X[expert] * p_V[TARGETS_BT[row, time]] / p_V.sum()
        expected_BT[row, time] = np.log(probability)
    found_BT = layer.apply(variables, HIDDEN_BTD, TARGETS_BT, table_VE, method="log_probs")
    assert_close(found_BT, expected_BT, 1e-5)
    logits_BTV = layer.apply(variables, HIDDEN_BTD, table_VE, method="logits")
    assert_close(jnp.take_along_axis(logits_BTV, TARGETS_BT[..., None], -1)[..., 0], found_BT)


def test_a_mixture_of_unlikely_experts_stays_finite():
    layer, variables, _ = make("mixture_of_softmaxes", {"experts": 2})
    variables = jax.tree.map(lambda leaf: 300 * leaf, variables)
    found_BT = layer.apply(variables, HIDDEN_BTD, TARGETS_BT, method="log_probs")
    assert np.isfinite(found_BT).all() and found_BT.min() < -200


@pytest.mark.parametrize(
    ("name", "options"),
    [("mixture_of_softmaxes", {"experts": 3}), ("adaptive_softmax", {"cutoffs": "4,9"})],
)
def test_chunks_change_neither_values_nor_gradients(name, options):
    """21 targets in chunks of 5 or 6."""
    layer, variables, _ = make(name, {**options, "chunk": 0})
    chunked, _, _ = make(name, {**options, "chunk": 6 if "experts" in options else 5})

    def of(layer):
        return values_and_gradients(
            lambda *given: layer.apply(*given, TARGETS_BT, method="log_probs"),
            variables,
            HIDDEN_BTD,
        )

    assert_close(of(chunked), of(layer))
    logits_BTV = layer.apply(variables, HIDDEN_BTD, method="logits")
    taken_BT = jnp.take_along_axis(logits_BTV, TARGETS_BT[..., None], axis=-1)[..., 0]
    assert_close(of(chunked)[0], taken_BT)
    assert_close(jax.nn.logsumexp(logits_BTV, axis=-1), jnp.zeros((ROWS, LENGTH)))


def test_dropout_of_a_mixture_is_its_own_and_the_same_at_each_time():
    layer, variables, _ = make("mixture_of_softmaxes", {"dropout": 0.5, "chunk": 6})
    same_BTD = jnp.broadcast_to(HIDDEN_BTD[:, :1], HIDDEN_BTD.shape)
    given = variables, same_BTD, jnp.zeros((ROWS, LENGTH), int), None
    rngs = {"dropout": KEYS[0]}
    plain_BT = layer.apply(*given, True, method="log_probs")
    dropped_BT = layer.apply(*given, False, method="log_probs", rngs=rngs)
    assert (jnp.abs(dropped_BT - plain_BT) > 1e-4).all()
    assert_close(dropped_BT, jnp.broadcast_to(dropped_BT[:, :1], dropped_BT.shape))
    with dropout_rate(0.0):
        assert_close(layer.apply(*given, False, method="log_probs", rngs=rngs), plain_BT)


def build(family, tokenizer=None, **changes):
    config = model_config(family)
    config.update({"width": WIDTH, **changes})
    given = SimpleNamespace(vocabulary_size=VOCABULARY, ids_by_frequency=False)
    return build_model(config, tokenizer or given)


@pytest.mark.parametrize(
    ("family", "changes", "words"),
    [
        ("rnn", dict(output="softmaxx"), "unknown model.output"),
        ("rnn", dict(output_options={"chunks": 3}), "no option 'chunks'"),
        ("rnn", dict(output_options={"width": 3}), "no option 'width'"),
        ("transformer", dict(heads=2, output_options={"chunk": -2}), "give 0, for all, or more"),
        (
            "transformer",
            dict(heads=2, output="mixture_of_softmaxes", logits_cap=1.0),
            "is of output 'softmax'",
        ),
        ("transformer", dict(heads=2, output="adaptive_softmax"), "set model.tied=False"),
        (
            "rnn",
            dict(output="adaptive_softmax", output_options={"cutoffs": "9,4"}),
            "below the vocabulary's 13",
        ),
        (
            "rnn",
            dict(output="adaptive_softmax", output_options={"cutoffs": "4"}),
            "set data.tokenizer='word'",
        ),
    ],
)
def test_what_can_not_be_is_refused(family, changes, words):
    with pytest.raises(UserError, match=words):
        build(family, **changes)
