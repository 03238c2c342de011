"""`lmjax translate`, and what Python offers for it, on small runs of both kinds of model."""

import json

import numpy as np
import pytest
import sacrebleu

import lmjax
from lmjax.cli.main import main
from lmjax.config import base_config, objective_config
from lmjax.errors import UserError
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.run import train

WORDS = ["eins", "zwei", "drei"], ["One", "Two", "Three"]
KINDS = {"seq2seq": "seq2seq", "rnn": "prefix"}


@pytest.fixture(scope="module", params=KINDS)
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("translate")
    generator = np.random.default_rng(0)
    rows = [generator.integers(0, 3, generator.integers(1, 6)) for _ in range(300)]
    lines = ["\t".join(" ".join(words[i] for i in row) for words in WORDS) for row in rows]
    (folder / "pairs.tsv").write_text("\n".join(lines) + "\n")
    config = base_config(request.param)
    config.objective = objective_config(KINDS[request.param])
    config.data.update(corpus="parallel", files=str(folder / "pairs.tsv"), tokenizer="word")
    config.data.update(batching="documents", document_end=True, cleaning=("lowercase",))
    config.data.update(batch_size=8, length=12)
    config.evaluation.context = "documents"
    config.model.update(width=8, layers=1)
    if "attention" in config.model:
        config.model.attention = "general"
    config.training.update(duration="20 steps", learning_rate=1e-2)
    train(config, folder / "run")
    return folder / "run"


def test_a_translation_is_what_the_model_scores(run):
    trained = lmjax.load(run)
    sources = ["Eins", "zwei drei", "eins eins zwei eins drei", ""]
    found = trained.translations(sources, lmjax.Beam(4, n_best=2), rows=2)
    assert found[-1] == [("", 0.0, 0.0, ())]
    checked = 0
    for source, row in zip(sources[:-1], found, strict=False):
        assert row[0].score >= row[1].score
        for text, log_prob, score, tokens in row:
            size = len(tokens) + 1
            whole = size <= 2 * len(source.split()) + 10  # else it was cut
            if whole and trained.tokenizer.encode(text).tolist() == list(tokens) and text:
                nats = trained.score(text, source.lower()).total_nats
                assert log_prob == pytest.approx(-nats, rel=1e-4)
                assert score == pytest.approx(-nats / ((5 + size) / 6) ** 0.6, rel=1e-4)
                checked += 1
    assert checked >= 2
    assert trained.translate(sources, lmjax.Beam(4, n_best=2)) == [row[0].text for row in found]
    assert trained.translate("zwei drei", 4) == found[1][0].text
    (row,) = trained.translations(["zwei"], lmjax.Beam(2), longest=3, prefix="three")
    assert row[0].text.startswith("three") and len(row[0].tokens) <= 3


