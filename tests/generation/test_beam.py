"""Beam search against greedy search and a search of every hypothesis there is."""

from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.config import base_config
from lmjax.errors import UserError
from lmjax.generation.beam import Beam, beam_search
from lmjax.generation.generate import generate
from lmjax.generation.sampling import Sampler
from lmjax.models.registry import model_class
from tests.properties.variants import SMALL, build
from tests.streams import stream_of
from tests.toy_models import hash_log_prob, make_hash_model

END = 1
STATES = 997  # so many that no two hypotheses score the same
PROMPTS = [[2, 3], [], [3, 2, 2, 0, 3], [2] * 20]


def run(beam, prompts=PROMPTS, length=4, vocabulary_size=4, seed=0, end_id=END, **options):
    model, params, _ = make_hash_model(vocabulary_size, seed=seed, states=STATES)
    options.setdefault("lengths", [length] * len(prompts))
    return beam_search(model, params, started(prompts), beam, end_id=end_id, **options)


def started(prompts):
    return [[0, *prompt] for prompt in prompts]


def tokens_of(found):
    return [[hypothesis.tokens for hypothesis in row] for row in found]


def log_prob_of(table_NV, prompt, tokens):
    return sum(
        hash_log_prob(table_NV, [0, *prompt, *tokens[:place]], token)
        for place, token in enumerate(tokens)
    )


def every_hypothesis(beam, prompt, length, vocabulary_size, seed, prefix=()):
    """(score, tokens) of all that may be found, best first."""
    table_NV = make_hash_model(vocabulary_size, seed=seed, states=STATES)[2]
    others = [token for token in range(vocabulary_size) if token != END]
    n = beam.no_repeat_ngram
    found = []
    for size in range(length + 1):
        for body in product(others, repeat=size):
            ngrams = [body[place : place + n] for place in range(size - n + 1)] if n else []
            whole = [*body, END] if size < length else [*body]
            fits = len(set(ngrams)) == len(ngrams) and body[: len(prefix)] == tuple(prefix)
            if fits and (len(whole) >= beam.min_length or size == length):
                penalty = (
                    ((5 + len(whole)) / 6) if beam.normalization == "wu" else len(whole)
                ) ** beam.length_penalty
                found.append((log_prob_of(table_NV, prompt, whole) / penalty, [*body]))
    return sorted(found, reverse=True)


@pytest.mark.parametrize(
    "changes",
    [
        dict(length_penalty=0.0, n_best=1),
        dict(normalization="wu", length_penalty=1.0, size=4),
        dict(normalization="division", length_penalty=2.0),
        dict(normalization="division", length_penalty=-1.0),
        dict(min_length=3),
        dict(no_repeat_ngram=1, size=4),
        dict(no_repeat_ngram=2, normalization="division", length_penalty=1.0),
    ],
    ids=str,
)
def test_a_wide_beam_finds_the_best_of_all_hypotheses(changes):
    settings = dict(n_best=6, size=3) | changes
    size = settings.pop("size")
    prompts = [[2, 0], [], [2] * 20]
    beam = Beam(width=size**4, **settings)
    for seed in (0, 1, 2):
        found = run(beam, prompts, vocabulary_size=size, seed=seed)
        for prompt, row in zip(prompts, found, strict=True):
            expected = every_hypothesis(beam, prompt, 4, size, seed)[: beam.n_best]
            assert [hypothesis.tokens for hypothesis in row] == [tokens for _, tokens in expected]
            scores = [hypothesis.score for hypothesis in row]
            np.testing.assert_allclose(scores, [score for score, _ in expected], rtol=1e-5)


@pytest.mark.parametrize(
    ("beam", "end_id"), [(Beam(1), None), (Beam(1), END), (Beam(1, 1, "division", 3.0), 3)]
)
def test_beam_one_is_greedy(beam, end_id):
    model, params, _ = make_hash_model(4, states=STATES)
    greedy = generate(
        model,
        params,
        PROMPTS,
        length=12,
        sampler=Sampler(temperature=0),
        seed=0,
        start_id=0,
        end_id=end_id,
    )
    assert tokens_of(run(beam, length=12, end_id=end_id)) == [[tokens] for tokens in greedy]


