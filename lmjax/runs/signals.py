"""Being asked to stop: by a scheduler that takes the machine back, or by the keyboard."""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from lmjax.errors import INTERRUPTED, KILLED, PREEMPTED, Stopped

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
SHOW_CURSOR = b"\x1b[?25h"  # a progress bar hides it

Handler = Callable[[int, FrameType | None], None]

_undone_first: list[Callable[[], None]] = []


@contextmanager
def signals_end_the_process() -> Iterator[None]:
    """Within, a signal ends the process at once, with the exit code that says so.

    Nothing half written counts, so where no training is under way nothing has to be saved.
    """
    before = _set_handlers(end_process)
    try:
        yield
    finally:
        _reset_handlers(before)


@contextmanager
def undone_at_the_end(undo: Callable[[], None]) -> Iterator[None]:
    """Within, `undo` is called before a signal ends the process."""
    _undone_first.append(undo)
    try:
        yield
    finally:
        _undone_first.remove(undo)


def end_process(number: int, frame: FrameType | None) -> None:
    """The handler of `signals_end_the_process`."""
    for undo in reversed(_undone_first):
        with suppress(OSError):
            undo()
    with suppress(OSError, RuntimeError):  # it may be in the middle of a print
        sys.stdout.flush()
    received = signal.Signals(number)
    if os.isatty(1):
        _tell(1, SHOW_CURSOR)
    told = f"\nstopped by {received.name}; nothing is half written: give the same command again\n"
    _tell(2, told.encode())
    os._exit(_exit_code(received))


class StopSignals:
    """While entered and `deferred`, the first signal is remembered, and training saves and stops.

    The second ends the process at once. While not deferred, a signal does what it did before:
    on the command line it ends the process, in a notebook it raises KeyboardInterrupt. Python takes
    signals in its main thread alone; entered in another, none are caught.
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._is_deferred = False
        self._before: dict[signal.Signals, Handler | signal.Handlers] = {}

    def __enter__(self) -> "StopSignals":
        self._before = _set_handlers(self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        _reset_handlers(self._before)

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Within, a signal waits until someone looks at `received`, at the latest until the end."""
        self._is_deferred = True
        try:
            yield
        finally:
            self._is_deferred = False
        if self.received:
            raise self.stopped("")

    def stopped(self, where: str) -> Stopped:
        """What to raise for the signal received, or without one for whoever else asked."""
        name = self.received.name if self.received else "request"
        return Stopped(
            f"stopped by {name}{where}; the same command goes on", _exit_code(self.received)
        )

    def _handle(self, number: int, frame: FrameType | None) -> None:
        before = self._before[signal.Signals(number)]
        if self._is_deferred and not self.received:
            self.received = signal.Signals(number)
            line = f"\n{self.received.name}: saving after this step; a second one ends it at once\n"
            _tell(2, line.encode())
        elif self.received and before != signal.default_int_handler:
            os._exit(KILLED)
        elif callable(before):
            before(number, frame)
        else:
            signal.signal(number, before)
            signal.raise_signal(number)


def _set_handlers(handler: Handler) -> dict[signal.Signals, Handler | signal.Handlers]:
    """Sets the handler of all SIGNALS that are not ignored; returns those before."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    before = {number: signal.getsignal(number) for number in SIGNALS}
    # A run in the background of a shell is not to be stopped by the foreground's Ctrl-C.
    heard = [number for number in SIGNALS if before[number] != signal.SIG_IGN]
    return {number: signal.signal(number, handler) for number in heard}


def _reset_handlers(before: dict[signal.Signals, Handler | signal.Handlers]) -> None:
    for number, handler in before.items():
        signal.signal(number, handler)


def _exit_code(received: signal.Signals | None) -> int:
    return INTERRUPTED if received == signal.SIGINT else PREEMPTED


def _tell(descriptor: int, text: bytes) -> None:
    with suppress(OSError):  # nobody may be left to read it
        os.write(descriptor, text)  # print may be in the middle of another line
