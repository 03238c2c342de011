"""A mixture of softmaxes, whose logits have a higher rank than the width of the model allows."""

from functools import partial

import jax
import jax.numpy as jnp

from lmjax.errors import UserError
from lmjax.nn.dropout import Dropout
from lmjax.nn.output_layers import OutputLayer, check_chunk, check_tied
from lmjax.nn.precision import wide_product
from lmjax.nn.token_chunks import by_chunks


class MixtureOfSoftmaxes(OutputLayer):
    """`p = sum_x prior_x softmax(W tanh(W_x h + b_x) + b)`; Yang et al. (2018), section 2.3.

    The prior is a softmax of a linear map of h. All experts have one kernel W, the table if that is
    given. `logits` are log-probabilities. Raises UserError for options out of range.
    """

    experts: int = 15
    expert_width: int = 0  # of what an expert's logits are formed of; 0: that of the kernel's table
    dropout: float = 0.0  # on the experts' vectors, the same at each time of a row
    chunk: int = 0  # tokens whose logits are held at a time, in training and scoring; 0: all

    def __post_init__(self):
        super().__post_init__()
        if self.experts < 1 or self.expert_width < 0:
            raise UserError(
                f"a mixture of {self.experts} softmaxes of width {self.expert_width}; give at "
                "least 1 expert, and a width of 0 or more"
            )
        if not 0 <= self.dropout < 1:
            raise UserError(
                f"option 'dropout' of the mixture is {self.dropout}; it is at least 0 and below 1"
            )
        if self.logits_cap:
            raise UserError("model.logits_cap is of output 'softmax'; set it to 0")
        check_tied(bool(self.table_width), self.table_width, self._inner_width)
        check_chunk(self.chunk)

    @property
    def _inner_width(self) -> int:
        return self.expert_width or self.table_width or self.width

    def setup(self):
        width, inner_width = self.width, self._inner_width
        self.latent_kernel_DXE = self.parameter(
            "latent_kernel", ("embed", "softmaxes", "hidden"), (width, self.experts, inner_width)
        )
        self.latent_bias_XE = self.parameter(
            "latent_bias", (None, "hidden"), (self.experts, inner_width)
        )
        self.prior_kernel_DX = self.parameter(
            "prior_kernel", ("embed", "softmaxes"), (width, self.experts)
        )
        self.kernel_EV = None
        if not self.table_width:
            shape_EV = inner_width, self.vocabulary_size
            self.kernel_EV = self.parameter("kernel", ("embed", "vocab"), shape_EV)
        self.bias_V = None
        if self.bias:
            self.bias_V = self.parameter("bias", ("vocab",), (self.vocabulary_size,))
        self.drop_latent = Dropout(self.dropout, of_model=False)

    def logits(self, hidden_BTD, table_VD=None, deterministic=True):
        mask_B1XE = self._mask(len(hidden_BTD), deterministic)

        def of_chunk(hidden_BTD):
            log_prior_BTX, logits_BTXV = self._experts(hidden_BTD, table_VD, mask_B1XE)
            each_BTXV = jax.nn.log_softmax(logits_BTXV) + log_prior_BTX[..., None]
            return jax.nn.logsumexp(each_BTXV, axis=2)

        return by_chunks(of_chunk, self.chunk, hidden_BTD)

    def log_probs(self, hidden_BTD, targets_BT, table_VD=None, deterministic=True):
        mask_B1XE = self._mask(len(hidden_BTD), deterministic)

        def of_chunk(hidden_BTD, targets_BT):
            log_prior_BTX, logits_BTXV = self._experts(hidden_BTD, table_VD, mask_B1XE)
            places_BT11 = targets_BT[..., None, None]
            target_logits_BTX = jnp.take_along_axis(logits_BTXV, places_BT11, axis=-1)[..., 0]
            each_BTX = target_logits_BTX - jax.nn.logsumexp(logits_BTXV, axis=-1)
            return jax.nn.logsumexp(log_prior_BTX + each_BTX, axis=-1)

        return by_chunks(of_chunk, self.chunk, hidden_BTD, targets_BT)

    def _mask(self, rows: int, deterministic: bool) -> jax.Array:
        """What the experts' vectors are multiplied by: drawn once for all times of a row."""
        ones_B1XE = jnp.ones((rows, 1, self.experts, self._inner_width))
        return self.drop_latent(ones_B1XE, deterministic=deterministic)

    def _experts(self, hidden_BTD, table_VD, mask_B1XE) -> tuple[jax.Array, jax.Array]:
        """`log_prior_BTX` and `logits_BTXV`, in float32."""
        dtype = hidden_BTD.dtype
        hidden_ND = hidden_BTD.reshape(-1, self.width)
        multiply = partial(_product, dtype=dtype)
        log_prior_NX = jax.nn.log_softmax(multiply(hidden_ND, self.prior_kernel_DX))
        latent_NE = multiply(hidden_ND, self.latent_kernel_DXE.reshape(self.width, -1))
        latent_BTXE = latent_NE.reshape(*hidden_BTD.shape[:2], *self.latent_bias_XE.shape)
        latent_BTXE = jnp.tanh(latent_BTXE + self.latent_bias_XE[None, None]) * mask_B1XE
        kernel_EV = self.kernel_EV if table_VD is None else table_VD.T
        logits_NV = multiply(latent_BTXE.reshape(-1, self._inner_width), kernel_EV)
        if self.bias_V is not None:
            logits_NV += self.bias_V[None, :]
        shape_BTX = (*hidden_BTD.shape[:2], self.experts)
        return log_prior_NX.reshape(shape_BTX), logits_NV.reshape(*shape_BTX, -1)


def _product(x: jax.Array, kernel: jax.Array, *, dtype: jnp.dtype) -> jax.Array:
    return wide_product(x.astype(dtype), kernel.astype(dtype))
