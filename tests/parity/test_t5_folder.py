"""A folder of a small T5, with its tokenizer, is imported and translates as transformers does."""

import json
import random

import numpy as np
import pytest
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

from lmjax.api import load
from lmjax.cli.main import main

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

PAD, END, NEW, PENALTY = 0, 1, 12, 0.6
VOCABULARY = 128  # the tokenizer's entries, rounded up
SPECIAL = ["<pad>", "</s>", "<unk>", *[f"<extra_id_{i}>" for i in reversed(range(5))]]


def sentences():
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefgh", k=draw.randint(1, 6))) for _ in range(200)]
    return [" ".join(draw.choices(words, k=draw.randint(1, 9))) for _ in range(300)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("t5")
    library = Tokenizer(models.Unigram())
    library.normalizer = normalizers.NFKC()
    words = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    library.pre_tokenizer = pre_tokenizers.Sequence(words)
    library.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=100, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False
    )
    library.train_from_iterator(sentences(), trainer)
    library.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", END)]
    )
    (folder / "theirs").mkdir()
    library.save(str(folder / "theirs" / "tokenizer.json"))
    entries = library.get_vocab_size()
    assert entries < VOCABULARY
    torch.manual_seed(0)
    sizes = dict(d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    sizes |= dict(vocab_size=VOCABULARY, tie_word_embeddings=False)
    config = transformers.T5Config(decoder_start_token_id=PAD, **sizes)
    model = transformers.T5ForConditionalGeneration(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "layer_norm" in name or "relative" in name:
                parameter.add_(0.5 * torch.randn_like(parameter))
    head = torch.randn(VOCABULARY, 16)
    head[END] *= -2  # so that some translations end
    head[[PAD, *range(entries, VOCABULARY)]] = 0  # never the likeliest
    model.lm_head.weight = torch.nn.Parameter(head)
    model.save_pretrained(folder / "theirs")
    assert main(["import", f"--from={folder}/theirs", f"--workdir={folder}/run"]) == 0
    return folder


@pytest.fixture(scope="module")
def theirs(folder):
    return transformers.T5ForConditionalGeneration.from_pretrained(folder / "theirs").eval()


@pytest.fixture(scope="module")
def reference(folder):
    """Their tokenizer; of a text's ids with `</s>` behind them."""
    file = folder / "theirs" / "tokenizer.json"
    return transformers.PreTrainedTokenizerFast(tokenizer_file=str(file))


@pytest.mark.parametrize("beam", [1, 4])
def test_lines_are_translated_as_theirs(folder, theirs, reference, beam, capsys):
    lines = [*sentences()[:40], "ａｂ ﬁ  hé"]
    (folder / "in.txt").write_text("\n".join(lines) + "\n")
    arguments = ["--normalization=division", f"--length_penalty={PENALTY}", f"--beam={beam}"]
    arguments += [f"--input={folder}/in.txt", f"--workdir={folder}/run", f"--max_length={NEW}"]
    assert main(["translate", *arguments]) == 0
    found = capsys.readouterr().out.splitlines()
    options = dict(length_penalty=PENALTY, early_stopping="never") if beam > 1 else {}
    expected, ends = [], 0
    for line in lines:
        ids = torch.tensor([reference(line).input_ids])
        assert ids[0, -1] == END
        row = theirs.generate(ids, num_beams=beam, do_sample=False, max_new_tokens=NEW, **options)
        tokens = row[0, 1:].tolist()
        ends += END in tokens
        length = tokens.index(END) if END in tokens else NEW
        expected.append(reference.decode(tokens[:length]).strip())
    assert found == expected
    assert len({*expected}) > 10 and ends > 3


def test_a_target_has_the_nats_that_it_has_with_theirs(folder, theirs, reference):
    ours = load(folder / "run")
    note = json.loads((folder / "run" / "imported.json").read_text())
    assert not {"decoder_start_token_id", "eos_token_id"} & {*note["not_read"]}
    source, target = sentences()[:2]
    assert not ours.tokenizer.untold(target).symbols
    labels = reference(target).input_ids
    with torch.no_grad():
        loss = theirs(
            input_ids=torch.tensor([reference(source).input_ids]), labels=torch.tensor([labels])
        ).loss
    assert ours.score(target, source).total_nats == pytest.approx(
        float(loss) * len(labels), rel=1e-5
    )


def test_what_is_exported_is_read_by_theirs_and_imported_again(folder, reference, theirs):
    ours = load(folder / "run")
    ours.export(folder / "exported")
    again = transformers.AutoTokenizer.from_pretrained(folder / "exported")
    for line in sentences()[:40]:
        assert again(line).input_ids == reference(line).input_ids
    state = transformers.T5ForConditionalGeneration.from_pretrained(folder / "exported")
    assert state.config.decoder_start_token_id == PAD and state.config.eos_token_id == END
    for name, tensor in theirs.state_dict().items():
        np.testing.assert_array_equal(state.state_dict()[name].numpy(), tensor.numpy())
    assert main(["import", f"--from={folder}/exported", f"--workdir={folder}/again"]) == 0
    assert load(folder / "again").tokenizer == ours.tokenizer
