"""What a run writes, where, and how it is read back."""

import os
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from lmjax.config import LATER
from lmjax.errors import UserError, writing
from lmjax.model_defaults import sections_of
from lmjax.own_models import SOURCE, content_of, file_of, is_own, kept_name
from lmjax.runs.environment import environment
from lmjax.runs.fields import check_fields, is_count, is_text, leaves, read_config
from lmjax.runs.files import (
    array_to_json,
    inside,
    plain,
    read_json,
    to_json,
    write_atomically,
)
from lmjax.runs.metrics import MetricsFile, Row
from lmjax.runs.secrets import redact, redacted, redactor

RUN_FILE = "config.json"  # says that a folder is a run's
STUDY_FILE = "study.json"  # says that a folder is a study's
IMPORTED_FILE = "imported.json"  # says that no training made what a run directory holds
# Beginnings of the fields that may change from one start of a run to the next: they decide what is
# kept, shown and scored of a run and what is done in trouble, not what a healthy step computes.
HARMLESS = (
    "checkpoint.",
    "data.read_threads",
    "data.tokenizer_file",  # whose content may not: the run has a copy
    "evaluation.checkpoint",
    "evaluation.splits",
    "health.",
    "logging.",
)
# Of a finished run: its score is fixed, but it may go on to a longer duration.
HARMLESS_WHEN_FINISHED = (
    *(field for field in HARMLESS if field not in ("evaluation.checkpoint", "evaluation.splits")),
    "training.duration",
)
MOST_LISTED = 8  # differences in a message


