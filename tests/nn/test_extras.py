"""What modules sow beside their output, wherever in a model they stand."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.nn.extras import SOWN, Collecting, sow_loss, sow_measure

LAYERS = 3
X_BD = np.arange(6, dtype=np.float32).reshape(2, 3)


class Layer(nn.Module):
    """Scales x, and sows the sum of the result as a loss and its mean as a measure."""

    @nn.compact
    def __call__(self, x_BD, _=None):
        y_BD = x_BD * self.param("scale", nn.initializers.constant(2.0), ())
        sow_loss(self, "size", 0.5 * y_BD.sum())
        sow_measure(self, "mean", y_BD.mean())
        return y_BD, None


class Layers(nn.Module):
    kind: str

    @nn.compact
    def __call__(self, x_BD):
        layer = nn.remat(Layer) if "remat" in self.kind else Layer
        if "loop" in self.kind:
            axes = dict.fromkeys(("params", *SOWN), 0)
            loop = nn.scan(layer, axes, split_rngs={"params": True}, length=LAYERS)
            return loop(name="loop")(x_BD, None)[0]
        for index in range(LAYERS):
            x_BD, _ = layer(name=f"layer_{index}")(x_BD)
        return x_BD


@pytest.mark.parametrize("kind", ["unrolled", "unrolled remat", "loop", "loop remat"])
def test_losses_are_summed_and_measures_are_means_and_both_are_of_the_parameters(kind):
    model = Layers(kind)
    params = model.init(jax.random.key(0), X_BD)
    assert set(params) == {"params"}

    def apply(params):
        collecting = Collecting(model)
        y_BD = collecting.apply(params, X_BD)
        return collecting.losses["size"], (collecting.losses, collecting.measures, y_BD)

    gradient, (losses, measures, y_BD) = jax.jit(jax.grad(apply, has_aux=True))(params)
    np.testing.assert_array_equal(y_BD, model.apply(params, X_BD))
    assert losses == {"size": X_BD.sum() * (2 + 4 + 8) / 2}
    assert measures == {"mean": pytest.approx(X_BD.mean() * (2 + 4 + 8) / 3)}
    total = sum(leaf.sum() for leaf in jax.tree.leaves(gradient))
    assert total == pytest.approx(X_BD.sum() / 2 * ((1 + 2 + 4) + (2 + 4) + 4))


def test_replicas_have_each_their_own():
    model = Layers("loop")
    params = model.init(jax.random.key(0), X_BD)

    def apply(scale):
        collecting = Collecting(model)
        collecting.apply(jax.tree.map(lambda leaf: scale * leaf, params), X_BD)
        return collecting.losses["size"]

    alone = [apply(scale) for scale in (1.0, 0.5)]
    np.testing.assert_allclose(jax.vmap(apply)(jnp.array([1.0, 0.5])), alone)


def test_of_several_applications_all_is_kept_and_other_attributes_are_the_models():
    model = Layers("unrolled")
    params, collecting = model.init(jax.random.key(0), X_BD), Collecting(model)
    for times in (1, 3):
        collecting.apply(params, times * X_BD)
    assert collecting.losses["size"] == 4 * X_BD.sum() * (2 + 4 + 8) / 2
    assert collecting.kind == "unrolled"
