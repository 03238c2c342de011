"""A tiny GPT-2 out of a folder, into one, and used as any run; nothing half of it is left."""

import json

import jax
import numpy as np
import pytest
from flax.linen import meta

from lmjax.api import load
from lmjax.cli.main import main
from lmjax.config import base_config
from lmjax.data.given_byte_pairs import GivenBytePairTokenizer
from lmjax.errors import UserError
from lmjax.interop import exporting, importing
from lmjax.interop.bert import BERT
from lmjax.interop.exporting import export_folder
from lmjax.interop.importing import import_folder
from lmjax.interop.safetensors import read_safetensors, safetensors_bytes
from lmjax.model_defaults import ENCODER_DECODERS
from lmjax.models.registry import build_model
from lmjax.runs.run_directory import RunDirectory
from lmjax.training.run import train


def alphabet():
    from tokenizers.pre_tokenizers import ByteLevel

    return sorted(ByteLevel.alphabet())


TOKENIZER = GivenBytePairTokenizer(
    (*alphabet(), "he", "ll", "<|endoftext|>"), ("h e", "l l"), {"start": 258, "end": 258}
)
SETTINGS = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 259}
SETTINGS |= {"n_layer": 2, "n_embd": 8, "n_head": 2, "n_positions": 16, "torch_dtype": "float32"}


