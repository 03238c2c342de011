"""Memory that grows as tokens are drawn: the same tokens, few programs."""

from collections import Counter

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.generation import decoding
from lmjax.generation.generate import generate
from lmjax.generation.sampling import Sampler
from lmjax.models.contract import LanguageModel
from tests.properties.variants import VOCABULARY, build

GREEDY = Sampler(temperature=0)
SMALL = dict(width=8, heads=2, layers=2, context_length=64)
OF_MANY_KINDS = [
    dict(bias=True),
    dict(norm="rms_norm", position="rotary", pattern=("attention", "recurrent"), scan_layers=True),
    dict(position="none", pattern=("multi_head_latent_attention", "sliding_window")),
    dict(position="none", pattern=("hyena", "attention"), short_convolution=3),
]


def drawn(model):
    """Parameters large enough that logits are far apart."""
    boxed = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 4), jnp.int32))
    return jax.tree.map(lambda leaf: 10 * leaf, nn.meta.unbox(boxed))


def run(model, params, prompts, length=50, sampler=GREEDY, **options):
    return generate(
        model, params, prompts, length=length, sampler=sampler, seed=0, start_id=0, **options
    )


@pytest.mark.parametrize("changes", OF_MANY_KINDS, ids=str)
@pytest.mark.parametrize("sampler", [GREEDY, Sampler()], ids=["greedy", "drawn"])
def test_growth_changes_no_token(monkeypatch, changes, sampler):
    model = build("transformer", SMALL | changes)
    params = drawn(model)
    prompts = [[1, 2, 3], [4] * 11, [5, 6] * 9]
    rows = run(model, params, prompts, 40, sampler)
    monkeypatch.setattr(decoding, "FIRST_ROOM", 2)
    assert run(model, params, prompts, 40, sampler) == rows


@pytest.mark.parametrize("changes", OF_MANY_KINDS, ids=str)
def test_what_is_drawn_is_what_the_whole_text_says(monkeypatch, changes):
    monkeypatch.setattr(decoding, "FIRST_ROOM", 4)
    model = build("transformer", SMALL | changes)
    params = drawn(model)
    prompts = [[1, 2, 3], [4] * 11]
    for prompt, row in zip(prompts, run(model, params, prompts), strict=True):
        tokens_1T = np.array([[0, *prompt, *row]])
        logits_TV = np.asarray(model.apply(params, tokens_1T)[0][0])
        assert logits_TV.shape[1] == VOCABULARY and len(row) == 50
        assert logits_TV[len(prompt) : -1].argmax(axis=-1).tolist() == row


def programs(function):
    """How often a model is traced, each time for one program."""
    count = Counter()

    def note(next_function, args, kwargs, context):
        count[context.module.__class__.__name__, context.method_name] += 1
        return next_function(*args, **kwargs)

    with nn.intercept_methods(note):
        function()
    return count["Transformer", "__call__"]


def test_programs_are_as_many_as_doublings():
    model = build("transformer", SMALL | dict(context_length=2048))
    params = drawn(model)
    first = programs(lambda: run(model, params, [[1]], 100))
    assert 0 < first < 4
    assert programs(lambda: run(model, params, [[2, 3, 4]], 70)) == 0
    assert programs(lambda: run(model, params, [[1]], 1000)) == 3 * first
    assert programs(lambda: run(model, params, [[1]], 1300)) == first


class OfItsParameters(LanguageModel):
    """A carry that begins as a parameter."""

    def setup(self):
        shape = 1, self.vocabulary_size
        self.start_1V = self.param("start", nn.initializers.normal(1.0), shape)

    def initial_carry(self, batch_size, max_length):
        return self.start_1V

    def __call__(self, tokens_BT, carry=None, **context):
        carry = jnp.roll(self.start_1V if carry is None else carry, 1, axis=1)
        return carry[:, None], carry


def test_the_users_parameters_are_left_to_them():
    model = OfItsParameters(vocabulary_size=5)
    params = model.init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))
    before = jax.tree.map(np.array, params)
    assert run(model, params, [[1]]) == run(model, params, [[1]])
    jax.tree.map(np.testing.assert_array_equal, params, before)
