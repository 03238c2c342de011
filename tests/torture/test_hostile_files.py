"""Hostile files are refused in one line, soon and in little memory, and nothing is executed."""

import json
import mmap
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from tests.torture.hostile_cases import CASES, Case, Payload
from tests.torture.hostile_files import ROOT, Watch, measure

MOST_SECONDS, MOST_MB = 2, 200

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="memory is measured on Linux alone"
)


@pytest.fixture(scope="module")
def rows():
    command = [sys.executable, "-m", "tests.torture.hostile_files", "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=200)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    return json.loads(done.stdout)


def test_every_case_is_read(rows):
    assert len(rows) == len(CASES) >= 40


def test_what_is_hostile_is_refused_and_what_is_harmless_read(rows):
    wrong = [(r["name"], r["outcome"], r["message"]) for r in rows if not r["as_expected"]]
    assert not wrong


def test_messages_are_short_and_say_what_to_do(rows):
    messages = [row["message"] for row in rows if row["outcome"] == "refused"]
    assert not [message for message in messages if "\n" in message or len(message) > 400]
    assert not [message for message in messages if "; " not in message and "(known:" not in message]


def test_nothing_is_executed_or_opened_outside(rows):
    assert not [(row["name"], row["events"]) for row in rows if row["events"] or row["canary"]]


def test_time_and_memory_are_bounded(rows):
    slow = [(row["name"], row["seconds"]) for row in rows if row["seconds"] > MOST_SECONDS]
    large = [(row["name"], row["peak_mb"]) for row in rows if row["peak_mb"] > MOST_MB]
    assert not slow and not large


def unpickle(path):
    pickle.loads(pickle.dumps(Payload()))


def look_outside(path):
    (path.parent / "other").read_text()


def take_memory(path):
    with mmap.mmap(-1, 1 << 28) as taken:  # what was freed before would serve malloc again
        for place in range(0, len(taken), mmap.PAGESIZE):
            taken[place] = 1


def crash(path):
    raise KeyError(path)


@pytest.mark.parametrize(
    ("read", "field", "found"),
    [
        (unpickle, "events", lambda events: "os.system" in events),
        (look_outside, "events", lambda events: "other" in events[0]),
        (take_memory, "peak_mb", lambda peak: 240 < peak < 320),
        (crash, "outcome", lambda outcome: outcome == "CRASHED"),
    ],
)
def test_what_is_done_is_seen(tmp_path, monkeypatch, read, field, found):
    (tmp_path / "other").write_text("")
    folder = tmp_path / "case"
    folder.mkdir()
    monkeypatch.setenv("LMJAX_CANARY", str(tmp_path / "canary"))
    row = measure(Case("", "", lambda folder: folder, read), folder, Watch())
    assert found(row[field]), row
    assert (tmp_path / "canary").exists() == (read is unpickle)
