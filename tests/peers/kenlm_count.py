"""Peer: KenLM's `lmplz` and `build_binary`, from a text of a sentence a line to a model on disk.

python kenlm_count.py --text train.txt --binaries kenlm/build/bin --memory 4G --model model.bin

The programs come from KenLM's source (cmake and Boost); its Python package holds that source but
installs only the side that reads models.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path


def timed(command: list[str]) -> dict[str, float]:
    """Wall and processor seconds of a command, and the most memory that it held."""
    start = time.perf_counter()
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        log = process.stderr.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: {log}")
    return {
        "seconds": round(time.perf_counter() - start, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_gb": round(usage.ru_maxrss * 1024 / 1e9, 3),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", required=True)
    parser.add_argument("--binaries", type=Path, required=True)
    parser.add_argument("--order", type=int, default=5)
    parser.add_argument(
        "--memory", default="80%", help="lmplz -S: for sorting; the rest is on disk"
    )
    parser.add_argument("--structure", default="probing", choices=["probing", "trie"])
    parser.add_argument("--model", required=True, help="the file that the model is written to")
    parser.add_argument("--version", default="0.3.0", help="of the source; the programs tell none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        arpa = f"{folder}/model.arpa"
        options = ["-o", str(arguments.order), "-S", arguments.memory, "-T", f"{folder}/"]
        options += ["--text", arguments.text, "--arpa", arpa, "--discount_fallback"]
        count = timed([str(arguments.binaries / "lmplz"), *options])
        build = [str(arguments.binaries / "build_binary"), "-T", f"{folder}/", "-S", "1G"]
        binary = timed([*build, arguments.structure, arpa, arguments.model])
        arpa_gb = os.path.getsize(arpa) / 1e9
    seconds = count["seconds"] + binary["seconds"]
    print(
        json.dumps(
            {
                "name": f"kenlm lmplz -o {arguments.order} -S {arguments.memory}, build_binary",
                "ms_per_step": round(1e3 * seconds, 1),
                "steps": 1,
                "lmplz": count,
                f"build_binary {arguments.structure}": binary,
                "arpa_gb": round(arpa_gb, 3),
                "model_gb": round(os.path.getsize(arguments.model) / 1e9, 3),
                "text_gb": round(os.path.getsize(arguments.text) / 1e9, 3),
                "kenlm": arguments.version,
            }
        )
    )


if __name__ == "__main__":
    main()
