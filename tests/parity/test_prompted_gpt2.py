"""Prompts to a GPT-2 of random weights against the definition, with transformers' own model."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from flax.linen import meta
from flax.traverse_util import flatten_dict, unflatten_dict

from lmjax.config import model_config
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.documents import Document
from lmjax.interop.conventions import to_ours
from lmjax.interop.gpt2 import GPT2
from lmjax.interop.settings import Settings
from lmjax.models.registry import build_model
from lmjax.objectives.causal import Causal
from lmjax.tasks.prompt_templates import TEMPLATES
from lmjax.tasks.prompting import CONTENT_FREE, Prompted

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TOKENIZER = ByteTokenizer(document_end=True)
SHOTS = (Document("train:0", "HUM", "Who was it ?"), Document("train:1", "NUM", "How many ?"))
TEST = [Document("test:0", "LOC", "Where is Ulm ?"), Document("test:1", "NUM", "How far is it ?")]


@pytest.fixture(scope="module")
def theirs():
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=257, n_positions=400, n_embd=16, n_layer=2, n_head=2, initializer_range=0.3
    )
    return transformers.GPT2LMHeadModel(config).eval()


@pytest.fixture(scope="module")
def ours(theirs):
    config = model_config("transformer")
    config.update(GPT2.to_model(Settings(theirs.config.to_dict(), "config.json")))
    model = build_model(config, TOKENIZER)
    tokens_BT = np.zeros((1, 1), np.int32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), tokens_BT)["params"]
    like = flatten_dict(meta.unbox(shapes), sep="/")
    named = {name: value.detach().numpy() for name, value in theirs.named_parameters()}
    params = {"params": unflatten_dict(to_ours(GPT2, config, named, like).params, sep="/")}
    return SimpleNamespace(model=model, params=params, tokenizer=TOKENIZER, objective=Causal())


def their_probabilities(theirs, source):
    template, scores = TEMPLATES["trec"], {}
    prompt = template.instruction
    for shot in SHOTS:
        prompt += f"Question: {shot.source}\nAnswer Type: {template.labels[shot.text]}\n\n"
    prompt += f"Question: {source}\nAnswer Type:"
    for label, words in template.labels.items():
        ids = [256, *f"{prompt} {words}".encode()]
        with torch.no_grad():
            log_probs_TV = theirs(torch.tensor([ids])).logits[0].double().log_softmax(-1)
        places = range(len(ids) - len(words) - 1, len(ids))
        scores[label] = sum(float(log_probs_TV[place - 1, ids[place]]) for place in places)
    values = np.exp(np.array(list(scores.values())) - max(scores.values()))
    return dict(zip(scores, values / values.sum(), strict=True))


@pytest.mark.parametrize("calibrate", [False, True])
def test_the_labels_have_their_probabilities(theirs, ours, calibrate):
    answers = Prompted(TEMPLATES["trec"], SHOTS, calibrate=calibrate).answers(ours, TEST)
    free = [their_probabilities(theirs, text) for text in CONTENT_FREE]
    for document, answer in zip(TEST, answers, strict=True):
        expected = their_probabilities(theirs, document.source)
        if calibrate:
            expected = {
                label: value / np.mean([each[label] for each in free])
                for label, value in expected.items()
            }
        total = sum(expected.values())
        expected = {label: value / total for label, value in expected.items()}
        found = answer.details["probabilities"]
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-6)
        assert answer.text == max(expected, key=expected.get)
        assert max(found.values()) < 0.999
