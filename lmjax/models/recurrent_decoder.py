"""Recurrent layers that write a target, which may look back at the source before each token."""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.nn.initializers import Initializer

from lmjax.mixers import loop, source_attention
from lmjax.mixers.recurrence import Cell, State
from lmjax.mixers.recurrent_layer import RecurrentLayer, find_cell, input_sums
from lmjax.mixers.source_attention import Memory, SourceAttention
from lmjax.nn.dropout import Dropout

LUONG = ("dot", "general", "concat")  # scores whose query is the state after the step


class RecurrentDecoder(nn.Module):
    """Layers of cells that begin with states of a source, with dropout between them.

    `attention` is `none`; or `additive`: a step attends by its last state, and the context joins
    its input (Bahdanau et al. 2015, appendix A.1.2); or of LUONG: a step attends by its new state,
    and `tanh(W [context; state])` is its output, which joins the next step's input with
    `input_feeding` (Luong et al. 2015, sections 3 and 3.3).
    """

    cell: str
    layers: int
    width: int
    encoded_width: int
    attention: str
    input_feeding: bool
    dropout: float
    initializer: Initializer
    forget_bias: float

    def setup(self):
        self.mixers = [
            RecurrentLayer(
                width=self.width,
                cell=self.cell,
                initializer=self.initializer,
                forget_bias=self.forget_bias,
            )
            for _ in range(self.layers)
        ]
        self.drop = Dropout(self.dropout)
        if self.attention != "none":
            self.source_attention = SourceAttention(self.attention, self.width, self.initializer)
        if self.attention in LUONG:
            self.output_kernel_ED = self.param(
                "attentional_kernel",
                nn.with_logical_partitioning(self.initializer, ("embed", "hidden")),
                (self.encoded_width + self.width, self.width),
            )

    def remember(self, encoded_BSE: jax.Array, visible_BS: jax.Array) -> Memory | None:
        """What is attended to, of each token of the source; None without attention."""
        if self.attention == "none":
            return None
        return self.source_attention.remember(encoded_BSE, visible_BS)

    def initial_state(self, states: tuple[State, ...]) -> dict[str, Any]:
        """The state of a decoder whose layers begin with `states`."""
        if not self.input_feeding:
            return {"layers": states}
        return {"layers": states, "fed_BD": jnp.zeros_like(states[-1][0])}

    def __call__(
        self,
        x_BTE: jax.Array,
        state: dict[str, Any],
        memory: Memory | None,
        summary_BE: jax.Array | None,
        deterministic: bool,
    ) -> tuple[jax.Array, jax.Array | None, jax.Array | None, dict[str, Any]]:
        """`output_BTD, context_BTE, weights_BTS, state`; the second is None where the first has it.

        A summary of the source joins the input of each step (Cho et al. 2014, appendix A.1.2).
        """
        if self.attention == "additive":
            return self._additive_loop(x_BTE, state, memory, deterministic)
        if self.input_feeding:
            return self._feeding_loop(x_BTE, state, memory, deterministic)
        states, joined_BE = [], summary_BE
        for index, (mixer, before) in enumerate(zip(self.mixers, state["layers"], strict=True)):
            if index:
                x_BTE = self.drop(x_BTE, deterministic=deterministic)
            x_BTE, after = mixer.read(x_BTE, before, joined_BE=joined_BE)
            states.append(after)
            joined_BE = None
        state = {"layers": tuple(states)}
        if self.attention == "none":
            return x_BTE, None, None, state
        context_BTE, weights_BTS = self.source_attention(x_BTE, memory)
        both_NE = jnp.concatenate([context_BTE, x_BTE], axis=-1).reshape(
            -1, self.encoded_width + self.width
        )
        output_ND = jnp.tanh(both_NE @ self.output_kernel_ED)
        return output_ND.reshape(x_BTE.shape), None, weights_BTS, state

    def _additive_loop(self, x_BTE, state, memory, deterministic):
        step = partial(_additive_step, find_cell(self.cell))
        arguments = self._loop_arguments(x_BTE, self.encoded_width, memory, deterministic)
        matrices, fixed, inputs = arguments
        states, outputs = loop.fast(step, matrices, fixed, state["layers"], inputs)
        output_BTD, context_BTE, weights_BTS = (leaf.swapaxes(0, 1) for leaf in outputs)
        return output_BTD, context_BTE, weights_BTS, {"layers": states}

    def _feeding_loop(self, x_BTE, state, memory, deterministic):
        step = partial(_feeding_step, find_cell(self.cell))
        matrices, fixed, inputs = self._loop_arguments(x_BTE, self.width, memory, deterministic)
        matrices["output"] = self.output_kernel_ED
        begin = state["layers"], state["fed_BD"]
        (states, fed_BD), outputs = loop.fast(step, matrices, fixed, begin, inputs)
        output_BTD, weights_BTS = (leaf.swapaxes(0, 1) for leaf in outputs)
        return output_BTD, None, weights_BTS, {"layers": states, "fed_BD": fed_BD}

    def _loop_arguments(self, x_BTE, joined_width, memory, deterministic):
        """Matrices, what else is fixed, and inputs of a loop whose steps join to x what they found.

        The input's own product, and dropout, are made before it for all steps.
        """
        rows, length, width = x_BTE.shape
        widths = [width + joined_width] + [self.width] * (self.layers - 1)
        weights = [mixer.weights(e) for mixer, e in zip(self.mixers, widths, strict=True)]
        matrices, attended = self.source_attention.arguments(memory)
        matrices["joined"] = weights[0].input_kernel_EG[width:]
        for index, layer in enumerate(weights):
            matrices[f"recurrent_{index}"] = layer.recurrent_kernel_DG
            if index:
                matrices[f"input_{index}"] = layer.input_kernel_EG
        biases = jax.tree.map(
            lambda bias_G: bias_G[None],
            ([layer.bias_G for layer in weights], [layer.recurrent_bias_G for layer in weights]),
        )
        masks = None
        if self.dropout and not deterministic:
            ones_TBD = jnp.ones((length, rows, self.width))
            masks = [self.drop(ones_TBD, deterministic=False) for _ in weights[1:]]
        return matrices, (biases, attended), (input_sums(weights[0], x_BTE), masks)


