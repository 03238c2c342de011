"""What a run takes from another one's parameters."""

import io

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from lmjax.checks.resume_proof import differing, outcome_at
from lmjax.config import base_config
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.dataset import open_dataset
from lmjax.data.tokenizer_registry import load_tokenizer
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.wrapped_tokenizers import PairTokenizer, SpecialTokenizer
from lmjax.errors import UserError
from lmjax.models.registry import build_model
from lmjax.nn.leaves import leaf_name
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.fitting import Vocabularies, fitting, renamed
from lmjax.training.program import plan_training
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
    assert not found.new and not found.left and len(found.leaves) == len(merged)
    assert not any((leaf == 7.0).any() for leaf in merged.values())
    again, _ = begin(source)
    assert found.origin == again.origin and found.origin.startswith(f"{source[1]}@3 (")


def test_what_is_new_or_left_out_must_be_named(source):
    with pytest.raises(UserError, match="mixers_2/bias.*: not in it.*initial_new=mixers_2$"):
        begin(source, model__layers=3)
    found, merged = begin(source, model__layers=3, training__initial_new=("mixers_2",))
    assert found.new == tuple(name for name in merged if "mixers_2" in name) != ()
    assert all((merged[name] == 7.0).all() for name in found.new)
    assert found.remarks()[1].startswith(f"{len(found.new)} drawn anew: mixers_2/bias")
    with pytest.raises(
        UserError, match="mixers_1/bias.*: not in this model.*initial_left=mixers_1$"
    ):
        begin(source, model__layers=1)
    found, _ = begin(source, model__layers=1, training__initial_left=("*_1/*",))
    assert found.left and not found.new
    with pytest.raises(UserError, match="'mixers_9/[*]', which matches no parameter"):
        begin(source, model__layers=3, training__initial_new=("mixers_9/*",))


def test_another_shape_is_to_be_named_once(source):
    shape = r"output_kernel: float32\[6, 7\] there, float32\[8, 7\] here"
    with pytest.raises(UserError, match=rf"does not fit: .*{shape}.*initial_new=.*output_kernel"):
        begin(source, model__width=8, model__embedding_width=6)
    names = ("mixers_*", "output_kernel")
    found, merged = begin(
        source, model__width=8, model__embedding_width=6, training__initial_new=names
    )
    assert (
        set(found.new)
        == set(found.left)
        == {name for name in merged if "mix" in name} | {"params/output_kernel"}
    )


def test_what_fits_may_be_drawn_anew_or_left_all_the_same(source):
    found, merged = begin(source, training__initial_new=("output_*",))
    assert found.new == found.left == ("params/output_bias", "params/output_kernel")
    assert (merged["params/output_bias"] == 7.0).all()
    with pytest.raises(UserError, match="output_bias: not in it.*initial_new=output_bias$"):
        begin(source, training__initial_left=("output_bias",))
    with pytest.raises(UserError, match="nothing of it is taken"):
        begin(source, training__initial_new=("*",))


class Inside(nn.Module):
    """Another model around the same parts."""

    inner: nn.Module

    @nn.compact
    def __call__(self, tokens_BT):
        logits_BTV, _ = self.inner(tokens_BT)
        return nn.Dense(2, name="head")(logits_BTV)


def inside(source):
    """The abstract parameters of a model with that of `source` inside, and its configuration."""
    config, workdir = source
    config = config.copy_and_resolve_references()
    config.training.initial_params = str(workdir)
    model = Inside(build_model(config.model, tokenizer_of(source)))
    like = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, 8), jnp.int32)))
    return config.training, like


def test_modules_may_stand_elsewhere(source):
    training, like = inside(source)
    training.initial_paths = ("=inner",)
    with pytest.raises(UserError, match="head/bias, head/kernel: not in it.*initial_new=head$"):
        warm_start(training, tokenizer_of(source), like)
    training.initial_new = ("head",)
    found = warm_start(training, tokenizer_of(source), like)
    _, kept = begin(source)
    assert {name.replace("inner/", "") for name in found.leaves} == set(kept)
    for name, leaf in found.leaves.items():
        assert np.array_equal(leaf, kept[name.replace("inner/", "")])
    for paths, message in (
        (("=iner",), "embedding/embedding.*: not in it"),
        (("innr=inner",), "'innr=inner', but no parameter .* stands there"),
        (("inner",), "give THEIRS=OURS"),
        (("mixers_1=mixers_0",), "two parameters the name mixers_0/bias"),
    ):
        training.initial_paths = paths
        with pytest.raises(UserError, match=message):
            warm_start(training, tokenizer_of(source), like)


