"""Answers are measured as SQuAD 1.1 measures them, and are the most probable of all windows."""

import re
import string
from collections import Counter
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.documents import Document
from lmjax.data.span_tokenizer import SpanTokenizer
from lmjax.data.wrapped_tokenizers import PairTokenizer, with_special_tokens
from lmjax.errors import DivergedError, UserError
from lmjax.tasks.answer_metrics import answer_metrics
from lmjax.tasks.question_answering import QuestionAnswering

KIND = QuestionAnswering()


# The rules of evaluate-v1.1.py, in its words.
def normalize_answer(s):
    def remove_articles(text):
        return re.sub(r"\b(a|an|the)\b", " ", text)

    def white_space_fix(text):
        return " ".join(text.split())

    def remove_punc(text):
        exclude = set(string.punctuation)
        return "".join(ch for ch in text if ch not in exclude)

    def lower(text):
        return text.lower()

    return white_space_fix(remove_articles(remove_punc(lower(s))))


def f1_score(prediction, ground_truth):
    prediction_tokens = normalize_answer(prediction).split()
    ground_truth_tokens = normalize_answer(ground_truth).split()
    common = Counter(prediction_tokens) & Counter(ground_truth_tokens)
    num_same = sum(common.values())
    if num_same == 0:
        return 0
    precision = 1.0 * num_same / len(prediction_tokens)
    recall = 1.0 * num_same / len(ground_truth_tokens)
    return (2 * precision * recall) / (precision + recall)


def exact_match_score(prediction, ground_truth):
    return normalize_answer(prediction) == normalize_answer(ground_truth)


def official(predictions, references):
    f1 = exact_match = 0
    for prediction, ground_truths in zip(predictions, references, strict=True):
        exact_match += max(exact_match_score(prediction, each) for each in ground_truths)
        f1 += max(f1_score(prediction, each) for each in ground_truths)
    total = len(references)
    return {"exact_match": 100.0 * exact_match / total, "f1": 100.0 * f1 / total}


CASES = {  # prediction, references, exact match, F1
    "article and case": ("the Denver Broncos", ["Denver broncos"], 100, 100),
    "punctuation": ("U.S.A.", ["USA!"], 100, 100),
    "punctuation that parts words": ("well-known", ["well known"], 0, 0),
    "an article that punctuation hides": ("(the) cat", ["cat"], 100, 100),
    "an article within a word": ("theatre another", ["atre nother"], 0, 0),
    "an article made by punctuation": ("t-h-e cat", ["cat"], 100, 100),
    "whitespace": (" two\t\n\u3000words ", ["two words"], 100, 100),
    "no prediction": ("", ["cat"], 0, 0),
    "nothing but an article": ("The", ["a"], 100, 0),
    "nothing on either side": ("", ["..."], 100, 0),
    "several references": ("cat on mat", ["dog", "the cat", "cat on the mat"], 100, 100),
    "the nearest reference": ("black cat", ["cat sat", "a white cat here"], 0, 50),
    "words that come twice": ("new york new", ["new york"], 0, 80),
    "unicode is no punctuation": ("“cat”", ["cat"], 0, 0),
    "unicode case": ("ÉCOLE", ["école"], 100, 100),
    "capital i with a dot": ("İstanbul", ["istanbul"], 0, 0),
    "composed and not": ("é", ["e\u0301"], 0, 0),
    "chinese": ("北京 市", ["北京市"], 0, 0),
    "numbers": ("1,000", ["1000"], 100, 100),
}


@pytest.mark.parametrize("name", CASES)
def test_adversarial_answers_are_measured_by_the_rules(name):
    prediction, references, exact, f1 = CASES[name]
    measured = KIND.measure([prediction], [references])
    assert measured == pytest.approx({"exact_match": exact, "f1": f1})
    assert measured == pytest.approx(official([prediction], [references]))
    assert KIND.measure([prediction], references[:1]) == pytest.approx(
        official([prediction], [references[:1]])
    )


answers = st.text(st.sampled_from("a n the.,-'’ \n\tThE’é İ1"), max_size=14)


@given(st.lists(st.tuples(answers, st.lists(answers, min_size=1, max_size=3)), min_size=1))
def test_any_answers_are_measured_by_the_rules(cases):
    predictions, references = zip(*cases, strict=True)
    assert KIND.measure(predictions, references) == pytest.approx(official(predictions, references))


def test_squad_is_measured_by_the_rules(data_dir):
    from lmjax.data.questions import read_squad

    documents = read_squad()[0]["test"]
    references = KIND.references(documents)
    assert any(isinstance(reference, list) for reference in references)
    lists = [[each] if isinstance(each, str) else each for each in references]
    for told in KIND.baselines([], documents).values():
        assert KIND.measure(told, references) == pytest.approx(official(told, lists))
    # One answer is ".", of which no word is left, so that it has none in common with itself.
    right = KIND.measure([texts[-1] for texts in lists], references)
    assert right == {"exact_match": 100, "f1": pytest.approx(100 * 797 / 798)}