def test_lines_are_predicted_as_they_are_translated(run, tmp_path):
    lines = ["Eins", "zwei drei", "eins eins zwei eins drei"]
    (tmp_path / "in.txt").write_text("\n".join(lines))
    given = [f"--workdir={run}", f"--input={tmp_path}/in.txt", f"--output={tmp_path}/out.jsonl"]
    assert main(["predict", *given, "--beam=2"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    found = lmjax.load(run).translations(lines, lmjax.Beam(2))
    assert [row["prediction"] for row in rows] == [row[0].text for row in found]
    assert [row["log_prob"] for row in rows] == pytest.approx([row[0].log_prob for row in found])


def test_sources_are_cut_as_in_training(run):
    trained = lmjax.load(run)
    with trained.config.unlocked():
        trained.config.data.cut_sources = 2
    options = {"longest": 4}
    whole, cut = (
        trained.translations([text], lmjax.Beam(2), **options)
        for text in ("eins zwei drei drei", "eins zwei")
    )
    assert whole == cut != lmjax.load(run).translations(["eins zwei drei drei"], lmjax.Beam(2))
    assert next(trained.predict(["eins zwei drei"]))["prediction"] == trained.translate("eins zwei")


def test_no_text_at_all_is_told(run):
    trained = lmjax.load(run)
    for write in (trained.translate, trained.summarize):
        with pytest.raises(UserError, match="there is no text"):
            write([])


def test_a_summary_repeats_no_three_tokens_and_is_as_long_as_those_trained_on(run):
    trained = lmjax.load(run)
    for summary in trained.summarize(["eins zwei drei eins zwei drei eins", "zwei"], 3):
        tokens = summary.split()
        grams = list(zip(tokens, tokens[1:], tokens[2:], strict=False))
        assert len(grams) == len(set(grams)) and len(tokens) <= trained.config.data.length
    assert trained.summarize("zwei", longest=2) == trained.summarize(["zwei"], longest=2)[0]


def test_the_worth_of_a_splits_translations_is_that_of_its_kind(run, capsys):
    assert main(["evaluate", f"--workdir={run}", "--split=validation"]) == 0
    task = json.loads(capsys.readouterr().out)["task"]
    assert task == RunDirectory(run).results()["splits"]["validation"]["task"]
    done = lmjax.load(run).translate_split("validation", 5)
    assert task["kind"] == "translation" and set(task["baselines"]) == {"copied_source"}
    assert task["metrics"] == {
        name: pytest.approx(done.measured[name]) for name in ("bleu", "chrf")
    }
    assert task["notes"]["bleu"] == done.measured["bleu_signature"]
    assert task["notes"]["decoding"] == done.decoding


def test_a_split_is_translated_measured_and_kept(run, tmp_path, capsys):
    arguments = ["translate", f"--workdir={run}", "--beam=2", "--nbest=2", "--samples=2"]
    assert main([*arguments, f"--output={tmp_path}/found.txt"]) == 0
    printed = capsys.readouterr()
    result = json.loads(printed.out)
    pairs = [line.split(" ||| ") for line in (tmp_path / "found.txt").read_text().splitlines()]
    best = {}
    for number, text, *_ in pairs:
        best.setdefault(int(number), text)
    documents = lmjax.load(run).translate_split("test").documents
    assert sorted(best) == list(range(len(documents))) and result["sentences"] == len(documents)
    references = [document.text for document in documents]
    assert all(text == text.lower() for text in references)
    score = sacrebleu.corpus_bleu([best[number] for number in sorted(best)], [references])
    assert result["bleu"] == pytest.approx(score.score)
    assert "case:mixed" in result["bleu_signature"] and "version:" in result["chrf_signature"]
    assert printed.err.count("reference ") == 2 and documents[0].source in printed.err

    kept = RunDirectory(run).results()
    decoding = "beam 2, length penalty wu 0.6"
    assert result["decoding"] == decoding and result["cleaning"] == ["lowercase"]
    assert kept["translations"]["test"][decoding]["bleu"] == result["bleu"]
    assert "beam 5, length penalty wu 0.6" in kept["translations"]["test"]
    assert set(kept["splits"]) == {"validation"}
    reads = [json.loads(line) for line in (run / "test_reads.jsonl").read_text().splitlines()]
    assert reads[0]["reader"] == "lmjax translate" and reads[0]["context"] == decoding
    assert main(["report", f"--workdir={run}"]) == 0
    page = (run / "report.html").read_text()
    for figure in (
        f"{result['bleu']:.2f}",
        f"{result['chrf']:.2f}",
        decoding,
        "cleaning: lowercase",
    ):
        assert f"{figure}</td>" in page


def test_what_was_attended_to_is_drawn(run, tmp_path, capsys):
    arguments = ["translate", f"--workdir={run}", "--split=validation", "--beam=1"]
    code = main([*arguments, "--pictures=2", f"--output={tmp_path}/found.txt"])
    drawn = sorted(path.name for path in tmp_path.glob("*.svg"))
    if "attention" in lmjax.load(run).config.model:
        assert code == 0 and len(drawn) == 2 and drawn[0] == "found_1.svg"
    else:
        assert code == 2 and "no attention to a source" in capsys.readouterr().err
        assert not list(tmp_path.iterdir())


def test_pictures_of_attention_stand_in_the_report(run, capsys):
    arguments = ["translate", f"--workdir={run}", "--beam=1", "--split=validation", "--pictures=2"]
    if "attention" not in lmjax.load(run).config.model:
        assert main(arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1
        return
    assert main(arguments) == 0
    assert len(list((run / "translations").glob("validation_*.svg"))) == 2
    assert main(["report", f"--workdir={run}"]) == 0
    assert (run / "report.html").read_text().count('src="data:image/svg+xml;base64,') == 2


def test_lines_keep_their_places(run, tmp_path, capsys):
    (tmp_path / "in.txt").write_text("drei\n\nEINS zwei\nnie\n")
    arguments = ["translate", f"--workdir={run}", f"--input={tmp_path}/in.txt", "--beam=1"]
    assert main(arguments) == 0
    lines = capsys.readouterr().out.split("\n")
    expected = lmjax.load(run).translate(["drei", "", "eins zwei", "nie"], 1)
    assert lines == [*expected, ""] and expected[1] == ""
    assert not (tmp_path / "out.txt").exists()
    assert main([*arguments, f"--output={tmp_path}/out.txt"]) == 0
    assert (tmp_path / "out.txt").read_text().split("\n") == lines


def test_lines_are_measured_by_references(run, tmp_path, capsys):
    sources, references = ["drei", "eins zwei drei eins"], ["Three", "One Two three ONE"]
    for name, lines in (("in.txt", sources), ("references.txt", references)):
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    files = [f"--input={tmp_path}/in.txt", f"--references={tmp_path}/references.txt"]
    options = ["--min_length=3", "--beam=2", "--prefix=three"]
    assert main(["translate", f"--workdir={run}", *options, *files]) == 0
    lines, told = capsys.readouterr()
    lowered = [reference.lower() for reference in references]  # as the corpus was
    measured = json.loads(told[told.index("{") :])
    decoding = "beam 2, length penalty wu 0.6, at least 3 tokens, prefix three"
    assert measured["decoding"] == decoding
    assert measured["chrf"] == sacrebleu.corpus_chrf(lines.splitlines(), [lowered]).score
    assert measured["chrf"] > 0 and measured["cleaning"] == ["lowercase"]
    for name in ("in.txt", "references.txt"):
        (tmp_path / name).write_text("")
    assert main(["translate", f"--workdir={run}", *files]) == 2
    assert "there is no pair to compare" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--references=x"], "--references are of the lines of --input"),
        ([f"--input={__file__}", f"--references={np.__file__}"], "give one for each source"),
        (["--input=-", "--references=-"], "--input and --references are both piped in"),
        (["--split=tset"], "did you mean 'test'"),
        (["--split=test", "--input=x"], "one of them"),
        (["--input=x", "--pictures=1"], "--pictures is of a split's translations"),
        (["--input=nowhere.txt"], "cannot read nowhere.txt"),
        (["--beam=2", "--nbest=3"], "widen it"),
        (["--normalization=google"], "unknown normalization"),
        (["--batch_size=0"], "rows are 0"),
        (["--min_length=5", "--max_length=4"], "at least 5 tokens and at most 4"),
        (["--input=x", "--output=./x"], "--output would overwrite --input, x"),
        (["--samples=-1"], "--samples=-1"),
        (["--pictures=-1"], "--pictures=-1"),
        (["--output=/dev/null/x"], "cannot write to /dev/null/x"),
    ],
)
def test_a_mistake_is_one_line(run, arguments, said, capsys):
    assert main(["translate", f"--workdir={run}", *arguments]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("error: ") and said in told


def test_a_model_that_writes_no_target_says_so(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("one two three\n" * 400)
    config = base_config("ngram")
    config.data.update(corpus="text", files=str(tmp_path / "text.txt"), tokenizer="word")
    train(config, tmp_path / "run")
    assert main(["translate", f"--workdir={tmp_path}/run"]) == 2
    assert "this model can't translate" in capsys.readouterr().err
    with pytest.raises(UserError, match="'prefix' or 'seq2seq'"):
        lmjax.load(tmp_path / "run").translate("eins")
    with pytest.raises(UserError, match="can't summarize.*'prefix' or 'seq2seq'.*'scitldr'"):
        lmjax.load(tmp_path / "run").summarize("eins")
