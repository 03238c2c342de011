import json
import math
from types import SimpleNamespace

import numpy as np
import pytest

from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.documents import Document
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.errors import UserError
from lmjax.objectives.causal import Causal
from lmjax.tasks.prompt_templates import TEMPLATES, Template, template_of
from lmjax.tasks.prompting import CONTENT_FREE, Prompted, draw_shots
from lmjax.tasks.registry import TASKS
from tests.toy_models import hash_log_prob, make_hash_model

TOKENIZER = ByteTokenizer(False)
TEMPLATE = Template("t {text}\na:", {"A": "yes", "B": "notatall", "C": "no"}, "say.\n", "\n")
TRAIN = [Document(f"train:{i}", "ABC"[i % 3], f"word {i}") for i in range(20)]
TEST = [Document(f"test:{i}", "ABC"[i % 3], "x" * i + "?") for i in range(12)]


def trained(limit=None, tokenizer=TOKENIZER):
    model, params, table_NV = make_hash_model(tokenizer.vocabulary_size, limit=limit)
    return SimpleNamespace(
        model=model, params=params, tokenizer=tokenizer, objective=Causal(), table_NV=table_NV
    )


def log_prob(who, prompt, words):
    """From the definition: of the bytes of ` words` after those of the prompt."""
    read = [who.tokenizer.start_id, *who.tokenizer.encode(prompt).tolist()]
    total = 0.0
    for byte in who.tokenizer.encode(" " + words).tolist():
        total += hash_log_prob(who.table_NV, read, byte)
        read.append(byte)
    return total


def prompt_by_hand(shots, source):
    parts = ["say.\n"]
    parts += [f"t {each.source}\na: {TEMPLATE.labels[each.text]}\n" for each in shots]
    return "".join([*parts, f"t {source}\na:"])


def probabilities_by_hand(who, shots, source, divide):
    scores = {
        label: log_prob(who, prompt_by_hand(shots, source), words) / divide(words)
        for label, words in TEMPLATE.labels.items()
    }
    total = sum(map(math.exp, scores.values()))
    return {label: math.exp(score) / total for label, score in scores.items()}


DIVIDE = {
    "none": lambda words: 1,
    "tokens": lambda words: len(words.encode()) + 1,  # with the blank
    "characters": len,
}


@pytest.mark.parametrize("calibrate", [False, True])
@pytest.mark.parametrize("normalization", DIVIDE)
@pytest.mark.parametrize("shots", [0, 3])
def test_probabilities_are_those_of_the_definition(shots, normalization, calibrate):
    who, drawn = trained(), draw_shots(TRAIN, shots, seed=1)
    kind = Prompted(TEMPLATE, drawn, normalization, calibrate)
    answers = kind.answers(who, TEST)
    divide = DIVIDE[normalization]
    free = [probabilities_by_hand(who, drawn, text, divide) for text in CONTENT_FREE]
    for document, answer in zip(TEST, answers, strict=True):
        expected = probabilities_by_hand(who, drawn, document.source, divide)
        if calibrate:
            for label in expected:
                expected[label] /= np.mean([of_text[label] for of_text in free])
            total = sum(expected.values())
            expected = {label: value / total for label, value in expected.items()}
        assert answer.details["probabilities"] == pytest.approx(expected, rel=1e-4)
        assert answer.text == max(expected, key=expected.get)
        assert answer.details["shots"] == shots


def test_shots_are_drawn_by_the_seed_and_more_begin_with_fewer():
    four = draw_shots(TRAIN, 4, seed=0)
    assert draw_shots(TRAIN, 4, seed=0) == four and draw_shots(TRAIN, 9, seed=0)[:4] == four
    orders = {tuple(each.name for each in draw_shots(TRAIN, 4, seed=seed)) for seed in range(8)}
    assert len(orders) == 8 and len(set(four)) == 4
    with pytest.raises(UserError, match="from 0 to 20"):
        draw_shots(TRAIN, 21, seed=0)


