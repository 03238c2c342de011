"""Training of a study's runs without training, which remembers what it was asked for."""

import io

from rich.console import Console

from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.executors import InTurn
from lmjax.studies.runner import Actions, run_study
from tests.studies.fake_runs import write_run


class FakeTraining:
    """Trains like `lmjax.training.run.train`, and remembers what it was asked for.

    Names are those below `arms/`; of trials those below the workdir.
    """

    def __init__(self, tmp_path, fail=None, validation=None):
        self.workdir = tmp_path / "study"
        self.trained, self.continued, self.tested = [], [], []
        self.fail = fail or {}
        self.validation = validation or {}
        self.output = io.StringIO()

    def name(self, path):
        return path.resolve().relative_to(self.workdir.resolve()).as_posix().removeprefix("arms/")

    def __call__(self, config, path, console):
        name = self.name(path)
        RunDirectory(path).create(config)
        self.trained.append(name)
        if name in self.fail:
            raise self.fail[name]
        write_run(config, path, **self.validation.get(name, {}))

    def score_test(self, path):
        self.tested.append(self.name(path))
        if isinstance(failure := self.fail.get(f"test of {self.tested[-1]}"), Exception):
            raise failure

    def continue_prompt(self, path, prompt, length):
        self.continued.append(self.name(path))
        if isinstance(failure := self.fail.get(f"sample of {self.continued[-1]}"), Exception):
            raise failure
        return f"[{length}]"

    def run(self, study, retry=False, train=None):
        return run_study(
            study,
            self.workdir,
            console=Console(file=self.output, width=200),
            executor=InTurn(train=train or self),
            retry=retry,
            actions=Actions(self.score_test, self.continue_prompt),
        )