def test_modules_may_be_taken_out_of_others():
    old = {"params/inner/a/b": 1, "params/inner/c": 2, "params/head": 3}
    assert renamed(old, ("inner=",)) == {"params/a/b": 1, "params/c": 2, "params/head": 3}
    assert renamed(old, ("inner/a=x/y", "=z")) == {
        "params/x/y/b": 1,
        "params/z/inner/c": 2,
        "params/z/head": 3,
    }


def test_a_grown_vocabulary_keeps_the_rows_that_it_had(source):
    old = tokenizer_of(source)
    size = old.vocabulary_size
    for grown in (
        SpecialTokenizer(old, ("mask", "separator")),
        WordTokenizer((*old.words, "dog", "ran"), old.has_unknown),
    ):
        found, merged = begin(source, grown)
        _, kept = begin(source)
        for name, axis in (
            ("params/embedding/embedding", 0),
            ("params/output_kernel", 1),
            ("params/output_bias", 0),
        ):
            rows = np.moveaxis(merged[name], axis, 0)
            assert len(rows) == size + 2 and (rows[size:] == 7.0).all()
            assert np.array_equal(rows[:size], np.moveaxis(kept[name], axis, 0))
            assert name in found.grown
        assert not found.new and len(found.grown) == 3
        assert "for tokens that it lacks: embedding/embedding" in found.remarks()[1]


def test_rows_of_other_tokens_are_not_taken(source):
    old = tokenizer_of(source)
    for other in (
        ByteTokenizer(False),
        WordTokenizer(old.words[::-1], old.has_unknown),
        SpecialTokenizer(ByteTokenizer(False), ("mask",)),
        PairTokenizer(WordTokenizer(old.words[::-1], old.has_unknown), old),  # of the same size
    ):
        with pytest.raises(
            UserError,
            match="embedding/embedding, output_bias.*another vocabulary.*tokenizer_file=.*run$",
        ):
            begin(source, other)
        found, _ = begin(source, other, training__initial_new=("embedding", "output_*"))
        assert {name.split("/")[1] for name in found.leaves} == {"mixers_0", "mixers_1"}


def test_entries_whose_axis_has_no_name_are_taken_if_no_token_can_differ(source):
    old = tokenizer_of(source)
    size = old.vocabulary_size
    leaves = {"params/table": np.zeros((size, 3)), "params/matrix": np.zeros((3, 3))}
    like = {"params": {name.split("/")[1]: leaf for name, leaf in leaves.items()}}
    config = base_config("rnn").training
    assert len(fitting(config, leaves, like, Vocabularies(old, old))[0]) == 2
    other = Vocabularies(old, WordTokenizer(old.words[::-1], old.has_unknown))
    with pytest.raises(UserError, match="table: perhaps entries of another vocabulary"):
        fitting(config, leaves, like, other)


def test_the_run_remembers_its_ancestor(source, tmp_path):
    config, workdir = source
    config = config.copy_and_resolve_references()
    config.training.initial_params = str(workdir)
    config.model.layers = 3
    config.training.initial_new = ("mixers_2",)
    output = io.StringIO()
    results = train(config, tmp_path / "run", Console(file=output, width=200))
    found, _ = begin(source, model__layers=3, training__initial_new=("mixers_2",))
    assert results["training"]["initial_params"] == found.origin
    log = (tmp_path / "run" / "log.txt").read_text()
    assert "drawn anew: mixers_2/bias" in log and "drawn anew" in output.getvalue()


def test_a_run_begun_so_resumes_bit_for_bit(source, tmp_path):
    config, workdir = source
    config = config.copy_and_resolve_references()
    config.model.layers = 3
    config.training.update(
        duration="4 steps",
        initial_params=str(workdir),
        initial_new=("mixers_2",),
        frozen=("embedding", "mixers_0"),
        layer_decay=0.5,
        schedule="linear",
        weight_decay=0.1,
        accumulation_steps=2,
    )
    dataset = open_dataset(config.data)
    plan = plan_training(config, dataset, build_model(config.model, dataset.tokenizer))
    straight = outcome_at(tmp_path / "straight", plan, 4)
    for stop in (1, 2, 4):
        stopped = outcome_at(tmp_path / "stopped", plan, stop)
    assert differing(straight, stopped) == []
    _, begun = begin(source, model__layers=3, training__initial_new=("mixers_2",))
    for name, leaf in begun.items():
        is_frozen = "embedding" in name or "mixers_0" in name
        assert np.array_equal(leaf, straight[f"params/{name}"]) == is_frozen