def test_examples_without_room_are_left_out_and_counted():
    drawn = draw_shots(TRAIN, 3, seed=1)
    longest = max(len(words) for words in TEMPLATE.labels.values()) + 1
    limit = len(prompt_by_hand(drawn[:2], "x" * 5 + "?")) + longest
    who = trained(limit)
    answers = Prompted(TEMPLATE, drawn, calibrate=True).answers(who, TEST)
    for document, answer in zip(TEST, answers, strict=True):
        fits = [
            count
            for count in range(4)
            if len(prompt_by_hand(drawn[:count], document.source)) + longest <= limit
        ]
        assert answer.details["shots"] == max(fits)
    assert {answer.details["shots"] for answer in answers} == {1, 2}
    with pytest.raises(UserError, match="of test:11 takes .* without any example"):
        Prompted(TEMPLATE).answers(trained(limit=30), TEST)


def test_a_model_of_words_needs_the_words_of_its_labels():
    words = WordTokenizer.train(["t word say. a: yes no notatall ?"], 0, closed=False)
    answers = Prompted(TEMPLATE).answers(trained(tokenizer=words), TEST)
    assert len(answers) == len(TEST)  # unknown words of a text are read as such
    fewer = WordTokenizer.train(["t word say. a: yes no ?"], 0, closed=False)
    with pytest.raises(UserError, match="lacks a word of 'notatall', the label 'B'"):
        Prompted(TEMPLATE).answers(trained(tokenizer=fewer), TEST)


def test_of_labels_that_are_as_likely_the_first_is_the_answer_and_that_is_told():
    twice = Template(TEMPLATE.example, {"A": "nono", "B": "no", "C": "yes", "D": "noo"})
    who = trained()
    who.params = {"params": {"table": np.zeros_like(who.table_NV)}}
    for normalization, as_likely in (("tokens", 3), ("none", 0)):
        answer = Prompted(twice, normalization=normalization).answers(who, TEST[:1])[0]
        assert answer.details["as_likely"] == as_likely
        assert answer.text == ("A" if as_likely else "B")


def test_cleaning_is_that_of_the_model():
    who = trained()
    shouted = Template("T {text}\nA:", {"A": "YES", "B": "NOTATALL", "C": "NO"}, "SAY.\n", "\n")
    cleaned = Prompted(shouted, cleaning=("lowercase",)).answers(who, TEST)
    plain = Prompted(TEMPLATE).answers(who, TEST)
    for one, other in zip(cleaned, plain, strict=True):
        expected = other.details["probabilities"]
        assert one.details["probabilities"] == pytest.approx(expected, rel=1e-6)


def test_every_template_is_of_a_task_of_labels():
    for name, template in TEMPLATES.items():
        assert TASKS[name].kind == "classification"
        assert template.question("a {text} b").count("{text}") == 1


def test_a_template_of_a_file(tmp_path):
    path = tmp_path / "mine.json"
    fields = {"example": "{text} It was", "labels": {"1": "great", "0": "bad"}}
    path.write_text(json.dumps(fields))
    assert template_of("sst2", str(path)) == Template(fields["example"], fields["labels"])
    for change, says in (
        ({"example": "It was"}, "must have {text} once"),
        ({"labels": {"1": "bad", "0": "bad"}}, "words of its own"),
        ({"labels": {"1": 3}}, "should be: text"),
        ({"lables": {}}, "unknown fields lables"),
    ):
        path.write_text(json.dumps(fields | change))
        with pytest.raises(UserError, match=says):
            template_of("sst2", str(path))
    with pytest.raises(UserError, match="no template"):
        template_of("20news")
    with pytest.raises(UserError, match="is no file"):
        template_of("sst2", str(tmp_path / "none.json"))


def test_labels_without_words_and_unknown_normalizations_are_refused():
    with pytest.raises(UserError, match="'D', and the template has no words"):
        Prompted(TEMPLATE, (Document("train:0", "D", "x"),))
    with pytest.raises(UserError, match="did you mean 'tokens'"):
        Prompted(TEMPLATE, normalization="token")
