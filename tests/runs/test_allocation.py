import subprocess
import sys

import pytest

PROGRAM = """
import resource
from lmjax.runs.devices import prepare_devices

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

prepare_devices(1)
bytearray(1 << 25)
before = faults()
for _ in range(10):
    bytearray(1 << 25)
print(faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's mallopt")
def test_memory_that_one_step_frees_is_there_for_the_next():
    """Ten times 32 MB are 81,920 pages, each a fault if it was given back in between."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert int(done.stdout) < 1000, done.stderr