def test_intervals_hold_the_mean():
    told = ["cat"] * 60 + ["dog"] * 40
    intervals = KIND.intervals(told, ["the cat"] * 100)
    for low, high in intervals.values():
        assert 40 < low < 60 < high < 80
    with pytest.raises(UserError, match="no question to compare"):
        KIND.measure([], [])


def test_baselines_are_sentences():
    text = "It was cold. Anna met Bert in Rome. Bert left."
    document = Document("q", "Rome", "Where did Anna meet Bert ?", text)
    assert KIND.baselines([], [document]) == {
        "first_sentence": ["It was cold."],
        "likest_sentence": ["Anna met Bert in Rome."],
    }


TOKENIZER = PairTokenizer(
    SpanTokenizer.of_rows(40), with_special_tokens(ByteTokenizer(False), ("separator",))
)


class Pointer:
    """Points to letters: to a `<` with the score of the digit behind it, and to the next `>`."""

    longest_context = None

    def apply(self, params, tokens_BT, carry, *, source_BS, source_weights_BS):
        assert tokens_BT.shape == (source_BS.shape[0], 2)
        is_text_BS = jnp.cumsum(source_BS == 256, axis=1) * source_weights_BS > 0
        behind_BS = jnp.roll(source_BS, -1, axis=1) - ord("0")
        scores_BS = jnp.where((source_BS == ord("<")) & is_text_BS, behind_BS, -1e9)
        ends_BS = jnp.where((source_BS == ord(">")) & is_text_BS, 0.0, -1e9)
        logits_BTS = jnp.stack([scores_BS, ends_BS], axis=1)
        nowhere_BT1 = jnp.zeros((*logits_BTS.shape[:2], 1))
        return jnp.concatenate([nowhere_BT1, logits_BTS], axis=2), None


def answered(*documents, overlap=12, rows=3):
    trained = SimpleNamespace(
        model=Pointer(),
        params={},
        tokenizer=TOKENIZER,
        config=SimpleNamespace(data=SimpleNamespace(batch_size=rows, source_overlap=overlap)),
    )
    seen = []
    found = KIND.answers(trained, documents, seen.append)
    assert sum(seen) == len(documents)
    return found


def asked(text, question="who?"):
    return Document(f"about {text[:9]}", "", question, text)


def test_the_best_answer_of_all_windows_is_given():
    text = "x" * 50 + " <1 no> " + "y" * 60 + " <5 é yes> " + "z" * 50 + " <3 no> "
    documents = [asked(text), asked("a <2 b> c"), asked("<0> one <1> two")]
    found = answered(*documents)
    assert [answer.text for answer in found] == ["<5 é yes>", "<2 b>", "<1>"]
    for document, answer in zip(documents, found, strict=True):
        begin = answer.details["begin"]
        assert document.second[begin : begin + len(answer.text)] == answer.text
    start = 1 / (1 + np.exp(-5))  # against that it is nowhere
    assert found[0].details["probability"] == pytest.approx(start / 2)
    assert [answer.text for answer in answered(*documents[::-1], rows=8)][::-1] == [
        answer.text for answer in found
    ]


def test_an_answer_ends_behind_its_beginning_and_is_no_longer_than_windows_share():
    found = answered(asked("> <9 > <1>"), asked("> <9aaaaaaaaaaaaaaa> <1>"))
    assert [answer.text for answer in found] == ["<9 >", "<1>"]
    (found,) = answered(asked("> <9aaaaaaaaaaaaaaa> <1>"), overlap=0)
    assert found.text == "<9aaaaaaaaaaaaaaa>"


def test_neither_the_question_nor_padding_is_an_answer():
    found = answered(asked("no <1> here", question="<9>"), asked("<2 a> " + "b" * 25))
    assert [answer.text for answer in found] == ["<1>", "<2 a>"]


def test_what_is_no_question_about_a_text_is_named():
    for document, message in (
        (asked("text", " "), "about text has no question"),
        (asked(" "), "has no text to find"),
        (Document("line 3", "", "who?"), "line 3 has no text to find"),
    ):
        with pytest.raises(UserError, match=message):
            answered(document)
    with pytest.raises(UserError, match="leaves 9 of 40"):
        answered(asked("text", "w" * 30))


def test_outputs_that_are_not_finite_are_told(monkeypatch):
    def broken(*given, apply=Pointer.apply, **source):
        logits_BTV, carry = apply(*given, **source)
        return logits_BTV * jnp.nan, carry

    monkeypatch.setattr(Pointer, "apply", broken)
    with pytest.raises(DivergedError, match="of about that <1> is not finite"):
        answered(asked("that <1>"))


def test_metrics_are_of_each_example():
    assert answer_metrics(["a cat", "dog"], ["cat", ["x", "dogs"]])["exact_match"].tolist() == [
        100,
        0,
    ]