class RunDirectory:
    """The files of one run. Making one touches no file: `create` starts or continues a run."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.tokenizer_path = self.path / "tokenizer.json"
        self._metrics = MetricsFile(self.path / "metrics.jsonl")
        self.mirror: Callable[[Row], None] | None = None  # is given each row that was added

    def check(self, config: ConfigDict, *, may_go_on: bool = True) -> None:
        """Raises UserError, with the differences, if this is the run of another configuration.

        So does a folder that holds a study or imported weights. A finished run `may_go_on` to
        another duration.
        """
        if (self.path / STUDY_FILE).exists():
            raise UserError(f"{self.path} holds a study, not a run; choose another --workdir")
        if self.is_imported:
            raise UserError(
                f"{self.path} holds imported weights, not a training; choose another --workdir and "
                "set training.initial_params to this one to begin with them"
            )
        kept = self._kept_config()
        if kept is None:
            if self.is_finished:
                raise UserError(
                    f"{self.path} has results but no config.json; restore that, or choose another "
                    "--workdir"
                )
            storable(config)
            return
        may_differ = HARMLESS_WHEN_FINISHED if self.is_finished and may_go_on else HARMLESS
        if changed := differences(kept, storable(config), may_differ):
            raise UserError(
                f"{self.path} holds a run of another configuration; choose another --workdir"
                f"{listed(changed)}"
            )

    def create(self, config: ConfigDict) -> None:
        """Makes the directory and keeps the configuration; the same one may be given again.

        HARMLESS fields may differ, and the new ones are kept. Raises UserError if the directory
        can't be written to or holds a run of another configuration.
        """
        self.check(config)
        given = storable(config)
        with writing(self.path):
            self.checkpoints.mkdir(parents=True, exist_ok=True)
        if not self.is_finished and self._kept_config() != given:
            self._keep_model(config.model)
            _write(self._config_path, given)

    def _keep_model(self, model: ConfigDict) -> None:
        """Copies the file of a model or backbone outside the package, as it was executed."""
        for section in sections_of(model).values():
            if file := is_own(section.name) and file_of(section.name):
                copy = inside(self.path, file.name)
                with writing(copy):
                    write_atomically(copy, content_of(section.name, section[SOURCE]))

    def config(self) -> ConfigDict:
        """The locked configuration; raises UserError if the directory is not a run's."""
        if not self._config_path.exists():
            raise UserError(f"{self.path} holds no run: it has no config.json; check --workdir")
        return read_config(self._config_path)

    def write_environment(self) -> None:
        """Keeps the environment of the first start, and under `resumed_in` each later other one."""
        path = self.path / "environment.json"
        now = redacted(plain(environment()))
        first = read_json(path) if path.exists() else now
        resumed_in = first.pop("resumed_in", [])
        if now not in (first, *resumed_in):
            resumed_in = [*resumed_in, now]
        _write(path, {**first, "resumed_in": resumed_in})

    def write_imported(self, note: dict[str, Any]) -> None:
        """Keeps where its weights were imported from."""
        _write(self.path / IMPORTED_FILE, redacted(plain(note)))

    def append_metrics(self, row: Row) -> None:
        """Adds a row; raises ValueError if its kind, split and context have one of that step."""
        self._metrics.append(row)
        if self.mirror:
            self.mirror(row)

    def truncate_metrics(self, step: int, evaluated_step: int) -> None:
        """Drops the rows of later steps, which a resumed run will write again."""
        self._metrics.truncate({"train": step, "evaluation": evaluated_step})

    def metrics(self) -> list[Row]:
        """The rows in the order in which they were logged; raises UserError if this is no run."""
        self.config()
        return self._metrics.rows()

    @property
    def is_begun(self) -> bool:
        return self._config_path.exists()

    @property
    def is_finished(self) -> bool:
        return self._results_path.exists()

    @property
    def is_imported(self) -> bool:
        """Whether it holds weights that no training of its own made."""
        return (self.path / IMPORTED_FILE).exists()

    def write_results(self, results: dict[str, Any]) -> None:
        """Keeps the results, which marks the run as finished."""
        _write(self._results_path, results)

    def results(self) -> dict[str, Any]:
        """The results; raises UserError if the directory is not a run's or it is not finished."""
        self.config()
        if not self.is_finished:
            raise UserError(f"the run in {self.path} is not finished; start it again to resume it")
        return read_json(self._results_path)

    def trained(self) -> dict[str, Any]:
        """What the results say of the training; raises as `results`, and if it is not all there."""
        results = self.results()
        known = {"training": {"steps": is_count, "scored_step": is_count}}
        check_fields(results, known, self._results_path)
        return results["training"]

    def results_of(self, duration: str) -> dict[str, Any] | None:
        """The results of a training of that duration, also if it has gone on since.

        None if there are none. Raises UserError if results are damaged.
        """
        if self.is_finished and self.duration_done() == duration:
            return self.results()
        for path in sorted(self.path.glob("results_after_*_steps.json")):
            results = read_json(path)
            check_fields(results, {"training": {"duration": is_text}}, path)
            if results["training"]["duration"] == duration:
                return results
        return None

    def duration_done(self) -> str:
        """The duration that a finished run has trained for; raises UserError as `trained`."""
        return self.trained().get("duration", self.config().training.duration)

    def reopen(self, config: ConfigDict, steps: int) -> None:
        """Lets a run that was finished after `steps` go on with the duration of `config`.

        The results so far are kept under another name.
        """
        _write(self._config_path, storable(config))
        with writing(self.path):
            self._results_path.replace(self.path / f"results_after_{steps}_steps.json")

    def add_score(self, split: str, score: dict[str, Any]) -> None:
        """Puts the score of a split into the results; raises UserError if there are none yet.

        What its answers are worth stays.
        """
        results = self.results()
        check_fields(results, {"splits": {...: {}}}, self._results_path)
        kept = results["splits"].get(split, {})
        task = {"task": kept["task"]} if "task" in kept else {}
        self.write_results({**results, "splits": {**results["splits"], split: {**score, **task}}})

    def add_task(self, split: str, measured: dict[str, Any]) -> None:
        """Puts what the answers to a split, which has a score, are worth into the results."""
        results = self.results()
        check_fields(results, {"splits": {split: {}}}, self._results_path)
        score = {**results["splits"][split], "task": measured}
        self.write_results({**results, "splits": {**results["splits"], split: score}})

    def add_other_task(self, name: str, measured: dict[str, Any]) -> None:
        """Puts what answers to a task that it was not trained for are worth into the results."""
        results = self.results()
        kept = results.get("other_tasks", {})
        check_fields(kept, {...: {}}, self._results_path, "other_tasks")
        self.write_results({**results, "other_tasks": {**kept, name: measured}})

    def write_predictions(self, split: str, rows: Iterable[dict[str, Any]]) -> None:
        """Keeps what was answered to a split, a line each."""
        path = self.path / "predictions" / f"{split}.jsonl"
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, "".join(to_json(row) + "\n" for row in rows))

    def add_translation(self, split: str, decoding: str, measured: dict[str, Any]) -> None:
        """Puts what translations of a split, searched for in one way, gave into the results."""
        results = self.results()
        check_fields(results.get("translations", {}), {...: {}}, self._results_path, "translations")
        kept = results.get("translations", {})
        of_split = {**kept.get(split, {}), decoding: measured}
        self.write_results({**results, "translations": {**kept, split: of_split}})

    def add_adapted(
        self, name: str, split: str, score: dict[str, Any], details: dict[str, Any]
    ) -> None:
        """Puts the score of a split into the results that what is named adapted to, by `details`.

        It stands apart from `splits`. Scores by other details, of another choice, are left out.
        """
        results = self.results()
        check_fields(
            results.get("adapted", {}), {...: {"splits": {}}}, self._results_path, "adapted"
        )
        kept = results.get("adapted", {})
        before = kept.get(name, {})
        same = {key: value for key, value in before.items() if key != "splits"} == plain(details)
        splits = {**(before["splits"] if same else {}), split: score}
        self.write_results({**results, "adapted": {**kept, name: {**details, "splits": splits}}})

    def add_word_vectors(self, tests: dict[str, Any]) -> None:
        """Puts what tests of its word vectors gave into the results; raises if there are none."""
        self.write_results({**self.results(), "word_vectors": tests})

    def log_test_read(self, **details: Any) -> None:
        """Adds a line to test_reads.jsonl, which tells each time that the test split was read."""
        path = self.path / "test_reads.jsonl"
        row = redacted({"time": datetime.now(UTC).isoformat(timespec="seconds"), **details})
        with writing(path), open(path, "a", encoding="utf-8") as file:
            file.write(to_json(row) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def write_samples(self, text: str) -> None:
        with writing(self.path / "samples.txt"):
            write_atomically(self.path / "samples.txt", text)

    def write_batch(self, step: int, arrays: dict[str, Any]) -> Path:
        """Keeps the batch of a step that went wrong, to be looked at again; returns where."""
        path = self._replay / f"step_{step}.json"
        texts = {name: None if a is None else array_to_json(a) for name, a in arrays.items()}
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            write_atomically(path, to_json({"step": step, **texts}))
        return path

    def kept_batches(self) -> list[Path]:
        """The files of the batches of steps that went wrong."""
        return [
            path
            for path in sorted(self._replay.glob("step_*.json"))
            if path.stem.removeprefix("step_").isdecimal()
        ]

    def log(self, line: str) -> None:
        """Adds a line to log.txt."""
        path = self.path / "log.txt"
        with writing(path), open(path, "a", encoding="utf-8") as file:
            file.write(redact(line) + "\n")

    @property
    def _replay(self) -> Path:
        return self.path / "replay"

    def _kept_config(self) -> dict[str, Any] | None:
        return read_json(self._config_path) if self._config_path.exists() else None

    @property
    def _config_path(self) -> Path:
        return self.path / RUN_FILE

    @property
    def _results_path(self) -> Path:
        return self.path / "results.json"


def files_named(name: str, folder: Path) -> list[Path]:
    """The files of that name at or below a folder, in order, but for what runs keep in folders.

    Other processes may make and delete folders meanwhile.
    """
    found = []
    for parent, folders, files in os.walk(folder):
        if name in files:
            found.append(Path(parent, name))
        if RUN_FILE in files:
            folders.clear()
    return sorted(found)


def storable(config: ConfigDict) -> dict[str, Any]:
    """The fields of a configuration as files keep them: plain JSON.

    Raises UserError, naming the field, for one that holds a secret: it would be kept, too.
    """
    fields = plain(config.to_dict())
    for section, model in sections_of(fields["model"]).items():
        if is_own(name := model["name"]):
            model["name"] = kept_name(name)
            if file_of(name) and SOURCE not in model:
                raise UserError(
                    f"config.{section} lacks {SOURCE}; make it by model_config({name!r})"
                )
    hidden = redactor()
    for name, value in leaves(fields):
        if isinstance(value, str) and hidden(value) != value:
            raise UserError(
                f"{name} holds a secret of the environment or a URL's password, and a run keeps "
                "its configuration; give it without"
            )
    return fields


def _write(path: Path, content: Any) -> None:
    with writing(path):
        write_atomically(path, to_json(content, indent=2))


def differences(
    old: dict[str, Any], new: dict[str, Any], harmless: tuple[str, ...] = HARMLESS
) -> list[str]:
    """The fields in which two storable configurations differ, with both values.

    Those that begin like one of `harmless` may differ.
    """
    old, new = dict(_fields(old)), dict(_fields(new))
    both = old | new
    later = {key: value for key, value in LATER.items() if key in both}
    old, new = later | old, later | new
    return [
        f"{key}: {old.get(key, 'absent')} there, {new.get(key, 'absent')} here"
        for key in sorted(both)
        if (key in old, old.get(key)) != (key in new, new.get(key)) and not key.startswith(harmless)
    ]


def listed(changed: list[str]) -> str:
    """The differences as the end of a message, each on a line of its own."""
    more = len(changed) - MOST_LISTED
    lines = changed[:MOST_LISTED] + ([f"and {more} more"] if more > 0 else [])
    return "".join(f"\n  {line}" for line in lines)


def _fields(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _fields(item, (*path, key))
    else:
        yield ".".join(path), value
