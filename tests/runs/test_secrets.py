import os

import pytest

from lmjax.runs.secrets import redact


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in list(os.environ):
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "AWS_SECRET_ACCESS_KEY",
        "aws_access_key_id",
        "OPENAI_API_KEY",
        "WANDB_APIKEY",
        "PGPASSWORD",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "BASIC_AUTH",
    ],
)
def test_values_of_secret_variables_are_replaced(monkeypatch, name):
    monkeypatch.setenv(name, "s3cret+(value)")
    assert redact("a s3cret+(value), s3cret+(value)s") == "a ***, ***s"


@pytest.mark.parametrize("name", ["HOME", "GIT_AUTHOR_NAME", "TOKENIZERS_CACHE", "LMJAX_CACHE_DIR"])
def test_other_variables_are_not(monkeypatch, name):
    monkeypatch.setenv(name, "an ordinary value")
    assert redact("an ordinary value") == "an ordinary value"


def test_short_values_are_words_of_the_text(monkeypatch):
    monkeypatch.setenv("API_TOKEN", "true")
    monkeypatch.setenv("OTHER_TOKEN", "")
    assert redact("it is true") == "it is true"


def test_a_secret_within_another_leaves_nothing_of_it(monkeypatch):
    monkeypatch.setenv("A_TOKEN", "abcdefgh")
    monkeypatch.setenv("B_TOKEN", "abcdefghijkl")
    assert redact("abcdefghijkl abcdefgh") == "*** ***"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:pass@host/path", "https://***@host/path"),
        ("git+ssh://git:p%40ss:word@host:22/x and b@c", "git+ssh://***@host:22/x and b@c"),
        ("https://token@host", "https://***@host"),
        ("https://host/a@b", "https://host/a@b"),
        ("https://host?to=a@b", "https://host?to=a@b"),
        ("mail to a@b, see http://host", "mail to a@b, see http://host"),
    ],
)
def test_users_in_addresses_are_replaced(text, expected):
    assert redact(text) == expected
