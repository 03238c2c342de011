"""A report is made of what is there, whatever a kill or a lost file has left of a study."""

import shutil

import pytest
from matplotlib.figure import Figure

from lmjax.errors import UserError
from lmjax.runs.run_directory import RunDirectory
from lmjax.studies.report import write_report
from lmjax.studies.study import Arm, Tuning
from lmjax.studies.tuning import Trial, write_tuning
from tests.studies.fake_runs import make_config, write_run
from tests.studies.fake_studies import write_study


@pytest.fixture
def study(tmp_path):
    scores = {"Base": [2.0, 2.02], "Mine": [1.5, 1.52]}
    write_study(tmp_path, scores, baseline="Base", segments=12, matched=["parameters"])
    write_run(make_config("ngram"), tmp_path / "arms" / "counted" / "order=2" / "seed_0")
    tuning = Tuning({"training.learning_rate": (0.1,)}, "20 percent")
    for path in tmp_path.glob("arms/*/seed_*"):
        RunDirectory(path).log_test_read(step=30, reader="lmjax study, after all training")
        trials = [Trial({"training.learning_rate": 0.1}, 2.0, 600)]
        write_tuning(path, Arm("Mine", make_config()), tuning, trials)
    return tmp_path


def save_nothing(figure, content, **options):
    content.write(b"<svg></svg>")


def test_any_one_file_may_be_lost_or_cut(study, monkeypatch):
    files = sorted(path for path in study.rglob("*") if path.is_file())
    names = {path.name for path in files}
    assert names >= {"study.json", "config.json", "results.json", "metrics.jsonl", "tuning.json"}
    for file in files:
        whole = file.read_bytes()
        for left in (None, b"", whole[: len(whole) // 2], whole[:-2]):
            if left is None:
                file.unlink()
            else:
                file.write_bytes(left)
                if file.name != "metrics.jsonl":  # what figures show is then as if it were lost
                    monkeypatch.setattr(Figure, "savefig", save_nothing)
            if file.name == "study.json" and left is not None:
                with pytest.raises(UserError, match="study.json"):
                    write_report(study)
            else:
                _, page = write_report(study)
                assert "</html>" in page.read_text() and "Base" in (study / "report.md").read_text()
            file.write_bytes(whole)
            monkeypatch.undo()


def test_any_folder_may_be_lost_as_long_as_a_run_is_left(study):
    for folder in sorted(path for path in study.rglob("*") if path.is_dir()):
        if folder.exists() and folder.name not in ("arms", "plots"):
            kept = shutil.move(folder, study.parent / "kept")
            write_report(study)
            shutil.move(kept, folder)
    shutil.rmtree(study / "arms")
    record, page = write_report(study)
    assert not any(arm.runs for arm in record.arms) and "No arm is finished." in page.read_text()
