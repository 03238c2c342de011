"""However parameters are cut over devices, a step is the same to rounding."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from lmjax.checks.benchmarks.training import TrainingStep
from lmjax.config import base_config
from lmjax.errors import UserError
from lmjax.training.execution import JitExecution, make_execution
from lmjax.training.mesh import mesh_sizes, most_rest, parsed_rules
from lmjax.training.optimizers import make_optimizer
from tests.training.test_step import LENGTH, begin, run, step_of

ROOT = Path(__file__).parent.parent.parent
MESHES = {  # of 2, 4 and 8 devices; the sizes of the others are those of the default
    "transformer": [
        {"data": 2},
        {"fsdp": 2},
        {"tensor": 2},
        {"fsdp": 2, "tensor": 2},
        {"data": 2, "fsdp": 2, "tensor": 2},
    ],
    "rnn": [{"fsdp": 4}, {"data": 2, "tensor": 4}],
}
PROGRAM = """
import json, sys
import jax
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
from tests.training.test_mesh import compared
cases = json.load(sys.stdin)
print(json.dumps([[family, mesh, *compared(family, mesh)] for family, mesh in cases]))
"""


def compared(family, sizes):
    """The largest difference from one device, and the share of all parameters on one."""
    rules = parsed_rules(base_config().execution.rules)
    training = base_config().training
    training.update(optimizer="adamw", weight_decay=0.1, epsilon=1e-3)
    carried = family == "rnn"
    step = step_of(family)
    names = begin(step, carried).params
    step = replace(step, optimizer=make_optimizer(training, names))
    cut = {}

    class Execution(JitExecution):
        def __init__(self, step, devices):
            super().__init__(step, devices, sizes, rules)

        def fetch_state(self, state):
            leaves = jax.tree.leaves(state.params)
            held = sum(leaf.addressable_shards[0].data.size for leaf in leaves)
            cut["share"] = held / sum(leaf.size for leaf in leaves)
            return super().fetch_state(state)

    found = run(step, Execution, 8, carried)
    expected = run(step, JitExecution, 1, carried)
    errors = jax.tree.map(
        lambda a, b: float(np.max(np.abs(np.float64(a) - b), initial=0)), found, expected
    )
    return max(jax.tree.leaves(errors)), cut["share"]


def test_meshes_of_2_4_and_8_devices_give_the_same_run():
    cases = [(family, mesh) for family, meshes in MESHES.items() for mesh in meshes]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(cases),
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for family, mesh, error, share in json.loads(done.stdout.splitlines()[-1]):
        assert error < 2e-5, (family, mesh, error)
        cut = mesh.get("fsdp", 1) * mesh.get("tensor", 1)
        assert (share < 1) == (cut > 1), (family, mesh, share)


@pytest.mark.parametrize("name", ["attention_rnn", "mamba", "sru", "peephole_lstm", "stack_rnn"])
def test_devices_do_not_wait_for_each_other_at_each_time(name):
    """What rows share has its gradient summed over them after the loop over time."""
    family, fields = "transformer", dict(heads=1, position="none", pattern=(name,))
    if name == "attention_rnn":
        family, fields = name, dict(score="additive", span=3)
    sizes = dict(layers=1, width=4)
    step = TrainingStep("", family, 5, 2, 6, sizes | fields, {})
    program = step.program()
    assert program.execution.device_count == 2
    lines = step.compiled(program).as_text().splitlines()
    sums = [line for line in lines if re.search(r" all-reduce(-start)?\(", line)]
    assert sums and not [line for line in sums if "while/body" in line]


@pytest.mark.parametrize(
    "entries, rows, available, sizes",
    [
        (("data=-1",), 12, 8, {"data": 6}),
        (("data=-1", "fsdp=2"), 12, 8, {"data": 3, "fsdp": 2}),
        (("data=2", "fsdp=-1", "tensor=2"), 8, 8, {"data": 2, "fsdp": 2, "tensor": 2}),
        (("tensor=-1",), 3, 8, {"tensor": 8}),
        (("data=1",), 3, 8, {"data": 1}),
    ],
)
def test_the_rest_is_as_many_devices_as_the_rows_allow(entries, rows, available, sizes):
    assert mesh_sizes(entries, rows, available) == sizes


def test_rows_are_spread_over_a_cpus_devices_where_a_step_has_many_tokens_beside_its_parameters():
    cores, cards = ([SimpleNamespace(platform=name)] * 4 for name in ("cpu", "gpu"))
    assert most_rest(cores, parameters=10**6, tokens=1000) == 4
    assert most_rest(cores, parameters=10**7, tokens=1000) == 1
    assert most_rest(cards, parameters=10**7, tokens=1000) == 4
    assert mesh_sizes(("data=-1",), 12, 8, most=1) == {"data": 1}
    assert mesh_sizes(("data=2",), 12, 8, most=1) == {"data": 2}


@pytest.mark.parametrize(
    "entries, told",
    [
        (("date=2",), "no axis 'date': did you mean 'data'"),
        (("data=0",), "data=0 is no size"),
        (("data=two",), "data=two is no size"),
        (("data=-1", "fsdp=-1"), "only one axis can be -1"),
        (("data=16",), "needs 16 devices, and there are 8"),
        (("data=4", "fsdp=2"), "spreads rows over 8 devices, and 12 rows"),
        (("data",), "give a tuple of texts"),
        ("data=2", "give a tuple of texts"),
        (("data=1", "data=2"), "names an axis twice"),
    ],
)
def test_what_is_no_mesh_is_refused(entries, told):
    with pytest.raises(UserError, match=told):
        mesh_sizes(entries, 12, 8)


def test_rules_and_modes_that_cannot_be_are_refused():
    with pytest.raises(UserError, match="execution.rules: the mesh has no axis 'tensr'"):
        parsed_rules(("mlp=tensr",))
    execution = base_config().execution
    execution.update(mode="pmap", mesh=("fsdp=2",))
    with pytest.raises(UserError, match="set execution.mode='jit'"):
        make_execution(execution, step_of("rnn"), LENGTH)
