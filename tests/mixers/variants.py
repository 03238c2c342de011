"""Each registered mixer, with the options under which it computes something else."""

# name -> options of each variant
MIXER_VARIANTS = {
    "attention": [
        dict(),
        dict(head_width=3, scaled=False, chunk=4),
        dict(key_value_heads=2, position="rotary", query_key_norm=True, chunk=8),
        dict(key_value_heads=1, position="alibi", score_cap=2.0, output_gate=True),
        dict(position="relative", sinks=True, position_buckets=8, position_farthest=9),
    ],
    "base_conv": [dict()],
    "delta_net": [dict(chunk=5, negative_eigenvalues=True), dict(value_head_width=3)],
    "differential_attention": [dict(), dict(key_value_heads=2, position="rotary", layer=3)],
    "gated_delta_net": [dict(chunk=4, head_width=3, value_heads=8, value_head_width=5)],
    "gated_linear_attention": [dict(chunk=4, temperature=2.0)],
    "hyena": [dict(bands=3, filter_width=8), dict(order=1, bands=3, context_length=10)],
    "layer_norm_lstm": [dict()],
    "lightning_attention": [dict(chunk=6)],
    "linear_attention": [
        dict(),
        dict(feature_map="taylor", key_width=3, chunk=5),
        dict(feature_map="identity", normalized=False, chunk=4),
    ],
    "lru": [dict(), dict(state_width=5, smallest_radius=0.0, largest_radius=1.0)],
    "mamba": [dict(state_width=3, chunk=4)],
    "mamba2": [dict(state_width=3, head_width=4, groups=2, chunk=4)],
    "min_gru": [dict(), dict(expansion=1)],
    "min_lstm": [dict()],
    "mlstm": [dict(chunk=5, projection_block=8)],
    "mlstm_large": [dict(chunk=4, key_width=12, gate_cap=2.0)],
    "mogrifier_lstm": [dict(rounds=3), dict(rounds=4, rank=2)],
    "multi_head_latent_attention": [
        dict(),
        dict(head_width=3, rotary_width=2, value_width=5, latent_width=7, query_rank=6, chunk=4),
    ],
    "peephole_lstm": [dict()],
    "projected_lstm": [dict(cells=9)],
    "qrnn": [dict(), dict(pooling="f", window=1), dict(pooling="ifo", window=3)],
    "recurrent": [
        dict(cell="elman"),
        dict(cell="gru"),
        dict(cell="lstm", forget_bias=1.0),
        dict(cell="coupled_lstm"),
        dict(cell="capped_lstm"),
    ],
    "retention": [dict(), dict(chunk=5, expansion=1)],
    "rg_lru": [dict(), dict(inner_width=12, blocks=3, convolution_width=1)],
    "rwkv4": [dict()],
    "rwkv7": [dict(chunk=5), dict(decay_rank=3, rate_rank=4, gate_rank=5)],
    "rwkv_channel_mixing": [dict(expansion=2), dict(expansion=1, receptance=True)],
    "s4d": [dict(state_width=6, chunk=4), dict(spectrum="real", state_width=4, chunk=40)],
    "sliding_window": [
        dict(window=4),
        dict(window=40),
        dict(window=9, key_value_heads=2, position="rotary", sinks=True, chunk=4),
        dict(window=3, position="alibi", score_cap=2.0),
    ],
    "slstm": [dict()],
    "sru": [dict()],
    "stack_rnn": [dict(memories=2, cells=5, cell_width=3)],
    "tape_rnn": [dict(memories=2, cells=5, cell_width=3, write_width=6)],
    "transformer_xl": [dict(memory=5, chunk=4), dict(memory=40, head_width=3, farthest=7)],
}


def mixer_variants():
    """`name, options` of each."""
    return [(name, options) for name, found in MIXER_VARIANTS.items() for options in found]
