"""`lmjax predict`: each line has its answer, whatever ends the program, and those of one model."""

import json
import os
import signal
import threading

import pytest

import lmjax
from lmjax.cli.main import main
from lmjax.config import base_config
from lmjax.data.lines import Fields, Line, as_they_come, count_lines, read_lines
from lmjax.errors import InUseError, Stopped, UserError
from lmjax.runs.answer_file import AnswerFile
from lmjax.training.run import train

LINES = [f"{i} {('good', 'bad', 'dull')[i % 3]} {'film ' * (i % 7)}".strip() for i in range(40)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """With a classifier, a count table, and lines for them."""
    folder = tmp_path_factory.mktemp("predict")
    rows = [{"source": line, "target": "gbd"[i % 3]} for i, line in enumerate(LINES * 5)]
    rows = [{**row, "source": f"{row['source']} {i}"} for i, row in enumerate(rows)]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = base_config("classifier")
    config.model.dropout = 0.0
    config.model.backbone.update(layers=1, width=16, heads=2, dropout=0.0, context_length=24)
    config.data.update(corpus="parallel", files=str(folder / "pairs.jsonl"), batch_size=4)
    config.data.update(source_tokenizer="word", source_length=24)
    config.training.update(duration="4 steps", learning_rate=1e-2)
    config.evaluation.every = config.logging.every = "100 percent"
    train(config, folder / "labels")
    (folder / "lines.txt").write_text("\n".join(LINES) + "\n")
    counts = base_config("ngram")
    counts.data.update(corpus="text", files=str(folder / "lines.txt"), tokenizer="character")
    counts.evaluation.splits = ("train",)
    train(counts, folder / "counts")
    return folder


def answers(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def predict(folder, output, *flags, lines="lines.txt", run="labels"):
    given = [f"--workdir={folder / run}", f"--input={folder / lines}", f"--output={output}"]
    return main(["predict", *given, *flags])


def test_each_line_has_the_answer_that_python_gives(folder, tmp_path, capsys):
    assert predict(folder, tmp_path / "out.jsonl") == 0
    rows = answers(tmp_path / "out.jsonl")
    assert [row["source"] for row in rows] == LINES
    assert [row["name"] for row in rows] == [f"line {i}" for i in range(1, 41)]
    trained = lmjax.load(folder / "labels")
    for row, label in zip(rows, trained.classify(LINES), strict=True):
        assert row["prediction"] == label["label"]
        assert row["probabilities"] == pytest.approx(label["probabilities"], rel=1e-4)
    assert "40 lines are answered" in capsys.readouterr().err
    assert [row["prediction"] for row in trained.predict(iter(LINES))] == [
        row["prediction"] for row in rows
    ]


def test_of_a_text_that_is_predicted_there_are_its_nats(folder, tmp_path):
    assert predict(folder, tmp_path / "out.jsonl", run="counts") == 0
    trained = lmjax.load(folder / "counts")
    for row in answers(tmp_path / "out.jsonl")[:5]:
        score = trained.score(row["source"])
        assert row["nats"] == pytest.approx(score.total_nats, rel=1e-4)
        assert row["tokens"] == len(row["source"]) and row["unknowns"] == 0
    with pytest.raises(UserError, match="beam is of no use"):
        next(trained.predict(["text"], beam=2))


@pytest.mark.parametrize("at", [0, 1, 700])
def test_what_was_broken_off_goes_on_as_if_it_had_not_been(folder, tmp_path, at, capsys):
    """Also in the middle of a line, as where the power failed."""
    output = tmp_path / "out.jsonl"
    assert predict(folder, output) == 0
    whole = output.read_bytes()
    output.write_bytes(whole[: len(whole) - at] if at else whole[: whole.index(b"\n") + 1])
    capsys.readouterr()
    assert predict(folder, output) == 0
    told = capsys.readouterr().err
    kept = 1 if at == 0 else whole[:-at].count(b"\n")
    assert f"{kept} lines are answered in {output}; goes on after them" in told
    rows, before = answers(output), [json.loads(line) for line in whole.splitlines()]
    assert [(row["name"], row["prediction"]) for row in rows] == [
        (row["name"], row["prediction"]) for row in before
    ]


def test_a_signal_while_lines_are_written_ends_it_after_them(folder, tmp_path, monkeypatch):
    output = tmp_path / "out.jsonl"
    monkeypatch.setattr("lmjax.trained.predicting.BATCHES_AT_ONCE", 2)
    add = AnswerFile.add

    def interrupted(self, rows):
        os.kill(os.getpid(), signal.SIGTERM)
        add(self, rows)

    monkeypatch.setattr(AnswerFile, "add", interrupted)
    with pytest.raises(Stopped):
        from lmjax.cli import predict as verb

        given = [f"--workdir={folder / 'labels'}", f"--input={folder / 'lines.txt'}"]
        verb.main([*given, f"--output={output}"])
    assert len(answers(output)) == 8
    monkeypatch.setattr(AnswerFile, "add", add)
    assert predict(folder, output) == 0 and len(answers(output)) == 40


def test_answers_of_another_model_or_to_other_lines_are_not_gone_on_with(folder, tmp_path, capsys):
    output = tmp_path / "out.jsonl"
    output.write_text("mine\n")
    assert predict(folder, output) == 2
    assert "was not begun by this command" in capsys.readouterr().err
    assert output.read_text() == "mine\n"
    output.unlink()
    assert predict(folder, output) == 0
    assert predict(folder, output, run="counts") == 2
    assert "made with another workdir and step and parameters" in capsys.readouterr().err
    (tmp_path / "others.txt").write_text("\n".join(["other", *LINES[1:]]))
    assert predict(folder, output, lines=tmp_path / "others.txt") == 2
    assert "is no answer to line 1" in capsys.readouterr().err
    (tmp_path / "fewer.txt").write_text("\n".join(LINES[:-1]))
    assert predict(folder, output, lines=tmp_path / "fewer.txt") == 2
    assert "answer to line 40 and the input only 39 lines" in capsys.readouterr().err


def test_one_program_alone_adds_answers_to_a_file(tmp_path):
    first = AnswerFile(tmp_path / "answers.jsonl", {"model": "a"})
    first.add([{"name": "line 1"}])
    with pytest.raises(InUseError, match="answers.jsonl is being written by another program"):
        AnswerFile(tmp_path / "answers.jsonl", {"model": "a"})
    del first
    assert len(list(AnswerFile(tmp_path / "answers.jsonl", {"model": "a"}).answers())) == 1


def test_a_line_that_cannot_be_read_has_an_error_in_its_place(folder, tmp_path, capsys):
    lines = [*LINES[:10], "", *LINES[10:], "long " * 30]
    (tmp_path / "some.txt").write_text("\n".join(lines))
    assert predict(folder, tmp_path / "out.jsonl", lines=tmp_path / "some.txt") == 1
    rows = answers(tmp_path / "out.jsonl")
    assert [row["source"] for row in rows] == lines
    assert [place for place, row in enumerate(rows) if "error" in row] == [10, 41]
    assert "empty text" in rows[10]["error"] and "30 tokens" in rows[41]["error"]
    assert all("prediction" in row for row in rows if "error" not in row)
    assert "2 of them could not be" in capsys.readouterr().err


@pytest.mark.parametrize("field", ["source", "second", "name"])
def test_half_of_a_surrogate_pair_is_an_error_in_its_place(tmp_path, field):
    whole, half = {"source": "a \U0001f600"}, {"source": "a"}
    half[field] = "half \ud83d of a pair"
    path = tmp_path / "some.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in (half, whole)))
    lines = list(read_lines(str(path), Fields()))
    assert lines[1] == Line("line 2", "a \U0001f600")
    assert (lines[0].name, lines[0].source) == ("line 1", "")
    assert r"line 1 has '\ud83d', half of a surrogate pair" in lines[0].error


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("3", "a number"),
        ("0.5", "a number"),
        ("null", "null"),
        ("true", "true or false"),
        ("[1]", "a list"),
        ("{}", "an object"),
    ],
)
def test_a_field_that_is_no_text_is_told_with_what_it_is(tmp_path, value, kind):
    path = tmp_path / "some.jsonl"
    path.write_text(f'{{"source": {value}, "name": 5}}\n{{"source": "a", "second": {value}}}\n')
    first, other = read_lines(str(path), Fields())
    assert first.error == f"'source' of line 1 is {kind}, not a text" and first.name == "5"
    if value == "null":
        assert other == Line("line 2", "a")
    else:
        assert other.error == f"'second' of line 2 is {kind}, not a text"


