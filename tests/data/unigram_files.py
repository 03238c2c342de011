"""A small tokenizer.json as T5's, and its table of characters, in SentencePiece's layout."""

import base64
from collections.abc import Mapping

import numpy as np

VOCABULARY = [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["▁", -2.0], ["▁the", -1.5]]
VOCABULARY += [["▁c", -3.0], ["at", -2.5], ["a", -3.5], ["t", -3.6], ["s", -3.7], ["c", -6.0]]
VOCABULARY += [["▁ca", -4.0], ["e", -4.0], ["é", -4.5], ["<", -5.0], ["/", -5.0], [">", -5.0]]
VOCABULARY += [["<extra_id_1>", 0.0], ["<extra_id_0>", 0.0]]
MAP = {"\t": " ", "\n": " ", "\u3000": " ", "\u200b": "", "ﬆ": "st", "e\u0301": "é", "Ａ": "a"}
METASPACE = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
BLOCK = 256  # of the array, where the children of one node stand


def charsmap(rules: Mapping[str, str]) -> str:
    """In base64, the table that makes of each character the text that stands for it."""
    texts = b""
    units = [0] * BLOCK
    children = {b"": 0}  # where those of a prefix stand
    where = {b"": 0}
    for key, text in rules.items():
        prefix = b""
        for byte in key.encode():
            longer = prefix + bytes([byte])
            if longer not in children:
                children[prefix] = children[prefix] or len(units)
                units += [0] * BLOCK * (children[prefix] == len(units))
                where[longer], children[longer] = children[prefix] ^ byte, 0
            prefix = longer
        children[prefix] = children[prefix] or len(units)
        units += [0] * BLOCK * (children[prefix] == len(units))
        units[where[prefix]] |= 1 << 8
        units[children[prefix]] = 1 << 31 | len(texts)
        texts += text.encode() + b"\0"
    for prefix, place in where.items():
        units[place] |= (place ^ children[prefix]) << 10 | (prefix[-1] if prefix else 0)
    array = np.array(units, "<u4").tobytes()
    return base64.b64encode(len(array).to_bytes(4, "little") + array + texts).decode()


def t5_json(split=True):
    """Words are cut at whitespace, or, unless `split`, before each space."""
    words = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, METASPACE]}
    added = [(0, "<pad>"), (1, "</s>"), (2, "<unk>"), (17, "<extra_id_1>"), (19, "[NEW]")]
    return {
        "added_tokens": [{"id": i, "content": text, "special": True} for i, text in added],
        "normalizer": {"type": "Precompiled", "precompiled_charsmap": charsmap(MAP)},
        "pre_tokenizer": words if split else METASPACE,
        "model": {"type": "Unigram", "unk_id": 2, "vocab": VOCABULARY},
    }
