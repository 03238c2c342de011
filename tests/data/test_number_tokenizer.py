"""Numbers become ids and back; what is no number is refused, and what is lost is counted."""

import numpy as np
import pytest

from lmjax.config import base_config
from lmjax.data.number_tokenizer import NumberTokenizer, values_of
from lmjax.data.tokenizer_choice import check_tokenizer, train_tokenizer
from lmjax.data.tokenizer_registry import tokenizer_from_json
from lmjax.errors import UserError

NUMBERS = NumberTokenizer()


@pytest.mark.parametrize("text", ["0", "5", "3.8", "-2.25", "0.001", "999.999", "-1000"])
def test_a_number_comes_back(text):
    ids_N = NUMBERS.encode(text)
    assert len(ids_N) == 1 and 0 <= ids_N[0] < NUMBERS.vocabulary_size
    assert NUMBERS.decode(ids_N) == text
    assert values_of(ids_N) == pytest.approx([float(text)])
    assert NUMBERS.untold(text).dropped_bytes == 0


def test_what_is_not_in_an_id_is_counted():
    assert values_of(NUMBERS.encode("3.66666")) == pytest.approx([3.667])
    assert NUMBERS.untold("3.66666").dropped_bytes == len("3.66666")
    assert NUMBERS.untold("1.50").dropped_bytes == len("1.50")


@pytest.mark.parametrize("text", ["five", "nan", "1000.5", "-inf", "1,5"])
def test_what_is_no_number_is_refused(text):
    with pytest.raises(UserError, match=f"'{text}' is no number from -1000 to 1000"):
        NUMBERS.encode(text)


def test_it_is_chosen_kept_and_read_back():
    data = base_config("classifier").data
    data.tokenizer = "number"
    assert train_tokenizer(data, ["1", "2"]) == NUMBERS
    assert tokenizer_from_json(NUMBERS.to_json()) == NUMBERS
    data.document_end = True
    with pytest.raises(UserError, match="'number' takes each text as a number"):
        check_tokenizer(data)


def test_ids_are_in_the_order_of_the_numbers():
    numbers = np.random.default_rng(0).uniform(-1000, 1000, 50).round(3)
    ids = [NUMBERS.encode(str(number))[0] for number in numbers]
    assert np.array_equal(np.argsort(ids), np.argsort(numbers))
