"""Which run a checkpoint is of: its configuration, and the tokens that its position counts in."""

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from lmjax.data.streams import TokenStream
from lmjax.errors import UserError
from lmjax.runs.run_directory import HARMLESS, differences, listed, storable

# A run that was finished and goes on has checkpoints of its shorter duration.
MAY_DIFFER = (*HARMLESS, "training.duration")


def identity(config: ConfigDict, stream: TokenStream) -> dict[str, Any]:
    """What a checkpoint says of the run that it is of, and of the tokens that it counts in."""
    return {
        "stream": stream.fingerprint,
        "files": stream.file_digests,
        "config": storable(config),
    }


def check_identity(
    about: dict[str, Any], config: ConfigDict, stream: TokenStream, folder: Path
) -> None:
    """Raises UserError if the checkpoint in `folder` is of other tokens, files or fields."""
    if about["stream"] != stream.fingerprint:
        raise UserError(
            "the corpus no longer gives the tokens that this run was trained on; restore the "
            "corpus or choose another --workdir"
        )
    # A checkpoint of before such digests were kept says nothing of files.
    for field, digest in about.get("files", {}).items():
        if digest != stream.file_digests.get(field, digest):
            raise UserError(
                f"the file of data.{field} ({config.data[field]}) has changed since this run was "
                "trained on it; restore the file or choose another --workdir"
            )
    if changed := differences(about["config"], storable(config), MAY_DIFFER):
        raise UserError(
            f"{folder} is of another configuration; move it away if it was copied here, or choose "
            f"another --workdir{listed(changed)}"
        )
