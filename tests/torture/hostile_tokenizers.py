"""Hostile files of tokenizers: of those that lmjax saves, and of other projects' ones."""

import base64
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lmjax.data.bpe_tokenizer import BytePairTokenizer
from lmjax.data.tokenizer_files import read_tokenizer_file
from lmjax.data.tokenizer_registry import load_tokenizer
from lmjax.data.wordpiece_tokenizer import WordPieceTokenizer
from tests.data.unigram_files import VOCABULARY, t5_json

MIB = 1 << 20
DEEP = 100_000
PAIRS = BytePairTokenizer.train(["the cat sat on the mat"], 260, False)
PIECES = WordPieceTokenizer(("[UNK]", "the"), {"unknown": 0}, True, True, True, True, 100)


def read(path: Path) -> None:
    load_tokenizer(path).encode("the cat")


def read_given(path: Path) -> None:
    read_tokenizer_file(path).encode("the cat")


def with_pairs(change: Callable[[dict], Any]) -> Callable[[], bytes]:
    """The file of a byte-pair tokenizer after a change of the library's JSON."""

    def make() -> bytes:
        model = json.loads(PAIRS.model)
        change(model)
        return json.dumps({**PAIRS.to_json(), "model": json.dumps(model)}).encode()

    return make


def fields(**given) -> Callable[[], bytes]:
    return lambda: json.dumps(given).encode()


def with_pieces(**changes: Any) -> Callable[[], bytes]:
    """The file of a WordPiece tokenizer with other fields."""
    return fields(**{**PIECES.to_json(), **changes})


SPECIAL = b'{"kind":"special","roles":["mask"],"inner":'
ADDED = {"id": 10**9, "content": "cat", "special": True, "single_word": False}
ADDED |= {"lstrip": False, "rstrip": False, "normalized": False}
PADDING = {"strategy": {"Fixed": 10**12}, "direction": "Right", "pad_to_multiple_of": None}
PADDING |= {"pad_id": 0, "pad_type_id": 0, "pad_token": "x"}
FILES = {
    "no object": lambda: b"[]",
    "kind of another type": fields(kind=["bpe"]),
    "byte: a text for a flag": fields(kind="byte", document_end="yes"),
    "byte: a field too many": fields(kind="byte", document_end=True, code="import os"),
    "character: a character twice": fields(
        kind="character", characters="aa", has_unknown=False, document_end=False
    ),
    "word: numbers for words": fields(kind="word", words=[1, 2], has_unknown=False),
    "word: a text for words": fields(kind="word", words="abc", has_unknown=False),
    "bpe: no JSON": fields(kind="bpe", model="{", document_end=False),
    "bpe: 100,000 deep": fields(kind="bpe", model="[" * DEEP, document_end=False),
    "bpe: an id of 10^9": with_pairs(lambda model: model["model"]["vocab"].update(Ċ=10**9)),
    "bpe: no bytes": with_pairs(lambda model: model["model"].update(vocab={}, merges=[])),
    "bpe: a merge of nothing": with_pairs(lambda model: model["model"].update(merges=[["a"]])),
    "bpe: a prefix that makes the library panic": with_pairs(
        lambda model: model["model"].update(continuing_subword_prefix="#" * 20)
    ),
    "bpe: a normalizer that makes it panic": with_pairs(
        lambda model: model.update(
            normalizer={"type": "Precompiled", "precompiled_charsmap": "AAAA"}
        )
    ),
    "bpe: padding to 10^12": with_pairs(lambda model: model.update(padding=PADDING)),
    "bpe: an added token of id 10^9": with_pairs(lambda model: model.update(added_tokens=[ADDED])),
    "bpe: another kind of model": with_pairs(
        lambda model: model.update(
            model={"type": "Unigram", "unk_id": 0, "vocab": [["a", 0.0]], "byte_fallback": True}
        )
    ),
    "bpe: a regular expression of its own": with_pairs(
        lambda model: model.update(
            pre_tokenizer={
                "type": "Split",
                "pattern": {"Regex": "(a+)+$"},
                "behavior": "Removed",
                "invert": False,
            }
        )
    ),
    "special: within special, 40 deep": lambda: SPECIAL * 40 + b"{}" + b"}" * 40,
    "pair: no tokenizers": fields(kind="pair", target_side=[], source_side=1),
    "wordpiece: an id that no piece has": with_pieces(special={"unknown": 0, "mask": 10**9}),
    "wordpiece: nothing for the unknown": with_pieces(special={}),
    "wordpiece: 600,000 pieces": lambda: with_pieces(
        pieces=[str(i) for i in range(600_000)], special={"unknown": 0}
    )(),
    "wordpiece: words of 10^18 characters": with_pieces(longest_word=10**18),
    "unigram: fewer scores than pieces": fields(
        kind="unigram",
        pieces=["a", "<unk>"],
        scores=[0.0],
        special={"unknown": 1},
        normalizer="null",
        whitespace_split=True,
    ),
    "byte_pairs: no bytes": fields(kind="byte_pairs", tokens=["a"], merges=[], special={}),
}


def file(name: str, make: Callable[[], bytes], **beside: str) -> Callable[[Path], Path]:
    """Makes the file `name`, and a file of text for each of those `beside` it, `_` for the dot."""

    def write(folder: Path) -> Path:
        for other, text in beside.items():
            (folder / other.replace("_", ".")).write_text(text)
        (folder / name).write_bytes(make())
        return folder / name

    return write


