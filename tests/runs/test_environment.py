import json
import re
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import jax

import lmjax
from lmjax.runs.environment import PACKAGES, checkout, environment, processor_name, versions


def git(folder, *arguments):
    names = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


def test_versions_are_those_of_the_modules():
    found = versions()
    assert found["jax"] == jax.__version__
    assert found["python"] == sys.version.split()[0]
    assert found["lmjax"]


def test_every_dependency_is_reported():
    setup = ConfigParser()
    setup.read(Path(lmjax.__file__).parent.parent / "setup.cfg")
    required = setup["options"]["install_requires"].split()
    assert {re.split("[<>=]", requirement)[0] for requirement in required} < set(PACKAGES)


def test_versions_need_no_jax():
    program = (
        "import sys; from lmjax.runs.environment import versions; import lmjax.runs.run_directory; "
        "assert versions()['jax']; sys.exit('jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_environment_is_json_and_counts_devices():
    found = json.loads(json.dumps(environment(), allow_nan=False))
    assert len(found["devices"]) == jax.device_count()


def test_the_processor_is_named_as_by_linux():
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = {line.split(": ", 1)[1] for line in lines if line.startswith("model name")}
    assert environment()["machine"]["processor"] in (names or {processor_name()})


def test_checkout_names_commit_diff_and_new_files(tmp_path):
    git(tmp_path, "init")
    assert checkout(tmp_path) is None
    (tmp_path / "file").write_text("one\n")
    git(tmp_path, "add", "file")
    git(tmp_path, "commit", "-m", "first")
    found = checkout(tmp_path)
    assert len(found["commit"]) == 40
    assert found["diff"] == "" and found["untracked"] == []
    (tmp_path / "file").write_text("two\n")
    (tmp_path / "new").write_text("")
    found = checkout(tmp_path)
    assert "-one" in found["diff"] and "+two" in found["diff"]
    assert found["untracked"] == ["new"]


def test_a_folder_inside_another_checkout_is_none(tmp_path):
    git(tmp_path, "init")
    git(tmp_path, "commit", "--allow-empty", "-m", "first")
    (tmp_path / "inside").mkdir()
    assert checkout(tmp_path) is not None
    assert checkout(tmp_path / "inside") is None
