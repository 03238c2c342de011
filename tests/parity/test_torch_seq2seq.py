"""Recurrent encoder-decoders against torch.nn with the same weights, with padding in the batch."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.linen import meta

from lmjax.config import model_config
from lmjax.mixers.recurrent_layer import CELLS
from lmjax.models.contract import initial_carry
from lmjax.models.registry import build_model

torch = pytest.importorskip("torch")
nn = torch.nn

LIMIT = 1e-4  # of differences, as a share of the largest value
VOCABULARY, SOURCE_VOCABULARY, WIDTH, EMBEDDING = 11, 13, 16, 12
LENGTHS = [9, 4, 7, 1]  # of the sources
TORCH = {"elman": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
SUTSKEVER = dict(cell="lstm", layers=2, reverse_source=True)
CHO = dict(cell="gru", bridge="dense", context="every_step", readout_width=10)
BAHDANAU = dict(cell="gru", bidirectional=True, bridge="dense", attention="additive")
LUONG = dict(cell="lstm", layers=2, attention="general", input_feeding=True)
MODELS = {
    "Sutskever": SUTSKEVER,
    "Cho": CHO,
    "Bahdanau": BAHDANAU,
    "Bahdanau, two layers": BAHDANAU | {"cell": "lstm", "layers": 2, "readout_width": 10},
    "Luong": LUONG,
    "Luong, dot": LUONG | {"attention": "dot", "input_feeding": False, "reverse_source": True},
    "Luong, concat": dict(cell="lstm", bidirectional=True, bridge="dense", attention="concat"),
}


class EncoderDecoder(nn.Module):
    """The model as papers write it: one step after the other, each with torch's own layers."""

    def __init__(self, c):
        super().__init__()
        self.c = c
        encoded = WIDTH * (2 if c.bidirectional else 1)
        joined = {"additive": encoded}.get(c.attention, WIDTH if c.input_feeding else 0)
        if c.context == "every_step":
            joined = encoded
        self.source_embedding = nn.Embedding(SOURCE_VOCABULARY, EMBEDDING)
        self.embedding = nn.Embedding(VOCABULARY, EMBEDDING)
        self.encoder = TORCH[c.cell](
            EMBEDDING, WIDTH, c.layers, batch_first=True, bidirectional=c.bidirectional
        )
        self.decoder = TORCH[c.cell](EMBEDDING + joined, WIDTH, c.layers, batch_first=True)
        states = c.layers * CELLS[c.cell].states
        self.bridges = nn.ModuleList(
            nn.Linear(encoded, WIDTH) for _ in range(states if c.bridge == "dense" else 0)
        )
        self.key = nn.Linear(encoded, WIDTH, bias=False)
        self.query = nn.Linear(WIDTH, WIDTH, bias=False)
        self.score = nn.Linear(WIDTH, 1, bias=False)
        self.attentional = nn.Linear(encoded + WIDTH, WIDTH, bias=False)
        has_context = c.context == "every_step" or c.attention == "additive"
        hidden = WIDTH + encoded + EMBEDDING if has_context else WIDTH
        self.readout = nn.Linear(hidden, 2 * (c.readout_width or 1))
        self.output = nn.Linear(c.readout_width or hidden, VOCABULARY)

    def read(self, source_BS):
        """`encoded_BSE, visible_BS` and each layer's states."""
        c = self.c
        if c.reverse_source:
            rows = [row[:length].flip(0) for row, length in zip(source_BS, LENGTHS, strict=True)]
            source_BS = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        packed = nn.utils.rnn.pack_padded_sequence(
            self.source_embedding(source_BS), LENGTHS, batch_first=True, enforce_sorted=False
        )
        encoded, finals = self.encoder(packed)
        encoded_BSE, _ = nn.utils.rnn.pad_packed_sequence(encoded, batch_first=True)
        if c.reverse_source:  # back to the order of the source
            rows = [row[:length].flip(0) for row, length in zip(encoded_BSE, LENGTHS, strict=True)]
            encoded_BSE = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        finals = finals if c.cell == "lstm" else (finals,)
        directions = 2 if c.bidirectional else 1
        layers = [
            [
                torch.cat([leaf[directions * index + d] for d in range(directions)], dim=-1)
                for leaf in finals
            ]
            for index in range(c.layers)
        ]
        visible_BS = torch.arange(max(LENGTHS))[None] < torch.tensor(LENGTHS)[:, None]
        return encoded_BSE, visible_BS, layers

    def attend(self, query_BD, encoded_BSE, visible_BS):
        keys_BSK = encoded_BSE if self.c.attention == "dot" else self.key(encoded_BSE)
        if self.c.attention in ("dot", "general"):
            scores_BS = torch.einsum("bd,bsd->bs", query_BD, keys_BSK)
        else:
            scores_BS = self.score(torch.tanh(self.query(query_BD)[:, None] + keys_BSK))[..., 0]
        weights_BS = scores_BS.masked_fill(~visible_BS, -torch.inf).softmax(dim=-1)
        return torch.einsum("bs,bse->be", weights_BS, encoded_BSE), weights_BS

    def forward(self, tokens_BT, source_BS):
        """`logits_BTV, weights_BTS`."""
        c = self.c
        encoded_BSE, visible_BS, layers = self.read(source_BS)
        summary_BE = layers[-1][0]
        if c.bridge == "dense":
            flat = [torch.tanh(b(x)) for b, x in zip(self.bridges, sum(layers, []), strict=True)]
            size = len(layers[0])
            layers = [flat[size * index : size * (index + 1)] for index in range(c.layers)]
        state = tuple(torch.stack(leaves) for leaves in zip(*layers, strict=True))
        fed_BD = torch.zeros_like(state[0][-1])
        logits, weights = [], []
        for x_BE in self.embedding(tokens_BT).unbind(dim=1):
            parts = [x_BE]
            if c.attention == "additive":
                context_BE, weights_BS = self.attend(state[0][-1], encoded_BSE, visible_BS)
                parts.append(context_BE)
            elif c.context == "every_step":
                context_BE = summary_BE
                parts.append(context_BE)
            elif c.input_feeding:
                parts.append(fed_BD)
            y_B1D, state = self.decoder(
                torch.cat(parts, dim=-1)[:, None], state if c.cell == "lstm" else state[0]
            )
            state = state if c.cell == "lstm" else (state,)
            hidden = y_B1D[:, 0]
            if c.attention == "additive" or c.context == "every_step":
                hidden = torch.cat([hidden, context_BE, x_BE], dim=-1)
            elif c.attention != "none":
                context_BE, weights_BS = self.attend(hidden, encoded_BSE, visible_BS)
                hidden = torch.tanh(self.attentional(torch.cat([context_BE, hidden], dim=-1)))
                fed_BD = hidden
            if c.readout_width:
                hidden = self.readout(hidden).unflatten(-1, (-1, 2)).amax(dim=-1)
            logits.append(self.output(hidden))
            weights.append(weights_BS if c.attention != "none" else None)
        return torch.stack(logits, dim=1), None if weights[0] is None else torch.stack(weights, 1)


