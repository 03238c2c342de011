"""Published tests of word vectors: similarities that people gave, and analogies."""

from dataclasses import dataclass

from lmjax.data.public_files import PublicFile
from lmjax.errors import UserError

SIMILARITY_URL = (
    "https://raw.githubusercontent.com/mfaruqui/eval-word-vectors/"
    "94b3dd9fdbac7ed08dbee7179cd5ee464acf0594/data/word-sim/"
)
WORDSIM = PublicFile(
    "word_similarity/EN-WS-353-ALL.txt",
    SIMILARITY_URL + "EN-WS-353-ALL.txt",
    "ce12919b240af45bdf46d243601eaca2b6212b159b5e7e9b435ee7ee40c5619c",
)
SIMLEX = PublicFile(
    "word_similarity/SimLex-999.txt",
    "https://raw.githubusercontent.com/nmrksic/counter-fitting/"
    "8cf3cf4db1074f2f80ecf728e6af68347c3b3d02/linguistic_constraints/SimLex-999.txt",
    "ca00ff8515a36cde32d13c2b83def23f5a167b67db93ebfcfb7dae039ba22c0b",
)
ANALOGIES = PublicFile(
    "word_analogy/questions-words.txt",
    "https://raw.githubusercontent.com/tmikolov/word2vec/"
    "20c129af10659f7c50e86e3be406df663beff438/questions-words.txt",
    "8c29b3332afc46f3fb8be04cb5297bf96f39aa7131272dff57869b4485b22a36",
)


@dataclass(frozen=True)
class RatedPair:
    """Two words, and how similar people found them."""

    first: str
    second: str
    rating: float


Analogy = tuple[str, str, str, str]  # the second is to the first as the fourth to the third


def wordsim() -> list[RatedPair]:
    """WordSim-353 (Finkelstein et al. 2002): 353 pairs, rated from 0 to 10.

    Raises UserError if the file is nowhere to be had or is not the published one.
    """
    return _rated_pairs(WORDSIM, rows=353, rating=2, header=False)


def simlex() -> list[RatedPair]:
    """SimLex-999 (Hill et al. 2015): 999 pairs, rated from 0 to 10; raises as `wordsim`."""
    return _rated_pairs(SIMLEX, rows=999, rating=3, header=True)


def analogies() -> dict[str, list[Analogy]]:
    """The 19,544 questions of Mikolov et al. (2013) by section; raises as `wordsim`.

    Sections whose name begins with `gram` are of syntax, the others of meaning.
    """
    sections: dict[str, list[Analogy]] = {}
    for line in ANALOGIES.read().decode().splitlines():
        if line.startswith(": "):
            questions = sections.setdefault(line.removeprefix(": "), [])
        else:
            first, second, third, fourth = line.split()
            questions.append((first, second, third, fourth))
    _check_rows(ANALOGIES, sum(map(len, sections.values())), 19_544)
    return sections


def _rated_pairs(file: PublicFile, rows: int, rating: int, header: bool) -> list[RatedPair]:
    lines = file.read().decode().splitlines()[int(header) :]
    fields = [line.split("\t") for line in lines]
    _check_rows(file, len(fields), rows)
    return [RatedPair(row[0], row[1], float(row[rating])) for row in fields]


def _check_rows(file: PublicFile, found: int, published: int) -> None:
    if found != published:
        raise UserError(f"{file.path} has {found} entries, published are {published}")
