"""minLSTM on the characters of Shakespeare: an LSTM whose gates do not see the state.

Claim     Test loss 1.555 nats a character (Feng et al. 2024, section 4.2).
Command   lmjax train --config=experiments/models/min_lstm.py --workdir=runs/min_lstm
Recipe    that of min_gru.py, with what differs from the paper. 14.2 M parameters.
Hardware  an accelerator. Not trained here.

`:smoke` is a tiny model and 20 steps.
"""

from pathlib import Path

from ml_collections import ConfigDict

from lmjax import load_experiment


def get_config(arg: str = "") -> ConfigDict:
    """The recipe of min_gru.py with minLSTM in its place, or its `smoke` variant."""
    config = load_experiment(f"{Path(__file__).with_name('min_gru.py')}:{arg}")
    config.model.pattern = ("min_lstm",)
    return config
