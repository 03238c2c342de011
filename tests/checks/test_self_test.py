"""The self-test passes on every family, and names what is wrong, and in which mode."""

from functools import partial
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from lmjax.checks import self_test
from lmjax.checks.self_test import CPU_MODES, plan
from lmjax.models.registry import FAMILIES
from lmjax.nn import softmax_output

target_log_probs = softmax_output.target_log_probs


@pytest.fixture(scope="module", autouse=True)
def keep_even_small_programs():
    """Without jit there are hundreds of them, which a second run of the tests need not compile."""
    name = "jax_persistent_cache_min_compile_time_secs"
    before = getattr(jax.config, name)
    jax.config.update(name, 0.0)
    yield
    jax.config.update(name, before)


def check(family):
    return self_test.self_test(plan(jax.devices()), [family])


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_passes(family):
    checks = check(family)
    assert [c.mode for c in checks] == list(CPU_MODES)
    assert all(c.passed and c.quantity for c in checks), checks


@pytest.mark.parametrize("family", FAMILIES)
def test_the_reference_is_in_float64_throughout(family):
    model, params = self_test.small_model(family)
    with jax.enable_x64(True):
        read = partial(self_test.quantities, self_test.log_probs_of_logits, model)
        program = str(jax.make_jaxpr(read)(self_test.in_float64(params), self_test.draw(model)))
    assert "f64[" in program
    assert "f32[" not in program and "bf16[" not in program
    outcome = self_test.reference(model, params, jax.devices("cpu")[0])
    floats = [leaf for leaf in jax.tree.leaves(outcome) if np.issubdtype(leaf.dtype, np.floating)]
    assert floats and all(leaf.dtype == np.float64 for leaf in floats)


def test_a_fault_of_jit_is_found(monkeypatch):
    def shifted_under_jit(*arguments):
        shift = 0.0 if jax.config.jax_disable_jit else 1e-2
        return target_log_probs(*arguments) + shift

    monkeypatch.setattr(softmax_output, "target_log_probs", shifted_under_jit)
    under_jit, without_jit = check("rnn")
    assert not under_jit.passed and under_jit.quantity == "log_probs_BT"
    assert without_jit.passed
    assert str(under_jit).startswith(f"rnn on {jax.devices()[0]}, jit: log_probs_BT is off by ")


def test_a_wrong_gradient_is_found(monkeypatch):
    @jax.custom_vjp
    def wrong(x):
        return x

    wrong.defvjp(lambda x: (x, None), lambda _, gradient: (1.001 * gradient,))
    monkeypatch.setattr(
        softmax_output,
        "target_log_probs",
        lambda hidden_ND, kernel_DV, *others: target_log_probs(
            hidden_ND, wrong(kernel_DV), *others
        ),
    )
    for found in check("rnn"):
        assert not found.passed
        assert found.quantity == "gradient/params/output_kernel"
        assert found.error == pytest.approx(1e-3, rel=1e-2)


def test_a_coarse_result_is_found(monkeypatch):
    monkeypatch.setattr(
        softmax_output,
        "target_log_probs",
        lambda *arguments: target_log_probs(*arguments).astype("bfloat16").astype("float32"),
    )
    assert [(c.passed, c.quantity) for c in check("rnn")] == [(False, "log_probs_BT")] * 2


def test_an_operation_that_fails_is_a_failed_check(monkeypatch):
    def fail(*_):
        raise jax.errors.JaxRuntimeError("INTERNAL: the device is lost\nmore")

    monkeypatch.setattr(self_test, "compute", fail)
    for found in check("ngram"):
        assert not found.passed and "INTERNAL: the device is lost" in str(found)


def test_the_first_quantity_out_of_tolerance_is_named_else_the_worst():
    expected = {"a": np.ones(2), "b": np.full(2, 4.0), "c": np.ones(2)}
    found = {"a": np.array([1.0, 1.1]), "b": np.array([4.0, 5.0]), "c": np.ones(2)}
    assert self_test.compare(found, expected, 0.2) == ("b", 0.25)
    assert self_test.compare(found, expected, 0.3) == ("b", 0.25)
    assert self_test.compare(found, expected, 0.05)[0] == "a"


@pytest.mark.parametrize(
    ("found", "expected", "error"),
    [
        ([0, 3], [0, 4], 0.25),
        ([0, 0], [0, 0], 0),
        ([1, 0], [0, 0], np.inf),
        ([np.nan], [1], np.inf),
    ],
)
def test_relative_error(found, expected, error):
    assert self_test.relative_error(np.float32(found), np.float64(expected)) == error


def test_every_accelerator_is_planned_and_one_of_the_virtual_cpu_devices():
    gpus = [SimpleNamespace(platform="gpu", id=i) for i in range(2)]
    planned = plan(gpus)
    assert [gpu.id for gpu, _ in planned] == [0] * 4 + [1] * 4
    assert {mode.precision for _, mode in planned} == {"default", "highest"}
    assert plan(jax.devices("cpu")) == [(jax.devices("cpu")[0], mode) for mode in CPU_MODES]
