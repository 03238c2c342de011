import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmjax.errors import UserError
from lmjax.runs.lock import LOCK_FILE, only_writer

HOLD = (
    "import sys, time; from pathlib import Path; from lmjax.runs.lock import only_writer\n"
    "with only_writer(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
)


@pytest.fixture
def holder(tmp_path):
    """Another process that holds `tmp_path / 'run'`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_a_living_owner_is_named_and_kept(holder, tmp_path):
    begin = time.monotonic()
    with (
        pytest.raises(UserError, match=f"being written by process {holder.pid} on .* since 20"),
        only_writer(tmp_path / "run"),
    ):
        pass
    assert time.monotonic() - begin < 5
    assert json.loads((tmp_path / "run" / LOCK_FILE).read_text())["process"] == holder.pid


def test_a_dead_owner_is_followed(holder, tmp_path):
    holder.kill()
    holder.wait()
    with only_writer(tmp_path / "run") as line:
        assert f"process {holder.pid}" in line and "gone" in line
        assert json.loads((tmp_path / "run" / LOCK_FILE).read_text())["process"] == os.getpid()
    assert list((tmp_path / "run").iterdir()) == []


def test_the_process_number_of_a_dead_owner_may_live_again(tmp_path):
    """Whoever has the number now does not hold the kernel's lock."""
    with only_writer(tmp_path):
        owner = json.loads((tmp_path / LOCK_FILE).read_text())
    (tmp_path / LOCK_FILE).write_text(json.dumps({**owner, "process": os.getppid()}))
    with only_writer(tmp_path) as line:
        assert "gone" in line


def refused(folder, match):
    with pytest.raises(UserError, match=match), only_writer(folder):
        pass


def test_another_machines_owner_is_not_guessed_about(tmp_path):
    owner = {"host": "elsewhere", "process": 1, "started": "2020-01-01T00:00:00+00:00"}
    (tmp_path / LOCK_FILE).write_text(json.dumps(owner))
    refused(tmp_path, "process 1 on elsewhere .* if it is gone, delete .*lock")
    assert json.loads((tmp_path / LOCK_FILE).read_text()) == owner


def test_twice_in_one_process_is_refused(tmp_path):
    with only_writer(tmp_path):
        refused(tmp_path, f"process {os.getpid()}")
    with only_writer(tmp_path) as line:
        assert line is None


def test_a_lock_that_somebody_else_has_taken_is_left_to_them(tmp_path):
    """As it is when the file was deleted by hand while its owner lived."""
    with only_writer(tmp_path):
        (tmp_path / LOCK_FILE).unlink()
        with only_writer(tmp_path):
            pass
        (tmp_path / LOCK_FILE).write_text("theirs")
    assert (tmp_path / LOCK_FILE).read_text() == "theirs"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 5000])
def test_a_lock_that_nobody_can_read_but_nobody_holds(content, tmp_path):
    (tmp_path / LOCK_FILE).write_bytes(content)
    with only_writer(tmp_path) as line:
        assert line is None
        assert json.loads((tmp_path / LOCK_FILE).read_text())["process"] == os.getpid()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run", Path("/proc/run")):
        refused(folder, "cannot write to .*; choose another")
