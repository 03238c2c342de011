import json
import shutil
import sys
from dataclasses import replace
from hashlib import sha256
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.checkpoints.store import Checkpoints
from lmjax.errors import UserError
from tests.toy_states import training_state


def state_at(step):
    params = {"params": {"kernel": np.full((2, 3), step, np.float32)}}
    return training_state(step, params, (np.int32(step), params))


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    return tmp_path / "checkpoints"


@pytest.fixture
def lines():
    return []


@pytest.fixture
def checkpoints(folder, lines):
    found = Checkpoints(folder, keep=2, say=lines.append)
    yield found
    found.close()


def save(checkpoints, *steps, **kept):
    for step in steps:
        checkpoints.save(state_at(step), {"step": step}, **kept)
    checkpoints.wait()


def kernel(checkpoints, step):
    return checkpoints.restore_params(step)["params"]["kernel"]


def test_what_is_saved_comes_back(checkpoints):
    about = {"position": {"data": {"next_index": 7}, "best": float("inf"), "nats": 0.1 + 0.2}}
    checkpoints.save(state_at(3), about)
    checkpoints.wait()
    state = checkpoints.restore(3, state_at(0))
    assert checkpoints.newest_intact() == 3
    assert checkpoints.about(3) == about
    assert state.step == 3 and state.learning_rate_scale == 0.5
    np.testing.assert_array_equal(state.params["params"]["kernel"], np.full((2, 3), 3))
    assert state.optimizer_state[0] == 3


def test_there_is_none_at_first(checkpoints):
    assert checkpoints.newest_intact() is None and checkpoints.steps == []
    with pytest.raises(UserError, match="no checkpoint at step 4 .kept: none"):
        checkpoints.restore_params(4)


def test_what_changes_after_a_save_is_not_saved(checkpoints):
    state = state_at(1)
    checkpoints.save(state, {})
    state.params["params"]["kernel"][:] = 7
    checkpoints.wait()
    np.testing.assert_array_equal(kernel(checkpoints, 1), np.ones((2, 3)))


def test_rotation_keeps_the_newest_the_named_and_every_nth(folder):
    checkpoints = Checkpoints(folder, keep=2, keep_every=4)
    save(checkpoints, *range(1, 12), needs=[3])
    assert checkpoints.steps == [3, 4, 8, 10, 11]
    save(checkpoints, 12)
    assert checkpoints.steps == [3, 4, 8, 11, 12]  # 11 needs it
    save(checkpoints, 13)
    assert checkpoints.steps == [4, 8, 12, 13]
    with pytest.raises(UserError, match="kept: 4, 8, 12, 13"):
        checkpoints.restore_params(3)
    checkpoints.close()


def test_what_has_no_manifest_is_not_seen(checkpoints, folder, lines):
    save(checkpoints, 1, 2)
    (folder / "2" / "manifest.json").unlink()
    (folder / "5" / "params").mkdir(parents=True)
    (folder / "9").mkdir()
    (folder / "10").mkdir()
    (folder / "10" / "notes.txt").write_text("mine")
    (folder / "2a").mkdir()
    again = Checkpoints(folder, keep=2, say=lines.append)
    assert again.newest_intact() == 1
    save(again, 2, 9, 10)
    assert again.steps == [9, 10]
    assert (folder / "10.foreign" / "notes.txt").read_text() == "mine"
    assert (folder / "2.unvouched" / "params").is_dir() and not (folder / "5").exists()
    assert len(lines) == 2
    assert "moved to 10.foreign" in lines[0] + lines[1]
    assert "no manifest.json, so it does not count; moved to 2.unvouched" in lines[0] + lines[1]
    again.close()


def test_one_that_is_damaged_while_the_run_goes_on_is_found_and_saved_again(checkpoints, folder):
    save(checkpoints, 1, 2)
    assert checkpoints.newest_intact() == 2
    file = next((folder / "2" / "params" / "d").iterdir())
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert checkpoints.newest_intact() == 1
    save(checkpoints, 2)
    assert checkpoints.newest_intact() == 2


@pytest.mark.parametrize(
    "files",
    [
        {"/etc/hostname": [1, "a"]},
        {"../../secret": [1, "a"]},
        {},
        {"params": 5},
        {"params": ["a", 1]},
        [],
        None,
    ],
)
def test_a_manifest_that_somebody_made_leads_nowhere(files, checkpoints, folder):
    save(checkpoints, 1)
    content = {"files": files, "leaves": {}, "needs": []}
    digest = sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()
    (folder / "1" / "manifest.json").write_text(json.dumps({**content, "sha256": digest}))
    opened = []
    watching = True

    def watch(event, arguments):
        if watching and event == "open":
            opened.append(str(arguments[0]))

    sys.addaudithook(watch)
    with pytest.raises(UserError, match="no checkpoint in .* is intact"):
        Checkpoints(folder, read_only=True).newest_intact()
    watching = False
    assert all(name.startswith(str(folder)) for name in opened if "/" in name)
    assert any("manifest.json" in name for name in opened)


