"""`lmjax task`: list the tasks, look into one, or see what its baselines are worth."""

from absl import flags

from lmjax.cli.flags import parse, refuse_beside
from lmjax.errors import UserError, nearest

ACTIONS = ("list", "inspect", "baselines")
EXAMPLE = """lmjax task list
         lmjax task inspect trec
         lmjax task baselines stsbenchmark"""
MOST_LABELS = 60  # of more different texts, none is counted by itself
EXAMPLES, CHARACTERS = 3, 300  # shown


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    named = [argument for argument in arguments[:2] if not argument.startswith("-")]
    values = parse(
        "task",
        "list the tasks that models are scored on, look into one, or score its baselines",
        EXAMPLE,
        _define,
        arguments[len(named) :],
    )
    if values is None:
        return 0
    action, name = [*named, "", ""][:2]
    if action not in ACTIONS:
        raise UserError(
            f"say what to do after 'lmjax task', not {action!r}: {nearest(action, ACTIONS)}"
        )

    from rich.console import Console

    console = Console()
    if action == "list":
        if name:
            raise UserError(f"'lmjax task list' shows all; leave {name!r} out, or inspect it")
        refuse_beside("'list'", values, "cleaning")
        console.print(_tasks())
        return 0
    if not name:
        raise UserError(f"name the task: lmjax task {action} TASK; 'lmjax task list' shows them")

    from lmjax.config import base_config
    from lmjax.data.dataset import read_documents
    from lmjax.tasks.registry import find_task

    task, data = find_task(name), base_config().data
    data.update(task.fields)
    data.cleaning = tuple(values.cleaning)
    splits, _, reports = read_documents(data)
    tables = _inspected(task, splits) if action == "inspect" else _baselines(task, splits)
    for table in tables:
        console.print(table)
    for report in reports:
        removed = report.documents_before - report.documents_after
        console.print(
            f"{report.step}: {report.documents_changed:,} documents changed, {removed:,} of them "
            "removed",
            highlight=False,
        )
    return 0


def _tasks():
    from rich.table import Table

    from lmjax.tasks.registry import TASKS, find_kind

    table = Table("task", "kind", "metric", "what is asked", "languages", "published")
    for task in TASKS.values():
        table.add_row(
            task.name,
            task.kind,
            find_kind(task.kind).main,
            task.description,
            ", ".join(task.languages) if len(task.languages) < 4 else str(len(task.languages)),
            "\n".join(f"{each.value:g} {each.who}" for each in task.published),
        )
    return table


def _published(published) -> str:
    differs = f"; {published.differs}" if published.differs else ""
    return f"{published.metric} {published.value:g}, {published.who} ({published.source}{differs})"


def _inspected(task, splits) -> list:
    """Tables of counts, of what stands in several splits, and of examples."""
    import numpy as np
    from rich.table import Table
    from rich.text import Text

    from lmjax.runs.terminal import printable

    counts = Table("", *splits, title=f"{task.name}: {task.description}")
    counts.add_row("documents", *(f"{len(part):,}" for part in splits.values()))
    sides = {
        "words of the source": [[d.source for d in part] for part in splits.values()],
        "words of the second text": [[d.second for d in part] for part in splits.values()],
        "words to be told": [[d.text for d in part] for part in splits.values()],
    }
    for side, texts in sides.items():
        if texts[0] and texts[0][0] is not None:
            words = ([len(text.split()) for text in part] for part in texts)
            cells = (
                f"{np.median(part):g}, at most {max(part):,}" if part else "-" for part in words
            )
            counts.add_row(f"{side}, median", *cells)
    if "train" in splits:
        trained = {document.source_parts for document in splits["train"]} - {()}
        counts.add_row(
            "sources that are also in train",
            *(
                f"{sum(d.source_parts in trained for d in part):,}" if split != "train" else ""
                for split, part in splits.items()
            ),
        )
    labels = sorted({document.text for part in splits.values() for document in part})
    if len(labels) <= MOST_LABELS:
        for label in labels:
            cells = (f"{sum(d.text == label for d in part):,}" for part in splits.values())
            counts.add_row(Text(f"  {label}"), *cells)
    split = next(iter(splits))
    examples = Table("source", "right", title=f"first documents of {split}")
    for document in splits[split][:EXAMPLES]:
        cells = (
            "\n".join(printable(text)[:CHARACTERS] for text in texts)
            for texts in (document.source_parts, document.references)
        )
        examples.add_row(*map(Text, cells))
    return [counts, examples, *map(_published, task.published)]


def _baselines(task, splits) -> list:
    """A table of what each baseline, told by the training documents, is worth on the others."""
    from rich.table import Table

    from lmjax.tasks.registry import find_kind

    kind = find_kind(task.kind)
    table = Table("split", "baseline", "metric", "value", "95 % interval", title=task.name)
    for split in ("validation", "test"):
        if split not in splits:
            continue
        references = kind.references(splits[split])
        for name, told in kind.baselines(splits.get("train", []), splits[split]).items():
            intervals = kind.intervals(told, references)
            for metric, value in kind.measure(told, references).items():
                shown = "undefined" if value is None else f"{value:.4f}"
                interval = intervals.get(metric)
                between = f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else ""
                table.add_row(split, name, metric, shown, between)
    if not table.row_count:
        raise UserError(f"tasks of the kind {task.kind!r} have no baseline; see 'task inspect'")
    return [table]


def _define(values: flags.FlagValues):
    flags.DEFINE_list(
        "cleaning", [], "steps of cleaning in order, with commas between", flag_values=values
    )
