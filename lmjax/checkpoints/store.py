"""Checkpoints: the one module that knows Orbax.

A checkpoint is the parameters, the other fields of the state (optimizer, carried state, ...) and
what it is about (position, timers, configuration): all of it, committed and vouched for, or it is
not seen. A state is any dataclass with the fields `step` and `params`.
"""

import logging
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.options import AtomicityMode, AtomicityOptions

from lmjax.checkpoints.folders import clear_unfinished, committed_steps, delete, move_aside
from lmjax.checkpoints.manifest import (
    Damaged,
    described,
    needed_steps,
    verified_leaves,
    write_manifest,
)
from lmjax.errors import LOWER, UserError, writing
from lmjax.nn.leaves import first_nonfinite

# Orbax warns of options that it was given, and logs the errors that it raises.
logging.getLogger("absl").setLevel(logging.CRITICAL)

State = Any  # a dataclass of trees of arrays

SPARE_BYTES = 1 << 24  # what a checkpoint takes on disk beside its arrays, at most


class Checkpoints:
    """The checkpoints of one run directory, saved in the background, verified when read.

    Kept are the `keep` newest with those that they need, and every `keep_every`-th step (0: none).
    `say` is given a line for whatever was found wrong.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep: int = 1,
        keep_every: int = 0,
        read_only: bool = False,
        say: Callable[[str], None] = print,
    ):
        self._folder, self._read_only, self._say = folder.absolute(), read_only, say
        self._keep, self._keep_every = max(1, keep), keep_every
        self._background = ThreadPoolExecutor(1, "checkpoints")
        self._saving: tuple[int, Future] | None = None
        self._verified: dict[int, dict[str, str]] = {}
        if not read_only:
            if set("*?[") & set(str(self._folder)):  # Orbax takes it as a pattern: arrays are lost
                raise UserError(
                    f"checkpoints can't be saved in {self._folder}: the path has one of * ? [; "
                    "choose another --workdir"
                )
            with writing(self._folder):
                clear_unfinished(self._folder, self._say)

    @property
    def steps(self) -> list[int]:
        """The steps of the committed checkpoints, ascending."""
        return committed_steps(self._folder)

    def save(self, state: State, about: dict[str, Any], needs: Iterable[int] = ()) -> None:
        """Begins to save host arrays and what is JSON; a step that is saved already is left.

        The checkpoints of the steps that it `needs` are kept as long as it is one of the newest.
        Raises UserError if the save before failed, or if the disk has no room.
        """
        self.wait()
        step = int(state.step)
        if step in self.steps:
            return
        state = jax.tree.map(np.array, state)  # a copy: the step reuses the memory of its donation
        self._check_room(sum(leaf.nbytes for leaf in jax.tree.leaves(state)))
        self._saving = step, self._background.submit(self._write, step, state, about, {*needs})

    def check(self) -> None:
        """Raises UserError if the save in the background has failed."""
        if self._saving and self._saving[1].done():
            self.wait()

    def wait(self) -> None:
        """Waits until what is being saved is committed; raises UserError if it can't be."""
        if not self._saving:
            return
        (step, future), self._saving = self._saving, None
        try:
            future.result()
        except UserError:
            raise
        except Exception as error:
            newest = max(self.steps, default="none")
            failed = "older checkpoints" if newest == step else f"the checkpoint of step {step}"
            verb = "deleted from" if newest == step else "written to"
            raise UserError(
                f"{failed} could not be {verb} {self._folder} "
                f"({_cause(error)}; newest checkpoint: {newest}); mend that, then start again"
            ) from error

    def newest_intact(self) -> int | None:
        """The step of the newest checkpoint whose files are as they were saved; None without any.

        Damaged newer ones are moved aside, and said. Raises UserError if none is intact.
        """
        damaged = {}
        self._verified.clear()  # hours may have passed
        for step in reversed(self.steps):
            try:
                self._verify(step)
                break
            except Damaged as error:
                damaged[step] = f"the checkpoint of step {step} is damaged: {error}"
        else:
            if not damaged:
                return None
            raise UserError(
                f"no checkpoint in {self._folder} is intact ({'; '.join(damaged.values())}); "
                "restore one from a copy, or delete the folder to begin anew"
            )
        if damaged and not self._read_only:
            self._forget_steps()
        for other, line in damaged.items():
            self._say(f"{line}; the newest intact one is of step {step}")
            if not self._read_only:
                with writing(self._folder):
                    move_aside(self._folder / str(other), "damaged")
        return step

    def about(self, step: int) -> dict[str, Any]:
        """What `save` was told of the checkpoint at `step`."""
        self.require(step)
        return self._restored(step, about=ocp.args.JsonRestore())["about"]

    def restore(self, step: int, like: State) -> State:
        """The checkpoint at `step` as host arrays in the shape of `like`.

        Raises UserError, naming the leaf, if one has another name, dtype or shape than in `like`.
        """
        parts = {"params": like.params, "state": _without_params(like)}
        self._check_fits(step, self.require(step), described(parts))
        arguments = {name: ocp.args.StandardRestore(_host(part)) for name, part in parts.items()}
        restored = self._restored(step, **arguments)
        return replace(like, params=restored["params"], **restored["state"])

    def restore_params(self, step: int, like: Any = None) -> Any:
        """The parameters alone of the checkpoint at `step`, in the shape of `like` if it is given.

        Raises UserError if it is not kept, is damaged or does not fit.
        """
        self._verified.pop(step, None)  # hours may have passed since it was looked at
        leaves = self.require(step)
        if like is not None:
            of_params = {name: leaf for name, leaf in leaves.items() if name.startswith("params/")}
            self._check_fits(step, of_params, described({"params": like}))
        return self._restored(step, params=ocp.args.StandardRestore())["params"]

    def close(self) -> None:
        """Ends what runs in the background; raises UserError if a save failed."""
        try:
            self.wait()
        finally:
            self._background.shutdown()
            self._forget_steps()

    @cached_property
    def _manager(self) -> ocp.CheckpointManager:
        return ocp.CheckpointManager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                atomicity_options=AtomicityOptions(mode=AtomicityMode.COMMIT_FILE),
                create=not self._read_only,
                read_only=self._read_only,
                enable_async_checkpointing=False,  # digests must follow, and rotation follow them
            ),
        )

    def _forget_steps(self) -> None:
        """Orbax keeps a list of the steps that it has seen; what it lists can't be saved again."""
        if "_manager" in self.__dict__:
            self._manager.close()
            del self._manager

    def _write(self, step: int, state: State, about: dict[str, Any], needs: set[int]) -> None:
        if bad := first_nonfinite(state):
            raise UserError(
                f"{bad} is not finite after step {step}, nothing of it was saved; {LOWER}"
            )
        parts = {"params": state.params, "state": _without_params(state)}
        arrays = {name: ocp.args.StandardSave(part) for name, part in parts.items()}
        about = ocp.args.JsonSave(about)
        try:
            self._manager.save(step, args=ocp.args.Composite(**arrays, about=about), force=True)
            write_manifest(self._folder / str(step), described(parts), needs)
        except BaseException:
            shutil.rmtree(self._folder / str(step), ignore_errors=True)
            self._forget_steps()
            raise
        self._rotate()

    def _rotate(self) -> None:
        steps = self.steps
        newest = steps[-self._keep :]
        keep = set(newest).union(*(needed_steps(self._folder / str(step)) for step in newest))
        if self._keep_every:
            keep.update(step for step in steps if step % self._keep_every == 0)
        for step in set(steps) - keep:
            delete(self._folder / str(step))

    def _restored(self, step: int, **parts: Any) -> Any:
        return self._manager.restore(step, args=ocp.args.Composite(**parts))

    def _verify(self, step: int) -> dict[str, str]:
        if step not in self._verified:
            self._verified[step] = verified_leaves(self._folder / str(step))
        return self._verified[step]

    def require(self, step: int) -> dict[str, str]:
        """The leaves of the checkpoint at `step`; raises UserError if it is not to be had."""
        self.wait()
        kept = ", ".join(str(other) for other in self.steps if other != step) or "none"
        if step not in self.steps:
            raise UserError(f"there is no checkpoint at step {step} (kept: {kept})")
        try:
            return self._verify(step)
        except Damaged as error:
            raise UserError(
                f"the checkpoint of step {step} in {self._folder} is damaged ({error}); restore it "
                f"from a copy or take the one of another step (kept: {kept})"
            ) from error

    def _check_fits(self, step: int, found: dict[str, str], expected: dict[str, str]) -> None:
        for name in sorted({**found, **expected}):
            if found.get(name) != expected.get(name):
                raise UserError(
                    f"the checkpoint of step {step} in {self._folder} does not fit: {name} is "
                    f"{found.get(name, 'absent')} there, {expected.get(name, 'absent')} in this "
                    "model; use the code and configuration that saved it"
                )

    def _check_room(self, array_bytes: int) -> None:
        needed = array_bytes + SPARE_BYTES
        with writing(self._folder):
            free = shutil.disk_usage(self._folder).free
        if free < needed:
            raise UserError(
                f"{self._folder} has {free:,} bytes free, and a checkpoint needs {needed:,}; "
                "free some, then start again: the newest checkpoint is of step "
                f"{max(self.steps, default='none')}"
            )


def _without_params(state: State) -> dict[str, Any]:
    """The other fields, without those that are None, as by default: checkpoints may be older."""
    others = [field for field in fields(state) if field.name != "params"]
    values = {field.name: getattr(state, field.name) for field in others}
    absent = {field.name for field in others if field.default is None is values[field.name]}
    return {name: value for name, value in values.items() if name not in absent}


def _host(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), tree)


def _cause(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # After the first bracket comes TensorStore's own specification of what it opened.
    return lines[0].split(" [")[0][:1000] if lines else type(error).__name__
