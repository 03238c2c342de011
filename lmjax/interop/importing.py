"""A run directory out of a folder of Hugging Face's: its config.json, weights and tokenizer."""

from collections.abc import Mapping
from hashlib import file_digest
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from ml_collections import ConfigDict

from lmjax.checkpoints.store import Checkpoints
from lmjax.config import base_config
from lmjax.data.given_tokenizer import GivenTokenizer
from lmjax.data.tokenizer import Tokenizer
from lmjax.data.tokenizer_files import WHOLE, read_tokenizer_file
from lmjax.data.wrapped_tokenizers import with_unused
from lmjax.errors import UserError, nearest, writing
from lmjax.interop.conventions import Convention, Imported, to_ours
from lmjax.interop.registry import CONVENTIONS
from lmjax.interop.safetensors import read_header, read_safetensors
from lmjax.interop.settings import Settings, is_size
from lmjax.models.contract import LanguageModel
from lmjax.models.registry import build_model
from lmjax.runs.fields import check_fields, check_values, is_text, is_true_or_false
from lmjax.runs.files import new_folder, read_json
from lmjax.runs.run_directory import RunDirectory, storable
from lmjax.training.state import CountedState, random_key

SETTINGS, WEIGHTS, OUR_TOKENIZER = "config.json", "model.safetensors", "lmjax_tokenizer.json"
PADDED = 128  # T5's have as many entries as the next multiple of it, 32,128 for 32,100 tokens
AROUND = ("BertProcessing", "RobertaProcessing")  # what puts tokens before a text and behind it
# What may hold weights in another way, and how to make a WEIGHTS file of it.
SAVE_AGAIN = "with transformers, by from_pretrained(FOLDER).save_pretrained(FOLDER"
OTHER_WEIGHTS = {
    "model.safetensors.index.json": (
        f"holds its weights in several files; join them {SAVE_AGAIN}, max_shard_size='1TB')"
    ),
    "pytorch_model.bin": (
        "holds its weights as a pickle, which may execute anything and is not read; where you "
        f"trust it, convert it {SAVE_AGAIN}) of the class that config.json names"
    ),
}


def import_folder(folder: Path | str, workdir: Path | str) -> dict[str, Any]:
    """Makes the run directory `workdir`, whole or not at all, with a checkpoint of step 0.

    Returns what its imported.json says: where from, the SHA-256 of the weights, what of them was
    left out, which parameters were made new, which of their settings were not read. Raises
    UserError for an architecture, a setting, a tokenizer or weights that can't be had.
    """
    folder, run = Path(folder), RunDirectory(workdir)
    if run.path.exists() and not (run.path.is_dir() and not any(run.path.iterdir())):
        raise UserError(f"{run.path} is there already; choose another --workdir")
    fields = read_json(folder / SETTINGS)
    convention = _convention(fields, folder / SETTINGS)
    settings = Settings(fields, folder / SETTINGS)
    vocabulary_size = settings.take("vocab_size", is_size)
    config = base_config(convention.family)
    config.model.update(convention.to_model(settings))
    config.data.update(tokenizer="file", tokenizer_file=str(run.tokenizer_path), special_tokens=())
    check_values(config)
    start = "decoder_start_token_id"
    start_id = Settings(fields, folder / SETTINGS).take(start, is_size, None)  # seen later, if used
    tokenizer = read_tokenizer(folder, convention, vocabulary_size, start_id)
    if convention.ends_sources and not (folder / OUR_TOKENIZER).exists():
        _check_processor(folder / WHOLE)
        if start_id is None or tokenizer.end_id is None:
            raise UserError(
                f"{folder}: its models read <eos> behind a source and a first token before a "
                f"target; give it a tokenizer with the one, and {start} in config.json"
            )
    if tokenizer.vocabulary_size != vocabulary_size:
        raise UserError(
            f"{folder}: config.json says {vocabulary_size:,} entries of the vocabulary, and its "
            f"tokenizer has {tokenizer.vocabulary_size:,}; see that they are of one model"
        )
    if start_id in (None, tokenizer.start_id):  # else it stands in `not_read`
        settings.take(start, is_size, None)
    weights = _weights(folder)
    _check_counts(convention.counts(config.model), weights)
    model = build_model(config.model, tokenizer)
    config.data.length = min(config.data.length, model.longest_context or config.data.length)
    found, params = _parameters(convention, config, model, weights)
    with open(weights, "rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    note = {
        "from": str(folder.absolute()),
        "model_type": convention.model_type,
        "sha256": digest,
        "left_out": found.left_out,
        "made_new": found.made_new,
        "not_read": settings.unread,
    }
    with writing(run.path):
        new_folder(run.path, lambda temporary: _fill(temporary, config, tokenizer, params, note))
    return note


