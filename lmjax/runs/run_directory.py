"""What a run writes, where, and how it is read back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from lmjax.errors import UserError
from lmjax.runs.environment import environment
from lmjax.runs.files import plain, read_json, to_json, write_atomically
from lmjax.runs.metrics import MetricsFile, Row


class RunDirectory:
    """The files of one run. Making one touches no file: `create` starts or continues a run."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.tokenizer_path = self.path / "tokenizer.json"
        self._metrics = MetricsFile(self.path / "metrics.jsonl")

    def create(self, config: ConfigDict) -> None:
        """Makes the directory and keeps the configuration; the same one may be given again.

        Raises UserError if the directory can't be written to or holds a run of another
        configuration.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            write_atomically(self.path / ".writable", b"")
            (self.path / ".writable").unlink()
        except OSError as error:
            raise UserError(
                f"cannot write to {self.path} ({error.strerror or error}); choose another --workdir"
            ) from error
        given = plain(config.to_dict())
        if not self._config_path.exists():
            write_atomically(self._config_path, to_json(given, indent=2))
        elif changed := _differences(read_json(self._config_path), given):
            raise UserError(
                f"{self.path} holds a run of another configuration ({', '.join(changed)}); "
                "choose another --workdir"
            )

    def config(self) -> ConfigDict:
        """The locked configuration; raises UserError if the directory is not a run's."""
        if not self._config_path.exists():
            raise UserError(f"{self.path} holds no run: it has no config.json; check --workdir")
        return ConfigDict(_with_tuples(read_json(self._config_path))).lock()

    def write_environment(self) -> None:
        """Keeps the environment of the first start, and under `resumed_in` each later other one."""
        path = self.path / "environment.json"
        now = plain(environment())
        first = read_json(path) if path.exists() else now
        resumed_in = first.pop("resumed_in", [])
        if now not in (first, *resumed_in):
            resumed_in = [*resumed_in, now]
        write_atomically(path, to_json({**first, "resumed_in": resumed_in}, indent=2))

    def append_metrics(self, row: Row) -> None:
        """Adds a row; raises ValueError if its kind, split and context have one of that step."""
        self._metrics.append(row)

    def truncate_metrics(self, step: int) -> None:
        """Drops the rows of steps after `step`, which a resumed run will write again."""
        self._metrics.truncate(step)

    def metrics(self) -> list[Row]:
        """The rows in the order in which they were logged; raises UserError if this is no run."""
        self.config()
        return self._metrics.rows()

    @property
    def is_finished(self) -> bool:
        return self._results_path.exists()

    def write_results(self, results: dict[str, Any]) -> None:
        """Keeps the results, which marks the run as finished."""
        write_atomically(self._results_path, to_json(results, indent=2))

    def results(self) -> dict[str, Any]:
        """The results; raises UserError if the directory is not a run's or it is not finished."""
        self.config()
        if not self.is_finished:
            raise UserError(f"the run in {self.path} is not finished; start it again to resume it")
        return read_json(self._results_path)

    def write_samples(self, text: str) -> None:
        write_atomically(self.path / "samples.txt", text)

    def log(self, line: str) -> None:
        """Adds a line to log.txt."""
        with open(self.path / "log.txt", "a", encoding="utf-8") as file:
            file.write(line + "\n")

    @property
    def _config_path(self) -> Path:
        return self.path / "config.json"

    @property
    def _results_path(self) -> Path:
        return self.path / "results.json"


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    old, new = dict(_leaves(old)), dict(_leaves(new))
    return [
        f"{key}: {old.get(key, 'absent')} there, {new.get(key, 'absent')} here"
        for key in sorted({**old, **new})
        if (key in old, old.get(key)) != (key in new, new.get(key))
    ]


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield ".".join(path), value


def _with_tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_tuples(item) for key, item in value.items()}
    return tuple(_with_tuples(item) for item in value) if isinstance(value, list) else value
