"""A study as pure data: arms, seeds, what is equal among the arms, and the question."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ml_collections import ConfigDict

from lmjax.errors import UserError, nearest
from lmjax.runs.python_file import load_from_file
from lmjax.runs.ranges import MOST_SEED
from lmjax.studies.spaces import Space, Uniform, combinations, point_name, space_to_json
from lmjax.training.durations import parse_duration

SIZES = ("parameters", "non_embedding_parameters", "state_bytes")  # state: the carry of one row
MATCHES = (*SIZES, "training_flops", "training_tokens")  # flops: of a whole training
DURATION = "training.duration"
TOLERANCE = 0.01  # of the baseline's figure: what still counts as matched
HELD_OUT = ("validation",)  # the split that every run is scored on
# What an arm may bring along from elsewhere.
BEGINNINGS = ("training.initial_params", "training.initial_embedding")
CHOOSABLE = ("model.", "training.")  # what validation may choose: neither the text nor its scoring


SEARCHES = ("grid", "random", "successive_halving", "optuna")
EQUAL = ("tokens", "flops")


def default_space() -> dict[str, tuple[float, ...]]:
    """Learning rate times initialization, which every trained family has."""
    return {
        "training.learning_rate": (1e-3, 3e-3, 1e-2),
        "model.initialization": (0.03, 0.1, 0.3),
    }


@dataclass(frozen=True)
class Tuning:
    """The same search for every trained arm, with equally many trials that are equally long.

    A trial trains for a part of the arm's own training, and validation prefers one of them. Raises
    UserError for a search that can't be.
    """

    space: Space = field(default_factory=default_space)  # field: values, or a range
    budget: str = "20 percent"  # duration of a trial; percent are of training.duration
    seed: int = 0  # of the trials, and of what is drawn
    search: str = "grid"  # one of SEARCHES, see lmjax/studies/search.py
    trials: int = 0  # to begin with; 0: the whole grid
    factor: int = 3  # successive_halving: one of so many goes on, to so many times the budget
    # tokens: the budget is of each arm's own training; flops: it is of the baseline's, and the
    # others train for as many FLOPs.
    equal: str = "tokens"

    def __post_init__(self):
        for name, value, known in (
            ("search", self.search, SEARCHES),
            ("equal", self.equal, EQUAL),
        ):
            if value not in known:
                raise UserError(f"a tuning has no {name} {value!r}: {nearest(value, known)}")
        if self.search == "grid":
            ranges = [name for name, options in self.space.items() if isinstance(options, Uniform)]
            if ranges or self.trials:
                what = f"no range as of {ranges[0]}" if ranges else "as many trials as points"
                raise UserError(
                    f"a grid has {what}; leave it out, or set the tuning's search to 'random'"
                )
        elif self.trials < 1:
            raise UserError(
                f"a tuning by {self.search} has {self.trials} trials; set trials to how many of "
                "them each arm is to get"
            )
        if self.search == "successive_halving" and not 2 <= self.factor <= self.trials // 2:
            raise UserError(
                f"with {self.trials} trials of which one of {self.factor} goes on, successive "
                "halving has nothing to choose among; raise trials to at least twice the factor, "
                "which is 2 or more"
            )

        share, unit = parse_duration(self.budget)
        if self.most_times > 1 and unit == "percent" and share * self.most_times > 100:
            raise UserError(
                f"successive halving would come to {self.most_times} times its budget of "
                f"{self.budget!r}, more than the whole training; lower budget or trials"
            )

    @property
    def most_times(self) -> int:
        """Of the budget, that a trial which always goes on is trained for."""
        times, left = 1, self.trials
        while self.search == "successive_halving" and left // self.factor > 1:
            times, left = times * self.factor, left // self.factor
        return times

    def to_json(self) -> dict[str, Any]:
        """All of it as files keep it."""
        return {**vars(self), "space": space_to_json(self.space)}


@dataclass(frozen=True)
class Arm:
    """One configuration under comparison."""

    name: str
    config: ConfigDict
    size_field: str = "model.width"  # the integer that is solved for, so that sizes match
    multiple_of: int = 1  # the size field is a multiple of this
    fine_field: str = ""  # an integer solved for after it, where steps of it are too coarse
    choices: Mapping[str, Sequence] = field(default_factory=dict)  # field: values; validation picks

    @property
    def folder(self) -> str:
        """The arm's name as a folder's."""
        return re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")

    def with_fields(self, fields: Mapping[str, Any]) -> "Arm":
        """The arm with the given fields of its configuration, such as `model.width`, changed.

        Raises UserError for a field that the configuration has not.
        """
        known = flatten(self.config)
        for name in fields:
            if name not in known:
                hint = nearest(name, [other for other in known if other.startswith("model.")])
                raise UserError(f"arm {self.name!r} has no field {name!r}: {hint}")
        config = self.config.copy_and_resolve_references()
        config.update_from_flattened_dict(fields)
        return replace(self, config=config)

    def candidates(self) -> dict[str, "Arm"]:
        """One arm for each combination of the choices, by a name such as `order=4`.

        An arm without choices is its own candidate, with an empty name.
        """
        return {
            point_name(fields): replace(self.with_fields(fields), choices={})
            for fields in combinations(self.choices)
        }


@dataclass(frozen=True)
class Study:
    """Arms times seeds, and what they are to answer.

    What is matched is the baseline's as it is configured, or `target`. Raises UserError if arms
    share a folder, the baseline is no arm, there is nothing to run, what is matched can't all be,
    or validation would choose what a comparison must hold fixed.
    """

    name: str
    question: str
    arms: tuple[Arm, ...]
    baseline: str  # the arm that the others are matched to
    seeds: tuple[int, ...] = (0,)
    matched: tuple[str, ...] = ("parameters", "training_tokens")
    # Of the size in `matched`, else of the FLOPs or tokens; None: the baseline's as configured.
    target: float | None = None
    begins_differ: bool = False  # whether the question is what arms begin with, see BEGINNINGS
    texts_differ: bool = False  # whether the question is what text arms train on
    scaling: bool = False  # whether the question is how the loss falls with size and FLOPs
    tuning: Tuning | None = None  # None: each arm trains with the values that it is configured with
    prompt: str = "The "  # every trained model continues it
    continuation_length: int = 100  # tokens
    reference: str = ""  # FILE.py[:argument] that `load_study` took it from

    def __post_init__(self):
        _check_kinds(self)
        names = {}
        for arm in self.arms:
            if not arm.name.isprintable():
                raise UserError(f"arm {arm.name!r} has a control character; leave it out")
            if not arm.folder:
                raise UserError(f"arm {arm.name!r} has no letter or digit; give it another name")
            if arm.folder in names:
                raise UserError(
                    f"arms {names[arm.folder]!r} and {arm.name!r} share the folder "
                    f"{arm.folder!r}; rename one of them"
                )
            names[arm.folder] = arm.name
            _check_choosable(f"arm {arm.name!r}", arm.choices)
            if tuple(arm.config.evaluation.get("splits", HELD_OUT)) != HELD_OUT:
                raise UserError(
                    f"arm {arm.name!r} sets evaluation.splits; a study scores validation for every "
                    "run, and test once for the runs that it chose: leave the field as it is"
                )
        if not self.arms or not self.seeds:
            raise UserError(f"study {self.name!r} has nothing to run; give it arms and seeds")
        if len(set(self.seeds)) < len(self.seeds):
            raise UserError(f"study {self.name!r} repeats a seed: {self.seeds}; give each once")
        _check_folds(self)
        if self.tuning:
            _check_choosable(f"the tuning of {self.name!r}", self.tuning.space)
        if self.baseline not in names.values():
            hint = nearest(self.baseline, names.values())
            raise UserError(f"the baseline {self.baseline!r} is not an arm: {hint}")
        for quantity in self.matched:
            if quantity not in MATCHES:
                hint = nearest(quantity, MATCHES)
                raise UserError(f"study {self.name!r} can't match {quantity!r}: {hint}")
        _check_matched(self)

    @property
    def folds(self) -> int:
        """Of the corpus, to which the seeds are dealt in their order; 0: none."""
        return self.arms[0].config.data.get("folds", 0)

    @property
    def target_of(self) -> str:
        """What of all that is matched the target is of: the first of MATCHES."""
        return next(quantity for quantity in MATCHES if quantity in self.matched)


def _check_kinds(study: Study) -> None:
    """Raises UserError for seeds, matched quantities and size fields that are of no such kind."""
    for name in ("arms", "seeds", "matched"):
        if not isinstance(getattr(study, name), tuple | list):
            raise UserError(
                f"study {study.name!r} has {name}={getattr(study, name)!r}; give a tuple, and "
                "end one of a single entry by a comma: (entry,)"
            )
    for seed in study.seeds:
        if type(seed) is not int or not 0 <= seed <= MOST_SEED:
            raise UserError(
                f"study {study.name!r} has the seed {seed!r}; give whole numbers from 0 to "
                f"{MOST_SEED}"
            )
    for arm in study.arms:
        if type(arm.multiple_of) is not int or arm.multiple_of < 1:
            raise UserError(f"arm {arm.name!r} has multiple_of={arm.multiple_of!r}; give 1 or more")
        known = flatten(arm.config)
        for name in filter(None, (arm.size_field, arm.fine_field)):
            is_size = name.startswith("model.") and type(known.get(name, 0)) is int
            if name != DURATION and not is_size:
                raise UserError(
                    f"arm {arm.name!r} is to be sized by {name}, which is no whole number of its "
                    f"model; give one such as model.width, or {DURATION}"
                )


def _check_folds(study: Study) -> None:
    """Raises UserError if folds are not those of all arms, or have not equally many seeds."""
    given = {
        (arm.config.data.get("folds", 0), arm.config.data.get("fold", 0)) for arm in study.arms
    }
    if given != {(study.folds, 0)}:
        raise UserError(
            f"study {study.name!r} has arms of different data.folds, or of one fold; give all arms "
            "the same folds, and leave out data.fold: each seed gets its own"
        )
    if study.folds and len(study.seeds) % study.folds:
        raise UserError(
            f"study {study.name!r} has {len(study.seeds)} seeds for {study.folds} folds; give as "
            "many seeds as folds, or twice as many, ..."
        )


def _check_matched(study: Study) -> None:
    if study.scaling and study.matched:
        raise UserError(
            f"study {study.name!r} asks how the loss scales, and matches "
            f"{' and '.join(study.matched)}; set matched=(), and see `at_budgets`"
        )
    sizes = [size for size in SIZES if size in study.matched]
    if len(sizes) > 1:
        raise UserError(
            f"study {study.name!r} matches {' and '.join(sizes)}, and an arm has one size to "
            "solve for; leave one out"
        )
    if sizes and {"training_flops", "training_tokens"} <= set(study.matched):
        raise UserError(
            f"study {study.name!r} matches {sizes[0]}, training_flops and training_tokens, but two "
            "of them decide the third; leave one out"
        )
    if study.target is None:
        return
    if not study.matched:
        raise UserError(f"study {study.name!r} has a target and matches nothing; leave it out")
    if not (math.isfinite(study.target) and study.target > 0):
        raise UserError(
            f"study {study.name!r} has the target {study.target!r}; give a number above 0"
        )


def _check_choosable(what: str, values: Space) -> None:
    for name, options in values.items():
        if not name.startswith(CHOOSABLE) or name == DURATION:
            raise UserError(
                f"{what} lets validation choose {name}, and then arms would differ in more than "
                "their models; choose among fields of model or training, not its duration"
            )
        if name in BEGINNINGS:
            raise UserError(
                f"{what} lets validation choose {name}, and then arms would not have trained "
                "equally; let all arms begin with the same"
            )
        if isinstance(options, Uniform):
            continue
        if not len(options) or len(set(options)) < len(options):
            raise UserError(f"{what} gives {name} the values {options!r}; give each once")


def load_study(reference: str) -> Study:
    """The study that `get_study(arg)` of the Python file `FILE[:arg]` returns.

    Raises UserError if the file is missing, has no `get_study`, fails, or returns something else.
    """
    return replace(load_from_file(reference, "study", Study), reference=reference)


def flatten(config: Mapping | ConfigDict, prefix: str = "") -> dict[str, Any]:
    """A nested configuration as `{"model.width": 256, ...}`."""
    flat = {}
    for name, value in config.items():
        if isinstance(value, Mapping | ConfigDict):
            flat.update(flatten(value, f"{prefix}{name}."))
        else:
            flat[prefix + name] = value
    return flat
