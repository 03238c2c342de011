import jax
import jax.numpy as jnp
import numpy as np

from lmjax.mixers import loop

ROWS, LENGTH, WIDTH, SLOTS = 2, 4, 3, 5


def step(multiply, fixed, state_BD, now_BD):
    """A state that looks up what a matrix of each row holds, where `fixed` lets it."""
    bias_BD, visible_BS = fixed
    scores_BS = jnp.where(visible_BS, multiply("keys", state_BD), 0.0)
    found_BD = multiply("values", scores_BS)
    state_BD = jnp.tanh(now_BD + multiply("kernel", state_BD * found_BD) + bias_BD)
    return state_BD, (found_BD, scores_BS)


def draw():
    generator = np.random.default_rng(0)

    def normal(*shape):
        return generator.normal(size=shape).astype(np.float32)

    matrices = {
        "kernel": normal(WIDTH, WIDTH),
        "keys": normal(ROWS, WIDTH, SLOTS),
        "values": normal(ROWS, SLOTS, WIDTH),
    }
    visible_BS = generator.random((ROWS, SLOTS)) < 0.6
    shapes = (1, WIDTH), (ROWS, WIDTH), (LENGTH, ROWS, WIDTH)  # of bias, state and inputs
    return (matrices, *(normal(*shape) for shape in shapes)), visible_BS


def results(form, arrays, visible_BS):
    matrices, bias_1D, state_BD, inputs_TBD = arrays
    return form(step, matrices, (bias_1D, visible_BS), state_BD, inputs_TBD)


def test_fast_has_the_results_and_gradients_of_sequence():
    arrays, visible_BS = draw()
    shapes = jax.eval_shape(lambda: results(loop.sequence, *draw()))
    pulls = jax.tree.map(lambda leaf: np.random.default_rng(1).normal(size=leaf.shape), shapes)

    def both(form):
        found, pull = jax.vjp(lambda *arrays: results(form, arrays, visible_BS), *arrays)
        return found, pull(jax.tree.map(lambda leaf: leaf.astype(np.float32), pulls))

    jax.tree.map(
        lambda fast, sequence: np.testing.assert_allclose(fast, sequence, rtol=1e-4, atol=1e-5),
        both(loop.fast),
        both(loop.sequence),
    )


def test_the_gradient_by_a_matrix_is_formed_outside_of_the_loop():
    arrays, visible_BS = draw()

    def most_in_a_step(form):
        """Matrix products in the longest loop body of the gradient."""

        def total(arrays):
            return sum(leaf.sum() for leaf in jax.tree.leaves(results(form, arrays, visible_BS)))

        equations = jax.make_jaxpr(jax.grad(total))(arrays).jaxpr.eqns
        bodies = [str(one.params["jaxpr"]) for one in equations if one.primitive.name == "scan"]
        return max(body.count("dot_general") for body in bodies)

    assert most_in_a_step(loop.fast) == 3, "one for each product of a step"
    assert most_in_a_step(loop.sequence) == 6
