"""A long training grows in nothing: `soak.py` for an hour gives the figure to quote."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MINUTES = 5
MOST_MEGABYTES_A_MINUTE = 4  # allocators settle for longer than these minutes


def test_soak(full, scorecard):
    if not full:
        pytest.skip("takes minutes: see make torture")
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("soak.py"), f"--minutes={MINUTES}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    failures = []
    if found["megabytes_a_minute"] > MOST_MEGABYTES_A_MINUTE:
        failures.append(f"memory grows: {found['megabytes_a_minute']} MB a minute")
    if found["compilations_after_warm_up"]:
        failures.append(f"{found['compilations_after_warm_up']} compilations after the warm-up")
    if found["open_files_at_the_end"] > found["open_files_after_warm_up"]:
        failures.append("open files grow")
    note = (
        f"{found['steps']} steps, {found['saves']} saves, {found['megabytes_a_minute']} MB a minute"
    )
    scorecard(f"8 soak of {MINUTES} minutes", found["saves"], failures, note)