def loaded(params, theirs, c):
    """Our parameters in the tree of `params`, of theirs; each of theirs that is used is read."""

    def kernel(name):
        return theirs[f"{name}.weight"].T

    def layer(module, suffix):
        recurrent_bias_G = theirs[f"{module}.bias_hh_{suffix}"]
        cell = CELLS[c.cell]
        single = WIDTH * (cell.gates - cell.recurrent_biases)
        weights = {
            "input_kernel": theirs[f"{module}.weight_ih_{suffix}"].T,
            "recurrent_kernel": theirs[f"{module}.weight_hh_{suffix}"].T,
            "bias": theirs[f"{module}.bias_ih_{suffix}"].at[:single].add(recurrent_bias_G[:single]),
        }
        if cell.recurrent_biases:
            weights["recurrent_bias"] = recurrent_bias_G[single:]
        return weights

    ours = {
        "embedding": {"embedding": theirs["embedding.weight"]},
        "source_embedding": {"embedding": theirs["source_embedding.weight"]},
        "encoder": {},
        "decoder": {f"mixers_{i}": layer("decoder", f"l{i}") for i in range(c.layers)},
        "output_kernel": kernel("output"),
        "output_bias": theirs["output.bias"],
    }
    forward = "backward" if c.reverse_source else "forward"
    for index in range(c.layers):
        ours["encoder"][f"{forward}_layers_{index}"] = layer("encoder", f"l{index}")
        if c.bidirectional:
            ours["encoder"][f"backward_layers_{index}"] = layer("encoder", f"l{index}_reverse")
    if c.bridge == "dense":
        for index in range(c.layers * CELLS[c.cell].states):
            bias = theirs[f"bridges.{index}.bias"]
            ours[f"bridges_{index}"] = {"kernel": kernel(f"bridges.{index}"), "bias": bias}
    if c.readout_width:
        ours["readout"] = {"kernel": kernel("readout"), "bias": theirs["readout.bias"]}
    attention = {}
    if c.attention not in ("none", "dot"):
        attention["key"] = {"kernel": kernel("key")}
    if c.attention in ("additive", "concat"):
        attention |= {"query_kernel": kernel("query"), "score": theirs["score.weight"][0]}
    if attention:
        ours["decoder"]["source_attention"] = attention
    if c.attention in ("dot", "general", "concat"):
        ours["decoder"]["attentional_kernel"] = kernel("attentional")
    ours = {"params": ours}
    assert jax.tree.map(jnp.shape, ours) == jax.tree.map(jnp.shape, params)
    return ours


