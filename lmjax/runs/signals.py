"""Being asked to stop: by a scheduler that takes the machine back, or by the keyboard."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from lmjax.errors import INTERRUPTED, KILLED, PREEMPTED, Stopped

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopSignals:
    """While entered, a signal raises Stopped; while `deferred`, the first one is remembered.

    The second ends the process at once: nothing half written counts, so nothing has to be cleaned
    up. Python takes signals in its main thread alone; entered in another, none are caught.
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._is_deferred = False
        self._before: dict[signal.Signals, signal.Handlers] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            before = {number: signal.getsignal(number) for number in SIGNALS}
            # A run in the background of a shell is not to be stopped by the foreground's Ctrl-C.
            heard = [number for number in SIGNALS if before[number] != signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._handle) for number in heard}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

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
        code = INTERRUPTED if self.received == signal.SIGINT else PREEMPTED
        return Stopped(f"stopped by {name}{where}; the same command goes on", code)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            os._exit(KILLED)
        self.received = signal.Signals(number)
        if not self._is_deferred:
            raise self.stopped("")
        line = f"\n{self.received.name}: saving after this step; a second one ends it at once\n"
        with suppress(OSError):  # nobody may be left to read it
            os.write(2, line.encode())  # print may be in the middle of another line