def _additive_step(cell: Cell, multiply, fixed, states, now):
    biases, attended = fixed
    context_BE, weights_BS = source_attention.step(multiply, attended, states[-1][0])
    states = _advance(cell, multiply, biases, states, now, multiply("joined", context_BE))
    return states, (states[-1][0], context_BE, weights_BS)


def _feeding_step(cell: Cell, multiply, fixed, state, now):
    (states, fed_BD), (biases, attended) = state, fixed
    states = _advance(cell, multiply, biases, states, now, multiply("joined", fed_BD))
    context_BE, weights_BS = source_attention.step(multiply, attended, states[-1][0])
    both_BE = jnp.concatenate([context_BE, states[-1][0]], axis=-1)
    output_BD = jnp.tanh(multiply("output", both_BE))
    return (states, output_BD), (output_BD, weights_BS)


def _advance(cell: Cell, multiply, biases, states, now, joined_BG) -> tuple[State, ...]:
    """The states of all layers after a step, whose first input joins `joined_BG` to its own."""
    (input_BG, masks), after = now, []
    input_BG += joined_BG
    for index, (state, bias_BG, recurrent_bias_BG) in enumerate(zip(states, *biases, strict=True)):
        if index:
            x_BD = after[-1][0] if masks is None else after[-1][0] * masks[index - 1]
            input_BG = multiply(f"input_{index}", x_BD) + bias_BG
        recurrent_BG = multiply(f"recurrent_{index}", state[0])
        if recurrent_bias_BG is not None:
            recurrent_BG += recurrent_bias_BG
        after.append(cell.step(state, input_BG, recurrent_BG))
    return tuple(after)
