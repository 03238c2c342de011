"""The ids of BERT's, GPT-2's and T5's files are those that `transformers` reads from the same."""

import gzip
import importlib.resources
import importlib.util
import io
import json
import zipfile
from itertools import chain, islice
from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from lmjax.data.tokenizer_files import read_tokenizer_file

transformers = pytest.importorskip("transformers")
LINES = 10_000


@pytest.fixture(scope="module")
def lines(data_dir):
    """Of WikiText-2, and of Chinese poems, as many each."""
    with gzip.open(data_dir / "wikitext-2" / "train.txt.gz", "rt") as file:
        english = [line.removesuffix("\n") for line in islice(file, LINES)]
    chinese = []
    for path in sorted((data_dir / "chinese_poetry_tang").glob("*.json.gz")):
        if len(chinese) < LINES:
            poems = json.loads(gzip.decompress(path.read_bytes()))
            chinese += [line for poem in poems for line in poem["paragraphs"]]
    assert len(english) == LINES <= len(chinese)
    return english + chinese[:LINES]


def check(made, reference, lines):
    expected = reference(lines, add_special_tokens=False, verbose=False)["input_ids"]
    ids = [made.encode(line).tolist() for line in lines]
    assert ids == expected
    assert sum(map(len, ids)) > 100_000
    if made.kind == "wordpiece":
        some = slice(LINES - 500, LINES + 500)
        whole = made.encode("\n".join(lines[some])).tolist()
        assert whole == list(chain.from_iterable(expected[some]))


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("folder", ["tokenizer_bert_uncased", "tokenizer_bert_chinese"])
def test_wordpiece_of_a_vocabulary(data_dir, lines, folder, lowercase):
    path = data_dir / folder / "vocab.txt"
    reference = transformers.BertTokenizerFast(vocab=str(path), do_lower_case=lowercase)
    made = read_tokenizer_file(path, lowercase)
    check(made, reference, lines)
    assert (made.vocabulary_size, made.special_id("mask")) == (len(reference), 103)
    roles = {"mask": "mask", "class": "cls", "separator": "sep", "padding": "pad", "unknown": "unk"}
    for role, theirs in roles.items():
        assert made.special_id(role) == getattr(reference, f"{theirs}_token_id")


def test_byte_pairs_of_gpt2(data_dir, lines):
    folder = data_dir / "tokenizer_gpt2"
    files = {"vocab": str(folder / "encoder.json"), "merges": str(folder / "vocab.bpe")}
    reference = transformers.GPT2TokenizerFast(**files)
    made = read_tokenizer_file(folder)
    unspaced = "".join(lines[LINES : LINES + 2000])
    assert len(list(made.text_pieces(unspaced))) > 5
    check(made, reference, [*lines, unspaced])
    assert made.vocabulary_size == 50_257 and made.end_id == reference.eos_token_id == 50_256
    assert made.decode(made.encode("\n".join(lines))) == "\n".join(lines)


def test_a_tokenizer_json(tmp_path, lines):
    name = "all_minilm_l6_v2"
    package = importlib.util.find_spec(name)
    if package is None:
        pytest.skip(f"the package {name} is not installed")
    archive = Path(package.submodule_search_locations[0]) / "model.zip"
    with zipfile.ZipFile(io.BytesIO(archive.read_bytes())) as files:
        (tmp_path / "tokenizer.json").write_bytes(files.read("tokenizer.json"))
    reference = transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(tmp_path / "tokenizer.json")
    )
    check(read_tokenizer_file(tmp_path), reference, lines)


def sentencepiece_table():
    """The table of characters that SentencePiece's models hold, T5's among them."""
    table = importlib.resources.files("sentencepiece") / "package_data" / "nmt_nfkc.bin"
    return normalizers.Precompiled(table.read_bytes())


def unigram(lines, normalizer, split):
    """The library's tokenizer as T5 has it, of pieces that are learned from the lines."""
    library = Tokenizer(models.Unigram())
    library.normalizer = normalizer
    spaces = pre_tokenizers.Metaspace()
    words = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), spaces])
    library.pre_tokenizer = words if split else spaces
    library.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>", *[f"<extra_id_{i}>" for i in reversed(range(100))]]
    trainer = trainers.UnigramTrainer(
        vocab_size=2000, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    library.train_from_iterator(lines[: LINES // 2] + lines[LINES:][:100], trainer)
    return library


@pytest.mark.parametrize("split", [True, False], ids=["words", "spaces"])
@pytest.mark.parametrize("normalizer", [sentencepiece_table, normalizers.NFKC])
def test_unigram_of_t5(tmp_path, lines, normalizer, split):
    unigram(lines, normalizer(), split).save(str(tmp_path / "tokenizer.json"))
    made = read_tokenizer_file(tmp_path)
    odd = ["", " a  b\tc\u3000d ", "ﬁne ½ A\u030a ｶﾞ", "\u200bx\u00ady\x07z", "\ufdfa"]
    plain = [line.replace("<unk>", "unk") for line in lines] + odd  # which theirs take as special
    names = dict(unk_token="<unk>", pad_token="<pad>", eos_token="</s>")
    file = tmp_path / "tokenizer.json"
    reference = transformers.PreTrainedTokenizerFast(tokenizer_file=str(file), **names)
    check(made, reference, plain)
    if split and normalizer is sentencepiece_table:  # T5's own class has these alone
        check(made, transformers.T5TokenizerFast.from_pretrained(tmp_path), plain)
    if split:
        whole = made.encode("\n".join(plain[:1000])).tolist()
        assert whole == list(chain.from_iterable(map(made.encode, plain[:1000])))
    for role, token in {"sentinel_9": "<extra_id_9>", "end": "</s>", "padding": "<pad>"}.items():
        assert made.special_id(role) == reference.convert_tokens_to_ids(token)
    for line in plain[:1000]:
        ids = made.encode(line)
        assert made.decode(ids) == reference.decode(ids, clean_up_tokenization_spaces=False)
