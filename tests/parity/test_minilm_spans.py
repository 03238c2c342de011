"""Scores of places on the real weights of all-MiniLM-L6-v2 are those of transformers."""

import zipfile

import flax.linen as nn
import numpy as np
import pytest

from lmjax.api import load
from lmjax.config import base_config
from lmjax.data.documents import Document
from lmjax.data.source_rows import encode_sources, source_batches
from lmjax.data.span_tokenizer import NOWHERE, SpanTokenizer
from lmjax.data.wrapped_tokenizers import PairTokenizer
from lmjax.interop.importing import import_folder
from lmjax.models.registry import build_model
from lmjax.nn.softmax import HIDDEN
from lmjax.training.state import initial_params

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
package = pytest.importorskip("all_minilm_l6_v2")

ASKED = [
    Document("one", "", "Who met Bert?", "Anna met Bert in Rome. It was cold, and Bert left."),
    Document("two", "", "Where was it, and when?", "In Rome."),
]


def test_scores_of_places_are_those_of_transformers(tmp_path):
    with zipfile.ZipFile(package.get_model_zip_path()) as archive:
        archive.extractall(tmp_path / "theirs")
    import_folder(tmp_path / "theirs", tmp_path / "run")
    imported = load(tmp_path / "run")
    config = base_config("span_finder")
    config.model.backbone = imported.config.model
    tokenizer = PairTokenizer(SpanTokenizer.of_rows(100), imported.tokenizer)
    model = build_model(config.model, tokenizer)
    head = nn.meta.unbox(initial_params(model, np.uint32(0), 8))["params"]["place_head"]
    encoder = imported.params["params"]["encoder"]
    params = {"params": {"backbone": {"encoder": encoder}, "place_head": head}}
    rows = encode_sources(ASKED, imported.tokenizer, None)
    ((places_N, source_BS, weights_BS),) = source_batches(rows, len(rows), None)
    source = {"source_BS": source_BS, "source_weights_BS": weights_BS}
    logits_BTV, _ = model.apply(params, np.zeros((2, 2), np.int32), None, **source)

    theirs = transformers.BertForQuestionAnswering.from_pretrained(tmp_path / "theirs")
    theirs.qa_outputs.load_state_dict(
        {
            "weight": torch.tensor(np.array(head["kernel"]).T),
            "bias": torch.tensor(np.array(head["bias"])),
        }
    )
    read = transformers.AutoTokenizer.from_pretrained(tmp_path / "theirs")
    asked = [ASKED[place] for place in places_N]
    given = read(
        [document.source for document in asked],
        [document.second for document in asked],
        padding=True,
        return_tensors="pt",
    )
    with torch.no_grad():
        found = theirs.eval()(**given)
    for row, document in enumerate(asked):
        is_text = [which == 1 for which in given.sequence_ids(row)]
        for ours_BV, theirs_BS in (
            (logits_BTV[:, 0], found.start_logits),
            (logits_BTV[:, 1], found.end_logits),
        ):
            ours_V = np.asarray(ours_BV)[row]
            shown = np.flatnonzero(ours_V > HIDDEN)[1:]
            # A place counts from 1, and so do theirs, behind the class token.
            assert (shown - NOWHERE).tolist() == np.flatnonzero(is_text).tolist(), document.name
            np.testing.assert_allclose(ours_V[shown], theirs_BS[row].numpy()[is_text], atol=1e-4)
