"""A folder of Hugging Face's out of a model of ours."""

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict
from ml_collections import ConfigDict

from lmjax.data.tokenizer import Tokenizer
from lmjax.errors import UserError, writing
from lmjax.interop.conventions import Arrays, Convention, to_theirs
from lmjax.interop.importing import OUR_TOKENIZER, SETTINGS, WEIGHTS, read_tokenizer
from lmjax.interop.registry import CONVENTIONS
from lmjax.interop.safetensors import safetensors_bytes
from lmjax.runs.files import new_folder, to_json

TOKENIZER, TOKENIZER_SETTINGS = "tokenizer.json", "tokenizer_config.json"
NAMES = {  # of special tokens in TOKENIZER_SETTINGS, by their role
    "padding": "pad_token",
    "class": "cls_token",
    "separator": "sep_token",
    "mask": "mask_token",
    "unknown": "unk_token",
    "start": "bos_token",
    "end": "eos_token",
}


def export_folder(
    config: ConfigDict, params: Any, tokenizer: Tokenizer, folder: Path | str
) -> list[str]:
    """Makes `folder`, whole or not at all; returns the names of its files.

    `import_folder` gives the same parameters and tokenizer again, bit for bit. Raises UserError for
    a model or an option that no convention has, and for a folder that is there already.
    """
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder} is there already; name another one with --to")
    flat = flatten_dict(jax.tree.map(np.asarray, params["params"]), sep="/")
    settings, tensors = _theirs(config.model, flat, tokenizer.vocabulary_size)
    settings |= _token_ids(tokenizer)

    def fill(temporary: Path) -> None:
        (temporary / SETTINGS).write_text(to_json(settings, indent=2))
        (temporary / WEIGHTS).write_bytes(safetensors_bytes(tensors))
        _write_tokenizer(temporary, tokenizer, CONVENTIONS[settings["model_type"]])

    with writing(folder):
        new_folder(folder, fill)
    return sorted(path.name for path in folder.iterdir())


def _theirs(
    model: ConfigDict, params: Arrays, vocabulary_size: int
) -> tuple[dict[str, Any], Arrays]:
    """config.json and tensors, by the first convention of the family that has all of the model."""
    candidates = [each for each in CONVENTIONS.values() if each.family == model.name]
    if not candidates:
        known = ", ".join(sorted({each.family for each in CONVENTIONS.values()}))
        raise UserError(f"a model {model.name!r} can't be exported (known: {known})")
    refusals = []
    for convention in candidates:
        try:
            settings = {
                "model_type": convention.model_type,
                "architectures": [convention.architectures[0]],
                **convention.to_settings(model, vocabulary_size),
            }
            return settings, to_theirs(convention, model, params)
        except UserError as error:
            refusals.append(str(error))
    raise UserError(" / ".join(refusals))


def _token_ids(tokenizer: Tokenizer) -> dict[str, int | None]:
    """What a text begins and ends with, and is padded with, if it is; not their defaults."""
    start = tokenizer.start_id
    return {
        "bos_token_id": start,
        "decoder_start_token_id": start,
        "eos_token_id": tokenizer.end_id,
        "pad_token_id": tokenizer.special_id("padding"),
    }


def _write_tokenizer(folder: Path, tokenizer: Tokenizer, convention: Convention) -> None:
    """As files of Hugging Face's, and as our own where those do not say all of it."""
    if theirs := tokenizer.library_json():
        (folder / TOKENIZER).write_text(theirs)
        (folder / TOKENIZER_SETTINGS).write_text(to_json(_named_tokens(tokenizer, theirs)))
        size, start_id = tokenizer.vocabulary_size, tokenizer.start_id
        again = read_tokenizer(folder, convention, size, start_id)
        if again.to_json() == tokenizer.to_json():
            return
    tokenizer.save(folder / OUR_TOKENIZER)


def _named_tokens(tokenizer: Tokenizer, library_json: str) -> dict[str, Any]:
    """What names the special tokens to transformers."""
    contents = {each["id"]: each["content"] for each in json.loads(library_json)["added_tokens"]}
    named = {NAMES[role]: contents[i] for role, i in tokenizer.special_ids.items() if role in NAMES}
    return {"tokenizer_class": "PreTrainedTokenizerFast", **named}
