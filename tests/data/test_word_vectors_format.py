"""Files of word vectors: what is written is read back, and each mistake in a file is named."""

import gzip

import numpy as np
import pytest

from lmjax.data.word_vectors import WordVectors, read_word_vectors, write_word_vectors
from lmjax.errors import UserError

VECTORS = WordVectors(
    ("the", "Katze", "猫", "#1"),
    np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32) * np.float32(1e-3),
)


@pytest.mark.parametrize("name", ["vectors.txt", "vectors.txt.gz"])
def test_what_is_written_is_read_back_bit_for_bit(tmp_path, name):
    write_word_vectors(tmp_path / name, VECTORS)
    found = read_word_vectors(tmp_path / name)
    assert found.words == VECTORS.words
    np.testing.assert_array_equal(found.vectors_VD, VECTORS.vectors_VD)
    content = (tmp_path / name).read_bytes()
    text = gzip.decompress(content) if name.endswith(".gz") else content
    assert text.splitlines()[0] == b"4 3"


def test_glove_has_no_header_and_may_have_blanks_in_words(tmp_path):
    (tmp_path / "glove.txt").write_bytes(b"the 1 2\r\n. . . -3e-1 4\nat 5 6 \n")
    found = read_word_vectors(tmp_path / "glove.txt")
    assert found.words == ("the", ". . .", "at")
    np.testing.assert_array_equal(found.vectors_VD, np.float32([[1, 2], [-0.3, 4], [5, 6]]))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "line 1: no numbers"),
        (b"0 3\n", "no vectors"),
        (b"2 2\na 1 2\n", "counts 2 words, and there are 1"),
        (b"2 2\na 1 2\nb 1 2\nc 1 2\n", "counts 2 words, and there are 3"),
        (b"2 2\na 1 2\nb 1 2 3\n", "line 3: 3 numbers after the word, where the width is 2"),
        (b"a 1 2\nb 1\n", "line 2: 1 numbers after the word, where the width is 2"),
        (b"a 1 2\n\nb 1 2\n", "line 2: no numbers"),
        (b"a 1 2\nb 1 2\na 3 4\n", "line 3: the word 'a' is on line 1 already"),
        (b"a 1 2\nb 1 nan\n", "line 2: 'nan' is no finite number"),
        (b"a 1 2\nb 1e39 2\n", "line 2: '1e39' is no finite number"),
        (b"a 1 2\nb 1 x\n", "line 2: 'x' is no finite number"),
        (b"1 2\n\xff\xfe 1 2\n", "line 2: invalid UTF-8"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, content, said):
    (tmp_path / "vectors.txt").write_bytes(content)
    with pytest.raises(UserError) as raised:
        read_word_vectors(tmp_path / "vectors.txt")
    assert said in str(raised.value) and "vectors.txt" in str(raised.value)


def test_a_word_with_a_blank_is_not_written(tmp_path):
    with pytest.raises(UserError, match="blank"):
        write_word_vectors(
            tmp_path / "vectors.txt", WordVectors(("New York",), np.zeros((1, 2), np.float32))
        )
    assert not list(tmp_path.iterdir())
