"""Texts that are written: BLEU, chrF and ROUGE are those of the libraries, also of odd texts."""

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu import corpus_bleu, corpus_chrf

from lmjax.config import base_config
from lmjax.data.corpora import open_corpus
from lmjax.data.documents import Document
from lmjax.errors import UserError
from lmjax.tasks.registry import TASKS, find_kind, kind_of
from lmjax.tasks.rouge import rouge

ODD = [  # prediction, references
    ("", ["The cats sat."]),
    ("...", ["The cats sat."]),
    ("The cat sits.", ["The cats were sitting!", "A dog", "the CAT sits"]),
    ("Müßiggang ist aller Laster Anfang", ["müssiggang ist aller Laster Anfang", "ß"]),
    ("秦川雄帝宅", ["秦川雄帝宅"]),
    ("a a a b", ["a b"]),
    ("b a", ["a b", "b b a a", ""]),
]
PREDICTIONS, REFERENCES = map(list, zip(*ODD, strict=True))


def test_rouge_is_the_best_of_rouge_scores_references():
    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)
    found = rouge(PREDICTIONS, REFERENCES)
    for name, of_each in found.items():
        theirs = name.replace("rougel", "rougeL")
        best = [
            max(scorer.score(right, told)[theirs].fmeasure for right in references)
            for told, references in ODD
        ]
        np.testing.assert_allclose(of_each, 100 * np.array(best))


def test_rouge_by_hand():
    found = rouge(["the cat sat here"], [["the dog", "a cat sat on the mat here"]])
    # The second reference has 4 of 4 words, 1 of 3 pairs (cat sat), and "cat sat here" in order.
    expected = {"rouge1": 2 * 4 / 11, "rouge2": 2 / 9, "rougel": 2 * 3 / 11}
    assert {name: value[0] for name, value in found.items()} == pytest.approx(
        {name: 100 * value for name, value in expected.items()}
    )
    assert rouge(["it sat"], ["sits it"])["rouge1"][0] == 50
    assert rouge(["sitting"], ["sits"])["rouge1"][0] == 100


def test_measures_of_a_split_are_means_with_intervals_around_them():
    kind = find_kind("summarisation")
    measured = kind.measure(PREDICTIONS, REFERENCES)
    of_each = rouge(PREDICTIONS, REFERENCES)
    assert measured == {name: float(f_N.mean()) for name, f_N in of_each.items()}
    for name, (low, high) in kind.intervals(PREDICTIONS, REFERENCES).items():
        assert 0 <= low < measured[name] < high <= 100
    with pytest.raises(UserError, match="no summary to compare"):
        kind.measure([], [])


def test_bleu_and_chrf_are_sacrebleus_of_all_references():
    kind = find_kind("translation")
    columns = [
        [right[0] for right in REFERENCES],
        *(
            [right[i] if len(right) > i else None for right in REFERENCES]
            for i in range(1, max(map(len, REFERENCES)))
        ),
    ]
    assert kind.measure(PREDICTIONS, REFERENCES) == {
        "bleu": corpus_bleu(PREDICTIONS, columns).score,
        "chrf": corpus_chrf(PREDICTIONS, columns).score,
    }
    assert "nrefs:var" in kind.notes(REFERENCES)["bleu"]
    assert "nrefs:1" in kind.notes(["one", "two"])["chrf"]
    assert kind.measure(["a b c d e"], ["a b c\nd e"])["bleu"] == pytest.approx(100)


def test_intervals_of_bleu_are_about_it():
    kind = find_kind("translation")
    generator = np.random.default_rng(0)
    references = [" ".join(generator.choice(list("abcdefgh"), 12)) for _ in range(200)]
    predictions = [text[:-7] + " c a b" for text in references]
    measured = kind.measure(predictions, references)
    for name, (low, high) in kind.intervals(predictions, references).items():
        assert low < measured[name] < high < low + 5
    assert kind.intervals(["a"], ["b"]) == {"bleu": None, "chrf": None}


def test_baselines():
    sources = ["One is 1.5 of it. Two! Is it three? Four.", "一。二！三", "no end"]
    documents = [Document(str(i), "target", source) for i, source in enumerate(sources)]
    found = find_kind("summarisation").baselines([], documents)
    assert found["lead_1"] == ["One is 1.5 of it.", "一。", "no end"]
    assert found["lead_3"] == ["One is 1.5 of it. Two! Is it three?", "一。 二！ 三", "no end"]
    assert found["copied_source"] == sources
    assert find_kind("translation").baselines([], documents)["copied_source"] == sources


@pytest.mark.parametrize(
    ("corpus", "kind"),
    [("multi30k", "translation"), ("scitldr", "summarisation"), ("parallel", "translation")],
)
def test_a_run_is_of_the_kind_of_its_corpus(corpus, kind):
    config = base_config("encoder_decoder")
    config.data.corpus = corpus
    assert kind_of(config).name == kind


def test_tasks_of_texts_name_corpora_that_there_are_and_metrics_of_their_kind():
    for task in TASKS.values():
        if task.kind in ("translation", "summarisation"):
            data = base_config("encoder_decoder").data
            data.update(task.fields)
            assert open_corpus(data).name == task.corpus
            metrics = find_kind(task.kind).measure(["a"], ["b"])
            assert {published.metric for published in task.published} <= set(metrics)
