"""The tokenizer of a folder, as the models of a convention read with it."""

import json

import pytest

from lmjax.data.tokenizer_files import read_tokenizer_file
from lmjax.errors import UserError
from lmjax.interop import importing
from lmjax.interop.bert import BERT
from lmjax.interop.t5 import T5
from tests.data.unigram_files import t5_json


def test_a_tokenizer_is_as_the_models_of_the_convention_read_with_it(tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(t5_json()))
    t5 = importing.read_tokenizer(tmp_path, T5, 128, 0)
    assert (t5.start_id, t5.end_id, t5.vocabulary_size) == (0, 1, 128)
    assert t5.encode_source("the cat")[-1] == 1 != t5.encode("the cat")[-1]
    plain = importing.read_tokenizer(tmp_path, BERT, 20, None)
    assert plain == read_tokenizer_file(tmp_path) and not plain.ends_sources
    assert importing.read_tokenizer(tmp_path, T5, 127, 0).vocabulary_size == 20
    with pytest.raises(UserError, match="no special token 'start' of id 20"):
        importing.read_tokenizer(tmp_path, T5, 128, 20)
    plain.save(tmp_path / importing.OUR_TOKENIZER)
    assert importing.read_tokenizer(tmp_path, T5, 128, 0) == plain
