"""Every named model: read token by token it gives the logits of the whole row, from a carry that is
of one size unless it has to keep all tokens."""

import importlib.util
import json
from pathlib import Path

import pytest

from lmjax.checks.decoding import decoding, table

FILES = sorted((Path(__file__).parent.parent / "experiments" / "models").glob("*.py"))


def load(path):
    specification = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def in_short():
    """`name, config` of each file in short, and of its variants that have other mixers.

    They have one period of their pattern, at least two layers: more take longer to compile.
    """
    for path in FILES:
        module, seen = load(path), set()
        for variant in ["", *getattr(module, "VARIANTS", [])]:
            argument = "smoke" if variant in ("", "smoke") else f"{variant},smoke"
            config = module.get_config(argument)
            structure = json.dumps(
                [config.model.get(part) for part in ("name", "pattern", "cell", "feed_forwards")]
            )
            if structure not in seen:
                seen.add(structure)
                if "pattern" in config.model:
                    config.model.layers = max(2, len(config.model.pattern))
                yield f"{path.stem}:{argument}", config


CASES = list(in_short())
found = {}


@pytest.mark.parametrize(("name", "config"), CASES, ids=[name for name, _ in CASES])
def test_decoding_gives_the_logits_of_the_whole_row(name, config):
    found[name] = decoding(name, config)
    assert not found[name].wrong


def test_the_table(capsys):
    """Of those that were tested."""
    with capsys.disabled():
        print()
        for row in table(found.values()):
            print("  ".join(cell.ljust(28) if n == 0 else cell for n, cell in enumerate(row)))
