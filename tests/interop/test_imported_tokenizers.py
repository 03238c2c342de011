"""The tokenizer of a folder, as the models of a convention read with it."""

import json

import jax
import numpy as np
import pytest
from flax.core import meta

from lmjax.config import base_config
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.tokenizer_files import read_tokenizer_file
from lmjax.data.tokenizer_registry import load_tokenizer
from lmjax.errors import UserError
from lmjax.interop import importing
from lmjax.interop.bert import BERT
from lmjax.interop.exporting import export_folder
from lmjax.interop.importing import import_folder
from lmjax.interop.t5 import T5
from lmjax.model_defaults import ENCODER_DECODERS
from lmjax.models.registry import build_model
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


def vocabulary(folder):
    """Writes a vocab.txt with tokens that stand before and behind texts."""
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\nthe\ncat\n")
    return folder / "vocab.txt"


def export(tokenizer, folder):
    """Writes a small T5 with the tokenizer."""
    config = base_config("encoder_decoder")
    config.model.update({**ENCODER_DECODERS["t5"], "width": 8, "layers": 1, "heads": 2})
    model = build_model(config.model, tokenizer)
    params = meta.unbox(model.init(jax.random.key(0), np.zeros((1, 1), np.int32)))
    export_folder(config, params, tokenizer, folder)


@pytest.mark.parametrize("ends", [False, True])
def test_a_tokenizer_with_tokens_around_texts_goes_out_and_comes_back(tmp_path, ends):
    tokenizer = read_tokenizer_file(vocabulary(tmp_path))
    tokenizer = tokenizer.with_roles(source_end=tokenizer.end_id) if ends else tokenizer
    export(tokenizer, tmp_path / "theirs")
    import_folder(tmp_path / "theirs", tmp_path / "run")
    assert load_tokenizer(tmp_path / "run" / "tokenizer.json") == tokenizer
    assert (tmp_path / "theirs" / importing.OUR_TOKENIZER).exists() != ends


@pytest.mark.parametrize(("start", "unread"), [(256, False), (3, True), (None, False)])
def test_another_first_token_than_the_tokenizers_is_told(tmp_path, start, unread):
    tokenizer = ByteTokenizer(document_end=True)
    export(tokenizer, tmp_path / "theirs")
    settings = json.loads((tmp_path / "theirs" / "config.json").read_text())
    assert settings["decoder_start_token_id"] == tokenizer.start_id == 256
    settings["decoder_start_token_id"] = start
    (tmp_path / "theirs" / "config.json").write_text(json.dumps(settings))
    note = import_folder(tmp_path / "theirs", tmp_path / "run")
    assert ("decoder_start_token_id" in note["not_read"]) == unread


BEFORE, TEXT, BEHIND = {"SpecialToken": {"id": "<pad>"}}, {"Sequence": {}}, {"SpecialToken": {}}


def template(*parts):
    return {"type": "TemplateProcessing", "single": [*parts]}


@pytest.mark.parametrize(
    ("processor", "message"),
    [
        (None, None),
        (template(), None),
        (template(TEXT, BEHIND), None),
        ({"type": "Sequence", "processors": [{"type": "ByteLevel"}, template(TEXT)]}, None),
        (template(BEFORE, TEXT, BEHIND), "a token before each text"),
        ({"type": "RobertaProcessing"}, "a token before each text"),
        ({"type": "BertProcessing"}, "a token before each text"),
        ({"type": "Sequence", "processors": [template(BEFORE)]}, "a token before each text"),
        (template(3), "post_processor.* should be"),
        ({"type": 3}, "post_processor.* should be"),
        ({"type": "Sequence", "processors": 3}, "post_processor.* should be"),
        ([3], "post_processor.* should be"),
    ],
)
def test_a_token_before_each_source_is_refused(tmp_path, processor, message):
    export(read_tokenizer_file(vocabulary(tmp_path)).with_roles(source_end=3), tmp_path / "theirs")
    file = tmp_path / "theirs" / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"post_processor": processor}))
    if message is None:
        import_folder(tmp_path / "theirs", tmp_path / "run")
        return
    with pytest.raises(UserError, match=message) as refused:
        import_folder(tmp_path / "theirs", tmp_path / "run")
    assert str(file) in str(refused.value)


def test_a_first_token_that_nothing_names_is_asked_for(tmp_path):
    export(read_tokenizer_file(vocabulary(tmp_path)).with_roles(source_end=3), tmp_path / "theirs")
    file = tmp_path / "theirs" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"decoder_start_token_id": None}))
    with pytest.raises(UserError, match="give it .* decoder_start_token_id in config.json"):
        import_folder(tmp_path / "theirs", tmp_path / "run")
    assert not (tmp_path / "run").exists()
