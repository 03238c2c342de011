"""Elman, GRU and LSTM stacks against torch.nn with the same weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.mixers.recurrent_layer import CELLS, RecurrentLayer
from lmjax.nn.initializers import symmetric_uniform

torch = pytest.importorskip("torch")

ROWS, LENGTH, INPUT, WIDTH, LAYERS = 4, 35, 48, 64, 2
LIMIT = 1e-4
TORCH = {"elman": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}


def converted(cell, theirs):
    """Each of our layers' parameters from torch's by name.

    Torch has two biases a gate; where nothing stands between them ours is their sum.
    """
    single = WIDTH * (cell.gates - cell.recurrent_biases)
    for layer in range(LAYERS):
        recurrent_bias_G = theirs[f"bias_hh_l{layer}"]
        params = {
            "input_kernel": theirs[f"weight_ih_l{layer}"].T,
            "recurrent_kernel": theirs[f"weight_hh_l{layer}"].T,
            "bias": theirs[f"bias_ih_l{layer}"].at[:single].add(recurrent_bias_G[:single]),
        }
        if cell.recurrent_biases:
            params["recurrent_bias"] = recurrent_bias_G[single:]
        yield {"params": params}


def our_pass(name, theirs, x_BTD, states):
    """`y_BTD` and the final states of our layers, one on the other."""
    positions_BT = jnp.broadcast_to(jnp.arange(LENGTH)[None, :], (ROWS, LENGTH))
    layer = RecurrentLayer(width=WIDTH, cell=name, initializer=symmetric_uniform(0.1))
    finals = []
    for params, state in zip(converted(CELLS[name], theirs), states, strict=True):
        x_BTD, final = layer.apply(params, x_BTD, state, positions_BT, None, True)
        finals.append(final)
    return x_BTD, finals


@pytest.mark.parametrize("name", TORCH)
def test_outputs_and_gradients_are_those_of_torch(name):
    cell = CELLS[name]
    torch.manual_seed(0)
    module = TORCH[name](INPUT, WIDTH, LAYERS, batch_first=True)
    x_BTD = torch.randn(ROWS, LENGTH, INPUT, requires_grad=True)
    start = [torch.randn(LAYERS, ROWS, WIDTH) for _ in range(cell.states)]
    y_BTD, final = module(x_BTD, tuple(start) if name == "lstm" else start[0])
    pull_BTD = torch.randn_like(y_BTD)
    y_BTD.backward(pull_BTD)
    final = final if name == "lstm" else (final,)

    def array(tensor):
        return jnp.asarray(tensor.detach().numpy())

    weights = {key: array(weight) for key, weight in module.named_parameters()}
    states = [tuple(array(leaf[layer]) for leaf in start) for layer in range(LAYERS)]
    run = jax.jit(lambda weights, x_BTD: our_pass(name, weights, x_BTD, states))
    our_y_BTD, pull, our_final = jax.vjp(run, weights, array(x_BTD), has_aux=True)
    weight_gradients, x_gradient_BTD = pull(array(pull_BTD))

    def difference(ours, theirs):
        return float(np.max(np.abs(ours - array(theirs))))

    differences = {
        "outputs": difference(our_y_BTD, y_BTD),
        "final states": max(
            difference(jnp.stack(ours), theirs)
            for ours, theirs in zip(zip(*our_final, strict=True), final, strict=True)
        ),
        "input gradient": difference(x_gradient_BTD, x_BTD.grad),
        "weight gradients": max(
            difference(weight_gradients[key], weight.grad)
            for key, weight in module.named_parameters()
        ),
    }
    print(
        f"\n{name} against torch.nn:", {key: f"{value:.1e}" for key, value in differences.items()}
    )
    assert max(differences.values()) <= LIMIT
