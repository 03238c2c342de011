import os
import signal
import subprocess
import sys
import threading

import pytest

from lmjax.errors import Stopped
from lmjax.runs.signals import SIGNALS, StopSignals


@pytest.fixture(autouse=True)
def interrupts_are_heard():
    """They are ignored where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("number, code", [("SIGTERM", 75), ("SIGUSR1", 75), ("SIGINT", 130)])
def test_a_deferred_signal_stops_where_it_is_looked_for(number, code, capfd):
    before = [signal.getsignal(number) for number in SIGNALS]
    number = signal.Signals[number]
    with StopSignals() as signals:
        done = []
        with pytest.raises(Stopped), signals.deferred():
            os.kill(os.getpid(), number)
            done.append(signals.received)
        assert done == [number]
        assert signals.stopped(" here").exit_code == code
    assert "saving after this step" in capfd.readouterr().err
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_an_ignored_signal_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with StopSignals() as signals:
            os.kill(os.getpid(), signal.SIGINT)
        assert signals.received is None
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_without_a_signal_nothing_is_raised():
    with StopSignals() as signals, signals.deferred():
        pass
    assert signals.received is None


def test_the_second_signal_ends_the_process():
    code = (
        "import os, signal\n"
        "from lmjax.runs.signals import StopSignals, signals_end_the_process\n"
        "with signals_end_the_process(), StopSignals() as signals, signals.deferred():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('still here')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 137 and done.stdout == ""


ENDED = """
import os, signal, sys
from pathlib import Path
from lmjax.runs.lock import only_writer
from lmjax.runs.signals import StopSignals, signals_end_the_process
print("before")
with signals_end_the_process(), StopSignals(), only_writer(Path(sys.argv[1])):
    assert Path(sys.argv[1], "lock.json").exists()
    os.kill(os.getpid(), signal.Signals[sys.argv[2]])
    print("still here")
"""


@pytest.mark.parametrize("name, code", [("SIGTERM", 75), ("SIGUSR1", 75), ("SIGINT", 130)])
def test_where_nothing_is_to_be_saved_a_signal_ends_the_process(name, code, tmp_path):
    command = [sys.executable, "-c", ENDED, str(tmp_path), name]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code
    assert done.stdout == "before\n"
    told = f"stopped by {name}; nothing is half written: give the same command again"
    assert done.stderr.strip() == told
    assert list(tmp_path.iterdir()) == []


def test_without_a_command_line_an_interrupt_is_pythons_own():
    with pytest.raises(KeyboardInterrupt), StopSignals():
        os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), StopSignals() as signals, signals.deferred():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)


def test_in_another_thread_none_are_caught():
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def enter():
        with StopSignals():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert seen == [before]
