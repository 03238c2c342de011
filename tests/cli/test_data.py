"""`lmjax data`: what it prints, and that a mistake is one line."""

import pytest

from lmjax.cli.main import main

TEXT = "".join(f"line {i} of the text\n" for i in range(300))


@pytest.fixture(autouse=True)
def notes(tmp_path, monkeypatch):
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "notes.txt").write_text(TEXT)
    return f"--files={tmp_path}/*.txt"


def test_list_names_every_corpus(capsys):
    assert main(["data", "list"]) == 0
    printed = capsys.readouterr().out
    for corpus in ("python_docs", "tiny_shakespeare", "ptb", "wikitext2", "text"):
        assert corpus in printed


def test_prepare_and_inspect(notes, capsys):
    assert (
        main(
            ["data", "prepare", "text", notes, "--cleaning=lowercase,nfc", "--special_tokens=mask"]
        )
        == 0
    )
    printed = capsys.readouterr().out
    assert "validation" in printed and "nfc: 0 of" in printed
    assert "special tokens: mask 256" in printed
    assert "predict" not in printed
    assert main(["data", "inspect", "text", notes, "--batching=stream", "--length=5"]) == 0
    printed = capsys.readouterr().out
    assert "special tokens" not in printed
    assert r"\nline" in printed and "batches an epoch" in printed


@pytest.mark.parametrize("columns", ["80", "50"])
def test_no_count_is_cut_in_a_narrow_terminal(notes, capsys, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    assert main(["data", "inspect", "text", notes]) == 0
    printed = capsys.readouterr().out
    assert "…" not in printed
    lines = [line.split("│")[1:-1] for line in printed.splitlines() if line.count("│") == 5]
    counts = {name.strip(): [int(n.replace(",", "")) for n in numbers] for name, *numbers in lines}
    assert sum(counts["bytes"]) == sum(counts["tokens"]) == len(TEXT)
    assert sum(counts["ends of line"]) == 300 and counts["documents"] == [1, 1, 1]
    assert "1 files split each by position" in printed


def test_help_has_an_example(capsys):
    assert main(["data", "--help"]) == 0
    assert "lmjax data prepare ptb --tokenizer=word" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "list, prepare"),
        (["prepair", "ptb"], "did you mean 'prepare'"),
        (["prepare"], "name the corpus"),
        (["list", "ptb"], "leave 'ptb' out"),
        (["list", "--cleaning=nfc"], "--cleaning is of no use with 'list'"),
        (["prepare", "ptbb"], "did you mean 'ptb'"),
        (["prepare", "ptb", "--tokenizr=word"], "tokenizer"),
        (["prepare", "text"], "data.files"),
    ],
)
def test_mistakes_are_one_line(arguments, message, capsys):
    assert main(["data", *arguments]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and message in printed