WRITERS = [
    family
    for family in SMALL
    if model_class(family).reads in ("past", "source")
    and base_config(family).objective.name != "classification"
]


@pytest.mark.parametrize("family", WRITERS)
def test_every_family_of_models(family):
    model = build(family, SMALL[family])
    tokens_BT = np.random.default_rng(0).integers(0, model.vocabulary_size, (1, 60))
    if model.is_counted:
        params = model.fit([stream_of(tokens_BT[0])])
    else:
        params = model.init(jax.random.key(3), tokens_BT[:, :1])
        params = jax.tree.map(lambda leaf: 3 * leaf, params)
    prompts, end = [[0, 3, 2], [0, *[1] * 6], [0]], 4
    source = {
        name: jnp.arange(array.size).reshape(array.shape).astype(array.dtype) % 3
        for name, array in model.example_source(3, 5).items()
    }
    options = dict(lengths=[5] * 3, end_id=end, **source)
    found = beam_search(model, params, prompts, Beam(4, n_best=4), **options)

    texts_BT, weights_BT = np.zeros((12, 13), np.int32), np.zeros((12, 12))
    flat = sum(found, [])
    for place, hypothesis in enumerate(flat):
        row = place // 4
        text = [*prompts[row], *hypothesis.tokens, *[end] * hypothesis.ended]
        texts_BT[place, : len(text)] = text
        weights_BT[place, len(prompts[row]) - 1 : len(text) - 1] = 1
    of_rows = {name: jnp.repeat(array, 4, axis=0) for name, array in source.items()}
    log_probs_BT, _ = jax.jit(partial(model.apply, method="log_probs"))(
        params, texts_BT[:, :-1], texts_BT[:, 1:], **of_rows
    )
    totals_B, lengths_B = np.sum(log_probs_BT * weights_BT, axis=1), weights_BT.sum(axis=1)
    np.testing.assert_allclose([each.log_prob for each in flat], totals_B, rtol=1e-4)
    scores_B = totals_B / ((5 + lengths_B) / 6) ** 0.6
    np.testing.assert_allclose([each.score for each in flat], scores_B, rtol=1e-4)
    assert all(row == sorted(row, key=lambda each: -each.score) for row in found)


def test_greedy_search_after_a_source():
    model = build("seq2seq", {**SMALL["seq2seq"], "attention": "dot"})
    params = model.init(jax.random.key(6), jnp.zeros((1, 1), jnp.int32))
    params = jax.tree.map(lambda leaf: 2 * leaf, params)
    source = dict(
        source_BS=jnp.array([[1, 2, 3], [4, 5, 0]]),
        source_weights_BS=jnp.array([[1.0, 1.0, 1.0], [1.0, 1.0, 0.0]]),
    )
    options = dict(length=8, sampler=Sampler(temperature=0), seed=0, start_id=0, end_id=4)
    greedy = generate(model, params, [[], []], **options, **source)
    assert greedy[0] != greedy[1]
    found = beam_search(model, params, [[0], [0]], Beam(1), lengths=[8] * 2, end_id=4, **source)
    assert tokens_of(found) == [[tokens] for tokens in greedy]


def test_rows_do_not_depend_on_their_neighbours():
    beam = Beam(3, n_best=3)
    lengths = [12, 5, 9, 2]
    together = run(beam, lengths=lengths)
    for row, prompt in enumerate(PROMPTS):
        (alone,) = run(beam, [prompt], lengths=lengths[row : row + 1])
        assert [hypothesis.tokens for hypothesis in alone] == tokens_of(together)[row]
        assert max(len(hypothesis.tokens) for hypothesis in alone) <= lengths[row]