def test_json_lines_have_named_fields(folder, tmp_path, capsys):
    rows = [{"text": line, "name": f"n{i}"} for i, line in enumerate(LINES[:9])]
    rows[4] = {"txt": "bad"}
    path = tmp_path / "some.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    assert predict(folder, tmp_path / "o.jsonl", "--source=text", lines=path) == 1
    found = answers(tmp_path / "o.jsonl")
    assert [row["name"] for row in found][:4] == ["n0", "n1", "n2", "n3"]
    assert "did you mean 'txt'" in found[4]["error"] and "is not JSON" in found[9]["error"]
    assert predict(folder, tmp_path / "p.jsonl", lines=path) == 2
    assert "no text 'source'" in capsys.readouterr().err
    assert predict(folder, tmp_path / "q.jsonl", "--source=text") == 2
    assert "names a field of JSON lines" in capsys.readouterr().err


def test_what_is_piped_in_is_answered_as_it_comes(folder, monkeypatch, capfd):
    reading, writing = os.pipe()
    with open(reading) as piped, open(writing, "w") as pipe:
        monkeypatch.setattr("sys.stdin", piped)
        first, *rest = LINES
        pipe.write(first + "\n")
        pipe.flush()
        seen = []

        def write_more():
            while not seen:
                seen.extend(capfd.readouterr().out.splitlines())
            pipe.write("\n".join(rest))
            pipe.close()

        thread = threading.Thread(target=write_more)
        thread.start()
        assert main(["predict", f"--workdir={folder / 'labels'}", "--input=-"]) == 0
        thread.join()
    rows = [json.loads(line) for line in [*seen, *capfd.readouterr().out.splitlines()]]
    assert len(seen) == 1 and [row["source"] for row in rows] == LINES


