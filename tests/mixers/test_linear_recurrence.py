"""h_t = a_t h_{t-1} + b_t: both parallel forms and their gradient against a loop in NumPy."""

from dataclasses import asdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.checks.mixer_forms import mixer_differences
from lmjax.mixers import linear_recurrence
from lmjax.mixers.linear_recurrence import loop, parallel, rounds

ROWS, LENGTH, SHAPE = 2, 13, (3, 2)
CLOSE = dict(rtol=1e-5, atol=1e-5)


def draw(dtype):
    generator = np.random.default_rng(0)

    def normal(*shape):
        real, imaginary = generator.normal(size=(2, *shape))
        return jnp.asarray(real + 1j * imaginary if dtype == np.complex64 else real, dtype)

    h_BE, decay_BTE = normal(ROWS, *SHAPE), normal(ROWS, LENGTH, *SHAPE)
    return h_BE, decay_BTE / (1 + jnp.abs(decay_BTE)), normal(ROWS, LENGTH, *SHAPE)


def written_out(h_BE, decay_BTE, added_BTE, reverse=False):
    found = np.zeros(added_BTE.shape, added_BTE.dtype)
    for t in reversed(range(LENGTH)) if reverse else range(LENGTH):
        h_BE = decay_BTE[:, t] * h_BE + added_BTE[:, t]
        found[:, t] = h_BE
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("form", [loop, rounds])
def test_both_forms_are_the_recurrence(form, reverse, dtype):
    inputs = draw(dtype)
    np.testing.assert_allclose(form(*inputs, reverse), written_out(*inputs, reverse), **CLOSE)


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_maxima_are_those_of_all_terms(backend, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    m_BE, log_decay_BTE, log_added_BTE = draw(np.float32)
    log_decay_BTE = log_decay_BTE.at[1, 5].set(-np.inf)
    found_BTE = linear_recurrence.maxima(m_BE, log_decay_BTE, log_added_BTE)
    for t in range(LENGTH):
        terms = [m_BE + log_decay_BTE[:, : t + 1].sum(axis=1)]
        terms += [
            log_added_BTE[:, s] + log_decay_BTE[:, s + 1 : t + 1].sum(axis=1) for s in range(t + 1)
        ]
        np.testing.assert_allclose(found_BTE[:, t], np.max(terms, axis=0), **CLOSE)


@pytest.mark.parametrize("dtype", [np.float32, np.complex64])
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_the_gradient_is_that_of_steps(backend, dtype, monkeypatch):
    """By the state, decays and what is added; a segment begins in the middle of a row."""
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    begins_BT = np.zeros((ROWS, LENGTH), bool)
    begins_BT[1, 5] = True
    pull_BTE = draw(dtype)[2]

    def steps(h_BE, decay_BTE, added_BTE, begins_BT):
        found = []
        for t in range(LENGTH):
            now = decay_BTE[:, t], added_BTE[:, t], begins_BT[:, t]
            y_BE, h_BE = linear_recurrence.step(h_BE, *now)
            found.append(y_BE)
        return jnp.stack(found, axis=1), h_BE

    def outcome(form):
        def total(inputs):
            h_BTE, h_BE = form(*inputs, begins_BT)
            return jnp.real(jnp.sum(h_BTE * pull_BTE) + jnp.sum(h_BE**2)), h_BTE

        return jax.grad(total, has_aux=True)(draw(dtype))

    jax.tree.map(
        lambda *both: np.testing.assert_allclose(*both, **CLOSE), *map(outcome, [parallel, steps])
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("rg_lru", {}),
        ("mamba", dict(state_width=3, chunk=4)),
        ("s4d", dict(state_width=4, chunk=4)),
    ],
)
def test_mixers_are_the_same_where_loops_are_slow(name, options, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    found = asdict(mixer_differences(name, options))
    assert max(found.values()) <= 1e-4, found
