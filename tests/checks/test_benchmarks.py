import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lmjax.checks.benchmarks import registry
from lmjax.checks.benchmarks.contract import Turns, in_turns
from lmjax.checks.benchmarks.counting import Counting
from lmjax.checks.benchmarks.decoding import Decoding
from lmjax.checks.benchmarks.evaluating import Evaluating
from lmjax.checks.benchmarks.growth import Growth
from lmjax.checks.benchmarks.output_memory import OutputMemory
from lmjax.checks.benchmarks.starting import Starting
from lmjax.checks.benchmarks.training import TrainingStep
from lmjax.cli.main import main
from lmjax.data.context import ContextPolicy
from lmjax.errors import UserError

PEER = """
import json, sys
assert "--width=8" in sys.argv and "--vocab=11" in sys.argv and "--steps=2" in sys.argv
print("warming up")
print(json.dumps({"ms_per_step": 1e6}))
"""


@pytest.fixture
def tiny(monkeypatch):
    case = TrainingStep("tiny", "rnn", 11, 2, 4, dict(layers=1, width=8), {})
    monkeypatch.setitem(registry.CASES, "tiny", case)
    return case


def test_a_step_runs_in_turns_with_a_peer(tiny, tmp_path, capsys):
    (tmp_path / "peer.py").write_text(PEER)
    figures = tmp_path / "figures.json"
    arguments = ["--case=tiny", f"--peer={tmp_path}/peer.py", f"--json={figures}"]
    assert main(["bench", *arguments, "--steps=2", "--rounds=2"]) == 0
    written = json.loads(figures.read_text())
    assert written["environment"]["versions"]["jax"]
    (result,) = written["results"]
    ours, theirs = result["rows"]
    assert theirs["ms a step"] == 1e6
    assert theirs["theirs / ours"] == pytest.approx(1e6 / ours["ms a step"])
    assert "GFLOP/s" in capsys.readouterr().out


def test_a_profile_tells_the_costliest_operations(tiny, tmp_path, capsys):
    assert main(["bench", "--case=tiny", f"--profile={tmp_path}/trace"]) == 0
    assert list((tmp_path / "trace").rglob("*.xplane.pb"))
    told = capsys.readouterr().out
    assert "calls a step" in told and "$" not in told, "operations, not Python's functions"


def test_every_kind_of_case_is_measured(tiny):
    turns = Turns(steps=1, rounds=2)
    memory = OutputMemory("memory", tiny, (0, 2)).measure(turns)
    assert [row["logits of"] for row in memory.rows] == ["all tokens", "2 tokens"]
    assert memory.rows[0]["memory / whole"] == memory.rows[0]["time / whole"] == 1
    growth = Growth("growth", "by B", (tiny, replace(tiny, batch_size=4))).measure(turns)
    assert [row["B"] for row in growth.rows] == [2, 4]
    assert growth.rows[1]["microseconds a token"] == growth.rows[1]["ms a step"] * 1e3 / 16
    first, second = Counting("count", (100, 200), 3, 9).measure(turns).rows
    assert (first["tokens"], second["tokens"]) == (100, 200)
    assert 9 <= first["n-grams"] < second["n-grams"] and first["peak GB"] > 0
    (help_row,) = Starting("start", ()).measure(turns).rows
    assert 0 < help_row["seconds to the first"] <= help_row["seconds to exit"]
    policies = ContextPolicy("windowed", window=4, stride=1), ContextPolicy("carried", chunk=8)
    scoring = Evaluating("score", tiny, policies, 20).measure(turns)
    assert [row["context"] for row in scoring.rows] == ["windowed_4_stride_1", "carried"]
    decoding = Decoding("decode", "rnn", 11, 3, tiny.model, {}, prompt=4, tokens=2).measure(turns)
    assert "medians of 2 turns of 1 measurements each" in decoding.notes
    assert decoding.rows[0]["tokens a second"] == pytest.approx(3e3 / decoding.rows[0]["ms a step"])


@pytest.mark.parametrize(
    "program, told",
    [
        ("raise SystemExit('no such thing')", "failed with exit code 1: no such thing"),
        ("", "gave no timing: it printed nothing"),
        ("print('{}')", "gave no timing: {}"),
        ("""print('{"ms_per_step": NaN}')""", "gave nan milliseconds"),
        ("""print('{"ms_per_step": 0}')""", "gave 0.0 milliseconds"),
        ("""print('{"ms_per_step": 5}'); raise SystemExit(3)""", "failed with exit code 3"),
    ],
)
def test_a_peer_that_fails_is_named(tiny, tmp_path, program, told):
    peer, steps = f"{tmp_path}/peer.py", []
    Path(peer).write_text(program)
    turns = Turns(peers=(peer,), python=sys.executable, steps=1, rounds=1, tell=steps.append)
    with pytest.raises(UserError, match=re.escape(told)):
        tiny.measure(turns)
    assert steps == ["turn 1 of 1: lmjax", f"turn 1 of 1: {peer}"]


@pytest.mark.parametrize(
    "peer, python, told",
    [
        ("nowhere.py --fast", sys.executable, "there is no file nowhere.py"),
        ("'", sys.executable, "is no file and flags"),
        (__file__, "/nowhere", "--python=/nowhere: there is no such program"),
        (__file__, __file__, "there is no such program"),
    ],
)
def test_a_peer_that_cannot_be_started_is_named_before_anything_is_measured(
    tiny, peer, python, told
):
    def run():
        raise AssertionError("it was measured")

    with pytest.raises(UserError, match=re.escape(told)):
        in_turns(run, Turns(peers=(peer,), python=python), {}, "step")


@pytest.mark.parametrize(
    "arguments, told",
    [
        ([], "--case=list shows them"),
        (["--case=gpt_cpus"], "did you mean 'gpt_cpu'"),
        (["--case=gpt_cpu", "--steps=0"], "--steps is 0; give 1 or more"),
        (["--case=gpt_cpu", "--cpu_devices=-1"], "cpu_devices is -1; it is 1 to 256"),
        (["--case=count", "--steps=3"], "case 'count' has no steps"),
        (["--case=count", "--rounds=3"], "leave --rounds out"),
        (["--case=gpt_cpu", "--json=."], "--json=. is a folder; name a file in it"),
        (["--case=gpt_cpu", "--json=/dev/null/figures.json"], "cannot be written to"),
        (["--case=gpt_cpu", "--profile=/dev/null/trace"], "cannot be written to"),
    ],
)
def test_what_cannot_be_measured_is_refused(arguments, told, capsys):
    assert main(["bench", *arguments]) == 2
    assert told in capsys.readouterr().err


def test_all_cases_are_told(capsys):
    assert main(["bench", "--case=list"]) == 0
    told = capsys.readouterr().out
    assert all(f"{case.name}: {case.about}" in told for case in registry.CASES.values())
