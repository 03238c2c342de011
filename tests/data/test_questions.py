"""Questions and the places of their answers: SQuAD as published, and the user's own files."""

import json
from collections import Counter

import pytest

from lmjax.config import base_config
from lmjax.data import questions
from lmjax.data.cleaning import clean
from lmjax.data.corpora import Corpus, open_corpus
from lmjax.data.documents import SPLITS, Document
from lmjax.errors import UserError


def opened(corpus, files=""):
    data = base_config().data
    data.corpus, data.files = corpus, str(files)
    return open_corpus(data)


def test_squad_is_as_published_and_divided_by_article(data_dir):
    splits, report = opened("squad").read()
    assert report == {"articles": 48, "paragraphs": 2_067, "questions": 10_570}
    counts = {split: len(part) for split, part in splits.items()}
    assert counts == {"train": 8_992, "validation": 780, "test": 798}
    texts = {split: {document.second for document in part} for split, part in splits.items()}
    assert sum(map(len, texts.values())) == len(set.union(*texts.values()))
    for part in splits.values():
        for document in part:
            end = document.begin + len(document.text)
            assert document.second[document.begin : end] == document.text
            assert 1 <= len(document.references) <= 6
    named = {document.name: document for part in splits.values() for document in part}
    asked = named["56be4db0acb8001400a502ec"]
    assert asked.source == "Which NFL team represented the AFC at Super Bowl 50?"
    assert asked.references == ("Denver Broncos",) * 3 and asked.begin == 177


def test_other_counts_are_refused(data_dir, monkeypatch):
    monkeypatch.setitem(questions.SQUAD_COUNTS, "questions", 10_571)
    with pytest.raises(UserError, match="squad counts"):
        questions.read_squad()


def written(folder, answers, question="Who?", context="Anna and Bert met Bert."):
    asked = [{"id": "q1", "question": question, "answers": answers}]
    paragraphs = [
        {"context": f"{context} {number}", "qas": asked if number == 7 else []}
        for number in range(200)
    ]
    path = folder / "own.json"
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": paragraphs}]}))
    return path


def answer(text, start):
    return {"text": text, "answer_start": start}


def only(splits):
    (document,) = [document for part in splits.values() for document in part]
    return document


def test_the_place_that_most_gave_is_the_answers(tmp_path, monkeypatch):
    monkeypatch.setattr(questions, "_check_split", lambda *_: None)
    answers = [answer("Anna", 0), answer("Bert", 18), answer("Bert", 9), answer("Bert", 18)]
    document = only(questions.read_questions(written(tmp_path, answers))[0])
    assert (document.text, document.begin) == ("Bert", 18)
    assert document.further_references == ("Anna", "Bert", "Bert")
    document = only(questions.read_questions(written(tmp_path, answers[:3]))[0])
    assert (document.text, document.begin) == ("Anna", 0)


@pytest.mark.parametrize(
    ("answers", "question", "message"),
    [
        ([answer("Anna", 1)], "Who?", "'Anna' of question q1 does not stand at character 1"),
        ([answer(" ", 4)], "Who?", "' ' of question q1 does not stand"),
        ([answer("Anna", 10**9)], "Who?", "does not stand at character 1000000000"),
        ([answer("Anna", -1)], "Who?", "question 1 of .*answer_start.*not -1"),
        ([answer(3, 0)], "Who?", "question 1 of .*text"),
        ([], "Who?", "question q1 has no answer"),
        ([answer("Anna", 0)], " ", "question q1 is empty"),
        ([answer("Anna", 0)], "Who?", "too few texts.*none for (train|validation|test)"),
    ],
)
def test_faults_of_a_file_are_named(tmp_path, answers, question, message):
    with pytest.raises(UserError, match=message):
        questions.read_questions(written(tmp_path, answers, question))


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "own.json").write_text("{")
    with pytest.raises(UserError, match="not JSON.*SQuAD's format"):
        opened("questions", tmp_path / "own.json").read()
    (tmp_path / "own.json").write_text('{"data": [{"title": "t"}]}')
    with pytest.raises(UserError, match="paragraphs.*SQuAD's format"):
        opened("questions", tmp_path / "own.json").read()
    with pytest.raises(UserError, match="needs data.files"):
        opened("questions")
    with pytest.raises(UserError, match="is no file"):
        opened("questions", tmp_path / "other.json")


def test_a_longer_file_than_other_json_is_read(tmp_path):
    path = tmp_path / "own.json"
    filler = "x" * (17 << 20)
    path.write_text(json.dumps({"data": [], "filler": filler}))
    with pytest.raises(UserError, match="too few texts: 0"):
        questions.read_questions(path)


def test_a_place_comes_back_from_what_was_prepared(tmp_path, monkeypatch):
    monkeypatch.setenv("LMJAX_CACHE_DIR", str(tmp_path / "cache"))
    asked = Document("q", "Bert", "Who?", "Anna and Bert", ("Anna",), begin=9)
    splits = {split: [asked, Document("d", "1", "film")] for split in SPLITS}
    corpus = Corpus("some", ["first"], lambda: (splits, Counter(questions=2)))
    assert corpus.documents()[0] == splits


def test_cleaning_that_would_move_answers_is_refused():
    splits = {"train": [Document("q", "Anna", "Who?", "So  Anna", begin=4)]}
    with pytest.raises(UserError, match="'whitespace' would move the answers"):
        clean(splits, ("whitespace",))
    assert clean(splits, ("deduplicate",))[0] == splits
