"""One task told by every family, from words that are counted to MiniLM's pretrained weights.

Question  Which family tells a text's label best, with the same texts, tuning and seeds?
Command   lmjax study --study=experiments/tasks/families.py:trec --workdir=runs/trec_families
          lmjax study --study=experiments/tasks/families.py:sst2,pretrained
          --workdir=runs/sst2_families
Tuning    every trained arm tries the same five learning rates, each on half of its training; the
          bag of n-grams has the penalty that validation prefers.
Hardware  one CPU core; with `pretrained` 19 minutes for TREC, 43 for SST-2.
Measured  experiments/results/tasks.md.
Expected  MiniLM ahead where few texts are labelled; Wang and Manning (2012) and Iyyer et al.
          (2015): bags of n-grams and averaged vectors are hard to beat by what has no other texts.

Arguments are a task (`ag_news`, `names`, `sst2`, `trec`), `pretrained`, which adds MiniLM (see
base.py for its weights) and `smoke`, some steps of each arm. MiniLM reads pieces of words and
begins from what it learned of other texts, which is what it is there to show. Three epochs of it
stand beside ten of the others.
"""

import runpy
from pathlib import Path

from lmjax.errors import UserError
from lmjax.studies.study import Arm, Study, Tuning

STUDIES = runpy.run_path(Path(__file__).with_name("studies.py"))
TASKS = ("trec", "sst2", "ag_news", "names")
TUNING = Tuning({"training.learning_rate": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)}, budget="50 percent")


def get_study(arg: str = "") -> Study:
    """A bag of n-grams and the FAMILIES of studies.py on the task in `arg`, TREC if there is none.

    Raises UserError for several tasks, and for what is neither a task nor a variant.
    """
    parts = [part for part in arg.split(",") if part]
    tasks = [part for part in parts if part in TASKS]
    if len(tasks) > 1:
        raise UserError(f"a study is of one task, not of {' and '.join(tasks)}; give one of them")
    task = tasks[0] if tasks else TASKS[0]
    get_config = runpy.run_path(Path(__file__).with_name(f"{task}.py"))["get_config"]

    def make_arm(name: str, variant: str, **others) -> Arm:
        config = get_config(variant)
        config.evaluation.splits = ("validation",)  # the study reads test, once
        return Arm(name, config, **others)

    arms = [make_arm("bag of n-grams", "bag_of_ngrams", choices=STUDIES["PENALTIES"])]
    arms += [make_arm(name, variant) for name, variant in STUDIES["FAMILIES"].items()]
    fields = {}
    if "pretrained" in parts:
        arms.append(make_arm("MiniLM, fine-tuned", "minilm"))
        fields["begins_differ"] = True
    return STUDIES["make_study"](
        "families",
        arg,
        {"pretrained": {}, **dict.fromkeys(TASKS, {})},
        question="Which family tells a text's label best, with the same texts, tuning and seeds?",
        arms=tuple(arms),
        baseline="LSTM",
        matched=(),
        tuning=TUNING,
        **fields,
    )
