import json
import sys

import pytest

from lmjax.checks import benchmark
from lmjax.cli.main import main
from lmjax.errors import UserError

PEER = """
import json, sys
assert "--width=8" in sys.argv and "--vocab=11" in sys.argv and "--steps=2" in sys.argv
print("warming up")
print(json.dumps({"ms_per_step": 1e6}))
"""


@pytest.fixture
def tiny(monkeypatch):
    case = benchmark.Case("tiny", "rnn", 11, 2, 4, dict(layers=1, width=8), {})
    monkeypatch.setitem(benchmark.CASES, "tiny", case)
    return case


def test_it_runs_in_turns_with_a_peer(tiny, tmp_path, capsys):
    (tmp_path / "peer.py").write_text(PEER)
    figures = tmp_path / "figures.json"
    arguments = ["--case=tiny", f"--peer={tmp_path}/peer.py", f"--json={figures}"]
    assert main(["bench", *arguments, "--steps=2", "--rounds=2"]) == 0
    (result,) = json.loads(figures.read_text())
    assert result["ours"]["steps"] == 4
    assert result["peers"][0]["median"] == 1e6
    assert result["ratios"][0] == pytest.approx(1e6 / result["ours"]["median"])
    assert result["share_of_ceiling"] == pytest.approx(result["ceiling"] / result["ours"]["median"])


def test_a_peer_that_fails_is_named(tiny, tmp_path):
    (tmp_path / "peer.py").write_text("raise SystemExit('no such thing')")
    with pytest.raises(UserError, match="gave no timing: no such thing"):
        benchmark.compare(tiny, [f"{tmp_path}/peer.py"], sys.executable, 1, 1)


def test_unknown_cases_are_refused():
    with pytest.raises(UserError, match="did you mean 'gpt_cpu'"):
        benchmark.find_case("gpt_cpus")