def tensors(vocabulary_size=259, width=8):
    draw = np.random.default_rng(0)
    shapes = {"wte.weight": (vocabulary_size, width), "wpe.weight": (16, width)}
    shapes |= {f"ln_f.{name}": (width,) for name in ("weight", "bias")}
    for layer in range(2):
        for name, *shape in (
            ("ln_1", width),
            ("ln_2", width),
            ("attn.c_attn", width, 3 * width),
            ("attn.c_proj", width, width),
            ("mlp.c_fc", width, 4 * width),
            ("mlp.c_proj", 4 * width, width),
        ):
            shapes[f"h.{layer}.{name}.weight"] = tuple(shape)
            shapes[f"h.{layer}.{name}.bias"] = tuple(shape[-1:])
    return {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.fixture
def folder(tmp_path):
    """What transformers would have saved."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(SETTINGS))
    (folder / "model.safetensors").write_bytes(safetensors_bytes(tensors()))
    (folder / "tokenizer.json").write_text(TOKENIZER.library_json())
    return folder


@pytest.fixture
def workdir(folder, tmp_path):
    import_folder(folder, tmp_path / "run")
    return tmp_path / "run"


def same(found, expected):
    equal = jax.tree.map(lambda a, b: np.array_equal(a, b), found, expected)
    return jax.tree.all(equal)


def test_an_imported_folder_is_a_run(folder, workdir):
    trained = load(workdir)
    assert trained.step == 0 and trained.tokenizer == TOKENIZER
    assert same(trained.params["params"]["blocks_1"]["mixer"]["qkv"]["kernel"],
                tensors()["h.1.attn.c_attn.weight"])  # fmt: skip
    assert trained.config.model.layers == 2 and trained.model.bias
    assert len(trained.generate("hello", length=3, temperature=0)) >= 1
    assert np.isfinite(trained.score("hello hello").total_nats)
    note = json.loads((workdir / "imported.json").read_text())
    assert note["model_type"] == "gpt2" and len(note["sha256"]) == 64
    assert note["from"] == str(folder) and not note["left_out"] and not note["made_new"]


def test_export_and_import_give_every_bit_again(workdir, tmp_path):
    names = load(workdir).export(tmp_path / "exported")
    assert names == ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    exported = read_safetensors(tmp_path / "exported" / "model.safetensors")
    expected = {f"transformer.{name}": tensor for name, tensor in tensors().items()}
    assert exported.keys() == expected.keys() and same(exported, expected)
    import_folder(tmp_path / "exported", tmp_path / "again")
    first, again = load(workdir), load(tmp_path / "again")
    assert same(first.params, again.params) and first.tokenizer == again.tokenizer
    assert first.config.model == again.config.model
    load(tmp_path / "again").export(tmp_path / "exported_again")
    for name in names:
        written = [(tmp_path / f / name).read_bytes() for f in ("exported", "exported_again")]
        assert written[0] == written[1], name


def test_a_trained_model_with_a_tokenizer_of_our_own_goes_out_and_comes_back(tmp_path):
    (tmp_path / "text.txt").write_text("a line of text\n" * 100)
    config = base_config()
    config.model.update(layers=1, width=4, heads=1, context_length=8, bias=True)
    config.data.update(corpus="text", files=str(tmp_path / "text.txt"), batch_size=2, length=8)
    config.training.duration = "1 steps"
    train(config, tmp_path / "run")
    trained = load(tmp_path / "run")
    assert trained.export(tmp_path / "exported")[1] == "lmjax_tokenizer.json"
    import_folder(tmp_path / "exported", tmp_path / "again")
    again = load(tmp_path / "again")
    assert same(trained.params, again.params) and trained.tokenizer == again.tokenizer

    score = again.evaluate(corpus="text", files=str(tmp_path / "text.txt"))
    assert score.total_nats == pytest.approx(trained.evaluate().total_nats, rel=1e-6)
    with pytest.raises(UserError, match="no corpus of its own"):
        again.evaluate()

    config.training.initial_params = str(tmp_path / "again")
    train(config, tmp_path / "further")
    with pytest.raises(UserError, match="imported weights, not a training"):
        train(again.config, tmp_path / "again")


def test_the_verbs(folder, tmp_path, capsys):
    (folder / "config.json").write_text(
        json.dumps({**SETTINGS, "window": 3, "decoder_start_token_id": 0})
    )
    run, exported = tmp_path / "run", tmp_path / "exported"
    assert main(["import", f"--from={folder}", f"--workdir={run}"]) == 0
    assert main(["export", f"--workdir={run}", f"--to={exported}"]) == 0
    told = capsys.readouterr().out
    assert "has the gpt2 of" in told and "config.json: decoder_start_token_id, window" in told
    assert "model.safetensors" in told


def without(name):
    return lambda folder: (folder / name).unlink()


def renamed(name):
    return lambda folder: (folder / "model.safetensors").rename(folder / name)


def settings(**fields):
    return lambda folder: (folder / "config.json").write_text(json.dumps({**SETTINGS, **fields}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without("config.json"), "config.json: No such file"),
        (without("model.safetensors"), "model.safetensors: No such file"),
        (without("tokenizer.json"), "holds no tokenizer"),
        (renamed("pytorch_model.bin"), "as a pickle, which may execute anything.*save_pretrained"),
        (renamed("model.safetensors.index.json"), "in several files; join them"),
        (settings(model_type="mamba"), "type 'mamba' can't be imported: .*known: .*gpt2"),
        (settings(model_type=None), "model_type"),
        (settings(architectures=["GPT2Classifier"]), "'GPT2Classifier' can't be imported"),
        (settings(architectures="GPT2LMHeadModel"), "architectures"),
        (settings(activation_function="relu"), "activation_function 'relu' is none of ours"),
        (settings(vocab_size=300), "300 entries of the vocabulary, and its tokenizer has 259"),
        (settings(n_layer=3), "missing: transformer.h.2.attn"),
        (settings(n_layer=1), "without a place: transformer.h.1.attn"),
        (settings(n_embd=6), "shape"),
        (settings(n_head=3), "not a multiple of model.heads"),
        (settings(n_layer=10**6), "says 1,000,000 for layer, and .* has 28 tensors"),
        (settings(n_layer=10**9), "'n_layer' should be: size"),
    ],
)
def test_what_cannot_be_imported_is_refused_in_words_and_leaves_nothing(
    folder, tmp_path, change, told
):
    change(folder)
    with pytest.raises(UserError, match=told):
        import_folder(folder, tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["theirs"]


@pytest.mark.parametrize("made", [importing, exporting])
def test_a_failure_half_way_leaves_nothing(folder, workdir, tmp_path, monkeypatch, made):
    trained = load(workdir)

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(importing.RunDirectory, "write_imported", fail)
    monkeypatch.setattr(exporting, "_write_tokenizer", fail)
    with pytest.raises(UserError, match="No space left"):
        if made is importing:
            import_folder(folder, tmp_path / "new")
        else:
            trained.export(tmp_path / "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "theirs"]


def test_a_folder_that_is_there_is_not_written_to(folder, workdir, tmp_path):
    trained = load(workdir)
    with pytest.raises(UserError, match="is there already; choose another --workdir"):
        import_folder(folder, workdir)
    with pytest.raises(UserError, match="is there already; name another one with --to"):
        trained.export(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is there already"):
        trained.export(tmp_path / "file")
    (tmp_path / "empty").mkdir()
    assert trained.export(tmp_path / "empty")


def test_a_model_that_no_convention_has_is_not_exported(tmp_path):
    config = base_config("rnn")
    with pytest.raises(UserError, match="a model 'rnn' can't be exported"):
        export_folder(config, {"params": {}}, TOKENIZER, tmp_path / "to")


def test_the_run_is_a_run_directory(workdir):
    run = RunDirectory(workdir)
    assert not run.is_finished and run.config().data.tokenizer_file == str(run.tokenizer_path)


SMALL = {"layers": 2, "width": 4, "heads": 2, "context_length": 8}
OTHERS = {
    "marian": ("encoder_decoder", ENCODER_DECODERS["vaswani"] | {"logits_bias": True}),
    "t5": ("encoder_decoder", ENCODER_DECODERS["t5"] | {"decoder_layers": 1}),
    "t5_v1_1": ("encoder_decoder", ENCODER_DECODERS["t5_v1_1"]),
    "bert": ("bert", {}),
    "bert for pretraining": ("bert", {"next_sentence": True, "token_types": 3}),
}
DERIVED = ("decoder_layers", "feed_forward_width", "head_width", "initialization")


def drawn(config):
    model = build_model(config.model, TOKENIZER)
    return meta.unbox(model.init(jax.random.key(0), np.zeros((1, 1), np.int32)))


@pytest.mark.parametrize("kind", OTHERS)
def test_every_architecture_goes_out_and_comes_back(kind, tmp_path):
    family, fields = OTHERS[kind]
    config = base_config(family)
    config.model.update({**SMALL, **fields})
    params = drawn(config)
    export_folder(config, params, TOKENIZER, tmp_path / "exported")
    note = import_folder(tmp_path / "exported", tmp_path / "run")
    assert note["model_type"] == kind.split()[0].split("_")[0]
    assert not (note["left_out"] or note["made_new"] or note["not_read"])
    trained = load(tmp_path / "run")
    assert same(trained.params, params) and trained.config.objective == config.objective
    again, given = trained.config.model.to_dict(), config.model.to_dict()
    assert {n: v for n, v in again.items() if n not in DERIVED} == {
        n: v for n, v in given.items() if n not in DERIVED
    }


@pytest.fixture
def encoder(tmp_path):
    """A folder with the encoder of a BERT alone, as older files spell it, and its parameters."""
    config = base_config("bert")
    config.model.update({**SMALL, "next_sentence": True})
    params = drawn(config)
    export_folder(config, params, TOKENIZER, tmp_path / "encoder")
    weights = tmp_path / "encoder" / "model.safetensors"
    kept = {
        name.removeprefix("bert.").replace("LayerNorm.weight", "LayerNorm.gamma"): tensor
        for name, tensor in read_safetensors(weights).items()
        if not name.startswith("cls.")
    }
    weights.write_bytes(safetensors_bytes({**kept, "embeddings.position_ids": np.arange(8)}))
    described = json.loads((tmp_path / "encoder" / "config.json").read_text())
    described["architectures"] = ["BertModel"]
    (tmp_path / "encoder" / "config.json").write_text(json.dumps(described))
    return tmp_path / "encoder", params


def test_an_encoder_alone_gets_a_new_head_and_says_so(encoder, tmp_path):
    folder, params = encoder
    note = import_folder(folder, tmp_path / "run")
    assert note["left_out"] == ["bert.pooler.dense.bias", "bert.pooler.dense.weight"]
    assert set(note["made_new"]) == set(BERT.made_new)
    found = load(tmp_path / "run").params["params"]
    assert same(found["encoder"], params["params"]["encoder"])
    assert np.asarray(found["head_dense"]["kernel"]).std() > 0


def test_a_tensor_under_an_older_name_and_todays_is_refused(encoder, tmp_path):
    folder, _ = encoder
    tensors = read_safetensors(folder / "model.safetensors")
    tensors["embeddings.LayerNorm.weight"] = tensors["embeddings.LayerNorm.gamma"]
    (folder / "model.safetensors").write_bytes(safetensors_bytes(tensors))
    with pytest.raises(UserError, match="under two names"):
        import_folder(folder, tmp_path / "run")
