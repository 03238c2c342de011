"""A layer whose weights all matter, and functions of NumPy to write its loop with."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.mixers.registry import mixer_class

ROWS, LENGTH, WIDTH, HEADS = 2, 11, 12, 3
x_BTD = np.random.default_rng(0).normal(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)
time_BT = np.arange(LENGTH)[None]


def make_layer(name, **options):
    fields = dict(heads=HEADS, initializer=nn.initializers.normal(0.5))
    fields["output_initializer"] = fields["initializer"]
    mixer = mixer_class(name, {})
    known = {key: value for key, value in fields.items() if key in mixer.__dataclass_fields__}
    return mixer(width=WIDTH, **known | options)


def initial_params(layer):
    initialize = jax.jit(layer.init, static_argnums=5)
    return nn.meta.unbox(initialize(jax.random.key(0), x_BTD, None, time_BT, None, True))["params"]


def check_layer(name, loop, **options):
    """`loop(params, x_TD)` gives each row of a layer, of parameters in float64."""
    layer = make_layer(name, **options)
    random = np.random.default_rng(1)
    params = jax.tree.map(
        lambda leaf: np.asarray(leaf + 0.2 * random.normal(size=leaf.shape), np.float32),
        initial_params(layer),
    )
    context = None, time_BT, None, True
    found_BTD, _ = jax.jit(lambda params: layer.apply({"params": params}, x_BTD, *context))(params)
    wide = jax.tree.map(np.float64, params)
    expected_BTD = np.stack([loop(wide, x_TD) for x_TD in np.float64(x_BTD)])
    difference = np.abs(found_BTD - expected_BTD).max() / np.abs(expected_BTD).max()
    print(f"{name}: largest relative difference from the loop {difference:.0e}")
    assert difference <= 1e-5


def check_extremes(form_of, state, inputs):
    """Of inputs far out, outputs and gradients by all of them are numbers in both forms."""

    for form in form_of:
        total, gradients = _total_and_gradients(form, state, inputs)
        leaves = [leaf for leaf in jax.tree.leaves(gradients) if leaf.dtype == jnp.float32]
        assert all(np.isfinite(leaf).all() for leaf in [total, *leaves])


@partial(jax.jit, static_argnums=0)
def _total_and_gradients(form, state, inputs):
    def total(state, inputs):
        y, state = form(state, *inputs)
        return sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves((y, state)))

    return jax.value_and_grad(total, argnums=(0, 1), allow_int=True)(state, inputs)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def silu(x):
    return x * sigmoid(x)


def convolved(params, x_TE):
    """Each token's weighted sum with those before it."""
    kernel_WE, found = params["kernel"], []
    for time in range(len(x_TE)):
        total_E = params.get("bias", 0.0)
        for back in range(min(len(kernel_WE), time + 1)):
            total_E = total_E + kernel_WE[-1 - back] * x_TE[time - back]
        found.append(total_E)
    return np.array(found)


def head_norm(y_HK, params, epsilon=1e-5):
    """Mean zero and variance one in each head."""
    centred_HK = y_HK - y_HK.mean(axis=1, keepdims=True)
    y_HK = centred_HK / np.sqrt(y_HK.var(axis=1, keepdims=True) + epsilon)
    return y_HK.ravel() * params["scale"] + params.get("bias", 0.0)