def pieces(number: int) -> bytes:
    """The lines of a vocabulary."""
    return b"[UNK]\n" + b"".join(b"%d\n" % i for i in range(number))


def whole(**changes: Any) -> Callable[[Path], Path]:
    """Makes a tokenizer.json of BERT's kind with other sections."""
    model = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##"}
    model |= {"max_input_chars_per_word": 100, "vocab": {"[UNK]": 0, "the": 1}}
    sections = {
        "model": {**model, **changes.pop("model", {})},
        "normalizer": {"type": "BertNormalizer", "lowercase": True},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
    }
    return file("tokenizer.json", fields(**{**sections, **changes}))


def unigram(**changes: Any) -> Callable[[Path], Path]:
    """Makes a tokenizer.json as T5's with other sections, and other fields of its model."""
    sections = t5_json()
    sections["model"] = {**sections["model"], **changes.pop("model", {})}
    return file("tokenizer.json", fields(**{**sections, **changes}))


def table(content: bytes) -> dict[str, str]:
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(content).decode()}


def scored(number: int, letters: int) -> dict[str, Any]:
    """So many pieces, each of so many letters."""
    return {"vocab": VOCABULARY + [[f"{i:0{letters}}", -1.0] for i in range(number)]}


UNIGRAMS = {
    "unigram: a score that is NaN": unigram(model={"vocab": [["<unk>", float("nan")]]}),
    "unigram: a score of 10^308": unigram(model={"vocab": [*VOCABULARY[:-1], ["b", 1e308]]}),
    "unigram: a score of 10^400": unigram(model={"vocab": [*VOCABULARY[:-1], ["b", 10**400]]}),
    "unigram: an unknown of id 10^18": unigram(model={"unk_id": 10**18}),
    "unigram: a piece of 8 MiB": unigram(model=scored(1, 8 * MIB), added_tokens=[]),
    "unigram: 8 MB of pieces": unigram(model=scored(200_000, 40), added_tokens=[]),
    "unigram: bytes for what is unknown": unigram(model={"byte_fallback": True}),
    "unigram: a table that makes the library panic": unigram(normalizer=table(b"\0\0\0")),
    "unigram: a table of 8 MiB that points outside": unigram(
        normalizer=table((8 * MIB).to_bytes(4, "little") + b"\xff\xff\xff\x7f" * (2 * MIB))
    ),
    "unigram: a character that becomes 1 MiB": unigram(
        normalizer=table((1024).to_bytes(4, "little") + bytes(1024) + b"a" * MIB)
    ),
    "unigram: a regular expression": unigram(
        normalizer={"type": "Replace", "pattern": {"Regex": "(a+)+$"}, "content": ""}
    ),
    "unigram: a letter that becomes 1 MiB": unigram(
        normalizer={"type": "Replace", "pattern": {"String": "a"}, "content": "a" * MIB}
    ),
    "unigram: an added token of id 10^9": unigram(added_tokens=[ADDED]),
}
EXPONENTIAL = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Removed"}
PANICKING = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}
GIVEN = {
    "16 MiB of line ends": file("vocab.txt", lambda: b"\n" * (16 * MIB)),
    "400,000 pieces, the last of them twice": file("vocab.txt", lambda: pieces(400_000) + b"0\n"),
    "a million pieces": file("vocab.txt", lambda: pieces(10**6)),
    "a million pieces in JSON": file(
        "tokenizer.json",
        lambda: json.dumps({"model": {"vocab": {str(i): i for i in range(10**6)}}}).encode(),
    ),
    "a piece of 17 MiB": file("vocab.txt", lambda: b"[UNK]\n" + b"a" * (17 * MIB)),
    "random bytes": file("vocab.txt", lambda: random.Random(0).randbytes(1000)),
    "an empty vocabulary": file("vocab.txt", bytes),
    "an id of 10^18": file("encoder.json", fields(a=10**18), vocab_bpe=""),
    "no bytes": file("encoder.json", fields(a=0), vocab_bpe=""),
    "a list for a vocabulary": file("encoder.json", lambda: b"[0]", vocab_bpe=""),
    "no merges beside it": file("encoder.json", fields(a=0)),
    "16 MiB of empty merges": file("vocab.bpe", lambda: b"\n" * (16 * MIB), encoder_json="{}"),
    "100,000 lists deep": file("tokenizer.json", lambda: b"[" * DEEP),
    "a number of 10^6 digits": file("tokenizer.json", lambda: b'{"model":%s}' % (b"9" * 10**6)),
    "a regular expression": whole(pre_tokenizer=EXPONENTIAL),
    "what makes the library panic": whole(normalizer=PANICKING),
    "an added token of id 10^9": whole(added_tokens=[ADDED]),
    "words of 10^18 characters": whole(model={"max_input_chars_per_word": 10**18}),
    "an object for an id": whole(model={"vocab": {"[UNK]": {}}}),
    "a prefix of 10^6 letters": whole(model={"continuing_subword_prefix": "#" * 10**6}),
    "no vocabulary": whole(model={"vocab": None}),
    "a folder without one": lambda folder: folder,
    **UNIGRAMS,
}
HARMLESS = {
    "padding to 10^12": whole(padding=PADDING),
    "a piece of 8 MiB": file("vocab.txt", lambda: b"[UNK]\n" + b"a" * (8 * MIB)),
    "100,000 pieces": file("vocab.txt", lambda: pieces(100_000)),
    "30,000 pieces of a unigram": unigram(model=scored(30_000, 6), added_tokens=[]),
}
