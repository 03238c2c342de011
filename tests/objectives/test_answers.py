"""Answers of generated tasks: logits at their places alone, and accuracy by length."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lmjax
from lmjax.cli.main import main
from lmjax.config import base_config
from lmjax.data.context import ContextPolicy
from lmjax.data.dataset import open_dataset
from lmjax.errors import UserError
from lmjax.evaluation.score import Score
from lmjax.evaluation.scoring import score_stream
from lmjax.models.registry import build_model
from lmjax.objectives.registry import check_batches, check_objective, make_objective
from lmjax.training.state import initial_params

FAMILIES = {
    "rnn": dict(layers=1, width=8),
    "transformer": dict(layers=1, width=8, heads=2, context_length=64),
}
DOCUMENTS = ContextPolicy("documents")


def made(family="rnn", task="mqar", **options):
    config = base_config(family)
    config.model.update(FAMILIES[family])
    config.data.update(corpus="synthetic", task=task, tokenizer="ids", batching="examples")
    config.data.update(batch_size=4, length=16)
    config.data.task_options.update(evaluation_examples=60, **options)
    config.objective.name = "answers"
    config.evaluation.context = "documents"
    dataset = open_dataset(config.data)
    model = build_model(config.model, dataset.tokenizer)
    params = jax.jit(lambda: initial_params(model, np.uint32(0), 16))()
    return config, dataset, model, params, make_objective(config.objective, dataset.tokenizer)


@pytest.mark.parametrize("family", FAMILIES)
def test_places_are_only_a_saving(family):
    """Nats, what is right and the gradient, against logits of all places."""
    config, dataset, model, params, objective = made(family, vocabulary=64, pairs=3)
    batch = objective.batching(dataset.splits["train"], config.data, 0).batch(0)
    assert model.takes_places and batch.places_BP.shape == (4, 3)

    @jax.jit
    def outcome(params, batch):
        def nats(params):
            found = objective(model, params, batch, None)
            return found.nats, (found.nats, found.counts)

        return jax.grad(nats, has_aux=True)(params)

    few, many = outcome(params, batch), outcome(params, batch.replace(places_BP=None))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), few, many)


def test_logits_at_places_of_a_transformer_whose_context_ends_are_those_of_all():
    _, _, model, params, _ = made("transformer", vocabulary=64, pairs=3)
    tokens_BT = jnp.arange(16)[None]
    carry = model.apply(params, 1, 64, method="initial_carry")
    places_BP = jnp.array([[3, 15]])
    read = jax.jit(model.apply)
    whole, _ = read(params, tokens_BT, carry)
    few, _ = read(params, tokens_BT, carry, places_BP=places_BP)
    np.testing.assert_allclose(few, whole[:, [3, 15]], rtol=1e-5, atol=1e-5)


def test_accuracy_by_length_is_that_of_each_example():
    _, dataset, model, params, objective = made(
        task="parity_check", test_shortest=17, test_longest=20
    )
    stream = dataset.splits["test"]
    score = score_stream(model, params, stream, DOCUMENTS, 7, objective)
    expected = {}
    for length, examples in zip(stream.lengths_G, stream.examples_G, strict=True):
        logits_BTV, _ = jax.jit(model.apply)(params, examples.tokens_BT)
        right_BT = logits_BTV.argmax(axis=-1) == examples.targets_BT
        expected[length] = float(right_BT[examples.counts_BT].mean())
    assert score.accuracies_by_length == pytest.approx(expected)
    assert score.length_accuracy == pytest.approx(np.mean([*expected.values()]))
    assert 0 < score.accuracy < 1 and score.tokens == 60
    assert (score.perplexity, score.bits_per_byte, score.words) == (None, None, 0)
    assert Score.from_json(score.to_json()) == score


def test_no_score_depends_on_the_batch_size():
    _, dataset, model, params, objective = made("transformer", vocabulary=64, pairs=3)
    one, other = (
        score_stream(model, params, dataset.splits["test"], DOCUMENTS, size, objective)
        for size in (1, 64)
    )
    assert one.total_nats == pytest.approx(other.total_nats) and one.right == other.right
    assert one.tokens == 180


def test_what_is_drawn_of_such_a_model_is_said_to_be_no_text(tmp_path, capsys):
    config, *_ = made(task="parity_check")
    config.training.duration = "1 step"
    lmjax.train(config, tmp_path / "run")
    assert main(["sample", f"--workdir={tmp_path}/run", "--prompt=0", "--length=1"]) == 0
    assert "'answers', and never to continue a text" in capsys.readouterr().err


def test_what_does_not_go_together_is_refused(tmp_path):
    config, dataset, model, _, objective = made(vocabulary=64, pairs=3)
    config.objective.name = "causal"
    with pytest.raises(UserError, match="'causal' can't be trained with data.batching 'examples'"):
        check_batches(config, make_objective(config.objective, None), dataset.splits["train"])
    counted = base_config("ngram")
    counted.objective.name = "answers"
    ngram = build_model(counted.model, dataset.tokenizer)
    with pytest.raises(UserError, match="a model that is counted predicts the next token"):
        check_objective(counted, objective, ngram)
    (tmp_path / "text.txt").write_text("some text\n" * 50)
    text = base_config("rnn").data
    text.update(corpus="text", files=str(tmp_path / "text.txt"), batching="examples")
    train = open_dataset(text).splits["train"]
    with pytest.raises(UserError, match="'examples' is for generated tasks"):
        objective.batching(train, text, 0)
    with pytest.raises(UserError, match="only generated tasks have answers"):
        objective.evaluation_batches(train, DOCUMENTS, 1)
