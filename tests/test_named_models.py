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


@pytest.mark.parametrize(("name", "config"), CASES, ids=[name for name, _ in CASES])
def test_decoding_gives_the_logits_of_the_whole_row(name, config, record_property):
    found = decoding(name, config)
    record_property("table", ["1,000 tokens one by one against all at once", *table([found])])
    assert not found.wrong
