import tracemalloc

import jax
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.generation import decoding
from lmjax.generation.decoding import CHUNK
from lmjax.generation.generate import MOST_TOKENS, generate
from lmjax.generation.sampling import Sampler
from tests.toy_models import hash_logits, make_hash_model

GREEDY = Sampler(temperature=0)
PROMPTS = [[1, 2, 3], [], [4] * (2 * CHUNK + 5), [5, 1]]


def run(prompts=PROMPTS, length=50, sampler=GREEDY, seed=0, limit=None, **options):
    model, params, _ = make_hash_model(limit=limit)
    return generate(
        model, params, prompts, length=length, sampler=sampler, seed=seed, start_id=0, **options
    )


def continue_greedily(prompt, length):
    """One token at a time, each from the whole text before it."""
    table_NV = make_hash_model()[2]
    tokens = [0, *prompt]
    for _ in range(length):
        tokens.append(int(hash_logits(table_NV, tokens).argmax()))
    return tokens[1 + len(prompt) :]


def test_greedy_equals_one_token_at_a_time():
    assert run() == [continue_greedily(prompt, 50) for prompt in PROMPTS]


def test_long_prompts_are_read_whole():
    prompts = [[row + 1, *range(5)] * CHUNK for row in range(3)]
    assert run(prompts, length=3) == [continue_greedily(prompt, 3) for prompt in prompts]


@pytest.mark.parametrize("sampler", [Sampler(), Sampler(temperature=2, top_k=4, top_p=0.9)])
def test_neighbours_do_not_matter(sampler):
    rows = run(sampler=sampler)
    others = run([[3] * 40, [], [2]], length=90, sampler=sampler)
    assert rows[1] == others[1][:50]
    assert run(PROMPTS[:1], sampler=sampler) == rows[:1]


def test_the_seed_decides():
    rows = run(sampler=Sampler())
    assert rows == run(sampler=Sampler())
    assert rows != run(sampler=Sampler(), seed=1)


def test_rows_with_one_prompt_differ():
    first, second = run([[1], [1]], sampler=Sampler())
    assert first != second


def test_noise_does_not_come_again():
    model, params, _ = make_hash_model()
    params = jax.tree.map(lambda leaf: 0 * leaf, params)
    (row,) = generate(model, params, [[]], length=3 * CHUNK, sampler=Sampler(), seed=0, start_id=0)
    assert all(row[shift:] != row[:-shift] for shift in range(1, 2 * CHUNK))


def test_draws_follow_the_model():
    table_NV = make_hash_model()[2]
    rows = run([[1, 2]] * 4000, length=1, sampler=Sampler())
    logits_V = hash_logits(table_NV, [0, 1, 2])
    frequencies_V = np.bincount([row[0] for row in rows], minlength=len(logits_V)) / len(rows)
    expected_V = np.exp(logits_V) / np.exp(logits_V).sum()
    np.testing.assert_allclose(frequencies_V, expected_V, atol=5 * 0.5 / np.sqrt(len(rows)))


def test_a_row_stops_before_its_end():
    whole = run(sampler=Sampler())
    for end_id in range(6):
        for row, stopped in zip(whole, run(sampler=Sampler(), end_id=end_id), strict=True):
            assert stopped == (row[: row.index(end_id)] if end_id in row else row)


@pytest.mark.parametrize("limit", [None, 12])
def test_rows_that_ended_are_left_out(monkeypatch, limit):
    prompts = [[row % 6] for row in range(9)]
    whole = run(prompts, length=60, sampler=Sampler(), limit=limit)
    stopped = [row[: row.index(3)] if 3 in row else row for row in whole]
    assert sorted({len(row) for row in stopped})[-1] > 16 > min(map(len, stopped))
    decoded = set()
    draw = decoding._draw

    def watch(*given):
        decoded.add(len(given[3]))
        return draw(*given)

    monkeypatch.setattr(decoding, "FIRST_ROOM", 4)
    monkeypatch.setattr(decoding, "_draw", watch)
    assert run(prompts, length=60, sampler=Sampler(), end_id=3, limit=limit) == stopped
    assert max(decoded) == 9 and min(decoded) <= 4


def test_callback_is_given_every_token_once():
    pieces = []
    rows = run(sampler=Sampler(), on_tokens=pieces.append)
    assert len(pieces) > 1
    assert [sum((piece[row] for piece in pieces), []) for row in range(len(PROMPTS))] == rows


@pytest.mark.parametrize("limit", [1, 7, 3 * CHUNK])
def test_a_full_context_is_reread_from_its_last_half(limit):
    table_NV = make_hash_model()[2]
    prompt = [1, 2, 3] * 20
    tokens = [0, *prompt]
    begin, used = 0, 0
    for time in range(len(prompt) + 80):
        if used == limit:
            used = limit // 2
            begin = time - used
        used += 1
        if time >= len(prompt):
            tokens.append(int(hash_logits(table_NV, tokens[begin : time + 1]).argmax()))
    expected = tokens[1 + len(prompt) :]
    assert run([prompt, [4], [2] * 70], length=80, limit=limit)[0] == expected
    assert run([prompt], length=80, limit=limit) == [expected]


@pytest.mark.parametrize("limit", [7, 32])
def test_what_is_forgotten_before_the_first_draw_is_not_read(monkeypatch, limit):
    lengths = []
    read = decoding._read

    def watch(model, params, tokens_NT, carry):
        lengths.append(tokens_NT.shape[1])
        return read(model, params, tokens_NT, carry)

    monkeypatch.setattr(decoding, "_read", watch)
    prompt = [1, 2, 3] * 20
    long = run([prompt * 9] * 2, length=1, limit=limit)
    assert sum(lengths) < limit
    from_the_beginning = run([prompt * 9] * 2 + [[4]], length=1, limit=limit)
    assert long == from_the_beginning[:2]


def test_nothing_to_generate():
    assert run([]) == []
    assert run(length=0) == [[], [], [], []]
    with pytest.raises(UserError, match="-1"):
        run(length=-1)
    with pytest.raises(UserError, match="2.5"):
        run(length=2.5)
    for seed in (-1, 2**32, 1.5):
        with pytest.raises(UserError, match=f"the seed is {seed}; it is a whole number from 0"):
            run(seed=seed)


def test_memory_grows_with_what_is_drawn():
    class Enough(Exception):
        pass

    drawn = []

    def watch(newest):
        drawn.extend(newest[0])
        if len(drawn) > 10 * CHUNK:
            raise Enough

    tracemalloc.start()
    with pytest.raises(Enough):
        run([[1]], length=MOST_TOKENS - 2, on_tokens=watch)
    assert tracemalloc.get_traced_memory()[1] < 100e6
    tracemalloc.stop()
    assert drawn == continue_greedily([1], len(drawn))
    for length in (MOST_TOKENS, 99999999999):
        with pytest.raises(UserError, match="the length to generate is"):
            run(length=length)


def test_broken_parameters_are_an_error():
    model, params, _ = make_hash_model()
    params = jax.tree.map(lambda leaf: leaf.at[3].set(np.nan), params)
    with pytest.raises(UserError, match="not finite at token .* of row"):
        generate(
            model, params, [[1], [2]], length=40, sampler=Sampler(temperature=3), seed=0, start_id=0
        )