@pytest.mark.parametrize("name", MODELS)
def test_logits_gradients_and_greedy_tokens_are_those_of_torch(name):
    config = model_config("seq2seq")
    config.update({"width": WIDTH, "embedding_width": EMBEDDING, **MODELS[name]})
    source = SimpleNamespace(vocabulary_size=SOURCE_VOCABULARY)
    model = build_model(config, SimpleNamespace(vocabulary_size=VOCABULARY, source=source))
    torch.manual_seed(0)
    module = EncoderDecoder(SimpleNamespace(**config.to_dict()))
    for parameter in module.parameters():
        parameter.data *= 2.0  # so that attention is far from even
    generator = np.random.default_rng(0)
    tokens_BT = generator.integers(0, VOCABULARY, (len(LENGTHS), 6))
    source_BS = generator.integers(0, SOURCE_VOCABULARY, (len(LENGTHS), max(LENGTHS)))
    weights_BS = (np.arange(max(LENGTHS))[None] < np.array(LENGTHS)[:, None]).astype(np.float32)
    inputs = {"source_BS": source_BS, "source_weights_BS": weights_BS}

    logits_BTV, weights_BTS = module(torch.tensor(tokens_BT), torch.tensor(source_BS))
    pull_BTV = torch.randn_like(logits_BTV)
    logits_BTV.backward(pull_BTV)
    theirs = {key: jnp.asarray(leaf.detach().numpy()) for key, leaf in module.named_parameters()}
    params = meta.unbox(jax.eval_shape(model.init, jax.random.key(0), tokens_BT))

    @jax.jit
    def run(theirs):
        return model.apply(loaded(params, theirs, config), tokens_BT, **inputs)[0]

    our_BTV, pull = jax.vjp(run, theirs)
    (gradients,) = pull(jnp.asarray(pull_BTV.numpy()))

    def difference(ours, expected):
        expected = np.zeros(ours.shape) if expected is None else expected.detach().numpy()
        return float(np.abs(ours - expected).max() / (np.abs(expected).max() or 1.0))

    differences = {key: difference(gradients[key], p.grad) for key, p in module.named_parameters()}
    differences["logits"] = difference(our_BTV, logits_BTV)
    ours = loaded(params, theirs, config)
    if weights_BTS is not None:
        aligned_BTS = model.apply(ours, tokens_BT, **inputs, method="alignments")
        differences["weights"] = difference(aligned_BTS, weights_BTS)
    print(f"\n{name} against torch.nn: {max(differences.values()):.1e} at most")
    assert max(differences.values()) <= LIMIT, differences

    written = np.zeros((len(LENGTHS), 1), int)
    with torch.no_grad():
        for _ in range(7):
            last_BV = module(torch.tensor(written), torch.tensor(source_BS))[0][:, -1]
            written = np.concatenate([written, last_BV.argmax(dim=-1, keepdim=True).numpy()], 1)
    carry = initial_carry(model, ours, len(LENGTHS), 8, **inputs)
    step = jax.jit(model.apply)
    for time in range(7):
        logits_BTV, carry = step(ours, written[:, time : time + 1], carry)
        np.testing.assert_array_equal(logits_BTV[:, 0].argmax(axis=-1), written[:, time + 1])
