"""How near the translations of a split are to its references: BLEU and chrF, by sacrebleu."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sacrebleu.metrics import BLEU, CHRF

from lmjax.data.documents import Document
from lmjax.errors import UserError
from lmjax.generation.translate import Translation


@dataclass(frozen=True)
class TranslatedSplit:
    """A split with its translations, in its order."""

    documents: list[Document]  # as cleaned: source, and the reference as text
    translations: list[list[Translation]]  # of each, best first
    decoding: str  # how they were searched for
    measured: dict[str, Any]

    def sample(self, count: int) -> str:
        """So many pairs, spread evenly, each with its best translation."""
        size = len(self.documents)
        places = [size * number // count for number in range(min(count, size))]
        return "\n\n".join(
            f"source       {self.documents[place].source}\n"
            f"reference    {self.documents[place].text}\n"
            f"translation  {self.translations[place][0].text}"
            for place in places
        )


def measure(translations: Sequence[str], references: Sequence[str]) -> dict[str, Any]:
    """BLEU (Papineni et al. 2002) and chrF (Popovic 2015) of a corpus, each with its signature.

    Both are in percent. The texts are compared as they are: sacrebleu's default tokenization is
    of BLEU alone, and `case:mixed` in a signature says that it lower-cased nothing. Raises
    UserError if there is nothing to compare.
    """
    if not references:
        raise UserError("there is no pair to compare; choose another split, or give lines")
    lines = [" ".join(reference.split("\n")) for reference in references]
    measured: dict[str, Any] = {"sentences": len(lines)}
    # Forced, since it would else warn of texts that are in tokens already.
    for name, metric in (("bleu", BLEU(force=True)), ("chrf", CHRF())):
        measured[name] = metric.corpus_score(list(translations), [lines]).score
        measured[f"{name}_signature"] = str(metric.get_signature())
    return measured
