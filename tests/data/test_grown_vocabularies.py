"""Which vocabularies are another one with more entries at the end."""

import pytest

from lmjax.data.bpe_tokenizer import BytePairTokenizer
from lmjax.data.byte_tokenizer import ByteTokenizer
from lmjax.data.character_tokenizer import CharacterTokenizer
from lmjax.data.word_tokenizer import WordTokenizer
from lmjax.data.wrapped_tokenizers import SpecialTokenizer

PROSE = "the cat sat on the mat and the dog sat, too, on the mat\n"


def byte_pairs(size, document_end=False):
    return BytePairTokenizer.train([PROSE], size, document_end)


def characters(text, has_unknown=False, document_end=False):
    return CharacterTokenizer(text, has_unknown, document_end)


def words(*names, has_unknown=True):
    return WordTokenizer(names, has_unknown)


GROWN = [
    (ByteTokenizer(False), ByteTokenizer(True)),
    (ByteTokenizer(False), SpecialTokenizer(ByteTokenizer(False), ("mask",))),
    (ByteTokenizer(False), SpecialTokenizer(ByteTokenizer(True), ("mask",))),
    (characters("abc"), characters("abcde")),
    (characters("abc"), characters("abc", has_unknown=True, document_end=True)),
    (characters("abc", has_unknown=True), characters("abc", has_unknown=True, document_end=True)),
    (words("the", "cat"), words("the", "cat", "sat")),
    (byte_pairs(258), byte_pairs(262)),
    (byte_pairs(258), byte_pairs(259, document_end=True)),
    (
        SpecialTokenizer(words("the"), ("mask",)),
        SpecialTokenizer(words("the"), ("mask", "class")),
    ),
]
OTHERS = [
    (ByteTokenizer(False), characters("".join(map(chr, range(300))))),
    (characters("abc", has_unknown=True), characters("abcde", has_unknown=True)),
    (characters("abd"), characters("abcd")),
    (words("the", "cat"), words("cat", "the", "sat")),
    (words("the", "cat"), words("the", "cat", "sat", has_unknown=False)),
    (byte_pairs(258, document_end=True), byte_pairs(262, document_end=True)),
    (BytePairTokenizer.train(["xyxyxyzz " * 9], 258, False), byte_pairs(262)),
    (
        SpecialTokenizer(words("the"), ("mask",)),
        SpecialTokenizer(words("the"), ("class", "mask")),
    ),
    (
        SpecialTokenizer(words("the"), ("mask",)),
        SpecialTokenizer(words("the", "cat"), ("mask",)),
    ),
]


@pytest.mark.parametrize(("old", "new"), GROWN)
def test_it_has_all_entries_under_their_ids(old, new):
    assert new.extends(old) and not old.extends(new) and not old.extends(old)
    for id_ in range(old.vocabulary_size):
        assert new.decode([id_]) == old.decode([id_])


@pytest.mark.parametrize(("old", "new"), OTHERS)
def test_what_moves_or_lacks_an_entry_is_another_one(old, new):
    assert not new.extends(old)
