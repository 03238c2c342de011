"""A vocabulary as BERT's, and byte pairs learned here, for tests of tokenizers in files."""

from lmjax.data.bpe_tokenizer import BytePairTokenizer
from lmjax.data.tokenizer_files import read_tokenizer_file

PIECES = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "cat",
    "##s",
    "##at",
    "s",
    "a",
    "##a",
]
PIECES += ["un", "##believ", "##able", ",", ".", "'", "床", "é", "e", "ß", "The", "##S"]
PROSE = "the cat sat on the mat\nand the dog, too\n" * 5
TRAINED = BytePairTokenizer.train([PROSE], 270, False)


def wordpiece(folder, lowercase=True, pieces=PIECES):
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n")
    return read_tokenizer_file(folder, lowercase)
