"""A trained model in as few words as it takes: `lmjax.load(workdir).generate("Once")`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from lmjax.checkpoints.store import Checkpoints
from lmjax.data.tokenizer_registry import Tokenizer, load_tokenizer
from lmjax.errors import UserError
from lmjax.evaluation.score import Score
from lmjax.evaluation.scoring import score_text
from lmjax.generation.generate import generate
from lmjax.generation.sampling import Sampler
from lmjax.generation.text import TextStream, continuation
from lmjax.models.contract import LanguageModel
from lmjax.models.registry import build_model
from lmjax.runs.devices import prepare_devices
from lmjax.runs.fields import check_fields, is_count
from lmjax.runs.python_file import load_from_file
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.state import random_key


@dataclass(frozen=True)
class Trained:
    """A model with its parameters and its tokenizer."""

    model: LanguageModel
    params: Any
    tokenizer: Tokenizer
    config: ConfigDict
    step: int

    def generate(
        self,
        prompts: str | Sequence[str],
        *,
        length: int = 200,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        on_text: Callable[[str], None] | None = None,
    ) -> str | list[str]:
        """Continues each prompt by at most `length` tokens; `on_text` is given the first's pieces.

        Temperature 0 is greedy. Raises UserError for a prompt outside the vocabulary or settings
        that no distribution has.
        """
        single = isinstance(prompts, str)
        encoded = [
            [int(token) for token in self.tokenizer.encode_prompt(prompt)]
            for prompt in ([prompts] if single else prompts)
        ]
        first = TextStream(self.tokenizer, encoded[0]) if on_text and encoded else None
        rows = generate(
            self.model,
            self.params,
            encoded,
            length=length,
            sampler=Sampler(temperature, top_k, top_p),
            seed=seed,
            start_id=self.tokenizer.start_id,
            end_id=self.tokenizer.end_id if self.config.data.document_end else None,
            on_tokens=(lambda newest: on_text(first.push(newest[0]))) if first else None,
        )
        if first:
            on_text(first.end())
        texts = [
            continuation(self.tokenizer, prompt, row)
            for prompt, row in zip(encoded, rows, strict=True)
        ]
        return texts[0] if single else texts

    def score(self, text: str) -> Score:
        """The score of `text`, each of its tokens once; raises UserError if it is empty."""
        return score_text(self.model, self.params, self.tokenizer, text)


def load(workdir: Path | str, step: int | None = None) -> Trained:
    """The model of a run: of the checkpoint at `step`, or the one that its results are of.

    Raises UserError if there is no such run or checkpoint.
    """
    run = RunDirectory(workdir)
    config = run.config()
    prepare_devices(config.execution.cpu_devices)
    tokenizer = load_tokenizer(run.tokenizer_path)
    model = build_model(config.model, tokenizer)
    checkpoints = Checkpoints(run.checkpoints, read_only=True)
    try:
        if step is None and run.is_finished:
            results = run.results()
            check_fields(
                results, {"training": {"scored_step": is_count}}, run.path / "results.json"
            )
            step = results["training"]["scored_step"]
        elif step is None:
            step = checkpoints.newest_intact()
        if step is None:
            raise UserError(f"{run.path} has no checkpoint yet; train it first")
        params = checkpoints.restore_params(step, _parameters_of(model))
    finally:
        checkpoints.close()
    return Trained(model, jax.device_put(params), tokenizer, config, step)


def load_experiment(reference: Path | str) -> ConfigDict:
    """The configuration of an experiment file, named as for --config: `FILE.py[:argument]`.

    The file is executed. Raises UserError if it cannot be had.
    """
    return load_from_file(reference, "config", ConfigDict)


def _parameters_of(model: LanguageModel) -> Any:
    """Shapes and dtypes of a model's parameters; None where they depend on what was counted."""
    if model.is_counted:
        return None
    tokens_BT = jax.ShapeDtypeStruct((1, 1), jnp.int32)
    return nn.meta.unbox(jax.eval_shape(model.init, random_key(0, "parameters"), tokens_BT))