def _fill(
    path: Path, config: ConfigDict, tokenizer: Tokenizer, params: Any, note: dict[str, Any]
) -> None:
    run = RunDirectory(path)
    run.create(config)
    run.write_environment()
    tokenizer.save(run.tokenizer_path)
    checkpoints = Checkpoints(run.checkpoints)
    about = {"stream": None, "config": storable(config), "imported": note}
    checkpoints.save(CountedState(np.int32(0), params), about)
    checkpoints.close()
    run.write_imported(note)


def _convention(fields: Any, source: Path) -> Convention:
    check_fields(fields, {"model_type": is_text}, source, cure="give a folder of a model")
    name = fields["model_type"]
    if name not in CONVENTIONS:
        raise UserError(
            f"{source}: a model of type {name[:40]!r} can't be imported: "
            f"{nearest(name[:40], CONVENTIONS)}"
        )
    architectures = fields.get("architectures") or []
    check_fields(architectures, [is_text], source, "architectures", cure="give a list of names")
    known = CONVENTIONS[name].architectures
    if other := [each[:40] for each in architectures if each not in known]:
        raise UserError(
            f"{source}: the architecture {other[0]!r} can't be imported: {nearest(other[0], known)}"
        )
    return CONVENTIONS[name]


def read_tokenizer(
    folder: Path, convention: Convention, vocabulary_size: int, start_id: int | None
) -> Tokenizer:
    """The tokenizer of a folder, as a model of the convention and of that vocabulary reads with it.

    Where the convention ends sources, and the tokenizer is not one that we exported beside their
    files, the end stands behind each source and `start_id`, if it is given, before each target. A
    vocabulary that is the tokenizer's rounded up to PADDED has entries that no text has. Raises
    UserError for files that are no tokenizer, and a start that it lacks.
    """
    if (folder / OUR_TOKENIZER).exists():
        return read_tokenizer_file(folder / OUR_TOKENIZER)
    lowercase, about = True, folder / "tokenizer_config.json"
    if about.exists():
        lowercase = read_json(about).get("do_lower_case", True)
        check_fields(lowercase, is_true_or_false, about, "do_lower_case", cure="give true or false")
    tokenizer = read_tokenizer_file(folder, lowercase)
    if convention.ends_sources and isinstance(tokenizer, GivenTokenizer):
        found = {"start": start_id, "source_end": tokenizer.end_id}
        tokenizer = tokenizer.with_roles(**{role: i for role, i in found.items() if i is not None})
        tokenizer.check()
    lacking = -tokenizer.vocabulary_size % PADDED
    if lacking and vocabulary_size == tokenizer.vocabulary_size + lacking:
        return with_unused(tokenizer, lacking)
    return tokenizer


def _check_processor(file: Path) -> None:
    """Refuses a tokenizer.json that puts a token before each text, which our sources would lack."""
    if not file.exists():
        return
    name, cure = "post_processor", "import another model"
    section = read_json(file).get(name) or {"type": ""}
    check_fields(section, {"type": is_text}, file, name, cure)
    steps = section.get("processors", [section])
    check_fields(steps, [{"type": is_text}], file, name, cure)
    for step in steps:
        template = step.get("single", [])
        check_fields(template, [{}], file, name, cure)
        if step["type"] in AROUND or (template and "SpecialToken" in template[0]):
            raise UserError(
                f"{file} puts a token before each text, of which lmjax gives sources none; {cure}"
            )


def _weights(folder: Path) -> Path:
    for name, told in OTHER_WEIGHTS.items():
        if (folder / name).exists() and not (folder / WEIGHTS).exists():
            raise UserError(f"{folder} {told}")
    return folder / WEIGHTS


def _check_counts(counts: Mapping[str, int], weights: Path) -> None:
    """Refuses a config.json of more layers than could have a tensor each, before one is built."""
    tensors = len(read_header(weights))
    for name, count in counts.items():
        if count > tensors:
            raise UserError(
                f"config.json says {count:,} for {name}, and {weights} has {tensors:,} tensors; "
                "see that they are of one model"
            )


def _parameters(
    convention: Convention, config: ConfigDict, model: LanguageModel, weights: Path
) -> tuple[Imported, Any]:
    shapes = jax.eval_shape(lambda: _drawn(model, config.seed))
    like = flatten_dict(shapes["params"], sep="/")
    found = to_ours(convention, config.model, read_safetensors(weights), like)
    params = dict(found.params)
    if found.made_new:
        drawn = flatten_dict(_drawn(model, config.seed)["params"], sep="/")
        params |= {name: np.asarray(drawn[name]) for name in found.made_new}
    return found, {"params": unflatten_dict(params, sep="/")}


def _drawn(model: LanguageModel, seed: int) -> Any:
    tokens_BT = jnp.zeros((1, 1), jnp.int32)
    return nn.meta.unbox(model.init(random_key(seed, "parameters"), tokens_BT))
