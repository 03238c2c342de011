"""The plan of a study for people: sizes, work and time of its arms, and how near they match."""

from collections.abc import Sequence

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from lmjax.models.cost import MENTIONED_SHARE
from lmjax.runs.terminal import clock_time, short_number
from lmjax.studies.plan import ArmPlan
from lmjax.studies.study import Study
from lmjax.studies.tuned import search_text


def plan_text(study: Study, plans: Sequence[ArmPlan], flops_per_second: float) -> Group:
    """The plan as tables and lines, for rich; `flops_per_second` are those of a plain product."""
    lines = [_matched(study, plans, quantity) for quantity in study.matched]
    if values := "; ".join(filter(None, map(_values, plans))):
        lines.append(f"at {values}")
    dealt = f", dealt to {study.folds} folds" if study.folds else ""
    lines.append(f"seeds: {', '.join(map(str, study.seeds))}{dealt}")
    if study.tuning:
        trials = max(plan.trials for plan in plans)
        lines.append(f"tuning: {search_text(study.tuning.to_json(), trials)}")
    if parts := ", ".join(filter(None, map(_elementwise, plans))):
        lines.append(f"element by element, which takes longer than products: {parts} of the FLOPs")
    lines.append(
        "time: of training alone, from the FLOPs (forward and backward) at "
        f"{short_number(flops_per_second)}FLOP/s, which a float32 product reaches "
        "here; no model does, so it is rough and a lower bound"
    )
    if any(plan.tokens_per_second for plan in plans):
        lines.append("*: from the tokens/s of the arm's finished runs")
    title = Text(f"plan of {study.name}", style="bold")
    return Group(title, _sizes(plans), _work(plans, flops_per_second), *map(Text, lines))


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("arm", overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _sizes(plans: Sequence[ArmPlan]) -> Table:
    table = _table("parameters", "without\nembeddings", "active", "state\nbytes", "FLOPs\na token")
    for plan in plans:
        if plan.cost is None:
            table.add_row(plan.name, "counted")
            continue
        cost = plan.cost
        counts = cost.parameters, cost.non_embedding, cost.active, cost.state_bytes
        flops = short_number(cost.training_operations_per_token)
        table.add_row(plan.name, *(f"{count:,}" for count in counts), flops)
    return table


def _values(plan: ArmPlan) -> str:
    """The fields by which an arm is matched."""
    values = (f"{name.rpartition('.')[2]} {value}" for name, value in plan.sizes.items())
    return f"{plan.name}: {', '.join(values)}" if plan.sizes else ""


def _elementwise(plan: ArmPlan) -> str:
    """The share of an arm's FLOPs that is done element by element, where it is to be told."""
    share = plan.cost.elementwise_share if plan.cost else 0
    return f"{plan.name} {share:.0%}" if share > MENTIONED_SHARE else ""


def _work(plans: Sequence[ArmPlan], flops_per_second: float) -> Table:
    table = _table("tokens\na run", "FLOPs\na run", "trials", "runs", "tokens", "FLOPs", "time")
    seconds = {plan.name: plan.seconds(flops_per_second) for plan in plans}
    for plan in plans:
        flops = f"{plan.of('training_flops'):.3g}" if plan.cost else ""
        counts = str(plan.trials), str(plan.runs), f"{plan.tokens:,}"
        time = _time(seconds[plan.name]) + ("*" if plan.tokens_per_second else "")
        total = f"{plan.flops:.3g}" if plan.cost else ""
        table.add_row(plan.name, f"{plan.run_tokens:,}", flops, *counts, total, time)
    table.add_row(
        "together",
        "",
        "",
        str(sum(plan.trials for plan in plans)),
        str(sum(plan.runs for plan in plans)),
        f"{sum(plan.tokens for plan in plans):,}",
        f"{sum(plan.flops for plan in plans):.3g}",
        _time(sum(filter(None, seconds.values()))),
    )
    return table


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return f"{seconds:.1f} s" if seconds < 10 else clock_time(seconds)


def _matched(study: Study, plans: Sequence[ArmPlan], quantity: str) -> str:
    """How near each arm is to what it is matched to."""
    trained = {plan.name: plan.of(quantity) for plan in plans if plan.cost}
    name = quantity.replace("_", " ").replace("flops", "FLOPs")
    if not trained:
        return f"{name}: all arms are counted, so nothing is matched"
    is_target = study.target and quantity == study.target_of
    goal = study.target if is_target else trained[study.baseline]
    each = ", ".join(
        f"{arm} {value / goal - 1:+.2%}"
        for arm, value in trained.items()
        if is_target or arm != study.baseline
    )
    if all(value == goal for value in trained.values()):
        each = "all equal"
    whose = "the target" if is_target else f"{study.baseline}'s"
    return f"{name} matched to {whose} {short_number(goal)}: {each}"
