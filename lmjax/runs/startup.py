"""Where the seconds went between the start of a program and the first step of its training."""

import time

SHORTEST = 0.05  # seconds of a part that is told


class Startup:
    """A watch that is stopped after each part; `begun` is a `time.monotonic()`, None: now."""

    def __init__(self, begun: float | None = None):
        self._begun = self._last = time.monotonic() if begun is None else begun
        self._seconds: dict[str, float] = {}

    def end(self, part: str) -> None:
        """What was done since the part before was `part`."""
        now = time.monotonic()
        self._seconds[part], self._last = now - self._last, now

    def line(self) -> str:
        """`started in 2.1 s: imports 1.2, program 0.3, first step 0.6`, without the short parts."""
        parts = [
            f"{part} {seconds:.1f}"
            for part, seconds in self._seconds.items()
            if seconds >= SHORTEST
        ]
        told = f": {', '.join(parts)}" if parts else ""
        return f"started in {self._last - self._begun:.1f} s{told}"
