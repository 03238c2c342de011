"""Being asked to stop: by a scheduler that takes the machine back, or by the keyboard."""

import os
import signal
import threading
from types import FrameType

PREEMPTED = 75  # exit code, EX_TEMPFAIL of sysexits.h: the same command goes on
INTERRUPTED = 130  # exit code, as a shell gives it for Ctrl-C
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopSignals:
    """While entered, the first signal is remembered, and the second ends the process at once.

    Python takes signals in the main thread alone; entered in another, none are caught.
    """

    def __init__(self):
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, signal.Handlers] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        return INTERRUPTED if self.received == signal.SIGINT else PREEMPTED

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received:
            os._exit(128 + number)  # nothing half written counts, so nothing has to be cleaned up
        self.received = signal.Signals(number)
