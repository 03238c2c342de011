"""What a run takes from another one's parameters."""

import io

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from lmjax.config import base_config
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.tokenizer_registry import load_tokenizer
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.wrapped_tokenizers import PairTokenizer, SpecialTokenizer
from lmjax.errors import UserError
from lmjax.models.registry import build_model
from lmjax.nn.leaves import leaf_name
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.run import train
from lmjax.training.state import initial_params
from lmjax.training.warm_start import warm_start


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A finished run of a small recurrent model over words."""
    folder = tmp_path_factory.mktemp("warm")
    words = np.random.default_rng(0).choice(["the", "cat", "sat", "on", "mat"], 2000)
    lines = [" ".join(part) for part in words.reshape(-1, 8)]
    (folder / "text.txt").write_text("\n".join(lines) + "\n")
    config = base_config("rnn")
    config.data.update(
        corpus="text", files=str(folder / "text.txt"), tokenizer="word", batch_size=2, length=8
    )
    config.model.update(width=6, layers=2)
    config.training.duration = "3 steps"
    train(config, folder / "run", Console(file=io.StringIO()))
    return config, folder / "run"


def begin(source, tokenizer=None, **changes):
    """The warm start from `source` of a model with other fields, and its merged parameters."""
    config, workdir = source
    config = config.copy_and_resolve_references()
    for name, value in changes.items():
        section, field = name.split("__")
        config[section][field] = value
    config.training.initial_params = str(workdir)
    tokenizer = tokenizer or tokenizer_of(source)
    model = build_model(config.model, tokenizer)
    like = jax.eval_shape(lambda: initial_params(model, jnp.uint32(0), 8))
    found = warm_start(config.training, tokenizer, like)
    fresh = jax.tree.map(lambda leaf: np.full(leaf.shape, 7.0), nn.meta.unbox(like))
    return found, leaves(found.merged(fresh))


def leaves(tree):
    flat = jax.tree_util.tree_leaves_with_path(tree)
    return {leaf_name(path): np.asarray(leaf) for path, leaf in flat}


def tokenizer_of(source):
    return load_tokenizer(RunDirectory(source[1]).tokenizer_path)


def test_all_is_taken_where_all_fits(source):
    found, merged = begin(source)
    assert not found.new and not found.left and len(found.taken) == len(merged)
    assert not any((leaf == 7.0).any() for leaf in merged.values())
    again, _ = begin(source)
    assert found.origin == again.origin and found.origin.startswith(f"{source[1]}@3 (")


def test_what_is_new_or_left_out_must_be_named(source):
    with pytest.raises(UserError, match=r"mixers_2/bias.* is not in.*training\.initial_new"):
        begin(source, model__layers=3)
    found, merged = begin(source, model__layers=3, training__initial_new=("mixers_2/*",))
    assert found.new == tuple(name for name in merged if "mixers_2" in name) != ()
    assert all((merged[name] == 7.0).all() for name in found.new)
    assert found.remarks()[1].startswith(f"{len(found.new)} drawn anew: params/mixers_2/bias")
    with pytest.raises(UserError, match=r"mixers_1/bias.* in excess .*training\.initial_left"):
        begin(source, model__layers=1)
    found, _ = begin(source, model__layers=1, training__initial_left=("mixers_1/*",))
    assert found.left and not found.new
    with pytest.raises(UserError, match="'mixers_9/[*]', which matches no parameter"):
        begin(source, model__layers=3, training__initial_new=("mixers_9/*",))


def test_another_shape_is_new_and_left_out(source):
    with pytest.raises(UserError, match="does not fit"):
        begin(source, model__width=8)
    names = ("mixers_*", "output_kernel")
    both = dict(training__initial_new=names, training__initial_left=names)
    found, merged = begin(source, model__width=8, model__embedding_width=6, **both)
    assert set(found.new) == set(found.left) and merged["params/embedding/embedding"].shape[1] == 6


def test_a_grown_vocabulary_keeps_the_rows_that_it_had(source):
    old = tokenizer_of(source)
    size = old.vocabulary_size
    for grown in (
        SpecialTokenizer(old, ("mask", "separator")),
        WordTokenizer((*old.words, "dog", "ran"), old.has_unknown),
    ):
        found, merged = begin(source, grown)
        kept, _ = begin(source)
        for name, axis in (
            ("params/embedding/embedding", 0),
            ("params/output_kernel", 1),
            ("params/output_bias", 0),
        ):
            rows = np.moveaxis(merged[name], axis, 0)
            assert len(rows) == size + 2 and (rows[size:] == 7.0).all()
            assert np.array_equal(rows[:size], np.moveaxis(leaves(kept.params)[name], axis, 0))
        assert not found.new and found.known_tokens == size


def test_another_vocabulary_is_refused(source):
    old = tokenizer_of(source)
    for other in (
        ByteTokenizer(False),
        WordTokenizer(old.words[::-1], old.has_unknown),
        SpecialTokenizer(ByteTokenizer(False), ("mask",)),
    ):
        with pytest.raises(UserError, match="has another vocabulary"):
            begin(source, other)
    pair = PairTokenizer(ByteTokenizer(False), old)
    patterns = ("embedding/*", "output_*")
    found, _ = begin(source, pair, training__initial_new=patterns, training__initial_left=patterns)
    assert {name.split("/")[1] for name in found.taken} == {"mixers_0", "mixers_1"}


def test_the_run_remembers_its_ancestor(source, tmp_path):
    config, workdir = source
    config = config.copy_and_resolve_references()
    config.training.initial_params = str(workdir)
    config.model.layers = 3
    config.training.initial_new = ("mixers_2/*",)
    output = io.StringIO()
    results = train(config, tmp_path / "run", Console(file=output, width=200))
    found, _ = begin(source, model__layers=3, training__initial_new=("mixers_2/*",))
    assert results["training"]["initial_params"] == found.origin
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "drawn anew: params/mixers_2/bias" in log and "drawn anew" in output.getvalue()
