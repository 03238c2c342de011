"""Tokenizers read from files: those of BERT, GPT-2 and Hugging Face, and those that lmjax saved."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmjax.data.given_byte_pairs import GivenBytePairTokenizer
from lmjax.data.given_tokenizer import MOST_TOKENS, roles_in
from lmjax.data.tokenizer import Tokenizer
from lmjax.data.tokenizer_registry import tokenizer_from_json
from lmjax.data.unigram_tokenizer import SPACE, UnigramTokenizer
from lmjax.data.wordpiece_tokenizer import PREFIX, WordPieceTokenizer
from lmjax.errors import UserError
from lmjax.runs.fields import check_fields, is_count, is_number, is_text, is_true_or_false
from lmjax.runs.files import MOST_JSON_BYTES, read_json, read_whole

WHOLE = "tokenizer.json"
PIECES = "vocab.txt"
MERGES_OF = {"encoder.json": "vocab.bpe", "vocab.json": "merges.txt"}  # GPT-2's names, and later
CURE = "give another file"
# What a tokenizer.json may say beside its vocabulary; what is not here has no effect on the ids.
BYTE_PAIRS = {
    "dropout": (None,),
    "continuing_subword_prefix": (None, ""),
    "end_of_word_suffix": (None, ""),
    "byte_fallback": (None, False),
    "ignore_merges": (None, False),
}
BYTE_LEVEL = {"type": ("ByteLevel",), "add_prefix_space": (False,), "use_regex": (None, True)}
BERT_WORDS = {"type": ("BertPreTokenizer",)}
BERT_TEXT = {"type": ("BertNormalizer",)}
UNIGRAM = {"byte_fallback": (None, False)}
METASPACE = {
    "type": ("Metaspace",),
    "replacement": (SPACE,),
    "add_prefix_space": (None, True),
    "prepend_scheme": (None, "always"),
    "split": (None, True),
}


def read_tokenizer_file(path: str | Path, lowercase: bool = True) -> Tokenizer:
    """The tokenizer in a file, or in a folder that holds one.

    Files are a Hugging Face tokenizer.json (byte pairs as GPT-2's, WordPiece as BERT's, Unigram as
    T5's), BERT's vocab.txt, which is of `lowercase` text or not, GPT-2's encoder.json beside
    vocab.bpe (or vocab.json beside merges.txt), and the tokenizer.json of a run. The ids of a text
    are those of the `transformers` tokenizers without special tokens, but that no text has any
    special token: the letters `[MASK]` are letters. Raises UserError for a file that is none of
    these.
    """
    path = _named(Path(path))
    try:
        if path.suffix == ".txt" and path.name not in MERGES_OF.values():
            return _checked(_wordpiece(_vocabulary(_lines(path)), dict(lowercase=lowercase)))
        for vocabulary, merges in MERGES_OF.items():
            if path.name in (vocabulary, merges):
                return _checked(_pairs(path.with_name(vocabulary), path.with_name(merges)))
        fields = read_json(path, CURE)
        if isinstance(fields, dict) and "kind" in fields:
            return tokenizer_from_json(fields)
        return _checked(_hugging_face(fields))
    except UserError as error:
        if str(path) in str(error):
            raise
        raise UserError(f"{path}: {error}") from error


def _named(path: Path) -> Path:
    """`path`, or the file in it that says most."""
    if not os.path.isdir(path):
        return path
    for name in (WHOLE, *MERGES_OF, PIECES):
        if os.path.exists(path / name):
            return path / name
    names = ", ".join((WHOLE, *MERGES_OF, PIECES))
    raise UserError(f"{path} holds no tokenizer; give a folder with one of {names}, or a file")


def _checked(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer as it will be read back from its file."""
    return tokenizer_from_json(tokenizer.to_json())


def _lines(path: Path) -> list[str]:
    content = read_whole(path, MOST_JSON_BYTES)
    if content.count(b"\n") > MOST_TOKENS:
        raise UserError(f"{path} has over {MOST_TOKENS:,} lines; {CURE}")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 from byte {error.start} on; {CURE}") from error
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def _vocabulary(lines: list[str]) -> dict[str, int]:
    vocabulary: dict[str, int] = {}
    for number, piece in enumerate(lines):
        if piece in vocabulary:
            raise UserError(
                f"entry {number + 1} repeats {piece[:80]!r} of entry {vocabulary[piece] + 1}; "
                f"{CURE}"
            )
        vocabulary[piece] = number
    return vocabulary


def _pairs(vocabulary: Path, merges: Path) -> Tokenizer:
    ids = read_json(vocabulary, CURE)
    check_fields(ids, {...: is_count}, vocabulary, cure=CURE)
    lines = _lines(merges)
    return _byte_pairs(ids, [line for line in lines if not line.startswith("#version")])


def _hugging_face(fields: Any) -> Tokenizer:
    check_fields(fields, {"model": {}}, WHOLE, cure=CURE)
    model = fields["model"]
    kind = model.get("type", "BPE" if "merges" in model else "WordPiece")
    if kind not in ("BPE", "WordPiece", "Unigram"):
        shown = repr(kind)[:80]
        raise UserError(
            f"a model of type {shown} can't be read, only BPE, WordPiece and Unigram; {CURE}"
        )
    if kind == "Unigram":
        return _unigram(fields)
    check_fields(model.get("vocab"), {...: is_count}, WHOLE, "model.vocab", cure=CURE)
    vocabulary = _with_added(model["vocab"], fields)
    if kind == "BPE":
        _expect(model, BYTE_PAIRS, "model")
        _expect(fields.get("pre_tokenizer"), BYTE_LEVEL, "pre_tokenizer")
        _expect(fields, {"normalizer": (None,)}, "tokenizer")
        return _byte_pairs(vocabulary, _merges(model.get("merges")))
    _expect(model, {"continuing_subword_prefix": (PREFIX,)}, "model")
    _expect(fields.get("pre_tokenizer"), BERT_WORDS, "pre_tokenizer")
    _expect(fields.get("normalizer"), BERT_TEXT, "normalizer")
    longest, unknown = model.get("max_input_chars_per_word", 100), model.get("unk_token")
    check_fields(longest, is_count, WHOLE, "max_input_chars_per_word", cure=CURE)
    return _wordpiece(vocabulary, fields["normalizer"], unknown, longest)


def _with_added(vocabulary: dict[str, int], fields: dict[str, Any]) -> dict[str, int]:
    """The vocabulary with the special tokens that stand beside it."""
    known = [{"id": is_count, "content": is_text, "special": is_true_or_false}]
    check_fields(fields.get("added_tokens", []), known, WHOLE, "added_tokens", cure=CURE)
    vocabulary = dict(vocabulary)
    for token in fields.get("added_tokens", ()):
        content, i = token["content"], token["id"]
        if not token["special"] or vocabulary.setdefault(content, i) != i:
            raise UserError(
                f"the added token {content[:80]!r} is one of the text or has two ids, which lmjax "
                f"can't read; {CURE}"
            )
    return vocabulary


def _unigram(fields: dict[str, Any]) -> Tokenizer:
    model = fields["model"]
    _expect(model, UNIGRAM, "model")
    check_fields(model.get("vocab"), [is_piece_and_score], WHOLE, "model.vocab", cure=CURE)
    check_fields(model.get("unk_id"), is_count, WHOLE, "model.unk_id", cure=CURE)
    vocabulary = _with_added(_vocabulary([piece for piece, _ in model["vocab"]]), fields)
    pieces, scores = _in_order(vocabulary), [float(score) for _, score in model["vocab"]]
    special = {"unknown": model["unk_id"], **roles_in(vocabulary)}
    added = {token["id"] for token in fields.get("added_tokens", ())}
    nameless = sorted(added - {*special.values()})
    return UnigramTokenizer(
        pieces=pieces,
        scores=(*scores, *[max(scores, default=0.0)] * (len(pieces) - len(scores))),
        special=special | {f"unused_{number}": i for number, i in enumerate(nameless)},
        normalizer=json.dumps(fields.get("normalizer")),
        whitespace_split=_splits_whitespace(fields.get("pre_tokenizer")),
    )


def is_piece_and_score(value: Any) -> bool:
    is_pair = isinstance(value, list) and len(value) == 2
    return is_pair and is_text(value[0]) and is_number(value[1])


def _splits_whitespace(section: Any) -> bool:
    """Whether the words of a Unigram are cut at all whitespace before they are cut at spaces."""
    if not isinstance(section, dict) or section.get("type") != "Sequence":
        _expect(section, METASPACE, "pre_tokenizer")
        return False
    parts = section.get("pretokenizers")
    check_fields(parts, [{}], WHOLE, "pre_tokenizer", cure=CURE)
    if len(parts) != 2:
        raise UserError(f"the pre_tokenizer has {len(parts)} parts, which lmjax can't read; {CURE}")
    _expect(parts[0], {"type": ("WhitespaceSplit",)}, "pre_tokenizer")
    _expect(parts[1], METASPACE, "pre_tokenizer")
    return True


def _expect(section: Any, allowed: Mapping[str, tuple], name: str) -> None:
    """Refuses a section of a tokenizer.json that asks for what no tokenizer here does."""
    check_fields(section, {}, WHOLE, name, cure=CURE)
    for field, values in allowed.items():
        if not any(section.get(field) is value or section.get(field) == value for value in values):
            shown = repr(section.get(field))[:80]
            raise UserError(f"the {name} has {shown} for {field}, which lmjax can't read; {CURE}")


def _merges(given: Any) -> list[str]:
    """As "left right" each, for which newer files have a list of two."""
    if isinstance(given, list) and any(isinstance(merge, list) for merge in given):
        check_fields(given, [[is_text]], WHOLE, "merges", cure=CURE)
        return [" ".join(pair) for pair in given]
    check_fields(given, [is_text], WHOLE, "merges", cure=CURE)
    return given


def _in_order(vocabulary: dict[str, int]) -> tuple[str, ...]:
    """The entries by their ids."""
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise UserError(f"the ids of the vocabulary are not 0, 1, 2 and so on, each once; {CURE}")
    return tuple(sorted(vocabulary, key=vocabulary.__getitem__))


def _byte_pairs(vocabulary: dict[str, int], merges: list[str]) -> Tokenizer:
    tokens = _in_order(vocabulary)
    return GivenBytePairTokenizer(tokens, tuple(merges), roles_in(vocabulary))


def _wordpiece(
    vocabulary: dict[str, int],
    normalizer: Mapping[str, Any],
    unknown: Any = "[UNK]",
    longest_word: int = 100,
) -> Tokenizer:
    if not is_text(unknown) or unknown not in vocabulary:
        raise UserError(f"the vocabulary has no {str(unknown)[:80]!r} for unknown words; {CURE}")
    lowercase = normalizer.get("lowercase", True)
    strip_accents = normalizer.get("strip_accents")
    return WordPieceTokenizer(
        pieces=_in_order(vocabulary),
        special={"unknown": vocabulary[unknown], **roles_in(vocabulary)},
        lowercase=lowercase,
        strip_accents=lowercase if strip_accents is None else strip_accents,
        clean_text=normalizer.get("clean_text", True),
        split_chinese=normalizer.get("handle_chinese_chars", True),
        longest_word=longest_word,
    )
