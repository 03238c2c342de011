"""Tasks of the Chomsky hierarchy on inputs longer than those of the training.

Question  Which architectures tell the parity of longer inputs than they were trained on?
Claim     The best of ten seeds and three learning rates after a million steps, accuracy over
          lengths 41 to 500 (Delétang et al. 2023, table 2): an LSTM tells parity and even pairs
          without error, and a Transformer is near chance (0.5) on parity.
Command   lmjax study --study=experiments/synthetic/chomsky.py --workdir=runs/parity_study
          lmjax study --study=experiments/synthetic/chomsky.py:even_pairs,few
          --workdir=runs/even_study
          lmjax train --config=experiments/synthetic/chomsky.py --workdir=runs/parity
          lmjax train --config=experiments/synthetic/chomsky.py:even_pairs --workdir=runs/even_pairs
Tuning    every arm tries the same three learning rates, each on half of its training.
Hardware  one CPU core: an LSTM in a minute and a half, a study in an hour or two.
Expected  length_accuracy of the test near 1.0, for an LSTM on parity and on even pairs.
Measured  parity, the best of three seeds: LSTM, sLSTM, Elman, stack and tape RNN 1.0, Mamba 0.51,
          attention 0.50; even pairs: LSTM 1.0, sLSTM 0.98, Mamba 0.93, attention 0.51. All seeds:
          experiments/results/synthetic.md.
Differs   Inputs of 1 to 40 symbols as there, but some thousand steps, a width of 64 in place of
          256, and higher learning rates. A Transformer here sees the past alone. The tape RNN has
          three of five actions.

Variants are the fifteen tasks, and the architectures. `:smoke` takes some steps.
"""

import runpy
from pathlib import Path

from ml_collections import ConfigDict

from lmjax.config import base_config, with_variants
from lmjax.data.synthetic.registry import TASKS
from lmjax.studies.study import Arm, Study, Tuning

BASE = runpy.run_path(Path(__file__).parent.with_name("ablations") / "base.py")
HIERARCHY = [*TASKS][5:]
# The mixer of each architecture, and its options.
ARCHITECTURES = {
    "LSTM": ("recurrent", {"cell": "lstm"}),
    "Elman": ("recurrent", {"cell": "elman"}),
    "sLSTM": ("slstm", {}),
    "stack RNN": ("stack_rnn", {}),
    "tape RNN": ("tape_rnn", {}),
    "mamba": ("mamba", {}),
    "attention": ("attention", {}),
}
FEW = ("LSTM", "sLSTM", "mamba", "attention")
TUNING = Tuning({"training.learning_rate": (1e-3, 3e-3, 1e-2)}, budget="50 percent")


def _architecture(mixer: str, options: dict) -> dict:
    return {"model.pattern": (mixer,), "model.mixers": {mixer: options}}


def _variant(architecture: str) -> str:
    return architecture.lower().replace(" ", "_")


VARIANTS = {
    "smoke": {
        "data.task_options.evaluation_examples": 64,
        "data.task_options.test_longest": 60,
        "training.duration": "20 steps",
        "evaluation.every": "20 steps",
        "checkpoint.every": "20 steps",
    },
    **{name: {"data.task": name} for name in HIERARCHY},
    **{_variant(name): _architecture(*mixer) for name, mixer in ARCHITECTURES.items()},
}


def get_config(arg: str = "") -> ConfigDict:
    """An LSTM on parity, with the VARIANTS in `arg`; raises UserError for another."""
    config = base_config("transformer")
    config.model.update(layers=1, width=64, heads=4, context_length=1024, position="none")
    config.model.update(initialization=0.125)
    config.update_from_flattened_dict(VARIANTS["lstm"])
    config.data.update(corpus="synthetic", tokenizer="ids", batching="examples", length=40)
    config.data.task = "parity_check"
    config.data.task_options.update(test_shortest=41, test_longest=500, evaluation_examples=7360)
    config.data.batch_size = 128
    config.objective.name = "answers"
    config.training.update(duration="3000 steps", learning_rate=3e-3, warmup="2 percent")
    config.training.clip_norm = 1.0
    config.evaluation.update(context="documents", splits=("validation", "test"))
    return with_variants(config, arg, VARIANTS)


def get_study(arg: str = "") -> Study:
    """Each of the ARCHITECTURES on parity, or on the task that `arg` names; `few` of them alone."""
    names = FEW if "few" in arg.split(",") else tuple(ARCHITECTURES)
    return BASE["make_study"](
        "chomsky",
        arg,
        {"few": {}, **{task: {"arms": _arms(task, names)} for task in HIERARCHY}},
        question="Which architectures answer inputs longer than they were trained on?",
        arms=_arms("parity_check", names),
        baseline="LSTM",
        matched=("training_tokens",),
        tuning=TUNING,
        prompt="0",
    )


def _arms(task: str, names: tuple[str, ...]) -> tuple[Arm, ...]:
    arms = []
    for name in names:
        config = get_config(f"{task},{_variant(name)}")
        config.evaluation.splits = ("validation",)  # the study reads the test once
        arms.append(Arm(name, config))
    return tuple(arms)