def test_bfloat16_that_is_not_finite_is_not_saved(checkpoints):
    bad = replace(state_at(2), optimizer_state=(np.full(3, np.nan, jnp.bfloat16),))
    checkpoints.save(bad, {})
    with pytest.raises(UserError, match="optimizer_state/0 is not finite"):
        checkpoints.wait()


@pytest.mark.parametrize("harm", ["flipped", "cut", "missing", "manifest"])
def test_a_damaged_one_is_never_restored(harm, folder, lines):
    checkpoints = Checkpoints(folder, keep=3)
    save(checkpoints, 1, 2, 3)
    checkpoints.close()
    file = max((folder / "3" / "params").rglob("d/*"), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    if harm == "flipped":
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    elif harm == "cut":
        file.write_bytes(content[:-1])
    elif harm == "missing":
        file.unlink()
    else:
        manifest = folder / "3" / "manifest.json"
        manifest.write_text(manifest.read_text().replace("float32[2,3]", "float32[3,2]"))
    reader = Checkpoints(folder, read_only=True, say=lines.append)
    with pytest.raises(UserError, match="step 3 .* is damaged .*kept: 1, 2.$"):
        reader.restore_params(3)
    assert reader.newest_intact() == 2 and (folder / "3").is_dir()
    reader.close()
    writer = Checkpoints(folder, keep=3, say=lines.append)
    assert writer.newest_intact() == 2
    assert "step 3 is damaged" in lines[-1] and "newest intact one is of step 2" in lines[-1]
    assert not (folder / "3").exists() and (folder / "3.damaged").is_dir()
    np.testing.assert_array_equal(kernel(writer, 2), np.full((2, 3), 2))
    save(writer, 3)
    assert writer.steps == [1, 2, 3]
    writer.close()


def test_without_an_intact_one_nothing_is_begun_anew(checkpoints, folder):
    save(checkpoints, 1)
    (folder / "1" / "manifest.json").write_text("{}")
    with pytest.raises(UserError, match="no checkpoint in .* is intact .*manifest.json"):
        Checkpoints(folder, read_only=True).newest_intact()


@pytest.mark.parametrize(
    "like, named",
    [
        (
            {"params": {"kernel": np.zeros((2, 3), jnp.bfloat16)}},
            r"params/params/kernel is float32\[2,3\] there, bfloat16\[2,3\]",
        ),
        (
            {"params": {"kernel": np.zeros((3, 2), np.float32)}},
            r"kernel is float32\[2,3\] there, float32\[3,2\]",
        ),
        (
            {"params": {"bias": np.zeros((2, 3), np.float32)}},
            r"params/params/bias is absent there, float32\[2,3\]",
        ),
    ],
)
def test_another_dtype_shape_or_tree_is_refused(checkpoints, like, named):
    save(checkpoints, 1)
    with pytest.raises(UserError, match=named):
        checkpoints.restore(1, replace(state_at(0), params=like))


def test_a_save_that_fails_is_told_and_never_advertised(checkpoints, folder, monkeypatch):
    save(checkpoints, 1)

    def fail(folder, leaves, needs):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("lmjax.checkpoints.store.write_manifest", fail)
    checkpoints.save(state_at(2), {})
    with pytest.raises(UserError, match="step 2 could not be written .*newest checkpoint: 1"):
        checkpoints.wait()
    checkpoints.check()
    assert checkpoints.steps == [1] and checkpoints.newest_intact() == 1
    assert not (folder / "2").exists()
    monkeypatch.undo()
    save(checkpoints, 2)
    assert checkpoints.steps == [1, 2]


def test_what_is_not_finite_is_not_saved(checkpoints):
    save(checkpoints, 1)
    bad = replace(state_at(2), optimizer_state=(np.int32(2), {"m": np.array([1.0, np.inf])}))
    checkpoints.save(bad, {})
    with pytest.raises(UserError, match="optimizer_state/1/m is not finite after step 2"):
        checkpoints.wait()
    assert checkpoints.steps == [1]


def test_a_full_disk_is_told_before_anything_is_written(checkpoints, folder, monkeypatch):
    save(checkpoints, 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match="1,000 bytes free, and a checkpoint needs 16,7.*step 1"):
        checkpoints.save(state_at(2), {})
    assert [path.name for path in folder.iterdir()] == ["1"]


def test_a_step_that_is_saved_is_left_as_it_is(checkpoints):
    save(checkpoints, 1)
    checkpoints.save(replace(state_at(1), learning_rate_scale=np.float32(9)), {})
    checkpoints.wait()
    assert checkpoints.restore(1, state_at(0)).learning_rate_scale == 0.5
