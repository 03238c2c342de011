"""The stack and the tape RNN against loops over single numbers, and with actions that are sure."""

import flax.linen as nn
import jax
import numpy as np
import pytest

from lmjax.errors import UserError
from lmjax.mixers import stack_rnn, tape_rnn
from lmjax.mixers.stack_rnn import StackRNN
from lmjax.mixers.tape_rnn import TapeRNN

ROWS, LENGTH, WIDTH, MEMORIES, CELLS, CELL, WRITE = 2, 9, 5, 2, 4, 3, 6
KINDS = {"stack": (StackRNN, {}), "tape": (TapeRNN, dict(write_width=WRITE))}


def softmax(numbers):
    powers = [np.exp(number - max(numbers)) for number in numbers]
    return [power / sum(powers) for power in powers]


def affine(params, name, x):
    kernel, bias = params[f"{name}_kernel"], params[f"{name}_bias"]
    return [sum(x[i] * kernel[i][j] for i in range(len(x))) + bias[j] for j in range(len(bias))]


def push_and_pop(params, h, stacks):
    control = affine(params, "control", h)
    after = []
    for number, stack in enumerate(stacks):
        own = control[number * (3 + CELL) : (number + 1) * (3 + CELL)]
        push, pop, stay = softmax(own[:3])
        rows = []
        for i in range(CELLS):
            above = own[3:] if i == 0 else stack[i - 1]
            below = stack[i + 1] if i + 1 < CELLS else [0.0] * CELL
            rows.append(
                [push * above[m] + pop * below[m] + stay * stack[i][m] for m in range(CELL)]
            )
        after.append(rows)
    return after


def write_and_move(params, h, tapes):
    hidden = [max(0.0, number) for number in affine(params, "write_0", h)]
    hidden = [max(0.0, number) for number in affine(params, "write_1", hidden)]
    written = affine(params, "write_2", hidden)
    actions = affine(params, "action", h)
    after = []
    for number, tape in enumerate(tapes):
        stay, left, right = softmax(actions[3 * number : 3 * number + 3])
        tape = [written[number * CELL : (number + 1) * CELL], *tape[1:]]
        after.append(
            [
                [
                    stay * tape[i][m] + left * tape[(i + 1) % CELLS][m] + right * tape[i - 1][m]
                    for m in range(CELL)
                ]
                for i in range(CELLS)
            ]
        )
    return after


def read_by_loops(params, x_TD, act):
    h, memories = [0.0] * WIDTH, [[[0.0] * CELL for _ in range(CELLS)] for _ in range(MEMORIES)]
    found = []
    for x in x_TD:
        joined = [*h, *(number for memory in memories for number in memory[0])]
        kernel, bias = params["input"]["kernel"], params["input"]["bias"]
        h = [
            np.tanh(
                sum(x[i] * kernel[i][d] for i in range(WIDTH))
                + bias[d]
                + sum(joined[i] * params["recurrent_kernel"][i][d] for i in range(len(joined)))
            )
            for d in range(WIDTH)
        ]
        memories = act(params, h, memories)
        found.append(h)
    return found, memories


@pytest.mark.parametrize(("kind", "act"), [("stack", push_and_pop), ("tape", write_and_move)])
def test_the_layer_is_that_of_loops_over_numbers(kind, act):
    mixer, options = KINDS[kind]
    normal = nn.initializers.normal(0.7)
    sizes = dict(memories=MEMORIES, cells=CELLS, cell_width=CELL)
    layer = mixer(width=WIDTH, initializer=normal, **sizes, **options)
    generator = np.random.default_rng(0)
    x_BTD = generator.normal(size=(ROWS, LENGTH, WIDTH)).astype(np.float32)
    context = np.arange(LENGTH)[None], None, True
    params = nn.meta.unbox(layer.init(jax.random.key(0), x_BTD, None, *context))
    params = jax.tree.map(lambda leaf: leaf + generator.normal(0, 0.3, leaf.shape), params)
    carry = layer.initial_carry(ROWS, LENGTH)
    y_BTD, carry = jax.jit(layer.apply, static_argnums=5)(params, x_BTD, carry, *context)
    double = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["params"])
    for row in range(ROWS):
        expected, memories = read_by_loops(double, x_BTD[row].astype(np.float64), act)
        np.testing.assert_allclose(y_BTD[row], expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(carry.memory_BHNM[row], memories, rtol=1e-4, atol=1e-5)


def sure_of(action, **values):
    """An affine map that chooses an action, and gives the values."""

    def affine(name, h_BD):
        sums = np.zeros(3)
        sums[action] = 1e3
        if name == "control":
            return np.array([[*sums, values["pushed"]]])
        return np.array([sums if name == "action" else [values["written"]]])

    return affine


def test_a_stack_gives_back_what_was_pushed_in_the_other_order():
    stack, h_BD = np.zeros((1, 1, CELLS, 1)), np.zeros((1, WIDTH))
    for number in (1.0, 2.0, 3.0):
        stack = stack_rnn.act(stack, h_BD, sure_of(0, pushed=number))
    stack = stack_rnn.act(stack, h_BD, sure_of(2, pushed=9.0))
    np.testing.assert_array_equal(stack[0, 0, :, 0], [3, 2, 1, 0])
    for number in (2.0, 1.0, 0.0):
        stack = stack_rnn.act(stack, h_BD, sure_of(1, pushed=9.0))
        assert stack[0, 0, 0, 0] == number


def test_a_tape_keeps_what_was_written_where_it_was():
    tape, h_BD = np.zeros((1, 1, CELLS, 1)), np.zeros((1, WIDTH))
    for number in (1.0, 2.0):
        tape = tape_rnn.act(tape, h_BD, sure_of(1, written=number))
    tape = tape_rnn.act(tape, h_BD, sure_of(0, written=3.0))
    np.testing.assert_array_equal(tape[0, 0, :, 0], [3, 0, 1, 2])
    tape = tape_rnn.act(tape, h_BD, sure_of(2, written=4.0))
    np.testing.assert_array_equal(tape[0, 0, :, 0], [2, 4, 0, 1])


@pytest.mark.parametrize(
    ("mixer", "field"), [(StackRNN, "cells"), (StackRNN, "memories"), (TapeRNN, "write_width")]
)
def test_sizes_below_one_are_refused(mixer, field):
    with pytest.raises(UserError, match=f"{field} of {mixer.kind} is 0; it is at least 1"):
        mixer(width=WIDTH, initializer=nn.initializers.zeros, **{field: 0})