@pytest.mark.parametrize("lines", [["", "good film"], ["good film", ""]])
def test_an_empty_line_that_is_piped_in_is_an_error_in_its_place(folder, monkeypatch, capfd, lines):
    monkeypatch.setattr("lmjax.data.lines.PATIENCE", 0.0)
    monkeypatch.setattr("lmjax.trained.predicting.BATCHES_AT_ONCE", 0.25)  # a line at a time
    reading, writing = os.pipe()
    os.write(writing, "".join(f"{line}\n" for line in lines).encode())
    os.close(writing)
    with open(reading) as piped:
        monkeypatch.setattr("sys.stdin", piped)
        assert main(["predict", f"--workdir={folder / 'labels'}", "--input=-"]) == 1
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row["source"] for row in rows] == lines
    assert ["error" in row for row in rows] == [not line for line in lines]


def test_lines_are_read_as_they_are(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes("\ufeffa\r\nb\x85\u2028 c\n\nd".encode())
    assert [line.source for line in read_lines(str(path))] == ["a", "b\x85\u2028 c", "", "d"]
    assert count_lines(str(path)) == 4
    path.write_bytes(b"a\n\xff\n")
    with pytest.raises(UserError, match=r"line 2 of .*invalid UTF-8 at byte 0"):
        list(read_lines(str(path)))
    with pytest.raises(UserError, match="is a folder"):
        count_lines(str(tmp_path))
    with pytest.raises(UserError, match="cannot read"):
        count_lines(str(tmp_path / "none"))


def test_an_error_of_reading_reaches_who_takes_the_lines(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"a\n\xff\n")
    with pytest.raises(UserError, match="invalid UTF-8"):
        list(as_they_come(read_lines(str(path)), 1))
