"""`lmjax import`: make a run directory of a Hugging Face folder."""

from absl import flags

from lmjax.cli.flags import define_workdir, parse, required_workdir
from lmjax.errors import UserError


def main(arguments: list[str]) -> int:
    """Runs the verb; returns the exit code."""
    values = parse(
        "import",
        "make a run directory of a Hugging Face folder (config.json, model.safetensors, tokenizer)",
        "lmjax import --from=gpt2 --workdir=runs/gpt2",
        _define,
        arguments,
    )
    if values is None:
        return 0
    folder, workdir = values["from"].value, required_workdir(values)
    if not folder:
        raise UserError("--from=FOLDER is missing; it names the folder with config.json in it")

    from lmjax.interop.importing import import_folder

    note = import_folder(folder, workdir)
    print(f"{workdir} has the {note['model_type']} of {note['from']} (SHA-256 {note['sha256']})")
    for told, names in (
        ("left out of its tensors", note["left_out"]),
        ("made new, as its file lacks them", note["made_new"]),
        ("not read of its config.json", note["not_read"]),
    ):
        if names:
            print(f"{told}: {', '.join(names)}")
    return 0


def _define(values: flags.FlagValues):
    define_workdir(values, "folder of the run to make, which is not there yet")
    flags.DEFINE_string("from", None, "the folder with config.json in it", flag_values=values)
