"""Runs that differ in seed, rates or first draw, trained as replicas of one program.

Each has its own folder, checkpoints and results, as if it had trained alone, and may go on alone or
with others. Its seconds are its share of the time that all took.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict
from rich.console import Console

from lmjax.data.batch import Batch
from lmjax.data.batching import Batching
from lmjax.data.training_batches import BATCHINGS
from lmjax.errors import Stopped
from lmjax.models.registry import build_model
from lmjax.own_models import is_own
from lmjax.runs.devices import device_errors
from lmjax.runs.run_directory import RunDirectory
from lmjax.runs.signals import StopSignals
from lmjax.runs.terminal import progress_bar, say
from lmjax.training.loop import TrainingLoop
from lmjax.training.prepare import Prepared, prepare
from lmjax.training.program import TrainingPlan, plan_training
from lmjax.training.replicas import Replicas
from lmjax.training.run import begin, checked_run, conclude, finished, held, is_done
from lmjax.training.schedules import hyperparameters_of

# Fields that one program leaves open: of them alone its arrays know.
NUMBERS = (
    "seed",
    "training.learning_rate",
    "training.final_learning_rate",
    "training.weight_decay",
)
# Fields that models of the package have: what a run begins with, and a number of the state.
OF_MODELS = ("initialization", "dropout")


def shared_program(config: ConfigDict) -> str | None:
    """What runs must have in common to be replicas of one program; None: it must train alone."""
    whole_machine = config.execution.mode == "jit" and tuple(config.execution.mesh) == ("data=-1",)
    batching = BATCHINGS.get(config.data.batching, Batching)  # an unknown one is refused later
    if not whole_machine or batching.lengths_vary(config.data) or jax.process_count() > 1:
        return None
    fixed = ConfigDict(config.to_dict())
    fixed.update_from_flattened_dict(dict.fromkeys(NUMBERS, 0))
    if not is_own(config.model.name):
        fixed.model.update({name: 0.0 for name in OF_MODELS if name in fixed.model})
    return fixed.to_json(sort_keys=True)


@dataclass
class _Member:
    """One of the runs, and where it is."""

    run: RunDirectory
    config: ConfigDict
    console: Console
    prepared: Prepared | None = None
    loop: TrainingLoop | None = None
    batch: Batch | None = None  # that it waits for
    outcome: Any = None  # its results, or the error that ended it

    def attempt(self, do: Callable, *arguments) -> Any:
        """What `do` returns; an error ends this run and no other."""
        try:
            return do(*arguments)
        except Exception as error:
            self.outcome = error
            return None


def train_together(
    configs: Mapping[Path, ConfigDict], console: Console | None = None, most: int = 0
) -> dict[Path, Any]:
    """Trains the run of each folder; returns its results, or the exception that ended it.

    All configurations must be of one `shared_program`. No more than `most` are replicas of one
    program (0: as many as memory has room for). Raises Stopped if a signal ends it before, when all
    is saved.
    """
    console = console or Console()
    members = {}
    for path, config in configs.items():
        member = members[path] = _Member(RunDirectory(path), config, Console(quiet=True))
        member.attempt(checked_run, config, path)
        if member.outcome is None and is_done(member.run, config):
            member.outcome = finished(member.run, console)
    with StopSignals() as signals:
        left = _left(members.values())
        with _errors_end(left):
            _prepare(left)
        while left := _left(left):
            with _errors_end(left):
                group, replicas = _fitting(left, most, console)
                with _errors_end(group):
                    _train_group(group, replicas, signals, console)
    return {path: member.outcome for path, member in members.items()}


def _left(members: Iterable[_Member]) -> list[_Member]:
    return [member for member in members if member.outcome is None]


@contextmanager
def _errors_end(members: Sequence[_Member]) -> Iterator[None]:
    """An error within ends those of the members that have not ended, and no other run."""
    try:
        with device_errors():
            yield
    except Exception as error:
        for member in _left(members):
            member.outcome = error


def _prepare(members: Sequence[_Member]) -> None:
    """All but their folders; text, tokenizer and, where it is the same, the model are shared."""
    if not members:
        return
    first = prepare(members[0].config)
    for member in members:
        plan, config = first.plan, member.config
        if config.model.to_json() == plan.config.model.to_json():
            dropout = config.model.get("dropout", 0.0)
            numbers = hyperparameters_of(config.training, plan.clock, dropout)
            own = replace(plan, config=config, hyperparameters=numbers)
            member.prepared = replace(first, plan=own)
        else:
            member.prepared = member.attempt(_planned_apart, config, first)


def _planned_apart(config: ConfigDict, like: Prepared) -> Prepared:
    """Of another model, whose steps are those of `like` but for its numbers."""
    model = build_model(config.model, like.dataset.tokenizer)
    return replace(like, model=model, plan=plan_training(config, like.dataset, model))


def _fitting(members: list[_Member], most: int, console: Console) -> tuple[list[_Member], Replicas]:
    """The first of the members, as many as memory has room for, and their program."""
    plan = members[0].prepared.plan
    rates = {float(member.prepared.plan.hyperparameters.dropout) for member in members}
    if len(rates) > 1:
        plan = replace(plan, step=replace(plan.step, has_own_dropout=True))
    count = min(len(members), most or len(members))
    replicas = _replicas(plan, count)
    fitting = replicas.most
    if fitting < count:
        groups = math.ceil(len(members) / fitting)
        count = math.ceil(len(members) / groups)
        say(console, f"memory has room for {fitting} of {len(members)} runs at a time")
        replicas = _replicas(plan, count)
    return members[:count], replicas


def _train_group(
    group: list[_Member], replicas: Replicas, signals: StopSignals, console: Console
) -> None:
    group[0].console = console  # one run's lines are enough to follow
    names = ", ".join(str(member.run.path) for member in group)
    say(console, f"{len(group)} runs as one program, of which the first is shown: {names}")
    with ExitStack() as stack:
        for member, seat in zip(group, replicas.seats, strict=True):
            member.attempt(_begin, member, seat, stack, signals)
        _fill(replicas, group)
        with signals.deferred():
            ended = _drive(replicas, group, console)
        for member, params in ended:
            results = member.attempt(_conclude, member, params, console)
            member.outcome = results or member.outcome


def _replicas(plan: TrainingPlan, count: int) -> Replicas:
    return Replicas(plan.step, count, plan.abstract_state(), plan.batching().batch(0))


def _begin(member: _Member, seat, stack: ExitStack, signals: StopSignals) -> None:
    run, config, prepared = member.run, member.config, member.prepared
    with ExitStack() as own:
        if not own.enter_context(held(run, config, prepared, member.console)):
            member.outcome = run.results()
            return
        begin(run, config, prepared, member.console)
        plan = prepared.plan
        loop = TrainingLoop(run, plan, member.console, seat=seat, signals=signals)
        loop.position.compile_seconds += seat.compile_seconds
        member.loop = loop
        stack.push(own.pop_all())


def _conclude(member: _Member, params: Any, console: Console) -> dict[str, Any]:
    trained = params, member.prepared.plan.cost, member.loop.summary()
    return conclude(member.run, member.config, member.prepared, *trained, console)


def _fill(replicas: Replicas, group: Sequence[_Member]) -> None:
    """Gives a state to the places of runs that could not begin."""
    for index, member in enumerate(group):
        if member.loop is None:
            replicas.take(index, member.prepared.plan.fresh_state())


def _drive(
    replicas: Replicas, group: Sequence[_Member], console: Console
) -> list[tuple[_Member, Any]]:
    """Takes the steps that the runs ask for; returns those that came to their end, and with what.

    Raises Stopped when all that were asked to stop are saved.
    """
    members = dict(enumerate(group))
    training = {index: member.loop.steps() for index, member in members.items() if member.loop}
    steps = max((members[index].loop.total_steps for index in training), default=0)
    done = min((members[index].loop.position.step for index in training), default=0)
    stopped, ends = [], []

    def go_on(index: int, resume: Callable, *sent) -> None:
        member = members[index]
        member.batch = None
        try:
            member.batch = resume(*sent)
        except StopIteration as ended:
            ends.append((member, ended.value))
        except Stopped as error:
            stopped.append(error)
        except Exception as error:
            member.outcome = error
            say(console, f"{member.run.path} ends, the others go on: {error}")

    try:
        with progress_bar(console, "training", steps, done) as advance:
            for index, own in training.items():
                go_on(index, next, own)
            while batches := {i: m.batch for i, m in members.items() if m.batch is not None}:
                for index, stepped in replicas.step(batches).items():
                    go_on(index, training[index].send, stepped)
                advance()
    finally:
        for own in training.values():
            own.close()
    if stopped:
        raise stopped[0]
    return ends
