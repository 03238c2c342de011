"""Arms at budgets of training FLOPs, for iso-FLOP curves."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from lmjax.studies.matching import match_study
from lmjax.studies.measures import Measures
from lmjax.studies.study import DURATION, Arm, Study


def at_budgets(arms: Sequence[Arm], budgets: Iterable[float]) -> tuple[Arm, ...]:
    """Each arm once for each budget, trained as long as comes to it: `width 64, 1e+12 FLOPs`.

    Opens the arms' text. Raises UserError where a step is too much of a budget.
    """
    measures, sized = Measures(), []
    by_duration = tuple(replace(arm, size_field=DURATION, fine_field="") for arm in arms)
    for budget in budgets:
        study = Study(
            name=f"{budget:g} FLOPs",
            question="",
            arms=by_duration,
            baseline=arms[0].name,
            matched=("training_flops",),
            target=budget,
        )
        sized += [
            replace(arm, name=f"{arm.name}, {budget:.3g} FLOPs")
            for arm in match_study(study, measures).arms
        ]
    return tuple(sized)
