"""The search of a tuning as ask and tell: which trials it asks for, given how others came out.

It is a function of its seed and of what it was told, so that a study that was killed and tells it
the same again is asked for the same trials.
"""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from lmjax.errors import UserError
from lmjax.studies.spaces import LogUniform, Point, Uniform, combinations, draw, rounded
from lmjax.studies.study import Tuning

FIRST_TRIALS = 10  # of Optuna's, drawn at random before it proposes any, as is its own default


@dataclass(frozen=True)
class Asked:
    """A trial that is to be trained: its fields, for so many `times` the tuning's budget.

    If it was trained for fewer times before, it goes on from there.
    """

    fields: Point
    times: int = 1


Scores = Sequence[float | None]  # bits per byte, in the order of what was asked; None: it diverged
Rounds = Generator[list[Asked], Scores, None]


class Search:
    """Asks for a round of trials at a time; raises UserError if its library is not installed."""

    def __init__(self, tuning: Tuning):
        self._rounds = KINDS[tuning.search](tuning)
        self._asked = next(self._rounds)

    def ask(self) -> list[Asked]:
        """The trials of this round; none: the search is over."""
        return self._asked

    def tell(self, scores: Scores) -> None:
        """Ends the round by what its trials scored."""
        try:
            self._asked = self._rounds.send(scores)
        except StopIteration:
            self._asked = []


def _grid(tuning: Tuning) -> Rounds:
    """Every combination."""
    yield [Asked(point) for point in combinations(tuning.space)]


def _random(tuning: Tuning) -> Rounds:
    """Bergstra and Bengio 2012."""
    yield [Asked(point) for point in draw(tuning.space, tuning.trials, tuning.seed)]


def _successive_halving(tuning: Tuning) -> Rounds:
    """Jamieson and Talwalkar 2016; a rung of one trial would decide nothing and is left out."""
    points = draw(tuning.space, tuning.trials, tuning.seed)
    times, count = 1, tuning.trials
    while len(points) > 1 and count > 1:
        scores = yield [Asked(point, times) for point in points]
        ended = [place for place, score in enumerate(scores) if score is not None]
        times, count = times * tuning.factor, count // tuning.factor
        best = sorted(ended, key=lambda place: scores[place])[:count]
        points = [points[place] for place in best]


def _optuna(tuning: Tuning) -> Rounds:
    """Optuna's tree-structured Parzen estimator (Bergstra et al. 2011).

    After its first trials it asks for one at a time.
    """
    optuna = _import_optuna()
    sampler = optuna.samplers.TPESampler(
        n_startup_trials=FIRST_TRIALS, seed=tuning.seed % (1 << 32)
    )
    study = optuna.create_study(sampler=sampler)
    distributions = {name: _distribution(optuna, options) for name, options in tuning.space.items()}
    left = tuning.trials
    while left:
        count = min(left, FIRST_TRIALS if left == tuning.trials else 1)
        left -= count
        trials = [study.ask(distributions) for _ in range(count)]
        scores = yield [Asked(_point(tuning, trial.params)) for trial in trials]
        for trial, score in zip(trials, scores, strict=True):
            if score is None:  # to Optuna the worst of all, where a failed one would be unknown
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                study.tell(trial, score)


KINDS: dict[str, Callable[[Tuning], Rounds]] = {
    "grid": _grid,
    "random": _random,
    "successive_halving": _successive_halving,
    "optuna": _optuna,
}


def _import_optuna() -> ModuleType:
    try:
        import optuna
    except ImportError as error:
        raise UserError(
            "the tuning's search is 'optuna', which is not installed; pip install 'lmjax[optuna]', "
            "or take another search"
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _distribution(optuna: ModuleType, options: Sequence | Uniform) -> Any:
    if not isinstance(options, Uniform):  # by place, since values may be of any type
        return optuna.distributions.CategoricalDistribution(range(len(options)))
    is_log = isinstance(options, LogUniform)
    return optuna.distributions.FloatDistribution(options.low, options.high, log=is_log)


def _point(tuning: Tuning, params: dict[str, Any]) -> Point:
    return {
        name: rounded(params[name]) if isinstance(options, Uniform) else options[params[name]]
        for name, options in tuning.space.items()
    }