def search_to_the_end(beam, prompt, length, vocabulary_size, seed):
    """The beam search that never stops early: tokens of the best hypotheses, best first."""
    table_NV = make_hash_model(vocabulary_size, seed=seed, states=STATES)[2]
    opened, finished = [(0.0, [])], []
    for size in range(1, length + 1):
        candidates = [
            (total + hash_log_prob(table_NV, [0, *prompt, *tokens], token), [*tokens, token])
            for total, tokens in opened
            for token in range(vocabulary_size)
        ]
        candidates.sort(reverse=True)
        for total, tokens in candidates[: beam.width]:
            if tokens[-1] == END or size == length:
                body = tokens[:-1] if tokens[-1] == END else tokens
                finished.append((total / size**beam.length_penalty, body))
        opened = [kept for kept in candidates if kept[1][-1] != END][: beam.width]
    return [tokens for _, tokens in sorted(finished, reverse=True)[: beam.n_best]]


@pytest.mark.parametrize("penalty", [2.0, -1.0])
@pytest.mark.parametrize("n_best", [1, 3])
def test_stopping_early_changes_nothing(penalty, n_best):
    beam = Beam(3, n_best, "division", penalty)
    for seed in range(6):
        expected = [search_to_the_end(beam, prompt, 12, 4, seed) for prompt in PROMPTS]
        assert tokens_of(run(beam, length=12, seed=seed)) == expected


def test_prefixes_are_scored_and_kept():
    prompts, prefixes = [[2], [], [3, 3]], [[3], [], [0, 2]]
    beam = Beam(4**4, n_best=3)
    for prompt, prefix, row in zip(
        prompts, prefixes, run(beam, prompts, prefixes=prefixes), strict=True
    ):
        expected = every_hypothesis(beam, prompt, 4, 4, seed=0, prefix=prefix)[:3]
        assert [hypothesis.tokens for hypothesis in row] == [tokens for _, tokens in expected]
        scores = [hypothesis.score for hypothesis in row]
        np.testing.assert_allclose(scores, [score for score, _ in expected], rtol=1e-5)


def test_an_end_token_in_a_prompt_ends_nothing():
    prompt = [2, END, END, 3]
    beam = Beam(4**4)
    ((found,),) = run(beam, [prompt])
    assert found.tokens == every_hypothesis(beam, prompt, 4, 4, seed=0)[0][1]


def test_nothing_to_search():
    assert run(Beam(2), []) == []


@pytest.mark.parametrize(
    "values",
    [
        dict(width=0),
        dict(n_best=0),
        dict(width=2, n_best=3),
        dict(normalization="wo"),
        dict(length_penalty=float("nan")),
        dict(min_length=-1),
        dict(no_repeat_ngram=1.5),
    ],
)
def test_values_out_of_range_are_refused(values):
    with pytest.raises(UserError, match=str(next(reversed(values.values())))):
        Beam(**values)


def test_what_cannot_be_found_is_told():
    with pytest.raises(UserError, match="no hypothesis of row 0 is possible"):
        run(Beam(3, no_repeat_ngram=1, min_length=6), length=9)
    with pytest.raises(UserError, match="at least 6"):
        run(Beam(3, min_length=6))
    with pytest.raises(UserError, match="row 2 has <eos>"):
        run(Beam(3), prefixes=[[], [2], [END], []])
    model, params, _ = make_hash_model(4, limit=10)
    with pytest.raises(UserError, match="longest context is 10"):
        beam_search(model, params, [[2] * 8], Beam(3), lengths=[4], end_id=END)
    beam_search(model, params, [[2] * 7], Beam(3), lengths=[4], end_id=END)


def test_a_model_that_reads_both_sides_continues_nothing():
    model = build("bert", SMALL["bert"])
    params = model.init(jax.random.key(0), jnp.zeros((1, 1), jnp.int32))
    settings = dict(length=3, sampler=Sampler(), seed=0, start_id=0)
    with pytest.raises(UserError, match="remembers nothing"):
        generate(model, params, [[1]], **settings)
    with pytest.raises(UserError, match="remembers nothing"):
        beam_search(model, params, [[0]], Beam(2), lengths=[3], end_id=1)


def test_broken_parameters_are_an_error():
    model, params, _ = make_hash_model(4)
    params = jax.tree.map(lambda leaf: leaf.at[2:].set(np.nan), params)
    with pytest.raises(UserError, match="not finite in row"):
        beam_search(model, params, [[0], [1]], Beam(3), lengths=[30] * 2, end_id=None)
